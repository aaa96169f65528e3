"""Windows of neighbouring bins against a reference that is scaled to the histogram's own total.

Made for references gathered a moment ago (`monitor.judge.adaptive`): few intervals, no steady exposure, only the shape
is of interest. With contents x, expectation mu = e m, where e makes both totals the same, E the exposure of the
reference and s its systematic, a window W shows::

    z = sum_W (x - mu) / sqrt(sum_W [k mu (1 + e / E) + (s mu)^2] + k)

k is the variance over mean of pure statistics (1 for counts); the last k keeps windows of a few entries from being
significant. In bins that were always empty one entry could have been: there the variance is k e / E. Profiles
are compared as they are: weights 1 / v with v = spread^2 / entries + (s m)^2.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from monitor.detect.base import Expected, Finding, Settings
from monitor.detect.geometry import BoolArray, classify, sign_of
from monitor.detect.trim import changed_bins, good_strips
from monitor.infer import Reference
from monitor.snapshot import FloatArray
from monitor.verdict import Shape
from monitor.window import Interval

THRESHOLD = 8.0
"""In standard deviations."""
WIDTHS = (1, 3, 9, 25)
"""Of the windows of a histogram of one dimension, bins."""
_TINY = 1e-300


class WindowScan:
    """The most significant window: bins, groups of bins, spots, strips and layers."""

    name = "scan"
    needs_rates = True

    def __init__(self, settings: Settings | None = None) -> None:
        settings = settings or Settings()
        unknown = (set(settings.thresholds) - {"window"}) | set(settings.options)
        if unknown:
            raise ValueError(f"detector 'scan' has no {sorted(unknown)}; its one threshold is 'window'")
        self._threshold = settings.thresholds.get("window", THRESHOLD)

    def judge(self, intervals: Sequence[Interval], expected: Sequence[Expected]) -> list[Finding]:
        """Judge intervals, each against its own reference; models are not asked."""
        return [self._judge(i, e.reference) for i, e in zip(intervals, expected, strict=True)]

    def _judge(self, interval: Interval, reference: Reference) -> Finding:
        judged = _judged(reference)
        deviation, variance, mu, exposure = _planes(interval, reference, judged)
        floor = reference.dispersion if not reference.profile else 0.0
        best, place, size = _scan(_two(deviation), _two(variance), floor)
        shapes: tuple[Shape, ...] = ()
        if abs(best) > self._threshold:
            bins = np.zeros(_two(deviation).shape, dtype=bool)
            bins[place[0] : place[0] + size[0], place[1] : place[1] + size[1]] = True
            window = bins.reshape(reference.shape) & judged
            window = _trimmed(window, reference, deviation, variance, mu)
            shapes = (_shape(interval, mu, window, judged, reference.profile, best),)
        return Finding(
            bad=bool(shapes),
            score=abs(best),
            shapes=shapes,
            exposure=None if reference.profile else exposure,
        )


def _trimmed(
    window: BoolArray, reference: Reference, deviation: FloatArray, variance: FloatArray, mu: FloatArray
) -> BoolArray:
    """Leave out what is rather good. Shape of all: the histogram's."""
    if reference.profile:
        # Weighted by 1 / v: what remains are means again.
        known = variance > 0
        weight = np.where(known, variance, 1.0)
        deviation, variance = deviation / weight, np.where(known, 1.0 / weight, 0.0)
    systematic = np.minimum((reference.systematic * mu) ** 2, variance)
    flat, d, m, v = window.ravel(), deviation.ravel(), np.abs(mu).ravel(), variance.ravel()
    kept = flat & ~good_strips(flat, d, m, v, reference.coherent, reference.shape)
    return changed_bins(kept, d, m, v, systematic.ravel()).reshape(reference.shape)


def _judged(reference: Reference) -> BoolArray:
    """Return which bins count: where statistics are known, also those that were always empty."""
    everywhere = not reference.profile and reference.dispersion > 0
    return np.ones(reference.shape, dtype=bool) if everywhere else reference.live


def _planes(
    interval: Interval, reference: Reference, judged: BoolArray
) -> tuple[FloatArray, FloatArray, FloatArray, float]:
    """Return deviation, variance and expectation of each bin, 0 where it does not count, and the exposure."""
    rate = reference.rate
    if reference.profile:
        assert interval.entries is not None
        assert interval.variances is not None
        entries = interval.entries
        one = interval.variances * entries if reference.spread is None else reference.spread**2
        known = judged & (entries > 0) & (one > 0)
        of_reference = 1.0 + 1.0 / max(1, reference.references)
        total = (one / np.maximum(entries, 1.0) + (reference.systematic * rate) ** 2) * of_reference
        weight = np.where(known, 1.0 / np.where(known, total, 1.0), 0.0)
        return weight * (interval.contents - rate), weight, rate, 1.0
    expected = float(rate[judged].sum())
    exposure = max(0.0, float(interval.contents[judged].sum())) / expected if expected > 0 else 0.0
    mu = rate * exposure
    share = exposure / max(reference.exposure, _TINY)
    statistical = np.maximum(reference.statistical * exposure * (1.0 + share), reference.dispersion * share)
    variance = np.where(judged, statistical + (reference.systematic * mu) ** 2, 0.0)
    return np.where(judged, interval.contents - mu, 0.0), variance, mu, exposure


def _scan(deviation: FloatArray, variance: FloatArray, floor: float) -> tuple[float, tuple[int, int], tuple[int, int]]:
    """Return the largest significance, signed, and the first bin and size of its window. Shapes: (nx, ny)."""
    d, v = _sums(deviation), _sums(variance)
    best, place, size = 0.0, (0, 0), (1, 1)
    for window in _windows(deviation.shape[0], deviation.shape[1]):
        z = _windowed(d, window) / np.sqrt(np.maximum(_windowed(v, window), 0.0) + max(floor, _TINY))
        at = int(np.argmax(np.abs(z)))
        if abs(z.flat[at]) > abs(best):
            best, size = float(z.flat[at]), window
            place = (at // z.shape[1], at % z.shape[1])
    return best, place, size


def _sums(plane: FloatArray) -> FloatArray:
    sums = np.zeros((plane.shape[0] + 1, plane.shape[1] + 1))
    np.cumsum(np.cumsum(plane, axis=0), axis=1, out=sums[1:, 1:])
    return sums


def _windowed(sums: FloatArray, size: tuple[int, int]) -> FloatArray:
    x, y = size
    result: FloatArray = sums[x:, y:] - sums[:-x, y:] - sums[x:, :-y] + sums[:-x, :-y]
    return result


@lru_cache(maxsize=256)
def _windows(nx: int, ny: int) -> tuple[tuple[int, int], ...]:
    if ny == 1:
        sizes = [(w, 1) for w in WIDTHS]
    else:
        sizes = [(1, 1), (3, 3), (5, 5), (1, ny), (nx, 1), (3, ny), (nx, 3), (max(1, nx // 8), ny)]
        sizes.append((nx, max(1, ny // 8)))
    kept = [s for s in dict.fromkeys(sizes) if s[0] <= nx and s[1] <= ny and s != (nx, ny)]
    return tuple(kept or [(1, 1)])


def _two(plane: FloatArray) -> FloatArray:
    return plane if plane.ndim == 2 else plane[:, None]


def _shape(
    interval: Interval, mu: FloatArray, window: BoolArray, judged: BoolArray, profile: bool, significance: float
) -> Shape:
    two = _two(mu).shape
    kind, axis, index = classify(window.reshape(two), judged.reshape(two))
    observed, expected = interval.contents[window], mu[window]
    seen, wanted = (float(a.mean() if profile else a.sum()) for a in (observed, expected))
    return Shape(
        kind=kind,
        sign=sign_of(seen, wanted, significance < 0),
        axis=axis,
        index=index,
        bins=tuple(tuple(int(i) for i in b) for b in zip(*window.nonzero(), strict=True)),
        significance=significance,
        observed=seen,
        expected=wanted,
    )
