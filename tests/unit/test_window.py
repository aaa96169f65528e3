"""Intervals from snapshots: every line of the table in `monitor.window.store`, and what must hold for any sequence."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from helpers import axes_of, make_profile, make_snapshot, profile_of
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.snapshot import Axis, Kind, Snapshot
from monitor.window import Interval, Minimum, State, WindowStore
from monitor.window.store import REOPEN_AFTER
from monitor.window.sums import Sums

ONE = Minimum()
FULL = np.array([4e6, 6e6, 5e6, 4.5e6])
"""Enough in every bin for a repetition to be no chance."""


def add(store: WindowStore, snapshot: Snapshot, minimum: Minimum = ONE) -> Interval:
    interval = store.add(snapshot, minimum)
    assert interval is not None
    return interval


def total_of(contents: Any, lumisection: int = 1, **changes: Any) -> Snapshot:
    return make_snapshot(contents, lumisection, cumulative=True, **changes)


def events_of(store: WindowStore) -> dict[str, int]:
    return {name: number for name, number in store.events.items() if number}


# The lines of the table


@pytest.mark.parametrize("lumisection", [0, 1])
def test_a_run_seen_from_its_start_counts_from_nothing(lumisection: int) -> None:
    interval = add(WindowStore(), total_of(FULL, lumisection))
    assert interval.state is State.READY
    np.testing.assert_array_equal(interval.contents, FULL)
    assert (interval.first_lumisection, interval.lumisection, interval.total) == (lumisection, lumisection, FULL.sum())


def test_another_run_counts_from_nothing_wherever_it_is_first_seen() -> None:
    store = WindowStore()
    add(store, total_of(10 * FULL, 1))
    interval = add(store, total_of(FULL, 7, run=2))
    assert (interval.state, interval.run, interval.total) == (State.READY, 2, FULL.sum())
    assert events_of(store) == {"run_changed": 1}


def test_what_came_before_it_joined_a_run_is_not_judged() -> None:
    store = WindowStore()
    joined = add(store, total_of(10 * FULL, 5))
    assert joined.state is State.JOINED
    after = add(store, total_of(10 * FULL + 3, 6))
    assert after.state is State.READY
    assert after.first_lumisection == after.lumisection == 6
    np.testing.assert_array_equal(after.contents, np.full(4, 3.0))


def test_an_interval_histogram_joins_at_any_time() -> None:
    assert add(WindowStore(), make_snapshot(FULL, 50)).state is State.READY


@pytest.mark.parametrize(
    "change",
    [
        {"axes": axes_of((5,)), "contents": np.full(5, 100.0)},
        {"axes": (Axis(4, 0.0, 8.0),)},
        {"axes": (Axis(4, 0.0, 4.0, np.array([0.0, 1.5, 2.0, 3.0, 4.0])),)},
        {"kind": Kind.TPROFILE, "variances": np.ones(4), "entries": np.full(4, 9.0)},
    ],
    ids=["bins", "range", "edges", "kind"],
)
def test_other_axes_in_mid_run_become_a_new_base(change: dict[str, Any]) -> None:
    store = WindowStore()
    add(store, total_of(FULL, 1))
    rebinned = replace(total_of(10 * FULL, 2), **change)
    assert add(store, rebinned).state is State.JOINED
    assert events_of(store) == {"axes_changed": 1}
    again = replace(rebinned, lumisection=3, time_ns=3_000_000_000, sequence=3)
    assert add(store, again).state is State.EMPTY


def test_titles_and_labels_are_not_other_axes() -> None:
    store = WindowStore()
    add(store, total_of(FULL, 1))
    renamed = replace(total_of(2 * FULL, 2), axes=(Axis(4, 0.0, 4.0, None, ("a", "b", "c", "d"), "channel"),))
    assert add(store, renamed).state is State.READY
    assert events_of(store) == {}


@pytest.mark.parametrize("change", [{"run": 1}, {"lumisection": 2}, {"time_ns": 1}], ids=["run", "lumisection", "time"])
def test_what_is_late_is_dropped(change: dict[str, int]) -> None:
    store = WindowStore()
    add(store, total_of(FULL, 3, run=2))
    add(store, total_of(2 * FULL, 4, run=2))
    assert store.add(replace(total_of(9 * FULL, 5, run=2), **change), ONE) is None
    assert events_of(store) == {"late": 1}
    assert add(store, total_of(3 * FULL, 5, run=2)).total == FULL.sum()


@pytest.mark.parametrize("cumulative", [True, False])
def test_several_late_in_a_row_show_that_the_one_before_was_wrong(cumulative: bool) -> None:
    """One snapshot of a far future, a wrong clock or run, must not silence a histogram for ever."""
    store = WindowStore()
    add(store, make_snapshot(FULL, 4_000_000, run=9, cumulative=cumulative))
    sent = [make_snapshot(n * FULL, n, run=2, cumulative=cumulative) for n in range(2, 8)]
    assert [store.add(s, ONE) for s in sent[:REOPEN_AFTER]] == [None] * REOPEN_AFTER
    first, second = (add(store, s) for s in sent[REOPEN_AFTER : REOPEN_AFTER + 2])
    assert (first.state, second.state) == (State.JOINED if cumulative else State.READY, State.READY)
    assert (second.run, second.total) == (2, (1 if cumulative else REOPEN_AFTER + 3) * FULL.sum())
    assert events_of(store) == {"late": REOPEN_AFTER, "reopened": 1}


def test_late_ones_between_others_never_reopen() -> None:
    store = WindowStore()
    for n in range(2, 12):
        add(store, total_of(n * FULL, n))
        assert store.add(total_of(FULL, 1), ONE) is None
    assert events_of(store) == {"late": 10}


def test_a_snapshot_that_comes_twice_counts_once() -> None:
    store = WindowStore()
    first = make_snapshot(FULL, 1)
    add(store, first)
    assert store.add(first, ONE) is None
    assert events_of(store) == {"duplicate": 1}


def test_new_content_at_the_same_place_is_no_duplicate() -> None:
    store = WindowStore()
    same = {"time_ns": 5, "sequence": 0}
    add(store, total_of(FULL, 1, **same))
    assert add(store, total_of(3 * FULL, 1, **same)).total == 2 * FULL.sum()
    assert events_of(store) == {}


def test_a_counter_that_began_anew_counts_from_nothing() -> None:
    store = WindowStore()
    add(store, total_of(10 * FULL, 1))
    interval = add(store, total_of(4 * FULL, 2))
    assert interval.state is State.READY
    np.testing.assert_array_equal(interval.contents, 4 * FULL)
    assert interval.first_lumisection == 2
    assert events_of(store) == {"reset": 1}
    assert add(store, total_of(5 * FULL, 3)).total == FULL.sum()


@pytest.mark.parametrize("taken", [1.0, 4 * FULL[2]], ids=["one entry", "many"])
def test_a_counter_that_was_corrected_becomes_a_new_base(taken: float) -> None:
    store = WindowStore()
    add(store, total_of(10 * FULL, 1))
    corrected = 10 * FULL
    corrected[2] -= taken
    assert add(store, total_of(corrected, 2)).state is State.JOINED
    assert events_of(store) == {"reset": 1}
    interval = add(store, total_of(corrected + 1, 3))
    assert (interval.state, interval.total, interval.first_lumisection) == (State.READY, 4, 3)


def test_weighted_contents_may_fall_but_their_squares_may_not() -> None:
    store = WindowStore()
    add(store, total_of([5.0, 3.0], 1, variances=np.array([5.0, 3.0])))
    fell = add(store, total_of([4.0, 3.0], 2, variances=np.array([6.0, 3.0])))
    np.testing.assert_allclose(fell.contents, [-1.0, 0.0])
    assert events_of(store) == {}
    add(store, total_of([1.0, 1.0], 3, variances=np.array([1.0, 1.0])))
    assert events_of(store) == {"reset": 1}


def test_rounding_is_no_reset() -> None:
    store = WindowStore()
    add(store, total_of([900.0, 5.0], 1, variances=np.array([900.0, 5.0])))
    add(store, total_of([1800.0, 5.0], 2, variances=np.array([1800.0, 5.0 - 1e-4])))
    assert events_of(store) == {}


def test_too_few_entries_accumulate_until_there_are_enough() -> None:
    store, minimum = WindowStore(), Minimum(entries=100)
    found = [add(store, total_of([40.0 * n], n), minimum) for n in range(1, 6)]
    assert [i.state for i in found] == [State.TOO_FEW, State.TOO_FEW, State.READY, State.TOO_FEW, State.TOO_FEW]
    assert [i.total for i in found] == [40, 80, 120, 40, 80]
    assert [(i.first_lumisection, i.lumisection) for i in found] == [(1, 1), (1, 2), (1, 3), (4, 4), (4, 5)]


def test_interval_histograms_accumulate_alike() -> None:
    store, minimum = WindowStore(), Minimum(entries=100)
    found = [add(store, make_snapshot([40.0 + n], n), minimum) for n in range(1, 6)]
    assert [i.state for i in found] == [State.TOO_FEW, State.TOO_FEW, State.READY, State.TOO_FEW, State.TOO_FEW]
    assert [i.total for i in found] == [41, 83, 126, 44, 89]


def test_producers_that_count_no_lumisections_span_one_at_a_time() -> None:
    store = WindowStore()
    found = [add(store, total_of(n * FULL, 0, time_ns=n, sequence=n)) for n in range(1, 5)]
    assert {i.state for i in found} == {State.READY}
    assert {i.lumisections for i in found} == {1}
    silent = add(store, total_of(4 * FULL, 0, time_ns=9, sequence=9))
    assert (silent.state, silent.silent) == (State.EMPTY, 1)


def test_the_minimum_counts_lumisections_too() -> None:
    store, minimum = WindowStore(), Minimum(lumisections=3)
    states = [add(store, total_of(n * FULL, n), minimum).state for n in range(1, 7)]
    assert states == [State.TOO_FEW, State.TOO_FEW, State.READY] * 2


def test_what_nothing_was_added_to_is_empty_and_stays_open() -> None:
    store = WindowStore()
    add(store, total_of(FULL, 1))
    silent = [add(store, total_of(FULL, n)) for n in (2, 3, 6)]
    assert {i.state for i in silent} == {State.EMPTY}
    assert [i.silent for i in silent] == [1, 2, 5]
    full = add(store, total_of(2 * FULL, 7))
    assert (full.state, full.first_lumisection, full.silent) == (State.READY, 2, 0)


def test_silence_is_counted_from_the_last_filled_lumisection_and_not_from_the_start_of_the_window() -> None:
    store, minimum = WindowStore(), Minimum(entries=1e9)
    for n in range(1, 31):
        add(store, total_of([1.0 * n], n), minimum)
    silent = add(store, total_of([30.0], 31), minimum)
    assert (silent.state, silent.total, silent.silent, silent.lumisections) == (State.EMPTY, 30.0, 1, 31)


def test_a_histogram_that_is_empty_from_the_start_is_empty() -> None:
    for snapshot in (total_of(np.zeros(4)), make_snapshot(np.zeros(4))):
        interval = add(WindowStore(), snapshot)
        assert (interval.state, interval.silent) == (State.EMPTY, 1)


def test_an_interval_histogram_that_repeats_itself_is_stuck() -> None:
    store = WindowStore()
    add(store, make_snapshot(FULL, 1))
    assert add(store, make_snapshot(FULL, 2)).state is State.STUCK
    assert add(store, make_snapshot(FULL, 3)).state is State.STUCK
    assert add(store, make_snapshot(FULL + 1, 4)).state is State.READY


@pytest.mark.parametrize("contents", [[1.0], [300.0], [0.0, 2.0, 1.0, 0.0]])
def test_few_numbers_repeat_by_chance(contents: list[float]) -> None:
    store = WindowStore()
    add(store, make_snapshot(contents, 1))
    assert add(store, make_snapshot(contents, 2)).state is State.READY


def test_whether_numbers_repeat_by_chance_is_their_poisson_probability() -> None:
    rng = np.random.default_rng(0)
    for mean in (0.3, 2.0, 20.0):
        seen = np.mean(rng.poisson(mean, 200_000) == rng.poisson(mean, 200_000))
        # So many bins that their agreement has a probability of exp(-25), one more and one less.
        bins = int(np.ceil(-25.0 / np.log(seen)))
        assert Sums(np.full(int(bins * 0.95), mean), None, None).may_repeat()
        assert not Sums(np.full(int(bins * 1.05) + 1, mean), None, None).may_repeat()


def test_a_full_store_forgets_what_it_saw_longest_ago() -> None:
    store = WindowStore(capacity=2)
    for path in ("a", "b"):
        add(store, total_of(FULL, 1, path=path))
    add(store, total_of(2 * FULL, 2, path="a"))
    add(store, total_of(FULL, 1, path="c"))
    assert events_of(store) == {"evicted": 1}
    assert set(store) == {"cal/a", "cal/c"}
    assert add(store, total_of(3 * FULL, 3, path="a")).state is State.READY
    assert add(store, total_of(3 * FULL, 3, path="b")).state is State.JOINED


def test_memory_is_bounded_too() -> None:
    store = WindowStore(capacity_bytes=10 * 2 * 800)
    for n in range(25):
        add(store, total_of(np.ones(100), 1, path=str(n)))
    assert set(store) == {f"cal/{n}" for n in range(15, 25)}
    # What grows or shrinks is counted as it is now, and one that is too large for all is still judged.
    add(store, total_of(np.ones(300), 2, path="24"))
    assert set(store) == {f"cal/{n}" for n in range(17, 25)}
    add(store, total_of(np.ones(100_000), 1, path="large"))
    assert set(store) == {"cal/large"}
    add(store, total_of(np.ones(1), 1, path="small"))
    assert set(store) == {"cal/small"}
    assert events_of(store)["evicted"] == 26


def test_a_histogram_with_new_axes_is_the_one_seen_last() -> None:
    store = WindowStore(capacity=2)
    add(store, total_of(FULL, 1, path="a"))
    add(store, total_of(FULL, 1, path="b"))
    add(store, total_of(np.ones(9), 2, path="a"))
    add(store, total_of(FULL, 1, path="c"))
    assert set(store) == {"cal/a", "cal/c"}


def test_streams_and_paths_have_windows_of_their_own() -> None:
    store = WindowStore()
    add(store, total_of(FULL, 1))
    add(store, total_of(FULL, 1, stream="other"))
    assert len(store) == 2
    assert add(store, total_of(3 * FULL, 2, stream="other")).total == 2 * FULL.sum()
    assert add(store, total_of(2 * FULL, 2)).total == FULL.sum()


@pytest.mark.parametrize("dtype", ["f4", "f8", "i2", "u1", "i4", "i8", "u2", "u4", "u8", ">i4"])
def test_every_dtype_gives_float64_intervals(dtype: str) -> None:
    store = WindowStore()
    add(store, total_of(np.array([[1, 2], [3, 4]], dtype=dtype), 1))
    interval = add(store, total_of(np.array([[2, 4], [6, 250]], dtype=dtype) % 251, 2))
    assert interval.contents.dtype == np.float64
    np.testing.assert_array_equal(interval.contents, [[1, 2], [3, 246]])


def test_a_producer_may_change_its_dtype() -> None:
    store = WindowStore()
    add(store, total_of(FULL.astype(np.float32), 1))
    assert add(store, total_of((2 * FULL).astype(np.int64), 2)).total == FULL.sum()


def test_snapshots_are_not_written_to() -> None:
    store = WindowStore()
    for n in (1, 2, 3):
        contents = np.full(4, 7.0 * n)
        contents.flags.writeable = False
        add(store, total_of(contents, n), Minimum(entries=1000))


# What must hold for any sequence


counts = st.lists(st.integers(0, 30), min_size=3, max_size=3)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.one_of(counts, st.just([0, 0, 0])), min_size=1, max_size=20),
    st.integers(1, 3),
    st.integers(0, 120),
    st.integers(1, 4),
    st.sampled_from(["f4", "i4", "f8"]),
    st.booleans(),
)
def test_ready_intervals_and_the_open_window_add_up_to_what_was_sent(
    updates: list[list[int]], start: int, entries: int, lumisections: int, dtype: str, cumulative: bool
) -> None:
    store, minimum = WindowStore(), Minimum(entries, lumisections)
    totals = np.cumsum(updates, axis=0)
    sent = totals if cumulative else np.array(updates)
    found = [
        add(store, make_snapshot(contents.astype(dtype), start + n, cumulative=cumulative), minimum)
        for n, contents in enumerate(sent)
    ]
    base = totals[0] if found[0].state is State.JOINED else 0
    closed = [i for i in found if i.state in (State.READY, State.STUCK)]
    still_open = [] if found[-1] in closed or found[-1].state is State.JOINED else [found[-1]]
    gathered = sum((i.contents for i in closed + still_open), np.zeros(3))
    np.testing.assert_array_equal(gathered, totals[-1] - base)
    # Nothing is judged twice, nothing left out between.
    for one, other in pairwise(closed):
        assert other.first_lumisection == one.lumisection + 1
    for interval in closed:
        if interval.state is State.READY:
            assert interval.total >= entries
            assert interval.lumisections >= lumisections


fills = st.lists(st.tuples(st.integers(0, 2), st.floats(-50, 50)), max_size=25)


@settings(max_examples=200, deadline=None)
@given(st.lists(fills, min_size=1, max_size=6))
def test_the_interval_of_a_profile_is_the_profile_of_the_fills_between(updates: list[list[tuple[int, float]]]) -> None:
    store, so_far = WindowStore(), []
    for n, new in enumerate(updates, 1):
        so_far += new
        interval = add(store, make_profile(so_far, 3, n, cumulative=True))
        assert interval.state is (State.READY if new else State.EMPTY)
        assert_is_profile_of(interval, new)


def assert_is_profile_of(interval: Interval, raw: list[tuple[int, float]]) -> None:
    mean, variance, entries = profile_of(raw, 3)
    assert interval.variances is not None
    assert interval.entries is not None
    np.testing.assert_allclose(interval.entries, entries, atol=1e-9)
    np.testing.assert_allclose(interval.contents, mean, atol=1e-7)
    np.testing.assert_allclose(interval.variances, variance, atol=1e-6)
    assert interval.total == pytest.approx(len(raw))


@settings(max_examples=100, deadline=None)
@given(st.lists(fills.filter(bool), min_size=2, max_size=6))
def test_intervals_of_a_profile_accumulate_to_the_profile_of_all_fills(updates: list[list[tuple[int, float]]]) -> None:
    store, everything = WindowStore(), []
    for n, new in enumerate(updates, 1):
        everything += new
        interval = add(store, make_profile(new, 3, n), Minimum(entries=1e6))
        assert interval.state is State.TOO_FEW
        assert_is_profile_of(interval, everything)


def test_a_profile_in_float32_is_not_taken_for_reset() -> None:
    rng = np.random.default_rng(2)
    store, so_far = WindowStore(), []
    for n in range(1, 6):
        so_far += [(0, v) for v in rng.normal(1000.0, 3.0, 500)]
        exact = make_profile(so_far, 2, n, cumulative=True)
        rounded = {name: getattr(exact, name).astype(np.float32) for name in ("contents", "variances", "entries")}
        interval = add(store, replace(exact, **rounded))
        assert interval.state is State.READY
        assert interval.contents[0] == pytest.approx(1000.0, abs=1.0)
    assert events_of(store) == {}


def test_a_profile_that_lost_entries_was_reset() -> None:
    store = WindowStore()
    add(store, make_profile([(0, 1.0)] * 9 + [(1, 2.0)], 2, 1, cumulative=True))
    interval = add(store, make_profile([(0, 5.0)] * 2 + [(1, 2.0)] * 2, 2, 2, cumulative=True))
    np.testing.assert_allclose(interval.contents, [5.0, 2.0])
    assert events_of(store) == {"reset": 1}
