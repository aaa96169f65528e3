"""An interval: the content of one histogram between two moments of one run."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from monitor.snapshot import Axis, FloatArray, Kind


class State(Enum):
    """Whether an interval can be judged."""

    READY = "ready"
    TOO_FEW = "too_few"
    EMPTY = "empty"
    """Nothing was filled since the last update."""
    STUCK = "stuck"
    """An interval histogram repeats the content of the last one, bin by bin, and that can be no chance."""
    JOINED = "joined"
    """First sight of a cumulative histogram in mid-run: a base to subtract, nothing to judge."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Interval:
    """What one histogram gathered in lumisections `first_lumisection` to `lumisection` of a run.

    All arrays have the histogram's shape, (bins_x,) or (bins_x, bins_y), and dtype float64.
    """

    stream: str
    path: str
    kind: Kind
    axes: tuple[Axis, ...]
    run: int
    first_lumisection: int
    lumisection: int
    time_ns: int
    """Data time of the last update, ns since 1970."""
    contents: FloatArray
    """Sum of the interval; profiles: mean of each bin, 0 where nothing was filled."""
    variances: FloatArray | None
    """Variance of each content; None for counts."""
    entries: FloatArray | None
    """Profiles only: effective entries of each bin."""
    total: float
    """Entries of the interval: sum of contents, or of entries for a profile."""
    state: State
    absolute: bool = False
    """Whether contents are shares or means, as of a derived ratio: longer exposure does not make them more."""
    silent: int = 0
    """EMPTY only: lumisections since the last one that filled something, at least 1."""

    @property
    def key(self) -> str:
        """Identity of the histogram: ``stream/path``."""
        return f"{self.stream}/{self.path}"

    @property
    def lumisections(self) -> int:
        """Number of lumisections the interval spans, at least 1."""
        return max(1, self.lumisection - self.first_lumisection + 1)
