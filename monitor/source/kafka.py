"""Records from a Kafka topic, by a consumer group with manual offsets.

Known traps of kafka-python 3.0, and what is done about each:

* After a corrupt batch or an error in unpacking, the next `poll` spins for ever on the dead generator: the position
  is moved on by one record before polling again, and the record is counted.
* `commit` may hang without end: it gets a timeout here, and the service's watchdog ends the process.
* A rebalance listener runs on the I/O thread and stops heartbeats: it only notes partitions.
* A deserializer that raises is as bad as a corrupt batch: none is given, decoding is the next stage's.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Mapping
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka.consumer.subscription_state import ConsumerRebalanceListener
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.errors import KafkaError
from kafka.structs import OffsetAndMetadata

from monitor.config.settings import KafkaSettings
from monitor.decode import Envelope
from monitor.errors import SourceError
from monitor.source.receive import receive_more_at_once
from monitor.source.record import Batch, Partition, Record

log = logging.getLogger(__name__)

COMMIT_TIMEOUT_MS = 5_000
_METADATA_WAIT_S = 0.5
_PARTITION = re.compile(r"TopicPartition\(topic='([^']*)', partition=(\d+)\)")


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]
    """Notes what changed; runs on the I/O thread, so it does nothing else."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._changed: set[Partition] = set()
        self.rebalances = 0

    def on_partitions_revoked(self, revoked: Any) -> None:
        with self._lock:
            self._changed.update((p.topic, p.partition) for p in revoked)

    def on_partitions_lost(self, lost: Any) -> None:
        self.on_partitions_revoked(lost)

    def on_partitions_assigned(self, assigned: Any) -> None:
        with self._lock:
            self.rebalances += 1
            # A partition that comes (back) to this worker may have been another's in between.
            self._changed.update((p.topic, p.partition) for p in assigned)

    def take(self) -> frozenset[Partition]:
        with self._lock:
            changed, self._changed = frozenset(self._changed), set()
        return changed


class KafkaSource:
    """A member of the consumer group. Used by one thread.

    Parameters
    ----------
    settings
        Brokers, topic, group and bounds.
    wait_s
        How long to wait for broker and topic before giving up.
    stop
        Ends the waiting early.

    Raises
    ------
    SourceError
        If the brokers cannot be reached or the topic does not exist within `wait_s`.
    """

    def __init__(self, settings: KafkaSettings, wait_s: float = 60.0, stop: threading.Event | None = None) -> None:
        self._settings = settings
        self._stop = stop or threading.Event()
        receive_more_at_once()
        self._listener = _Listener()
        deadline = time.monotonic() + wait_s
        self._consumer = self._connect(deadline)
        try:
            self._await_topic(deadline)
            self._consumer.subscribe([settings.topic], listener=self._listener)
        except BaseException:  # also Ctrl-C: what was opened is closed, and the error goes on
            self._consumer.close(autocommit=False, timeout_ms=1000)
            raise

    @property
    def rebalances(self) -> int:
        """Number of assignments so far."""
        return self._listener.rebalances

    def _connect(self, deadline: float) -> KafkaConsumer:
        settings = self._settings
        said = False
        while True:
            try:
                return KafkaConsumer(
                    bootstrap_servers=settings.bootstrap_servers.split(","),
                    client_id="histwatch",
                    group_id=settings.group,
                    group_instance_id=settings.instance,
                    partition_assignment_strategy=[CooperativeStickyAssignor],
                    enable_auto_commit=False,
                    auto_offset_reset=settings.start,
                    allow_auto_create_topics=False,
                    isolation_level="read_committed",
                    session_timeout_ms=int(settings.session_timeout_s * 1000),
                    heartbeat_interval_ms=int(min(3000, settings.session_timeout_s * 1000 / 3)),
                    max_partition_fetch_bytes=settings.fetch_max_bytes_per_partition,
                    fetch_max_bytes=16 * settings.fetch_max_bytes_per_partition,
                    max_poll_records=settings.max_poll_records,
                    reconnect_backoff_max_ms=2000,
                    bootstrap_timeout_ms=3000,
                )
            except KafkaError as error:
                if not error.retriable or time.monotonic() >= deadline or self._stop.is_set():
                    raise SourceError(
                        f"no Kafka broker answers at {settings.bootstrap_servers} ({error}); check "
                        "kafka.bootstrap_servers, or start a local one with: histwatch broker start"
                    ) from error
                if not said:
                    log.warning("no Kafka broker answers at %s yet, waiting for it", settings.bootstrap_servers)
                    said = True
                self._stop.wait(_METADATA_WAIT_S)

    def _await_topic(self, deadline: float) -> None:
        said = False
        while not self._consumer.partitions_for_topic(self._settings.topic):
            if time.monotonic() >= deadline or self._stop.is_set():
                raise SourceError(
                    f"topic '{self._settings.topic}' does not exist on {self._settings.bootstrap_servers}; "
                    "create it there, or let a producer do so with: histwatch replay"
                )
            if not said:
                log.warning("topic %s does not exist yet, waiting for it", self._settings.topic)
                said = True
            self._stop.wait(_METADATA_WAIT_S)

    def poll(self, timeout_s: float) -> Batch:
        """Return the next batch; records of a partition are in order of their offsets."""
        corrupt = 0
        try:
            polled = self._consumer.poll(timeout_ms=int(timeout_s * 1000))
        except KafkaError as error:
            if not self._skip_damaged(error):
                if not error.retriable:
                    raise
                log.warning("poll failed, trying again: %s", error)
                return Batch(lost=self._listener.take())
            corrupt, polled = 1, {}
        except (ValueError, TypeError, IndexError, KeyError, ArithmeticError, EOFError, OSError, RuntimeError) as error:
            # What unpacking a damaged batch may raise, by codec. Anything that is not such a batch goes up.
            if not self._skip_damaged(error):
                raise
            corrupt, polled = 1, {}
        records = [
            Record(
                (partition.topic, partition.partition),
                r.offset,
                Envelope(r.value or b"", _text(r.key), dict(r.headers or ()), max(r.timestamp, 0) * 1_000_000),
            )
            for partition, values in polled.items()
            for r in values
        ]
        return Batch(records, self._listener.take(), corrupt)

    def _skip_damaged(self, error: Exception) -> bool:
        """Move on by one record where unpacking failed; False if the error names no partition of ours."""
        assigned = {(p.topic, p.partition): p for p in self._consumer.assignment()}
        named = _PARTITION.search(str(error))
        partition = assigned.get((named.group(1), int(named.group(2)))) if named else None
        if partition is None:
            current = getattr(getattr(self._consumer, "_fetcher", None), "_next_partition_records", None)
            found = getattr(current, "topic_partition", None)
            partition = assigned.get((found.topic, found.partition)) if found is not None else None
        if partition is None or _is_about_connection(error):
            return False
        position = self._consumer.position(partition, timeout_ms=COMMIT_TIMEOUT_MS)
        log.error(
            "damaged record in %s-%d at offset %s, skipped: %s", partition.topic, partition.partition, position, error
        )
        self._consumer.seek(partition, position + 1)
        return True

    def commit(self, positions: Mapping[Partition, int]) -> bool:
        """Commit positions of partitions that are still this worker's.

        A failed commit is logged and returns False: until one succeeds, a crash repeats effects and loses none.
        """
        assigned = {(p.topic, p.partition) for p in self._consumer.assignment()}
        offsets = {
            TopicPartition(*partition): OffsetAndMetadata(offset, "", -1)
            for partition, offset in positions.items()
            if partition in assigned
        }
        if not offsets:
            return True
        try:
            self._consumer.commit(offsets, timeout_ms=COMMIT_TIMEOUT_MS)
        except KafkaError as error:
            log.warning("offsets could not be committed, trying again: %s", error)
            return False
        return True

    def lag(self) -> Mapping[Partition, int]:
        """Return records not yet polled, from the high-water marks of the last fetches."""
        found: dict[Partition, int] = {}
        for partition in self._consumer.assignment():
            high = self._consumer.highwater(partition)
            if high is None:
                continue
            try:
                position = self._consumer.position(partition, timeout_ms=0)
            except KafkaError:
                # No position yet: the lag is unknown, and unknown is not zero.
                continue
            if position is not None:
                found[(partition.topic, partition.partition)] = max(0, high - position)
        return found

    def ready(self) -> bool:
        """Tell whether partitions are assigned."""
        return bool(self._consumer.assignment())

    def close(self) -> None:
        """Leave the group, without committing what was not judged."""
        self._consumer.close(autocommit=False, timeout_ms=3000)


def _is_about_connection(error: Exception) -> bool:
    return isinstance(error, KafkaError) and error.retriable and "CorruptRecord" not in type(error).__name__


def _text(key: bytes | None) -> str:
    return "" if key is None else key.decode("utf-8", "replace")
