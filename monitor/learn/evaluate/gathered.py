"""Recorded histograms by path, empty ones among them, and a reason for each that is not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from monitor.source.naming import Naming
from monitor.source.recorded_file import NOT_MEANT, Skip
from monitor.source.recording import Recording
from monitor.window import Interval, Minimum, State, WindowStore

_WORDS = {
    State.JOINED: "joined its run in the middle: the first update is only what the next is counted from",
    State.TOO_FEW: "less than one entry",
}


@dataclass(slots=True)
class Gathered:
    """What recordings hold."""

    intervals: dict[str, list[Interval]] = field(default_factory=dict)
    """By path, in the order they were taken; EMPTY ones are kept."""
    without: Counter[tuple[str, str]] = field(default_factory=Counter)
    """How often each path, empty for whole files, was left out for each reason."""


def gather(paths: Sequence[str]) -> Gathered:
    """Read recordings.

    Parameters
    ----------
    paths
        Files, folders and globs.

    Raises
    ------
    SourceError
        For a path that does not exist and a glob that matches nothing.
    """
    found = Gathered()
    naming = Naming()

    def skipped(skip: Skip) -> None:
        path = naming.identify(skip.file, skip.name).path if skip.name and skip.reason not in NOT_MEANT else ""
        # Details of a histogram tell its runs apart; the reason is what counts.
        found.without[path, f"not read: {skip.reason}"] += 1

    windows = WindowStore()
    streams: dict[str, dict[str, list[Interval]]] = {}
    for snapshot in Recording(paths, on_skip=skipped):
        interval = windows.add(snapshot, Minimum())
        if interval is None:
            found.without[snapshot.path, "late, or the same once more"] += 1
        elif interval.state in _WORDS:
            found.without[snapshot.path, _WORDS[interval.state]] += 1
        else:
            # Streams are named after folders, which differ between good and bad recordings.
            streams.setdefault(interval.path, {}).setdefault(interval.stream, []).append(interval)
    for path, by_stream in streams.items():
        if len(by_stream) == 1:
            (found.intervals[path],) = by_stream.values()
        else:
            number = sum(map(len, by_stream.values()))
            found.without[path, f"in {len(by_stream)} streams (folders): which one is meant cannot be told"] += number
    return found
