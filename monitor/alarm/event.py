"""What is published of an alarm; the contract is ``alarm.schema.json`` beside this file."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal

from monitor.judge.words import describe_shape, place_of
from monitor.verdict import Judgement, Shape

SCHEMA_VERSION = 1
MAX_BINS = 2000
"""Most bins told of a shape in an event: events stay far below the megabyte that a broker takes by default."""


class Severity(Enum):
    """EPICS alarm severities."""

    OK = "OK"
    MINOR = "MINOR"
    MAJOR = "MAJOR"
    INVALID = "INVALID"

    @classmethod
    def of(cls, shape: Shape) -> Severity:
        """MAJOR for what is dead or hot, MINOR for what is merely low or high."""
        return cls.MAJOR if shape.sign in ("dead", "hot") else cls.MINOR


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """One thing that is wrong in one histogram, from its first bad interval on."""

    id: str
    """Deterministic: the same data gives the same id."""
    shape: Shape
    severity: Severity
    since_run: int
    since_lumisection: int
    since_time_ns: int
    """Data time of the end of the first bad interval."""
    judgement: Judgement
    """The judgement that spoke last."""
    updates: int = 0


@dataclass(frozen=True, slots=True)
class AlarmEvent:
    """One line of the alarm log."""

    event: Literal["raised", "updated", "cleared"]
    alarm: Alarm
    sequence: int
    """Number of the event within its alarm, from 0."""

    @property
    def id(self) -> str:
        """Deterministic id of the event: who sees it twice may drop one."""
        return f"{self.alarm.id}-{self.sequence}"

    def summary(self) -> str:
        """Return what, where, since when, how sure, what to do, on one line."""
        alarm, j = self.alarm, self.alarm.judgement
        where = f"{j.stream}/{j.path}"
        since = f"since run {alarm.since_run} lumisection {alarm.since_lumisection}"
        if self.event == "cleared":
            return f"{where}: {place_of(alarm.shape)} is good again at lumisection {j.lumisection}, {since}"
        return f"{where}: {describe_shape(alarm.shape)}, {since}" + (f". {j.guidance}" if j.guidance else "")

    def to_json(self) -> dict[str, Any]:
        """Return the event in the form of ``alarm.schema.json``."""
        alarm = self.alarm
        return {
            "schema": SCHEMA_VERSION,
            "event": self.event,
            "event_id": self.id,
            "id": alarm.id,
            "severity": (Severity.OK if self.event == "cleared" else alarm.severity).value,
            "summary": self.summary(),
            "since": {
                "run": alarm.since_run,
                "lumisection": alarm.since_lumisection,
                "time_ns": alarm.since_time_ns,
            },
            "shape": alarm.shape.to_json(MAX_BINS),
            "guidance": alarm.judgement.guidance,
            # The judgement may hold other shapes: they are alarms of their own.
            "judgement": alarm.judgement.to_json((alarm.shape,), MAX_BINS),
        }


def alarm_id(judgement: Judgement, shape: Shape) -> str:
    """Return the id of an alarm that is raised now: a hash of what, where, which run, since when."""
    first = min(shape.bins) if shape.bins else ()
    parts = (
        judgement.stream,
        judgement.path,
        str(judgement.run),
        str(judgement.first_lumisection),
        str(judgement.time_ns),
        shape.kind,
        shape.sign,
        f"{shape.axis}{shape.index}",
        ",".join(map(str, first)),
    )
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:16]
