"""The daemon's loop, in the shape that moves most snapshots through one process.

The main thread polls and commits; a bounded queue holds a few batches; one worker takes each batch through the
stages in few, large calls that release the GIL, publishes what came of it, and hands the positions back. Offsets
are committed only after the effects were acknowledged, by time and not by batch: after a crash some alarms may be
published twice, with the same ids, and none is lost.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from monitor.service.pipeline import Pipeline
from monitor.service.watchdog import Watchdog
from monitor.sinks.base import Outcome, Sink
from monitor.sinks.metrics import Metrics
from monitor.source.record import Batch, Partition, Source

log = logging.getLogger(__name__)

POLL_S = 0.2
"""Longest wait for records, s: how quickly a stop is noticed."""
METRICS_S = 1.0


@dataclass(slots=True)
class Totals:
    """What a service did since its start."""

    records: int = 0
    verdicts: Counter[str] = field(default_factory=Counter)
    rejects: Counter[str] = field(default_factory=Counter)
    windows: Counter[str] = field(default_factory=Counter)
    """Events of windows, for instance snapshots dropped as ``late`` or ``duplicate``."""
    alarms: Counter[str] = field(default_factory=Counter)
    """Alarm events by kind."""

    def add(self, outcome: Outcome) -> None:
        """Take what came of a batch."""
        self.verdicts.update(j.verdict.value for j in outcome.judgements)
        self.rejects.update(outcome.rejects)
        self.windows.update({k: n for k, n in outcome.window_events.items() if n})
        self.alarms.update(e.event for e in outcome.events)
        self.records += outcome.records


class Service:
    """Drives batches from a source through the pipeline to the sinks.

    Parameters
    ----------
    source
        Closed by `run`.
    pipeline, sinks, metrics
        What to drive.
    commit_interval_s
        Longest time in s that a judged position waits for its commit.
    watchdog
        Told of progress; started and stopped by `run`.
    queue_batches
        Batches between poll thread and worker.
    clock
        Monotonic time in s.
    """

    def __init__(
        self,
        source: Source,
        pipeline: Pipeline,
        sinks: Sequence[Sink],
        metrics: Metrics,
        *,
        commit_interval_s: float = 1.0,
        watchdog: Watchdog | None = None,
        queue_batches: int = 2,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source = source
        self._pipeline = pipeline
        self._sinks = tuple(sinks)
        self._metrics = metrics
        self._commit_interval_s = commit_interval_s
        self._watchdog = watchdog
        self._clock = clock
        self._waiting: queue.Queue[Batch | None] = queue.Queue(queue_batches)
        self._done: queue.SimpleQueue[dict[Partition, int]] = queue.SimpleQueue()
        self._failure: BaseException | None = None
        self.totals = Totals()
        self._last_record = clock()
        self._last_commit = clock()
        self._last_metrics = 0.0
        self._uncommitted: dict[Partition, int] = {}

    @property
    def judged(self) -> int:
        """Records whose batch has had all its effects."""
        return self.totals.records

    def run(self, stop: threading.Event, until_idle_s: float | None = None) -> None:
        """Drive batches until `stop` is set, or nothing came for `until_idle_s` s; then drain, commit and close.

        Raises
        ------
        Exception
            What made the worker or the source fail: the process must end and be started anew.
        """
        worker = threading.Thread(target=self._work, name="worker", daemon=True)
        if self._watchdog is not None:
            self._watchdog.start()
        worker.start()
        try:
            while not stop.is_set() and self._failure is None:
                self.step()
                if until_idle_s is not None and self._idle_for() > until_idle_s:
                    break
            self._put(None)
            while worker.is_alive() and self._failure is None:
                worker.join(POLL_S)
                self._progress("poll")
            self._collect()
            self._commit(force=True)
        finally:
            if self._watchdog is not None:
                self._watchdog.stop()
            self._source.close()
        if self._failure is not None:
            raise self._failure

    def step(self) -> None:
        """Poll once, hand the batch over, commit what is due."""
        self._progress("poll")
        batch = self._source.poll(POLL_S)
        if batch.records:
            self._last_record = self._clock()
        if batch.lost:
            # Another worker may have gone further in them: what was judged here is no longer ours to commit.
            self._collect()
            for partition in batch.lost:
                self._uncommitted.pop(partition, None)
        if batch.records or batch.lost or batch.corrupt:
            self._put(batch)
        self._collect()
        self._commit(force=False)
        now = self._clock()
        if now - self._last_metrics >= METRICS_S:
            self._last_metrics = now
            self._metrics.see_source(self._source)

    def _put(self, batch: Batch | None) -> None:
        while self._failure is None:
            try:
                self._waiting.put(batch, timeout=POLL_S)
                return
            except queue.Full:
                # The worker is slower than the topic. The client's own thread keeps the membership alive meanwhile,
                # and the watchdog judges the worker.
                self._progress("poll")
                self._collect()
                self._commit(force=False)

    def _idle_for(self) -> float:
        if not self._waiting.empty() or not self._source.ready():
            self._last_record = max(self._last_record, self._clock() - POLL_S)
        return self._clock() - self._last_record

    def _collect(self) -> None:
        while not self._done.empty():
            self._uncommitted.update(self._done.get())

    def _commit(self, force: bool) -> None:
        now = self._clock()
        if self._uncommitted and (force or now - self._last_commit >= self._commit_interval_s):
            if self._source.commit(self._uncommitted):
                self._uncommitted = {}
            self._last_commit = now

    def _work(self) -> None:
        try:
            while True:
                batch = self._waiting.get()
                if batch is None:
                    return
                self._progress("worker")
                self._judge(batch)
                if self._watchdog is not None:
                    self._watchdog.idle("worker")
        except BaseException as error:  # noqa: BLE001 - the main thread raises it: a dead worker must end the process
            self._failure = error

    def _judge(self, batch: Batch) -> None:
        started = self._clock()
        outcome = self._pipeline.process(batch)
        self._metrics.forget(outcome.forgotten)
        judged = self._clock()
        for sink in self._sinks:
            sink.publish(outcome.judgements, outcome.events)
        self._metrics.see_batch(outcome, judge_s=judged - started, publish_s=self._clock() - judged)
        self.totals.add(outcome)
        self._done.put(batch.positions())

    def _progress(self, activity: str) -> None:
        if self._watchdog is not None:
            self._watchdog.busy(activity)
        self._metrics.see_turn()
