"""The detectors by name. A new one is one file and one line here; ``tests/unit/test_detectors.py`` judges it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from monitor.detect.base import Detector, Settings
from monitor.detect.dbscan import DbscanDetector
from monitor.detect.expectation import ExpectationDetector

DETECTORS: Mapping[str, Callable[[Settings], Detector]] = {
    ExpectationDetector.name: ExpectationDetector,
    DbscanDetector.name: DbscanDetector,
}
