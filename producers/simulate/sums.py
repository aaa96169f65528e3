"""What was filled into a histogram: sums that add up, and the contents that are published of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from monitor.decode.rootbins import profile_bins
from monitor.snapshot import AnyArray, FloatArray
from producers.simulate.histogram import BoolArray, SimulatedHistogram


@dataclass(frozen=True, slots=True, eq=False)
class Sums:
    """Sums of each bin; arrays of the map's shape, float64."""

    fills: FloatArray
    values: FloatArray | None = None
    """Profiles: sum of the values filled."""
    squares: FloatArray | None = None
    """Profiles: sum of their squares."""

    def __add__(self, other: Sums) -> Sums:
        if self.values is None or other.values is None or self.squares is None or other.squares is None:
            return Sums(self.fills + other.fills)
        return Sums(self.fills + other.fills, self.values + other.values, self.squares + other.squares)

    @property
    def total(self) -> float:
        """Number of fills."""
        return float(self.fills.sum())

    def struck(self, bins: BoolArray, strength: float, fills: FloatArray, draw: np.random.Generator) -> Sums:
        """Return what a fault leaves of these sums; bins outside it keep every bit.

        Parameters
        ----------
        bins
            The bins of the fault. Shape: that of the map.
        strength
            Factor on the fills, or on the values of a profile unless it is 0.
        fills
            Expected fills without the fault. Shape: that of the map.
        draw
            Where the chance comes from.
        """
        if strength == 0.0:
            return self._scaled(np.where(bins, 0.0, 1.0), np.where(bins, 0.0, 1.0))
        if self.values is not None and self.squares is not None:
            return self._scaled(np.ones(bins.shape), np.where(bins, strength, 1.0))
        counts = self.fills.copy()
        if strength < 1.0:
            counts[bins] = draw.binomial(counts[bins].astype(np.int64), strength)
        else:
            counts[bins] += draw.poisson((strength - 1.0) * fills[bins])
        return Sums(counts)

    def _scaled(self, fills: FloatArray, values: FloatArray) -> Sums:
        if self.values is None or self.squares is None:
            return Sums(self.fills * fills)
        return Sums(self.fills * fills, self.values * values, self.squares * values * values)

    def published(self, histogram: SimulatedHistogram) -> tuple[AnyArray, FloatArray | None, FloatArray | None]:
        """Return contents, variances and entries as a `Snapshot` has them."""
        if self.values is None or self.squares is None:
            return self.fills.astype(histogram.dtype), None, None
        return profile_bins(self.values, self.squares, self.fills)


def nothing(histogram: SimulatedHistogram) -> Sums:
    """Return the sums of a histogram before its first fill."""
    zeros = np.zeros(histogram.shape)
    return Sums(zeros) if histogram.mean is None else Sums(zeros, zeros, zeros)


def filled(draw: np.random.Generator, fills: FloatArray, means: FloatArray | None, value_spread: float) -> Sums:
    """Fill a histogram by chance.

    Parameters
    ----------
    draw
        Where the chance comes from.
    fills
        Expected fills of each bin.
    means
        Profiles: expected value of a fill. Values follow a gamma distribution, so they are positive and their sum is
        drawn exactly.
    value_spread
        Profiles: standard deviation of a value relative to its mean.
    """
    counts = draw.poisson(fills).astype(np.float64)
    if means is None:
        return Sums(counts)
    shape = 1.0 / value_spread**2
    values = draw.standard_gamma(counts * shape) * (means / shape)
    # The sample variance as if values were Gaussian; a single fill has none.
    spread = (means * value_spread) ** 2 * 2.0 * draw.standard_gamma(np.maximum(counts - 1.0, 0.0) / 2.0)
    squares = spread + values * values / np.maximum(counts, 1.0)
    return Sums(counts, values, squares)
