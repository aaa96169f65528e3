"""What a detector is given and what it must say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from monitor.infer import Predictor, Reference
from monitor.snapshot import FloatArray
from monitor.verdict import Shape
from monitor.window import Interval

DEFAULT_CHANCE = 3.5e-6
"""One false alarm a shift of 8 h for 230 histograms that are judged every 23 s."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What one histogram type is compared with."""

    reference: Reference
    predictor: Predictor | None = None
    """Model that reconstructs maps; None where the reference alone is the expectation."""
    normalisation: str = "exposure"
    """Scale of the predictor's maps: ``exposure``, ``minmax``, ``robust`` or ``zscore``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a detector says of one interval."""

    bad: bool
    score: float
    """Largest absolute significance, or the detector's own score."""
    shapes: tuple[Shape, ...] = ()
    p_value: float | None = None
    exposure: float | None = None
    headline: str = ""
    """What is wrong, for a person, where shapes do not say it: told in place of them."""
    warning: str = ""
    """A doubt about the map as a whole, for a person; empty if none."""
    visible: Mapping[str, float] = field(default_factory=dict)
    """Smallest relative change that this map would show, by name of the shape: a typical bin, a typical strip."""
    note: str = ""
    """What limits the judgement, for a person; empty if nothing."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What configuration may say to a detector. Unknown keys are refused by the detector that is named."""

    thresholds: Mapping[str, float] = field(default_factory=dict)
    options: Mapping[str, object] = field(default_factory=dict)
    chance: float = DEFAULT_CHANCE
    """Chance of a false alarm that one judgement may have."""


class Detector(Protocol):
    """Stateless: the same intervals give the same findings.

    It lives in one file, takes `Settings` and is listed in `monitor.detect.registry.DETECTORS`.
    """

    name: str
    needs_rates: bool
    """Whether it compares contents with expected contents, which a model in thesis B's scales does not tell."""

    def judge(self, intervals: Sequence[Interval], expected: Sequence[Expected]) -> list[Finding]:
        """Judge intervals, all of one shape and all profiles or none, each against its own expectation.

        Returns one finding each, in their order.
        """
        ...


@runtime_checkable
class BinScorer(Protocol):
    """A detector that can say how wrong each bin looks, whatever its thresholds: what a ROC curve is made of."""

    def bin_scores(self, interval: Interval, expected: Expected) -> FloatArray:
        """Return how wrong each bin looks; larger is worse, 0 where it is not judged. Shape: the histogram's."""
        ...
