"""Stream ``calo``: the 18 eta-phi maps of ATLAS's calorimeter clusters, by their names there.

The geometry is that of the ATLAS calorimeters in words, not in measured numbers: barrel, crack, end-cap, inner wheel
and forward calorimeter with their own granularity, dips at the seams between them, clusters that thin out smoothly
with eta the more the higher their energy threshold, and a few percent of modulation with phi.
"""

from __future__ import annotations

from functools import cache, partial

import numpy as np

from monitor.snapshot import Axis, FloatArray, Kind
from producers.simulate.histogram import SimulatedHistogram, centres, samples, scaled

STREAM = "calo"
ETA = Axis(99, -4.9, 4.9, title="#eta")
PHI = Axis(65, -3.2, 3.2, title="#phi")
CALO = "CaloMonitoring/ClusterMon/CaloCalTopoClustersNoTrigSel"
LAR = "CaloMonitoring/ClusterMon/LArClusterEMNoTrigSel"

_REGIONS = {
    # |eta| from, to, relative rate of clusters.
    CALO: ((0.0, 1.37, 1.0), (1.37, 1.52, 0.55), (1.52, 2.5, 0.85), (2.5, 3.2, 0.5), (3.2, 4.9, 0.35)),
    LAR: ((0.0, 1.37, 1.0), (1.37, 1.52, 0.4), (1.52, 2.5, 0.8), (2.5, 3.2, 0.4)),
}
_SEAMS = (0.0, 0.8, 2.5, 3.2)
_SEAM_HALF_WIDTH = 0.05
_SEAM_RATE = 0.75
_FORWARD = 3.2
"""From this |eta| on cells are larger than bins."""
_FORWARD_ONE_BIN = 4.6
"""From this |eta| on a cell fills only the bin that its centre is in."""
_FORWARD_CELLS = 32
"""Cells around phi there."""
_ETA_WIDTH = (3.5, 3.0, 2.4, 1.8)
"""How far in eta clusters above each threshold reach."""

_RATES = {CALO: (2000.0, 400.0, 60.0, 8.0), LAR: (1500.0, 250.0, 35.0, 5.0)}
"""Clusters per bin and unit exposure above each threshold, median of the filled bins."""
_CELLS = {CALO: 6000.0, LAR: 4500.0}
_MEAN_ET_GEV = (0.9, 3.0, 8.0, 18.0)
_ET_SPREAD = (0.7, 0.55, 0.45, 0.4)


def calo_histograms() -> tuple[SimulatedHistogram, ...]:
    """Return the 18 types, in the order of their numbers."""
    return tuple(histogram for family in (CALO, LAR) for histogram in _family(family))


def _family(family: str) -> list[SimulatedHistogram]:
    rates = [
        SimulatedHistogram(
            stream=STREAM,
            path=f"{family}/2d_Rates/m_clus_etaphi_Et_thresh{level}",
            kind=Kind.TH2,
            axes=(ETA, PHI),
            rate=partial(cluster_rate, family, level),
            # In float32 counts end at 2^24: a long run gets there in the lowest threshold.
            dtype="f8" if level == 0 else "f4",
        )
        for level in range(4)
    ]
    cells = SimulatedHistogram(
        stream=STREAM,
        path=f"{family}/General/etaphi_ncellinclus",
        kind=Kind.TH2,
        axes=(ETA, PHI),
        rate=partial(cell_rate, family),
        dtype="f8",
    )
    energies = [
        SimulatedHistogram(
            stream=STREAM,
            path=f"{family}/TransEnergy/etaphi_thresh_avgEt_{level}",
            kind=Kind.TPROFILE2D,
            axes=(ETA, PHI),
            rate=partial(cluster_rate, family, level),
            dtype="f8",
            mean=partial(mean_et, family, level),
            value_spread=_ET_SPREAD[level],
        )
        for level in range(4)
    ]
    return [*rates, cells, *energies]


@cache
def cluster_rate(family: str, level: int) -> FloatArray:
    """Return the clusters above a threshold per unit exposure. Shape: (99, 65)."""
    return scaled(_pattern(family, _ETA_WIDTH[level]), _RATES[family][level])


@cache
def cell_rate(family: str) -> FloatArray:
    """Return the cells in clusters per unit exposure. Shape: (99, 65)."""
    # A cluster has more cells where they are small.
    cells = 1.0 + 0.6 * np.exp(-((np.abs(centres(ETA)) / 2.0) ** 4))
    return scaled(_pattern(family, _ETA_WIDTH[0]) * cells[:, np.newaxis], _CELLS[family])


@cache
def mean_et(family: str, level: int) -> FloatArray:
    """Return the mean transverse energy of a cluster above a threshold, GeV. Shape: (99, 65)."""
    eta = np.abs(samples(ETA))
    crack = np.where((eta > 1.37) & (eta < 1.52), 0.85, 1.0)
    profile = ((1.0 + 0.25 * (eta / 4.9) ** 2) * crack).mean(axis=1)
    phi = 1.0 + 0.01 * np.cos(centres(PHI) - 0.6)
    mean = np.where(cluster_rate(family, level) > 0, profile[:, np.newaxis] * phi, 0.0)
    return scaled(mean, _MEAN_ET_GEV[level])


def _pattern(family: str, width: float) -> FloatArray:
    eta = np.abs(samples(ETA))
    rate = np.zeros_like(eta)
    for low, high, relative in _REGIONS[family]:
        rate[(eta >= low) & (eta < high)] = relative
    for seam in _SEAMS:
        rate[np.abs(eta - seam) < _SEAM_HALF_WIDTH] *= _SEAM_RATE
    rate *= 0.4 + 0.6 * np.exp(-0.5 * (eta / width) ** 2)
    phi = samples(PHI)
    around = (np.abs(phi) < np.pi) * (1.0 + 0.04 * np.cos(phi - 0.6) + 0.015 * np.cos(8 * phi))
    pattern = rate.mean(axis=1)[:, np.newaxis] * around.mean(axis=1)
    return np.asarray(pattern * _granularity(), dtype=np.float64)


def _granularity() -> FloatArray:
    """Return how the large cells of the forward calorimeter share their clusters among bins of phi."""
    pitch = 2 * np.pi / _FORWARD_CELLS
    cell_centres = -np.pi + pitch * (np.arange(_FORWARD_CELLS) + 0.5)
    width = (PHI.high - PHI.low) / PHI.bins
    has_centre = np.zeros(PHI.bins)
    has_centre[((cell_centres - PHI.low) / width).astype(int)] = 1.0
    eta = np.abs(centres(ETA))
    result = np.ones((ETA.bins, PHI.bins))
    result[eta > _FORWARD] = 0.6 + 0.8 * has_centre
    result[eta > _FORWARD_ONE_BIN] = 2.0 * has_centre
    return result
