"""Consumers that do nothing with what they consume, each in a process of its own with no more modules than needed."""

from __future__ import annotations

from typing import Any

from kafka import KafkaConsumer

from monitor.service.allocator import keep_buffers
from monitor.source.kafka import KafkaSource
from tests.bench.meter import Meter
from tests.bench.settings import kafka_settings

_EMPTY_POLLS = 100


def stock(spec: dict[str, Any]) -> dict[str, Any]:
    """kafka-python as it comes."""
    consumer = KafkaConsumer(
        spec["topic"], bootstrap_servers=spec["bootstrap"], group_id=spec["group"], auto_offset_reset="earliest"
    )
    try:
        return _drain(consumer, spec)
    finally:
        consumer.close(autocommit=False, timeout_ms=3000)


def tuned(spec: dict[str, Any]) -> dict[str, Any]:
    """The very client that the monitor makes for itself, and its allocator settings; nothing is committed."""
    keep_buffers()
    source = KafkaSource(kafka_settings(spec))
    try:
        return _drain(source._consumer, spec)
    finally:
        source.close()


def _drain(consumer: Any, spec: dict[str, Any]) -> dict[str, Any]:
    records, timeout_ms = int(spec["records"]), int(1000 * spec["poll_s"])
    meter = Meter()
    seen = empty = 0
    while seen < records:
        count = sum(map(len, consumer.poll(timeout_ms=timeout_ms).values()))
        if count:
            meter.begin(count)
            empty = 0
        elif (empty := empty + 1) > _EMPTY_POLLS:
            raise RuntimeError(f"only {seen} of {records} records came")
        seen += count
    return meter.result(seen)
