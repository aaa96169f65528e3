"""Simulated endcaps of an electromagnetic calorimeter, and what counts of their towers can tell at best.

No score does better than counts allow: a dead tower of expectation mu is a good one that shows nothing with the chance
P(0), exp(-mu), or F^(-mu/(F-1)) where variance is F times the mean. With n towers FDR is then n P(0) / (n P(0) + 1),
taken at mu1, the expectation that 1 % of the towers stay below (`limit`), or more closely with the sum of P(0) over all
towers above mu1 (`limit_sum`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import special

from monitor.learn.evaluate.discoveries import DETECTED
from monitor.snapshot import FloatArray

SIDE = 20
TOWERS = 316
SYSTEMATIC = 0.05
EXPOSURE_SPREAD = 0.1
EXPOSURES = np.maximum(0.3, 1.0 + EXPOSURE_SPREAD * special.ndtri((np.arange(500) + 0.5) / 500))
"""As many equally likely ones."""


@dataclass(frozen=True, slots=True)
class Point:
    """How much towers hold."""

    dispersion: float
    """Variance over mean of hits, F."""
    mu1: float
    """Expectation that 1 % of the towers stay below."""
    peers: Mapping[str, float]
    """FDR for dead towers in the prototype, by detector."""


@dataclass(frozen=True, slots=True, eq=False)
class Endcap:
    """The expectation of each tower, and how its hits scatter."""

    rate: FloatArray
    """Hits of a map of exposure 1; 0 where there is no tower. Shape: (20, 20)."""
    dispersion: float

    def draw(self, exposures: FloatArray, rng: np.random.Generator) -> FloatArray:
        """Draw good maps of one run, of one response. Shape: (maps, 20, 20)."""
        response = np.maximum(1.0 + SYSTEMATIC * rng.standard_normal(self.rate.shape), 0.0)
        mu = exposures[:, None, None] * self.rate * response
        if self.dispersion == 1.0:
            return rng.poisson(mu).astype(np.float64)
        # Variance F mu: a negative binomial of mu / (F - 1) failures, each with chance 1 / F.
        failures = np.where(mu > 0, mu / (self.dispersion - 1.0), 1.0)
        hits = rng.negative_binomial(failures, 1.0 / self.dispersion)
        return np.where(mu > 0, hits, 0).astype(np.float64)

    def nothing(self, mu: FloatArray) -> FloatArray:
        """Return the chance that a good tower shows nothing."""
        f = self.dispersion
        chance: FloatArray = np.exp(-mu) if f == 1.0 else f ** (-mu / (f - 1.0))
        return chance


def endcap(point: Point, gradient: float) -> Endcap:
    """Return an endcap whose fullest tower, next to the beam, expects `gradient` times the hits of the emptiest."""
    place = np.arange(SIDE) - (SIDE - 1) / 2.0
    radius = np.hypot(*np.meshgrid(place, place, indexing="ij"))
    order = np.argsort(radius, axis=None, kind="stable")
    valid = np.isin(np.arange(SIDE * SIDE), order[:TOWERS]).reshape(SIDE, SIDE)
    inner = radius[valid]
    depth = (inner.max() - inner) / (inner.max() - inner.min())
    rate = np.zeros((SIDE, SIDE))
    rate[valid] = gradient**depth
    seen = np.outer(EXPOSURES, rate[valid])
    return Endcap(rate * point.mu1 / np.quantile(seen, 1.0 - DETECTED), point.dispersion)


def limits(cap: Endcap, mu1: float, maps: int) -> tuple[float, float]:
    """Return the least FDR for dead towers that counts of so many maps allow, at mu1 and summed over the towers."""
    one = TOWERS * float(cap.nothing(np.array(maps * mu1)))
    seen = np.outer(EXPOSURES, cap.rate[cap.rate > 0])
    every = float(cap.nothing(maps * seen[seen >= mu1]).sum()) / EXPOSURES.size
    return one / (one + 1.0), every / (every + DETECTED)
