"""The learned expectation of one histogram, whoever made it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from monitor.kernel import address_of
from monitor.normalise import BlockGrid, block_grid
from monitor.snapshot import AnyArray, FloatArray

MOVES = 0.03
"""Relative size of deviations that a model of a profile should take seriously."""


class Predictor(Protocol):
    """A model that reconstructs maps."""

    def predict(self, maps: AnyArray) -> AnyArray:
        """Reconstruct maps in the scale of the model's normalisation, float32. Shape: (maps, *shape), in and out."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """A reference as kernels see it, see `monitor.detect.kernels.judge_counts`."""

    addresses: NDArray[np.uint64]
    """Of rate, systematic, live, block, block rate, sample; then the sizes of the last three. Shape: (9,)."""
    numbers: FloatArray
    """Coherent scatter, dispersion, exposure, number of references, degrees of freedom. Shape: (5,)."""
    kept: tuple[AnyArray, ...]
    """The arrays at those addresses, alive as long as the table is."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Reference:
    """What a histogram shows when all is well, per unit exposure.

    One unit of exposure is an average lumisection of the references.
    """

    name: str
    """What it was made of, for the evidence: a model's name and version, or the reference runs."""
    profile: bool
    rate: FloatArray
    """Expected content per unit exposure (profiles: expected mean). Shape: the histogram's. 0: empty by design."""
    systematic: FloatArray
    """Relative scatter of each bin that is not statistics. Shape: the histogram's."""
    spread: FloatArray | None = None
    """Profiles: standard deviation of one entry in each bin; None where it is not known. Shape: the histogram's."""
    live: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]
    """Bins that were filled in the references. Shape: the histogram's."""
    coherent: float
    """Relative scatter that the bins of a strip or larger part share."""
    dispersion: float = 1.0
    """Variance over mean of pure statistics: 1 for counts, fitted for sums of weights without errors."""
    counts: bool = True
    """Whether contents are whole numbers of entries."""
    constant: bool = False
    """Whether several good intervals showed the same numbers, as of a pulser: then a repetition says nothing."""
    degrees_of_freedom: float = 1e9
    """How well the systematic is known; few references leave few degrees of freedom."""
    thresholds: Mapping[str, float] = field(default_factory=dict)
    """What its maker says a detector should use, in standard deviations; configuration goes before it."""
    references: int = 1
    """Number of reference intervals."""
    exposure: float = 1.0
    """Sum of the references' exposures."""

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """Shape of the histogram."""
        return tuple(self.rate.shape)

    @cached_property
    def total(self) -> float:
        """Expected content of the whole histogram per unit exposure."""
        return float(self.rate.sum())

    def trusted(self, contents: AnyArray, variances: AnyArray, entries: AnyArray) -> FloatArray:
        """Draw the means of a profile towards the expectation as far as statistics leave them open.

        A model sees every bin alike: means of few entries are noise to it, and bins without any are no zeros. A
        deviation keeps the share S^2 / (S^2 + statistical variance), S being `MOVES` of the expected mean. Shape of
        all: the histogram's, or with maps in front.
        """
        one = variances * entries if self.spread is None else self.spread**2
        statistical = one / np.maximum(entries, 1.0)
        own = (MOVES * self.rate) ** 2
        share = np.where((entries > 0) & (own > 0), own / np.maximum(own + statistical, 1e-300), 0.0)
        trusted: FloatArray = self.rate + share * (contents - self.rate)
        return trusted

    @cached_property
    def unit(self) -> float:
        """What one entry adds to a content; a hundredth of a typical bin where statistics are not known."""
        if self.dispersion > 0 or not self.live.any():
            return self.dispersion or 1.0
        return 0.01 * float(np.median(np.abs(self.rate[self.live]))) or 1.0

    @cached_property
    def unsteadiness(self) -> float:
        """Relative systematic that all but the least steady hundredth of the live bins stay below; 0 without any."""
        return float(np.quantile(self.systematic[self.live], 0.99)) if self.live.any() else 0.0

    @cached_property
    def table(self) -> Table:
        """Arrays and numbers in the form that kernels take for many references at once."""
        rate = np.ascontiguousarray(self.rate, dtype=np.float64).ravel()
        systematic = np.ascontiguousarray(self.systematic, dtype=np.float64).ravel()
        live = np.ascontiguousarray(self.live, dtype=np.bool_).ravel()
        grid = self.blocks
        kept: tuple[AnyArray, ...] = (rate, systematic, live, grid.block, grid.rate, grid.sample)
        dtypes = (np.float64, np.float64, np.bool_, np.int32, np.float64, np.int32)
        addresses = [address_of(a, d) for a, d in zip(kept, dtypes, strict=True)]
        numbers = (
            self.coherent,
            self.dispersion,
            self.exposure,
            float(max(1, self.references)),
            self.degrees_of_freedom,
        )
        return Table(
            np.array([*addresses, grid.block.size, grid.rate.size, grid.sample.size], dtype=np.uint64),
            np.array(numbers, dtype=np.float64),
            kept,
        )

    @cached_property
    def blocks(self) -> BlockGrid:
        """Blocks for the estimate of the exposure."""
        return block_grid(np.where(self.live, self.rate, 0.0))
