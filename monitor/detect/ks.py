"""Kolmogorov and Smirnov's test of a histogram against its reference, of the same total.

With the cumulative shares F of contents and G of rates, D = max |F - G|, and the two-sample statistic

    lambda = D sqrt(n N / (n + N)),  p = 2 sum_j (-1)^(j-1) exp(-2 j^2 lambda^2)

n and N are effective entries, (sum)^2 / sum of variances, of histogram and references: plain entries for counts. Where
the references hold much more this is the one-sample test. Contents in bins make p too large, never too small, the more
the coarser they are. Histograms of two dimensions are one long row, x by x (bins of one x follow one another): ROOT
averages that with the other order. Negative contents count as 0. Of profiles the means are compared as if contents.
"""

from __future__ import annotations

import numpy as np
from scipy.special import kolmogorov

from monitor.detect.checks import NOTHING, Check, Comparison, Planes
from monitor.window import Interval

_ONE_TERM = 5.0
"""Lambda from which on the first term of the sum is all of it to 1e-60."""


class KolmogorovCheck(Check):
    """Kolmogorov and Smirnov's test against the reference; thresholds and options are those of `Check`."""

    name = "ks"

    def compare(self, interval: Interval, planes: Planes) -> Comparison:  # noqa: ARG002 - the planes say it all
        """Return log p of the largest distance."""
        where = planes.judged
        contents, expected = np.maximum(planes.contents[where], 0.0), np.maximum(planes.expected[where], 0.0)
        total, wanted = float(contents.sum()), float(expected.sum())
        if contents.size < 2 or total <= 0 or wanted <= 0:
            return NOTHING
        distance = float(np.abs(np.cumsum(contents) / total - np.cumsum(expected) / wanted).max())
        inverse = float(planes.own[where].sum()) / total**2 + float(planes.of_reference[where].sum()) / wanted**2
        if inverse <= 0:
            return NOTHING
        words = f"largest distance {distance:.3g}"
        return Comparison(
            log_kolmogorov(distance / inverse**0.5), words, f"shape differs: {words} of cumulative shares"
        )


def log_kolmogorov(statistic: float) -> float:
    """Return the logarithm of the chance of a larger Kolmogorov statistic, however small the chance is."""
    if statistic > _ONE_TERM:
        return float(np.log(2.0)) - 2.0 * statistic**2
    return float(np.log(kolmogorov(statistic)))
