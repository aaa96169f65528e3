"""Which of the references differs from the rest in a shape larger than a bin."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from monitor.infer.windows import WindowSet
from monitor.learn.scatter import Moderated
from monitor.snapshot import FloatArray

DIFFERS = 6.5
"""Standard deviations from which on a reference that differs from the others in a shape is bad."""
_NOISE = 4.2
"""Largest significance that tens of thousands of windows of a good map show."""
_STANDS_OUT = 5.0
"""How much more than a typical reference a bad one differs, beyond noise."""
WINSOR = 3.0
"""Standard deviations that a single bin counts for at most in that scan."""


def differing(
    deviation: FloatArray,
    mu: FloatArray,
    statistical: FloatArray,
    leverage: FloatArray,
    scales: Sequence[Moderated],
    windows: WindowSet,
) -> int | None:
    """Return the reference that differs most from the others in a shape larger than a bin; None if none does.

    Parameters
    ----------
    deviation, mu, statistical
        What the windows sum, with the variance of the deviations that is statistical. Shape: (references, bins).
    """
    if len(deviation) < 3:
        return None
    most = np.zeros(len(deviation))
    for k in range(1, len(windows.names)):
        d, m, v = (windows.sums(plane, k) for plane in (deviation, mu, statistical))
        # The pooled scatter, not a window's own: that one has learned the fault already.
        variance = (v + (scales[k].common * m) ** 2) * (1.0 - leverage)[:, None]
        z = np.where(variance > 1e-9 * variance.max(), np.abs(d) / np.sqrt(np.maximum(variance, 1e-300)), 0.0)
        most = np.maximum(most, z.max(axis=1))
    worst = int(np.argmax(most))
    # Where all differ from each other, as when the beam changed among them, none is the bad one. A bad one of R
    # pulls the common map, so that the others differ by 1 / (R - 1) of it.
    others = max(0.0, float(np.median(most)) - _NOISE)
    stands_out = most[worst] - _NOISE > min(_STANDS_OUT, 0.75 * (len(most) - 1)) * others
    return worst if most[worst] > DIFFERS and stands_out else None


def winsorised(deviation: FloatArray, sigma: FloatArray) -> FloatArray:
    """Limit deviations: a single noisy bin must not make a shape of its surroundings."""
    return np.clip(deviation, -WINSOR * sigma, WINSOR * sigma)
