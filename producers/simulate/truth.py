"""The truth about a simulated run, for whoever judges a monitor by it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from producers.simulate.detector import START_NS, SimulatedDetector
from producers.simulate.faults import Fault
from producers.simulate.place import find_histogram

FORMAT = "histwatch-truth"
VERSION = 1


def truth(
    detector: SimulatedDetector,
    run: int,
    lumisections: int,
    faults: Sequence[Fault] = (),
    *,
    cumulative: bool = True,
    start_ns: int = START_NS,
) -> dict[str, Any]:
    """Return what `SimulatedDetector.run` does with the same arguments, as JSON values.

    Each fault has its bins, 0-based ``[[ix, iy], ...]`` or ``[[ix], ...]`` without those that are unfilled by design,
    and the shape and sign that a detector should give it.
    """
    detector.check(faults, lumisections)
    return {
        "format": FORMAT,
        "version": VERSION,
        "seed": detector.seed,
        "detector_seed": detector.detector_seed,
        "run": run,
        "start_ns": start_ns,
        "lumisection_seconds": detector.lumisection_s,
        "lumisections": lumisections,
        "cumulative": cumulative,
        "histograms": [histogram.key for histogram in detector.histograms],
        "faults": [_record(fault, detector) for fault in faults],
    }


def _record(fault: Fault, detector: SimulatedDetector) -> dict[str, Any]:
    histogram = find_histogram(fault.histogram, detector.histograms)
    return {
        "name": fault.name,
        "histogram": fault.histogram,
        "place": fault.place.record(),
        "first_lumisection": fault.first_lumisection,
        "last_lumisection": fault.last_lumisection,
        "strength": fault.strength,
        "shape": fault.shape(histogram),
        "sign": fault.sign,
        "bins": np.argwhere(fault.mask(histogram)).tolist(),
    }
