"""The running monitor: settings in, a service that consumes, judges and publishes."""

from __future__ import annotations

import gc
import logging
import signal
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from prometheus_client import CollectorRegistry

from monitor.alarm import Policy
from monitor.config import Settings
from monitor.detect.base import Expected
from monitor.errors import SourceError
from monitor.infer import Model
from monitor.judge import Catalogue
from monitor.service.allocator import keep_buffers
from monitor.service.build import build_catalogue, build_derivations, build_shadows
from monitor.service.loop import Service
from monitor.service.pipeline import Pipeline
from monitor.service.warm import warm_up
from monitor.service.watchdog import Watchdog
from monitor.sinks.base import Sink
from monitor.sinks.kafka import KafkaAlarmSink
from monitor.sinks.log import LogSink
from monitor.sinks.metrics import Metrics, MetricsPage
from monitor.source.kafka import KafkaSource

log = logging.getLogger(__name__)


class Daemon:
    """Everything that one monitor process holds.

    Parameters
    ----------
    settings
        The configuration.
    source
        Its file, for messages; relative paths start from its folder.
    references
        Expectations learned at start, by ``stream/path``.
    sinks
        Further sinks, for instance a terminal.

    Raises
    ------
    ConfigurationError, ModelError
        For what cannot be used, before anything is started.
    """

    def __init__(
        self,
        settings: Settings,
        source: Path,
        references: Mapping[str, Expected] | None = None,
        sinks: Sequence[Sink] = (),
    ) -> None:
        self.settings = settings
        self.catalogue: Catalogue
        self.models: list[Model]
        self.catalogue, self.models = build_catalogue(settings, source.parent, str(source), references)
        self.broken: list[str] = []
        """Versions in shadow that cannot be used, in words."""
        self.shadows = build_shadows(settings, source.parent, str(source), self.broken.append)
        for words in self.broken:
            log.error("%s", words)
        self.metrics = Metrics(
            CollectorRegistry(),
            sorted({t.subsystem for t in settings.types} | {"unknown"}),
            settings.kafka.topic,
            promises={rule.name: rule.chance for rule in self.catalogue.rules},
        )
        for model in self.models:
            self.metrics.see_model(model.card.name, model.card.version)
        for version in self.shadows:
            self.metrics.see_shadow(version)
        self.pipeline = Pipeline(
            self.catalogue,
            Policy(settings.alarms.raise_after, settings.alarms.clear_after),
            settings.service.max_histograms,
            settings.service.max_window_mb * 1024**2,
            lambda stage, _error: self.metrics.see_error(stage),
            build_derivations(settings, str(source)),
            self.shadows,
        )
        self._sinks = tuple(sinks)
        self.stop = threading.Event()
        self.started = threading.Event()
        """Set once the consumer is in its group and the metrics page is served."""
        self.metrics_url = ""
        self.service: Service | None = None

    def run(self, until_idle_s: float | None = None, wait_s: float = 60.0) -> None:
        """Consume until `stop` is set or nothing came for `until_idle_s` s.

        Parameters
        ----------
        until_idle_s
            None: for ever.
        wait_s
            How long to wait for broker and topic at start, s.

        Raises
        ------
        HistwatchError
            If broker, topic or metrics port cannot be had.
        Exception
            If the loop or its worker died; a supervisor must start the process anew.
        """
        settings = self.settings
        keep_buffers()
        # Kernels compile, or load from their cache, before the first message.
        warm_up()
        for catalogue in (self.catalogue, *self.shadows.values()):
            catalogue.prepare()
        # What was built until now stays: the collector need not look through it again with every batch.
        gc.collect()
        gc.freeze()
        with ExitStack() as stack:
            if settings.service.metrics:
                page = MetricsPage(
                    self.metrics.registry, settings.service.metrics_address, settings.service.metrics_port
                )
                stack.callback(page.close)
                self.metrics_url = page.url
                log.info("metrics at %s", page.url)
            try:
                source = KafkaSource(settings.kafka, wait_s, self.stop)
            except SourceError:
                if self.stop.is_set():
                    log.info("told to stop while waiting for broker and topic")
                    return
                raise
            try:
                alarms = KafkaAlarmSink(
                    settings.kafka.bootstrap_servers,
                    settings.kafka.alarms_topic,
                    f"/histwatch/{settings.kafka.group}",
                    # It gives up before the watchdog does, with a message that says why.
                    patience_s=0.8 * settings.service.watchdog_s,
                    observe=lambda outcome, events: self.metrics.see_publish("kafka", outcome, events),
                )
            except BaseException:  # also Ctrl-C: what was opened is closed, and the error goes on
                source.close()
                raise
            sinks: list[Sink] = [alarms, LogSink(), self.metrics, *self._sinks]
            for sink in sinks:
                stack.callback(sink.close)
            self.service = Service(
                source,
                self.pipeline,
                sinks,
                self.metrics,
                commit_interval_s=settings.service.commit_interval_s,
                watchdog=Watchdog(settings.service.watchdog_s),
                queue_batches=settings.service.queue_batches,
            )
            log.info(
                "consuming %s from %s with %d models and %d types",
                settings.kafka.topic,
                settings.kafka.bootstrap_servers,
                len(self.models),
                len(settings.types),
            )
            self.started.set()
            self.service.run(self.stop, until_idle_s)

    def install_signal_handlers(self) -> None:
        """Let SIGINT and SIGTERM ask for a stop; they do nothing else. Call from the main thread."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: self.stop.set())
