"""From held-out good maps to tails: how often good histograms look how bad.

The maps must be of runs that the expectations were not learned from: what a run's response has done to all of its
lumisections is no accident to expectations that have seen it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

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
_BATCH = 256


def calibrate_models(
    intervals: Mapping[str, Sequence[Interval]], expected: Mapping[str, Expected], *, seed: int = 0
) -> Calibration:
    """Fit the tails of good intervals that the expectations have not seen.

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
            seen.add(detector, [i for i in own if i.total > 0], expected[key])
    return seen.calibration(seed)


def cross_calibrate(
    intervals: Mapping[str, Sequence[Interval]],
    *,
    seed: int = 0,
    on_histogram: Callable[[str], None] | None = None,
) -> Calibration:
    """Fit the tails of good intervals by expectations of the other runs, a sixth of the runs at a time.

    For few data: all serve both to learn and to calibrate. Parameters as in `calibrate_models`; `on_histogram` is
    called with each ``stream/path`` when it is done.
    """
    seen = _Seen()
    detector = ExpectationDetector()
    for key, own in intervals.items():
        filled = [i for i in own if i.total > 0]
        folds = folds_of([i.run for i in filled])
        for fold in np.unique(folds) if np.unique(folds).size > 1 else ():
            kept = [i for i, f in zip(filled, folds, strict=True) if f != fold]
            held = [i for i, f in zip(filled, folds, strict=True) if f == fold]
            seen.add(detector, held, _expected_of(kept), histogram=key)
        if on_histogram is not None:
            on_histogram(key)
    return seen.calibration(seed)


def _expected_of(intervals: Sequence[Interval]) -> Expected:
    """Return reference and, where one pays, autoencoder of good intervals of one histogram."""
    learned = learn_reference(intervals, "others")
    reference = learned.reference
    if reference.profile:
        return Expected(reference)
    used = [i for i, use in zip(intervals, learned.used, strict=True) if use]
    exposure = learned.exposures[list(learned.used)]
    maps = np.stack([i.contents for i in used]) / exposure.reshape(-1, *([1] * reference.rate.ndim))
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

    def add(
        self,
        detector: ExpectationDetector,
        intervals: Sequence[Interval],
        expected: Expected,
        histogram: str | None = None,
    ) -> None:
        reference = expected.reference
        windows = reference.window_set
        usable = [i for i in intervals if i.contents.shape == reference.shape]
        for start in range(0, len(usable), _BATCH):
            part = usable[start : start + _BATCH]
            t = extremeness(windows, detector.scan(part, [expected] * len(part)))
            scales = self._extremes.setdefault(reference.statistics, {})
            for k, name in enumerate(windows.names):
                scales.setdefault(name, []).append(t[:, k])
            self._maps[reference.statistics] = self._maps.get(reference.statistics, 0) + len(part)
            self._histograms.setdefault(reference.statistics, set()).add(histogram or part[0].key)

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
