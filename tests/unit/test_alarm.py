"""The life of an alarm: raised once, updated when it changes, cleared when its fault is gone."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from helpers import make_shape
from hypothesis import given, settings
from hypothesis import strategies as st

import monitor.alarm
from monitor.alarm import Alarm, AlarmBook, AlarmEvent, Policy, Severity
from monitor.alarm.event import MAX_BINS
from monitor.snapshot import Kind
from monitor.verdict import Judgement, Shape, Verdict

SCHEMA = json.loads((Path(monitor.alarm.__file__).parent / "alarm.schema.json").read_text(encoding="utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
DEAD = make_shape((3, 4))
HOT = make_shape((10, 10), sign="hot")


def judgement(lumisection: int, *shapes: Shape, verdict: Verdict | None = None, **changes: Any) -> Judgement:
    fields: dict[str, Any] = {
        "stream": "cal",
        "path": "Ecal/Occupancy",
        "kind": Kind.TH2,
        "run": 1,
        "lumisection": lumisection,
        "first_lumisection": lumisection,
        "time_ns": lumisection * 1_000_000_000,
        "verdict": verdict or (Verdict.BAD if shapes else Verdict.GOOD),
        "reason": "because",
        "shapes": shapes,
        "guidance": "Call the expert.",
    }
    return Judgement(**(fields | changes))


def history(policy: Policy, *steps: tuple[Shape, ...], book: AlarmBook | None = None) -> list[list[AlarmEvent]]:
    """What each of a sequence of judgements changes."""
    book = book or AlarmBook(policy)
    return [book.update(judgement(n, *shapes)) for n, shapes in enumerate(steps, 1)]


def names(events: list[list[AlarmEvent]]) -> list[list[str]]:
    return [[event.event for event in step] for step in events]


# The cycle


def test_an_alarm_is_raised_once_and_cleared_once() -> None:
    assert names(history(Policy(), (DEAD,), (DEAD,), (), (), (DEAD,))) == [["raised"], [], ["cleared"], [], ["raised"]]


def test_a_change_of_kind_sign_or_bins_is_an_update() -> None:
    grown = make_shape((3, 4), (3, 5))
    weaker = replace(grown, sign="low")
    surer = replace(weaker, significance=-20.0, observed=5.0)
    events = history(Policy(), (DEAD,), (grown,), (weaker,), (surer,), ())
    assert names(events) == [["raised"], ["updated"], ["updated"], [], ["cleared"]]
    raised, first, second, cleared = (step[0] for step in events if step)
    assert {e.alarm.id for e in (raised, first, second, cleared)} == {raised.alarm.id}
    assert [e.sequence for e in (raised, first, second, cleared)] == [0, 1, 2, 3]
    assert [e.alarm.severity for e in (raised, first, second)] == [Severity.MAJOR, Severity.MAJOR, Severity.MINOR]
    assert second.alarm.updates == 2
    # What was seen last is kept although it was no news.
    assert cleared.alarm.shape.significance == -20.0
    assert cleared.alarm.judgement.lumisection == 5


def test_since_is_the_first_bad_interval() -> None:
    book = AlarmBook(Policy(raise_after=3))
    for n in (4, 5):
        assert book.update(judgement(n, DEAD, first_lumisection=n - 1)) == []
    (raised,) = book.update(judgement(6, DEAD))
    assert (raised.alarm.since_run, raised.alarm.since_lumisection, raised.alarm.since_time_ns) == (1, 3, 4_000_000_000)
    (cleared,) = book.update(judgement(9))
    assert cleared.alarm.since_lumisection == 3


def test_two_faults_are_two_alarms() -> None:
    events = history(Policy(), (DEAD, HOT), (HOT,), ())
    assert names(events) == [["raised", "raised"], ["cleared"], ["cleared"]]
    assert events[0][0].alarm.id != events[0][1].alarm.id
    assert events[1][0].alarm.shape == DEAD
    assert events[2][0].alarm.shape == HOT


def test_the_same_bins_in_the_other_direction_are_another_alarm() -> None:
    events = history(Policy(), (DEAD,), (replace(DEAD, sign="hot", significance=9.0),))
    assert names(events) == [["raised"], ["raised", "cleared"]]


def test_histograms_have_alarms_of_their_own() -> None:
    book = AlarmBook()
    (one,) = book.update(judgement(1, DEAD))
    (other,) = book.update(judgement(1, DEAD, path="other"))
    (third,) = book.update(judgement(1, DEAD, stream="other"))
    assert len({e.alarm.id for e in (one, other, third)}) == 3
    assert names([book.update(judgement(2, path="other"))]) == [["cleared"]]
    assert {a.judgement.key for a in book.open_alarms()} == {"cal/Ecal/Occupancy", "other/Ecal/Occupancy"}


def test_faults_that_grow_together_and_part_again() -> None:
    one, other = make_shape((3, 3)), make_shape((3, 5))
    both = make_shape((3, 3), (3, 4), (3, 5))
    events = history(Policy(), (one, other), (both,), (both,), (one, other), (other,), ())
    # While they are one shape no alarm of theirs is cleared, and none is raised.
    assert names(events) == [["raised", "raised"], ["updated"], [], ["updated"], ["cleared"], ["cleared"]]
    assert events[4][0].alarm.shape == one
    assert events[5][0].alarm.shape == other


def test_one_fault_that_falls_apart_stays_one_alarm() -> None:
    both = make_shape((3, 3), (3, 4), (3, 5))
    parts = make_shape((3, 5)), make_shape((3, 3))
    events = history(Policy(), (both,), parts, parts, (both,), ())
    assert names(events) == [["raised"], ["updated"], [], ["updated"], ["cleared"]]


def test_a_fault_that_wanders_is_followed() -> None:
    steps = [(make_shape((3, y), (3, y + 1)),) for y in range(5)]
    assert names(history(Policy(), *steps)) == [["raised"], *[["updated"]] * 4]


# Persistence


@pytest.mark.parametrize("after", [1, 2, 3])
def test_it_is_raised_after_so_many_in_a_row(after: int) -> None:
    steps = [(DEAD,)] * (after - 1) + [()] + [(DEAD,)] * after
    events = names(history(Policy(raise_after=after), *steps))
    assert events[: after - 1] == [[]] * (after - 1)
    assert events[-1] == ["raised"]
    assert sum(map(len, events[:-1])) == 0 if after > 1 else True


@pytest.mark.parametrize("after", [1, 2, 3])
def test_it_is_cleared_after_so_many_in_a_row(after: int) -> None:
    interrupted = [()] * (after - 1) + [(DEAD,)]
    events = names(history(Policy(clear_after=after), (DEAD,), *interrupted, *[()] * after))
    assert events[0] == ["raised"]
    assert events[1:-1] == [[]] * (len(events) - 2)
    assert events[-1] == ["cleared"]


def test_a_fault_that_moves_within_its_bins_is_still_the_same() -> None:
    events = history(Policy(raise_after=2), (make_shape((3, 3), (3, 4)),), (make_shape((3, 4), (3, 5)),))
    assert names(events) == [[], ["raised"]]
    assert events[1][0].alarm.shape.bins == ((3, 4), (3, 5))


_UNJUDGEABLE = (Verdict.ERROR, Verdict.NO_MODEL)


@pytest.mark.parametrize("verdict", _UNJUDGEABLE)
def test_a_histogram_that_cannot_be_judged_any_more_makes_its_alarms_invalid(verdict: Verdict) -> None:
    book = AlarmBook()
    book.update(judgement(1, DEAD))
    (event,) = book.update(judgement(2, verdict=verdict))
    assert (event.event, event.alarm.severity) == ("updated", Severity.INVALID)
    assert book.update(judgement(3, verdict=verdict)) == []
    (event,) = book.update(judgement(4, DEAD))
    assert (event.event, event.alarm.severity) == ("updated", Severity.MAJOR)
    assert names([book.update(judgement(5))]) == [["cleared"]]


@pytest.mark.parametrize("verdict", [v for v in Verdict if not v.is_judgement and v not in _UNJUDGEABLE])
def test_what_is_no_judgement_changes_nothing(verdict: Verdict) -> None:
    book = AlarmBook(Policy(raise_after=2, clear_after=2))
    book.update(judgement(1, DEAD))
    assert book.update(judgement(2, verdict=verdict)) == []
    assert names([book.update(judgement(3, DEAD))]) == [["raised"]]
    book.update(judgement(4))
    assert book.update(judgement(5, verdict=verdict)) == []
    assert names([book.update(judgement(6))]) == [["cleared"]]


def test_a_warning_is_a_judgement_without_the_fault() -> None:
    book = AlarmBook()
    book.update(judgement(1, DEAD))
    assert names([book.update(judgement(2, verdict=Verdict.WARNING))]) == [["cleared"]]


def test_an_alarm_outlives_its_run() -> None:
    book = AlarmBook()
    (raised,) = book.update(judgement(5, DEAD))
    assert book.update(judgement(1, DEAD, run=2)) == []
    (cleared,) = book.update(judgement(2, run=2))
    assert cleared.alarm.id == raised.alarm.id
    assert (cleared.alarm.since_run, cleared.alarm.judgement.run) == (1, 2)


# Ids


def test_the_same_data_gives_the_same_ids() -> None:
    steps = [(DEAD,), (DEAD, HOT), (), (HOT,)]
    one, other = (history(Policy(), *steps) for _ in range(2))
    assert [[e.id for e in step] for step in one] == [[e.id for e in step] for step in other]
    # Known by heart: a change would make every open alarm a new one after an update of the software.
    assert one[0][0].alarm.id == "ba233bf34ac44a74"


@pytest.mark.parametrize(
    "other",
    [
        judgement(1, DEAD, run=2),
        judgement(1, DEAD, stream="other"),
        judgement(1, DEAD, path="other"),
        judgement(2, DEAD),
        judgement(1, DEAD, time_ns=5),
        judgement(1, make_shape((3, 5))),
        judgement(1, replace(DEAD, sign="low")),
        judgement(1, replace(DEAD, kind="strip", axis="x", index=3)),
    ],
    ids=["run", "stream", "path", "lumisection", "time", "bin", "sign", "kind"],
)
def test_what_where_which_run_and_since_when_make_the_id(other: Judgement) -> None:
    (one,) = AlarmBook().update(judgement(1, DEAD))
    (another,) = AlarmBook().update(other)
    assert one.alarm.id != another.alarm.id


def test_parts_of_names_do_not_run_into_each_other() -> None:
    (one,) = AlarmBook().update(judgement(1, DEAD, stream="a", path="b/c"))
    (other,) = AlarmBook().update(judgement(1, DEAD, stream="a/b", path="c"))
    assert one.alarm.id != other.alarm.id


def test_a_fault_that_comes_back_within_a_lumisection_is_another_alarm() -> None:
    book = AlarmBook()
    moments = [(100, (DEAD,)), (200, ()), (300, (DEAD,)), (400, ())]
    events = [event for time_ns, shapes in moments for event in book.update(judgement(7, *shapes, time_ns=time_ns))]
    assert [e.event for e in events] == ["raised", "cleared", "raised", "cleared"]
    assert len({e.id for e in events}) == 4


# What is published


def assert_valid(event: AlarmEvent) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(json.dumps(event.to_json(), allow_nan=False))
    VALIDATOR.validate(said)
    return said


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_an_event_says_what_where_since_when_how_sure_and_what_to_do() -> None:
    (raised,), (cleared,) = history(Policy(), (DEAD,), ())
    said = assert_valid(raised)
    assert said["summary"] == (
        "cal/Ecal/Occupancy: bin (3, 4) dead: 0 seen, 100 expected (-10.0 sigma), since run 1 lumisection 1."
        " Call the expert."
    )
    assert (said["event"], said["severity"], said["guidance"]) == ("raised", "MAJOR", "Call the expert.")
    assert said["since"] == {"run": 1, "lumisection": 1, "time_ns": 1_000_000_000}
    assert said["event_id"] == said["id"] + "-0"
    assert said["shape"] == DEAD.to_json()
    said = assert_valid(cleared)
    assert said["summary"] == (
        "cal/Ecal/Occupancy: bin (3, 4) is good again at lumisection 2, since run 1 lumisection 1"
    )
    assert (said["event"], said["severity"], said["event_id"]) == ("cleared", "OK", said["id"] + "-1")


def test_an_event_tells_of_its_own_shape_and_of_so_many_bins_only() -> None:
    half = make_shape(*((x, y) for x in range(100) for y in range(100)), kind="region")
    (large, small) = AlarmBook().update(judgement(1, half, make_shape((200, 200), sign="hot")))
    said = assert_valid(large)
    assert (said["shape"]["size"], len(said["shape"]["bins"])) == (10_000, MAX_BINS)
    assert len(said["judgement"]["shapes"]) == 1
    assert len(json.dumps(said)) < 200_000
    assert assert_valid(small)["judgement"]["bins"] == [[200, 200]]


def test_a_one_dimensional_alarm_is_valid_too() -> None:
    shape = make_shape((3,), (4,))
    (raised,) = AlarmBook().update(judgement(1, shape, kind=Kind.TH1))
    assert assert_valid(raised)["shape"]["bins"] == [[3], [4]]


@pytest.mark.parametrize("change", [{"event": "shelved"}, {"id": "x"}, {"more": 1}, {"severity": None}])
def test_the_schema_refuses_what_is_not_of_it(change: dict[str, Any]) -> None:
    (raised,) = AlarmBook().update(judgement(1, DEAD))
    assert not VALIDATOR.is_valid(raised.to_json() | change)


cells = st.tuples(st.integers(0, 3), st.integers(0, 2))


@st.composite
def some_shapes(draw: st.DrawFn) -> tuple[Shape, ...]:
    """As of a detector: shapes of one direction share no bin."""
    found = []
    for signs in (("dead", "low"), ("high", "hot")):
        bins = draw(st.lists(cells, unique=True, max_size=4))
        cut = draw(st.integers(0, len(bins)))
        found += [make_shape(*part, sign=draw(st.sampled_from(signs))) for part in (bins[:cut], bins[cut:]) if part]
    return tuple(draw(st.permutations(found)))


@settings(max_examples=300, deadline=None)
@given(st.lists(some_shapes(), max_size=12), st.integers(1, 3), st.integers(1, 3))
def test_any_history_is_one_of_alarms_that_begin_and_end(
    steps: list[tuple[Shape, ...]], raise_after: int, clear_after: int
) -> None:
    policy = Policy(raise_after, clear_after)
    book = AlarmBook(policy)
    events = history(policy, *steps, *[()] * clear_after, book=book)
    assert list(book.open_alarms()) == []
    lives: dict[str, list[AlarmEvent]] = defaultdict(list)
    for step in events:
        for event in step:
            assert_valid(event)
            lives[event.alarm.id].append(event)
    for life in lives.values():
        assert [e.sequence for e in life] == list(range(len(life)))
        assert [e.event for e in life] == ["raised", *["updated"] * (len(life) - 2), "cleared"]
    assert names(events) == names(history(policy, *steps, *[()] * clear_after))


@settings(max_examples=200, deadline=None)
@given(st.lists(some_shapes(), min_size=1, max_size=10))
def test_what_does_not_change_is_said_once(steps: list[tuple[Shape, ...]]) -> None:
    book = AlarmBook()
    history(Policy(), *steps, book=book)
    open_before = [alarm.id for alarm in book.open_alarms()]
    assert all(any(belongs(alarm, shape) for alarm in book.open_alarms()) for shape in steps[-1][:1])
    for n in range(3):
        events = book.update(judgement(100 + n, *steps[-1]))
        # An alarm whose fault went with the last change may still be cleared, or settle on the shape it goes on as.
        assert n == 0 or events == []
        assert not any(event.event == "raised" for event in events)
    assert {alarm.id for alarm in book.open_alarms()} <= set(open_before)


def belongs(alarm: Alarm, shape: Shape) -> bool:
    low = ("dead", "low")
    return (alarm.shape.sign in low) == (shape.sign in low) and bool(set(alarm.shape.bins) & set(shape.bins))
