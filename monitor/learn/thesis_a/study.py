"""All experiments of thesis A on simulated maps: each model on each fault, and the autoencoder.

Where the thesis is silent, and what was chosen: 600 maps of each class to train, 100 to validate, 400 to test (its
figure 5.6 shows about as many), 20 epochs; maps divided by their largest content, as the autoencoder's sigmoid needs
it; 200 good maps, 16 epochs and batches of 8 for the autoencoder.

The recipe ``thesis`` is this. The recipe ``ours`` is one classifier for all faults: the thesis's last network with a
margin, so that it sees all bins; maps compared with what the monitor expects of them (the scale ``significance``);
faults of both sizes drawn anew in each epoch, at random places; 30 epochs.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from monitor.learn.thesis_a.classifier import train_ours
from monitor.learn.thesis_a.data import (
    LABELS,
    PLACES,
    SIZES,
    HcalToy,
    Maps,
    Place,
    Scale,
    draw,
    fixed_window,
    good_maps,
)
from monitor.learn.thesis_a.figures import STATED
from monitor.learn.thesis_a.linear import LINEAR, fit_linear, linear_probabilities
from monitor.learn.thesis_a.networks import CLASSIFIERS, OURS, autoencoder, build
from monitor.learn.thesis_a.results import Budget, Recipe, Reconstruction, Row, StudyResult
from monitor.learn.thesis_a.training import Epoch, outputs, probabilities, train
from monitor.learn.toys import Toy
from monitor.snapshot import FloatArray

OnProgress = Callable[[int, int, str], None]
"""Called with the number of trainings done, of all, and what is trained next."""
_BATCH_AUTOENCODER = 8


@dataclass(frozen=True, slots=True)
class _Problem:
    size: int
    place: Place
    classes: int


def run_study(
    *,
    seed: int,
    scale: float = 1.0,
    on_progress: OnProgress | None = None,
    toy: Toy | None = None,
    recipes: Collection[Recipe] = ("thesis", "ours"),
) -> StudyResult:
    """Run all experiments.

    The same seed and scale give the same figures. Nothing is written: interrupting it leaves nothing behind.

    Parameters
    ----------
    seed
        Of maps, faults and starting weights.
    scale
        Multiple of the default budget.
    on_progress
        Told before every training, and at the end.
    toy
        What good maps are drawn from; None: `HcalToy`.
    recipes
        Whose models are trained; a report needs both.

    Raises
    ------
    ValueError
        If the scale is not positive, or the autoencoder cannot give back maps of the toy's shape.
    HistwatchError
        If JAX is missing.
    """
    if not scale > 0:
        raise ValueError(f"scale {scale}, must be positive")
    study = _Study(toy or HcalToy(seed=seed), seed, Budget().scaled(scale))
    problems = [_Problem(size, place, 3) for size in SIZES for place in PLACES]
    trainings: list[tuple[str, Callable[[], list[Row] | list[Reconstruction]]]] = []
    for problem in problems if "thesis" in recipes else ():
        for name in (*LINEAR, *CLASSIFIERS):
            what = f"{name}, {problem.size} x {problem.size} {problem.place}"
            trainings.append((what, partial(study.thesis, name, problem)))
    for place in PLACES if "thesis" in recipes else ():
        what = f"cnn_two_layers, 5 x 5 {place}, good and hot"
        trainings.append((what, partial(study.thesis, "cnn_two_layers", _Problem(5, place, 2))))
    if "ours" in recipes:
        trainings.append((f"{OURS}, all faults", partial(study.ours, problems)))
    if "thesis" in recipes:
        trainings.append(("autoencoder", study.reconstruct))
    found: list[Any] = []
    for number, (what, measure) in enumerate(trainings):
        if on_progress is not None:
            on_progress(number, len(trainings), what)
        found += measure()
    if on_progress is not None:
        on_progress(len(trainings), len(trainings), "done")
    return StudyResult(
        seed=seed,
        scale=scale,
        budget=study.budget,
        rows=tuple(one for one in found if isinstance(one, Row)),
        reconstructions=tuple(one for one in found if isinstance(one, Reconstruction)),
        examples={
            size: {name: study.test(_Problem(size, "random", 3)).of(n)[0] for n, name in enumerate(LABELS)}
            for size in SIZES
        },
    )


class _Study:
    """The experiments of one seed."""

    def __init__(self, toy: Toy, seed: int, budget: Budget) -> None:
        self.toy = toy
        self.seed = seed
        self.budget = budget
        self._shares = Scale(toy, "maximum", seed)

    def maps(self, problem: _Problem, per_class: int, part: int) -> Maps:
        """Draw the maps of a part (0: train, 1: validate, 2: test) of a problem."""
        window = fixed_window(self.toy, problem.size, self.seed) if problem.place == "fixed" else None
        return draw(
            self.toy,
            per_class,
            size=problem.size,
            window=window,
            seed=3 * self.seed + part,
            classes=problem.classes,
        )

    def test(self, problem: _Problem) -> Maps:
        return self.maps(problem, self.budget.test, 2)

    def thesis(self, name: str, problem: _Problem) -> list[Row]:
        """Train one of the thesis's models for one problem, and measure it."""
        learned, judged = self.maps(problem, self.budget.train, 0), self.test(problem)
        maps, shown = self._shares(learned.contents), self._shares(judged.contents)
        history: tuple[Epoch, ...] = ()
        if name in LINEAR:
            found = linear_probabilities(fit_linear(name, maps, learned.labels, self.seed), shown)
        else:
            network = build(CLASSIFIERS[name](problem.classes), maps.shape[1:], self.seed)
            held = self.maps(problem, self.budget.validate, 1)
            history = train(
                network,
                lambda _: (maps, learned.labels),
                validation=(self._shares(held.contents), held.labels),
                epochs=self.budget.epochs,
                seed=self.seed,
            )
            found = probabilities(network, shown)
        return [self._row(name, "thesis", problem, judged, found, history)]

    def ours(self, problems: list[_Problem]) -> list[Row]:
        """Train one classifier for all problems, and measure it on each."""
        network, scale, history = train_ours(self.toy, self.budget, self.seed)
        rows = []
        for problem in problems:
            judged = self.test(problem)
            found = probabilities(network, scale(judged.contents))
            rows.append(self._row(OURS, "ours", problem, judged, found, history))
        return rows

    def reconstruct(self) -> list[Reconstruction]:
        """Train the autoencoder on good maps, and see what it gives back of good and bad ones."""
        rng = np.random.default_rng([self.seed, 31])
        count = self.budget.autoencoder
        good = self._shares(good_maps(self.toy, count + self.budget.validate, rng))
        network = build(autoencoder(), good.shape[1:], self.seed)
        history = train(
            network,
            lambda _: (good[:count], None),
            validation=(good[count:], None),
            epochs=self.budget.epochs_autoencoder,
            seed=self.seed,
            batch=_BATCH_AUTOENCODER,
        )
        found = []
        for size in SIZES:
            judged = self.maps(_Problem(size, "random", 3), self.budget.validate, 2)
            errors, examples = {}, {}
            for n, name in enumerate(LABELS):
                shown = self._shares(judged.of(n))
                given = outputs(network, shown)
                errors[name] = ((given - shown) ** 2).mean(axis=(1, 2))
                examples[name] = (shown[0], given[0])
            found.append(Reconstruction(size=size, errors=errors, examples=examples, history=history))
        return found

    def _row(
        self, name: str, recipe: Recipe, problem: _Problem, judged: Maps, found: FloatArray, history: tuple[Epoch, ...]
    ) -> Row:
        return Row(
            model=name,
            recipe=recipe,
            size=problem.size,
            place=problem.place,
            labels=LABELS[: problem.classes],
            truth=judged.labels,
            found=found,
            history=history,
            stated=STATED.get((name, problem.size, problem.place, problem.classes)) if recipe == "thesis" else None,
        )
