"""Datasets from a topic, on a real Kafka."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from kafka import KafkaProducer

from monitor.broker import BrokerInfo, create_topics
from monitor.decode.native import encode
from monitor.errors import SourceError
from monitor.learn.parquet import read_dataset
from monitor.learn.recorded import gather_intervals
from monitor.snapshot import Snapshot
from monitor.source.recording import Recording
from monitor.source.topic import TopicRecording
from producers.simulate import SimulatedDetector, catalogue

pytestmark = pytest.mark.broker

HISTWATCH = [sys.executable, "-m", "monitor.cli"]
PARTITIONS = 3


def sent() -> list[Snapshot]:
    """Six runs of two histograms."""
    wanted = [h for h in catalogue() if h.path.endswith(("hits_per_track", "hit_time"))]
    detector = SimulatedDetector(3, histograms=wanted)
    return [s for run in range(1, 7) for s in detector.run(run, 3)]


def produce(bootstrap: str, topic: str, values: list[tuple[str, bytes]]) -> None:
    producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all")
    try:
        for key, value in values:
            producer.send(topic, value, key=key.encode())
        producer.flush(30)
    finally:
        producer.close()


@pytest.fixture
def topic(kafka: BrokerInfo, topic_name: str) -> str:
    create_topics(kafka.bootstrap, {topic_name: PARTITIONS})
    return topic_name


def test_a_dataset_of_a_topic_is_that_of_what_was_sent(kafka: BrokerInfo, topic: str, tmp_path: Path) -> None:
    snapshots = sent()
    produce(kafka.bootstrap, topic, [("junk", b"no histogram"), *((s.key, encode(s)) for s in snapshots), ("", b"")])
    said = []
    for name in ("one.parquet", "two.parquet"):
        done = subprocess.run(
            [
                *(*HISTWATCH, "dataset", "--from-topic", topic, "--bootstrap-servers", kafka.bootstrap),
                *("--output", str(tmp_path / name), "--json", "--wait", "20"),
            ],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        said.append(json.loads(done.stdout))
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "two.parquet").read_bytes()
    assert said[0]["skipped"] == {"empty": 1, "unknown_format": 1}
    made = read_dataset(tmp_path / "one.parquet")
    assert made.provenance.topic is not None
    assert made.provenance.topic.topic == topic
    ends = made.provenance.topic.offsets
    assert sorted(ends) == list(range(PARTITIONS))
    assert sum(last - first for first, last in ends.values()) == len(snapshots) + 2
    expected = gather_intervals(snapshots)
    assert {key: len(own) for key, own in made.intervals.items()} == {key: len(own) for key, own in expected.items()}
    for key, own in expected.items():
        for one, other in zip(own, made.intervals[key], strict=True):
            assert (one.run, one.lumisection, one.time_ns) == (other.run, other.lumisection, other.time_ns)
            assert (one.contents == other.contents).all()


def test_what_comes_later_is_not_read(kafka: BrokerInfo, topic: str) -> None:
    first, *more = sent()
    produce(kafka.bootstrap, topic, [(first.key, encode(first))])
    recording = TopicRecording(kafka.bootstrap, topic, 20.0)
    assert len(recording) == 1
    produce(kafka.bootstrap, topic, [(s.key, encode(s)) for s in more])
    assert [(s.key, s.run, s.lumisection) for s in recording] == [(first.key, first.run, first.lumisection)]


def test_an_empty_topic_holds_nothing(kafka: BrokerInfo, topic: str) -> None:
    assert list(TopicRecording(kafka.bootstrap, topic, 20.0)) == []


def test_a_topic_that_does_not_exist_is_named(kafka: BrokerInfo) -> None:
    with pytest.raises(SourceError, match=r"topic 'nowhere' does not exist on"):
        TopicRecording(kafka.bootstrap, "nowhere", 1.0)


def test_a_broker_that_does_not_answer_is_named() -> None:
    with pytest.raises(SourceError, match=r"no Kafka broker answers at 127.0.0.1:1 .*check --bootstrap-servers"):
        TopicRecording("127.0.0.1:1", "t", 0.1)


def test_recordings_that_were_replayed_make_the_same_dataset(kafka: BrokerInfo, topic: str, tmp_path: Path) -> None:
    def run(*arguments: object) -> None:
        done = subprocess.run([*HISTWATCH, *map(str, arguments)], capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr

    options = ("--runs", 6, "--lumisections", 3, "--select", "hit_time", "--select", "hits_per_track")
    run("simulate", "--to-root", tmp_path / "good", *options)
    assert len(Recording([tmp_path / "good"])) == 36
    replay = ("--bootstrap-servers", kafka.bootstrap, "--topic", topic, "--speed", "max")
    run("replay", tmp_path / "good", *replay)
    run("dataset", tmp_path / "good", "-o", tmp_path / "files.parquet")
    run("dataset", "--from-topic", topic, *replay[:2], "-o", tmp_path / "topic.parquet", "--wait", 20)
    files, sent_ones = (read_dataset(tmp_path / f"{name}.parquet") for name in ("files", "topic"))
    assert files.digest == sent_ones.digest
