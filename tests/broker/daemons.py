"""Running monitors and reading topics, for the tests of this tier."""

from __future__ import annotations

import json
import threading
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from kafka import KafkaConsumer, TopicPartition

from monitor.config import Settings, settings_from
from monitor.detect.base import Expected
from monitor.infer import Reference
from monitor.service.daemon import Daemon
from monitor.snapshot import Axis, Kind, Snapshot

AXES = (Axis(20, 0.0, 1.0), Axis(10, 0.0, 1.0))
RATE = 400.0


def settings_for(bootstrap: str, topic: str, **kafka: Any) -> Settings:
    return settings_from(
        {
            "kafka": {
                "bootstrap_servers": bootstrap,
                "topic": topic,
                "alarms_topic": f"{topic}.alarms",
                "group": topic,
                "start": "earliest",
                **kafka,
            },
            "models": {"directory": None},
            "service": {"metrics_port": 0, "commit_interval_s": 0.1},
            "types": [{"name": "map", "match": ["*"], "subsystem": "test", "guidance": "Call the expert."}],
        },
        "test",
    )


def reference() -> Reference:
    rate = np.full((20, 10), RATE)
    return Reference(
        name="test",
        profile=False,
        rate=rate,
        systematic=np.full(rate.shape, 0.02),
        live=rate > 0,
        coherent=0.01,
        references=10,
        exposure=10.0,
    )


def snapshot(lumisection: int, path: str = "map", run: int = 1, dead: tuple[int, int] | None = None) -> Snapshot:
    """One lumisection's content of a 20 x 10 map, the same for the same arguments."""
    contents = np.random.default_rng([run, lumisection, len(path)]).poisson(RATE, (20, 10)).astype(np.int32)
    if dead is not None:
        contents[dead] = 0
    return Snapshot(
        stream="test",
        path=path,
        run=run,
        lumisection=lumisection,
        time_ns=1_700_000_000_000_000_000 + lumisection * 10**9,
        kind=Kind.TH2,
        axes=AXES,
        contents=contents,
        sequence=lumisection,
    )


@contextmanager
def running(settings: Settings, paths: Sequence[str] = ("map",)) -> Iterator[Daemon]:
    """Run a monitor in a thread; an error of its own fails the test."""
    expected: Mapping[str, Expected] = {f"test/{path}": Expected(reference()) for path in paths}
    daemon = Daemon(settings, Path("test.yaml"), expected)
    failures: list[BaseException] = []

    def work() -> None:
        try:
            daemon.run()
        except BaseException as error:  # noqa: BLE001 - the test raises it
            failures.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        until(lambda: daemon.started.is_set() or bool(failures), "the monitor starts")
        yield daemon
    finally:
        daemon.stop.set()
        thread.join(30)
    assert not thread.is_alive(), "the monitor does not end"
    if failures:
        raise failures[0]


def until(condition: Callable[[], bool], what: str, timeout_s: float = 60.0) -> None:
    """Wait for something that takes a moment; the limit is for a hanging test, not a promise of speed."""
    waiting = threading.Event()
    for _ in range(int(timeout_s / 0.05)):
        if condition():
            return
        waiting.wait(0.05)
    raise AssertionError(f"waited {timeout_s:g} s in vain: {what}")


def judged(daemon: Daemon, number: int) -> None:
    until(lambda: daemon.service is not None and daemon.service.judged >= number, f"{number} records are judged")


def read_all(bootstrap: str, topic: str) -> list[Any]:
    """Return all records of a topic."""
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, group_id=None, enable_auto_commit=False)
    try:
        partitions = [TopicPartition(topic, p) for p in sorted(consumer.partitions_for_topic(topic) or ())]
        consumer.assign(partitions)
        consumer.seek_to_beginning(*partitions)
        ends = consumer.end_offsets(partitions)
        records: list[Any] = []
        while any(consumer.position(p) < ends[p] for p in partitions):
            for found in consumer.poll(timeout_ms=500).values():
                records += found
        return records
    finally:
        consumer.close(autocommit=False)


def alarm_events(bootstrap: str, topic: str) -> list[dict[str, Any]]:
    return [json.loads(r.value) for r in read_all(bootstrap, f"{topic}.alarms")]


def metrics_page(daemon: Daemon) -> str:
    with urllib.request.urlopen(daemon.metrics_url, timeout=10) as answer:
        return str(answer.read().decode())
