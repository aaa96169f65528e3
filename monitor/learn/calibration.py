"""From held-out good maps to tails: how often good histograms look how bad.

The maps must be of runs that the expectations were not learned from: what a run's response has done to all of its
lumisections is no accident to expectations that have seen it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

import monitor
from monitor.detect.base import Expected
from monitor.detect.expectation import ExpectationDetector
from monitor.infer import Calibration, Pool, Tail
from monitor.infer.calibration import ENOUGH, extremeness
from monitor.learn.lowrank import LowRank, choose_rank, fit_modes, folds_of
from monitor.learn.reference import learn_reference
from monitor.snapshot import FloatArray
from monitor.window import Interval

_BEYOND = 0.05
"""Share of maps that an exponential is fitted to,"""
_FEWEST_BEYOND = 10
"""or as many as this many of them are."""
_CAREFUL = 1.0
"""Standard errors that are added to a slope."""
_BAD = 25.0
"""T from which on a map may be bad rather than good, some 7 to 8 standard deviations,"""
_BEYOND_ALL = 4.0
"""and how many times as far out as the last of the others is to be expected."""
_NO_RULE = 0.3
"""Share of references beyond which those that differ are the rule, and no bad ones among good ones."""
_BATCH = 256


@dataclass(frozen=True, slots=True)
class Fitted:
    """A calibration, and what was left out of it."""

    calibration: Calibration
    left_out: Mapping[str, tuple[Interval, ...]]
    """Intervals that are bad rather than good, by ``stream/path``."""


def calibrate_models(
    intervals: Mapping[str, Sequence[Interval]], expected: Mapping[str, Expected], *, seed: int = 0
) -> Fitted:
    """Fit the tails of good intervals that the expectations have not seen.

    One that differs by far more than the others do is bad, is left out and named: it would make all thresholds deaf.

    Parameters
    ----------
    intervals
        Held-out good intervals by ``stream/path``; those without an expectation are passed over.
    expected
        Expectations by ``stream/path``.
    seed
        Written into the calibration: of the split that held the intervals out.
    """
    seen = _Seen()
    detector = ExpectationDetector()
    for key, own in intervals.items():
        if key in expected:
            seen.add(detector, key, [i for i in own if i.total > 0], expected[key])
    return Fitted(seen.calibration(seed), seen.left_out)


def cross_calibrate(
    intervals: Mapping[str, Sequence[Interval]],
    *,
    ranks: Mapping[str, int | None] | None = None,
    seed: int = 0,
    on_histogram: Callable[[str], None] | None = None,
) -> Fitted:
    """Fit the tails of good intervals by expectations of the other runs, a sixth of the runs at a time.

    For few data: all serve both to learn and to calibrate, but for those that were left out while learning.

    Parameters
    ----------
    ranks
        Modes of the autoencoders as asked for, by ``stream/path``; None: as many as pay.
    on_histogram
        Called with each ``stream/path`` when it is done. Others as in `calibrate_models`.
    """
    seen = _Seen()
    detector = ExpectationDetector()
    for key, own in intervals.items():
        filled = seen.good(key, [i for i in own if i.total > 0])
        rank = (ranks or {}).get(key)
        folds = folds_of([i.run for i in filled])
        for fold in np.unique(folds) if np.unique(folds).size > 1 else ():
            kept = [i for i, f in zip(filled, folds, strict=True) if f != fold]
            held = [i for i, f in zip(filled, folds, strict=True) if f == fold]
            seen.add(detector, key, held, _expected_of(kept, rank))
        if on_histogram is not None:
            on_histogram(key)
    return Fitted(seen.calibration(seed), seen.left_out)


def _expected_of(intervals: Sequence[Interval], asked: int | None) -> Expected:
    """Return reference and, where one pays or is asked for, autoencoder of good intervals of one histogram."""
    learned = learn_reference(intervals, "others")
    reference = learned.reference
    if reference.profile:
        return Expected(reference)
    used = [i for i, use in zip(intervals, learned.used, strict=True) if use]
    exposure = learned.exposures[list(learned.used)]
    maps = np.stack([i.contents for i in used]) / exposure.reshape(-1, *([1] * reference.rate.ndim))
    rank = asked
    if rank is None:
        rank = choose_rank(maps, reference.rate, reference.live, folds_of([i.run for i in used]))
    if rank == 0:
        return Expected(reference)
    return Expected(reference, LowRank(reference.rate, *fit_modes(maps, reference.rate, reference.live, rank)))


class _Seen:
    """How extreme good maps were, by kind of statistics and scale."""

    def __init__(self) -> None:
        self._extremes: dict[str, dict[str, list[FloatArray]]] = {}
        self._maps: dict[str, int] = {}
        self._histograms: dict[str, set[str]] = {}
        self.left_out: dict[str, tuple[Interval, ...]] = {}

    def good(self, key: str, intervals: Sequence[Interval]) -> list[Interval]:
        """Return the intervals that agree with each other as references do; all, where too many do not."""
        if len(intervals) < 3:
            return list(intervals)
        used = learn_reference(intervals, key).used
        bad = tuple(i for i, use in zip(intervals, used, strict=True) if not use)
        if not bad or len(bad) > _NO_RULE * len(intervals):
            return list(intervals)
        self.left_out[key] = bad
        return [i for i, use in zip(intervals, used, strict=True) if use]

    def add(self, detector: ExpectationDetector, key: str, intervals: Sequence[Interval], expected: Expected) -> None:
        reference = expected.reference
        windows = reference.window_set
        usable = [i for i in intervals if i.contents.shape == reference.shape]
        if not usable:
            return
        z = np.concatenate(
            [
                detector.scan(part, [expected] * len(part))
                for part in (usable[n : n + _BATCH] for n in range(0, len(usable), _BATCH))
            ]
        )
        t = extremeness(windows, z)
        bad = _differing(t.max(axis=1))
        if bad.any():
            self.left_out[key] = self.left_out.get(key, ()) + tuple(usable[n] for n in np.flatnonzero(bad))
        t = t[~bad]
        kind = reference.statistics
        scales = self._extremes.setdefault(kind, {})
        for k, name in enumerate(windows.names):
            scales.setdefault(name, []).append(t[:, k])
        self._maps[kind] = self._maps.get(kind, 0) + len(t)
        self._histograms.setdefault(kind, set()).add(key)

    def calibration(self, seed: int) -> Calibration:
        return Calibration(
            pools={
                kind: Pool(
                    maps=self._maps[kind],
                    histograms=len(self._histograms[kind]),
                    tails={
                        name: tail
                        for name, parts in scales.items()
                        if (tail := fit_tail(np.concatenate(parts))) is not None
                    },
                )
                for kind, scales in sorted(self._extremes.items())
            },
            seed=seed,
            software=f"histwatch {monitor.__version__}",
        )


def _differing(t: FloatArray) -> NDArray[np.bool_]:
    """Tell which maps are far beyond the tail that the others have, as none of some hundred times as many would be.

    Parameters
    ----------
    t
        See `fit_tail`, of every map's most extreme scale. Shape: (maps,), as of what is returned.
    """
    bad: NDArray[np.bool_] = np.zeros(t.size, dtype=bool)
    if t.size < 3:
        return bad
    middle, upper = np.quantile(t, (0.5, 0.75))
    # The quartile says how heavy the tail is, and is moved by no less than a quarter of bad maps.
    slope = max(1.0, float(upper - middle) / math.log(2.0))
    bad = t > max(_BAD, float(middle) + _BEYOND_ALL * slope * math.log(t.size))
    # Where many differ, that is how these maps are.
    return bad if bad.sum() <= _NO_RULE * t.size else np.zeros_like(bad)


def fit_tail(t: FloatArray) -> Tail | None:
    """Fit the tail of T = -log(2 N sf(|z|)) of good maps; None where there are too few.

    Shape: (maps,). The slope is the mean excess over the quantile, with `_CAREFUL` standard errors more, never
    lighter than theory.
    """
    if t.size < ENOUGH:
        return None
    share = max(_BEYOND, min(0.5, _FEWEST_BEYOND / t.size))
    start = float(np.quantile(t, 1.0 - share))
    beyond = t[t > start]
    if beyond.size == 0:
        return Tail(share=share, start=round(start, 6), slope=1.0)
    # A few tens of maps know their mean excess to a fifth: what is not known must not become false alarms.
    slope = max(1.0, float((beyond - start).mean()) * (1.0 + _CAREFUL / math.sqrt(beyond.size)))
    return Tail(share=round(beyond.size / t.size, 6), start=round(start, 6), slope=round(slope, 6))


def calibrated(expected: Expected, calibration: Calibration | None) -> Expected:
    """Return an expectation that knows the tails of its kind of statistics."""
    pool = None if calibration is None else calibration.pools.get(expected.reference.statistics)
    return expected if pool is None else replace(expected, reference=replace(expected.reference, pool=pool))
