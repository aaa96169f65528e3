"""The learned expectation of one histogram, whoever made it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from monitor.normalise import BlockGrid, block_grid
from monitor.snapshot import AnyArray, FloatArray


class Predictor(Protocol):
    """A model that reconstructs maps."""

    def predict(self, maps: AnyArray) -> AnyArray:
        """Reconstruct maps in the scale of the model's normalisation, float32. Shape: (maps, *shape), in and out."""
        ...


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
    live: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]
    """Bins that were filled in the references. Shape: the histogram's."""
    coherent: float
    """Relative scatter that the bins of a strip or larger part share."""
    dispersion: float = 1.0
    """Variance over mean of pure statistics: 1 for counts, fitted for sums of weights without errors."""
    counts: bool = True
    """Whether contents are whole numbers of entries."""
    degrees_of_freedom: float = 1e9
    """How well the systematic is known; few references leave few degrees of freedom."""
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

    @cached_property
    def blocks(self) -> BlockGrid:
        """Blocks for the estimate of the exposure."""
        return block_grid(np.where(self.live, self.rate, 0.0))
