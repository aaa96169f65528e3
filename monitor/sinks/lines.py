"""Alarm events as JSON lines, for whoever started the monitor by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from monitor.alarm import AlarmEvent
from monitor.verdict import Judgement


class LineSink:
    """Hands every alarm event to a function that writes a line."""

    name = "lines"

    def __init__(self, write: Callable[[Mapping[str, Any]], None]) -> None:
        self._write = write

    def publish(self, _judgements: Sequence[Judgement], events: Sequence[AlarmEvent]) -> None:
        """Write the events."""
        for event in events:
            self._write(event.to_json())

    def close(self) -> None:
        """Nothing to free."""
