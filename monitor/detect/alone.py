"""What one reference cannot say: how much good maps scatter. The judged map itself says it, as well as it can."""

from __future__ import annotations

import math

import numpy as np

from monitor.detect import kernels
from monitor.infer import Reference
from monitor.snapshot import AnyArray, FloatArray

_SAMPLE = 1500
"""Windows that are enough for a median."""
_FEW = 8
_MEDIAN_CHI2 = 0.45494
"""Median of the squared pull of a normal distribution."""
MUCH = 0.2
"""Relative scatter of typical bins from which on it is told."""


def systematic_alone(reference: Reference, contents: FloatArray, rate: FloatArray, exposure: float) -> AnyArray:
    """Estimate the systematic variance of windows from the judged map itself, where there is one reference.

    What a typical window of each scale shows beyond statistics is taken for the systematic of all. A fault in less
    than half of the windows does not move that median.

    Returns
    -------
    Systematic variance at unit exposure, float32. Shape: (windows,).
    """
    windows, every = reference.windows, reference.window_set
    q = np.zeros(int(every.offsets[-1]), dtype=np.float32)
    if not exposure > 0:
        return q
    deviation = np.zeros(contents.size)
    kernels.deviations(contents, rate, exposure, reference.logarithmic, reference.live.ravel(), deviation)
    a = exposure * (1.0 + exposure / reference.exposure)
    squares = np.zeros(len(every.names))
    for k in range(len(every.names)):
        part = slice(int(every.offsets[k]), int(every.offsets[k + 1]))
        step = max(1, int(every.counts[k]) // _SAMPLE)
        p = windows.statistical[part][::step].astype(np.float64)
        mu = reference.window_rates[part][::step].astype(np.float64)
        use = np.isfinite(p) & (mu > 0)
        if not use.any():
            continue
        d = every.sums(deviation, k)[::step]
        squares[k] = np.median((d[use] ** 2 / _MEDIAN_CHI2 - a * p[use]) / (exposure * mu[use]) ** 2)
        if int(use.sum()) < _FEW:
            # A handful of windows tells no median; what bins show bounds what many of them share.
            squares[k] = max(squares[k], squares[0])
        q[part] = max(squares[k], 0.0) * reference.window_rates[part] ** 2
    return q


def relative_alone(reference: Reference, systematic: AnyArray) -> FloatArray:
    """Return the relative systematic variance of each scale that `systematic_alone` found. Shape: (scales,)."""
    every = reference.window_set
    found = np.zeros(len(every.names))
    for k in range(found.size):
        part = slice(int(every.offsets[k]), int(every.offsets[k + 1]))
        most = float(reference.window_rates[part].max(initial=0.0))
        if most > 0:
            # Systematic variances of a scale are one multiple of the rates squared.
            found[k] = float(systematic[part].max(initial=0.0)) / most**2
    return found


def words_alone(relative: FloatArray, statistical: float) -> str:
    """Say what was taken for usual, where that is much; empty if it is not.

    Parameters
    ----------
    relative
        See `relative_alone`. Shape: (scales,).
    statistical
        Relative variance of a typical bin that is statistics: of a few entries, they hide what is not.
    """
    scatter = math.sqrt(float(relative[0]))
    if scatter <= MUCH or scatter**2 <= statistical:
        return ""
    return f"the map and its one reference differ by {scatter:.0%} in a typical bin, taken for usual"
