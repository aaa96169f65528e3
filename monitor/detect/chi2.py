"""Pearson's chi2 of a histogram against its reference, of the same total.

    chi2 = sum (x - mu)^2 / V,  V = k (mu + x e / E)

over the bins with V > 0, which for counts is the chi2 of two samples (x in exposure e, m E in exposure E; Gagunashvili
2010); where the reference is known well, E >> e, it is Pearson's with V = mu. The total is fitted: as many degrees of
freedom as bins less one; of profiles, whose scale is not fitted, as many as bins. Bins that
expect less than five effective entries, by histogram and reference together, are merged, those of like expectation with
one another: where bins of 0.05 entries count one by one, chi2 scatters far more than its law says.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincc, gammaln

from monitor.detect.base import Expected
from monitor.detect.checks import NOTHING, Check, Comparison, Planes
from monitor.snapshot import FloatArray
from monitor.window import Interval

_SMALLEST = 1e-280
_TERMS = 60
LEAST = 5.0
"""Effective entries that a term of chi2 expects at least."""


class Chi2Check(Check):
    """Pearson's chi2 against the reference; thresholds and options are those of `Check`."""

    name = "chi2"

    def compare(self, interval: Interval, planes: Planes) -> Comparison:
        """Return log p of the chi2."""
        counts = planes.judged & (planes.total > 0)
        group = groups(planes.entries[counts])
        deviation = np.bincount(group, (planes.contents - planes.expected)[counts])
        pulls = deviation / np.sqrt(np.bincount(group, planes.total[counts]))
        freedom = pulls.size - (0 if interval.kind.is_profile else 1)
        if freedom < 1:
            return NOTHING
        chi2 = float((pulls**2).sum())
        return Comparison(
            log_chi2_tail(chi2, freedom),
            f"chi2 / degrees of freedom = {chi2:.4g} / {freedom}",
            f"shape differs: chi2/ndf {chi2 / freedom:.3g}",
        )

    def bin_scores(self, interval: Interval, expected: Expected) -> FloatArray:
        """Return |x - mu| / sqrt(V) of every bin. Shape: the histogram's."""
        planes = self.planes(interval, expected.reference)
        return np.abs(self._pulls(planes)) if planes.exposure > 0 else np.zeros(planes.contents.shape)

    def _pulls(self, planes: Planes) -> FloatArray:
        counts = planes.judged & (planes.total > 0)
        deviation = np.where(counts, planes.contents - planes.expected, 0.0)
        pulls: FloatArray = deviation / np.sqrt(np.where(counts, planes.total, 1.0))
        return pulls


def groups(entries: FloatArray) -> NDArray[np.int64]:
    """Return the term of chi2 that each bin belongs to, from 0 without gaps: bins of few entries share one.

    Parameters
    ----------
    entries
        Effective entries expected. Shape: (bins,), that of the result.
    """
    number = entries.size
    order = np.argsort(entries, kind="stable")
    few = int((entries < LEAST).sum())
    found = np.arange(number, dtype=np.int64)
    if few:
        before = np.concatenate([[0.0], np.cumsum(entries[order[:few]])])
        # One bin adds less than LEAST, so that what lies between two steps of twice as much holds LEAST at least.
        step = np.floor(before[:-1] / (2.0 * LEAST)).astype(np.int64)
        last = step == step[-1]
        if before[-1] - before[:-1][last][0] < LEAST:
            # What is left over is no term of its own; the next fuller bin takes it, or else the step before.
            if few < number:
                few += 1
                step = np.append(step, step[-1])
            else:
                step[last] = max(0, int(step[-1]) - 1)
        ranked = np.concatenate([step, step[-1] + 1 + np.arange(number - few)])
        found[order] = ranked
    return found


def log_chi2_tail(chi2: float, freedom: int) -> float:
    """Return the logarithm of the chance of a larger chi2, also where the chance itself is too small a number.

    There by Legendre's continued fraction of the incomplete gamma function (Abramowitz and Stegun 6.5.31), from behind.
    """
    a, x = 0.5 * freedom, 0.5 * chi2
    tail = float(gammaincc(a, x))
    if tail > _SMALLEST:
        return float(np.log(tail))
    fraction = x + 2.0 * _TERMS + 1.0 - a
    for k in range(_TERMS, 0, -1):
        fraction = x + 2.0 * k - 1.0 - a - k * (k - a) / fraction
    return -x + a * float(np.log(x)) - float(gammaln(a)) - float(np.log(fraction))
