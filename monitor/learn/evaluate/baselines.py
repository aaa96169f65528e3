"""What others use where we compare with an expectation: PCA and isolation forest, learned from the same references.

Both know no statistics: they see shares of a map's total (profiles: means), as AutoDQM's (arXiv 2501.13789) and those
of CMS's drift tubes do. They have no threshold of their own that a budget of false alarms would follow from, so
nothing is said of what they find at one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from monitor.snapshot import FloatArray
from monitor.window import Interval

MODES = 2
"""Of the PCA at most, as AutoDQM has them; one less than there are references."""
TREES = 100
_MOST = 20_000
"""Bins of references that the forest is grown on."""


class Pca:
    """Squared distance between a map and what the first modes of the references give back of it."""

    name = "pca"

    def __init__(self, references: Sequence[Interval], seed: int = 0) -> None:
        from sklearn.decomposition import PCA

        shares = np.stack([_shares(i).ravel() for i in references])
        modes = min(MODES, len(shares) - 1)
        self._mean = shares.mean(axis=0)
        self._modes = np.zeros((0, self._mean.size))
        # Of references that are all alike there is no mode.
        if modes > 0 and np.ptp(shares, axis=0).any():
            self._modes = PCA(n_components=modes, svd_solver="full", random_state=seed).fit(shares).components_

    def bin_scores(self, intervals: Sequence[Interval]) -> FloatArray:
        """Return the squared distance of every bin. Shape: (maps, ...)."""
        away = np.stack([_shares(i).ravel() for i in intervals]) - self._mean
        away -= (away @ self._modes.T) @ self._modes
        scores: FloatArray = (away**2).reshape(-1, *intervals[0].contents.shape)
        return scores

    def score(self, interval: Interval) -> float:
        """Return the squared distance of the whole map."""
        return float(self.bin_scores([interval]).sum())


class IsolationForest:
    """How few random cuts part a bin from those of the references.

    A bin is a point: its mean share in the references, and its share in this map over that. A map is as odd as the
    oddest hundredth of its bins.
    """

    name = "isolation_forest"

    def __init__(self, references: Sequence[Interval], seed: int = 0) -> None:
        from sklearn.ensemble import IsolationForest as Forest

        shares = np.stack([_shares(i) for i in references])
        self._mean = shares.mean(axis=0)
        points = np.concatenate([self._points(one) for one in shares])
        if len(points) > _MOST:
            points = points[np.random.default_rng(seed).choice(len(points), _MOST, replace=False)]
        self._forest = Forest(n_estimators=TREES, random_state=seed, n_jobs=1).fit(points)

    def bin_scores(self, intervals: Sequence[Interval]) -> FloatArray:
        """Return the anomaly score of every bin, between 0 and 1. Shape: (maps, ...)."""
        # A call takes its time whether it is of one map or of many.
        points = np.concatenate([self._points(_shares(i)) for i in intervals])
        scores: FloatArray = -self._forest.score_samples(points)
        return scores.reshape(-1, *intervals[0].contents.shape)

    def score(self, interval: Interval) -> float:
        """Return the mean score of the oddest hundredth of the bins, at least one."""
        scores = np.sort(self.bin_scores([interval]), axis=None)
        return float(scores[-max(1, scores.size // 100) :].mean())

    def _points(self, shares: FloatArray) -> FloatArray:
        filled = self._mean != 0
        ratio = np.where(filled, shares / np.where(filled, self._mean, 1.0), shares / np.abs(self._mean).mean())
        # Filled or not, the two axes are of one size: cuts are drawn by range.
        return np.stack([self._mean.ravel() / np.abs(self._mean).max(), ratio.ravel()], axis=1)


BASELINES: dict[str, type[Pca] | type[IsolationForest]] = {Pca.name: Pca, IsolationForest.name: IsolationForest}


def _shares(interval: Interval) -> FloatArray:
    if interval.entries is not None:
        return interval.contents
    total = float(interval.contents.sum())
    shares: FloatArray = interval.contents / total if total > 0 else interval.contents
    return shares
