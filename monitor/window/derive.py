"""Pairs of intervals that belong together, and the derived intervals made of them.

What belongs together is found by place: run, last lumisection, data time, and the number of the update there. The
other half may come later, from another partition; it is waited for in a bounded store. What has no partner, or one
that does not fit, is counted by reason and never judged:

``other_run``           the partner has gone on to another run
``other_lumisections``  the partner gathered other lumisections
``other_update``        the partner was updated at another data time of the same lumisections
``other_binning``       the partner has other axes
``other_kind``          one is a profile and the other is not
``no_errors``          a difference is wanted of contents whose errors are not known
``out_of_range``       a ratio is too large to calculate with
``not_ready``           the partner holds too few entries, or none
``unmatched``           the partner did not come
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass, field

from monitor.window.derivation import Derivation, Unfit, combine
from monitor.window.interval import Interval, State

_REMEMBERED = 100_000
_FULL = (State.READY, State.STUCK)

Place = tuple[int, int, int, int]
"""Run, last lumisection, data time, number of the update there."""


@dataclass(frozen=True, slots=True, eq=False)
class Derived:
    """A derived interval, and where its operands came from."""

    interval: Interval
    origins: tuple[Hashable, Hashable]
    """As they were given to `Deriver.add`, in the order of the operation."""


@dataclass(slots=True)
class _Pair:
    """What waits of one derived histogram: for each operand intervals by place, and the place seen last."""

    waiting: tuple[dict[Place, tuple[Interval, Hashable]], dict[Place, tuple[Interval, Hashable]]] = field(
        default_factory=lambda: ({}, {})
    )
    newest: list[Place | None] = field(default_factory=lambda: [None, None])


class Deriver:
    """Pairs intervals and makes derived ones of them.

    Parameters
    ----------
    derivations
        In any order; a histogram may be an operand of several.
    capacity
        Most intervals that wait for their partners; the histograms that waited longest are let go first.
    capacity_bytes
        Most memory for their contents.

    Attributes
    ----------
    events
        ``derived``, and the reasons in the module's docstring.
    """

    EVENTS = (
        "derived",
        "other_run",
        "other_lumisections",
        "other_update",
        "other_binning",
        "other_kind",
        "no_errors",
        "out_of_range",
        "not_ready",
        "unmatched",
    )

    def __init__(
        self, derivations: Sequence[Derivation], capacity: int = 10_000, capacity_bytes: int = 256 * 1024**2
    ) -> None:
        self._derivations = tuple(derivations)
        self._capacity = capacity
        self._capacity_bytes = capacity_bytes
        self._count = 0
        self._bytes = 0
        self._pairs: OrderedDict[tuple[int, str, str], _Pair] = OrderedDict()
        self._roles: dict[str, tuple[tuple[int, int, str], ...]] = {}
        self.events: Counter[str] = Counter(dict.fromkeys(self.EVENTS, 0))

    def __len__(self) -> int:
        """Return the number of intervals that wait."""
        return self._count

    def add(self, interval: Interval, origin: Hashable = None) -> list[Derived]:
        """Take an interval and return what it completes.

        Parameters
        ----------
        interval
            In any state; those of one histogram in the order in which they were taken.
        origin
            Where it comes from, for instance its partition.
        """
        found = []
        for number, side, path in self._roles_of(interval):
            derived = self._pair(number, side, path, interval, origin)
            if derived is not None:
                self.events["derived"] += 1
                found.append(derived)
        return found

    def forget(self, origins: Collection[Hashable]) -> None:
        """Let go, uncounted, of what waits and came from one of `origins`."""
        for pair in self._pairs.values():
            for side in (0, 1):
                for place in [p for p, (_, origin) in pair.waiting[side].items() if origin in origins]:
                    self._take(pair, side, place)

    def finish(self) -> None:
        """Count what still waits as ``unmatched`` and let it go: nothing more will come."""
        while self._pairs:
            self._let_go()

    def _roles_of(self, interval: Interval) -> tuple[tuple[int, int, str], ...]:
        """Return (derivation, operand, derived path) of everything that an interval's histogram takes part in."""
        if not self._derivations:
            return ()
        key = interval.key
        roles = self._roles.get(key)
        if roles is None:
            if len(self._roles) >= _REMEMBERED:
                self._roles.clear()
            sides = (d.side_of(interval.stream, interval.path) for d in self._derivations)
            roles = tuple((n, *side) for n, side in enumerate(sides) if side is not None)
            self._roles[key] = roles
        return roles

    def _pair(self, number: int, side: int, path: str, interval: Interval, origin: Hashable) -> Derived | None:
        key = (number, interval.stream, path)
        pair = self._pairs.get(key)
        if pair is None:
            pair = self._pairs[key] = _Pair()
            while len(self._pairs) > _REMEMBERED:
                self._let_go()
        self._pairs.move_to_end(key)
        place = _place(interval, pair.newest[side])
        pair.newest[side] = place
        # An operand's intervals come in order: what its partner still waits for at an earlier place will not come.
        for earlier in [p for p in pair.waiting[1 - side] if p < place]:
            partner, _ = self._take(pair, 1 - side, earlier)
            if partner.state in _FULL:
                self.events[_passed(partner, interval)] += 1
        if place not in pair.waiting[1 - side]:
            newest = pair.newest[1 - side]
            if newest is None or newest < place:
                self._wait(pair, side, place, interval, origin)
            elif interval.state in _FULL:
                later = min(pair.waiting[1 - side], default=None)
                self.events["unmatched" if later is None else _passed(interval, pair.waiting[1 - side][later][0])] += 1
            return None
        partner, partner_origin = self._take(pair, 1 - side, place)
        operands = (interval, partner) if side == 0 else (partner, interval)
        reason = _misfit(*operands)
        if reason is not None:
            if reason:
                self.events[reason] += 1
            return None
        origins = (origin, partner_origin) if side == 0 else (partner_origin, origin)
        try:
            return Derived(combine(self._derivations[number], path, *operands), origins)
        except Unfit as unfit:
            self.events[str(unfit)] += 1
            return None

    def _wait(self, pair: _Pair, side: int, place: Place, interval: Interval, origin: Hashable) -> None:
        pair.waiting[side][place] = (interval, origin)
        self._count += 1
        self._bytes += _nbytes(interval)
        while self._count > self._capacity or self._bytes > self._capacity_bytes:
            self._let_go()

    def _take(self, pair: _Pair, side: int, place: Place) -> tuple[Interval, Hashable]:
        found = pair.waiting[side].pop(place)
        self._count -= 1
        self._bytes -= _nbytes(found[0])
        return found

    def _let_go(self) -> None:
        """Give up on the derived histogram that nothing came for the longest."""
        _, pair = self._pairs.popitem(last=False)
        for side in (0, 1):
            for place in list(pair.waiting[side]):
                interval, _ = self._take(pair, side, place)
                self.events["unmatched"] += interval.state in _FULL


def _place(interval: Interval, before: Place | None) -> Place:
    here = (interval.run, interval.lumisection, interval.time_ns)
    return (*here, before[3] + 1 if before is not None and before[:3] == here else 0)


def _passed(waiting: Interval, now: Interval) -> str:
    """Return why an interval has no partner, now that the partner is at a later place."""
    if waiting.run != now.run:
        return "other_run"
    if (waiting.first_lumisection, waiting.lumisection) == (now.first_lumisection, now.lumisection):
        return "other_update"
    return "other_lumisections" if waiting.lumisection >= now.first_lumisection else "unmatched"


def _misfit(a: Interval, b: Interval) -> str | None:
    """Return why two intervals at one place do not fit; empty if neither is complete; None if they fit."""
    ready = (a.state in _FULL) + (b.state in _FULL)
    if ready < 2:
        return "not_ready" if ready else ""
    if a.first_lumisection != b.first_lumisection:
        return "other_lumisections"
    if a.axes != b.axes or a.contents.shape != b.contents.shape:
        return "other_binning"
    return "other_kind" if a.kind.is_profile != b.kind.is_profile else None


def _nbytes(interval: Interval) -> int:
    return sum(x.nbytes for x in (interval.contents, interval.variances, interval.entries) if x is not None)
