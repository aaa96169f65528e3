"""From intervals to verdicts."""

from monitor.judge.catalogue import Catalogue, Entry, Rule
from monitor.judge.judge import Judge

__all__ = ["Catalogue", "Entry", "Judge", "Rule"]
