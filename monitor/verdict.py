"""What the monitor says of one histogram in one interval."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from monitor.snapshot import Kind


class Verdict(Enum):
    """GOOD, WARNING and BAD are judgements; the rest say why there is none."""

    GOOD = "GOOD"
    WARNING = "WARNING"
    BAD = "BAD"
    TOO_FEW = "TOO_FEW"
    STALE = "STALE"
    MISSING = "MISSING"
    MASKED = "MASKED"
    NO_MODEL = "NO_MODEL"
    ERROR = "ERROR"

    @property
    def is_judgement(self) -> bool:
        """Whether the contents were compared with an expectation."""
        return self in (Verdict.GOOD, Verdict.WARNING, Verdict.BAD)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A connected part of a histogram that is wrong as one thing."""

    kind: str
    """``bin``, ``spot``, ``strip``, ``layer``, ``region`` or ``map``."""
    sign: str
    """``dead`` (nothing left), ``low``, ``high`` or ``hot`` (at least twice the expectation, or where nothing is)."""
    axis: str | None
    """The axis whose index is fixed, ``x`` or ``y``; None for bins, spots, regions and maps."""
    index: int | None
    """First fixed index of a strip or layer."""
    bins: tuple[tuple[int, ...], ...]
    """0-based bins without under- and overflow."""
    significance: float
    """Signed, in standard deviations."""
    observed: float
    """Content summed over the bins (profiles: their mean)."""
    expected: float

    def to_json(self, limit: int | None = None) -> dict[str, Any]:
        """Return the shape as JSON-ready values, with at most `limit` of its bins; ``size`` counts all of them."""
        return {
            "kind": self.kind,
            "sign": self.sign,
            "axis": self.axis,
            "index": self.index,
            "size": len(self.bins),
            "bins": [list(b) for b in self.bins[:limit]],
            "significance": self.significance,
            "observed": self.observed,
            "expected": self.expected,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """The verdict on one interval of one histogram, with its evidence."""

    stream: str
    path: str
    kind: Kind
    run: int
    lumisection: int
    """Last lumisection of the interval."""
    first_lumisection: int
    time_ns: int
    """Data time of the end of the interval, ns since 1970."""
    verdict: Verdict
    reason: str
    """One line for a person."""
    score: float = 0.0
    """Largest absolute significance seen; 0 where nothing was compared."""
    p_value: float | None = None
    shapes: tuple[Shape, ...] = ()
    detector: str = ""
    model: str = ""
    histogram_type: str = ""
    subsystem: str = "unknown"
    exposure: float | None = None
    """Exposure of the interval relative to the reference."""
    visible: Mapping[str, float] = field(default_factory=dict)
    """Smallest relative change of a typical bin and strip that this interval would have shown."""
    classification: Mapping[str, float] = field(default_factory=dict)
    """Probability of each kind of fault, by label, as a classifier says; empty if none was asked."""
    guidance: str = field(default="", repr=False)

    @property
    def key(self) -> str:
        """Identity of the histogram: ``stream/path``."""
        return f"{self.stream}/{self.path}"

    def to_json(self, shapes: tuple[Shape, ...] | None = None, limit: int | None = None) -> dict[str, Any]:
        """Return the judgement as the JSON contract of ``judge --json`` and of alarms.

        Parameters
        ----------
        shapes
            Which of its shapes to tell; None: all.
        limit
            Most bins to tell of each shape, and of all together.
        """
        told = self.shapes if shapes is None else shapes
        bins = sorted({b for shape in told for b in shape.bins})[:limit]
        return {
            "stream": self.stream,
            "path": self.path,
            "kind": self.kind.value,
            "run": self.run,
            "lumisection": self.lumisection,
            "first_lumisection": self.first_lumisection,
            "time_ns": self.time_ns,
            "verdict": self.verdict.value,
            "reason": self.reason,
            "score": self.score,
            "p_value": self.p_value,
            "bins": [list(b) for b in bins],
            "shapes": [shape.to_json(limit) for shape in told],
            "detector": self.detector,
            "model": self.model,
            "histogram_type": self.histogram_type,
            "subsystem": self.subsystem,
            "exposure": self.exposure,
            "visible": dict(self.visible),
            "classification": dict(self.classification),
        }
