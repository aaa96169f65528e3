"""The whole monitor in a process of its own, as ``histwatch monitor`` runs it, with a stopwatch at both ends."""

from __future__ import annotations

import pickle
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from monitor.alarm import AlarmEvent
from monitor.config import Settings
from monitor.config.settings import ModelSettings, ServiceSettings, TypeSettings
from monitor.service import daemon as service
from monitor.service.daemon import Daemon
from monitor.service.logs import configure_logging
from monitor.source.kafka import KafkaSource
from monitor.source.record import Batch
from monitor.verdict import Judgement, Verdict
from tests.bench.meter import Meter
from tests.bench.processes import READY
from tests.bench.settings import kafka_settings
from tests.bench.workload import STREAM


def monitor(spec: dict[str, Any]) -> dict[str, Any]:
    """Run the daemon until it has judged `records` records; rates, latencies, memory and what it found."""
    settings = Settings(
        kafka=kafka_settings(spec),
        models=ModelSettings(directory=spec.get("models")),
        service=ServiceSettings(metrics_port=0),
        types=(TypeSettings(name="bench", match=(f"{STREAM}/*",), subsystem="bench"),),
    )
    configure_logging(settings.service.log_level, settings.service.log_format)
    references = pickle.loads(Path(spec["references"]).read_bytes()) if spec.get("references") else None
    watch = _Watch(int(spec["records"]), weigh=bool(spec.get("weigh")), age=bool(spec.get("age")))
    daemon = Daemon(settings, Path(spec["folder"]) / "monitor.yaml", references, sinks=[watch])
    watch.time(daemon)
    meter = watch.meter

    class Source(KafkaSource):
        """Tells when the first records came, and when the first could come."""

        told = False

        def poll(self, timeout_s: float) -> Batch:
            started = time.thread_time()
            batch = super().poll(timeout_s)
            watch.poll_cpu_s += time.thread_time() - started
            if batch.records and not meter.started:
                meter.begin(len(batch.records))
            if not self.told and self.ready():
                self.told = True
                sys.stdout.write(READY + "\n")
                sys.stdout.flush()
            return batch

    service.KafkaSource = Source  # type: ignore[misc]
    daemon.run(until_idle_s=float(spec.get("until_idle_s", 20.0)))
    if watch.result is None:
        raise RuntimeError(f"only {watch.judged} of {watch.records} records were judged")
    return watch.result


class _Watch:
    """The last sink: what it has seen has had all its effects."""

    name = "bench"

    def __init__(self, records: int, weigh: bool, age: bool) -> None:
        self.meter = Meter()
        self.records = records
        self.judged = 0
        self.result: dict[str, Any] | None = None
        self._stop = threading.Event()
        self._weigh = weigh
        self._age = age
        self._bad: list[tuple[str, int]] = []
        self._ages: list[float] = []
        self._batches: list[tuple[int, float]] = []
        self._judge_cpu_s = self._publish_cpu_s = self._processed_cpu = 0.0
        self.poll_cpu_s = 0.0

    def time(self, daemon: Daemon) -> None:
        """Time every batch of a daemon, and stop it when all is judged."""
        self._stop = daemon.stop
        process = daemon.pipeline.process

        def timed(batch: Batch) -> Any:
            started, cpu = time.perf_counter(), time.thread_time()
            outcome = process(batch)
            self._processed_cpu = time.thread_time()
            self._judge_cpu_s += self._processed_cpu - cpu
            self._batches.append((max(1, len(batch.records)), time.perf_counter() - started))
            return outcome

        daemon.pipeline.process = timed  # type: ignore[method-assign]

    def publish(self, judgements: Sequence[Judgement], events: Sequence[AlarmEvent]) -> None:
        self._publish_cpu_s += time.thread_time() - self._processed_cpu
        self.judged += len(judgements)
        self._bad += [(j.path, j.lumisection) for j in judgements if j.verdict is Verdict.BAD]
        if self._age:
            now = time.time_ns()
            self._ages += [(now - j.time_ns) / 1e6 for j in judgements]
        if self._weigh:
            self.meter.weigh(self.judged)
        if self.judged >= self.records and self.result is None:
            self.result = {**self.meter.result(self.judged), **self._account()}
            self._stop.set()

    def _account(self) -> dict[str, Any]:
        later = [1e6 * seconds / records for records, seconds in self._batches[1:]]
        found: dict[str, Any] = {
            "bad": self._bad,
            "poll_cpu_us_per_map": 1e6 * self.poll_cpu_s / self.judged,
            "judge_cpu_us_per_map": 1e6 * self._judge_cpu_s / self.judged,
            "publish_cpu_us_per_map": 1e6 * self._publish_cpu_s / self.judged,
            "judge_us_per_map": 1e6 * sum(seconds for _, seconds in self._batches) / self.judged,
            "rss": self.meter.rss,
            "batch_size": float(np.mean([records for records, _ in self._batches])),
            "first_batch_us_per_map": 1e6 * self._batches[0][1] / self._batches[0][0],
            "later_batches_us_per_map": float(np.median(later)) if later else None,
        }
        if self._age:
            found["verdict_ms"] = [float(p) for p in np.percentile(self._ages, (50, 99))]
        return found

    def close(self) -> None:
        pass
