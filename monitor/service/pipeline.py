"""The stages from decode to alarm, for a batch of records."""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from monitor.alarm import Alarm, AlarmBook, Policy
from monitor.decode import decode
from monitor.errors import Reject
from monitor.judge import Catalogue, Judge
from monitor.service.shadow import Shadow
from monitor.sinks.base import Outcome
from monitor.source.record import Batch, Partition
from monitor.window import Derivation, Deriver, Interval, Minimum, WindowStore
from monitor.window.derive import Derived

log = logging.getLogger(__name__)

_NO_RULE = Minimum()
_LOGGED_REJECTS = 5


@dataclass(slots=True)
class _State:
    windows: WindowStore
    alarms: AlarmBook


@dataclass(slots=True)
class _DerivedState:
    """Of histograms derived from operands in one pair of partitions."""

    alarms: AlarmBook
    keys: set[str] = field(default_factory=set)


class Pipeline:
    """Decode, window, derive, judge and alarm, with state per partition.

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
    derivations
        Histograms that are made of pairs of others. Both must come to this worker.
    shadows
        Rules and expectations of versions that are judged too, and only counted, by version.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        policy: Policy | None = None,
        max_histograms: int = 100_000,
        max_window_bytes: int = 2 * 1024**3,
        on_error: Callable[[str, Exception], None] | None = None,
        derivations: Sequence[Derivation] = (),
        shadows: Mapping[str, Catalogue] | None = None,
    ) -> None:
        self._catalogue = catalogue
        self._policy = policy
        self._max_histograms = max_histograms
        self._max_window_bytes = max_window_bytes
        self._on_error = on_error or (lambda _stage, _error: None)
        self._judge = Judge(catalogue, self._detector_failed)
        self._shadows = tuple(Shadow(version, of, self._on_error) for version, of in (shadows or {}).items())
        self._states: dict[Partition, _State] = {}
        self._deriver = Deriver(derivations)
        self._derived: dict[tuple[Hashable, Hashable], _DerivedState] = {}

    def process(self, batch: Batch) -> Outcome:
        """Take a batch through all stages. A bad message is counted and the rest goes on."""
        outcome = Outcome(records=len(batch.records), forgotten=self.forget(batch.lost))
        if batch.corrupt:
            outcome.rejects["corrupt_batch"] += batch.corrupt
        intervals: list[Interval] = []
        books: list[AlarmBook] = []
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
                books.append(state.alarms)
                for derived in self._deriver.add(interval, record.partition):
                    intervals.append(derived.interval)
                    books.append(self._alarms_of(derived))
        outcome.judgements = self._judge.judge(intervals)
        for alarms, judgement in zip(books, outcome.judgements, strict=True):
            outcome.events += alarms.update(judgement)
        for shadow in self._shadows:
            outcome.shadows.update(shadow.judge(intervals, outcome.judgements))
        for state in self._states.values():
            outcome.window_events.update(state.windows.events)
            state.windows.events.clear()
        outcome.derive_events.update(self._deriver.events)
        self._deriver.events.clear()
        return outcome

    def _alarms_of(self, derived: Derived) -> AlarmBook:
        state = self._derived.get(derived.origins)
        if state is None:
            state = self._derived[derived.origins] = _DerivedState(AlarmBook(self._policy))
        state.keys.add(derived.interval.key)
        return state.alarms

    def forget(self, partitions: Iterable[Partition]) -> set[str]:
        """Drop the state of partitions that are, or were, another worker's; return its histograms."""
        forgotten: set[str] = set()
        lost = set(partitions)
        if lost:
            self._deriver.forget(lost)
        for pair in [p for p in self._derived if not lost.isdisjoint(p)]:
            forgotten |= self._derived.pop(pair).keys
        for partition in lost:
            state = self._states.pop(partition, None)
            if state is not None:
                forgotten.update(state.windows, (alarm.judgement.key for alarm in state.alarms.open_alarms()))
        if forgotten:
            self._judge.forget(forgotten)
            for shadow in self._shadows:
                shadow.forget(forgotten)
        return forgotten

    def open_alarms(self) -> list[Alarm]:
        """Return all alarms that are raised and not cleared."""
        books = [s.alarms for s in self._states.values()] + [s.alarms for s in self._derived.values()]
        return [alarm for book in books for alarm in book.open_alarms()]

    def histograms(self) -> int:
        """Return the number of histograms with a window."""
        return sum(len(state.windows) for state in self._states.values())

    def _detector_failed(self, key: str, error: Exception) -> None:
        self._on_error("detect", error)
        log.error("detector failed on %s", key, exc_info=error)
