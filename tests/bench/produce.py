"""Filling a topic: as fast as it goes, or at a given rate. The producer is kafka-python's with stock settings.

A map is larger than the stock batch, so every record becomes a Kafka batch of its own.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from kafka import KafkaProducer

from monitor.decode.native import encode
from tests.bench.workload import HEADERS, Workload

_IN_FLIGHT = 256
"""Unacknowledged records: the client has no limit of its own on memory."""
_PATIENCE_S = 60.0


def fill(bootstrap: str, topic: str, workload: Workload, count: int, advance: Callable[[], None]) -> set[Any]:
    """Send the first `count` updates as fast as the broker takes them.

    Returns
    -------
    set
        (path, lumisection) of the faulty ones.
    """
    producer = KafkaProducer(bootstrap_servers=bootstrap)
    sent: deque[Any] = deque()
    faults = set()
    try:
        for update in workload.updates(count):
            snapshot = update.snapshot
            if update.faulty:
                faults.add((snapshot.path, snapshot.lumisection))
            if len(sent) >= _IN_FLIGHT:
                sent.popleft().get(timeout=_PATIENCE_S)
                advance()
            sent.append(producer.send(topic, key=snapshot.key.encode(), value=encode(snapshot), headers=HEADERS))
        for future in sent:
            future.get(timeout=_PATIENCE_S)
            advance()
    finally:
        producer.close(timeout=5)
    return faults


def paced(spec: dict[str, Any]) -> dict[str, Any]:
    """Send `count` updates, `rate` of them a second; run in a process of its own.

    Data time and record time are both the time of sending. Faults come more often than in the throughput test, so
    that a 99th percentile has a meaning after some seconds.
    """
    rate = float(spec["rate"])
    producer = KafkaProducer(bootstrap_servers=spec["bootstrap"])
    workload = Workload(seed=2, faulty=spec["faulty"], histograms=spec["histograms"])
    sent = []
    try:
        producer.partitions_for(spec["topic"])
        started = time.perf_counter()
        for number, update in enumerate(workload.updates(int(spec["messages"]))):
            wait = started + number / rate - time.perf_counter()
            if wait > 0:
                time.sleep(wait)
            now = time.time_ns()
            snapshot = replace(update.snapshot, time_ns=now)
            sent.append(
                producer.send(
                    spec["topic"],
                    key=snapshot.key.encode(),
                    value=encode(snapshot),
                    headers=HEADERS,
                    timestamp_ms=now // 1_000_000,
                )
            )
        handed_over = time.perf_counter() - started
        for future in sent:
            future.get(timeout=_PATIENCE_S)
        acknowledged = time.perf_counter() - started
    finally:
        producer.close(timeout=5)
    return {"rate": len(sent) / handed_over, "acknowledged_rate": len(sent) / acknowledged}
