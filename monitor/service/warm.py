"""Run every kernel once on a small map, so that nothing compiles when the first message is waiting."""

from __future__ import annotations

import numpy as np

from monitor.detect.base import Expected
from monitor.detect.expectation import ExpectationDetector
from monitor.infer import Reference
from monitor.normalise import SCALES
from monitor.snapshot import Axis, Kind
from monitor.window import Interval, State


def warm_up() -> None:
    """Load or compile the kernels of normalisation and detection; about a second from their cache."""
    rate = np.full((12, 12), 100.0)
    seen = rate.copy()
    seen[3, 3] = 0.0
    for scale in SCALES.values():
        scale(seen.reshape(1, -1))
    reference = Reference(
        name="warm-up",
        profile=False,
        rate=rate,
        systematic=np.full(rate.shape, 0.01),
        live=rate > 0,
        coherent=0.01,
        references=3,
        exposure=3.0,
    )
    interval = Interval(
        stream="warm",
        path="up",
        kind=Kind.TH2,
        axes=(Axis(12, 0.0, 1.0), Axis(12, 0.0, 1.0)),
        run=0,
        first_lumisection=0,
        lumisection=0,
        time_ns=0,
        contents=seen,
        variances=None,
        entries=None,
        total=float(seen.sum()),
        state=State.READY,
    )
    ExpectationDetector().judge([interval], [Expected(reference)])
