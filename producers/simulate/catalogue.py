"""All histograms of the simulated detector."""

from __future__ import annotations

from producers.simulate.calo import calo_histograms
from producers.simulate.hcal import hcal_histograms
from producers.simulate.histogram import SimulatedHistogram
from producers.simulate.tracker import tracker_histograms


def catalogue() -> tuple[SimulatedHistogram, ...]:
    """Return the 30 histograms, sorted by stream and path."""
    return tuple(sorted((*calo_histograms(), *hcal_histograms(), *tracker_histograms()), key=lambda h: h.key))
