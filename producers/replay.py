"""Sending recorded runs at a chosen speed, as if they were taken now.

Clock policy: the distance between two snapshots is taken from their data time and divided by the speed; wall time
only waits for it. Run, lumisection and data time of the payload stay what they were.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from monitor.errors import Reject
from monitor.snapshot import Snapshot
from monitor.source.recorded_file import Skip
from monitor.source.recording import LUMISECTION_S

MAX_GAP_S = 60.0
"""Longest distance in data time within a run that is waited for, seconds."""
NAMES = 5
"""Number of names that are kept for each reason to skip."""


class Sink(Protocol):
    """Where snapshots go: `producers.publish.Publisher`, or a list in a test."""

    def send(self, snapshot: Snapshot) -> bool:
        """Take a snapshot; False when it was not taken because everything is to stop."""
        ...


class Pace:
    """When the next snapshot is due.

    Parameters
    ----------
    speed
        Data seconds for each second; None for as fast as possible.
    clock
        Returns seconds from any origin.

    Notes
    -----
    The gap before a run, and one of more than `MAX_GAP_S` within it, is shortened to one lumisection.
    """

    def __init__(self, speed: float | None, clock: Callable[[], float] = time.monotonic) -> None:
        if speed is not None and not speed > 0:
            raise ValueError(f"speed {speed} is not positive")
        self._speed = speed
        self._clock = clock
        self._last: tuple[int, int] | None = None
        self._due_s: float | None = None

    def wait_s(self, snapshot: Snapshot) -> float:
        """Return how long to wait before this snapshot is sent, seconds; 0 when it is due or late."""
        if self._speed is None:
            return 0.0
        now = self._clock()
        if self._last is None or self._due_s is None:
            self._due_s = now
        else:
            run, time_ns = self._last
            gap_s = (snapshot.time_ns - time_ns) / 1e9
            if snapshot.run != run or gap_s > MAX_GAP_S:
                gap_s = LUMISECTION_S
            self._due_s += max(0.0, gap_s) / self._speed
        self._last = snapshot.run, snapshot.time_ns
        return max(0.0, self._due_s - now)

    def start_again(self) -> None:
        """Begin with another pass, as if it were another run."""
        if self._last is not None:
            self._last = -1, self._last[1]


@dataclass(slots=True)
class Skips:
    """Counts what was skipped, by reason, and keeps the first names of each."""

    counts: Counter[str] = field(default_factory=Counter)
    names: dict[str, list[str]] = field(default_factory=dict)
    closed: bool = False
    """In further passes the same is skipped again, and not counted."""

    def __call__(self, skip: Skip) -> None:
        """Count one; what `monitor.source.recording.Recording` calls."""
        if self.closed:
            return
        self.counts[skip.reason] += 1
        names = self.names.setdefault(skip.reason, [])
        if len(names) < NAMES:
            names.append(f"{skip.file.name}:{skip.name}" if skip.name else skip.file.name)

    def refuse(self, snapshot: Snapshot, reject: Reject) -> None:
        """Count a snapshot that was read and could not be sent."""
        self.counts[reject.reason] += 1
        names = self.names.setdefault(reject.reason, [])
        if len(names) < NAMES:
            names.append(snapshot.key)

    def record(self) -> dict[str, Any]:
        """Return counts and names as JSON values."""
        return {reason: {"count": n, "names": self.names[reason]} for reason, n in sorted(self.counts.items())}

    def words(self) -> str:
        """Return counts and names as one line; empty when nothing was skipped."""
        parts = []
        for reason, count in sorted(self.counts.items()):
            more = ", ..." if count > len(self.names[reason]) else ""
            parts.append(f"{reason} {count} ({', '.join(self.names[reason])}{more})")
        return "; ".join(parts)


@dataclass(slots=True)
class Outcome:
    """What a replay did."""

    by_kind: Counter[str] = field(default_factory=Counter)
    runs: set[int] = field(default_factory=set)
    passes: int = 0
    interrupted: bool = False

    @property
    def sent(self) -> int:
        """Number of snapshots handed over."""
        return sum(self.by_kind.values())


def replay(
    recording: Iterable[Snapshot],
    sink: Sink,
    pace: Pace,
    *,
    skips: Skips,
    stop: threading.Event,
    loop: bool = False,
    tell: Callable[[Outcome], None] = lambda _outcome: None,
) -> Outcome:
    """Send a recording, once or again and again, until it ends or `stop` is set.

    Parameters
    ----------
    recording
        Snapshots in order; iterated over once for each pass.
    sink
        Where they go.
    pace
        When they are due.
    skips
        Counts the snapshots that the sink refuses; given to the recording too, it counts everything else.
    stop
        Ends the replay, and every waiting in it, when it is set.
    loop
        Begin again at the end. Sequence numbers go on rising.
    tell
        Called after each snapshot.
    """
    outcome = Outcome()
    sequence = 0
    while not stop.is_set():
        highest = -1
        before = outcome.sent
        for snapshot in recording:
            if stop.wait(pace.wait_s(snapshot)):
                break
            highest = max(highest, snapshot.sequence)
            try:
                if not sink.send(replace(snapshot, sequence=sequence + snapshot.sequence) if sequence else snapshot):
                    break
            except Reject as reject:
                if not skips.closed:
                    skips.refuse(snapshot, reject)
                continue
            outcome.by_kind[snapshot.kind.value] += 1
            outcome.runs.add(snapshot.run)
            tell(outcome)
        else:
            outcome.passes += 1
            sequence += highest + 1
            skips.closed = True
            pace.start_again()
            # A recording of which nothing can be sent must not spin.
            if loop and outcome.sent > before:
                continue
        break
    outcome.interrupted = stop.is_set()
    return outcome
