"""How much windows of every scale scatter beyond statistics, from few references.

A scale is just a coarser map: a strip gets its own systematic from strip sums as a bin gets it from bins. With
R references the variance of one window is poorly known (R - 1 degrees of freedom), so it is drawn towards what all
windows of its scale have in common in the measure that their spread allows (moderated variances, Smyth 2004):

    D  = mean_r d_r^2 / ((1 - h_r) V_r),  V_r = statistics + (s_0 mu_r)^2,  h_r = e_r / sum(e)
    D* = (nu_0 D_0 + nu_i D) / (nu_0 + nu_i)

with s_0 from median D = median of chi2_nu / nu, nu_0 from the interquartile range of log D matched to that of
F(nu, nu_0), D_0 = median D / median F(nu, nu_0), and nu_i = nu / (1 + 1 / (2 mu)), less where counts are few.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import optimize, stats

from monitor.errors import HistwatchError
from monitor.snapshot import FloatArray

ALONE_SYSTEMATIC = 0.03
"""Relative systematic of a bin where no scatter can be learned."""
ALONE_DEGREES = 4.0
MOST_DEGREES = 1e4
MOST = 1e3
"""Relative systematic of a typical window beyond which maps are not of one histogram."""
_SAMPLE = 2000
"""Windows that the common systematic is fitted to."""


@dataclass(frozen=True, slots=True, eq=False)
class Moderated:
    """Relative systematic of the windows of one scale."""

    relative: FloatArray
    """Shape: (windows,)."""
    degrees_of_freedom: float
    common: float
    """What a typical window shows, before any is moderated."""


def moderated(
    deviation: FloatArray,
    mu: FloatArray,
    statistical: FloatArray,
    leverage: FloatArray,
    weight: FloatArray | None = None,
    independent: float = math.inf,
) -> Moderated:
    """Estimate the relative systematic of windows.

    Parameters
    ----------
    deviation, mu, statistical
        Content minus expectation, expectation, and its statistical variance. Shape: (references, windows).
    leverage
        Share of each reference in the sum of exposures. Shape: (references,).
    weight
        0 for entries to leave out. Shape: (references, windows).
    independent
        Windows that do not overlap: no more than these say what the scale has in common.
    """
    windows = deviation.shape[1]
    w = np.ones_like(mu) if weight is None else weight
    mean = mu.mean(axis=0)
    kept = w.sum(axis=0)
    live = (mean > 0) & (kept >= 2)
    relative = np.zeros(windows)
    if int(live.sum()) < 4:
        return Moderated(np.full(windows, ALONE_SYSTEMATIC), ALONE_DEGREES, ALONE_SYSTEMATIC)
    m = mu[:, live]
    # As little as nothing, in any unit.
    v = np.maximum(statistical[:, live], np.maximum(1e-12 * m * m, 1e-300))
    nu = kept[live] - 1.0
    squares = w[:, live] * deviation[:, live] ** 2 / (1.0 - leverage)[:, None]
    common = _common(squares, m, v, nu)
    d = (squares / (v + (common * m) ** 2)).sum(axis=0) / (nu + 1.0)
    typical = float(np.median(nu))
    nu0 = prior_degrees(d, typical)
    median = float(np.median(d))
    d0 = median / float(stats.f.median(typical, nu0))
    own = nu / (1.0 + 1.0 / (2.0 * np.maximum(mean[live], 1e-9)))
    star = (nu0 * d0 + own * d) / (nu0 + own)
    # A window far out in the tail of the prior is one of its own kind and keeps its own scatter.
    alone = d > max(d0, 1e-12) * stats.f.isf(1e-3 / d.size, nu, nu0)
    star[alone] = d[alone]
    average, variance = mean[live], v.mean(axis=0)
    total = star * (variance + (common * average) ** 2)
    relative[live] = np.sqrt(np.maximum(total - variance, 0.0)) / np.maximum(average, 1e-300)
    few = ~live & (mean > 0)
    relative[few] = max(common, float(np.quantile(relative[live], 0.9)))
    # No window is known to be steadier than what all say of it: its own few entries may agree by chance.
    relative[live] = np.maximum(relative[live], common * np.sqrt(nu0 / (nu0 + own)))
    degrees = min(float(nu0 + typical), max(1.0, 0.5 * typical * independent))
    return Moderated(relative, degrees, common)


def _common(squares: FloatArray, mu: FloatArray, statistical: FloatArray, nu: FloatArray) -> float:
    """Return the systematic s_0 at which a typical window scatters as it should.

    Raises
    ------
    HistwatchError
        If none below `MOST` does.
    """
    step = max(1, squares.shape[1] // _SAMPLE)
    squares, mu, statistical, nu = (a[..., ::step] for a in (squares, mu, statistical, nu))
    typical = float(np.median(nu))
    target = float(stats.chi2.ppf(0.5, typical)) / typical

    def excess(s: float) -> float:
        return float(np.median((squares / (statistical + (s * mu) ** 2)).sum(axis=0) / (nu + 1.0))) - target

    if excess(0.0) <= 0.0:
        return 0.0
    high = 0.01
    while excess(high) > 0.0:
        high *= 2.0
        if high > MOST:
            raise HistwatchError(
                "its references have nothing in common: what one fills, others leave empty; leave it out of what is "
                "judged, or name references that are alike"
            )
    return float(optimize.brentq(excess, 0.0, high, xtol=1e-6, rtol=1e-4))


def prior_degrees(d: FloatArray, nu: float) -> float:
    """Return nu_0: the interquartile range of log D matched to that of F(nu, nu_0)."""
    logs = np.log(np.maximum(d, 1e-12))
    low, high = np.quantile(logs, [0.25, 0.75])
    grid, spreads = _spreads(round(nu, 3))
    # The spread falls as nu_0 grows.
    return float(np.exp(np.interp(-(high - low), -spreads, grid)))


@lru_cache(maxsize=256)
def _spreads(nu: float) -> tuple[FloatArray, FloatArray]:
    """Return log nu_0 and the interquartile range of log F(nu, nu_0) there."""
    grid = np.linspace(0.0, np.log(MOST_DEGREES), 60)
    f = stats.f(nu, np.exp(grid))
    return grid, np.log(f.ppf(0.75)) - np.log(f.ppf(0.25))
