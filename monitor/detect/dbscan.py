"""Thesis B's decision (ATLAS 2022, sections 3.8 and 4.4): DBSCAN on occupancy and reconstruction error.

Each bin is a point (occupancy, squared reconstruction error), both scaled to 0..1 (equation 11) over the points
that are clustered together: the whole map (``global``), one strip of constant x (``stripwise``), or a strip with
its two neighbours, of which only the middle one is judged (``zonewise``). Clusters of at most ``minpts`` members,
and noise, are anomalous. Strips without any content are skipped.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.cluster import DBSCAN

from monitor.detect.base import Expected, Finding, Settings
from monitor.detect.geometry import BoolArray, shapes_of
from monitor.normalise import SCALES, exposures, minmax
from monitor.snapshot import FloatArray
from monitor.window import Interval

MODES = ("global", "stripwise", "zonewise")


class DbscanDetector:
    """Thesis B's clustering.

    It has to be calibrated for each histogram type: with the thesis's example values most good maps of another type
    show small clusters and are BAD.

    Options
    -------
    mode
        ``global`` (default), ``stripwise`` or ``zonewise``.
    eps_threshold
        Distance within which points are neighbours, in units of the scaled range; default 0.0044, the thesis's
        calibrated example.
    minpts
        Largest number of members of an anomalous cluster; default 10, the thesis's example.
    """

    name = "dbscan"
    needs_rates = False

    def __init__(self, settings: Settings | None = None) -> None:
        options = dict(settings.options) if settings else {}
        mode, eps, minpts = (
            options.pop("mode", "global"),
            options.pop("eps_threshold", 0.0044),
            options.pop("minpts", 10),
        )
        if options or (settings and settings.thresholds):
            raise ValueError(
                f"detector 'dbscan' has no {sorted({*options, *(settings.thresholds if settings else ())})}; "
                "options are eps_threshold, minpts, mode"
            )
        if mode not in MODES:
            raise ValueError(f"detector 'dbscan': mode '{mode}', must be one of {', '.join(MODES)}")
        if not isinstance(eps, (int, float)) or not eps > 0:
            raise ValueError(f"detector 'dbscan': eps_threshold {eps}, must be a positive number")
        if not isinstance(minpts, int) or minpts < 0:
            raise ValueError(f"detector 'dbscan': minpts {minpts}, must be a whole number from 0")
        self._mode, self._eps, self._minpts = str(mode), float(eps), minpts

    def judge(self, intervals: Sequence[Interval], expected: Sequence[Expected]) -> list[Finding]:
        """Judge intervals against the reconstruction of the model, or the reference map where there is none."""
        return [self._judge(interval, one) for interval, one in zip(intervals, expected, strict=True)]

    def _judge(self, interval: Interval, expected: Expected) -> Finding:
        occupancy, reconstruction, exposure = reconstruct(interval.contents, expected)
        error = (occupancy - reconstruction) ** 2
        outlying = self.outliers(occupancy, error)
        reference = expected.reference
        live = reference.live if reference.live.any() else interval.contents != 0
        wanted = _content_of(reconstruction, occupancy, interval.contents)
        low = outlying & (occupancy < reconstruction)
        shapes = [
            shape
            for bins, is_low in ((low, True), (outlying & ~low, False))
            for shape in shapes_of(
                bins,
                bins,
                live,
                interval.contents,
                wanted,
                lambda own: _pull(interval.contents[own], wanted[own]),
                is_low,
                reference.profile,
            )
        ]
        return Finding(
            bad=bool(shapes),
            score=float(np.sqrt(error.max())) if error.size else 0.0,
            shapes=tuple(shapes),
            exposure=exposure,
        )

    def outliers(self, occupancy: FloatArray, error: FloatArray) -> BoolArray:
        """Return the anomalous bins. Shapes: the histogram's; a one-dimensional histogram is one strip."""
        if self._mode == "global" or occupancy.ndim == 1:
            return self._cluster(occupancy.ravel(), error.ravel()).reshape(occupancy.shape)
        found = np.zeros(occupancy.shape, dtype=bool)
        reach = 1 if self._mode == "zonewise" else 0
        for x in range(len(occupancy)):
            if not occupancy[x].any():
                continue
            first = max(0, x - reach)
            zone = slice(first, x + reach + 1)
            flags = self._cluster(occupancy[zone].ravel(), error[zone].ravel())
            found[x] = flags.reshape(occupancy[zone].shape)[x - first]
        return found

    def _cluster(self, occupancy: FloatArray, error: FloatArray) -> BoolArray:
        points = np.stack([minmax(occupancy[None])[0], minmax(error[None])[0]], axis=1)
        # With min_samples 1 every point is a core point: clusters are the connected groups, however small.
        labels = DBSCAN(eps=self._eps, min_samples=1, algorithm="kd_tree").fit_predict(points)
        members = np.bincount(labels)
        if members.size == 1:
            # Nothing stands out, however few the points are.
            return np.zeros(labels.shape, dtype=bool)
        flags: BoolArray = members[labels] <= self._minpts
        return flags


def reconstruct(contents: FloatArray, expected: Expected) -> tuple[FloatArray, FloatArray, float | None]:
    """Return occupancy and reconstruction, both scaled to 0..1 by the occupancy's range, and the exposure."""
    reference = expected.reference
    exposure: float | None = None
    if expected.normalisation == "exposure":
        exposure = 1.0
        if not reference.profile:
            exposure = float(exposures(contents.reshape(1, -1), reference.blocks, reference.dispersion)[0]) or 1.0
        wanted = reference.rate
        if expected.predictor is not None:
            wanted = expected.predictor.predict(contents[None] / exposure)[0]
        wanted = wanted * exposure
        low, high = float(contents.min()), float(contents.max())
        span = high - low if high > low else 1.0
        return (contents - low) / span, (wanted - low) / span, exposure
    scaled = SCALES[expected.normalisation](contents.reshape(1, -1)).reshape(contents.shape)
    assert expected.predictor is not None
    return scaled, expected.predictor.predict(scaled[None])[0], None


def _pull(contents: FloatArray, wanted: FloatArray) -> float:
    """Return how far contents are off as if they were counts: the clustering itself knows no significance."""
    expected = float(wanted.sum())
    return (float(contents.sum()) - expected) / float(np.sqrt(max(abs(expected), 1.0)))


def _content_of(reconstruction: FloatArray, occupancy: FloatArray, contents: FloatArray) -> FloatArray:
    """Undo the scaling, which is linear in every normalisation."""
    scaled_range = float(occupancy.max() - occupancy.min())
    slope = float(contents.max() - contents.min()) / scaled_range if scaled_range > 0 else 1.0
    return float(contents.min()) + (reconstruction - float(occupancy.min())) * slope
