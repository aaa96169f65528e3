"""What the simulation knows of one histogram: what it is called, how it is binned and what fills it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitor.snapshot import Axis, FloatArray, Kind

BoolArray = NDArray[np.bool_]
_SAMPLES = 8
"""Points in a bin that a detector's geometry is averaged over."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SimulatedHistogram:
    """The description of one histogram. It belongs to the detector and is the same for every seed and run."""

    stream: str
    path: str
    kind: Kind
    axes: tuple[Axis, ...]
    rate: Callable[[], FloatArray]
    """Returns the expected fills of each bin per unit exposure; 0 where a bin is unfilled by design. Unit exposure is
    a lumisection of `producers.simulate.luminosity.UNIT_S` seconds at full luminosity. Shape: that of the map."""
    dtype: str = "f4"
    """Of the contents, in numpy's words; profiles are float64 as in ROOT."""
    mean: Callable[[], FloatArray] | None = None
    """Profiles: returns the expected value of a fill in each bin."""
    value_spread: float = 0.0
    """Profiles: standard deviation of a fill's value, relative to its mean."""
    stable_spread: float = 0.03
    """Bin-to-bin spread of the response that belongs to the detector, relative."""
    run_spread: float = 0.025
    """Bin-to-bin spread of the response that every run draws anew, relative."""
    mean_spread: float = 0.01
    """Profiles: the same for the mean."""

    @property
    def key(self) -> str:
        """Identity: ``stream/path``."""
        return f"{self.stream}/{self.path}"

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of bins along each axis."""
        return tuple(axis.bins for axis in self.axes)

    def filled(self) -> BoolArray:
        """Return which bins are filled by design. Shape: that of the map."""
        return self.rate() > 0


def samples(axis: Axis) -> FloatArray:
    """Return points spread evenly over each bin of a regular axis. Shape: (bins, points)."""
    offsets = (np.arange(_SAMPLES) + 0.5) / _SAMPLES
    width = (axis.high - axis.low) / axis.bins
    return np.asarray(axis.low + width * (np.arange(axis.bins)[:, np.newaxis] + offsets), dtype=np.float64)


def centres(axis: Axis) -> FloatArray:
    """Return the middle of each bin. Shape: (bins,)."""
    edges = axis.bin_edges()
    return np.asarray((edges[1:] + edges[:-1]) / 2, dtype=np.float64)


def scaled(pattern: FloatArray, median: float) -> FloatArray:
    """Return a pattern scaled so that its filled bins have this median; read-only, to be shared."""
    result = np.asarray(pattern * (median / float(np.median(pattern[pattern > 0]))), dtype=np.float64)
    result.setflags(write=False)
    return result
