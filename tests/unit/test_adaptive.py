"""Time-ordered judging: slow drift is followed, a step is one alarm, what was flagged is not learned from."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import make_interval, profile_interval, smooth_rate
from hypothesis import given
from hypothesis import strategies as st

from monitor.alarm import AlarmBook
from monitor.config.load import settings_from
from monitor.detect.base import Expected, Finding, Settings
from monitor.detect.dbscan import DbscanDetector
from monitor.detect.scan import WIDTHS, WindowScan
from monitor.errors import ConfigurationError
from monitor.infer import Reference
from monitor.judge import AdaptiveOptions, Catalogue, Judge, Rule, judge_in_order
from monitor.judge.adaptive import AdaptiveJudge
from monitor.judge.gathered import Kept, reference_of
from monitor.service.build import build_catalogue
from monitor.snapshot import FloatArray
from monitor.verdict import Judgement, Verdict
from monitor.window import Interval, State

FLAT, MAP = (60,), (24, 16)
both_shapes = pytest.mark.parametrize("shape", [FLAT, MAP], ids=["1-D", "2-D"])


def draw(rate: FloatArray, lumisection: int, **changes: Any) -> Interval:
    return make_interval(np.random.default_rng(lumisection).poisson(rate), lumisection, **changes)


def steady(shape: tuple[int, ...], first: int, last: int, factor: FloatArray | float = 1.0) -> list[Interval]:
    return [draw(smooth_rate(shape) * factor, n) for n in range(first, last + 1)]


def tilted(shape: tuple[int, ...], slope: float) -> FloatArray:
    """A factor that rises along x, with the same total."""
    along = 1.0 + slope * np.linspace(-1.0, 1.0, shape[0])
    return along.reshape([-1] + [1] * (len(shape) - 1)) * np.ones(shape)


def flags(found: Sequence[Finding | str]) -> list[bool]:
    return [not isinstance(f, str) and f.bad for f in found]


# What is learned


@both_shapes
def test_the_first_lumisections_make_the_reference_and_say_so(shape: tuple[int, ...]) -> None:
    found = judge_in_order(steady(shape, 1, 5))
    assert found[0] == "adaptive reference: 1 of 3 good lumisections gathered"
    assert found[1] == "adaptive reference: 2 of 3 good lumisections gathered"
    assert found[2] == "adaptive reference: 3 of 3 good lumisections gathered, judged from now on"
    assert all(isinstance(f, Finding) and not f.bad and not f.shapes for f in found[3:])


@both_shapes
def test_first_lumisections_that_differ_make_no_reference(shape: tuple[int, ...]) -> None:
    slopes = [0.5, -0.5, 0.5, -0.5, 0.0, 0.0, 0.0, 0.0]
    found = judge_in_order([draw(smooth_rate(shape) * tilted(shape, s), n + 1) for n, s in enumerate(slopes)])
    assert found[3] == "adaptive reference: 4 lumisections gathered, no 3 in a row agree with one another"
    assert found[5] == "adaptive reference: 6 lumisections gathered, no 3 in a row agree with one another"
    assert "judged from now on" in str(found[6])
    assert isinstance(found[7], Finding)


@both_shapes
def test_slow_drift_is_followed_without_an_alarm(shape: tuple[int, ...]) -> None:
    slopes = np.linspace(0.0, 0.8, 200)
    found = judge_in_order(
        [draw(smooth_rate(shape) * tilted(shape, s) * (1.0 + s), n + 1) for n, s in enumerate(slopes)]
    )
    assert not any(flags(found))
    # The same distance at once is no drift.
    assert flags(judge_in_order([*steady(shape, 1, 30), draw(smooth_rate(shape) * tilted(shape, 0.8), 31)]))[-1]


@both_shapes
def test_a_step_is_flagged_until_twelve_agree_and_is_then_the_new_state(shape: tuple[int, ...]) -> None:
    found = judge_in_order([*steady(shape, 1, 40), *steady(shape, 41, 70, tilted(shape, 0.5))])
    assert flags(found) == [False] * 40 + [True] * 12 + [False] * 18
    last = found[51]
    assert isinstance(last, Finding)
    assert "it persists" in last.note


@both_shapes
def test_at_the_beginning_of_a_run_three_are_enough(shape: tuple[int, ...]) -> None:
    first = steady(shape, 1, 40)
    second = [make_interval(i.contents, n + 1, run=2) for n, i in enumerate(steady(shape, 41, 70, tilted(shape, 0.5)))]
    assert flags(judge_in_order([*first, *second]))[40:] == [True] * 3 + [False] * 27


@both_shapes
def test_states_that_do_not_agree_are_never_learned(shape: tuple[int, ...]) -> None:
    bad = [draw(smooth_rate(shape) * tilted(shape, 0.6 if n % 2 else -0.6), n) for n in range(41, 81)]
    found = judge_in_order([*steady(shape, 1, 40), *bad, *steady(shape, 81, 100)])
    assert flags(found) == [False] * 40 + [True] * 40 + [False] * 20


def test_what_was_flagged_is_not_among_what_is_compared_with() -> None:
    judge, options, scan = AdaptiveJudge(), AdaptiveOptions(), WindowScan()
    for interval in steady(FLAT, 1, 40):
        judge.judge(interval, scan, options)
    state = judge.states["cal/Ecal/Occupancy"]
    good, scores, rates = list(state.good), list(state.scores), list(state.rates)
    for interval in (draw(smooth_rate(FLAT) * tilted(FLAT, 0.6), 41), draw(smooth_rate(FLAT) * 0.2, 42)):
        found = judge.judge(interval, scan, options)
        assert isinstance(found, Finding)
        assert found.bad
        assert state.good == good
        assert state.scores == scores
    # The first had an ordinary rate.
    assert state.rates[:-1] == rates[-19:]


def test_what_is_known_is_bounded() -> None:
    judge, options = AdaptiveJudge(), AdaptiveOptions(window=5, rebase_late=4, levels=10, rates=6)
    for n in range(60):
        slope = 0.0 if n < 30 else (0.6 if n % 2 else -0.6)
        judge.judge(draw(smooth_rate(FLAT) * tilted(FLAT, slope), n + 1), WindowScan(), options)
    (state,) = judge.states.values()
    assert (len(state.good), len(state.candidates), len(state.scores), len(state.rates)) == (5, 4, 10, 6)
    assert state.nbytes == 9 * FLAT[0] * 8


def test_histograms_seen_least_recently_begin_anew_when_memory_is_short() -> None:
    judge = AdaptiveJudge(capacity_bytes=5 * 4 * FLAT[0] * 8)
    for n in range(1, 5):
        for name in "abcdefgh":
            judge.judge(draw(smooth_rate(FLAT), n, path=name), WindowScan(), AdaptiveOptions())
    assert sum(s.nbytes for s in judge.states.values()) <= 5 * 4 * FLAT[0] * 8
    assert "cal/h" in judge.states
    judge.forget(["cal/h"])
    assert "cal/h" not in judge.states


@both_shapes
def test_it_goes_on_from_a_copy_of_its_state(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(5)
    slopes = rng.choice([0.0, 0.0, 0.0, 0.4, -0.4], 120)
    intervals = [draw(smooth_rate(shape) * tilted(shape, s), n + 1) for n, s in enumerate(slopes)]
    whole = judge_in_order(intervals)
    judge = AdaptiveJudge()
    found = []
    for interval in intervals:
        judge = pickle.loads(pickle.dumps(judge))
        found.append(judge.judge(interval, WindowScan(), AdaptiveOptions()))
    assert found == whole


def test_histograms_do_not_learn_from_one_another() -> None:
    mixed = [i for n in range(1, 30) for i in (draw(smooth_rate(FLAT), n), draw(smooth_rate(MAP), n, path="b"))]
    assert judge_in_order(mixed)[::2] == judge_in_order(mixed[::2])


def test_another_binning_begins_anew() -> None:
    found = judge_in_order([*steady(FLAT, 1, 10), *steady((40,), 11, 20)])
    assert "1 of 3" in str(found[10])
    assert not any(flags(found))


# Its own measure


@both_shapes
def test_what_never_agrees_is_taken_to_be_restless(shape: tuple[int, ...]) -> None:
    intervals = [draw(smooth_rate(shape) * tilted(shape, 0.5 if n % 2 else -0.5), n) for n in range(1, 60)]
    found = judge_in_order(intervals)
    assert "gathered that differ by nature" in str(found[11])
    assert not any(flags(found))


def test_a_restless_histogram_is_judged_by_its_own_measure() -> None:
    """Bins scatter together by far more than counts do: without the level nearly all would be flagged."""
    rng = np.random.default_rng(6)
    rate = smooth_rate(FLAT, 20_000.0)
    intervals = [draw(rate * tilted(FLAT, s), n + 1) for n, s in enumerate(0.06 * rng.standard_normal(150))]
    assert sum(flags(judge_in_order(intervals, AdaptiveOptions(levels=10_000, level_share=0.001)))) > 30
    found = judge_in_order(intervals)
    # Three that are alike by chance may make the first reference, which lasts for twelve others at most.
    assert sum(flags(found)) <= 25
    assert not any(flags(found)[60:])
    assert flags(judge_in_order([*intervals, draw(rate * tilted(FLAT, 0.8), 151)]))[-1]
    last = found[-1]
    assert isinstance(last, Finding)
    assert "times as much as statistics do" in last.note


# The rate


def test_a_rate_below_half_is_bad_and_not_learned() -> None:
    intervals = [*steady(FLAT, 1, 30), *steady(FLAT, 31, 34, 0.4), *steady(FLAT, 35, 40)]
    found = judge_in_order(intervals)
    assert flags(found) == [False] * 30 + [True] * 4 + [False] * 6
    low = found[30]
    assert isinstance(low, Finding)
    assert [(s.kind, s.sign) for s in low.shapes] == [("map", "low")]
    assert "times the median rate" in low.warning


def test_a_lower_rate_that_persists_is_the_new_one() -> None:
    assert sum(flags(judge_in_order([*steady(FLAT, 1, 30), *steady(FLAT, 31, 60, 0.4)]))) == 12
    assert not any(flags(judge_in_order([*steady(FLAT, 1, 30), *steady(FLAT, 31, 60, 0.6)])))


def test_a_rate_may_be_bounded_above() -> None:
    intervals = [*steady(FLAT, 1, 30), *steady(FLAT, 31, 32, 2.5)]
    assert not any(flags(judge_in_order(intervals)))
    found = judge_in_order(intervals, AdaptiveOptions(highest_rate=2.0))
    assert flags(found)[-2:] == [True, True]
    assert isinstance(found[-1], Finding)
    assert found[-1].shapes[0].sign == "hot"


def test_a_rate_is_counted_per_lumisection() -> None:
    several = [
        draw(smooth_rate(FLAT) * 4.0, 4 * n, first_lumisection=4 * n - 3, path="Ecal/Occupancy") for n in range(8, 12)
    ]
    assert not any(flags(judge_in_order([*steady(FLAT, 1, 28), *several], AdaptiveOptions(highest_rate=2.0))))


# Kinds of statistics


def test_profiles() -> None:
    mean = smooth_rate(FLAT, 50.0)
    rng = np.random.default_rng(7)

    def one(lumisection: int, factor: FloatArray | float = 1.0) -> Interval:
        entries = rng.poisson(300.0, FLAT).astype(float)
        drawn = mean * factor + 5.0 * rng.standard_normal(FLAT) / np.sqrt(np.maximum(entries, 1.0))
        return profile_interval(drawn, 5.0, entries, lumisection)  # type: ignore[no-any-return]

    shifted = np.ones(FLAT)
    shifted[20:29] = 1.1
    found = judge_in_order([*(one(n) for n in range(1, 41)), one(41, shifted), one(42)])
    assert flags(found) == [False] * 40 + [True, False]
    bad = found[40]
    assert isinstance(bad, Finding)
    assert {b[0] for b in bad.shapes[0].bins} == set(range(20, 29))


@pytest.mark.parametrize("known", [True, False], ids=["with errors", "without errors"])
def test_sums_of_weights(known: bool) -> None:
    rng = np.random.default_rng(8)

    def one(lumisection: int, factor: float = 1.0) -> Interval:
        counts = rng.poisson(smooth_rate(FLAT))
        contents = counts * 2.5 + 0.25
        contents[30:33] *= factor
        return make_interval(contents, lumisection, variances=counts * 2.5**2 if known else None)

    found = judge_in_order([*(one(n) for n in range(1, 41)), one(41, 2.0), one(42)])
    assert flags(found) == [False] * 40 + [True, False]


def test_counters_that_never_change_show_one_missing_channel() -> None:
    contents = np.full(MAP, 2000.0)
    dead = contents.copy()
    dead[3, 4] = 0.0
    intervals = [make_interval(contents, n, state=State.STUCK if n > 1 else State.READY) for n in range(1, 20)]
    found = judge_in_order([*intervals, make_interval(dead, 20)])
    assert flags(found) == [False] * 19 + [True]
    assert isinstance(found[-1], Finding)
    assert found[-1].shapes[0].bins == ((3, 4),)


def test_a_bin_that_was_always_empty_and_fills_is_flagged() -> None:
    rate = smooth_rate(MAP)
    rate[5:8] = 0.0
    alive = rate.copy()
    alive[6, 6] = 40.0
    found = judge_in_order([*(draw(rate, n) for n in range(1, 31)), draw(alive, 31)])
    assert flags(found) == [False] * 30 + [True]
    assert isinstance(found[-1], Finding)
    assert found[-1].shapes[0].bins == ((6, 6),)


# The scan


def brute(contents: FloatArray, reference: Reference, sizes: Sequence[tuple[int, int]]) -> float:
    """Largest |z| over all windows, each summed by itself."""
    e = contents.sum() / reference.rate.sum()
    best = 0.0
    for sx, sy in sizes:
        for x in range(contents.shape[0] - sx + 1):
            for y in range(contents.shape[1] - sy + 1):
                w = np.s_[x : x + sx, y : y + sy]
                mu = e * reference.rate[w]
                share = e / reference.exposure
                v = np.maximum(mu * (1.0 + share), share) + (reference.systematic[w] * mu) ** 2
                best = max(best, abs(float((contents[w] - mu).sum() / np.sqrt(v.sum() + 1.0))))
    return best


@given(st.integers(0, 10_000), st.sampled_from([(9, 7), (30, 1), (26, 1), (1, 1), (8, 3)]))
def test_the_scan_is_that_of_every_window_by_itself(seed: int, shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(seed)
    truth = rng.gamma(1.0, 20.0, shape)
    flat = shape[1] == 1
    maps = [rng.poisson(truth).astype(float) for _ in range(4)]
    kept = [Kept.of(make_interval(m.ravel() if flat else m)) for m in maps]
    contents = rng.poisson(truth * rng.uniform(0.5, 2.0)).astype(float)
    reference = reference_of(kept, "test")
    if not reference.live.any() or contents.sum() == 0 or reference.constant:
        return
    interval = make_interval(contents.ravel() if flat else contents)
    (finding,) = WindowScan().judge([interval], [Expected(reference)])
    nx, ny = shape
    sizes = [(w, 1) for w in WIDTHS] if flat else [(1, 1), (3, 3), (5, 5), (1, ny), (nx, 1), (3, ny), (nx, 3)]
    sizes += [] if flat else [(max(1, nx // 8), ny), (nx, max(1, ny // 8))]
    allowed = [s for s in sizes if s[0] <= nx and s[1] <= ny and s != (nx, ny)] or [(1, 1)]
    two = reference if not flat else _as_column(reference)
    assert finding.score == pytest.approx(brute(contents, two, allowed), rel=1e-9, abs=1e-9)


def _as_column(reference: Reference) -> Reference:
    arrays = {name: getattr(reference, name)[:, None] for name in ("rate", "systematic", "live")}
    return replace(reference, **arrays)


def test_a_strip_is_named_as_one() -> None:
    rate = smooth_rate(MAP)
    low = rate.copy()
    low[9] *= 0.6
    found = judge_in_order([*(draw(rate, n) for n in range(1, 31)), draw(low, 31)])
    assert isinstance(found[-1], Finding)
    (shape,) = found[-1].shapes
    assert (shape.kind, shape.axis, shape.index, shape.sign) == ("strip", "x", 9, "low")


def test_the_scan_refuses_what_it_does_not_know() -> None:
    with pytest.raises(ValueError, match="bin"):
        WindowScan(Settings({"bin": 5.0}))


@pytest.mark.parametrize("before", [6, 31, 151])
def test_dead_bins_of_counts_stay_bad_however_long_the_past_is(before: int) -> None:
    """The largest of many windows is three sigma or so by chance, which is no restlessness."""
    rate = np.full(FLAT, 200.0)
    dead = rate.copy()
    dead[20:24] = 0.0
    found = judge_in_order([*(draw(rate, n) for n in range(1, before)), draw(dead, before)])
    assert flags(found) == [False] * (before - 1) + [True]


@pytest.mark.parametrize("wide", [2, 4, 6, 7])
def test_what_is_named_are_the_bins_that_changed(wide: int) -> None:
    rate = np.full(FLAT, 200.0)
    for factor in (0.0, 3.0):
        changed = rate.copy()
        changed[20 : 20 + wide] *= factor
        found = judge_in_order([*(draw(rate, n) for n in range(1, 21)), draw(changed, 21)])[-1]
        named = {b[0] for s in found.shapes for b in s.bins}
        # The best window may be smaller than the fault; what is not in the fault is not named.
        assert named <= set(range(20, 20 + wide))
        assert len(named) >= (wide if factor == 0.0 else 0.75 * wide)


@pytest.mark.parametrize("mean", [2.0, 5.0, 12.0])
def test_few_entries_are_no_odd_rate(mean: float) -> None:
    assert not any(flags(judge_in_order([draw(np.full(FLAT, mean / 60), n) for n in range(1, 401)])))


def test_a_negative_total_is_named() -> None:
    (found,) = judge_in_order([make_interval(np.full(FLAT, -2.0))])
    assert found == "contents sum up to -120: with a negative total there is nothing to compare"


@pytest.mark.parametrize("silent", [2, 29])
def test_bins_of_a_profile_that_fall_silent_are_bad(silent: int) -> None:
    rng = np.random.default_rng(9)

    def one(lumisection: int, first: int = 0) -> Interval:
        entries = rng.poisson(300.0, FLAT).astype(float)
        entries[:first] = 0.0
        drawn = smooth_rate(FLAT, 50.0) + 0.3 * rng.standard_normal(FLAT)
        return profile_interval(np.where(entries > 0, drawn, 0.0), 5.0, entries, lumisection)  # type: ignore[no-any-return]

    found = judge_in_order([*(one(n) for n in range(1, 21)), one(21, silent), one(22)])
    assert flags(found) == [False] * 20 + [True, False]
    assert {b[0] for s in found[20].shapes for b in s.bins} == set(range(silent))
    assert found[20].headline.startswith(f"{silent} bins of the profile got no entries")


def test_a_detector_without_standard_deviations_decides_itself() -> None:
    detector = DbscanDetector(Settings(options={"eps_threshold": 0.3, "minpts": 3}))
    hot = np.ones(MAP)
    hot[3, 4] = 4.0
    rate = np.full(MAP, 4000.0)
    found = judge_in_order([*(draw(rate, n) for n in range(1, 21)), draw(rate * hot, 21)], detector=detector)
    assert flags(found)[-1]


# In the monitor


def catalogue_of(text: dict[str, Any] | None = None) -> Catalogue:
    types = [{"name": "all", "match": ["*"], "reference": "adaptive", **(text or {})}]
    settings = settings_from({"models": {"directory": None}, "types": types}, "test")
    return build_catalogue(settings, Path(), "test")[0]


def verdicts(judge: Judge, intervals: Sequence[Interval]) -> list[Verdict]:
    return [j.verdict for j in judge.judge(intervals)]


def test_a_step_raises_one_alarm_and_clears_when_it_is_the_new_state() -> None:
    judge, book = Judge(catalogue_of()), AlarmBook()
    step = np.ones(FLAT)
    step[20:23] = 2.0
    judgements: list[Judgement] = []
    for interval in [*steady(FLAT, 1, 40), *steady(FLAT, 41, 60, step)]:
        judgements += judge.judge([interval])
    events = [(e.event, e.alarm.judgement.lumisection) for j in judgements for e in book.update(j)]
    assert [e for e in events if e[0] != "updated"] == [("raised", 41), ("cleared", 53)]
    assert [j.verdict for j in judgements[:3]] == [Verdict.TOO_FEW] * 3
    assert judgements[0].reason == "adaptive reference: 1 of 3 good lumisections gathered"
    assert judgements[40].detector == "scan"
    assert judgements[40].verdict is Verdict.BAD
    # Whole batches say the same.
    together = Judge(catalogue_of()).judge([*steady(FLAT, 1, 40), *steady(FLAT, 41, 60, step)])
    assert together == judgements


def test_any_detector_compares_with_the_adaptive_reference() -> None:
    catalogue = catalogue_of({"detector": "expectation", "adaptive": {"check": "detector", "threshold": 10}})
    step = np.ones(MAP)
    step[10] = 0.2
    found = Judge(catalogue).judge([*steady(MAP, 1, 30), *steady(MAP, 31, 32, step)])
    assert [j.verdict for j in found] == [Verdict.TOO_FEW] * 3 + [Verdict.GOOD] * 27 + [Verdict.BAD] * 2
    assert found[-1].detector == "expectation"
    assert {b[0] for s in found[-1].shapes for b in s.bins} == {10}


def test_nothing_arriving_is_bad_only_while_others_fill() -> None:
    judge = Judge(catalogue_of())
    for n in range(1, 20):
        judge.judge([draw(smooth_rate(FLAT), n, path=p) for p in "ab"])
    empty = make_interval(np.zeros(FLAT), 20, path="a", state=State.EMPTY, silent=1)
    assert verdicts(judge, [empty]) == [Verdict.TOO_FEW]
    # In whatever order they come in the batch.
    assert verdicts(judge, [empty, draw(smooth_rate(FLAT), 20, path="b")]) == [Verdict.BAD, Verdict.GOOD]


def test_a_producer_that_repeats_itself_is_bad() -> None:
    intervals = [*steady(FLAT, 1, 20), *(make_interval(draw(smooth_rate(FLAT), 20).contents, 21, state=State.STUCK),)]
    found = Judge(catalogue_of()).judge(intervals)
    assert found[-1].verdict is Verdict.BAD
    assert "producer is stuck" in found[-1].reason


def test_what_is_too_few_or_joined_is_not_learned() -> None:
    judge = Judge(catalogue_of())
    odd = [
        draw(smooth_rate(FLAT) * 0.001, 1, state=State.TOO_FEW),
        draw(smooth_rate(FLAT), 2, state=State.JOINED),
    ]
    assert verdicts(judge, odd) == [Verdict.TOO_FEW] * 2
    assert "1 of 3" in judge.judge([draw(smooth_rate(FLAT), 3)])[0].reason


def test_a_detector_that_fails_costs_one_verdict() -> None:
    class Broken:
        name = "broken"
        needs_rates = False

        def judge(self, intervals: Sequence[Interval], expected: Sequence[Expected]) -> list[Finding]:
            raise RuntimeError("no")

    failed: list[str] = []
    rule = Rule(name="all", match=("*",), subsystem="x", detector=Broken(), adaptive=AdaptiveOptions(rebase_early=2))
    judge = Judge(Catalogue([rule]), lambda key, _error: failed.append(key))
    assert verdicts(judge, steady(FLAT, 1, 2)) == [Verdict.TOO_FEW, Verdict.ERROR]
    assert failed == ["cal/Ecal/Occupancy"]


def test_a_worker_that_lost_a_histogram_begins_anew_with_it() -> None:
    judge = Judge(catalogue_of())
    judge.judge(steady(FLAT, 1, 10))
    judge.forget({"cal/Ecal/Occupancy"})
    assert verdicts(judge, steady(FLAT, 11, 11)) == [Verdict.TOO_FEW]


def test_configuration_of_adaptive_types() -> None:
    rule = catalogue_of({"adaptive": {"window": 30}}).rules[0]
    assert rule.adaptive == AdaptiveOptions(window=30)
    assert rule.detector.name == "scan"
    assert catalogue_of({"reference": "learned"}).rules[0].adaptive is None
    with pytest.raises(ConfigurationError, match="above 1"):
        settings_from({"types": [{"name": "a", "match": ["*"], "adaptive": {"highest_rate": 0.8}}]}, "t")


def test_the_defaults_of_configuration_and_code_are_the_same() -> None:
    assert catalogue_of().rules[0].adaptive == AdaptiveOptions()


@given(st.integers(0, 10_000), st.integers(2, 12))
def test_the_reference_is_the_pooled_rate_and_the_scatter_about_it(seed: int, number: int) -> None:
    rng = np.random.default_rng(seed)
    truth = rng.gamma(2.0, 200.0, 40) + 20.0
    exposures = rng.uniform(0.5, 2.0, number)
    maps = [rng.poisson(truth * e * (1.0 + 0.1 * rng.standard_normal(40))).astype(float) for e in exposures]
    reference = reference_of([Kept.of(make_interval(m)) for m in maps], "test")
    totals = np.array([m.sum() for m in maps])
    e = totals / totals.mean()
    rate = np.sum(maps, axis=0) / e.sum()
    assert reference.rate == pytest.approx(rate)
    assert reference.exposure == pytest.approx(number)
    scatter = np.sum([(m - x * rate) ** 2 for m, x in zip(maps, e, strict=True)], axis=0) / (number - 1)
    full = rate >= np.median(rate)
    excess = float(np.median((scatter - rate)[full] / rate[full] ** 2))
    assert reference.systematic == pytest.approx(np.full(40, np.sqrt(max(0.0, excess))), abs=1e-6)
