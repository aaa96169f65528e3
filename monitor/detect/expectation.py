"""The default detector: every bin, strip, layer and spot against what is expected at the map's exposure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from monitor.detect import kernels
from monitor.detect.base import Expected, Finding, Settings
from monitor.detect.geometry import BoolArray, shapes_of
from monitor.infer import Reference
from monitor.kernel import address_of
from monitor.normalise import exposures
from monitor.normalise.exposure import block_grid
from monitor.snapshot import FloatArray
from monitor.verdict import Shape
from monitor.window import Interval

DEFAULT_THRESHOLDS = {"bin": 6.5, "strip": 6.0}
"""In standard deviations: ``bin`` for bins, spots and regions, ``strip`` for strips and layers."""
MIN_PROFILE_ENTRIES = 30.0
"""Where the spread of one entry is not known, a profile's bin with fewer entries has no error to be judged by."""
PRIOR_ENTRIES = 50.0
"""Entries that the references' spread of one entry counts for beside the bin's own."""
NEW_LIFE_ENTRIES = 5.0
"""Least content of a bin that was always empty."""
WIDE = 1.5
"""Width of all bins' significances beyond which the whole map is doubted."""
MAX_SHAPES = 24
_ROUNDS = 8
_LEAST = 1e-300
_QUICK = {(1, 1), (5, 5)}

IntArray = NDArray[np.int64]


class ExpectationDetector:
    """Pulls against the expected map, ``variance = expected + (systematic * expected)^2`` or a profile's own errors.

    A quick scan (bins, 5 x 5 spots, strips) passes most maps. Where it exceeds a threshold, all scales are
    scanned: the most significant window is taken out, the exposure fitted again without it, and so on until nothing
    exceeds. Touching windows of one sign are one shape. There, every significance is divided by the width of the
    bins' significances where that is above 1, so that a reference that has aged as a whole does not name bins.
    """

    name = "expectation"
    needs_rates = True

    def __init__(self, settings: Settings | None = None) -> None:
        settings = settings or Settings()
        unknown = (set(settings.thresholds) - set(DEFAULT_THRESHOLDS)) | set(settings.options)
        if unknown:
            raise ValueError(
                f"detector 'expectation' has no {sorted(unknown)}; thresholds are {sorted(DEFAULT_THRESHOLDS)}"
            )
        self._thresholds = dict(settings.thresholds)

    def judge(self, intervals: Sequence[Interval], expected: Sequence[Expected]) -> list[Finding]:
        """Judge intervals of one shape, each against its own expectation."""
        if not intervals:
            return []
        scales, strips = _window_sizes(_shape2(expected[0].reference), quick=True)
        bins = np.array([self._threshold(e.reference, "bin") for e in expected])
        limits = np.where(strips, np.array([[self._threshold(e.reference, "strip")] for e in expected]), bins[:, None])
        worth = float(limits.min(initial=math.inf))
        best = np.empty((len(intervals), len(scales)))
        chance = np.ones(len(intervals))
        odd = np.zeros(len(intervals), dtype=bool)
        if expected[0].reference.profile:
            exposure = np.ones(len(intervals))
            rates: Sequence[FloatArray] = self._judge_profiles(intervals, expected, scales, worth, best, chance)
        else:
            exposure, rates = self._judge_counts(intervals, expected, scales, worth, best, chance, odd)
        loud = odd | (np.abs(best) >= limits).any(axis=1)
        scores = np.abs(best).max(axis=1, initial=0.0)
        return [
            self._look_closer(interval, interval.contents.ravel(), rates[m], expected[m])
            if is_loud
            else Finding(bad=False, score=score, p_value=p, exposure=e)
            for m, (interval, is_loud, score, p, e) in enumerate(
                zip(intervals, loud.tolist(), scores.tolist(), chance.tolist(), exposure.tolist(), strict=True)
            )
        ]

    def _judge_profiles(
        self,
        intervals: Sequence[Interval],
        expected: Sequence[Expected],
        scales: IntArray,
        worth: float,
        best: FloatArray,
        chance: FloatArray,
    ) -> list[FloatArray]:
        rates = []
        for m, (interval, one) in enumerate(zip(intervals, expected, strict=True)):
            reference = one.reference
            rate = self._rates(_trusted(reference, interval)[None], np.ones(1), one)[0]
            planes = _Planes(reference, interval.contents.ravel(), rate, 1.0, interval)
            best[m] = _scan(reference, planes, scales, worth)[0]
            chance[m] = kernels.look_elsewhere(best[m], *_shape2(reference), scales)
            rates.append(rate)
        return rates

    def _judge_counts(
        self,
        intervals: Sequence[Interval],
        expected: Sequence[Expected],
        scales: IntArray,
        worth: float,
        best: FloatArray,
        chance: FloatArray,
        odd: BoolArray,
    ) -> tuple[FloatArray, Sequence[FloatArray]]:
        """Fill `best`, `chance` and `odd`; return exposures, shape (maps,), and each map's rates, shape (bins,)."""
        tables = [e.reference.table for e in expected]
        addresses = np.stack([t.addresses for t in tables])
        numbers = np.stack([t.numbers for t in tables])
        # They stay alive in `intervals` until the calls return.
        contents = np.array([address_of(i.contents, np.float64) for i in intervals], dtype=np.uint64)
        nx, ny = _shape2(expected[0].reference)
        # A model wants its maps per exposure, so theirs are fitted before; the others' while they are in the cache.
        exposure = np.full(len(intervals), -1.0)
        modelled = np.array([_is_modelled(e) for e in expected])
        if modelled.any():
            fitted = np.empty(int(modelled.sum()))
            kernels.exposures_at(contents[modelled], addresses[modelled], numbers[modelled], nx * ny, fitted)
            exposure[modelled] = fitted
        rates = self._rates_of(intervals, expected, exposure)
        addresses[:, 0] = [address_of(r, np.float64) for r in rates]
        kernels.judge_counts(
            contents,
            addresses,
            numbers,
            exposure,
            nx,
            ny,
            scales,
            worth,
            np.array([NEW_LIFE_ENTRIES * e.reference.unit for e in expected]),
            np.array([self._silent_from(e.reference, 1.0) for e in expected]),
            best,
            chance,
            odd,
        )
        return exposure, rates

    def _rates_of(
        self, intervals: Sequence[Interval], expected: Sequence[Expected], exposure: FloatArray
    ) -> list[FloatArray]:
        """Return each map's expected content per unit exposure, shape (bins,); one call a model."""
        rates: list[FloatArray] = [e.reference.table.kept[0] for e in expected]
        together: dict[int, list[int]] = {}
        for m, one in enumerate(expected):
            if _is_modelled(one):
                together.setdefault(id(one), []).append(m)
        for members in together.values():
            maps = np.stack([intervals[m].contents.ravel() for m in members])
            found = self._rates(maps, exposure[members], expected[members[0]])
            for m, row in zip(members, found, strict=True):
                rates[m] = row
        return rates

    def _rates(self, maps: FloatArray, exposure: FloatArray, expected: Expected) -> FloatArray:
        """Return the expected content per unit exposure. Shape: (maps, bins), or (1, bins) without a model."""
        reference = expected.reference
        fixed: FloatArray = reference.rate.reshape(1, -1)
        if expected.predictor is None or not _is_modelled(expected):
            return fixed
        scaled = np.empty(maps.shape, dtype=np.float32)
        kernels.per_exposure(maps, exposure, fixed[0], scaled)
        predicted = expected.predictor.predict(scaled.reshape(-1, *reference.shape))
        rate = np.empty(maps.shape)
        kernels.clean_rates(
            predicted.reshape(maps.shape), fixed[0], reference.live.ravel(), not reference.profile, rate
        )
        return rate

    def _threshold(self, reference: Reference, shape: str) -> float:
        """Return a threshold in standard deviations: the configuration's, else the model's, else the default."""
        own = self._thresholds.get(shape)
        return own if own is not None else reference.thresholds.get(shape, DEFAULT_THRESHOLDS[shape])

    def _unexpected(self, reference: Reference, contents: FloatArray) -> BoolArray:
        """Bins that are alive where nothing ever was (new life). Shape: (bins,)."""
        candidates: BoolArray = ~reference.live.ravel() & (contents >= NEW_LIFE_ENTRIES * reference.unit)
        if reference.profile or not candidates.any():
            return np.zeros_like(candidates)
        # Nothing in exposure E leaves room for a rate of about one entry in E.
        p = stats.poisson.sf(contents[candidates] / reference.unit - 1.0, 1.0 / reference.exposure)
        candidates[candidates] = p < stats.norm.sf(self._threshold(reference, "bin"))
        return candidates

    def _silent_from(self, reference: Reference, width: float) -> float:
        """Return the expected content from which on a live bin at zero is dead, infinity if there is none.

        With few references the t distribution forbids any alarm on a systematic. A bin at zero is one all the same,
        if even the map's least steady bins could not fall that far.
        """
        if reference.profile:
            return math.inf
        threshold = self._threshold(reference, "bin")
        if (
            reference.unsteadiness * math.sqrt(1.0 + 1.0 / max(1, reference.references)) * max(width, 1.0) * threshold
            >= 1.0
        ):
            return math.inf
        # z of nothing seen where mu is expected is sqrt(2 mu / k): Poisson deviance.
        return max(0.5 * threshold * threshold * reference.dispersion, _LEAST)

    def _look_closer(self, interval: Interval, contents: FloatArray, rate: FloatArray, expected: Expected) -> Finding:
        reference = expected.reference
        low, high = (np.zeros(contents.size, dtype=bool) for _ in range(2))
        high |= self._unexpected(reference, contents)
        scales, strips = _window_sizes(_shape2(reference), quick=False)
        limits = np.where(strips, self._threshold(reference, "strip"), self._threshold(reference, "bin"))
        penalty = 2.0 * np.log([_windows(s, reference) for s in scales])
        width, score, first_best = 1.0, 0.0, np.zeros(len(scales))
        found = np.zeros(contents.size)
        planes = _Planes(reference, contents, rate, 1.0, interval)
        for attempt in range(MAX_SHAPES):
            wrong = low | high
            rate, exposure = self._refit(interval, contents, rate, wrong, expected)
            planes = _Planes(reference, contents, rate, exposure, interval, wrong)
            if attempt == 0:
                width = planes.width()
            best, place = _scan(reference, planes, scales, float(limits.min()))
            z = best / width
            if attempt == 0:
                first_best = z
            score = max(score, float(np.abs(z).max()))
            above = np.abs(z) >= limits
            if not above.any():
                break
            pick = int(np.argmax(np.where(above, z * z - penalty, -np.inf)))
            window = _window_bins(place[pick], scales[pick], reference)
            if not (window & planes.judged).any():
                break
            # A bin belongs to what was found first: the rest of a window that crosses it is another matter.
            (low if z[pick] < 0 else high)[window & ~wrong] = True
            found[window & ~wrong] = z[pick]
        # What no window showed, because few references leave a systematic open, but is at zero all the same.
        low |= (contents == 0) & ~high & reference.live.ravel() & (planes.mu >= self._silent_from(reference, width))
        shapes = self._shapes(contents, planes, reference, low, high, width, found)
        score = max([score, *(abs(s.significance) for s in shapes)])
        warning = ""
        if width > WIDE:
            warning = (
                f"the whole map differs from its reference: its bins scatter {width:.1f} times as much as expected; "
                "bins are judged relative to that"
            )
        note = "" if reference.references > 2 else f"few references ({reference.references}): small effects are missed"
        return Finding(
            bad=bool(shapes),
            score=score,
            shapes=tuple(shapes),
            p_value=kernels.look_elsewhere(first_best, *_shape2(reference), scales) if first_best.any() else 0.0,
            exposure=float(planes.exposure),
            warning=warning,
            note=note,
        )

    def _refit(
        self, interval: Interval, contents: FloatArray, rate: FloatArray, wrong: BoolArray, expected: Expected
    ) -> tuple[FloatArray, float]:
        """Fit exposure and expected map again without the bins that are wrong."""
        reference = expected.reference
        if reference.profile:
            exposure = 1.0
        else:
            grid = reference.blocks
            if wrong.any():
                kept = np.where(reference.live & ~wrong.reshape(reference.shape), reference.rate, 0.0)
                grid = block_grid(kept)
            exposure = float(exposures(contents[None], grid, reference.dispersion)[0])
        if expected.predictor is None or exposure <= 0:
            return rate, exposure
        # What is wrong must not teach the model: show it what it expects there, until that stands still.
        for _ in range(_ROUNDS if wrong.any() else 1):
            shown = np.where(wrong, rate * exposure, _trusted(reference, interval))
            previous, rate = rate, self._rates(shown[None], np.array([exposure]), expected)[0]
            if np.abs(rate - previous).max() <= 1e-4 * np.abs(rate).max():
                break
        return rate, exposure

    def _shapes(
        self,
        contents: FloatArray,
        planes: _Planes,
        reference: Reference,
        low: BoolArray,
        high: BoolArray,
        width: float,
        found: FloatArray,
    ) -> list[Shape]:
        full = _Planes(reference, contents, planes.rate, planes.exposure, planes.interval)
        shape = reference.shape
        shapes: list[Shape] = []
        known = full.judged | self._unexpected(reference, contents)

        def significance(own: BoolArray) -> float:
            """Return that of the whole, or of its most significant part: what bins share may hide what one shows."""
            whole = full.significance(own.ravel()) / width
            part = float(found[own.ravel()][np.argmax(np.abs(found[own.ravel()]))])
            return part if abs(part) > abs(whole) and part * whole >= 0 else whole

        for area, is_low in ((low, True), (high, False)):
            shapes += shapes_of(
                area.reshape(shape),
                (area & known).reshape(shape),
                known.reshape(shape),
                contents.reshape(shape),
                full.mu.reshape(shape),
                significance,
                is_low,
                reference.profile,
            )
        return sorted(shapes, key=lambda s: -abs(s.significance))


class _Planes:
    """Deviation, variance and expected content of one map, shape (bins,) each, 0 in bins that do not count."""

    def __init__(
        self,
        reference: Reference,
        contents: FloatArray,
        rate: FloatArray,
        exposure: float,
        interval: Interval,
        without: BoolArray | None = None,
    ) -> None:
        self.reference, self.rate, self.exposure, self.interval = reference, rate, exposure, interval
        self.mu = rate * exposure
        judged = reference.live.ravel().copy()
        if reference.profile:
            assert interval.variances is not None
            assert interval.entries is not None
            own, entries = interval.variances.ravel(), interval.entries.ravel()
            if reference.spread is not None:
                # The spread of one entry, from the references and, as far as it has entries, from the bin itself.
                one = reference.spread.ravel() ** 2
                own = (one * PRIOR_ENTRIES + entries * entries * own) / (PRIOR_ENTRIES + np.maximum(entries - 1.0, 0.0))
                own = own / np.maximum(entries, 1.0)
                judged &= entries > 0
            else:
                judged &= entries >= MIN_PROFILE_ENTRIES
            judged &= own > 0
            total = own + (reference.systematic.ravel() * rate) ** 2 * (1.0 + 1.0 / reference.references)
            weight = np.where(judged, 1.0 / np.where(judged, total, 1.0), 0.0)
            self.deviation, self.variance, self.expected = weight * (contents - rate), weight, weight * rate
        else:
            self.deviation, self.variance, self.expected = np.empty((3, contents.size))
            kernels.count_planes(
                contents,
                rate,
                reference.systematic.ravel(),
                exposure,
                reference.dispersion,
                reference.exposure,
                float(max(1, reference.references)),
                self.deviation,
                self.variance,
                self.expected,
            )
        if without is not None:
            judged &= ~without
        self.judged: BoolArray = judged
        for plane in (self.deviation, self.variance, self.expected):
            plane[~judged] = 0.0
        self.counts = not reference.profile

    def width(self) -> float:
        """Median of the bins' |pull| in units of its value for a normal distribution; at least 1.

        Silent bins are left out: they are faults, not a sign of age.
        """
        use = self.judged & (self.variance > 0)
        if self.counts:
            use &= (self.deviation > -self.mu) & (self.mu >= 5.0)
        if int(use.sum()) < 20:
            return 1.0
        pulls = np.abs(self.deviation[use]) / np.sqrt(self.variance[use])
        return max(1.0, float(np.median(pulls)) / 0.6745)

    def significance(self, bins: BoolArray) -> float:
        """Signed significance of a set of bins; bins that were never filled count as Poisson on what E allows."""
        reference = self.reference
        new = bins & ~reference.live.ravel()
        if new.any():
            content = float(self.interval.contents.ravel()[new].sum()) / reference.unit
            mu = max(1e-3, int(new.sum()) * max(self.exposure, 1e-3) / reference.exposure)
            return float(kernels.significance(content - mu, mu, mu, True, 0.0, 1.0))
        d, v, mu = (float(p[bins].sum()) for p in (self.deviation, self.variance, self.expected))
        several = int(bins.sum()) > 1
        common = (reference.coherent * mu) ** 2 if several else 0.0
        s = common if several else float(((reference.systematic.ravel()[bins] * self.expected[bins]) ** 2).sum())
        return float(kernels.significance(d, v + common, mu, self.counts, s, reference.degrees_of_freedom))


def _scan(reference: Reference, planes: _Planes, scales: IntArray, worth: float) -> tuple[FloatArray, IntArray]:
    """Return the best significance of every scale, shape (scales,), and its window's first bin, shape (scales, 2)."""
    best = np.empty((1, len(scales)))
    place = np.empty((1, len(scales), 2), dtype=np.int64)
    nx, ny = _shape2(reference)
    kernels.scan(
        planes.deviation[None],
        planes.variance[None],
        planes.expected[None],
        reference.systematic.ravel(),
        nx,
        ny,
        scales,
        reference.coherent,
        planes.counts,
        reference.degrees_of_freedom,
        worth,
        best,
        place,
    )
    return best[0], place[0]


def _is_modelled(expected: Expected) -> bool:
    """Tell whether a model says what a map per exposure should be."""
    return expected.predictor is not None and expected.normalisation == "exposure"


def _trusted(reference: Reference, interval: Interval) -> FloatArray:
    """Return what a model is shown of an interval, flat. Shape: (bins,)."""
    if not reference.profile:
        return interval.contents.ravel()
    assert interval.variances is not None
    assert interval.entries is not None
    return reference.trusted(interval.contents, interval.variances, interval.entries).ravel()


@lru_cache(maxsize=256)
def _window_sizes(shape: tuple[int, int], quick: bool) -> tuple[IntArray, BoolArray]:
    """Return window sizes for a map, shape (scales, 2), and which are strips or layers, shape (scales,)."""
    nx, ny = shape
    sizes: list[tuple[int, int, bool]] = [(1, 1, False)]
    if ny > 1:
        sizes += [(3, 3, False), (5, 5, False), (1, 8, False), (8, 1, False), (12, 8, False)]
        sizes += [(1, ny, True), (nx, 1, True), (3, ny, True), (nx, 3, True)]
        sizes += [(max(1, nx // 8), ny, True), (nx, max(1, ny // 8), True)]
    else:
        sizes += [(w, 1, False) for w in (3, 9, 25)]
    kept: list[tuple[int, int, bool]] = []
    for sx, sy, strip in sizes:
        if sx > nx or sy > ny or (sx == nx and sy == ny) or any(k[:2] == (sx, sy) for k in kept):
            continue
        if quick and not ((sx, sy) in _QUICK or (strip and 1 in (sx, sy)) or ny == 1):
            continue
        kept.append((sx, sy, strip))
    return np.array([k[:2] for k in kept], dtype=np.int64).reshape(-1, 2), np.array([k[2] for k in kept], dtype=bool)


def _shape2(reference: Reference) -> tuple[int, int]:
    return (reference.shape[0], reference.shape[1]) if len(reference.shape) == 2 else (reference.shape[0], 1)


def _windows(scale: IntArray, reference: Reference) -> int:
    nx, ny = _shape2(reference)
    return int((nx - scale[0] + 1) * (ny - scale[1] + 1))


def _window_bins(place: IntArray, scale: IntArray, reference: Reference) -> BoolArray:
    mask = np.zeros(_shape2(reference), dtype=bool)
    mask[place[0] : place[0] + scale[0], place[1] : place[1] + scale[1]] = True
    return mask.ravel()
