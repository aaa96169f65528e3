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
from monitor.learn.thesis_a.results import Budget, StudyResult
from monitor.learn.thesis_a.results import Row as Trained
from monitor.learn.toys import interval_of

DETECTORS = ("expectation", "chi2", "strip_median", "l1calo_strip_median", "pca")
STUDY = "thesis_a"
"""Prefix of the names of the study's models, and the name that asks for it."""
SCALE = 0.4
"""Of the study's own budget of maps and epochs, at --scale 1."""
REFERENCES = 10
"""Good maps that our detectors learn from; the classifiers learn from hundreds of each class."""
_FIGURES = ("accuracy", "accuracy_low", "accuracy_high", "found", "false")


class ThesisA:
    """Classifiers of good, hot and dead maps, and detectors that have never seen a fault."""

    name = "thesis-a"
    title = "Thesis A: good, hot and dead occupancy maps"
    words = (
        "Simulated occupancy of a hadron calorimeter, 64 x 72 bins; a fault is 5 x 5 or 1 x 1 bins, dead or 2 to 10 "
        "times as full, at one place or at random ones. `thesis_a ...`: the thesis's models, and one of ours for all "
        "faults, trained on maps of each class; every row is measured on the same held-out maps. Detectors of the "
        f"monitor learn from {REFERENCES} good maps and have seen no fault: their class is good, or the direction of "
        "their most significant shape (PCA has none). `auc` is that of faulty against good maps. Best accuracy that "
        f"the thesis states for 1 x 1 at random places: {BEST_STATED:.3f}. The whole study, with learning curves, "
        "confusion matrices and the autoencoder, is in [thesis-a.md](thesis-a.md)."
    )

    def __init__(self) -> None:
        self._result: StudyResult | None = None

    def run(self, options: Options, tell: Tell) -> Iterator[Row]:
        """Run the study, and the detectors on its test maps."""
        names = options.chosen([_kind(size, place) for size in SIZES for place in PLACES], self.name)
        wanted = choose(options.detectors, (STUDY, *DETECTORS))
        scale = SCALE * options.scale
        labels = {}
        for size in SIZES:
            for place in PLACES:
                if _kind(size, place) in names:
                    tell(0, 1, f"detectors, {_kind(size, place)}")
                    maps = test_maps(options.seed, scale, size, place)
                    labels[_kind(size, place)] = maps.labels
                    yield from self._detectors(maps, _kind(size, place), wanted, options.seed)
        if STUDY not in wanted:
            return
        from monitor.learn.thesis_a.study import run_study

        self._result = run_study(seed=options.seed, scale=scale, on_progress=tell)
        for trained in self._result.rows:
            kind = _kind(trained.size, trained.place)
            if kind in names:
                # Every row of three classes is of the same maps, or the table is wrong.
                assert len(trained.labels) < len(LABELS) or np.array_equal(trained.truth, labels[kind])
                yield _trained_row(trained, options.seed)

    def _detectors(self, maps: Maps, kind: str, wanted: Sequence[str], seed: int) -> Iterator[Row]:
        toy = HcalToy(seed=seed)
        references = toy.draw_many(REFERENCES, seed)
        intervals = [interval_of(one, name=toy.name, run=100 + n) for n, one in enumerate(maps.contents)]
        for name in wanted:
            if name == STUDY:
                continue
            scored = make_scorer(name, references, seed=seed).judge(intervals)
            accuracy: dict[str, float] = {}
            if scored[0].bad is not None:
                accuracy = _accuracy(np.array([class_of(s) for s in scored]) == maps.labels, seed)
            truth = maps.labels != 0
            scores = np.array([s.score for s in scored])
            bad = np.array([bool(s.bad) for s in scored])
            shares = {"found": float(bad[truth].mean()), "false": float(bad[~truth].mean())} if accuracy else {}
            yield Row(
                suite=self.name,
                what="three classes",
                type=kind,
                detector=name,
                unit="map",
                n_good=int((~truth).sum()),
                n_bad=int(truth.sum()),
                area=area_of_maps(scores[~truth], scores[truth], np.random.default_rng(seed)),
                figures={**accuracy, **shares},
                peer="thesis A, best accuracy stated" if kind == _kind(1, "random") else "",
                peer_value=BEST_STATED if kind == _kind(1, "random") else None,
                curve=curve(scores, truth),
            )

    def parts(self, rows: Sequence[Row]) -> list[Part]:
        """Return accuracies and areas of all models and detectors, and their ROC curves."""
        three = [r for r in rows if r.what == "three classes"]
        parts = [_accuracies(three), listing("Every row", rows, _FIGURES)]
        for what in experiments(three):
            own = [r for r in three if r.what == what]
            parts += [auc_by_type("Area of faulty against good maps", own), roc_curves("ROC", own)]
        return parts

    def attach(self, folder: Path) -> Path | None:
        """Write the study's own report; return its file, None if the study was not run."""
        if self._result is None:
            return None
        from monitor.learn.thesis_a.report import write_report

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


def _trained_row(trained: Trained, seed: int) -> Row:
    truth = trained.truth != 0
    scores = 1.0 - trained.found[:, 0]
    low, high = trained.accuracy_interval(seed)
    stated = trained.stated
    three = len(trained.labels) == len(LABELS)
    return Row(
        suite=ThesisA.name,
        what="three classes" if three else "good and hot",
        type=_kind(trained.size, trained.place),
        detector=f"{STUDY} {trained.model}" + (", ours" if trained.recipe == "ours" else ""),
        unit="map",
        n_good=trained.n_good,
        n_bad=trained.n_bad,
        area=area_of_maps(scores[~truth], scores[truth], np.random.default_rng(seed)),
        figures={"accuracy": trained.accuracy, "accuracy_low": low, "accuracy_high": high},
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
