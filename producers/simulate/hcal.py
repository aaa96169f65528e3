"""Stream ``hcal``: digi occupancy of a CMS-like hadron calorimeter, 82 x 72 towers in each of seven depths.

Bin 0 to 40 of x is ieta -41 to -1, bin 41 to 81 is ieta 1 to 41; there is no ieta 0.
"""

from __future__ import annotations

from functools import cache, partial

import numpy as np

from monitor.snapshot import Axis, FloatArray, Kind
from producers.simulate.histogram import BoolArray, SimulatedHistogram, scaled

STREAM = "hcal"
DEPTHS = 7
IETA = Axis(82, -41.0, 41.0, title="i#eta")
IPHI = Axis(72, 0.5, 72.5, title="i#phi")

_COVERAGE = (
    # |ieta| from, to, depths: barrel, end-cap, forward.
    (1, 15, (1, 2, 3, 4)),
    (16, 16, (1, 2, 3, 4)),
    (17, 17, (2, 3)),
    (18, 18, (2, 3, 4, 5)),
    (19, 25, (1, 2, 3, 4, 5, 6)),
    (26, 28, (1, 2, 3, 4, 5, 6, 7)),
    (29, 41, (1, 2, 3, 4)),
)
_EVERY_SECOND = 21
"""From this |ieta| on towers are 10 degrees wide: every second iphi."""
_EVERY_FOURTH = 40
_ENDCAP = 17
_FORWARD = 29
_RATES = (1200.0, 900.0, 650.0, 450.0, 320.0, 230.0, 160.0)
"""Digis per tower and unit exposure in each depth, median of the filled bins."""


def hcal_histograms() -> tuple[SimulatedHistogram, ...]:
    """Return one map a depth."""
    return tuple(
        SimulatedHistogram(
            stream=STREAM,
            path=f"Hcal/DigiTask/Occupancy/depth/depth{depth}",
            kind=Kind.TH2,
            axes=(IETA, IPHI),
            rate=partial(digi_rate, depth),
            dtype="i4",
        )
        for depth in range(1, DEPTHS + 1)
    )


@cache
def digi_rate(depth: int) -> FloatArray:
    """Return the digis of a depth per unit exposure. Shape: (82, 72)."""
    ieta = np.concatenate([np.arange(41, 0, -1), np.arange(1, 42)])
    forward = ieta >= _FORWARD
    along = 0.8 + 0.5 * (ieta / _ENDCAP) ** 2 * (ieta < _ENDCAP) + 0.4 * (ieta >= _ENDCAP)
    along = np.where(forward, 0.9 + 0.04 * (ieta - _FORWARD), along)
    # The last towers before the end-cap are small.
    along = np.where(ieta == _ENDCAP - 1, 0.6 * along, along)
    around = 1.0 + 0.03 * np.cos(2 * np.pi * (np.arange(1, 73) - 20) / 72)
    return scaled(_covered(ieta, depth) * along[:, np.newaxis] * around, _RATES[depth - 1])


def _covered(ieta: FloatArray, depth: int) -> BoolArray:
    strips = np.zeros(ieta.size, dtype=np.bool_)
    for low, high, depths in _COVERAGE:
        if depth in depths:
            strips |= (ieta >= low) & (ieta <= high)
    iphi = np.arange(1, 73)
    step = np.where(ieta >= _EVERY_FOURTH, 4, np.where(ieta >= _EVERY_SECOND, 2, 1))[:, np.newaxis]
    first = np.where(step == 4, 3, 1)
    return np.asarray(strips[:, np.newaxis] & ((iphi - first) % step == 0), dtype=np.bool_)
