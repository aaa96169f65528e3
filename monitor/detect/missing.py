"""Bins of a profile that got no entries: they have no mean to be judged, but their silence can be."""

from __future__ import annotations

import numpy as np

from monitor.detect.geometry import BoolArray
from monitor.detect.significance import significance
from monitor.infer import Reference
from monitor.normalise import exposures
from monitor.snapshot import FloatArray
from monitor.window import Interval


def missing_entries(reference: Reference, interval: Interval, single: float) -> FloatArray:
    """Return the significance of bins of a profile that are silent, negative, and 0 elsewhere. Shape: (bins,).

    Parameters
    ----------
    single
        Chance of a false alarm that one bin may have.
    """
    found = np.zeros(reference.rate.size)
    if reference.occupancy is None or interval.entries is None:
        return found
    entries, occupancy = interval.entries.ravel(), reference.occupancy.ravel()
    silent: BoolArray = reference.live.ravel() & (entries == 0) & (occupancy > 0)
    if not silent.any():
        return found
    exposure = float(exposures(entries[None], reference.entry_blocks)[0])
    wanted = exposure * occupancy
    # Nothing is seen where mu is expected with the chance exp(-mu).
    for i in np.flatnonzero(silent & (wanted >= -np.log(single))).tolist():
        found[i] = significance(-wanted[i], wanted[i], wanted[i], True, 0.0, 1.0)
    return found
