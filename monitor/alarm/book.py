"""Which alarms are open, and what a new judgement does to them.

A shape belongs to an open alarm of its histogram when both deviate in the same direction and share a bin. One that
belongs to none is raised once it was seen in `Policy.raise_after` judgements in a row; an alarm that no shape
belongs to is cleared after `Policy.clear_after` judgements in a row without it. Only judgements count: TOO_FEW,
NO_MODEL and the like change nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from monitor.alarm.event import Alarm, AlarmEvent, Severity, alarm_id
from monitor.verdict import Judgement, Shape


@dataclass(frozen=True, slots=True)
class Policy:
    """Persistence, in judgements of a histogram."""

    raise_after: int = 1
    clear_after: int = 1


@dataclass(slots=True)
class _Open:
    alarm: Alarm
    sequence: int = 0
    quiet: int = 0


@dataclass(slots=True)
class _Pending:
    shape: Shape
    first: Judgement
    seen: int = 1


@dataclass(slots=True)
class _Histogram:
    open: list[_Open] = field(default_factory=list)
    pending: list[_Pending] = field(default_factory=list)


class AlarmBook:
    """All open alarms. Deterministic: the same judgements in the same order give the same events."""

    def __init__(self, policy: Policy | None = None) -> None:
        self._policy = policy or Policy()
        self._histograms: dict[str, _Histogram] = {}

    def open_alarms(self) -> Iterator[Alarm]:
        """Iterate over the alarms that are raised and not cleared."""
        for histogram in self._histograms.values():
            for one in histogram.open:
                yield one.alarm

    def update(self, judgement: Judgement) -> list[AlarmEvent]:
        """Take a judgement and return what it changes, in the order to publish."""
        if not judgement.verdict.is_judgement:
            return []
        histogram = self._histograms.get(judgement.key)
        if histogram is None:
            if not judgement.shapes:
                return []
            histogram = self._histograms[judgement.key] = _Histogram()
        events: list[AlarmEvent] = []
        spoken: set[str] = set()
        pending: list[_Pending] = []
        for shape in judgement.shapes:
            belonging = [o for o in histogram.open if _same(o.alarm.shape, shape)]
            if belonging:
                if belonging[0].alarm.id not in spoken:
                    events += self._continue(belonging[0], shape, judgement)
                spoken.update(o.alarm.id for o in belonging)
                continue
            waiting = next((p for p in histogram.pending if _same(p.shape, shape)), None)
            if waiting is None:
                waiting = _Pending(shape, judgement)
            else:
                waiting = _Pending(shape, waiting.first, waiting.seen + 1)
            if waiting.seen < self._policy.raise_after:
                pending.append(waiting)
                continue
            opened = _raise(waiting, judgement)
            histogram.open.append(opened)
            spoken.add(opened.alarm.id)
            events.append(AlarmEvent("raised", opened.alarm, 0))
        histogram.pending = pending
        for one in [o for o in histogram.open if o.alarm.id not in spoken]:
            one.quiet += 1
            if one.quiet >= self._policy.clear_after:
                histogram.open.remove(one)
                cleared = replace(one.alarm, judgement=judgement)
                events.append(AlarmEvent("cleared", cleared, one.sequence + 1))
        if not histogram.open and not histogram.pending:
            del self._histograms[judgement.key]
        return events

    def _continue(self, one: _Open, shape: Shape, judgement: Judgement) -> list[AlarmEvent]:
        one.quiet = 0
        old = one.alarm
        changed = (shape.kind, shape.sign, shape.bins) != (old.shape.kind, old.shape.sign, old.shape.bins)
        one.alarm = replace(
            old, shape=shape, severity=Severity.of(shape), judgement=judgement, updates=old.updates + changed
        )
        if not changed:
            return []
        one.sequence += 1
        return [AlarmEvent("updated", one.alarm, one.sequence)]


def _raise(waiting: _Pending, judgement: Judgement) -> _Open:
    first = waiting.first
    return _Open(
        Alarm(
            id=alarm_id(first, waiting.shape),
            shape=waiting.shape,
            severity=Severity.of(waiting.shape),
            since_run=first.run,
            since_lumisection=first.first_lumisection,
            since_time_ns=first.time_ns,
            judgement=judgement,
        )
    )


def _same(one: Shape, other: Shape) -> bool:
    if (one.sign in ("dead", "low")) != (other.sign in ("dead", "low")):
        return False
    return not set(one.bins).isdisjoint(other.bins)
