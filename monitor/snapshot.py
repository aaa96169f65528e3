"""The one frozen message that every stage after the decoder speaks of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
AnyArray = NDArray[Any]


class Kind(Enum):
    """What a histogram's contents mean, in ROOT's words."""

    TH1 = "TH1"
    TH2 = "TH2"
    TPROFILE = "TProfile"
    TPROFILE2D = "TProfile2D"

    @property
    def dimension(self) -> int:
        """Number of axes, 1 or 2."""
        return 2 if self in (Kind.TH2, Kind.TPROFILE2D) else 1

    @property
    def is_profile(self) -> bool:
        """Whether a bin holds a mean rather than a sum."""
        return self in (Kind.TPROFILE, Kind.TPROFILE2D)


@dataclass(frozen=True, slots=True, eq=False)
class Axis:
    """One axis: regular (`bins`, `low`, `high`) or with its own `edges`.

    Two axes are equal when they bin alike; titles and labels do not change what a bin means.
    """

    bins: int
    low: float
    high: float
    edges: FloatArray | None = None
    """Shape: (bins + 1,), strictly increasing; None for a regular axis."""
    labels: tuple[str, ...] = ()
    """Bin labels, either empty or one per bin."""
    title: str = ""

    @property
    def range(self) -> tuple[float, float]:
        """First and last edge."""
        return self.low, self.high

    def bin_edges(self) -> FloatArray:
        """Edges of all bins. Shape: (bins + 1,)."""
        return np.linspace(self.low, self.high, self.bins + 1) if self.edges is None else self.edges

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, Axis):
            return NotImplemented
        if (self.bins, self.low, self.high) != (other.bins, other.low, other.high):
            return False
        if self.edges is None and other.edges is None:
            return True
        return bool(np.array_equal(self.bin_edges(), other.bin_edges()))

    def __hash__(self) -> int:
        return hash((self.bins, self.low, self.high))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Snapshot:
    """The state of one histogram at one moment.

    All arrays have the shape of the histogram without under- and overflow, (bins_x,) or (bins_x, bins_y), in C
    order: a strip of constant x is contiguous. They may be read-only views of the message they came in.
    """

    stream: str
    """Where it comes from, for instance a subdetector's producer; no ``/`` in it."""
    path: str
    """The identity of the histogram within the stream, for instance ``Ecal/Occupancy/barrel``."""
    run: int
    lumisection: int
    """Lumisection, or number of the interval, within the run."""
    time_ns: int
    """Data time since 1970 in ns: when the content was taken, not when it was sent."""
    kind: Kind
    axes: tuple[Axis, ...]
    contents: AnyArray
    """Counts, sums of weights, or (profiles) the mean of each bin. Integer or floating dtype."""
    variances: AnyArray | None = None
    """Variance of each content (profiles: of the mean); None means Poisson counts or unknown."""
    entries: AnyArray | None = None
    """Profiles only: effective entries of each bin."""
    total_entries: float = 0.0
    """Number of fills, ROOT's ``GetEntries``; 0 when the producer does not say."""
    cumulative: bool = False
    """True: everything since the run started. False: this interval alone."""
    producer: str = ""
    sequence: int = 0
    """The producer's own count of what it sent for this histogram."""

    @property
    def key(self) -> str:
        """Identity and partition key: ``stream/path``."""
        return f"{self.stream}/{self.path}"

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the contents."""
        return tuple(self.contents.shape)


def same_ranges(one: Sequence[tuple[float, float]], other: Sequence[tuple[float, float]]) -> bool:
    """Tell whether axes begin and end alike, but for the rounding of single precision; True where one has none."""
    for (low, high), (own_low, own_high) in zip(one, other, strict=False):
        tolerance = 1e-5 * (abs(low) + abs(high) + abs(high - low))
        if abs(low - own_low) > tolerance or abs(high - own_high) > tolerance:
            return False
    return True
