"""What a sink is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from monitor.alarm import AlarmEvent
from monitor.verdict import Judgement


class Sink(Protocol):
    """Takes what came of a batch. Lives in one file; `monitor.service.build` puts it into the loop."""

    name: str

    def publish(self, judgements: Sequence[Judgement], events: Sequence[AlarmEvent]) -> None:
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
