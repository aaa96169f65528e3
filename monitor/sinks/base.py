"""What comes of a batch, and what takes it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from monitor.alarm import AlarmEvent
from monitor.verdict import Judgement


@dataclass(slots=True)
class Outcome:
    """What came of a batch."""

    records: int = 0
    judgements: list[Judgement] = field(default_factory=list)
    events: list[AlarmEvent] = field(default_factory=list)
    rejects: Counter[str] = field(default_factory=Counter)
    window_events: Counter[str] = field(default_factory=Counter)
    derive_events: Counter[str] = field(default_factory=Counter)
    """Derived histograms that were made, and why others were not: see `monitor.window.derive`."""
    shadows: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """Judgements of versions in shadow: version, its verdict, and that of the active version."""
    forgotten: set[str] = field(default_factory=set)
    """Histograms, ``stream/path``, whose windows and alarms went with their partition before this batch."""
    newest_ns: int = 0
    """Newest time stamp of the batch's records, ns since 1970."""
    oldest_ns: int = 0
    """Oldest time stamp of the batch's records, ns since 1970."""


class Sink(Protocol):
    """Takes what came of a batch. Lives in one file; `monitor.service.build` puts it into the loop."""

    name: str

    def publish(self, judgements: Sequence[Judgement], events: Sequence[AlarmEvent], /) -> None:
        """Publish, and return only when it is safe to say that it was published.

        Raises
        ------
        Exception
            If it could not be: the offsets then stay, the process ends, and its successor publishes again.
        """
        ...

    def close(self) -> None:
        """Free what the sink holds."""
        ...
