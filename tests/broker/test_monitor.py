"""The whole monitor on a real broker: alarms, metrics, bad input, outages, restarts."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib import resources
from pathlib import Path

import jsonschema
import pytest
from daemons import alarm_events, judged, metrics_page, read_all, running, settings_for, snapshot, until
from kafka import KafkaProducer

from monitor.broker import BrokerInfo, EmbeddedBroker, create_topics
from monitor.decode.native import encode
from producers.publish import Publisher

pytestmark = pytest.mark.broker
HISTWATCH = [sys.executable, "-m", "monitor.cli"]


def publish(bootstrap: str, topic: str, lumisections: range, dead: range = range(0)) -> None:
    with Publisher(bootstrap, topic, partitions=1) as publisher:
        for ls in lumisections:
            publisher.send(snapshot(ls, dead=(3, 4) if ls in dead else None))
        publisher.flush()


def value(page: str, series: str) -> float:
    found = re.search(rf"^{re.escape(series)} (\S+)$", page, re.MULTILINE)
    assert found is not None, f"no {series} on the metrics page"
    return float(found.group(1))


def test_a_fault_is_raised_and_cleared_on_topic_and_in_metrics(
    kafka: BrokerInfo, topic_name: str, kcat: str, promtool: str
) -> None:
    publish(kafka.bootstrap, topic_name, range(1, 6), dead=range(3, 6))
    with running(settings_for(kafka.bootstrap, topic_name)) as daemon:
        judged(daemon, 5)
        page = metrics_page(daemon)
        assert value(page, 'dqm_alarms_active{severity="MAJOR",subsystem="test"}') == 1
        assert value(page, 'dqm_subsystem_severity{subsystem="test"}') == 2
        assert value(page, 'dqm_histograms{subsystem="test",verdict="BAD"}') == 1
        check = subprocess.run([promtool, "check", "metrics"], input=page, capture_output=True, text=True, check=False)
        assert (check.returncode, check.stdout + check.stderr) == (0, "")
        publish(kafka.bootstrap, topic_name, range(6, 8))
        judged(daemon, 7)
        page = metrics_page(daemon)
        assert value(page, 'dqm_alarms_active{severity="MAJOR",subsystem="test"}') == 0
        assert value(page, 'dqm_alarm_publish_total{outcome="ok",sink="kafka"}') == 2
        assert value(page, f'dqm_messages_processed_total{{outcome="accepted",topic="{topic_name}"}}') == 7
    events = alarm_events(kafka.bootstrap, topic_name)
    assert [(e["event"], e["since"]["lumisection"], e["shape"]["bins"]) for e in events] == [
        ("raised", 3, [[3, 4]]),
        ("cleared", 3, [[3, 4]]),
    ]
    schema = json.loads(resources.files("monitor.alarm").joinpath("alarm.schema.json").read_text())
    for event in events:
        jsonschema.validate(event, schema)
    read = subprocess.run(
        [kcat, "-b", kafka.bootstrap, "-t", f"{topic_name}.alarms", "-C", "-e", "-q", "-f", "%k|%h|%s\n"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    lines = read.stdout.splitlines()
    assert [json.loads(line.split("|", 2)[2])["event"] for line in lines] == ["raised", "cleared"]
    assert lines[0].startswith("test/map|")
    for header in ("ce_specversion=1.0", "ce_type=histwatch.alarm.raised", "content-type=application/json"):
        assert header in lines[0]


def test_bad_messages_are_counted_by_reason_and_the_good_ones_judged(kafka: BrokerInfo, topic_name: str) -> None:
    create_topics(kafka.bootstrap, {topic_name: 1})
    good = [encode(snapshot(ls, dead=(1, 1) if ls == 4 else None)) for ls in range(1, 6)]
    bad = [b"", good[0][:-100], b"\x00" * 40, b"{not json", b'{"_typename": "TTree"}']
    producer = KafkaProducer(bootstrap_servers=kafka.bootstrap)
    for g, b in zip(good, bad, strict=True):
        producer.send(topic_name, b)
        producer.send(topic_name, g)
    producer.flush()
    producer.close()
    with running(settings_for(kafka.bootstrap, topic_name)) as daemon:
        judged(daemon, 10)
        page = metrics_page(daemon)
    assert value(page, f'dqm_messages_processed_total{{outcome="rejected",topic="{topic_name}"}}') == 5
    assert value(page, f'dqm_messages_processed_total{{outcome="accepted",topic="{topic_name}"}}') == 5
    reasons = {m[1]: float(m[2]) for m in re.finditer(r'dqm_rejects_total\{reason="(\w+)"\} (\S+)', page)}
    assert reasons["empty"] == 1
    assert sum(reasons.values()) == 5
    assert value(page, 'dqm_processing_errors_total{stage="decode"}') == 0
    assert [e["event"] for e in alarm_events(kafka.bootstrap, topic_name)] == ["raised", "cleared"]


def test_histograms_that_cannot_be_judged_say_why(kafka: BrokerInfo, topic_name: str) -> None:
    with Publisher(kafka.bootstrap, topic_name, partitions=1) as publisher:
        publisher.send(snapshot(1, path="unknown"))
        publisher.flush()
    with running(settings_for(kafka.bootstrap, topic_name)) as daemon:
        judged(daemon, 1)
        assert value(metrics_page(daemon), 'dqm_histograms{subsystem="test",verdict="NO_MODEL"}') == 1


def test_a_restart_goes_on_after_the_last_commit(kafka: BrokerInfo, topic_name: str) -> None:
    publish(kafka.bootstrap, topic_name, range(1, 4), dead=range(2, 3))
    settings = settings_for(kafka.bootstrap, topic_name)
    with running(settings) as daemon:
        judged(daemon, 3)
    publish(kafka.bootstrap, topic_name, range(4, 7))
    with running(settings) as daemon:
        judged(daemon, 3)
        assert daemon.service is not None
        assert daemon.service.judged == 3
    assert [e["event"] for e in alarm_events(kafka.bootstrap, topic_name)] == ["raised", "cleared"]


def test_two_workers_share_the_partitions_and_miss_nothing(kafka: BrokerInfo, topic_name: str) -> None:
    create_topics(kafka.bootstrap, {topic_name: 4})
    paths = [f"map{n}" for n in range(8)]
    settings = settings_for(kafka.bootstrap, topic_name)
    with running(settings, paths) as one, running(settings, paths) as two:
        until(
            lambda: all(d.service is not None and d.service._source.ready() for d in (one, two)),
            "both have partitions",
        )
        with Publisher(kafka.bootstrap, topic_name) as publisher:
            for ls in range(1, 5):
                for path in paths:
                    publisher.send(snapshot(ls, path=path, dead=(0, 0) if ls == 2 else None))
            publisher.flush()
        assert one.service is not None
        assert two.service is not None
        services = (one.service, two.service)
        until(lambda: sum(s.judged for s in services) >= 32, "all are judged")
        assert all(s.judged > 0 for s in services)
    events = alarm_events(kafka.bootstrap, topic_name)
    assert sorted(e["judgement"]["path"] for e in events if e["event"] == "raised") == paths
    assert sum(e["event"] == "cleared" for e in events) == 8


def test_the_broker_goes_away_and_comes_back(tmp_path: Path, topic_name: str, kafka_parts: None) -> None:
    with EmbeddedBroker(tmp_path / "kafka") as broker:
        bootstrap = broker.info.bootstrap
        publish(bootstrap, topic_name, range(1, 4))
        with running(settings_for(bootstrap, topic_name)) as daemon:
            judged(daemon, 3)
            broker.kill()
            # The loop turns on while there is no broker: that is what liveness asks.
            assert daemon.service is not None
            turned = value(metrics_page(daemon), "dqm_loop_last_turn_timestamp_seconds")
            until(
                lambda: value(metrics_page(daemon), "dqm_loop_last_turn_timestamp_seconds") > turned + 3,
                "the loop turns",
            )
            broker.start()
            publish(bootstrap, topic_name, range(4, 8), dead=range(5, 6))
            judged(daemon, 7)
        assert [e["event"] for e in alarm_events(bootstrap, topic_name)] == ["raised", "cleared"]


def test_a_damaged_batch_is_counted_and_passed(tmp_path: Path, topic_name: str, kafka_parts: None) -> None:
    broker = EmbeddedBroker(tmp_path / "kafka")
    with broker:
        bootstrap = broker.info.bootstrap
        for ls in range(1, 7):
            # One batch each, so that only one is damaged.
            publish(bootstrap, topic_name, range(ls, ls + 1), dead=range(5, 6))
        broker.stop()
        (segment,) = (tmp_path / "kafka").rglob(f"{topic_name}-0/*.log")
        content = bytearray(segment.read_bytes())
        third = [m.start() for m in re.finditer(b"test/map", content)][2]
        content[third + 200] ^= 0xFF
        segment.write_bytes(content)
        broker.start()
        with running(settings_for(broker.info.bootstrap, topic_name)) as daemon:
            judged(daemon, 5)
            page = metrics_page(daemon)
        assert value(page, 'dqm_rejects_total{reason="corrupt_batch"}') == 1
        assert [e["event"] for e in alarm_events(broker.info.bootstrap, topic_name)] == ["raised", "cleared"]


def config_file(tmp_path: Path, bootstrap: str, topic: str) -> Path:
    path = tmp_path / "monitor.yaml"
    settings = settings_for(bootstrap, topic).model_dump(mode="json")
    path.write_text(json.dumps(settings))
    return path


def test_no_broker_and_no_topic_are_clear_errors(kafka: BrokerInfo, tmp_path: Path, topic_name: str) -> None:
    for bootstrap, words in (
        ("127.0.0.1:9", "no Kafka broker answers at 127.0.0.1:9"),
        (kafka.bootstrap, f"topic '{topic_name}' does not exist"),
    ):
        config = config_file(tmp_path, bootstrap, topic_name)
        done = subprocess.run(
            [*HISTWATCH, "monitor", "--config", config, "--wait", "1"],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 2, done.stderr
        assert words in done.stderr
        assert "Traceback" not in done.stderr


def test_the_daemon_ends_when_idle_and_when_told_to(kafka: BrokerInfo, tmp_path: Path, topic_name: str) -> None:
    publish(kafka.bootstrap, topic_name, range(1, 4))
    config = config_file(tmp_path, kafka.bootstrap, topic_name)
    done = subprocess.run(
        [*HISTWATCH, "monitor", "--config", config, "--until-idle", "2"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    daemon = subprocess.Popen([*HISTWATCH, "monitor", "--config", config], stderr=subprocess.PIPE, text=True)
    with daemon:
        assert daemon.stderr is not None
        for line in daemon.stderr:
            if "consuming" in line:
                break
        daemon.terminate()
        rest = daemon.stderr.read()
        assert daemon.wait(60) == 0, rest
    assert "Traceback" not in rest


def test_read_all_sees_what_was_published(kafka: BrokerInfo, topic_name: str) -> None:
    publish(kafka.bootstrap, topic_name, range(1, 4))
    assert len(read_all(kafka.bootstrap, topic_name)) == 3
