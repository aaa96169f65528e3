"""Prometheus metrics. No label is a histogram path, run or bin, but subsystem, verdict, reason and their like."""

from __future__ import annotations

import threading
import time
from collections import Counter as Tally
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence, Set
from itertools import product
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, start_http_server

import monitor
from monitor.alarm import AlarmEvent, Severity
from monitor.decode import REASONS
from monitor.errors import ConfigurationError
from monitor.sinks.base import Outcome
from monitor.source.record import Source
from monitor.verdict import Judgement, Verdict
from monitor.window import Deriver, WindowStore

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_RANK = {Severity.OK: 0, Severity.MINOR: 1, Severity.MAJOR: 2, Severity.INVALID: 3}
_REMEMBERED = 200_000
STAGES = ("decode", "detect", "shadow")
PIPELINE_REASONS = frozenset({"corrupt_batch", "decoder_failed"})
"""Reasons for rejects besides those of the decoders."""


class Metrics:
    """All metrics of one process, and the sink that counts verdicts and alarms.

    Parameters
    ----------
    registry
        Where they are registered; tests give each its own.
    subsystems
        Known subsystems: their series exist from the start, at 0.
    topic
        Topic of the snapshots.
    clock
        Time in s since 1970.
    promises
        Chance of a false alarm that one judgement may have, by histogram type.
    """

    name = "metrics"

    def __init__(
        self,
        registry: CollectorRegistry,
        subsystems: Sequence[str] = (),
        topic: str = "",
        clock: Callable[[], float] = time.time,
        promises: Mapping[str, float] | None = None,
    ) -> None:
        self.registry = registry
        self._clock = clock
        self._topic = topic
        self._promises = dict(promises or {})
        self._latest: OrderedDict[str, tuple[str, Verdict]] = OrderedDict()
        self._open: dict[str, tuple[str, Severity, str]] = {}
        self._turned = clock()

        def counter(name: str, text: str, labels: Sequence[str] = ()) -> Counter:
            return Counter(name, text, labels, namespace="dqm", registry=registry)

        def gauge(name: str, text: str, labels: Sequence[str] = ()) -> Gauge:
            return Gauge(name, text, labels, namespace="dqm", registry=registry)

        build = Info("build", "Version of histwatch.", namespace="dqm", registry=registry)
        build.info({"version": monitor.__version__})
        self.histograms = gauge("histograms", "Histograms by their latest verdict.", ("subsystem", "verdict"))
        self.alarms_active = gauge("alarms_active", "Alarms raised and not cleared.", ("subsystem", "severity"))
        self.subsystem_severity = gauge(
            "subsystem_severity", "Worst severity of active alarms: 0 OK, 1 MINOR, 2 MAJOR, 3 INVALID.", ("subsystem",)
        )
        self.messages = counter("messages_processed", "Records taken from the topic, by outcome.", ("topic", "outcome"))
        self.rejects = counter("rejects", "Records that could not be used, by reason.", ("reason",))
        self.window_events = counter("window_events", "What happened to windows besides updates.", ("event",))
        self.derived = counter("derived", "Derived histograms, by what became of their two operands.", ("outcome",))
        self.verdicts = counter("verdicts", "Verdicts given.", ("verdict",))
        self.promised = counter(
            "false_alarms_promised", "False alarms that the budget allows the judgements made.", ("histogram_type",)
        )
        self.raised = counter("alarms_raised", "Alarms raised, true or false.", ("histogram_type",))
        self.shadow_judgements = counter(
            "shadow_judgements",
            "Judgements of model versions in shadow, which never alarm, beside the active version's verdict.",
            ("version", "verdict", "active_verdict"),
        )
        self.errors = counter("processing_errors", "Failures of a stage, which are defects.", ("stage",))
        self.latency = Histogram(
            "end_to_end_latency_seconds",
            "Time from a record's time stamp to the end of a stage, of the oldest record of each batch.",
            ("stage",),
            namespace="dqm",
            registry=registry,
            buckets=_SECONDS,
        )
        self.batch = Histogram(
            "batch_size_messages",
            "Records in a batch.",
            namespace="dqm",
            registry=registry,
            buckets=(1, 3, 10, 30, 100, 300, 1000, 3000),
        )
        self.batch_seconds = Histogram(
            "batch_seconds",
            "Time spent on a batch by stage.",
            ("stage",),
            namespace="dqm",
            registry=registry,
            buckets=_SECONDS,
        )
        self.lag = gauge("consumer_lag_messages", "Records not yet polled.", ("topic", "partition"))
        self.rebalances = counter("rebalances", "Assignments of partitions to this worker.")
        self._rebalances_seen = 0
        self.last_message = gauge("last_message_timestamp_seconds", "Time stamp of the newest record, s since 1970.")
        self.last_turn = gauge("loop_last_turn_timestamp_seconds", "When the poll loop last turned, s since 1970.")
        self.last_turn.set_function(lambda: self._turned)
        self.alarm_publish = counter("alarm_publish", "Alarm events handed to a sink.", ("sink", "outcome"))
        self.model = gauge("model_info", "Models loaded; the value is always 1.", ("name", "version"))
        self._prepare(subsystems)

    def _prepare(self, subsystems: Sequence[str]) -> None:
        """Create every series that may stay at 0: what does not exist cannot be alarmed on."""
        for subsystem in subsystems:
            self._prepare_subsystem(subsystem)
        for outcome in ("accepted", "rejected"):
            self.messages.labels(self._topic, outcome)
        for reason in sorted(REASONS | PIPELINE_REASONS):
            self.rejects.labels(reason)
        for event in WindowStore.EVENTS:
            self.window_events.labels(event)
        for event in Deriver.EVENTS:
            self.derived.labels(event)
        for verdict in Verdict:
            self.verdicts.labels(verdict.value)
        for stage in STAGES:
            self.errors.labels(stage)
        for histogram_type in self._promises:
            self.promised.labels(histogram_type)
            self.raised.labels(histogram_type)
        for outcome in ("ok", "failed"):
            self.alarm_publish.labels("kafka", outcome)

    def _prepare_subsystem(self, subsystem: str) -> None:
        for verdict in Verdict:
            self.histograms.labels(subsystem, verdict.value)
        for severity in (Severity.MINOR, Severity.MAJOR, Severity.INVALID):
            self.alarms_active.labels(subsystem, severity.value)
        self.subsystem_severity.labels(subsystem)

    def publish(self, judgements: Sequence[Judgement], events: Sequence[AlarmEvent]) -> None:
        """Count verdicts and alarms."""
        touched: set[str] = set()
        for verdict, number in Tally(j.verdict for j in judgements).items():
            self.verdicts.labels(verdict.value).inc(number)
        for histogram_type, number in Tally(j.histogram_type for j in judgements if j.verdict.is_judgement).items():
            self.promised.labels(histogram_type).inc(number * self._promises.get(histogram_type, 0.0))
        changes: Tally[tuple[str, Verdict]] = Tally()
        for j in judgements:
            before = self._latest.pop(j.key, None)
            self._latest[j.key] = now = (j.subsystem, j.verdict)
            if before != now:
                changes[now] += 1
                if before is not None:
                    changes[before] -= 1
        while len(self._latest) > _REMEMBERED:
            changes[self._latest.popitem(last=False)[1]] -= 1
        for (subsystem, verdict), change in changes.items():
            if change:
                self.histograms.labels(subsystem, verdict.value).inc(change)
        for event in events:
            subsystem = event.alarm.judgement.subsystem
            touched.add(subsystem)
            if event.event == "raised":
                self.raised.labels(event.alarm.judgement.histogram_type).inc()
            if event.event == "cleared":
                self._open.pop(event.alarm.id, None)
            else:
                self._open[event.alarm.id] = (subsystem, event.alarm.severity, event.alarm.judgement.key)
        for subsystem in touched:
            self._count_alarms(subsystem)

    def _count_alarms(self, subsystem: str) -> None:
        active = [severity for where, severity, _ in self._open.values() if where == subsystem]
        for severity in (Severity.MINOR, Severity.MAJOR, Severity.INVALID):
            self.alarms_active.labels(subsystem, severity.value).set(active.count(severity))
        self.subsystem_severity.labels(subsystem).set(max((_RANK[s] for s in active), default=0))

    def forget(self, histograms: Set[str]) -> None:
        """Leave out histograms, ``stream/path``, that are another worker's now."""
        for key in histograms:
            before = self._latest.pop(key, None)
            if before is not None:
                self.histograms.labels(before[0], before[1].value).dec()
        for alarm in [a for a, (_, _, key) in self._open.items() if key in histograms]:
            self._count_alarms(self._open.pop(alarm)[0])

    def close(self) -> None:
        """Nothing to free."""

    def see_batch(self, outcome: Outcome, judge_s: float, publish_s: float) -> None:
        """Count what came of a batch; times in s."""
        rejected = outcome.rejects.total()
        # What the client could not read never became a record.
        unread = outcome.rejects["corrupt_batch"]
        self.messages.labels(self._topic, "accepted").inc(max(0, outcome.records + unread - rejected))
        self.messages.labels(self._topic, "rejected").inc(rejected)
        for reason, number in outcome.rejects.items():
            self.rejects.labels(reason).inc(number)
        for event, number in outcome.window_events.items():
            self.window_events.labels(event).inc(number)
        for event, number in outcome.derive_events.items():
            self.derived.labels(event).inc(number)
        for labels, number in outcome.shadows.items():
            self.shadow_judgements.labels(*labels).inc(number)
        if not outcome.records:
            return
        self.batch.observe(outcome.records)
        self.batch_seconds.labels("judge").observe(judge_s)
        self.batch_seconds.labels("publish").observe(publish_s)
        self.last_message.set(outcome.newest_ns / 1e9)
        age = max(0.0, self._clock() - outcome.oldest_ns / 1e9)
        self.latency.labels("publish").observe(age)
        self.latency.labels("judge").observe(max(0.0, age - publish_s))

    def see_source(self, source: Source) -> None:
        """Take over what the source knows of itself."""
        for (topic, partition), lag in source.lag().items():
            self.lag.labels(topic, str(partition)).set(lag)
        rebalances = getattr(source, "rebalances", 0)
        self.rebalances.inc(rebalances - self._rebalances_seen)
        self._rebalances_seen = rebalances

    def see_turn(self) -> None:
        """Note that the poll loop has turned."""
        self._turned = self._clock()

    def see_error(self, stage: str) -> None:
        """Count a failure of a stage."""
        self.errors.labels(stage).inc()

    def see_publish(self, sink: str, outcome: str, events: int) -> None:
        """Count alarm events handed to a sink."""
        self.alarm_publish.labels(sink, outcome).inc(events)

    def see_model(self, name: str, version: str) -> None:
        """Name a loaded model."""
        self.model.labels(name, version).set(1)

    def see_shadow(self, version: str) -> None:
        """Name a version in shadow: its series exist from the start, at 0."""
        judgements = [verdict.value for verdict in Verdict if verdict.is_judgement]
        for verdict, active in product(judgements, judgements):
            self.shadow_judgements.labels(version, verdict, active)


class MetricsPage:
    """The page that Prometheus scrapes.

    Raises
    ------
    ConfigurationError
        If the address cannot be bound.
    """

    def __init__(self, registry: CollectorRegistry, address: str, port: int) -> None:
        try:
            server, thread = start_http_server(port, addr=address, registry=registry)
        except OSError as error:
            raise ConfigurationError(
                f"service.metrics_port: {address}:{port} cannot be bound ({error.strerror}); choose another, or 0"
            ) from error
        self._server: Any = server
        self._thread: threading.Thread = thread
        self.url = f"http://{address}:{server.server_port}/metrics"

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
