"""Which statistics contents follow, from the scatter of good ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats

from monitor.infer.reference import Statistics
from monitor.snapshot import FloatArray

EXACT_SHARE = 0.995
"""Share of live bins that must show the same number in every reference for a histogram to be exact."""
SUB_POISSON = 0.97
"""Scatter over that of counts, of a typical bin, below which contents are no counts."""
SUMS_FROM = 1.5
"""Variance over mean of pure statistics from which on whole numbers are no counts of entries."""
RICH = 5.0
"""Expected content from which on a bin's scatter tells its statistics."""
_GROUPS = 12
_STATISTICAL_SHARE = 0.1
"""Least share of statistics in the variance of the emptiest group for sums of weights to be told from rates."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of statistics, see `monitor.infer.reference.Statistics`."""

    name: Statistics
    dispersion: float
    """Variance over mean of pure statistics; 0 where it cannot be told."""

    def variance(self, mu: FloatArray, most: FloatArray) -> FloatArray:
        """Return the statistical variance of contents.

        Parameters
        ----------
        mu
            Expected contents. Shape: (references, bins).
        most
            Largest expected content of each reference, the number of events of a binomial. Shape: (references, 1).
        """
        if self.name == "exact":
            return np.where(mu > 0, 0.25, 0.0)
        if self.name == "binomial":
            return np.where(mu > 0, mu * (1.0 - mu / np.maximum(most, 1e-300)) + 0.25, 0.0)
        return self.dispersion * mu


def recognise(contents: FloatArray, mu: FloatArray, leverage: FloatArray, weight: FloatArray) -> Kind:
    """Tell counts, binomial, exact counters, sums of weights and rates apart.

    Parameters
    ----------
    contents, mu, weight
        Contents, expected contents, and 0 for entries to leave out. Shape: (references, bins).
    leverage
        Share of each reference in the sum of exposures. Shape: (references,).
    """
    whole = bool(np.all(contents == np.round(contents)))
    references = len(contents)
    live = mu.mean(axis=0) > 0
    if references < 2 or not live.any():
        return Kind("counts", 1.0) if whole else Kind("rates", 0.0)
    c, m, w = contents[:, live], mu[:, live], weight[:, live]
    same = np.where(w > 0, c, -np.inf).max(axis=0) == np.where(w > 0, c, np.inf).min(axis=0)
    if float(same.mean()) >= EXACT_SHARE:
        return Kind("exact", 1.0)
    if not whole:
        dispersion = fit_dispersion(c, m)
        return Kind("sums", dispersion) if dispersion > 0 else Kind("rates", 0.0)
    poisson = Kind("counts", 1.0)
    rich = m.mean(axis=0) >= RICH
    if int(rich.sum()) < _GROUPS:
        # The scatter of a few counts has no median to be compared with.
        return poisson
    ratio = _scatter(c[:, rich], m[:, rich], w[:, rich], leverage, poisson)
    # The median of n ratios of nu degrees of freedom is known to about 1.3 sqrt(2 / (nu n)).
    error = 1.3 * np.sqrt(2.0 / ((references - 1) * int(rich.sum())))
    if ratio < SUB_POISSON - 3.0 * error:
        return Kind("binomial", 1.0)
    # Sums of whole numbers, as of ADC counts, are whole numbers too.
    dispersion = fit_dispersion(c, m, SUMS_FROM) if ratio > SUMS_FROM else 1.0
    return Kind("sums", dispersion) if dispersion > SUMS_FROM else poisson


def _scatter(c: FloatArray, m: FloatArray, w: FloatArray, leverage: FloatArray, kind: Kind) -> float:
    """Return the variance of a typical bin over that of its statistics."""
    nu = np.maximum(w.sum(axis=0) - 1.0, 1.0)
    v = np.maximum(kind.variance(m, m.max(axis=1, keepdims=True)), 1e-12)
    d = (w * (c - m) ** 2 / ((1.0 - leverage)[:, None] * v)).sum(axis=0) / (nu + 1.0)
    typical = float(np.median(nu))
    return float(np.median(d)) / (float(stats.chi2.ppf(0.5, typical)) / typical)


def fit_dispersion(contents: FloatArray, mu: FloatArray, least: float = 0.0) -> float:
    """Fit k of variance = k mean + (s mean)^2 over groups of bins of equal mean.

    Parameters
    ----------
    contents, mu
        Shape: (references, bins).
    least
        What k must exceed by three standard errors.

    Returns
    -------
    0 where it cannot be told, as where the systematic hides it.
    """
    if len(contents) < 2 or contents.shape[1] < 2 * _GROUPS:
        return 0.0
    variance = ((contents - mu) ** 2).sum(axis=0) / (len(contents) - 1)
    mean = mu.mean(axis=0)
    groups = np.array_split(np.argsort(mean), _GROUPS)
    median = stats.chi2.ppf(0.5, len(contents) - 1) / (len(contents) - 1)
    x = np.array([np.median(mean[g]) for g in groups])
    y = np.array([np.median(variance[g]) for g in groups]) / median
    keep = (x > 0) & (y > 0)
    if int(keep.sum()) < 3:
        return 0.0
    x, y = x[keep], y[keep]
    # Relative weights: every group says the same about its own variance.
    terms = np.stack([x / y, x * x / y], axis=1)
    (k, s2), _ = optimize.nnls(terms, np.ones(x.size))
    # A median of n variances of nu degrees of freedom is known to about 1.3 sqrt(2 / (nu n)).
    error = 1.3 * np.sqrt(2.0 / ((len(contents) - 1) * len(groups[0])))
    scaled = terms / np.linalg.norm(terms, axis=0)
    known = np.linalg.inv(scaled.T @ scaled + 1e-12 * np.eye(2))
    sure = k - 3.0 * error * np.sqrt(known[0, 0]) / np.linalg.norm(terms[:, 0]) > least
    emptiest = float(x.min())
    matters = k * emptiest >= _STATISTICAL_SHARE * (k * emptiest + s2 * emptiest**2)
    return float(k) if sure and matters else 0.0
