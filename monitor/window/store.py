"""One window a histogram: interval from cumulative by difference, run change, counter reset, minimum statistics.

Clock policy: only data time, run and lumisection of the snapshots place intervals; no clock is read.

Per histogram, for the next snapshot of a key:

===========================================  ==================================================================
other run, or first snapshot at lumisection  a new window; a cumulative histogram starts from an empty base
1 or earlier
first snapshot of a cumulative histogram     what came before is not this monitor's to judge: the snapshot becomes
later in its run                             the base, JOINED
other axes or kind                           the same, counted ``axes_changed``
earlier run, lumisection or data time        dropped, counted ``late``; after three in a row it is the window that
                                             was wrong: a new one, counted ``reopened``
the same content at the same place again     dropped, counted ``duplicate``
cumulative, less than half is left           the counter began anew: a window from an empty base, counted ``reset``
cumulative, and something became less        corrected by hand or by rounding: the snapshot becomes the base, JOINED,
                                             counted ``reset``
fewer entries than the minimum               accumulated; TOO_FEW until there are enough
no new entry since the last update           EMPTY; the window stays open
interval histogram, all bins as before       STUCK, unless so few entries may well repeat by chance
===========================================  ==================================================================
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from monitor.snapshot import Axis, Kind, Snapshot
from monitor.window.interval import Interval, State
from monitor.window.sums import Sums

REOPEN_AFTER = 3
"""Late snapshots in a row after which the window is taken to be the one that is wrong."""
RESET_SHARE = 0.5
"""Share of a cumulative histogram's entries below which it has begun anew rather than been corrected."""


@dataclass(frozen=True, slots=True)
class Minimum:
    """What a window must hold before it is judged."""

    entries: float = 1.0
    """Sum of contents, or of effective entries for a profile."""
    lumisections: int = 1
    """Lumisections spanned."""


@dataclass(slots=True, eq=False)
class _Window:
    run: int
    kind: Kind
    axes: tuple[Axis, ...]
    cumulative: bool
    first_lumisection: int
    lumisection: int
    time_ns: int
    sequence: int
    base: Sums | None
    """Cumulative: state at the start of the window, None for empty. Interval: what was gathered so far."""
    last: Sums
    """The newest snapshot."""
    late: int
    """Snapshots in a row that were dropped as late."""
    size: int
    """Bytes, about."""
    filled: int
    """Last lumisection that filled something; that before the window if none has."""


class WindowStore:
    """The windows of all histograms of the partitions at hand; least recently seen go first when it is full.

    Parameters
    ----------
    capacity
        Largest number of histograms known at once.
    capacity_bytes
        Most memory for their contents, about.

    Attributes
    ----------
    events
        What happened besides ordinary updates, by name: ``run_changed``, ``axes_changed``, ``reset``, ``late``,
        ``duplicate``, ``evicted``, ``reopened``.
    """

    EVENTS = ("run_changed", "axes_changed", "reset", "late", "duplicate", "evicted", "reopened")

    def __init__(self, capacity: int = 100_000, capacity_bytes: int = 2 * 1024**3) -> None:
        self._windows: OrderedDict[str, _Window] = OrderedDict()
        self._capacity = capacity
        self._capacity_bytes = capacity_bytes
        self._bytes = 0
        self.events: Counter[str] = Counter(dict.fromkeys(self.EVENTS, 0))

    def __len__(self) -> int:
        return len(self._windows)

    def __iter__(self) -> Iterator[str]:
        return iter(self._windows)

    def add(self, snapshot: Snapshot, minimum: Minimum) -> Interval | None:
        """Take the next snapshot of a histogram and return its open interval.

        Returns
        -------
        Interval or None
            None where the snapshot was dropped as late or duplicate. A READY interval closes the window; in every
            other state it stays open and grows with the next snapshot.
        """
        key = snapshot.key
        sums = Sums.of(snapshot)
        window = self._windows.get(key)
        if window is not None and self._is_old(window, snapshot, sums):
            return None
        if window is None or not self._continues(window, snapshot):
            same_run = window is None or window.run >= snapshot.run
            if same_run and snapshot.cumulative and snapshot.lumisection > 1:
                return self._join(key, snapshot, sums)
            window = self._open(key, snapshot, sums)
            update = gathered = sums
            stuck = False
        elif snapshot.cumulative:
            update = sums.minus(window.last)
            if update.least < 0.0:
                self.events["reset"] += 1
                if sums.total >= RESET_SHARE * window.last.total:
                    return self._join(key, snapshot, sums)
                window = self._open(key, snapshot, sums)
                update = gathered = sums
            else:
                # Most histograms are judged at every update: then both differences are the same one.
                gathered = update if window.base is window.last else _since(sums, window.base)
            stuck = False
        else:
            update = sums
            stuck = bool(np.array_equal(sums.first, window.last.first)) and not sums.may_repeat()
            gathered = sums if window.base is None else window.base.plus(sums)
        self._windows.move_to_end(key)
        silent = 0
        if update.is_empty():
            silent = max(1, snapshot.lumisection - window.filled)
        else:
            window.filled = snapshot.lumisection
        window.lumisection = snapshot.lumisection
        window.time_ns = snapshot.time_ns
        window.sequence = snapshot.sequence
        window.last = sums
        total = gathered.total
        # Several updates within one lumisection, or producers that count none, span one.
        span = max(1, snapshot.lumisection - window.first_lumisection + 1)
        if silent:
            state = State.EMPTY
        elif stuck:
            state = State.STUCK
        elif total < minimum.entries or span < minimum.lumisections:
            state = State.TOO_FEW
        else:
            state = State.READY
        first_lumisection = window.first_lumisection
        if state in (State.READY, State.STUCK):
            window.first_lumisection = snapshot.lumisection + 1
            window.base = sums if snapshot.cumulative else None
        elif not snapshot.cumulative:
            window.base = gathered
        return _interval(snapshot, min(first_lumisection, snapshot.lumisection), gathered, total, state, silent)

    def _is_old(self, window: _Window, snapshot: Snapshot, sums: Sums) -> bool:
        if snapshot.run > window.run or (snapshot.run == window.run and snapshot.kind is not window.kind):
            return False
        if snapshot.run < window.run or snapshot.lumisection < window.lumisection or snapshot.time_ns < window.time_ns:
            window.late += 1
            if window.late > REOPEN_AFTER:
                return False
            self.events["late"] += 1
            return True
        window.late = 0
        same_place = (snapshot.lumisection, snapshot.time_ns, snapshot.sequence) == (
            window.lumisection,
            window.time_ns,
            window.sequence,
        )
        # Some producers give neither a sequence nor a finer time: only what says nothing new is a duplicate.
        if same_place and np.array_equal(sums.first, window.last.first):
            self.events["duplicate"] += 1
            return True
        return False

    def _join(self, key: str, snapshot: Snapshot, sums: Sums) -> Interval:
        """Take a snapshot as the base that the next one is subtracted from."""
        window = self._open(key, snapshot, sums)
        window.base = sums
        window.first_lumisection = snapshot.lumisection + 1
        window.filled = snapshot.lumisection
        return _interval(snapshot, snapshot.lumisection, sums, sums.total, State.JOINED)

    def _continues(self, window: _Window, snapshot: Snapshot) -> bool:
        if window.late:
            # Not one stray snapshot but several: it was the one before them that was out of place.
            self.events["reopened"] += 1
            return False
        if snapshot.run != window.run:
            self.events["run_changed"] += 1
            return False
        if snapshot.kind is not window.kind or snapshot.axes != window.axes or snapshot.cumulative != window.cumulative:
            self.events["axes_changed"] += 1
            return False
        return True

    def _open(self, key: str, snapshot: Snapshot, sums: Sums) -> _Window:
        window = _Window(
            run=snapshot.run,
            kind=snapshot.kind,
            axes=snapshot.axes,
            cumulative=snapshot.cumulative,
            first_lumisection=snapshot.lumisection,
            lumisection=snapshot.lumisection,
            time_ns=snapshot.time_ns,
            sequence=snapshot.sequence,
            base=None,
            last=sums,
            late=0,
            filled=snapshot.lumisection - 1,
            # The newest state and the base; both may be held.
            size=2 * sums.nbytes,
        )
        before = self._windows.pop(key, None)
        self._bytes += window.size - (before.size if before else 0)
        self._windows[key] = window
        while len(self._windows) > 1 and (len(self._windows) > self._capacity or self._bytes > self._capacity_bytes):
            self._bytes -= self._windows.popitem(last=False)[1].size
            self.events["evicted"] += 1
        return window


def _since(sums: Sums, base: Sums | None) -> Sums:
    return sums if base is None else sums.minus(base)


def _interval(
    snapshot: Snapshot, first_lumisection: int, gathered: Sums, total: float, state: State, silent: int = 0
) -> Interval:
    contents, variances, entries = gathered.arrays()
    return Interval(
        stream=snapshot.stream,
        path=snapshot.path,
        kind=snapshot.kind,
        axes=snapshot.axes,
        run=snapshot.run,
        first_lumisection=first_lumisection,
        lumisection=snapshot.lumisection,
        time_ns=snapshot.time_ns,
        contents=contents,
        variances=variances,
        entries=entries,
        total=total,
        state=state,
        silent=silent,
    )
