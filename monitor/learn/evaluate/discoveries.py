"""False discoveries at a stated share of faults found, with what other maps would have given.

A bin is called faulty beyond the threshold that `DETECTED` of the faulty bins reach; FDR = FP / (FP + TP), FP and TP of
as many clean maps as there are faulty ones, each of which has one faulty bin.

Maps are drawn anew, with replacement, clean and faulty ones apart: the second moves the threshold. That does not see
how few false discoveries there are, so the interval is never narrower than Poisson's (Garwood, 1936). Where there is
none, its upper end is the one that fewer than 5 % of such samples would have missed: 3.0 over the number of maps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from monitor.learn.evaluate.roc import LEVEL, Redrawn
from monitor.snapshot import FloatArray

DETECTED = 0.99
"""Share of the faulty bins that are to be found."""
_TAIL = 0.5 * (1.0 - LEVEL)


@dataclass(frozen=True, slots=True, eq=False)
class Discoveries:
    """What is found and what is false, in one experiment or in several."""

    false: int
    """False discoveries in all clean maps."""
    maps: int
    """Clean maps."""
    found: float
    """Share of the faulty bins that are found."""
    redrawn: FloatArray
    """False discoveries of each resampling. Shape: (resamplings,)."""

    @property
    def fdr(self) -> float:
        """FP / (FP + TP)."""
        return self._share(self.false)

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the FDR; from 0 to a one-sided limit where nothing false was seen."""
        if self.false == 0:
            seldom = -np.log(1.0 - LEVEL)
            return 0.0, self._share(max(float(seldom), float(np.quantile(self.redrawn, LEVEL))))
        low = float(stats.chi2.ppf(_TAIL, 2.0 * self.false)) / 2.0
        high = float(stats.chi2.ppf(1.0 - _TAIL, 2.0 * self.false + 2.0)) / 2.0
        lowest, highest = (float(np.quantile(self.redrawn, q)) for q in (_TAIL, 1.0 - _TAIL))
        return self._share(min(low, lowest)), self._share(max(high, highest))

    def _share(self, false: float) -> float:
        of_one = false / self.maps
        return of_one / (of_one + self.found)


def discoveries(clean: FloatArray, faulty: FloatArray, redrawn: Redrawn) -> Discoveries:
    """Return the discoveries of one experiment.

    Parameters
    ----------
    clean
        Scores of good bins, larger is worse. Shape: (maps, bins).
    faulty
        Of the faulty bin of each faulty map. Shape: (maps,).
    redrawn
        Of as many maps.
    """
    order = np.argsort(faulty, kind="stable")
    lost = int((1.0 - DETECTED) * faulty.size)
    # The first whose weights together exceed what may be lost: each resampling has its own.
    places = (np.cumsum(redrawn.bad[:, order], axis=1) > lost).argmax(axis=1)
    thresholds = faulty[order][places]
    own = faulty[order[lost]]
    maps, _ = beyond = np.nonzero(clean >= min(own, thresholds.min()))
    scores = clean[beyond]
    false = np.empty(len(thresholds))
    for threshold in np.unique(thresholds):
        rows = thresholds == threshold
        counts = np.bincount(maps[scores >= threshold], minlength=len(clean))
        false[rows] = redrawn.good[rows] @ counts
    return Discoveries(
        false=int((scores >= own).sum()), maps=len(clean), found=float((faulty >= own).mean()), redrawn=false
    )


def together(parts: Sequence[Discoveries]) -> Discoveries:
    """Return the discoveries of several experiments, each with the thresholds that it has."""
    every: NDArray[np.float64] = np.sum([p.redrawn for p in parts], axis=0)
    return Discoveries(
        false=sum(p.false for p in parts),
        maps=sum(p.maps for p in parts),
        found=float(np.mean([p.found for p in parts])),
        redrawn=every,
    )
