"""Bring histograms of different size and exposure onto one scale."""

from monitor.normalise.exposure import BlockGrid, block_grid, count_events, exposures, saturated_bins
from monitor.normalise.scales import SCALES, minmax, robust, zscore

__all__ = [
    "SCALES",
    "BlockGrid",
    "block_grid",
    "count_events",
    "exposures",
    "minmax",
    "robust",
    "saturated_bins",
    "zscore",
]
