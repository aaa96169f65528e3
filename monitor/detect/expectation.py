"""The default detector: every bin, strip, layer and spot against what is expected at the map's exposure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from weakref import WeakKeyDictionary

import numpy as np
from scipy import stats

from monitor.detect import kernels
from monitor.detect.alone import systematic_alone
from monitor.detect.base import Expected, Finding, Settings
from monitor.detect.closer import Closer
from monitor.detect.limits import Limits
from monitor.detect.missing import missing_entries
from monitor.detect.planes import Planes, log_new_life
from monitor.detect.rates import is_modelled, modelled_rates, shown
from monitor.infer import Reference
from monitor.infer.calibration import chances_of
from monitor.kernel import address_of
from monitor.snapshot import AnyArray, FloatArray
from monitor.window import Interval

THRESHOLDS = ("bin", "strip")
MOST_SUPPORT = 3.0
"""Standard deviations that neighbours add to a bin's score at most."""
SILENCE = 1.0
"""Standard deviations that silence adds to a bin's score at most: what is dead shows nothing at all, and what shows a
little may be rarer by chance but is not dead."""
_AGREE = 3.0
"""Standard deviations of a correlation from which on neighbours are believed, and wholly from twice as many."""
_CLOSE_IN_TAILS = 1.5
"""Standard deviations from which on tails of good maps are looked at: the most extreme of a few windows is not far."""


class ExpectationDetector:
    """Windows of every size against the expected map, docs/expectation.md.

    One scan passes most maps. Where it exceeds a threshold, the most significant window is taken out, the exposure
    fitted again without it, and so on until nothing exceeds, see `monitor.detect.closer`. Thresholds follow from
    `Settings.chance`, the chance of a false alarm a judgement, by the tails of held-out good maps; fixed ones, in
    standard deviations, go before: ``bin`` for bins, spots and blocks, ``strip`` for strips, layers and sectors.
    """

    name = "expectation"
    needs_rates = True

    def __init__(self, settings: Settings | None = None) -> None:
        settings = settings or Settings()
        unknown = (set(settings.thresholds) - set(THRESHOLDS)) | set(settings.options)
        if unknown:
            raise ValueError(f"detector 'expectation' has no {sorted(unknown)}; thresholds are {sorted(THRESHOLDS)}")
        for name, value in settings.thresholds.items():
            if not 0.0 < value < math.inf:
                raise ValueError(f"detector 'expectation': {name} {value}, must be a positive number")
        self._thresholds: Mapping[str, float] = dict(settings.thresholds)
        self._chance = settings.chance
        self._limits: WeakKeyDictionary[Reference, Limits] = WeakKeyDictionary()

    def limits(self, reference: Reference) -> Limits:
        """Return the thresholds for a reference, and what stands behind them."""
        known = self._limits.get(reference)
        if known is None:
            known = self._limits[reference] = Limits(reference, self._thresholds, self._chance)
        return known

    def judge(self, intervals: Sequence[Interval], expected: Sequence[Expected]) -> list[Finding]:
        """Judge intervals of one shape, each against its own expectation.

        Raises
        ------
        ValueError
            If a total is not finite: a comparison with NaN would call the map good.
        """
        if not intervals:
            return []
        odd_one = next((i for i in intervals if not math.isfinite(i.total)), None)
        if odd_one is not None:
            raise ValueError(f"{odd_one.key}: contents that are not finite cannot be judged")
        limits = [self.limits(e.reference) for e in expected]
        windows = expected[0].reference.window_set
        best = np.zeros((len(intervals), len(windows.names)))
        odd = np.zeros(len(intervals), dtype=bool)
        alone: dict[int, AnyArray] = {}
        if expected[0].reference.profile:
            exposure = np.ones(len(intervals))
            rates: Sequence[FloatArray] = self._scan_profiles(intervals, expected, best)
            for m, (interval, one) in enumerate(zip(intervals, expected, strict=True)):
                odd[m] = missing_entries(one.reference, interval, limits[m].single).any()
        else:
            exposure, rates = self._scan_sums(intervals, expected, limits, kernels.CLOSE, best, odd, alone)
        loud = odd | (np.abs(best) >= np.stack([one.sigmas for one in limits])).any(axis=1)
        chances = chances_of(windows, np.stack([one.tails for one in limits]), best)
        scores = np.abs(best).max(axis=1, initial=0.0)
        findings = []
        for m, (is_loud, score, p, e) in enumerate(
            zip(loud.tolist(), scores.tolist(), chances.tolist(), exposure.tolist(), strict=True)
        ):
            if is_loud:
                findings.append(Closer(intervals[m], rates[m], expected[m], limits[m], alone.get(m)).finding())
                continue
            visible, doubt = limits[m].reach(e, alone.get(m))
            findings.append(
                Finding(
                    bad=False,
                    score=score,
                    p_value=p,
                    exposure=e,
                    warning=doubt,
                    visible=visible,
                    note=limits[m].note,
                )
            )
        return findings

    def scan(self, intervals: Sequence[Interval], expected: Sequence[Expected]) -> FloatArray:
        """Return the largest significance of every scale, whatever the thresholds; small ones may be 0.

        Arguments as in `judge`. Shape: (intervals, scales).
        """
        best = np.zeros((len(intervals), len(expected[0].reference.window_set.names)))
        if expected[0].reference.profile:
            self._scan_profiles(intervals, expected, best)
        else:
            odd = np.zeros(len(intervals), dtype=bool)
            limits = [self.limits(e.reference) for e in expected]
            self._scan_sums(intervals, expected, limits, _CLOSE_IN_TAILS, best, odd, {})
        return best

    def bin_scores(self, interval: Interval, expected: Expected) -> FloatArray:
        """Return the significance of every bin, without its sign, and what neighbours and silence add to it.

        See `supported` and `SILENCE`. Shape: the histogram's.
        """
        reference = expected.reference
        exposure = 1.0
        if not reference.profile:
            exposure = reference.exposure_of(interval.contents.ravel())
        rate = modelled_rates(shown(reference, interval)[None], np.array([exposure]), expected)[0]
        alone = None
        if reference.references == 1 and not reference.profile:
            alone = systematic_alone(reference, interval.contents.ravel(), rate, exposure)[: rate.size]
        planes = Planes(reference, interval, rate, exposure, None if alone is None else alone.astype(np.float64))
        significances = planes.bin_significances()
        if not reference.profile:
            new = ~reference.live.ravel() & (interval.contents.ravel() > 0)
            chances = log_new_life(interval.contents.ravel()[new] / reference.unit, exposure, reference.exposure)
            significances[new] = np.maximum(0.0, stats.norm.isf(np.exp(np.maximum(chances, -700.0))))
        scores = supported(significances.reshape(reference.shape))
        if not reference.profile:
            silent = reference.live & (interval.contents == 0)
            scores[silent] += np.minimum(scores[silent], SILENCE)
        return scores

    def _scan_profiles(
        self, intervals: Sequence[Interval], expected: Sequence[Expected], best: FloatArray
    ) -> list[FloatArray]:
        rates = []
        for m, (interval, one) in enumerate(zip(intervals, expected, strict=True)):
            reference = one.reference
            rate = modelled_rates(shown(reference, interval)[None], np.ones(1), one)[0]
            planes = Planes(reference, interval, rate, 1.0)
            windows = reference.window_set
            place = np.empty((len(windows.names), 2), dtype=np.int64)
            kernels.scan_means(
                *planes.weighted(np.zeros(rate.size, dtype=bool)),
                np.ascontiguousarray(reference.systematic.ravel()),
                *windows.shape,
                windows.sizes,
                reference.shared,
                reference.freedoms,
                reference.skewed,
                best[m],
                place,
            )
            rates.append(rate)
        return rates

    def _scan_sums(
        self,
        intervals: Sequence[Interval],
        expected: Sequence[Expected],
        limits: Sequence[Limits],
        close: float,
        best: FloatArray,
        odd: np.ndarray,
        alone: dict[int, AnyArray],
    ) -> tuple[FloatArray, Sequence[FloatArray]]:
        """Fill `best`, `odd` and `alone`; return exposures, shape (maps,), and each map's rates, shape (bins,)."""
        tables = [e.reference.table for e in expected]
        addresses = np.stack([t.addresses for t in tables])
        numbers = np.stack([t.numbers for t in tables])
        # They stay alive in `intervals` until the calls return.
        contents = np.array([address_of(i.contents, np.float64) for i in intervals], dtype=np.uint64)
        windows = expected[0].reference.window_set
        # A model wants its maps per exposure, so theirs are fitted before; the others' while they are in the cache.
        exposure = np.full(len(intervals), -1.0)
        single = np.array([e.reference.references == 1 and e.reference.scatter is None for e in expected])
        early = np.array([is_modelled(e) for e in expected]) | single
        for m, (interval, one) in enumerate(zip(intervals, expected, strict=True)):
            if one.reference.saturated is not None:
                early[m], exposure[m] = False, one.reference.exposure_of(interval.contents.ravel())
        if early.any():
            fitted = np.empty(int(early.sum()))
            bins = int(windows.counts[0])
            kernels.exposures_at(contents[early], addresses[early], numbers[early], bins, fitted)
            exposure[early] = fitted
        rates = _rates_of(intervals, expected, exposure)
        addresses[:, 0] = [address_of(r, np.float64) for r in rates]
        for m in np.flatnonzero(single).tolist():
            reference = expected[m].reference
            alone[m] = systematic_alone(reference, intervals[m].contents.ravel(), rates[m], exposure[m])
            addresses[m, 6] = address_of(alone[m], np.float32)
        kernels.judge_counts(
            contents,
            addresses,
            numbers,
            exposure,
            *windows.shape,
            windows.sizes,
            windows.offsets,
            np.array([one.new_life for one in limits]),
            np.array([one.silent_from(1.0) for one in limits]),
            np.array([one.silent_bins for one in limits]),
            close,
            best,
            odd,
        )
        return exposure, rates


def supported(z: FloatArray) -> FloatArray:
    """Return |z| and what neighbours on both sides, along one axis, add to it. Shape: the histogram's, in and out.

    Faults of a detector may lie side by side: two neighbours that deviate in the same direction make a bin more
    suspect, by the mean of their significances, but at most by its own, so that a good bin beside a fault stays good,
    and by `MOST_SUPPORT`. Whether they do is asked of the map: where neighbours along an axis agree no more than by
    chance, its faults are single bins, and to believe neighbours would only lift good ones.
    """
    own = np.abs(z)
    support = np.zeros_like(own)
    limited = np.clip(z, -MOST_SUPPORT, MOST_SUPPORT)
    squares = float((limited**2).sum())
    for axis in range(z.ndim):
        count = z.shape[axis]
        if count < 3 or squares == 0.0:
            continue
        first, second = (np.take(limited, np.arange(n, count - 1 + n), axis=axis) for n in (0, 1))
        agreement = float((first * second).sum()) / squares * math.sqrt(np.count_nonzero(z))
        believed = min(1.0, max(0.0, agreement / _AGREE - 1.0))
        padded = np.pad(z, [(1, 1) if a == axis else (0, 0) for a in range(z.ndim)])
        before, after = (np.take(padded, np.arange(n, count + n), axis=axis) for n in (0, 2))
        support = np.maximum(support, believed * np.sign(z) * (before + after) / 2.0)
    scores: FloatArray = own + np.minimum(np.minimum(own, support), MOST_SUPPORT)
    return scores


def _rates_of(intervals: Sequence[Interval], expected: Sequence[Expected], exposure: FloatArray) -> list[FloatArray]:
    """Return each map's expected content per unit exposure, shape (bins,); one call a model."""
    rates: list[FloatArray] = [e.reference.table.kept[0] for e in expected]
    together: dict[int, list[int]] = {}
    for m, one in enumerate(expected):
        if is_modelled(one):
            together.setdefault(id(one), []).append(m)
    for members in together.values():
        maps = np.stack([intervals[m].contents.ravel() for m in members])
        found = modelled_rates(maps, exposure[members], expected[members[0]])
        for m, row in zip(members, found, strict=True):
            rates[m] = row
    return rates
