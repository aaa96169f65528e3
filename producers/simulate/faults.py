"""Faults that the simulated detector can have: what they are called, where they may be and what they do to fills.

A fault acts on the fills of its lumisections only. In a cumulative histogram what was lost stays lost, as in reality.
Its strength multiplies the fills of its bins: 0 kills them, 0.7 takes 30 % of them away, 10 makes them ten times as
many. In a profile a strength of 0 takes the fills away and any other multiplies the values filled.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from monitor.errors import ConfigurationError
from producers.simulate.histogram import BoolArray, SimulatedHistogram

SPOT = 5
"""Extent of a spot in x and in y, bins."""
SECTORS = 8
MAX_STRENGTH = 1000.0
_HOT = 2.0
"""From this strength on a fault is hot rather than high."""


@dataclass(frozen=True, slots=True)
class Place:
    """Ranges of bins, 0-based, both ends included; None for all bins of that axis."""

    x: tuple[int, int] | None = None
    y: tuple[int, int] | None = None

    def mask(self, shape: tuple[int, ...]) -> BoolArray:
        """Return which bins of a map are in the place. Shape: `shape`."""
        mask = np.zeros(shape, dtype=np.bool_)
        ranges = (self.x, self.y)[: len(shape)]
        mask[tuple(slice(None) if r is None else slice(r[0], r[1] + 1) for r in ranges)] = True
        return mask

    def record(self) -> dict[str, list[int]]:
        """Return the ranges as JSON values."""
        return {name: list(r) for name, r in (("x", self.x), ("y", self.y)) if r is not None}


@dataclass(frozen=True, slots=True)
class FaultKind:
    """One name in the list of faults."""

    does: str
    keys: str
    """How its place is written."""
    shape: str | None
    """What a detector should call it; None when that depends on its place."""
    strength: float
    """Default strength."""
    lowest: float
    highest: float
    """Accepted strengths, both included, but for 1, which is no fault."""


_BELOW, _ABOVE = math.nextafter(1.0, 0.0), math.nextafter(1.0, 2.0)
FAULTS: Mapping[str, FaultKind] = MappingProxyType(
    {
        "dead_bin": FaultKind("one bin without fills", "x=I:y=J", "bin", 0.0, 0.0, _BELOW),
        "hot_bin": FaultKind("one bin with too many", "x=I:y=J", "bin", 10.0, _ABOVE, MAX_STRENGTH),
        "spot": FaultKind(f"{SPOT} x {SPOT} bins around x, y", "x=I:y=J", "spot", 0.0, 0.0, MAX_STRENGTH),
        "strip": FaultKind("all bins of one x or one y", "x=I or y=J", "strip", 0.0, 0.0, MAX_STRENGTH),
        "layer": FaultKind("neighbouring strips", "x=I-K or y=J-L", "layer", 0.0, 0.0, MAX_STRENGTH),
        "sector": FaultKind("an eighth of the map in phi (y)", "sector=0..7", "region", 0.0, 0.0, MAX_STRENGTH),
        "inefficient_strip": FaultKind("a strip that loses some fills", "x=I or y=J", "strip", 0.7, 0.0, _BELOW),
        "map_gone": FaultKind("no new entries in the whole histogram", "", "map", 0.0, 0.0, 0.0),
        "transient": FaultKind(
            "one lumisection, in any box", "x=I-K:y=J-L, either or none", None, 0.0, 0.0, MAX_STRENGTH
        ),
        "stuck": FaultKind("the same content is published again and again", "", "map", 0.0, 0.0, 0.0),
    }
)
ONE_DIMENSION = frozenset({"dead_bin", "hot_bin", "map_gone", "transient", "stuck"})
"""Faults that a histogram with one axis can have."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of one histogram. Build it with `producers.simulate.place.make_fault`, which checks it."""

    name: str
    """One of `FAULTS`."""
    histogram: str
    """``stream/path``."""
    place: Place
    first_lumisection: int
    last_lumisection: int
    strength: float

    def acts(self, lumisection: int) -> bool:
        """Tell whether it is there in a lumisection."""
        return self.first_lumisection <= lumisection <= self.last_lumisection

    @property
    def sign(self) -> str:
        """Direction: ``dead``, ``low``, ``high`` or ``hot``."""
        if self.strength < 1.0:
            return "dead" if self.strength == 0.0 else "low"
        return "hot" if self.strength >= _HOT else "high"

    @property
    def is_stuck(self) -> bool:
        """Whether it freezes what is published rather than changing what is filled."""
        return self.name == "stuck"

    def mask(self, histogram: SimulatedHistogram) -> BoolArray:
        """Return the bins it changes: those of its place that are filled by design. Shape: that of the map."""
        return self.place.mask(histogram.shape) & histogram.filled()

    def shape(self, histogram: SimulatedHistogram) -> str:
        """Return what a detector should call it: ``bin``, ``spot``, ``strip``, ``layer``, ``region`` or ``map``."""
        return FAULTS[self.name].shape or _shape(self.place, histogram.shape)


def _shape(place: Place, shape: tuple[int, ...]) -> str:
    extents = [bins if r is None else r[1] - r[0] + 1 for r, bins in zip((place.x, place.y), shape, strict=False)]
    whole = [extent == bins for extent, bins in zip(extents, shape, strict=True)]
    if all(whole):
        return "map"
    if max(extents) == 1:
        return "bin"
    if any(whole):
        return "strip" if min(extents) == 1 else "layer"
    return "spot" if max(extents) <= SPOT else "region"


def require(condition: bool, message: str) -> None:
    """Raise `ConfigurationError` with the message unless the condition holds."""
    if not condition:
        raise ConfigurationError(message)
