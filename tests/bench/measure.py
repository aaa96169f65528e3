"""The measurements, on one broker."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from kafka import KafkaConsumer

from monitor.broker import create_topics
from monitor.service.loop import POLL_S
from tests.bench import bundle
from tests.bench.plan import Plan
from tests.bench.processes import READY, Child, measure
from tests.bench.produce import fill
from tests.bench.workload import Workload

TOPIC = "bench.maps"
PARTITIONS = 4
VARIANTS = ("stock", "bare", "monitor", "model")
_SETTLE_S = 1.0
_START_S = 2.0
"""Seconds of the latency test that are left out of the steady percentile."""


@dataclass(slots=True)
class Bench:
    """One broker, one preloaded topic, and what is measured on them.

    Parameters
    ----------
    plan
        Sizes.
    bootstrap
        The broker.
    folder
        For references, models and logs of the child processes.
    """

    plan: Plan
    bootstrap: str
    folder: Path
    _references: Path = field(init=False)
    _models: Path = field(init=False)
    _faults: set[tuple[str, int]] = field(init=False, default_factory=set)
    _groups: Iterator[int] = field(init=False, default_factory=lambda: iter(range(10_000)))

    def prepare(self, advance: Callable[[], None]) -> dict[str, Any]:
        """Learn, train, and fill the topic; `advance` is called once a message."""
        workload = Workload(histograms=self.plan.histograms)
        self._references, self._models = bundle.write(self.folder, workload, self.plan.models)
        # Each partition may grow beyond what the embedded broker keeps by itself.
        create_topics(self.bootstrap, {TOPIC: PARTITIONS}, {TOPIC: {"retention.bytes": "-1"}})
        started = time.perf_counter()
        self._faults = fill(self.bootstrap, TOPIC, workload, self.plan.preloaded, advance)
        return {"preload_maps_per_s": self.plan.preloaded / (time.perf_counter() - started)}

    def throughput(self, repetition: int, variant: str) -> dict[str, Any]:
        """Measure one consumer of `VARIANTS` in a new process and a new group."""
        spec = self._spec(TOPIC, self.plan.messages)
        if variant in ("stock", "bare"):
            return measure(variant, spec, self._log(f"{variant}-{repetition}"))
        spec |= self._references_or_models(variant)
        found = measure("monitor", spec, self._log(f"{variant}-{repetition}"))
        bad = {(path, lumisection) for path, lumisection in found.pop("bad")}
        del found["rss"]
        return {**found, "bad": len(bad), "bad_without_fault": len(bad - self._faults)}

    def memory(self) -> dict[str, Any]:
        """Let one monitor judge the whole topic; compare its memory early and late."""
        early, late = self.plan.memory_points
        spec = {**self._spec(TOPIC, self.plan.preloaded), **self._references_or_models("monitor"), "weigh": True}
        found = measure("monitor", spec, self._log("memory"))

        def at(records: int) -> float:
            near = [mb for seen, mb in found["rss"] if 0.9 * records <= seen <= 1.05 * records]
            return statistics.median(near or [found["rss"][-1][1]])

        bad = {(path, lumisection) for path, lumisection in found["bad"]}
        step = max(1, len(found["rss"]) // 50)
        return {
            "points": [early, late],
            "rss_mb": [at(early), at(late)],
            "growth": at(late) / at(early),
            "series": found["rss"][::step],
            "faults_missed": len(self._faults - bad),
            "bad_without_fault": len(bad - self._faults),
        }

    def latency(self) -> dict[str, Any]:
        """Measure from just before a faulty map is encoded and sent to the receipt of its alarm, at a steady rate."""
        plan = self.plan
        topic, alarms = "bench.paced", "bench.paced.alarms"
        create_topics(self.bootstrap, {topic: PARTITIONS})
        spec = self._spec(topic, plan.latency_messages) | {"alarms_topic": alarms, "age": True, "until_idle_s": 20}
        spec |= self._references_or_models("monitor")
        load = {
            "bootstrap": self.bootstrap,
            "topic": topic,
            "messages": plan.latency_messages,
            "rate": plan.latency_rate,
            "faulty": plan.latency_faulty,
            "histograms": plan.histograms,
        }
        with Child("monitor", spec, self._log("latency")) as monitor:
            monitor.wait_for(READY)
            consumer = KafkaConsumer(alarms, bootstrap_servers=self.bootstrap, auto_offset_reset="earliest")
            try:
                consumer.poll(timeout_ms=500)
                with Child("paced", load, self._log("paced")) as producer:
                    received = _listen(consumer, monitor)
                    sent = producer.result()
                judged = monitor.result()
            finally:
                consumer.close()
        raised = [ms for event, ms, _ in received if event == "raised"]
        steady = [ms for event, ms, at_s in received if event == "raised" and at_s > received[0][2] + _START_S]
        workload = Workload(seed=2, faulty=plan.latency_faulty, histograms=plan.histograms)
        if not raised:
            raise RuntimeError("no alarm came")
        p50, p99 = (float(p) for p in np.percentile(raised, (50, 99)))
        return {
            "rate": sent["rate"],
            "acknowledged_rate": sent["acknowledged_rate"],
            "p50_ms": p50,
            "p99_ms": p99,
            "max_ms": max(raised),
            "steady_p99_ms": float(np.percentile(steady, 99)) if steady else None,
            "alarms": len(raised),
            "faults": len(workload.faults(plan.latency_messages)),
            "verdict_p50_ms": judged["verdict_ms"][0],
            "verdict_p99_ms": judged["verdict_ms"][1],
        }

    def stages(self) -> dict[str, Any]:
        """Time the stages one by one."""
        return measure(
            "stages", {"seconds": self.plan.stage_seconds, "histograms": self.plan.histograms}, self._log("stages")
        )

    def _spec(self, topic: str, records: int) -> dict[str, Any]:
        return {
            "bootstrap": self.bootstrap,
            "topic": topic,
            "group": f"bench-{next(self._groups)}",
            "records": records,
            "poll_s": POLL_S,
            "folder": str(self.folder),
        }

    def _references_or_models(self, variant: str) -> dict[str, str]:
        return {"models": str(self._models)} if variant == "model" else {"references": str(self._references)}

    def _log(self, name: str) -> Path:
        return self.folder / f"{name}.log"


def _listen(consumer: KafkaConsumer, monitor: Child) -> list[tuple[str, float, float]]:
    """Return (event, ms since its map was sent, time in s) of all alarms, until some time after the monitor ended."""
    received: list[tuple[bytes, int]] = []
    until = float("inf")
    while time.monotonic() < until:
        polled = consumer.poll(timeout_ms=100)
        now = time.time_ns()
        received += [(record.value, now) for records in polled.values() for record in records]
        if until == float("inf") and not monitor.running():
            until = time.monotonic() + _SETTLE_S
    events = [(json.loads(value), now) for value, now in received]
    return [(event["event"], (now - event["judgement"]["time_ns"]) / 1e6, now / 1e9) for event, now in events]
