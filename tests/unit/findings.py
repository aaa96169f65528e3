"""What tests of detectors share: faults put into expected contents, and what every finding must be like."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from helpers import Trained, bins_of

from monitor.detect.base import Detector, Expected, Finding
from monitor.snapshot import FloatArray, Kind
from monitor.window import Interval

every_kind = pytest.mark.parametrize("kind", Kind, ids=lambda kind: kind.value)
Models = dict[Kind, Trained]
Fault = Callable[[FloatArray], FloatArray]


def one(detector: Detector, interval: Interval, expected: Expected) -> Finding:
    (finding,) = detector.judge([interval], [expected])
    return finding


def scaled(where: Any, factor: float) -> Fault:
    def fault(rate: FloatArray) -> FloatArray:
        rate[where] *= factor
        return rate

    return fault


def assert_reliable(finding: Finding, interval: Interval) -> None:
    """Whatever is said must be publishable and about this histogram."""
    assert finding.bad == bool(finding.shapes)
    assert np.isfinite(finding.score)
    assert finding.score >= 0.0
    assert finding.p_value is None or 0.0 <= finding.p_value <= 1.0
    assert finding.exposure is None or (np.isfinite(finding.exposure) and finding.exposure >= 0.0)
    for shape in finding.shapes:
        json.dumps(shape.to_json(), allow_nan=False)
        assert shape.kind in ("bin", "spot", "strip", "layer", "region", "map")
        assert (shape.kind in ("strip", "layer")) == (shape.axis is not None) == (shape.index is not None)
        assert len(set(shape.bins)) == len(shape.bins) > 0
        for where in shape.bins:
            assert len(where) == interval.contents.ndim
            assert all(0 <= i < n for i, n in zip(where, interval.contents.shape, strict=True))
        if shape.sign in ("dead", "low"):
            assert shape.significance <= 0.0
            assert shape.observed <= shape.expected
        else:
            assert shape.sign in ("high", "hot")
            assert shape.significance >= 0.0
            assert shape.observed >= shape.expected
    # A bin cannot hold too little and too much.
    assert len(bins_of(finding)) == sum(len(shape.bins) for shape in finding.shapes)
