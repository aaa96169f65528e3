"""What adaptive judging is told, and what it knows of one histogram."""

from __future__ import annotations

from dataclasses import dataclass, field

from monitor.judge.gathered import Kept


@dataclass(frozen=True, slots=True, kw_only=True)
class AdaptiveOptions:
    """How a histogram is compared with its own past. All numbers count lumisections, but for thresholds."""

    window: int = 20
    """Good intervals that the reference is made of, the newest."""
    threshold: float = 8.0
    """Score, in units of its own level, beyond which an interval is bad."""
    early: int = 15
    """First intervals of a run, in which a new state is taken over quickly."""
    rebase_early: int = 3
    """Flagged intervals in a row, that agree, which are a new state early in a run; also those that the first
    reference is made of."""
    rebase_late: int = 12
    """The same later in a run."""
    levels: int = 100
    """Good scores that the level is taken of, the newest."""
    level_share: float = 0.9
    """Share of them that stays below the level."""
    rates: int = 20
    """Intervals of the run that the median rate is taken of, the newest."""
    lowest_rate: float = 0.5
    """Share of the median rate below which an interval is bad; 0: none."""
    highest_rate: float = 0.0
    """Multiple of the median rate beyond which an interval is bad; 0: none."""

    @property
    def many(self) -> int:
        """Intervals in a row after which something has to be taken for the histogram's nature."""
        return max(self.rebase_early, self.rebase_late)


@dataclass(slots=True)
class AdaptiveState:
    """What is known of one histogram."""

    run: int
    seen: int = 0
    """Intervals of the run."""
    good: list[Kept] = field(default_factory=list)
    candidates: list[Kept] = field(default_factory=list)
    """The newest intervals in a row that may be a new state."""
    scores: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    """Entries per lumisection of the run, without flagged ones."""
    odd_rates: list[float] = field(default_factory=list)
    """Those that were flagged, in a row."""

    @property
    def nbytes(self) -> int:
        """Bytes held, about."""
        return sum(k.nbytes for k in self.good) + sum(k.nbytes for k in self.candidates)
