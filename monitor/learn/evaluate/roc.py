"""Areas under ROC curves, with confidence intervals by bootstrap over maps.

The bins of one map share its exposure, its faults and their sizes: they are not as many measurements as there are
bins. So maps are drawn anew, with replacement, good and faulty ones apart, and the central 95 % of the areas told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from monitor.detect.geometry import BoolArray
from monitor.learn.thesis_b.roc import roc
from monitor.snapshot import FloatArray

RESAMPLED = 500
LEVEL = 0.95
_POINTS = 200


@dataclass(frozen=True, slots=True)
class Area:
    """Area under a ROC curve, and the central 95 % of what other maps would have given."""

    value: float
    low: float
    high: float


def area(good: FloatArray, bad: FloatArray) -> float:
    """Return the chance that a bad score is larger than a good one, ties counted half (Mann and Whitney).

    Parameters
    ----------
    good, bad
        Scores, any shape, not empty.
    """
    return float(_wins(np.sort(good, axis=None), bad.ravel()))


def area_of_maps(good: FloatArray, bad: FloatArray, rng: np.random.Generator) -> Area:
    """Return the area of whole maps with one score each.

    Parameters
    ----------
    good, bad
        Shape: (maps,), not empty.
    """
    above = bad[:, None] - good[None, :]
    wins = (above > 0) + 0.5 * (above == 0)
    drawn_bad, drawn_good = _drawn(bad.size, rng), _drawn(good.size, rng)
    found = ((drawn_bad @ wins) * drawn_good).sum(axis=1) / (bad.size * good.size)
    return _between(float(found[0]), found[1:])


@dataclass(frozen=True, slots=True, eq=False)
class Redrawn:
    """How often each map is in each resampling; one for all detectors, so that they differ in what they say only."""

    good: FloatArray
    """Shape: (resamplings, good maps)."""
    bad: FloatArray
    """Shape: (resamplings, bad maps)."""


def redraw(good: int, bad: int, rng: np.random.Generator) -> Redrawn:
    """Draw resamplings of so many good and bad maps."""
    return Redrawn(_drawn(good, rng)[1:], _drawn(bad, rng)[1:])


def area_of_single_bins(good: FloatArray, bad: FloatArray, redrawn: Redrawn) -> Area:
    """Return the area of good bins of clean maps against one faulty bin of each faulty map.

    A faulty bin's wins over all good ones, and all faulty ones' wins over a clean map's bins, are sums over maps that
    are drawn apart: to first order the area moves with the mean of each (Sen 1960; DeLong and others 1988).

    Parameters
    ----------
    good
        Shape: (maps, bins), not empty.
    bad
        Shape: (maps,), not empty.
    redrawn
        Of as many maps.
    """
    of_bad = _each(np.sort(good, axis=None), bad)
    of_good = 1.0 - _each(np.sort(bad), good).mean(axis=1)
    value = float(of_bad.mean())
    found = redrawn.bad @ of_bad / bad.size + redrawn.good @ of_good / len(good) - value
    return _between(value, np.clip(found, 0.0, 1.0))


@dataclass(frozen=True, slots=True, eq=False)
class BinAreas:
    """How bins of faulty maps compare with good bins."""

    own: Area
    """Mean over the faulty maps, each with a curve of its own, as in thesis B."""
    pooled: Area
    """All bins of all maps, good ones included, in one curve: what one threshold for all of them can do."""


def area_of_bins(scores: Sequence[FloatArray], truths: Sequence[BoolArray], rng: np.random.Generator) -> BinAreas:
    """Return the areas of bins.

    Parameters
    ----------
    scores, truths
        Of each map: how wrong its bins look, and which are faulty. Shape of each: the histogram's.

    Raises
    ------
    ValueError
        If no map has both good and faulty bins.
    """
    good = [np.sort(s[~t]) for s, t in zip(scores, truths, strict=True)]
    bad = [s[t] for s, t in zip(scores, truths, strict=True)]
    faulty = [n for n, (g, b) in enumerate(zip(good, bad, strict=True)) if g.size and b.size]
    clean = [n for n, (g, b) in enumerate(zip(good, bad, strict=True)) if g.size and not b.size]
    if not faulty:
        raise ValueError("no map has both good and faulty bins: there is no ROC curve")
    order = [*faulty, *clean]
    wins = np.array([[_wins(good[j], bad[i]) for j in order] for i in faulty])
    n_bad = np.array([bad[i].size for i in faulty], dtype=np.float64)
    n_good = np.array([good[j].size for j in order], dtype=np.float64)
    weighted = wins * n_bad[:, None] * n_good[None, :]
    own = np.diagonal(wins)
    # One row of numbers of drawings a resampling; the first row is the maps as they are.
    drawn = _drawn(len(faulty), rng)
    others = np.hstack([drawn, _drawn(len(clean), rng)]) if clean else drawn
    means = drawn @ own / len(faulty)
    together = np.einsum("ni,ij,nj->n", drawn, weighted, others) / ((drawn @ n_bad) * (others @ n_good))
    return BinAreas(_between(float(means[0]), means[1:]), _between(float(together[0]), together[1:]))


def curve(scores: FloatArray, truth: BoolArray) -> tuple[FloatArray, FloatArray]:
    """Return a ROC curve of at most some hundred points: share of good ones, of bad ones, that are called bad.

    Parameters
    ----------
    scores, truth
        Larger is worse; which are bad. Any shape, the same.
    """
    found = roc(scores, truth)
    # Faults are rare: where few good ones are lost is what matters, so points are dense there.
    wanted = np.unique(np.concatenate([np.geomspace(1e-6, 1.0, _POINTS), np.linspace(0.0, 1.0, _POINTS)]))
    kept = np.unique(np.append(0, np.searchsorted(found.false, wanted, side="right") - 1))
    return found.false[kept], found.found[kept]


def _wins(ordered: FloatArray, bad: FloatArray) -> float:
    return float(_each(ordered, bad).mean())


def _each(ordered: FloatArray, scores: FloatArray) -> FloatArray:
    """Return the share of ordered scores that each of others exceeds, ties counted half. Shape: the others'."""
    below = np.searchsorted(ordered, scores, side="left")
    upto = np.searchsorted(ordered, scores, side="right")
    share: FloatArray = (below + upto) / (2.0 * ordered.size)
    return share


def _drawn(count: int, rng: np.random.Generator) -> FloatArray:
    often = rng.multinomial(count, np.full(count, 1.0 / count), size=RESAMPLED)
    drawn: FloatArray = np.vstack([np.ones(count), often]).astype(np.float64)
    return drawn


def _between(value: float, found: FloatArray) -> Area:
    tail = 0.5 * (1.0 - LEVEL)
    return Area(value, float(np.quantile(found, tail)), float(np.quantile(found, 1.0 - tail)))
