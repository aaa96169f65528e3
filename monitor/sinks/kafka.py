"""Alarm events on a Kafka topic: JSON with CloudEvents headers (Kafka protocol binding, binary content mode)."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from kafka import KafkaProducer
from kafka.errors import KafkaError

from monitor.alarm import AlarmEvent
from monitor.broker.topics import create_topics
from monitor.errors import SourceError
from monitor.verdict import Judgement

CONTENT_TYPE = "application/json"


class KafkaAlarmSink:
    """Publishes alarm events, keyed by histogram so that one histogram's events stay in order.

    Parameters
    ----------
    bootstrap_servers
        Brokers as host:port, separated by commas.
    topic
        Created with one partition if it does not exist.
    origin
        CloudEvents ``source``: which monitor speaks.
    patience_s
        How long to go on trying in a broker outage before `publish` raises.
    observe
        Called with ``ok`` or ``failed`` and the number of events.

    Raises
    ------
    BrokerError
        If the topic does not exist and cannot be made.
    """

    name = "kafka"

    def __init__(
        self,
        bootstrap_servers: str,
        topic: str,
        origin: str,
        patience_s: float = 300.0,
        observe: Callable[[str, int], None] | None = None,
    ) -> None:
        self._topic = topic
        self._origin = origin
        self._observe = observe or (lambda _outcome, _events: None)
        create_topics(bootstrap_servers, {topic: 1})
        self._producer = KafkaProducer(
            bootstrap_servers=bootstrap_servers.split(","),
            client_id="histwatch-alarms",
            acks="all",
            enable_idempotence=True,
            allow_auto_create_topics=False,
            linger_ms=0,
            max_request_size=16 * 1024 * 1024,
            delivery_timeout_ms=int(patience_s * 1000),
            max_block_ms=int(patience_s * 1000),
        )
        self._patience_s = patience_s

    def publish(self, _judgements: Sequence[Judgement], events: Sequence[AlarmEvent]) -> None:
        """Send the events and wait until the broker has acknowledged every one.

        Raises
        ------
        SourceError
            If the broker did not take them within the patience given.
        """
        if not events:
            return
        try:
            futures = [
                self._producer.send(
                    self._topic,
                    key=event.alarm.judgement.key.encode(),
                    value=json.dumps(event.to_json(), separators=(",", ":"), allow_nan=False).encode(),
                    headers=cloudevents_headers(event, self._origin),
                )
                for event in events
            ]
            deadline = time.monotonic() + self._patience_s
            for future in futures:
                future.get(timeout=max(0.1, deadline - time.monotonic()))
        except KafkaError as error:
            self._observe("failed", len(events))
            raise SourceError(
                f"{len(events)} alarm events could not be published to topic '{self._topic}': {error}"
            ) from error
        self._observe("ok", len(events))

    def close(self) -> None:
        """Close the producer."""
        self._producer.close(timeout=3)


def cloudevents_headers(event: AlarmEvent, origin: str) -> list[tuple[str, bytes]]:
    """Return the CloudEvents 1.0 attributes of an event; its time is data time."""
    seconds, ns = divmod(event.alarm.judgement.time_ns, 1_000_000_000)
    moment = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S") + f".{ns:09d}Z"
    attributes = {
        "ce_specversion": "1.0",
        "ce_id": event.id,
        "ce_source": origin,
        "ce_type": f"histwatch.alarm.{event.event}",
        "ce_subject": event.alarm.judgement.key,
        "ce_time": moment,
        "content-type": CONTENT_TYPE,
    }
    return [(name, value.encode()) for name, value in attributes.items()]
