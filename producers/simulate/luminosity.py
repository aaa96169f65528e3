"""How much a lumisection sees: luminosity that ramps up at the start of a run and then decays."""

from __future__ import annotations

import math
from dataclasses import dataclass

UNIT_S = 23.31
"""Length of the lumisection of unit exposure, seconds: a lumisection of CMS."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Luminosity:
    """Luminosity as a function of the time since the start of a run, 1 being full luminosity."""

    lifetime_s: float = 36_000.0
    """Time in which it falls to 1/e."""
    ramp_s: float = 90.0
    """Time that it takes to rise at the start of a run."""
    ramp_from: float = 0.2
    """What it begins with."""
    lowest_run: float = 0.8
    """Runs begin with a luminosity between this and 1."""
    jitter: float = 0.005
    """Fluctuation from lumisection to lumisection, relative."""

    def at(self, time_s: float) -> float:
        """Return the luminosity at a time since the start of the run, without what is random."""
        ramp = 1.0
        if time_s < self.ramp_s:
            ramp = self.ramp_from + (1.0 - self.ramp_from) * time_s / self.ramp_s
        return ramp * math.exp(-time_s / self.lifetime_s)
