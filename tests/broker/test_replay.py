"""Recorded runs through a real Kafka."""

from __future__ import annotations

import gc
import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import uproot
from kafka import KafkaConsumer, TopicPartition

from monitor.broker import BrokerInfo, EmbeddedBroker, create_topics
from monitor.decode import Envelope, decode
from monitor.errors import Reject, SourceError
from monitor.snapshot import Axis, Kind, Snapshot
from monitor.source.recording import Recording
from producers.publish import Publisher

pytestmark = pytest.mark.broker


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    folder = tmp_path / "recorded"
    folder.mkdir()
    for run in (100001, 100002):
        with uproot.recreate(folder / f"run{run}.root") as file:
            for ls in (1, 2, 3):
                for path in ("Ecal/one", "Ecal/two"):
                    file[f"ls_{ls}/{path}"] = np.histogram([ls, run % 10], bins=5, range=(0, 5))
    (folder / "empty.root").touch()
    return folder


def snapshot(number: int, bins: int = 100) -> Snapshot:
    contents = np.random.default_rng(number).random(bins)
    axes = (Axis(bins, 0.0, 1.0),)
    return Snapshot(
        stream="s",
        path=f"h{number % 7}",
        run=1,
        lumisection=number,
        time_ns=number,
        kind=Kind.TH1,
        axes=axes,
        contents=contents,
        sequence=number,
    )


def records(bootstrap: str, topic: str) -> Iterator[Any]:
    """Every record of a topic, partition by partition."""
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest", enable_auto_commit=False)
    try:
        partitions = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic)]
        consumer.assign(partitions)
        left = sum(consumer.end_offsets(partitions).values())
        until = time.monotonic() + 20
        while left and time.monotonic() < until:
            for batch in consumer.poll(500).values():
                left -= len(batch)
                yield from batch
        assert not left
    finally:
        consumer.close()


def snapshots(bootstrap: str, topic: str) -> list[Snapshot]:
    return [decode(Envelope(record.value, headers=dict(record.headers))) for record in records(bootstrap, topic)]


def replay(*arguments: object, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "monitor.cli", "replay", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ | (environment or {}),
        check=False,
    )


def test_a_replay_is_what_was_recorded(kafka: BrokerInfo, topic_name: str, runs: Path) -> None:
    before_ms = time.time() * 1000
    done = replay(runs, "--bootstrap-servers", kafka.bootstrap, "--topic", topic_name, "--speed", "max", "--json")
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    summary = json.loads(line)
    assert summary["event"] == "replayed"
    assert (summary["sent"], summary["unacknowledged"], summary["by_kind"]) == (12, 0, {"TH1": 12})
    assert summary["runs"] == [100001, 100002]
    assert summary["skipped"] == {"empty_file": {"count": 1, "names": ["empty.root"]}}
    assert "Traceback" not in done.stderr
    got = list(records(kafka.bootstrap, topic_name))
    assert len(got) == 12
    for record in got:
        sent = decode(Envelope(record.value, headers=dict(record.headers)))
        assert record.key.decode() == sent.key
        assert dict(record.headers) == {"content-type": b"application/x-histwatch+protobuf"}
        assert before_ms - 1 <= record.timestamp <= time.time() * 1000
        # Data time is that of the recording, not that of sending.
        assert sent.time_ns / 1e6 != record.timestamp
    expected = {(s.key, s.run, s.lumisection): s for s in Recording([runs])}
    by_key: dict[str, list[tuple[int, int]]] = {}
    for sent in snapshots(kafka.bootstrap, topic_name):
        original = expected.pop((sent.key, sent.run, sent.lumisection))
        assert np.array_equal(sent.contents, original.contents)
        assert (sent.time_ns, sent.sequence, sent.cumulative) == (original.time_ns, original.sequence, False)
        by_key.setdefault(sent.key, []).append((sent.run, sent.lumisection))
    assert not expected
    assert set(by_key) == {"recorded/Ecal/one", "recorded/Ecal/two"}
    assert all(order == sorted(order) for order in by_key.values())


def test_options_reach_the_payload(kafka: BrokerInfo, topic_name: str, runs: Path) -> None:
    done = replay(
        *(runs / "run100001.root", "--topic", topic_name, "--speed", "0", "--cumulative", "--select", "two"),
        *("--stream", "mine", "--pattern", "(?P<run>1)0000", "--compression", "zstd"),
        environment={"HISTWATCH_BOOTSTRAP": kafka.bootstrap},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert f"sent 3 snapshots (TH1 3) of 1 runs to {topic_name}" in done.stderr
    found = snapshots(kafka.bootstrap, topic_name)
    assert {(s.stream, s.path, s.run, s.cumulative) for s in found} == {("mine", "Ecal/two", 1, True)}


def test_the_speed_is_kept(kafka: BrokerInfo, topic_name: str, runs: Path) -> None:
    # Two gaps of 23.3 s of data time at 40 times the speed.
    arguments = (runs / "run100001.root", "--bootstrap-servers", kafka.bootstrap, "--topic", topic_name)
    done = replay(*arguments, "--speed", "40", "--json")
    assert done.returncode == 0, done.stderr
    times = sorted(record.timestamp for record in records(kafka.bootstrap, topic_name))
    assert times[-1] - times[0] == pytest.approx(2 * 23_300 / 40, abs=300)
    assert times[1] - times[0] < 300


def test_interrupting_ends_at_once_and_loses_nothing(kafka: BrokerInfo, topic_name: str, runs: Path) -> None:
    command = [sys.executable, "-m", "monitor.cli", "replay", runs, "--bootstrap-servers", kafka.bootstrap]
    process = subprocess.Popen(
        [*map(str, command), "--topic", topic_name, "--speed", "100", "--loop", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        until = time.monotonic() + 30
        # Two passes: the same runs came again.
        while time.monotonic() < until and _count(kafka.bootstrap, topic_name) < 20:
            time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        asked = time.monotonic()
        out, err = process.communicate(timeout=10)
        assert time.monotonic() - asked < 1.0
    finally:
        process.kill()
    assert process.returncode == 130, err
    assert "Traceback" not in err
    summary = json.loads(out)
    assert summary["interrupted"]
    assert summary["passes"] >= 1
    assert summary["unacknowledged"] == 0
    assert summary["sent"] == _count(kafka.bootstrap, topic_name)
    found = snapshots(kafka.bootstrap, topic_name)
    assert {s.run for s in found} == {100001, 100002}
    sequences = [s.sequence for s in found if s.path == "Ecal/one"]
    assert sequences == list(range(len(sequences)))


def _count(bootstrap: str, topic: str) -> int:
    consumer = KafkaConsumer(bootstrap_servers=bootstrap)
    try:
        partitions = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic) or ()]
        return sum(consumer.end_offsets(partitions).values()) if partitions else 0
    finally:
        consumer.close()


def test_a_topic_that_does_not_exist(kafka: BrokerInfo, topic_name: str, runs: Path) -> None:
    arguments = (runs, "--bootstrap-servers", kafka.bootstrap, "--topic", topic_name, "--speed", "max")
    done = replay(*arguments, "--no-create-topic")
    assert done.returncode == 2
    assert f"no topic {topic_name} at {kafka.bootstrap}" in done.stderr
    assert "--create-topic" in done.stderr
    assert replay(*arguments, "--create-topic").returncode == 0


def test_a_broker_that_is_not_there(runs: Path) -> None:
    started = time.monotonic()
    done = replay(runs, "--bootstrap-servers", "127.0.0.1:1", "--wait", "0.5")
    assert done.returncode == 2
    assert time.monotonic() - started < 10
    assert "no Kafka broker answers at 127.0.0.1:1 (waited 0.5 s)" in done.stderr
    assert "histwatch broker start" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("address", ["nonsense", "host:", ":9092", "host:99999"])
def test_an_address_that_is_none(address: str) -> None:
    with pytest.raises(SourceError, match="host:port"):
        Publisher(address, "topic", wait_s=0)


def test_a_histogram_too_large_for_the_topic_takes_no_other_with_it(kafka: BrokerInfo, topic_name: str) -> None:
    create_topics(kafka.bootstrap, {topic_name: 2}, {topic_name: {"max.message.bytes": "100000"}})
    refused = []
    with Publisher(kafka.bootstrap, topic_name) as publisher:
        for number in range(200):
            # 12 465 bins are a few bytes too many.
            try:
                assert publisher.send(snapshot(number, {7: 50_000, 8: 12_465, 9: 12_400}.get(number % 50, 1000)))
            except Reject as reject:
                refused.append(reject.reason)
        assert publisher.flush()
        assert publisher.delivered == 192
    assert refused == ["oversized"] * 8
    assert len(snapshots(kafka.bootstrap, topic_name)) == 192


def test_sending_waits_when_too_much_is_under_way(kafka: BrokerInfo, topic_name: str) -> None:
    with Publisher(kafka.bootstrap, topic_name, max_in_flight_bytes=20_000) as publisher:
        for number in range(100):
            assert publisher.send(snapshot(number, 1000))
            assert publisher._in_flight_bytes <= 20_000
        # Alone, one that is larger than all of it goes too.
        assert publisher.send(snapshot(1, 10_000))
        assert publisher.flush()
        assert publisher.delivered == 101


def test_a_restart_of_the_broker_loses_and_doubles_nothing(
    kafka_parts: None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # A captured line of the log would keep the socket alive.
    caplog.set_level(logging.CRITICAL, "kafka")
    _restart(tmp_path / "broker")
    gc.collect()


def _restart(data: Path) -> None:
    with EmbeddedBroker(data) as broker:
        bootstrap = broker.info.bootstrap
        with Publisher(bootstrap, "again") as publisher:
            for number in range(50):
                publisher.send(snapshot(number))
            broker.stop()
            for number in range(50, 100):
                publisher.send(snapshot(number))
            assert not publisher.flush(0.5)
            broker.start()
            assert publisher.flush(60)
            assert publisher.delivered == 100
        found = snapshots(bootstrap, "again")
    assert sorted(s.sequence for s in found) == list(range(100))
    for path in {s.path for s in found}:
        order = [s.sequence for s in found if s.path == path]
        assert order == sorted(order)


def test_a_broker_that_stays_away_is_an_error_and_closing_does_not_hang(
    kafka_parts: None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # A captured line of the log would keep the socket alive.
    caplog.set_level(logging.CRITICAL, "kafka")
    _gone(tmp_path / "broker")
    gc.collect()


def _gone(data: Path) -> None:
    with EmbeddedBroker(data) as broker:
        address = broker.info.bootstrap
        publisher = Publisher(address, "gone", delivery_s=2)
        broker.stop()
        publisher.send(snapshot(1))
        with pytest.raises(SourceError, match=f"topic gone at {address}: 1 records"):
            publisher.flush()
        with pytest.raises(SourceError):
            publisher.send(snapshot(2))
        assert publisher.failures.total() == 1
        started = time.monotonic()
        publisher.close()
        assert time.monotonic() - started < 1
