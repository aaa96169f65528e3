"""ROC curves over ``minpts``, and the Bayes decision rule (thesis B, ATLAS 2022, sections 3.8, 3.9 and 4.4).

The detector's score of a bin is 1 over the members of its cluster, so that "anomalous at minpts" is a threshold on
the score and the thesis's curve over minpts an ordinary ROC curve. Positive here means faulty; the thesis's figure 39
calls the inliers positive, which mirrors the curve and leaves its area as it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from monitor.detect.geometry import BoolArray
from monitor.snapshot import FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Roc:
    """A ROC curve, from (0, 0) to (1, 1)."""

    false: FloatArray
    """Share of good bins that are called faulty, rising. Shape: (points,)."""
    found: FloatArray
    """Share of faulty bins that are called so, rising. Shape: (points,)."""
    thresholds: FloatArray
    """A bin is called faulty from this score on; falling, the first is infinite. Shape: (points,)."""

    @property
    def auc(self) -> float:
        """Area under the curve, by the trapezoid rule."""
        return float(np.trapezoid(self.found, self.false))


def roc(scores: FloatArray, truth: BoolArray) -> Roc:
    """Return the curve over every threshold at which anything changes.

    Parameters
    ----------
    scores
        Larger is worse. Any shape.
    truth
        Faulty bins. Shape: the scores'.

    Raises
    ------
    ValueError
        If the shapes differ, a score is NaN, or there are no faulty or no good bins.
    """
    if scores.shape != truth.shape or np.isnan(scores).any():
        raise ValueError(f"scores of shape {scores.shape} for {truth.shape} bins, or scores that are NaN")
    faulty = int(truth.sum())
    if faulty in (0, truth.size):
        raise ValueError(f"{faulty} of {truth.size} bins are faulty: a ROC curve needs both kinds")
    order = np.argsort(-scores, axis=None, kind="stable")
    ordered = scores.ravel()[order]
    last = np.append(np.flatnonzero(np.diff(ordered)), ordered.size - 1)
    hits = np.cumsum(truth.ravel()[order])[last]
    return Roc(
        false=np.append(0.0, (last + 1 - hits) / (truth.size - faulty)),
        found=np.append(0.0, hits / faulty),
        thresholds=np.append(np.inf, ordered[last]),
    )


def roc_over_minpts(scores: FloatArray, truth: BoolArray, largest: int = 40) -> Roc:
    """Return the thesis's curve: minpts from 0 to `largest`, closed by a straight line to (1, 1).

    Arguments and errors: see `roc`; `scores` are those of `DbscanDetector.bin_scores`. The threshold at minpts 0 is
    infinite unless there is noise.
    """
    whole = roc(scores, truth)
    # 1/n as the detector computes it, so that both sides of a comparison round alike.
    limits = np.append(np.nextafter(1.0, 2.0), 1.0 / np.arange(1, largest + 1))
    at = np.searchsorted(-whole.thresholds, -limits, side="right") - 1
    return Roc(
        false=np.concatenate([[0.0], whole.false[at], [1.0]]),
        found=np.concatenate([[0.0], whole.found[at], [1.0]]),
        thresholds=np.concatenate([[np.inf], limits, [-np.inf]]),
    )


@dataclass(frozen=True, slots=True)
class Costs:
    """The losses of equation 17: `first_second` is lambda_12, the cost of calling class 1 what is class 2.

    Class 1 is the inlier, class 2 the outlier: lambda_21 is the price of a false alarm, lambda_12 that of a missed
    fault. The defaults are the symmetric loss, with which the larger probability wins (the thesis's "50-50 chance").
    """

    first_second: float = 1.0
    second_first: float = 1.0
    first_first: float = 0.0
    second_second: float = 0.0

    def __post_init__(self) -> None:
        if not (self.first_second > self.second_second and self.second_first > self.first_first):
            raise ValueError("a wrong decision must cost more than the right one")

    @property
    def threshold(self) -> float:
        """Probability of class 1 above which equation 17 decides for it."""
        missed = self.first_second - self.second_second
        return missed / (missed + self.second_first - self.first_first)


def is_first(p_first: FloatArray, p_second: FloatArray, costs: Costs | None = None) -> BoolArray:
    """Return where equation 17 decides for class 1: (l21 - l11) P(w1|x) > (l12 - l22) P(w2|x).

    Parameters
    ----------
    p_first, p_second
        P(w1|x) and P(w2|x), or anything proportional to them. Any shape.
    costs
        Default: the symmetric loss.
    """
    own = costs or Costs()
    return (own.second_first - own.first_first) * p_first > (own.first_second - own.second_second) * p_second


def choose_minpts(curve: Roc, outlier_share: float, costs: Costs | None = None) -> int:
    """Return the ``minpts`` with the least expected cost: equation 17 applied cluster size by cluster size.

    Going down the curve, every further cluster size adds good bins and faulty ones; it is worth calling faulty as
    long as equation 17 does not decide for the inlier. Where the share of faulty bins does not fall steadily with the
    size, the best of all stops is taken.

    Parameters
    ----------
    curve
        Of `roc`, of scores of `DbscanDetector.bin_scores`.
    outlier_share
        Share of bins that are faulty where the detector will work, in (0, 1); the thesis estimates 2 %.
    costs
        Default: the symmetric loss.
    """
    if not 0.0 < outlier_share < 1.0:
        raise ValueError(f"outlier_share {outlier_share}, must lie in (0, 1)")
    own = costs or Costs()
    risk = (own.second_first - own.first_first) * (1.0 - outlier_share) * curve.false - (
        own.first_second - own.second_second
    ) * outlier_share * curve.found
    # Bins that are not judged (score 0) cannot be called faulty by any minpts.
    reachable = curve.thresholds > 0
    best = float(curve.thresholds[reachable][int(np.argmin(risk[reachable]))])
    return 0 if best > 1.0 else round(1.0 / best)
