"""Publishing snapshots to a Kafka topic: each of them once, in order, or a clear word about why not.

One record a snapshot: key ``stream/path`` in UTF-8, so that one histogram stays in one partition and in order; the
native message as value; a ``content-type`` header; the time of sending as time stamp. Data time is in the payload.
"""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from functools import partial

from kafka import KafkaProducer
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient
from kafka.errors import KafkaError

from monitor.broker.topics import create_topics
from monitor.decode import MAX_MESSAGE_BYTES
from monitor.decode.native import NativeFormat, encode
from monitor.errors import BrokerError, Reject, SourceError
from monitor.snapshot import Snapshot

BATCH_BYTES = 512 * 1024
LINGER_MS = 20
DEFAULT_PARTITIONS = 4
_HEADERS = [("content-type", NativeFormat.content_type.encode())]
KAFKA_LIMIT_BYTES = 1_048_588
"""Kafka's own default for the largest batch that a topic takes: assumed where the broker does not say."""
_LIMIT = "max.message.bytes"
_ENVELOPE_BYTES = 256
"""More than a batch of one record adds to its key and value."""
_ANSWER_MS = 15_000
_TICK_S = 0.1


class Publisher:
    """Sends snapshots to one topic. A context manager; used from one thread.

    Parameters
    ----------
    bootstrap
        ``host:port`` of a broker, or several with commas between them.
    topic
        Where to publish.
    create_topic
        Whether to create a topic that does not exist. None: on this machine only, as a cluster's topics are for its
        keeper to plan.
    partitions
        Number of partitions of a topic created here.
    compression
        ``none``, ``gzip``, ``lz4`` or ``zstd``.
    wait_s
        How long to wait for the broker at the start.
    delivery_s
        How long to try to deliver a record, for instance while the broker is restarted.
    max_in_flight_bytes
        Most memory for messages that the broker has not acknowledged: `send` waits when there are more.
    stop
        Ends every waiting when it is set.
    clock
        Returns the time in seconds since 1970, for the records' time stamps.

    Attributes
    ----------
    delivered
        Number of records that the broker has acknowledged.
    failures
        Number of records lost, by the name of the error.

    Raises
    ------
    SourceError
        When no broker answers or there is no such topic.
    """

    def __init__(
        self,
        bootstrap: str,
        topic: str,
        *,
        create_topic: bool | None = None,
        partitions: int = DEFAULT_PARTITIONS,
        compression: str = "none",
        wait_s: float = 10.0,
        delivery_s: float = 120.0,
        max_in_flight_bytes: int = 64 * 2**20,
        stop: threading.Event | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._bootstrap = bootstrap
        self._topic = topic
        self._max_in_flight = max_in_flight_bytes
        self._stop = stop or threading.Event()
        self._clock = clock
        self._changed = threading.Condition()
        self._in_flight_bytes = 0
        self._in_flight = 0
        self._error: str = ""
        self.delivered = 0
        self.failures: Counter[str] = Counter()
        self._wait_for_broker(wait_s)
        # The client loses good records beside one that the broker refuses: none may be sent that it would refuse.
        self._limit = self._open_topic(partitions, _is_local(bootstrap) if create_topic is None else create_topic)
        self._producer = self._start_producer(compression, delivery_s)

    def __enter__(self) -> Publisher:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def send(self, snapshot: Snapshot) -> bool:
        """Hand over a snapshot for delivery, waiting while too much is under way.

        Returns
        -------
        bool
            False when `stop` was set in the meantime; the snapshot was then not sent.

        Raises
        ------
        Reject
            ``oversized``, for a snapshot that the topic does not take or no monitor would read.
        SourceError
            When an earlier record could not be delivered.
        """
        key, value = snapshot.key.encode(), encode(snapshot)
        size = len(key) + len(value) + _ENVELOPE_BYTES
        if size > self._limit:
            raise Reject("oversized", f"a message of {size} bytes, topic {self._topic} takes {self._limit}")
        # One message larger than the limit goes alone.
        if not self._wait(lambda: not self._in_flight or self._in_flight_bytes + size <= self._max_in_flight):
            return False
        with self._changed:
            self._in_flight += 1
            self._in_flight_bytes += size
        try:
            future = self._producer.send(
                self._topic,
                value=value,
                key=key,
                headers=_HEADERS,
                timestamp_ms=int(self._clock() * 1000),
            )
        except KafkaError as error:
            self._failed(size, error)
            raise self._failure() from error
        future.add_callback(partial(self._acknowledged, size))
        future.add_errback(partial(self._failed, size))
        return True

    def flush(self, timeout_s: float | None = None) -> bool:
        """Wait until everything sent is acknowledged.

        Parameters
        ----------
        timeout_s
            Longest wait, also after `stop` was set; None to wait until then, or until delivery failed.

        Returns
        -------
        bool
            False when records are still under way.

        Raises
        ------
        SourceError
            When a record could not be delivered.
        """
        return self._wait(lambda: not self._in_flight, timeout_s)

    def close(self, timeout_s: float = 0.2) -> None:
        """Let the broker go; call `flush` first."""
        try:
            self._producer.close(timeout=timeout_s)
        except KafkaError:
            # What is still under way is given up: flush has said so, or nobody asked. Without this the client would
            # complain again when Python ends.
            self._producer._sender.force_close()
            self._producer._closed = True

    def _wait(self, done: Callable[[], bool], timeout_s: float | None = None) -> bool:
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        with self._changed:
            while True:
                if self._error:
                    raise self._failure()
                if deadline is None and self._stop.is_set():
                    return False
                if done():
                    return True
                if deadline is not None and time.monotonic() >= deadline:
                    return False
                self._changed.wait(_TICK_S)

    def _acknowledged(self, size: int, _metadata: object) -> None:
        with self._changed:
            self.delivered += 1
            self._in_flight -= 1
            self._in_flight_bytes -= size
            self._changed.notify_all()

    def _failed(self, size: int, error: BaseException) -> None:
        with self._changed:
            self.failures[type(error).__name__] += 1
            self._error = self._error or f"{type(error).__name__}: {error}"
            self._in_flight -= 1
            self._in_flight_bytes -= size
            self._changed.notify_all()

    def _failure(self) -> SourceError:
        return SourceError(
            f"topic {self._topic} at {self._bootstrap}: {sum(self.failures.values())} records could not be delivered"
            f" ({self._error}); check that the broker is up, then start again"
        )

    def _wait_for_broker(self, wait_s: float) -> None:
        servers = [_address(server) for server in self._bootstrap.split(",")]
        deadline = time.monotonic() + wait_s
        # A Kafka client that finds no broker leaves threads behind and writes a log: ask first whether one listens.
        while not any(_listens(server) for server in servers):
            if time.monotonic() >= deadline or self._stop.wait(_TICK_S):
                raise SourceError(
                    f"no Kafka broker answers at {self._bootstrap} (waited {wait_s:g} s); start one with"
                    " 'histwatch broker start', or name yours with --bootstrap-servers"
                )

    def _open_topic(self, partitions: int, create: bool) -> int:
        """Make sure of the topic, and return the size of the largest record it takes."""
        try:
            if create:
                create_topics(self._bootstrap, {self._topic: partitions})
            admin = KafkaAdminClient(bootstrap_servers=self._bootstrap.split(","), bootstrap_timeout_ms=_ANSWER_MS)
            try:
                if self._topic not in admin.list_topics():
                    raise SourceError(
                        f"there is no topic {self._topic} at {self._bootstrap}; have it created with --create-topic,"
                        " or name another with --topic"
                    )
                wanted = ConfigResource(ConfigResourceType.TOPIC, self._topic, {_LIMIT: None})
                answer = admin.describe_configs([wanted], config_filter="all")
            finally:
                admin.close()
        except BrokerError as error:
            raise SourceError(str(error)) from error
        except KafkaError as error:
            raise self._no_kafka(error) from error
        # A cluster need not tell everyone how it is configured.
        said = answer.get("topic", {}).get(self._topic, {}).get(_LIMIT, {}).get("value")
        return min(MAX_MESSAGE_BYTES, int(said or KAFKA_LIMIT_BYTES))

    def _no_kafka(self, error: Exception) -> SourceError:
        return SourceError(f"what listens at {self._bootstrap} does not answer as a Kafka broker: {error}")

    def _start_producer(self, compression: str, delivery_s: float) -> KafkaProducer:
        try:
            producer = KafkaProducer(
                bootstrap_servers=self._bootstrap.split(","),
                client_id="histwatch-producer",
                acks="all",
                enable_idempotence=True,
                compression_type=None if compression == "none" else compression,
                batch_size=min(BATCH_BYTES, self._limit),
                linger_ms=LINGER_MS,
                max_request_size=self._limit,
                delivery_timeout_ms=int(delivery_s * 1000),
                request_timeout_ms=int(min(30.0, delivery_s / 2) * 1000),
                allow_auto_create_topics=False,
                bootstrap_timeout_ms=_ANSWER_MS,
                max_block_ms=_ANSWER_MS,
            )
            # Learnt now, so that sending never has to wait for it.
            producer.partitions_for(self._topic)
            return producer
        except KafkaError as error:
            raise self._no_kafka(error) from error


def _address(server: str) -> tuple[str, int]:
    host, _, port = server.strip().rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise SourceError(f"{server.strip()!r} is no address of a broker; write host:port, for instance 127.0.0.1:9092")
    return host.strip("[]"), int(port)


def _listens(address: tuple[str, int]) -> bool:
    try:
        socket.create_connection(address, timeout=2.0).close()
    except OSError:
        return False
    return True


def _is_local(bootstrap: str) -> bool:
    hosts = {_address(server)[0] for server in bootstrap.split(",")}
    return all(host in ("localhost", "::1") or host.startswith("127.") for host in hosts)
