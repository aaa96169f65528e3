"""How many standard deviations a sum is off: what a window, a bin or a shape counts for."""

from __future__ import annotations

import numpy as np

from monitor.detect.tails import poisson_sigmas
from monitor.kernel import kernel

EXACT_BELOW = 100.0
"""Expected counts below which the Poisson tail is summed up; above, its deviance is as good."""
_SUMMED = 30.0
"""Standard deviations beyond which a tail is too small a number to be summed."""


@kernel(
    "float64(float64, float64, float64, boolean, float64, float64)",
)
def significance(deviation, variance, expected, counts, systematic_variance, dof):  # type: ignore[no-untyped-def]
    """Return the signed significance of a sum, in standard deviations.

    For counts the Poisson tail (few counts) or deviance of the sum, scaled to the effective number of entries mu^2/V
    (where V exceeds mu because of systematics, a map behaves like one of fewer entries); for means the pull, tamed
    where it is positive. The systematic's few degrees of freedom turn the result from t to normal (Wallace 1959) with
    dof (V/V_systematic)^2, so that statistics stay Gaussian.
    """
    if variance <= 0.0:
        return 0.0
    pull = deviation / np.sqrt(variance)
    if abs(pull) < 1.0:
        return pull
    z = pull
    if counts and expected > 0.0:
        scale = expected / variance
        mu = expected * scale
        x = max(expected + deviation, 0.0) * scale
        deviance = 2.0 * ((x * np.log(x / mu) if x > 0.0 else 0.0) - (x - mu))
        z = np.sqrt(max(deviance, 0.0))
        if z < _SUMMED and mu < EXACT_BELOW:
            z = poisson_sigmas(x, mu)
        elif deviation < 0.0:
            z = 1.0 / (6.0 * np.sqrt(mu)) - z
        else:
            z += 1.0 / (6.0 * np.sqrt(mu))
    elif deviation > 0.0 and expected > 0.0:
        # A mean of few positive values is skewed upwards: the gamma distribution's cube root (Wilson and Hilferty
        # 1931) never calls an excess more significant than it is. Deficits keep the pull, which overstates none.
        shape = expected * expected / variance
        cube = ((expected + deviation) / expected) ** (1.0 / 3.0)
        z = min(pull, max(0.0, (cube - 1.0 + 1.0 / (9.0 * shape)) * 3.0 * np.sqrt(shape)))
    if systematic_variance > 0.0:
        nu = dof * (variance / systematic_variance) ** 2
        if nu < 1e4:
            magnitude = np.sqrt(nu * np.log1p(z * z / nu)) * (8.0 * nu + 1.0) / (8.0 * nu + 3.0)
            z = magnitude if z > 0.0 else -magnitude
    return z
