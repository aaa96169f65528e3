"""A topic from its beginning to the end that it has now: what was sent, read once, without a consumer group."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from heapq import merge
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from monitor.decode import Envelope, decode
from monitor.errors import Reject, SourceError
from monitor.snapshot import Snapshot

log = logging.getLogger(__name__)

_AGAIN_S = 0.5
_POLL_MS = 500
_REQUEST_MS = 10_000


@dataclass(slots=True)
class TopicRecording:
    """The snapshots in a topic; iterate over it once.

    Parameters
    ----------
    bootstrap_servers
        Brokers as host:port, separated by commas.
    topic
        Its name.
    wait_s
        How long to wait for the broker at start, and for anything new while reading, s.

    Raises
    ------
    SourceError
        If the brokers cannot be reached, the topic does not exist, or (while reading) nothing comes for `wait_s`.
    """

    bootstrap_servers: str
    topic: str
    wait_s: float = 60.0
    rejected: Counter[str] = field(default_factory=Counter)
    """Records that are no snapshot, by reason; ``corrupt_batch``: damaged on the broker."""
    offsets: dict[int, tuple[int, int]] = field(init=False)
    """First offset, and that after the last, by partition, at the time of making this."""

    def __post_init__(self) -> None:
        with closing(self._connect()) as consumer:
            found = consumer.partitions_for_topic(self.topic)
            if not found:
                raise SourceError(f"topic '{self.topic}' does not exist on {self.bootstrap_servers}")
            partitions = [TopicPartition(self.topic, number) for number in sorted(found)]
            try:
                first = consumer.beginning_offsets(partitions)
                last = consumer.end_offsets(partitions)
            except KafkaError as error:
                raise SourceError(f"topic '{self.topic}' on {self.bootstrap_servers}: {error}") from error
        self.offsets = {p.partition: (first[p], last[p]) for p in partitions}

    def _connect(self) -> KafkaConsumer:
        deadline = time.monotonic() + self.wait_s
        while True:
            try:
                return KafkaConsumer(
                    bootstrap_servers=self.bootstrap_servers.split(","),
                    client_id="histwatch-dataset",
                    group_id=None,
                    enable_auto_commit=False,
                    auto_offset_reset="earliest",
                    allow_auto_create_topics=False,
                    isolation_level="read_committed",
                    bootstrap_timeout_ms=3000,
                )
            except KafkaError as error:
                if not error.retriable or time.monotonic() >= deadline:
                    raise SourceError(
                        f"no Kafka broker answers at {self.bootstrap_servers} ({error}); check --bootstrap-servers"
                    ) from error
                time.sleep(_AGAIN_S)

    def __len__(self) -> int:
        """Return the number of offsets, which is at least that of the records."""
        return sum(last - first for first, last in self.offsets.values())

    def __iter__(self) -> Iterator[Snapshot]:
        # Partitions are merged by the records' times: what comes of a topic must not depend on how fetches mix.
        partitions = [self._envelopes(number) for number in self.offsets]
        with ExitStack() as stack:
            for partition in partitions:
                stack.callback(partition.close)
            for envelope in merge(*partitions, key=lambda e: e.received_ns):
                try:
                    yield decode(envelope)
                except Reject as reject:
                    self.rejected[reject.reason] += 1

    def _envelopes(self, number: int) -> Generator[Envelope]:
        first, last = self.offsets[number]
        if first >= last:
            return
        partition = TopicPartition(self.topic, number)
        with closing(self._connect()) as consumer:
            consumer.assign([partition])
            consumer.seek(partition, first)
            position, progress = first, time.monotonic()
            while position < last:
                for r in self._poll(consumer, partition):
                    if r.offset < last:
                        key = "" if r.key is None else r.key.decode("utf-8", "replace")
                        yield Envelope(r.value or b"", key, dict(r.headers or ()), max(r.timestamp, 0) * 1_000_000)
                # Positions also pass what is no record, as the marks of transactions.
                reached = consumer.position(partition, timeout_ms=_REQUEST_MS)
                if reached > position:
                    position, progress = reached, time.monotonic()
                elif time.monotonic() - progress > self.wait_s:
                    raise SourceError(
                        f"topic '{self.topic}' on {self.bootstrap_servers}: nothing came for {self.wait_s:g} s at "
                        f"offset {position} of {last} in partition {number}"
                    )

    def _poll(self, consumer: KafkaConsumer, partition: TopicPartition) -> Sequence[Any]:
        try:
            records: Sequence[Any] = consumer.poll(timeout_ms=_POLL_MS).get(partition, ())
            return records
        except KafkaError as error:
            if "CorruptRecord" not in type(error).__name__:
                if not error.retriable:
                    raise SourceError(f"topic '{self.topic}' on {self.bootstrap_servers}: {error}") from error
                log.warning("poll failed, trying again: %s", error)
                return ()
        except (ValueError, TypeError, IndexError, KeyError, ArithmeticError, EOFError, OSError, RuntimeError) as error:
            # What unpacking a damaged batch may raise, by codec, see `monitor.source.kafka`.
            log.error("damaged record in %s-%d, skipped: %s", partition.topic, partition.partition, error)
        self.rejected["corrupt_batch"] += 1
        # Polling again would spin on the dead batch for ever.
        consumer.seek(partition, consumer.position(partition, timeout_ms=_REQUEST_MS) + 1)
        return ()
