"""How often good maps look how bad: the tails that turn significances into chances, and chances into thresholds.

Of every map and scale k the scan gives the largest significance z_k of N_k windows. Were every bin's variance known
exactly, T_k = -log(2 N_k sf(|z_k|)) would fall off as exp(-T). Good maps that were held out show how it does fall
off: `Tail` keeps the quantile from which on an exponential was fitted, and its slope, never lighter than theory.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field
from scipy import special, stats

from monitor.infer.windows import WindowSet
from monitor.snapshot import FloatArray

NOT_CALIBRATED_SIGMAS = 1.0
"""Added to the thresholds of single bins where no good maps tell: bins that are noisier than the few references show
are what most false alarms come from, and held-out maps raise that threshold by 0.8 to 1.4."""
ENOUGH = 20
"""Good maps below which a tail promises nothing."""
LEAST_DOUBT = 2.0
"""Factor by which simulated good maps, however many, were found to differ from an extrapolated chance."""


MOST = 1e5
"""Beyond it no tail that was measured starts or falls: nothing would ever alarm."""


class Tail(BaseModel):
    """The tail of T_k of good maps for one scale."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    share: Annotated[float, Field(gt=1e-6, lt=1, strict=True)]
    """Share of good maps beyond `start`."""
    start: Annotated[float, Field(ge=0, le=MOST, strict=True)]
    """T from which on the exponential holds."""
    slope: Annotated[float, Field(ge=1, le=MOST, strict=True)]
    """Mean excess of T beyond `start`; 1 for a map whose variances are known exactly."""

    def threshold(self, chance: float) -> float:
        """Return the T that a good map exceeds with a chance."""
        level, wanted = -math.log(self.share), -math.log(chance)
        if wanted <= level:
            return wanted * self.start / level
        return self.start + self.slope * (wanted - level)


class Pool(BaseModel):
    """What the good maps of histograms of one kind of statistics showed."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    maps: Annotated[int, Field(ge=0, le=10**9, strict=True)]
    """Good maps that were judged by expectations that had not seen them."""
    histograms: Annotated[int, Field(ge=0, le=10**9, strict=True)]
    tails: dict[str, Tail]
    """By name of the scale."""

    @property
    def observed(self) -> float:
        """Least chance a map that was observed and not extrapolated; 1 where there are too few maps."""
        return 10.0 / self.maps if self.maps >= ENOUGH else 1.0

    def doubt(self, chance: float) -> float:
        """Return the factor by which false alarms may differ from a chance a map that is not observed.

        One standard error of the slope of a scale's tail, 1/sqrt(n) of n maps beyond its start, is one of the exponent;
        at least `LEAST_DOUBT`.
        """
        found = [
            math.log(max(1.0, t.share * len(self.tails) / chance)) / math.sqrt(t.share * self.maps)
            for t in self.tails.values()
        ]
        return max(LEAST_DOUBT, math.exp(min(max(found, default=0.0), 100.0)))


class Calibration(BaseModel):
    """The tails of good maps, pooled over histograms of one kind of statistics."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    contract: Literal[1] = 1
    pools: dict[str, Pool]
    """By kind of statistics, as in `monitor.infer.Reference.statistics`."""
    seed: int = 0
    """Of what was dealt out to judge crosswise."""
    software: str = ""
    dataset: str = ""
    """SHA-256 of the dataset; empty where it is not known."""
    runs: tuple[int, ...] = ()
    """Of the good maps."""
    crosswise: bool | None = None
    """Whether they were judged by what was learned of the other runs, rather than held out of the training."""
    packages: dict[str, str] = Field(default_factory=dict)
    """Versions of what decides the numbers."""


def promise_of(pool: Pool | None, chance: float) -> str:
    """Say what stands behind a threshold, for a person."""
    if pool is None or pool.maps < ENOUGH or not pool.tails:
        held = 0 if pool is None or not pool.tails else pool.maps
        return f"no promise: {held} held-out good maps, {ENOUGH} needed"
    if chance >= pool.observed:
        return f"observed on {pool.maps} held-out good maps"
    return (
        f"extrapolated by a factor {pool.observed / chance:.0f} beyond what {pool.maps} held-out good maps show; "
        f"good to a factor {pool.doubt(chance):.0f}"
    )


def thresholds_of(windows: WindowSet, pool: Pool | None, chance: float) -> FloatArray:
    """Return the significance from which on a window is wrong, if good maps may show one with a chance.

    Parameters
    ----------
    pool
        Tails of good maps; None: those of theory, with `NOT_CALIBRATED_SIGMAS` more for single bins.
    chance
        Chance of a false alarm a map, over all its scales.

    Returns
    -------
    Standard deviations. Shape: (scales,).
    """
    share = chance / len(windows.names)
    limits = np.empty(len(windows.names))
    for k, (name, count) in enumerate(zip(windows.names, windows.counts.tolist(), strict=True)):
        tail = pool.tails.get(name) if pool is not None and pool.maps >= ENOUGH else None
        t = tail.threshold(share) if tail is not None else -math.log(share)
        limits[k] = _sigmas(t, count)
        if tail is None and name == "bin":
            limits[k] += NOT_CALIBRATED_SIGMAS
    return limits


def tails_of(windows: WindowSet, pool: Pool | None) -> FloatArray:
    """Return start, level and slope of each scale's tail, see `chances_of`. Shape: (scales, 3)."""
    rows = []
    for name in windows.names:
        tail = pool.tails.get(name) if pool is not None and pool.maps >= ENOUGH else None
        rows.append((0.0, 0.0, 1.0) if tail is None else (tail.start, -math.log(tail.share), tail.slope))
    return np.array(rows)


def chances_of(windows: WindowSet, tails: FloatArray, best: FloatArray) -> FloatArray:
    """Return the chance that a good map shows a window as extreme as its most extreme, over all scales.

    Parameters
    ----------
    tails
        See `tails_of`. Shape: (maps, scales, 3).
    best
        Largest significance of each scale. Shape: (maps, scales).

    Returns
    -------
    Shape: (maps,).
    """
    t = extremeness(windows, best)
    start, level, slope = (tails[..., i] for i in range(3))
    inside = t < start
    exponent = np.where(inside, t * level / np.where(inside, start, 1.0), level + (t - start) / slope)
    chances: FloatArray = np.minimum(1.0, len(windows.names) * np.exp(-exponent.max(axis=-1)))
    return chances


def extremeness(windows: WindowSet, best: FloatArray) -> FloatArray:
    """Return T = -log(2 N sf(|z|)), at least 0, of the largest significances. Shape: (..., scales), in and out."""
    t: FloatArray = -(np.log(2.0 * windows.counts) + special.log_ndtr(-np.abs(best)))
    return np.maximum(t, 0.0)


@lru_cache(maxsize=4096)
def _sigmas(t: float, count: int) -> float:
    """Solve T = -log(2 N sf(z)) for z."""
    logarithm = -t - math.log(2.0 * count)
    # Below the smallest float64 the inverse of the survival function is lost; its logarithm is nearly a parabola.
    if logarithm > -700.0:
        return float(max(0.0, stats.norm.isf(math.exp(logarithm))))
    return math.sqrt(-2.0 * logarithm - math.log(2.0 * math.pi * -2.0 * logarithm))
