"""The contract of a sink; add yours to `SINKS`. The one to Kafka is judged on a real broker in tests/broker."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable

import pytest
from helpers import make_shape
from prometheus_client import CollectorRegistry

from monitor.alarm import AlarmBook, AlarmEvent
from monitor.service.logs import JsonFormatter, TextFormatter
from monitor.sinks.base import Sink
from monitor.sinks.lines import LineSink
from monitor.sinks.log import LogSink
from monitor.sinks.metrics import Metrics
from monitor.snapshot import Kind
from monitor.verdict import Judgement, Verdict

SINKS: list[Callable[[], Sink]] = [LogSink, lambda: LineSink(lambda _line: None), lambda: Metrics(CollectorRegistry())]


def judgement(lumisection: int, bad: bool) -> Judgement:
    return Judgement(
        stream="cal",
        path="a/\x1b[31mb",
        kind=Kind.TH2,
        run=1,
        lumisection=lumisection,
        first_lumisection=lumisection,
        time_ns=lumisection,
        verdict=Verdict.BAD if bad else Verdict.GOOD,
        reason="",
        shapes=(make_shape((3, 3)),) if bad else (),
    )


def history() -> list[tuple[list[Judgement], list[AlarmEvent]]]:
    book = AlarmBook()
    return [([j], book.update(j)) for j in (judgement(1, False), judgement(2, True), judgement(3, False))]


@pytest.mark.parametrize("make", SINKS)
def test_a_sink_takes_whatever_a_batch_brings(make: Callable[[], Sink]) -> None:
    sink = make()
    assert sink.name
    sink.publish([], [])
    for judgements, events in history():
        sink.publish(judgements, events)
    sink.close()


def test_names_differ() -> None:
    assert len({make().name for make in SINKS}) == len(SINKS)


def test_lines_are_the_events() -> None:
    lines: list[object] = []
    sink = LineSink(lines.append)
    for judgements, events in history():
        sink.publish(judgements, events)
    assert [line["event"] for line in lines] == ["raised", "cleared"]  # type: ignore[index]
    json.dumps(lines, allow_nan=False)


def test_the_log_holds_the_event_and_steers_no_terminal(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        for judgements, events in history():
            LogSink().publish(judgements, events)
    assert [r.levelname for r in caplog.records] == ["WARNING", "INFO"]
    line = json.loads(JsonFormatter().format(caplog.records[0]))
    assert (line["event"]["event"], line["level"]) == ("raised", "warning")
    assert "\x1b" not in TextFormatter().format(caplog.records[0])
