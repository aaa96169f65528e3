"""Which alarms are open, and what a new judgement does to them.

A shape belongs to the open alarms of its histogram that deviate in the same direction and share a bin with it; the
one that shares most goes on as that shape, so that a fault that falls apart stays one alarm and faults that grow
together stay two. A shape that belongs to none is raised once it was seen in `Policy.raise_after` judgements in a
row; an alarm that no shape belongs to is cleared after `Policy.clear_after` judgements in a row without it. Only
judgements count; TOO_FEW changes nothing, and a histogram that cannot be judged any more (ERROR, NO_MODEL) makes its
open alarms INVALID.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from monitor.alarm.event import Alarm, AlarmEvent, Severity, alarm_id
from monitor.verdict import Judgement, Shape, Verdict


@dataclass(frozen=True, slots=True)
class Policy:
    """Persistence, in judgements of a histogram."""

    raise_after: int = 1
    clear_after: int = 1


@dataclass(slots=True)
class _Open:
    alarm: Alarm
    reach: frozenset[tuple[int, ...]]
    """Bins of all shapes that it went on as at the last judgement that showed it."""
    sequence: int = 0
    quiet: int = 0

    def shared(self, shape: Shape) -> float:
        """Return the share of bins in common, 0 for a shape of the other direction."""
        if _is_low(self.alarm.shape) != _is_low(shape):
            return 0.0
        common = len(self.reach.intersection(shape.bins))
        return common / (len(self.reach) + len(shape.bins) - common)


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
        if judgement.verdict in (Verdict.ERROR, Verdict.NO_MODEL):
            return self._invalidate(judgement)
        if not judgement.verdict.is_judgement:
            return []
        histogram = self._histograms.get(judgement.key)
        if histogram is None:
            if not judgement.shapes:
                return []
            histogram = self._histograms[judgement.key] = _Histogram()
        events: list[AlarmEvent] = []
        spoken: set[str] = set()
        seen: dict[str, set[tuple[int, ...]]] = {}
        known = list(histogram.open)
        pending: list[_Pending] = []
        for shape in judgement.shapes:
            belonging = [o for o in known if o.shared(shape) > 0.0]
            if belonging:
                closest = max(belonging, key=lambda o, s=shape: o.shared(s))  # type: ignore[misc]
                if closest.alarm.id not in seen:
                    events += self._continue(closest, shape, judgement)
                seen.setdefault(closest.alarm.id, set()).update(shape.bins)
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
        for one in known:
            if one.alarm.id in spoken:
                one.quiet = 0
            if one.alarm.id in seen:
                one.reach = frozenset(seen[one.alarm.id])
        for one in [o for o in histogram.open if o.alarm.id not in spoken]:
            one.quiet += 1
            if one.quiet >= self._policy.clear_after:
                histogram.open.remove(one)
                cleared = replace(one.alarm, judgement=judgement)
                events.append(AlarmEvent("cleared", cleared, one.sequence + 1))
        if not histogram.open and not histogram.pending:
            del self._histograms[judgement.key]
        return events

    def _invalidate(self, judgement: Judgement) -> list[AlarmEvent]:
        """Say of open alarms that nothing can be said of them any more: their histogram cannot be judged."""
        events = []
        for one in self._histograms[judgement.key].open if judgement.key in self._histograms else ():
            if one.alarm.severity is Severity.INVALID:
                continue
            one.sequence += 1
            one.alarm = replace(one.alarm, severity=Severity.INVALID, judgement=judgement)
            events.append(AlarmEvent("updated", one.alarm, one.sequence))
        return events

    def _continue(self, one: _Open, shape: Shape, judgement: Judgement) -> list[AlarmEvent]:
        old = one.alarm
        changed = (shape.kind, shape.sign, shape.bins, Severity.of(shape)) != (
            old.shape.kind,
            old.shape.sign,
            old.shape.bins,
            old.severity,
        )
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
        ),
        frozenset(waiting.shape.bins),
    )


def _same(one: Shape, other: Shape) -> bool:
    return _is_low(one) == _is_low(other) and not set(one.bins).isdisjoint(other.bins)


def _is_low(shape: Shape) -> bool:
    return shape.sign in ("dead", "low")
