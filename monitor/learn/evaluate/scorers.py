"""Every detector and baseline by name, made of the same references: how odd a map looks, and its bins."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Protocol

import numpy as np

from monitor.detect.base import BinScorer, Detector, Expected, Settings
from monitor.detect.registry import DETECTORS
from monitor.errors import HistwatchError
from monitor.learn.evaluate.baselines import BASELINES, IsolationForest, Pca
from monitor.learn.reference import learn_reference
from monitor.snapshot import FloatArray
from monitor.verdict import Shape
from monitor.window import Interval

SETTINGS: dict[str, Settings] = {
    # With athena's default the dead bins that it is asked about are passed over.
    "strip_median": Settings(options={"VisualMode": 0}),
    "strip_median_online": Settings(options={"VisualMode": 0}),
}
"""What a detector is told where its own default would blind it; the others have their defaults."""
CALIBRATED = ("dbscan", "thesis_b")
"""Thesis B's clustering on the learned reference, and on its own autoencoder: both need a calibration with faults."""
LEARNING = ("expectation", "chi2", "ks", "pca")
"""What compares with references and is quickly made: worth a look at each number of references."""
CLASSIFIERS = ("thesis_a", "classifier")
"""Thesis A's own last network, and the classifier that the monitor serves; minutes a type, so only where named."""
OUTSIDE = (*BASELINES, "thesis_b", *CLASSIFIERS)
"""What is no detector of the monitor."""


@dataclass(frozen=True, slots=True)
class Scored:
    """What a scorer says of one map."""

    score: float
    """Larger is worse."""
    bad: bool | None = None
    """At its own threshold or budget; None where it has none."""
    shapes: tuple[Shape, ...] = ()
    p_value: float | None = None


class Scorer(Protocol):
    """A detector or baseline that has learned one histogram type."""

    name: str

    def judge(self, intervals: Sequence[Interval]) -> list[Scored]:
        """Score maps of the type that it was made for."""
        ...

    def bins(self, interval: Interval) -> FloatArray | None:
        """Return how wrong each bin looks, shape: the histogram's; None if it scores no bins."""
        ...

    def bins_of(self, intervals: Sequence[Interval]) -> FloatArray | None:
        """Return the same of many maps of one shape, at least one. Shape: (maps, ...)."""
        ...


class _Many(ABC):
    """Bins of one map, for who has those of many."""

    @abstractmethod
    def bins_of(self, intervals: Sequence[Interval]) -> FloatArray | None:
        """Return how wrong the bins of each map look; see `Scorer`."""

    def bins(self, interval: Interval) -> FloatArray | None:
        """Return how wrong each bin looks; see `Scorer`."""
        found = self.bins_of([interval])
        return None if found is None else np.asarray(found[0])


class DetectorScorer(_Many):
    """A detector of the monitor with an expectation."""

    def __init__(self, name: str, detector: Detector, expected: Expected) -> None:
        self.name = name
        self.expected = expected
        self._detector = detector

    def judge(self, intervals: Sequence[Interval]) -> list[Scored]:
        """Score maps, all in one call of the detector."""
        found = self._detector.judge(intervals, [self.expected] * len(intervals))
        if self.name in CALIBRATED and (bins := self.bins_of(intervals)) is not None:
            # Thesis B's curves are over minpts: the smaller the least at which a map would be bad, the odder it is.
            smallest = bins.reshape(len(bins), -1).max(axis=1)
            return [Scored(float(s), f.bad, f.shapes) for s, f in zip(smallest, found, strict=True)]
        return [Scored(_rank(f.p_value, f.score), f.bad, f.shapes, f.p_value) for f in found]

    def bins_of(self, intervals: Sequence[Interval]) -> FloatArray | None:
        """Return the detector's own scores, if it has any."""
        if not isinstance(self._detector, BinScorer):
            return None
        return np.stack([self._detector.bin_scores(i, self.expected) for i in intervals])


class BaselineScorer(_Many):
    """A baseline that has learned from references."""

    def __init__(self, baseline: Pca | IsolationForest) -> None:
        self.name = baseline.name
        self._baseline = baseline

    def judge(self, intervals: Sequence[Interval]) -> list[Scored]:
        """Score maps one by one."""
        return [Scored(self._baseline.score(i)) for i in intervals]

    def bins_of(self, intervals: Sequence[Interval]) -> FloatArray | None:
        """Return the baseline's score of every bin."""
        return self._baseline.bin_scores(intervals)


class ClassifierScorer(_Many):
    """A classifier of whole maps, one of `CLASSIFIERS`: a map is as odd as it is unlikely to be good."""

    def __init__(self, name: str, references: Sequence[Interval], seed: int, effort: float) -> None:
        from monitor.learn.thesis_a.classifier import train_ours, train_thesis
        from monitor.learn.thesis_a.data import SERVED, toy_like
        from monitor.learn.thesis_a.results import Budget

        self.name = name
        budget, toy = Budget().scaled(effort), toy_like(references)
        try:
            if name == "thesis_a":
                self._network, self._scale, _ = train_thesis(toy, budget, seed)
            else:
                self._network, self._scale, _ = train_ours(toy, budget, seed, labels=SERVED)
        except ValueError as error:
            raise HistwatchError(f"{name} cannot be trained: {error}") from error

    def judge(self, intervals: Sequence[Interval]) -> list[Scored]:
        """Score maps, and call bad what is more likely faulty than good."""
        from monitor.learn.thesis_a.training import probabilities

        found = probabilities(self._network, self._scale(np.stack([i.contents for i in intervals])))
        return [Scored(1.0 - float(p[0]), bool(p.argmax() != 0)) for p in found]

    def bins_of(self, intervals: Sequence[Interval]) -> FloatArray | None:  # noqa: ARG002 - it sees maps as a whole
        """Return None: it names maps, not bins."""
        return None


def known_names() -> tuple[str, ...]:
    """Return the names of all detectors and baselines."""
    return (*DETECTORS, *OUTSIDE)


def choose(wanted: Sequence[str], default: Sequence[str], own: Sequence[str] = ()) -> list[str]:
    """Return the names that match globs, or those of a default that exist.

    Parameters
    ----------
    wanted
        Globs; none: the default.
    default
        Names.
    own
        Names that a suite has besides those that all know.

    Raises
    ------
    HistwatchError
        If a glob matches nothing.
    """
    known = (*known_names(), *own)
    if not wanted:
        return [name for name in default if name in known]
    for glob in wanted:
        if not any(fnmatchcase(name, glob) for name in known):
            raise HistwatchError(f"--detectors {glob}: there is none; known are {', '.join(known)}")
    return [name for name in known if any(fnmatchcase(name, glob) for glob in wanted)]


def applies(name: str, interval: Interval) -> bool:
    """Return whether a detector or baseline is made for such histograms: classifiers are for maps of counts."""
    counts = interval.entries is None and bool((interval.contents == np.rint(interval.contents)).all())
    return name not in CLASSIFIERS or (interval.contents.ndim == 2 and counts)


def make_scorer(
    name: str,
    references: Sequence[Interval],
    *,
    seed: int = 0,
    expected: Expected | None = None,
    sigma: FloatArray | None = None,
    sigmas: tuple[float, float] = (3.0, 4.0),
    effort: float = 1.0,
) -> Scorer:
    """Return a scorer by name, learned from good maps of one type.

    Parameters
    ----------
    name
        Of `known_names`.
    references
        Good maps.
    seed
        Of what is random in learning.
    expected
        What it compares with; None: what `expectation_of` returns.
    sigma, sigmas
        Of the faults that thesis B's clustering is calibrated with, see `monitor.learn.thesis_b.calibrate`. Shape of
        sigma: the histogram's; None: the spread of the map.
    effort
        Multiple of what the study of thesis A spends on training a classifier.

    Raises
    ------
    HistwatchError
        If there is nothing to learn from, or a package for training is missing.
    """
    if name in BASELINES:
        return BaselineScorer(BASELINES[name](references, seed))
    if name in CLASSIFIERS:
        return ClassifierScorer(name, references, seed, effort)
    if expected is None:
        expected = expectation_of(name, references, seed)
    settings = SETTINGS.get(name, Settings())
    if name in CALIBRATED:
        from monitor.learn.thesis_b.calibrate import calibrate_type

        found = calibrate_type(references, expected, seed=seed, sigma=sigma, sigmas=sigmas)
        settings = Settings(options=found.options)
    detector = DETECTORS["dbscan" if name == "thesis_b" else name](settings)
    return DetectorScorer(name, detector, expected)


def expectation_of(name: str, references: Sequence[Interval], seed: int) -> Expected:
    """Return what a detector compares with: the learned reference, or for thesis B its autoencoder as it is served."""
    if name != "thesis_b":
        return Expected(learn_reference(references, "references").reference)
    from monitor.infer import load_model
    from monitor.learn.thesis_b.coordinate import train
    from monitor.learn.thesis_b.export import card_of, to_onnx

    trained = train(references, seed=seed)
    model = load_model(to_onnx(trained, card_of(trained, name="coordinate", version="1")), "coordinate")
    return Expected(model.reference, model, model.card.normalisation)


def _rank(p_value: float | None, score: float) -> float:
    """Return how odd a map is: by the chance that a good one looks so, where it is told, else by the score."""
    if p_value is None:
        return score
    # Chances of good maps are often 1 and those of bad ones may be 0: the score parts those.
    return -math.log(max(p_value, 1e-300)) + 1e-6 * min(abs(score), 1e5)
