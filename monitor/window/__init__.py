"""Snapshots to intervals: what was filled since the last judgement."""

from monitor.window.derivation import Derivation, refuse_overlap
from monitor.window.derive import Deriver
from monitor.window.interval import Interval, State
from monitor.window.store import Minimum, WindowStore

__all__ = ["Derivation", "Deriver", "Interval", "Minimum", "State", "WindowStore", "refuse_overlap"]
