"""The detectors by name. A new one is one file and one line here; ``tests/unit/test_detectors.py`` judges it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module

from monitor.detect.base import Detector, Settings


def _make(place: str, settings: Settings) -> Detector:
    # Kernels compile when their module is imported: who does not use a detector must not wait for it.
    module, _, name = place.partition(":")
    detector: Detector = getattr(import_module(f"monitor.detect.{module}"), name)(settings)
    return detector


DETECTORS: Mapping[str, Callable[[Settings], Detector]] = {
    name: partial(_make, place)
    for name, place in {
        "expectation": "expectation:ExpectationDetector",
        "dbscan": "dbscan:DbscanDetector",
        "strip_median": "strip_median:StripMedianDetector",
        "strip_median_online": "strip_median_online:StripMedianOnlineDetector",
        "l1calo_strip_median": "l1calo:L1CaloDetector",
        "chi2": "chi2:Chi2Check",
        "ks": "ks:KolmogorovCheck",
        "drift": "drift:DriftCheck",
    }.items()
}
