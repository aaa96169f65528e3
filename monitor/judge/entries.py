"""Adaptive judging of how much a histogram holds: entries per lumisection against the run's rolling median."""

from __future__ import annotations

import math
from collections.abc import Sequence

from monitor.detect.base import Finding
from monitor.detect.geometry import sign_of
from monitor.judge.rates import is_chance
from monitor.judge.state import AdaptiveOptions, AdaptiveState
from monitor.verdict import Shape
from monitor.window import Interval, State

SURE = 25.0
"""Expected entries from which on an empty histogram is no chance: exp(-25) is 1e-11."""
_RATES = 3
"""Lumisections of a run from which on their rate is known."""
SIGMAS = 5.0
"""Standard deviations of the expected entries below which an odd rate is chance."""
_CERTAIN = 38.0
"""Where a float64 p-value ends, in standard deviations."""


def of_nothing(interval: Interval, state: AdaptiveState, beam: bool) -> Finding | str:
    """Return that nothing arrives, or why that says nothing; `beam`: whether other histograms of the stream fill."""
    rate = _median(state.rates)
    wanted = rate * (interval.silent or interval.lumisections)
    if len(state.rates) < _RATES or wanted < SURE:
        return f"nothing new, but only {wanted:.1f} entries were expected"
    if not beam:
        return "nothing new, and no other histogram yet tells whether there is beam"
    return whole(interval, wanted, "no new entries while other histograms of its stream fill: nothing arrives")


def of_rate(interval: Interval, state: AdaptiveState, options: AdaptiveOptions) -> Finding | None:
    """Return a finding where the rate is odd; else None, and the rate is remembered."""
    rate = interval.total / interval.lumisections
    median = _median(state.rates)
    known = len(state.rates) >= _RATES
    low = known and rate < options.lowest_rate * median
    high = known and options.highest_rate > 0 and rate > options.highest_rate * median
    unit = _unit(interval)
    wanted = median * interval.lumisections
    if (not low and not high) or (unit > 0 and is_chance(interval.total / unit, wanted / unit, SIGMAS)):
        state.rates = [*state.rates, rate][-options.rates :]
        state.odd_rates = []
        return None
    need = options.rebase_early if state.seen <= options.early else options.rebase_late
    state.odd_rates = [*state.odd_rates, rate][-need:]
    middle = _median(state.odd_rates)
    if len(state.odd_rates) >= need and all(
        options.lowest_rate * middle <= r and (not options.highest_rate or r <= options.highest_rate * middle)
        for r in state.odd_rates
    ):
        state.rates, state.odd_rates = state.odd_rates[-options.rates :], []
    return whole(
        interval,
        wanted,
        f"{interval.total:.6g} entries, {rate / median:.2g} times the median rate of the last "
        f"{len(state.rates)} intervals",
    )


def _unit(interval: Interval) -> float:
    """Return what one entry adds to the total, 1 for counts; 0 where that is not known."""
    if interval.entries is not None:
        return 1.0
    if interval.variances is not None:
        return max(0.0, float(interval.variances.sum()) / interval.total)
    return float((interval.contents == interval.contents.round()).all())


def whole(interval: Interval, expected: float, warning: str) -> Finding:
    """Return that the histogram as a whole is wrong."""
    away = interval.total - expected
    significance = max(-_CERTAIN, min(_CERTAIN, away / math.sqrt(max(expected, 1.0))))
    if interval.state is State.STUCK:
        significance = -_CERTAIN
    return Finding(
        bad=True,
        score=abs(significance),
        shapes=(whole_shape(interval, expected, significance),),
        warning=warning,
    )


def whole_shape(interval: Interval, expected: float, significance: float) -> Shape:
    """Return the whole histogram as one shape, with its entries and those expected."""
    return Shape(
        kind="map",
        sign=sign_of(interval.total, expected, significance < 0),
        axis=None,
        index=None,
        bins=tuple(
            tuple(int(i) for i in b) for b in zip(*(interval.contents == interval.contents).nonzero(), strict=True)
        ),
        significance=significance,
        observed=interval.total,
        expected=expected,
    )


def _median(values: Sequence[float]) -> float:
    ordered = sorted(values)
    middle = len(ordered) // 2
    if not ordered:
        return 0.0
    return ordered[middle] if len(ordered) % 2 else 0.5 * (ordered[middle - 1] + ordered[middle])
