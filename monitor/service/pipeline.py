"""The stages from decode to alarm, for a batch of records."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from monitor.alarm import Alarm, AlarmBook, Policy
from monitor.decode import decode
from monitor.errors import Reject
from monitor.judge import Catalogue, Judge
from monitor.sinks.base import Outcome
from monitor.source.record import Batch, Partition
from monitor.window import Interval, Minimum, WindowStore

log = logging.getLogger(__name__)

_NO_RULE = Minimum()
_LOGGED_REJECTS = 5


@dataclass(slots=True)
class _State:
    windows: WindowStore
    alarms: AlarmBook


class Pipeline:
    """Decode, window, judge and alarm, with state per partition.

    Parameters
    ----------
    catalogue
        Rules and expectations.
    policy
        Persistence of alarms.
    max_histograms
        Windows kept per partition.
    max_window_bytes
        Memory for them per partition.
    on_error
        Called with the stage and the exception when a stage fails on one message or group.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        policy: Policy | None = None,
        max_histograms: int = 100_000,
        max_window_bytes: int = 2 * 1024**3,
        on_error: Callable[[str, Exception], None] | None = None,
    ) -> None:
        self._catalogue = catalogue
        self._policy = policy
        self._max_histograms = max_histograms
        self._max_window_bytes = max_window_bytes
        self._on_error = on_error or (lambda _stage, _error: None)
        self._judge = Judge(catalogue, self._detector_failed)
        self._states: dict[Partition, _State] = {}

    def process(self, batch: Batch) -> Outcome:
        """Take a batch through all stages. A bad message is counted and the rest goes on."""
        outcome = Outcome(records=len(batch.records), forgotten=self.forget(batch.lost))
        if batch.corrupt:
            outcome.rejects["corrupt_batch"] += batch.corrupt
        intervals: list[Interval] = []
        states: list[_State] = []
        times = [r.envelope.received_ns for r in batch.records]
        if times:
            outcome.newest_ns, outcome.oldest_ns = max(times), min(times)
        for record in batch.records:
            state = self._states.get(record.partition)
            if state is None:
                state = self._states[record.partition] = _State(
                    WindowStore(self._max_histograms, self._max_window_bytes), AlarmBook(self._policy)
                )
            try:
                snapshot = decode(record.envelope)
            except Reject as reject:
                outcome.rejects[reject.reason] += 1
                if outcome.rejects.total() <= _LOGGED_REJECTS:
                    log.warning("rejected record %s of %s-%s: %s", record.offset, *record.partition, str(reject)[:300])
                continue
            except Exception as error:  # a decoder's defect must cost one message, not the shift's monitor
                self._on_error("decode", error)
                outcome.rejects["decoder_failed"] += 1
                log.exception("decoder failed on record %s of %s-%s", record.offset, *record.partition)
                continue
            rule = self._catalogue[snapshot.key].rule
            interval = state.windows.add(snapshot, rule.minimum if rule else _NO_RULE)
            if interval is not None:
                intervals.append(interval)
                states.append(state)
        outcome.judgements = self._judge.judge(intervals)
        for state, judgement in zip(states, outcome.judgements, strict=True):
            outcome.events += state.alarms.update(judgement)
        for state in self._states.values():
            outcome.window_events.update(state.windows.events)
            state.windows.events.clear()
        return outcome

    def forget(self, partitions: Iterable[Partition]) -> set[str]:
        """Drop the state of partitions that are, or were, another worker's; return its histograms."""
        forgotten: set[str] = set()
        for partition in partitions:
            state = self._states.pop(partition, None)
            if state is not None:
                forgotten.update(state.windows, (alarm.judgement.key for alarm in state.alarms.open_alarms()))
        return forgotten

    def open_alarms(self) -> list[Alarm]:
        """Return all alarms that are raised and not cleared."""
        return [alarm for state in self._states.values() for alarm in state.alarms.open_alarms()]

    def histograms(self) -> int:
        """Return the number of histograms with a window."""
        return sum(len(state.windows) for state in self._states.values())

    def _detector_failed(self, key: str, error: Exception) -> None:
        self._on_error("detect", error)
        log.error("detector failed on %s", key, exc_info=error)
