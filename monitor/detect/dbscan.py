"""Thesis B's decision (ATLAS 2022, sections 3.8 and 4.4): DBSCAN on occupancy and reconstruction error.

Each bin is a point (occupancy, squared reconstruction error), both scaled to 0..1 (equation 11) over the points
that are clustered together: the whole map (``global``), one strip of constant x (``stripwise``), or a strip with
its two neighbours, of which only the middle one is judged (``zonewise``). Clusters of at most ``minpts`` members,
and noise, are anomalous. Strips without any content are skipped.

Where all points are in one cluster nothing stands out, however few they are.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage
from sklearn.cluster import DBSCAN

from monitor.detect.base import Expected, Finding, Settings
from monitor.detect.clusters import IntArray
from monitor.detect.clusterzones import NOISE, count_members, sizes_of
from monitor.detect.geometry import MAX_SHAPES, BoolArray, shapes_of, sign_of
from monitor.normalise import SCALES, exposures, minmax
from monitor.snapshot import FloatArray
from monitor.verdict import Shape
from monitor.window import Interval

MODES = ("global", "stripwise", "zonewise")
BACKENDS = ("numba", "sklearn")
_MOST = 2**31 - 1
"""Largest number of bins that an option may name."""
_NOISE_SCORE = 2.0
"""Above that of a cluster of one: noise is anomalous at every ``minpts``."""
_DEFAULTS: dict[str, object] = {
    "mode": "global",
    "eps_threshold": 0.0044,
    "minpts": 10,
    "min_samples": 1,
    "backend": "numba",
}


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
    min_samples
        Neighbours, itself included, that make a bin a core point; default 1, the thesis's "lowest value" (section
        2.3.3), with which every bin is in a cluster, however small.
    backend
        ``numba`` (default) or ``sklearn``; both give the same clusters.
    """

    name = "dbscan"
    needs_rates = False

    def __init__(self, settings: Settings | None = None) -> None:
        given = dict(settings.options) if settings else {}
        unknown = {*given} - {*_DEFAULTS} | {*(settings.thresholds if settings else ())}
        if unknown:
            raise ValueError(f"detector 'dbscan' has no {sorted(unknown)}; options are {', '.join(sorted(_DEFAULTS))}")
        options = _DEFAULTS | given
        for option, known in (("mode", MODES), ("backend", BACKENDS)):
            if options[option] not in known:
                raise ValueError(f"detector 'dbscan': {option} '{options[option]}', must be one of {', '.join(known)}")
        eps = options["eps_threshold"]
        if isinstance(eps, bool) or not isinstance(eps, (int, float)) or not 0.0 < eps < np.inf:
            raise ValueError(f"detector 'dbscan': eps_threshold {eps}, must be a positive number")
        self._mode, self._backend, self._eps = str(options["mode"]), str(options["backend"]), float(eps)
        self._minpts = _whole(options, "minpts", 0)
        self._min_samples = _whole(options, "min_samples", 1)

    def judge(self, intervals: Sequence[Interval], expected: Sequence[Expected]) -> list[Finding]:
        """Judge intervals against the reconstruction of the model, or the reference map where there is none."""
        return [self._judge(interval, one) for interval, one in zip(intervals, expected, strict=True)]

    def bin_scores(self, interval: Interval, expected: Expected) -> FloatArray:
        """Return 1 / (members of the bin's cluster): what every ``minpts`` at once says of this map.

        A bin is anomalous at ``minpts`` if its score is at least 1 / minpts. Noise, which is anomalous at every
        ``minpts``, scores 2; bins of skipped strips, and of clusterings in which nothing stands out, score 0.
        Shape: the histogram's.
        """
        occupancy, reconstruction, _ = reconstruct(interval.contents, expected)
        members = self.members(occupancy, (occupancy - reconstruction) ** 2)
        return np.where(members == NOISE, _NOISE_SCORE, (members > 0) / np.maximum(members, 1))

    def members(self, occupancy: FloatArray, error: FloatArray) -> IntArray:
        """Return how many members the cluster of each bin has.

        NOISE (-1) is a bin in no cluster; 0 one that is not judged: its strip is empty, or all points that are
        clustered together are one cluster. A one-dimensional histogram is one strip.

        Parameters
        ----------
        occupancy, error
            Occupancy and squared reconstruction error, in any linear scale. Shapes: the histogram's.

        Returns
        -------
        IntArray
            Shape: the histogram's, int64.

        Raises
        ------
        ValueError
            If a value is NaN or infinite.
        """
        zones = _Zones(self._mode, occupancy)
        members = np.zeros(zones.shape, dtype=np.int64)
        values, errors = zones.strips(occupancy), zones.strips(error)
        undecided = np.ones(len(zones.judged), dtype=np.bool_)
        if self._backend == "numba":
            where = (zones.judged, zones.first, zones.last)
            undecided = count_members(values, errors, *where, self._eps, self._min_samples, members)
        for k in np.flatnonzero(undecided):
            zone = slice(zones.first[k], zones.last[k] + 1)
            points = np.stack([minmax(values[zone].reshape(1, -1))[0], minmax(errors[zone].reshape(1, -1))[0]], axis=1)
            labels = DBSCAN(eps=self._eps, min_samples=self._min_samples, algorithm="kd_tree").fit_predict(points)
            start = (zones.judged[k] - zones.first[k]) * values.shape[1]
            sizes_of(labels, np.empty_like(labels), start, members[zones.judged[k]])
        return members.reshape(occupancy.shape)

    def outliers(self, occupancy: FloatArray, error: FloatArray) -> BoolArray:
        """Return the anomalous bins as a binary mask. Arguments and errors: see `members`."""
        members = self.members(occupancy, error)
        anomalous: BoolArray = (members == NOISE) | ((members > 0) & (members <= self._minpts))
        return anomalous

    def coordinates(self, occupancy: FloatArray, error: FloatArray) -> list[tuple[int | float, ...]]:
        """Return the anomalous bins as the thesis prints them: (eta, phi, occupancy).

        The occupancy is scaled to 0..1 over the points that the bin was clustered with. Arguments and errors: see
        `members`; bins of a one-dimensional histogram have one coordinate.
        """
        zones = _Zones(self._mode, occupancy)
        values = zones.strips(occupancy)
        found: list[tuple[int | float, ...]] = []
        outlying = self.outliers(occupancy, error).reshape(values.shape)
        for judged, first, last in zip(zones.judged, zones.first, zones.last, strict=True):
            bins = np.flatnonzero(outlying[judged])
            scaled = minmax(values[first : last + 1].reshape(1, -1)).reshape(-1, values.shape[1])[judged - first]
            places = np.unravel_index(judged * values.shape[1] + bins, occupancy.shape)
            found += [(*(int(i) for i in at), float(o)) for *at, o in zip(*places, scaled[bins], strict=True)]
        return found

    def _judge(self, interval: Interval, expected: Expected) -> Finding:
        occupancy, reconstruction, exposure = reconstruct(interval.contents, expected)
        error = (occupancy - reconstruction) ** 2
        outlying = self.outliers(occupancy, error)
        reference = expected.reference
        live = reference.live if reference.live.any() else interval.contents != 0
        wanted = _content_of(reconstruction, occupancy, interval.contents)
        low = outlying & (occupancy < reconstruction)
        sides = ((low, True), (outlying & ~low, False))
        if sum(_number_of_shapes(bins) for bins, _ in sides) > MAX_SHAPES:
            shapes = [_storm(interval, wanted, outlying, reference.profile)]
        else:
            shapes = [
                shape
                for bins, is_low in sides
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


def _number_of_shapes(bins: BoolArray) -> int:
    """Return how many groups of touching bins there are, before strips are taken out of them."""
    return int(ndimage.label(bins, structure=np.ones((3,) * bins.ndim, dtype=bool))[1])


def _storm(interval: Interval, wanted: FloatArray, outlying: BoolArray, profile: bool) -> Shape:
    """Return all outlying bins as one shape: to name tens of thousands takes longer than there is time for."""
    seen, should = interval.contents[outlying], wanted[outlying]
    pulls = (seen - should) / np.sqrt(np.maximum(np.abs(should), 1.0))
    combine = np.mean if profile else np.sum
    observed, expected = float(combine(seen)), float(combine(should))
    low = observed < expected
    # The worst bin of the direction that all of them have together.
    worst = float(pulls.min(initial=0.0) if low else pulls.max(initial=0.0))
    return Shape(
        kind="region",
        sign=sign_of(observed, expected, low),
        axis=None,
        index=None,
        bins=tuple(zip(*(c.tolist() for c in np.nonzero(outlying)), strict=True)),
        significance=worst,
        observed=observed,
        expected=expected,
    )


class _Zones:
    """Which strips of a map are clustered together, and which of them is judged by that."""

    def __init__(self, mode: str, occupancy: FloatArray) -> None:
        if mode == "global" or occupancy.ndim == 1:
            # As one strip, which is not skipped even where it is empty.
            self.shape: tuple[int, ...] = (1, occupancy.size)
            self.judged = np.zeros(1, dtype=np.int64)
        else:
            self.shape = occupancy.shape
            self.judged = np.flatnonzero(occupancy.any(axis=1))
        reach = 1 if mode == "zonewise" else 0
        self.first = np.maximum(self.judged - reach, 0)
        self.last = np.minimum(self.judged + reach, self.shape[0] - 1)

    def strips(self, values: FloatArray) -> FloatArray:
        """Return the map as strips. Shape: (strips, bins), float64, C order."""
        if not np.isfinite(values).all():
            raise ValueError("detector 'dbscan': occupancy or error is NaN or infinite; mask those bins")
        return np.ascontiguousarray(values, dtype=np.float64).reshape(self.shape)


def _whole(options: dict[str, object], option: str, least: int) -> int:
    value = options[option]
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= _MOST:
        raise ValueError(f"detector 'dbscan': {option} {value}, must be a whole number from {least} to {_MOST}")
    return value


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
