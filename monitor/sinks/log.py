"""Alarms as structured log records."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from monitor.alarm import AlarmEvent
from monitor.verdict import Judgement

log = logging.getLogger("histwatch.alarms")


class LogSink:
    """One log record an alarm event; the event's JSON is in the record's ``event`` attribute."""

    name = "log"

    def publish(self, _judgements: Sequence[Judgement], events: Sequence[AlarmEvent]) -> None:
        """Log the events; judgements are too many for a log."""
        for event in events:
            level = logging.INFO if event.event == "cleared" else logging.WARNING
            log.log(level, "alarm %s: %s", event.event, event.summary(), extra={"event": event.to_json()})

    def close(self) -> None:
        """Nothing to free."""
