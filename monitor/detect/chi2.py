"""Pearson's chi2 of a histogram against its reference, of the same total.

    chi2 = sum (x - mu)^2 / V,  V = k (mu + x e / E)

over the bins with V > 0, which for counts is the chi2 of two samples (x in exposure e, m E in exposure E; Gagunashvili
2010); where the reference is known well, E >> e, it is Pearson's with V = mu. The total is fitted: as many degrees of
freedom as bins less one; of profiles, whose scale is not fitted, as many as bins. Bins of a few entries are not merged:
below about five expected entries p is only about right.
"""

from __future__ import annotations

import numpy as np
from scipy.special import gammaincc, gammaln

from monitor.detect.base import Expected
from monitor.detect.checks import NOTHING, Check, Comparison, Planes
from monitor.snapshot import FloatArray
from monitor.window import Interval

_SMALLEST = 1e-280
_TERMS = 60


class Chi2Check(Check):
    """Pearson's chi2 against the reference; thresholds and options are those of `Check`."""

    name = "chi2"

    def compare(self, interval: Interval, planes: Planes) -> Comparison:
        """Return log p of the chi2."""
        pulls = self._pulls(planes)
        freedom = int((planes.judged & (planes.total > 0)).sum()) - (0 if interval.kind.is_profile else 1)
        if freedom < 1:
            return NOTHING
        chi2 = float((pulls**2).sum())
        return Comparison(log_chi2_tail(chi2, freedom), f"chi2 / degrees of freedom = {chi2:.4g} / {freedom}")

    def bin_scores(self, interval: Interval, expected: Expected) -> FloatArray:
        """Return |x - mu| / sqrt(V) of every bin. Shape: the histogram's."""
        planes = self.planes(interval, expected.reference)
        return np.abs(self._pulls(planes)) if planes.exposure > 0 else np.zeros(planes.contents.shape)

    def _pulls(self, planes: Planes) -> FloatArray:
        counts = planes.judged & (planes.total > 0)
        deviation = np.where(counts, planes.contents - planes.expected, 0.0)
        pulls: FloatArray = deviation / np.sqrt(np.where(counts, planes.total, 1.0))
        return pulls


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
