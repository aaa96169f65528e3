"""Exact Poisson tails as standard deviations, where no approximation serves: few counts.

Real arguments are allowed (counts that were scaled to an effective number of entries): the sums are continued by the
incomplete gamma function, P(X >= x | mu) = P(x, mu) and P(X <= x | mu) = Q(x + 1, mu).
"""

from __future__ import annotations

import math

import numpy as np

from monitor.kernel import kernel

_LEAST_P = 1e-300


@kernel("float64(float64, float64)")
def lower_gamma(a, x):  # type: ignore[no-untyped-def]
    """Regularised lower incomplete gamma function P(a, x), by its series; meant for x below about a + 1."""
    if x <= 0.0:
        return 0.0
    term = 1.0 / a
    total = term
    for n in range(1, 1000):
        term *= x / (a + n)
        total += term
        if term < total * 1e-15:
            break
    return min(1.0, total * math.exp(a * math.log(x) - x - math.lgamma(a)))


@kernel("float64(float64, float64)")
def upper_gamma(a, x):  # type: ignore[no-untyped-def]
    """Regularised upper incomplete gamma function Q(a, x), by a continued fraction (Lentz) where x is above a + 1."""
    if x < a + 1.0:
        return 1.0 - lower_gamma(a, x)
    tiny = 1e-300
    b = x + 1.0 - a
    c = 1.0 / tiny
    d = 1.0 / b
    h = d
    for n in range(1, 1000):
        an = -n * (n - a)
        b += 2.0
        d = an * d + b
        d = 1.0 / (d if abs(d) > tiny else tiny)
        c = b + an / c
        c = c if abs(c) > tiny else tiny
        h *= c * d
        if abs(c * d - 1.0) < 1e-15:
            break
    return h * math.exp(a * math.log(x) - x - math.lgamma(a))


@kernel("float64(float64)")
def sigmas_of(p):  # type: ignore[no-untyped-def]
    """Return the z that a normal distribution exceeds with probability p; 0 for p of a half and more."""
    if p >= 0.5:
        return 0.0
    target = math.log(max(p, _LEAST_P))
    z = math.sqrt(max(0.0, -2.0 * target - math.log(2.0 * math.pi * max(1.0, -2.0 * target))))
    # Newton's method on the logarithm of the tail, which is nearly a parabola.
    for _ in range(20):
        tail = 0.5 * math.erfc(z * math.sqrt(0.5))
        step = (math.log(tail) - target) * tail / (math.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi))
        z += step
        if abs(step) < 1e-12:
            break
    return z


@kernel("float64(float64, float64)")
def poisson_sigmas(x, mu):  # type: ignore[no-untyped-def]
    """Return how many standard deviations it takes a normal distribution to be as unlikely as x where mu is expected.

    Signed; the tail includes x itself, on either side.
    """
    if x >= mu:
        return sigmas_of(lower_gamma(x, mu)) if x > 0.0 else 0.0
    return -sigmas_of(upper_gamma(x + 1.0, mu) if x > 0.0 else np.exp(-mu))
