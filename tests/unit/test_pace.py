"""When the next snapshot of a replay is due, and what a replay counts."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from monitor.errors import Reject
from monitor.snapshot import Axis, Kind, Snapshot
from monitor.source.recorded_file import Skip
from monitor.source.recording import LUMISECTION_S
from producers.replay import MAX_GAP_S, NAMES, Outcome, Pace, Skips, replay


def snapshot(time_s: float = 0.0, run: int = 1, sequence: int = 0, path: str = "h") -> Snapshot:
    return Snapshot(
        stream="s",
        path=path,
        run=run,
        lumisection=1,
        time_ns=round(time_s * 1e9),
        kind=Kind.TH1,
        axes=(Axis(2, 0.0, 1.0),),
        contents=np.ones(2),
        sequence=sequence,
    )


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class Listed:
    def __init__(self, refuse: str = "", stop_after: int = 10**9) -> None:
        self.sent: list[Snapshot] = []
        self.refuse = refuse
        self.stop_after = stop_after

    def send(self, snapshot: Snapshot) -> bool:
        if snapshot.path == self.refuse:
            raise Reject("oversized", "too much")
        if len(self.sent) == self.stop_after:
            return False
        self.sent.append(snapshot)
        return True


class Recorded:
    def __init__(self, *snapshots: Snapshot) -> None:
        self.snapshots = snapshots

    def __iter__(self) -> Iterator[Snapshot]:
        return iter(self.snapshots)


def test_real_time_and_faster() -> None:
    clock = Clock()
    for speed, expected in ((1.0, 20.0), (10.0, 2.0)):
        pace = Pace(speed, clock)
        assert pace.wait_s(snapshot(1000.0)) == 0
        assert pace.wait_s(snapshot(1000.0)) == 0
        assert pace.wait_s(snapshot(1020.0)) == pytest.approx(expected)


def test_what_is_late_is_caught_up() -> None:
    clock = Clock()
    pace = Pace(1.0, clock)
    pace.wait_s(snapshot(0))
    clock.now += 15
    assert pace.wait_s(snapshot(10)) == 0
    assert pace.wait_s(snapshot(20)) == pytest.approx(5)


@pytest.mark.parametrize(
    "following", [snapshot(10**6, run=2), snapshot(-(10**6), run=2), snapshot(MAX_GAP_S + 1)], ids=str
)
def test_gaps_are_cut_to_a_lumisection(following: Snapshot) -> None:
    pace = Pace(1.0, Clock())
    pace.wait_s(snapshot(0))
    assert pace.wait_s(following) == pytest.approx(LUMISECTION_S)


def test_time_that_goes_back_within_a_run_is_not_waited_for() -> None:
    pace = Pace(1.0, Clock())
    pace.wait_s(snapshot(50))
    assert pace.wait_s(snapshot(20)) == 0


def test_as_fast_as_possible_and_nonsense() -> None:
    pace = Pace(None, Clock())
    assert [pace.wait_s(snapshot(t)) for t in (0, 10**9)] == [0, 0]
    for speed in (0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="speed"):
            Pace(speed)


def run(
    recorded: Recorded, sink: Listed, *, loop: bool = False, stop: threading.Event | None = None
) -> tuple[Outcome, Skips]:
    skips = Skips()

    def tell(outcome: Outcome) -> None:
        if loop and outcome.sent == 7 and stop is not None:
            stop.set()

    stop = stop or threading.Event()
    return replay(recorded, sink, Pace(None), skips=skips, stop=stop, loop=loop, tell=tell), skips


def test_everything_is_sent_once_unchanged() -> None:
    recorded = Recorded(snapshot(1), snapshot(2, run=3, sequence=1))
    sink = Listed()
    outcome, skips = run(recorded, sink)
    assert sink.sent == list(recorded.snapshots)
    assert (outcome.sent, outcome.runs, outcome.passes, outcome.interrupted) == (2, {1, 3}, 1, False)
    assert outcome.by_kind == {"TH1": 2}
    assert skips.words() == ""


def test_loop_keeps_sequences_rising_and_ends_when_asked() -> None:
    sink = Listed()
    outcome, _ = run(Recorded(*[snapshot(t, sequence=t) for t in range(3)]), sink, loop=True, stop=threading.Event())
    assert [sent.sequence for sent in sink.sent] == list(range(7))
    assert (outcome.sent, outcome.passes, outcome.interrupted) == (7, 2, True)
    assert [sent.time_ns for sent in sink.sent[:3]] == [sent.time_ns for sent in sink.sent[3:6]]


def test_a_loop_over_nothing_ends() -> None:
    assert run(Recorded(), Listed(), loop=True)[0].sent == 0
    outcome, skips = run(Recorded(snapshot(path="big")), Listed(refuse="big"), loop=True)
    assert outcome.sent == 0
    assert skips.record() == {"oversized": {"count": 1, "names": ["s/big"]}}


def test_a_refused_snapshot_is_counted_and_the_next_one_sent() -> None:
    sink = Listed(refuse="big")
    outcome, skips = run(Recorded(snapshot(path="big"), snapshot()), sink)
    assert [sent.path for sent in sink.sent] == ["h"]
    assert outcome.sent == 1
    assert skips.counts == {"oversized": 1}


def test_a_sink_that_stops_ends_the_replay() -> None:
    outcome, _ = run(Recorded(*[snapshot(t) for t in range(5)]), Listed(stop_after=2))
    assert (outcome.sent, outcome.passes) == (2, 0)


def test_stopping_ends_a_wait() -> None:
    stop = threading.Event()
    timer = threading.Timer(0.1, stop.set)
    timer.start()
    sink = Listed()
    outcome = replay(Recorded(snapshot(0), snapshot(50)), sink, Pace(1.0), skips=Skips(), stop=stop)
    timer.join()
    assert (outcome.sent, outcome.interrupted) == (1, True)


def test_skips_are_counted_once_with_their_first_names() -> None:
    skips = Skips()
    for number in range(NAMES + 2):
        skips(Skip("graph", Path("/a/b.root"), f"g{number}"))
    skips(Skip("empty_file", Path("/a/c.root")))
    skips.closed = True
    skips(Skip("graph", Path("/a/b.root"), "again"))
    assert skips.record()["graph"] == {"count": NAMES + 2, "names": [f"b.root:g{n}" for n in range(NAMES)]}
    assert skips.words().startswith("empty_file 1 (c.root); graph 7 (b.root:g0, ")
    assert skips.words().endswith(", ...)")
