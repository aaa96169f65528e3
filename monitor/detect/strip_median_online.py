"""ATLAS's BinsDiffFromStripMedianOnline (athena, commit 8fbd9f43): `strip_median` without empty bins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from monitor.detect.geometry import BoolArray
from monitor.detect.options import Options
from monitor.detect.strip_median import Bin, Cluster, StripMedianDetector
from monitor.detect.strips import Colour, IntArray
from monitor.snapshot import FloatArray


class StripMedianOnlineDetector(StripMedianDetector):
    """BinsDiffFromStripMedianOnline: empty bins are not there, and a few red bins may be allowed.

    Options
    -------
    ignoreval1, ignoreval2
        In place of ``ignoreval``: contents within 1e-4 of one of them mark a bin as not there; default -99999 and 0.
    MinStatPerstrip
        Bins, not entries, that a strip must have to be judged; default -1.
    OnlineMode
        1: red from ``Nred_red`` (5) red bins on, yellow from ``Nred_yellow`` (3) red, ``Nyellow_yellow`` (5) yellow or
        ``Nredyellow_yellow`` (4) of both on; bins in clusters do not count. Default 0: as the other.
    """

    name = "strip_median_online"
    _own_options: ClassVar[dict[str, object]] = {
        "ignoreval1": -99999,
        "ignoreval2": 0,
        "MinStatPerstrip": -1,
        "OnlineMode": 0,
        "Nred_red": 5,
        "Nred_yellow": 3,
        "Nyellow_yellow": 5,
        "Nredyellow_yellow": 4,
    }
    _nothing = _floor = 1e-4

    def _read(self, options: Options) -> None:
        self._ignored_both = options.number("ignoreval1"), options.number("ignoreval2")
        self._per_strip = options.number("MinStatPerstrip")
        self._online = options.flag("OnlineMode")
        self._red_red, self._red_yellow, self._yellow_yellow, self._both_yellow = (
            options.whole(name, 1) for name in ("Nred_red", "Nred_yellow", "Nyellow_yellow", "Nredyellow_yellow")
        )

    def _accepted(self, values: FloatArray) -> BoolArray:
        first, second = self._ignored_both
        return (np.abs(values - first) >= self._nothing) & (np.abs(values - second) >= self._nothing)

    def _strip_counts(self, number: IntArray) -> BoolArray:
        counts: BoolArray = (number > 0) & (number >= self._per_strip)
        return counts

    def _colour(self, red: Sequence[Bin], yellow: Sequence[Bin], clusters: Sequence[Cluster]) -> Colour:
        if not self._online:
            return super()._colour(red, yellow, clusters)
        if len(red) >= self._red_red:
            return Colour.RED
        many = len(red) >= self._red_yellow or len(yellow) >= self._yellow_yellow
        return Colour.YELLOW if many or len(red) + len(yellow) >= self._both_yellow else Colour.GREEN
