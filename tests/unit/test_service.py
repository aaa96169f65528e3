"""The loop: nothing is committed before its effects, nothing good is lost beside something bad."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from helpers import SHAPE, expect, make_snapshot, poisson_map, smooth_rate
from prometheus_client import CollectorRegistry

from monitor.alarm import AlarmEvent, Policy
from monitor.decode import Envelope
from monitor.decode.native import encode
from monitor.detect.expectation import ExpectationDetector
from monitor.judge import Catalogue, Rule
from monitor.service import pipeline as pipeline_module
from monitor.service.files import judge_snapshots
from monitor.service.loop import Service
from monitor.service.pipeline import Pipeline
from monitor.service.watchdog import Watchdog
from monitor.sinks.metrics import Metrics
from monitor.snapshot import Snapshot
from monitor.source.record import Batch, ListSource, Partition, Record
from monitor.verdict import Judgement, Verdict

RATE = smooth_rate()
P0, P1 = ("t", 0), ("t", 1)


def snapshot(lumisection: int, path: str = "a", *, dead: bool = False, **changes: Any) -> Snapshot:
    contents = poisson_map(RATE, 97 * lumisection + ord(path))
    if dead:
        contents[5] = 0.0
    return make_snapshot(contents, lumisection, path=path, **changes)


def record(what: Snapshot | bytes, offset: int, partition: Partition = P0) -> Record:
    value = what if isinstance(what, bytes) else encode(what)
    return Record(partition, offset, Envelope(value, received_ns=1_700_000_000_000_000_000 + offset))


def batch(*what: Snapshot | bytes, first: int = 0, partition: Partition = P0, **changes: Any) -> Batch:
    return Batch([record(one, first + n, partition) for n, one in enumerate(what)], **changes)


@dataclass
class ListSink:
    """Keeps what is published; calls `before` first."""

    before: Callable[[], None] = lambda: None
    name: str = "list"
    judgements: list[Judgement] = field(default_factory=list)
    events: list[AlarmEvent] = field(default_factory=list)

    def publish(self, judgements: Sequence[Judgement], events: Sequence[AlarmEvent]) -> None:
        self.before()
        self.judgements += judgements
        self.events += events

    def close(self) -> None:
        pass


@dataclass
class Source(ListSource):
    """Notes every commit and whether it was closed."""

    commits: list[dict[Partition, int]] = field(default_factory=list)
    closed: int = 0

    def commit(self, positions: Mapping[Partition, int]) -> bool:
        self.commits.append(dict(positions))
        return ListSource.commit(self, positions)

    def close(self) -> None:
        self.closed += 1


def catalogue(*paths: str) -> Catalogue:
    rule = Rule(name="all", match=("*",), subsystem="calo", detector=ExpectationDetector())
    return Catalogue([rule], references={f"cal/{path}": expect(RATE) for path in paths or ("a", "b")})


@dataclass
class Monitor:
    """A service with what is around it; its clock moves by 10 ms whenever it is read."""

    source: Source
    sinks: list[Any]
    service: Service
    metrics: Metrics
    pipeline: Pipeline

    def run(self, stop: threading.Event | None = None) -> None:
        self.service.run(stop or threading.Event(), until_idle_s=1.0)

    def count(self, name: str, **labels: str) -> float:
        value = self.metrics.registry.get_sample_value(name, labels)
        assert value is not None, name
        return value


def monitor(batches: list[Batch], *sinks: Any, source: Source | None = None, **changes: Any) -> Monitor:
    metrics = Metrics(CollectorRegistry(), ["calo"], "t")
    pipeline = Pipeline(catalogue(), Policy(), on_error=lambda stage, _error: metrics.see_error(stage))
    source = source or Source(batches)
    ticks = itertools.count()
    all_sinks = [*(sinks or (ListSink(),)), metrics]
    service = Service(source, pipeline, all_sinks, metrics, clock=lambda: next(ticks) / 100.0, **changes)
    return Monitor(source, all_sinks, service, metrics, pipeline)


def verdicts(sink: ListSink) -> list[str]:
    return [f"{j.path}{j.lumisection} {j.verdict.value}" for j in sink.judgements]


# From records to alarms


def test_records_become_verdicts_and_alarms() -> None:
    sink = ListSink()
    sent = [snapshot(n, path, dead=path == "a" and n in (3, 4)) for n in range(1, 7) for path in ("a", "b")]
    m = monitor([batch(*sent[:5]), batch(*sent[5:], first=5)], sink)
    m.run()
    assert verdicts(sink) == [f"{s.path}{s.lumisection} {'BAD' if s in (sent[4], sent[6]) else 'GOOD'}" for s in sent]
    assert [(e.event, e.alarm.judgement.lumisection) for e in sink.events] == [("raised", 3), ("cleared", 5)]
    assert m.source.committed == {P0: len(sent)}
    assert m.source.closed == 1
    assert m.service.judged == len(sent)
    assert m.service.totals.verdicts == {"GOOD": 10, "BAD": 2}
    assert m.service.totals.alarms == {"raised": 1, "cleared": 1}


def test_files_get_the_same_verdicts_as_records() -> None:
    sent = [snapshot(n, path, dead=n == 3) for n in range(1, 5) for path in ("a", "b")]
    sink = ListSink()
    monitor([batch(*sent)], sink).run()
    found = list(judge_snapshots(sent, catalogue()))
    assert [(j.key, j.lumisection, j.verdict, j.shapes) for j in found] == [
        (j.key, j.lumisection, j.verdict, j.shapes) for j in sink.judgements
    ]


def test_several_partitions_are_committed_each() -> None:
    m = monitor(
        [batch(snapshot(1), first=7), batch(snapshot(1, "b"), first=40, partition=P1), batch(snapshot(2), first=8)]
    )
    m.run()
    assert m.source.committed == {P0: 9, P1: 41}


# Offsets after effects


def test_offsets_are_committed_only_after_every_sink_has_published() -> None:
    batches = [batch(snapshot(n), first=n - 1) for n in range(1, 20)]
    source = Source(list(batches))
    seen: list[int] = []
    first = ListSink()
    # At the time of publishing at most what was published before is committed.
    last = ListSink(before=lambda: seen.append(source.committed.get(P0, 0)))
    monitor([], first, last, source=source, commit_interval_s=0.001).run()
    assert len(seen) == len(batches)
    assert all(committed <= n for n, committed in enumerate(seen))
    assert source.committed == {P0: 19}


def test_commits_go_by_time() -> None:
    batches = [batch(snapshot(n), first=n - 1) for n in range(1, 10)]
    m = monitor(batches, commit_interval_s=1e6)
    m.run()
    assert m.source.commits == [{P0: 9}]


def test_a_commit_that_could_not_be_is_asked_again() -> None:
    class Reluctant(Source):
        def commit(self, positions: Mapping[Partition, int]) -> bool:
            self.commits.append(dict(positions))
            return len(self.commits) > 2

    source = Reluctant([batch(snapshot(1))])
    m = monitor([], source=source, commit_interval_s=0.05)
    m.service.step()
    process_one(m)
    for _ in range(50):
        m.service.step()
    assert source.commits == [{P0: 1}] * 3


@pytest.mark.parametrize("error", [OSError("gone"), SystemExit(3), ValueError("wrong")])
def test_a_sink_that_fails_ends_the_run_and_commits_nothing_of_its_batch(error: BaseException) -> None:
    first, calls = ListSink(), itertools.count(1)

    def fail_at_third() -> None:
        if next(calls) == 3:
            raise error

    m = monitor([batch(snapshot(n), first=n - 1) for n in range(1, 9)], first, ListSink(before=fail_at_third))
    with pytest.raises(type(error)) as caught:
        m.run()
    assert caught.value is error
    assert m.source.committed == {P0: 2}
    assert m.source.closed == 1
    assert [j.lumisection for j in first.judgements] == [1, 2, 3]
    assert m.service.judged == 2


def test_a_defect_in_a_stage_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    m = monitor([batch(snapshot(1)), batch(snapshot(2), first=1)])
    process = m.pipeline.process

    def broken(given: Batch) -> Any:
        if given.records[0].offset == 1:
            raise KeyError("defect")
        return process(given)

    monkeypatch.setattr(m.pipeline, "process", broken)
    with pytest.raises(KeyError, match="defect"):
        m.run()
    assert m.source.committed == {P0: 1}


def test_a_source_that_fails_ends_the_run_and_is_closed() -> None:
    class Failing(Source):
        def poll(self, timeout_s: float) -> Batch:
            raise ConnectionError("fatal")

    source = Failing([])
    with pytest.raises(ConnectionError, match="fatal"):
        monitor([], source=source).run()
    assert source.closed == 1


# Bad messages


def test_bad_messages_between_good_ones_are_counted_and_the_good_ones_judged() -> None:
    good = [snapshot(n) for n in range(1, 5)]
    cut = encode(good[0])[:-7]
    sink = ListSink()
    m = monitor([batch(b"", good[0], b"\x00noise", good[1], cut, good[2], b'{"_typename": "TTree"}', good[3])], sink)
    m.run()
    assert verdicts(sink) == [f"a{n} GOOD" for n in range(1, 5)]
    assert m.service.totals.rejects == {"empty": 1, "unknown_format": 1, "truncated": 1, "no_identity": 1}
    assert m.count("dqm_rejects_total", reason="truncated") == 1
    assert m.count("dqm_messages_processed_total", topic="t", outcome="accepted") == 4
    assert m.count("dqm_messages_processed_total", topic="t", outcome="rejected") == 4
    assert m.source.committed == {P0: 8}


def test_a_batch_of_nothing_but_noise_moves_the_offsets_too() -> None:
    m = monitor([batch(b"x", b"y", b"z")])
    m.run()
    assert m.source.committed == {P0: 3}


def test_damage_on_the_broker_is_counted() -> None:
    m = monitor([Batch(corrupt=3), batch(snapshot(1), corrupt=2)])
    m.run()
    assert m.count("dqm_rejects_total", reason="corrupt_batch") == 5
    assert m.count("dqm_messages_processed_total", topic="t", outcome="accepted") == 1


def test_a_decoder_that_fails_costs_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    decode = pipeline_module.decode

    def broken(envelope: Envelope) -> Snapshot:
        if envelope.received_ns % 10 == 1:
            raise RuntimeError("defect of a decoder")
        return decode(envelope)

    monkeypatch.setattr(pipeline_module, "decode", broken)
    sink = ListSink()
    m = monitor([batch(*(snapshot(n) for n in (1, 2, 3)))], sink)
    m.run()
    assert verdicts(sink) == ["a1 GOOD", "a3 GOOD"]
    assert m.count("dqm_rejects_total", reason="decoder_failed") == 1
    assert m.count("dqm_processing_errors_total", stage="decode") == 1


def test_a_detector_that_fails_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Any:
        raise RuntimeError("defect of a detector")

    monkeypatch.setattr(ExpectationDetector, "judge", broken)
    sink = ListSink()
    m = monitor([batch(snapshot(1))], sink)
    m.run()
    assert verdicts(sink) == ["a1 ERROR"]
    assert m.count("dqm_processing_errors_total", stage="detect") == 1


def test_late_and_repeated_snapshots_are_counted() -> None:
    m = monitor([batch(snapshot(2), snapshot(2), snapshot(1), snapshot(3))])
    m.run()
    assert m.service.totals.windows == {"duplicate": 1, "late": 1}
    assert m.count("dqm_window_events_total", event="late") == 1


# Start, stop, rebalance


def test_what_was_polled_before_a_stop_is_judged_and_committed() -> None:
    stop, sink = threading.Event(), ListSink(before=lambda: None)
    # The worker waits in its first batch until the main thread was told to stop.
    sink.before = lambda: stop.wait(10) and None

    class Stopping(Source):
        def poll(self, timeout_s: float) -> Batch:
            found = Source.poll(self, timeout_s)
            if not self.batches:
                stop.set()
            return found

    source = Stopping([batch(snapshot(n), first=n - 1) for n in (1, 2, 3)])
    m = monitor([], sink, source=source)
    m.service.run(stop)
    assert verdicts(sink) == ["a1 GOOD", "a2 GOOD", "a3 GOOD"]
    assert source.committed == {P0: 3}


def test_a_full_queue_holds_the_source_back() -> None:
    stop = threading.Event()
    source = Source([batch(snapshot(n), first=n - 1) for n in range(1, 9)])
    waiting: list[int] = []

    def look() -> None:
        waiting.append(len(source.batches))

    m = monitor([], ListSink(before=look), source=source, queue_batches=1)
    m.run(stop)
    # One in the worker's hands, one in the queue, one in the poll thread's.
    assert all(left >= 8 - (n + 1) - 2 for n, left in enumerate(waiting))
    assert source.committed == {P0: 8}


def test_it_ends_when_nothing_came_for_long_enough_but_not_before_there_are_partitions() -> None:
    polls = itertools.count()

    class Slow(Source):
        def poll(self, timeout_s: float) -> Batch:
            # Nothing for a while although partitions are assigned, then one batch.
            return batch(snapshot(1)) if next(polls) == 150 else Batch()

        def ready(self) -> bool:
            return next(polls) > 140

    source = Slow([])
    monitor([], source=source).run()
    assert source.committed == {P0: 1}


def test_a_lost_partition_forgets_its_state_and_no_other() -> None:
    sink = ListSink()

    def totals(n: int, path: str) -> Snapshot:
        contents = sum((poisson_map(RATE, k) for k in range(1, n + 1)), np.zeros(SHAPE))
        return make_snapshot(contents, n, path=path, cumulative=True)

    def both(n: int, **changes: Any) -> Batch:
        records = [record(totals(n, "a"), n, P0), record(totals(n, "b"), n, P1)]
        return Batch(records, **changes)

    m = monitor([both(1), both(2), both(3, lost=frozenset({P0})), both(4)], sink)
    m.run()
    assert [j.verdict for j in sink.judgements if j.path == "b"] == [Verdict.GOOD] * 4
    assert [j.verdict for j in sink.judgements if j.path == "a"] == [
        Verdict.GOOD,
        Verdict.GOOD,
        Verdict.TOO_FEW,
        Verdict.GOOD,
    ]


def test_alarms_of_a_lost_partition_are_no_longer_counted_here() -> None:
    sink = ListSink()
    m = monitor([batch(snapshot(1, dead=True)), Batch(lost=frozenset({P0}))], sink)
    active = {"subsystem": "calo", "severity": "MAJOR"}
    m.service.step()
    process_one(m)
    assert m.count("dqm_alarms_active", **active) == 1
    assert m.count("dqm_histograms", subsystem="calo", verdict="BAD") == 1
    assert len(m.pipeline.open_alarms()) == m.pipeline.histograms() == 1
    m.service.step()
    process_one(m)
    assert m.count("dqm_alarms_active", **active) == 0
    assert m.count("dqm_histograms", subsystem="calo", verdict="BAD") == 0
    assert m.pipeline.open_alarms() == []
    assert m.pipeline.histograms() == 0


def process_one(m: Monitor) -> None:
    """Take one batch through, in this thread."""
    waiting = m.service._waiting.get_nowait()
    assert waiting is not None
    m.service._judge(waiting)


def test_poll_loop_and_worker_report_progress_to_the_watchdog() -> None:
    said: list[tuple[str, str]] = []

    class Noted(Watchdog):
        def start(self) -> None:
            said.append(("start", ""))

        def stop(self) -> None:
            said.append(("stop", ""))

        def busy(self, activity: str) -> None:
            said.append(("busy", activity))

        def idle(self, activity: str) -> None:
            said.append(("idle", activity))

    monitor([batch(snapshot(1))], watchdog=Noted(1.0)).run()
    assert said[0] == ("start", "")
    assert said[-1] == ("stop", "")
    assert [s for s in said if s[1] == "worker"] == [("busy", "worker"), ("idle", "worker")]
    assert ("idle", "poll") not in said
    assert said.count(("busy", "poll")) > 10
