"""Thesis A's study, and our detectors on the same maps as a decision between good, hot and dead."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from monitor.errors import HistwatchError
from monitor.learn.evaluate.roc import area_of_maps, curve
from monitor.learn.evaluate.rows import Row
from monitor.learn.evaluate.scorers import Scored, choose, make_scorer
from monitor.learn.evaluate.simultaneous import is_low
from monitor.learn.evaluate.suite import Options, Part, Tell
from monitor.learn.evaluate.tables import auc_by_type, experiments, listing, number, roc_curves
from monitor.learn.thesis_a.data import LABELS, PLACES, SIZES, HcalToy, Maps, draw, fixed_window
from monitor.learn.thesis_a.figures import BEST_STATED
from monitor.learn.thesis_a.report import NAME, write_report
from monitor.learn.thesis_a.results import Budget, Recipe, StudyResult
from monitor.learn.thesis_a.results import Row as Trained
from monitor.learn.toys import interval_of

DETECTORS = (
    "expectation",
    "dbscan",
    "strip_median",
    "l1calo_strip_median",
    "chi2",
    "ks",
    "pca",
    "isolation_forest",
    "thesis_b",
)
STUDY, OURS = "thesis_a", "classifier"
"""The study's models: the thesis's, which the first is the prefix of and asks for, and ours."""
_RECIPES: dict[str, Recipe] = {STUDY: "thesis", OURS: "ours"}
SCALE = 0.4
"""Of the study's own budget of maps and epochs, at --scale 1."""
REFERENCES = 10
"""Good maps that our detectors learn from; the classifiers learn from hundreds of each class."""
REPORT = NAME
"""The study's own report, beside the suite's."""
_FIGURES = ("accuracy", "accuracy_low", "accuracy_high", "found", "false", "maps", "epochs")


class ThesisA:
    """Classifiers of good, hot and dead maps, and detectors that have never seen a fault."""

    name = "thesis-a"
    title = "Thesis A: good, hot and dead occupancy maps"
    words = (
        "Simulated occupancy of a hadron calorimeter, 64 x 72 bins; a fault is 5 x 5 or 1 x 1 bins, dead or 2 to 10 "
        "times as full, at one place or at random ones. `thesis_a ...`: the thesis's models, one trained for each kind "
        "of fault; `classifier`: ours, one for all, with the three classes of the thesis. `maps` and `epochs` are what "
        f"they were trained with: {SCALE:g} of the study's budget ({3 * Budget().train} maps, {Budget().epochs} "
        f"epochs, ours {Budget().epochs_ours}) times --scale; --scale {1.0 / SCALE:g} is all of it. Every row is "
        "measured on the same held-out maps. Detectors of the monitor and baselines learn from "
        f"{REFERENCES} good maps and have "
        "seen no fault of this kind (`dbscan` and `thesis_b` are calibrated with thesis B's): their class is good, or "
        "the direction of their most significant shape; what has no threshold names none. `auc` is that of faulty "
        f"against good maps. Best accuracy that the thesis states for 1 x 1 at random places: {BEST_STATED:.3f}."
    )

    def __init__(self) -> None:
        self._result: StudyResult | None = None

    def run(self, options: Options, tell: Tell) -> Iterator[Row]:
        """Run the study, and the detectors on its test maps."""
        names = options.chosen([_kind(size, place) for size in SIZES for place in PLACES], self.name)
        wanted = choose(options.detectors, (STUDY, OURS, *DETECTORS))
        scale = SCALE * options.scale
        labels = {}
        for size in SIZES:
            for place in PLACES:
                if _kind(size, place) in names:
                    tell(0, 1, f"detectors, {_kind(size, place)}")
                    maps = test_maps(options.seed, scale, size, place)
                    labels[_kind(size, place)] = maps.labels
                    yield from self._detectors(maps, _kind(size, place), wanted, options.seed)
        if STUDY not in wanted and OURS not in wanted:
            return
        from monitor.learn.thesis_a.study import run_study

        recipes = [recipe for name, recipe in _RECIPES.items() if name in wanted]
        result = run_study(seed=options.seed, scale=scale, on_progress=tell, recipes=recipes)
        # The study's own report compares the thesis with ours.
        self._result = result if len(recipes) > 1 else None
        for trained in result.rows:
            kind = _kind(trained.size, trained.place)
            if kind in names:
                # Every row of three classes is of the same maps, or the table is wrong.
                assert len(trained.labels) < len(LABELS) or np.array_equal(trained.truth, labels[kind])
                yield _trained_row(trained, result.budget, options.seed)

    def _detectors(self, maps: Maps, kind: str, wanted: Sequence[str], seed: int) -> Iterator[Row]:
        toy = HcalToy(seed=seed)
        references = toy.draw_many(REFERENCES, seed)
        intervals = [interval_of(one, name=toy.name, run=100 + n) for n, one in enumerate(maps.contents)]
        for name in wanted:
            if name in (STUDY, OURS):
                continue
            scored = make_scorer(name, references, seed=seed).judge(intervals)
            truth = maps.labels != 0
            scores = np.array([s.score for s in scored])
            figures: dict[str, float] = {}
            if all(s.bad is not None for s in scored):
                bad = np.array([bool(s.bad) for s in scored])
                figures = {"found": float(bad[truth].mean()), "false": float(bad[~truth].mean())}
                # A check of the whole map may say that it is bad and not where.
                if all(s.shapes for s in scored if s.bad):
                    figures |= _accuracy(np.array([class_of(s) for s in scored]) == maps.labels, seed)
            yield Row(
                suite=self.name,
                what="three classes",
                type=kind,
                detector=name,
                unit="map",
                n_good=int((~truth).sum()),
                n_bad=int(truth.sum()),
                area=area_of_maps(scores[~truth], scores[truth], np.random.default_rng(seed)),
                figures=figures,
                peer="thesis A, best accuracy stated" if kind == _kind(1, "random") else "",
                peer_value=BEST_STATED if kind == _kind(1, "random") else None,
                curve=curve(scores, truth),
            )

    def parts(self, rows: Sequence[Row]) -> list[Part]:
        """Return accuracies and areas of all models and detectors, and their ROC curves."""
        three = [r for r in rows if r.what == "three classes"]
        parts = [_accuracies(three)]
        if self._result is not None:
            words = f"With learning curves, confusion matrices and the autoencoder: [{REPORT}]({REPORT})."
            parts.append(Part(title="The whole study", words=words))
        parts.append(listing("Every row", rows, _FIGURES))
        for what in experiments(three):
            own = [r for r in three if r.what == what]
            parts += [auc_by_type("Area of faulty against good maps", own), roc_curves("ROC", own)]
        return parts

    def attach(self, folder: Path) -> Path | None:
        """Write the study's own report; return its file, None if not all of the study was run."""
        if self._result is None:
            return None
        return write_report(self._result, folder)


def test_maps(seed: int, scale: float, size: int, place: str) -> Maps:
    """Return the maps of three classes that `monitor.learn.thesis_a.study.run_study` tests on.

    Parameters
    ----------
    seed, scale
        Of the study.
    size, place
        Of the faults: bins they are wide and high, ``fixed`` or ``random``.
    """
    toy = HcalToy(seed=seed)
    window = fixed_window(toy, size, seed) if place == "fixed" else None
    return draw(toy, Budget().scaled(scale).test, size=size, window=window, seed=3 * seed + 2)


def class_of(scored: Scored) -> int:
    """Return the index into `LABELS` that a detector's most significant shape stands for."""
    if not scored.bad:
        return LABELS.index("good")
    if not scored.shapes:
        raise HistwatchError("a detector says that a map is bad and does not say where: it names no class")
    worst = max(scored.shapes, key=lambda s: abs(s.significance))
    return LABELS.index("dead" if is_low(worst) else "hot")


def _trained_row(trained: Trained, budget: Budget, seed: int) -> Row:
    truth = trained.truth != 0
    scores = 1.0 - trained.found[:, 0]
    low, high = trained.accuracy_interval(seed)
    stated = trained.stated
    three = len(trained.labels) == len(LABELS)
    return Row(
        suite=ThesisA.name,
        what="three classes" if three else "good and hot",
        type=_kind(trained.size, trained.place),
        detector=OURS if trained.recipe == "ours" else f"{STUDY} {trained.model}",
        unit="map",
        n_good=trained.n_good,
        n_bad=trained.n_bad,
        area=area_of_maps(scores[~truth], scores[truth], np.random.default_rng(seed)),
        figures={
            "accuracy": trained.accuracy,
            "accuracy_low": low,
            "accuracy_high": high,
            "maps": len(trained.labels) * budget.train,
            # The models of scikit-learn have rounds of their own.
            "epochs": len(trained.history) or None,
        },
        peer=f"thesis A, {stated.source}: {stated.words}; accuracy" if stated else "",
        peer_value=stated.accuracy if stated else None,
        curve=curve(scores, truth),
    )


def _accuracy(right: NDArray[np.bool_], seed: int) -> dict[str, float]:
    """Return the share of maps named right, with its 95 % interval by bootstrap over the maps."""
    share = float(right.mean())
    drawn = np.random.default_rng(seed).binomial(right.size, share, 2000) / right.size
    low, high = (float(np.quantile(drawn, q)) for q in (0.025, 0.975))
    return {"accuracy": share, "accuracy_low": low, "accuracy_high": high}


def _kind(size: int, place: str) -> str:
    return f"{size} x {size} {place}"


def _accuracies(rows: Sequence[Row]) -> Part:
    kinds = list(dict.fromkeys(r.type for r in rows))
    cells = {(r.detector, r.type): r for r in rows if "accuracy" in r.figures}

    def cell(detector: str, kind: str) -> str:
        row = cells.get((detector, kind))
        if row is None:
            return ""
        low, high = (number(row.figures[f"accuracy_{side}"], 3) for side in ("low", "high"))
        stated = (
            f", thesis {row.peer_value:.2f}" if row.peer_value is not None and row.detector.startswith(STUDY) else ""
        )
        return f"{number(row.figures['accuracy'], 3)} ({low}-{high}){stated}"

    names = list(dict.fromkeys(detector for detector, _ in cells))
    lines = [[name, *(cell(name, kind) for kind in kinds)] for name in names]
    return Part(title="Accuracy, three classes, 95 % interval", header=["model or detector", *kinds], lines=lines)
