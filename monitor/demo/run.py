"""Starts the parts, watches the alarms topic, ends the parts."""

from __future__ import annotations

import json
import logging
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from kafka import KafkaConsumer, TopicPartition

from monitor.broker import EmbeddedBroker, create_topics
from monitor.config import Settings
from monitor.demo.screen import Screen
from monitor.detect.base import Expected
from monitor.errors import HistwatchError
from monitor.service.daemon import Daemon
from monitor.source.recording import LUMISECTION_S, Recording
from producers.publish import Publisher
from producers.replay import Pace, Skips, replay

log = logging.getLogger(__name__)

PARTITIONS = 4
_TICK_MS = 100
_ENDING_S = 4.0


class Demo:
    """The parts of a demo and what was seen of them.

    Parameters
    ----------
    settings, source
        Configuration and its file; brokers, start and metrics port are the demo's own.
    recording
        What to replay.
    references
        Expectations learned from it, if any.
    lumisections_per_s
        Speed of the replay; None: as fast as possible.
    screen
        Shows verdicts and alarms.
    skips
        Counts what cannot be sent.
    on_event
        Called with every alarm event as read from the topic.
    """

    def __init__(
        self,
        settings: Settings,
        source: Path,
        recording: Recording,
        references: Mapping[str, Expected],
        lumisections_per_s: float | None,
        screen: Screen,
        skips: Skips,
        on_event: Callable[[Mapping[str, Any]], None],
    ) -> None:
        self._settings = settings
        self._source = source
        self._recording = recording
        self._references = references
        self._speed = None if lumisections_per_s is None else lumisections_per_s * LUMISECTION_S
        self._screen = screen
        self._skips = skips
        self._on_event = on_event
        self._stop = threading.Event()
        self._replayed = threading.Event()
        self._failures: list[BaseException] = []
        self.sent = 0
        self.events: list[Mapping[str, Any]] = []

    def run(self, once: bool, stop: threading.Event) -> None:
        """Run until `stop` is set or, with `once`, until everything replayed was judged and read back.

        Raises
        ------
        HistwatchError
            If a part cannot be started.
        Exception
            If a part died.
        """
        with ExitStack() as stack:
            self._screen.say("starting Apache Kafka")
            broker = stack.enter_context(EmbeddedBroker(tell=self._screen.say))
            bootstrap = broker.info.bootstrap
            kafka = self._settings.kafka.model_copy(update={"bootstrap_servers": bootstrap, "start": "earliest"})
            settings = self._settings.model_copy(update={"kafka": kafka})
            create_topics(bootstrap, {kafka.topic: PARTITIONS, kafka.alarms_topic: 1})
            daemon = Daemon(settings, self._source, self._references, [self._screen])
            monitor = self._thread("monitor", daemon.run)
            replay = self._thread("replay", lambda: self._replay(bootstrap, kafka.topic))
            stack.callback(self._end, daemon, monitor, replay)
            while not daemon.started.wait(_TICK_MS / 1000):
                self._check(stop)
                if stop.is_set():
                    return
            self._screen.footer(
                [
                    f"broker {bootstrap}, alarms on topic {kafka.alarms_topic}, metrics {daemon.metrics_url}",
                    "Ctrl-C ends everything",
                ]
            )
            self._screen.say("replaying")
            with _alarms(bootstrap, kafka.alarms_topic) as consumer:
                while not stop.is_set():
                    self._check(stop)
                    self._read(consumer)
                    if not self._replayed.is_set() or daemon.service is None or daemon.service.judged < self.sent:
                        continue
                    self._screen.say("the whole recording was judged")
                    self._read_to_end(consumer)
                    if once:
                        return
                    while not stop.wait(1.0):
                        self._check(stop)

    def _thread(self, name: str, work: Callable[[], None]) -> threading.Thread:
        def guarded() -> None:
            try:
                work()
            except BaseException as error:  # noqa: BLE001 - the main thread raises it
                self._failures.append(error)

        thread = threading.Thread(target=guarded, name=name, daemon=True)
        thread.start()
        return thread

    def _check(self, stop: threading.Event) -> None:
        if self._failures and not stop.is_set():
            raise self._failures[0]

    def _end(self, daemon: Daemon, *threads: threading.Thread) -> None:
        self._screen.say("ending")
        self._stop.set()
        daemon.stop.set()
        deadline = time.monotonic() + _ENDING_S
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _replay(self, bootstrap: str, topic: str) -> None:
        with Publisher(bootstrap, topic, partitions=PARTITIONS, stop=self._stop) as publisher:
            outcome = replay(self._recording, publisher, Pace(self._speed), skips=self._skips, stop=self._stop)
            publisher.flush()
            if publisher.failures:
                raise HistwatchError(f"snapshots could not be published: {dict(publisher.failures)}")
            self.sent = outcome.sent
        self._replayed.set()

    def _read(self, consumer: KafkaConsumer) -> None:
        for records in consumer.poll(timeout_ms=_TICK_MS).values():
            for record in records:
                event = json.loads(record.value)
                self.events.append(event)
                self._screen.show_event(event)
                self._on_event(event)

    def _read_to_end(self, consumer: KafkaConsumer) -> None:
        ends = consumer.end_offsets(list(consumer.assignment()))
        while any(consumer.position(p) < end for p, end in ends.items()):
            self._read(consumer)


@contextmanager
def _alarms(bootstrap: str, topic: str) -> Iterator[KafkaConsumer]:
    consumer = KafkaConsumer(
        bootstrap_servers=bootstrap, auto_offset_reset="earliest", enable_auto_commit=False, group_id=None
    )
    try:
        consumer.assign([TopicPartition(topic, p) for p in sorted(consumer.partitions_for_topic(topic) or {0})])
        yield consumer
    finally:
        consumer.close(autocommit=False)


def reference_part(recording: Recording, runs: int = 3, lumisections: int = 5) -> tuple[Sequence[int], int]:
    """Choose what a recording without references is compared with: its own beginning.

    Returns
    -------
    The runs, and the last lumisection of them to use (-1: all): the first runs, at most `runs` and one less than
    there are; or of a single run the first third of its lumisections, at most `lumisections`. No runs: there is
    too little.
    """
    found = recording.runs
    if len(found) > 1:
        return found[: min(runs, len(found) - 1)], -1
    moments = recording.lumisections
    if len(moments) > 1:
        return found, moments[max(0, min(lumisections, len(moments) // 3) - 1)]
    return (), -1


@contextmanager
def simulated_recording(seed: int) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """Write the demo's run, with its five faults, to a folder that goes with the demo; give it and its truth."""
    from producers.simulate import write_demo_run

    with tempfile.TemporaryDirectory(prefix="histwatch-demo-") as folder:
        yield Path(folder), write_demo_run(Path(folder), seed)
