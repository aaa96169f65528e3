"""The broker's own configuration: ``server.properties``."""

from __future__ import annotations

import json
from collections.abc import Mapping

from monitor.broker.state import HOST

LOG_DIRECTORY = "kafka"
"""Kafka's own files, relative to the data directory, which is where the broker runs: no path needs quoting."""

_FIXED = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "log.dirs": LOG_DIRECTORY,
    # One node: everything has one copy, and few partitions are enough for the internal topics.
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "1",
    # A misspelt topic is an error, not a new topic.
    "auto.create.topics.enable": "false",
    # Groups start at once, and tests may use short sessions.
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    # Large maps fit into a message, as a batch and as a request.
    "message.max.bytes": str(64 * 2**20),
    "replica.fetch.max.bytes": str(64 * 2**20),
    "socket.request.max.bytes": str(96 * 2**20),
    # At most a day, and at most 1 GiB for each partition.
    "log.retention.ms": str(24 * 3600 * 1000),
    "log.retention.bytes": str(2**30),
    "log.segment.bytes": str(128 * 2**20),
    # The default of 128 MiB is a third of the memory of the whole broker.
    "log.cleaner.dedupe.buffer.size": str(16 * 2**20),
}
_AFTER_CRASH = {
    # The controller lets a broker that did not sign off back in only when its old session has timed out, and so start
    # would take 9 s longer.
    "broker.session.timeout.ms": "2000",
    "broker.heartbeat.interval.ms": "500",
}


def server_properties(port: int, controller_port: int, *, crashed: bool, more: Mapping[str, str]) -> str:
    """Return the text of ``server.properties``; `more` overrides everything."""
    properties = {
        **_FIXED,
        **(_AFTER_CRASH if crashed else {}),
        "listeners": f"PLAINTEXT://{HOST}:{port},CONTROLLER://{HOST}:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://{HOST}:{port}",
        "controller.quorum.voters": f"1@{HOST}:{controller_port}",
        **more,
    }
    # JSON's escapes are those that Java reads in a property file.
    return "".join(f"{key}={json.dumps(value)[1:-1]}\n" for key, value in properties.items())
