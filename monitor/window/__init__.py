"""Snapshots to intervals: what was filled since the last judgement."""

from monitor.window.interval import Interval, State
from monitor.window.store import Minimum, WindowStore

__all__ = ["Interval", "Minimum", "State", "WindowStore"]
