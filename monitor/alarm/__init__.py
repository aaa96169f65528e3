"""The life cycle of an alarm: raised, updated, cleared."""

from monitor.alarm.book import AlarmBook, Policy
from monitor.alarm.event import Alarm, AlarmEvent, Severity

__all__ = ["Alarm", "AlarmBook", "AlarmEvent", "Policy", "Severity"]
