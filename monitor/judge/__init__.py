"""From intervals to verdicts."""

from monitor.judge.adaptive import judge_in_order
from monitor.judge.catalogue import Catalogue, Entry, Rule
from monitor.judge.judge import Judge
from monitor.judge.state import AdaptiveOptions

__all__ = ["AdaptiveOptions", "Catalogue", "Entry", "Judge", "Rule", "judge_in_order"]
