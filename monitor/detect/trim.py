"""Which bins of a window that stands out are wrong: windows are of a few sizes, faults of any.

Shape of all: (bins,), row by row where the map has two dimensions.
"""

from __future__ import annotations

import numpy as np

from monitor.detect.geometry import BoolArray
from monitor.snapshot import FloatArray

_ROUNDS = 8
_SIGMAS = 3.0
"""Standard deviations by which a bin is nearer to good than to changed that is left out."""
_SPANS = 0.8
"""Share of a map that bins must span to be strips of it."""
_RATHER = 2.0
"""Difference of chi-squares from which on a strip is rather good."""


def changed_bins(
    window: BoolArray, deviation: FloatArray, mu: FloatArray, variance: FloatArray, systematic: FloatArray
) -> BoolArray:
    """Leave out of a window the bins that are rather good than changed as the window is.

    A spot of 5 x 5 bins that found a dead module of 4 x 4 has nine good bins in it. Where single bins cannot tell, as
    in a strip that lost 5 %, all stay.

    Parameters
    ----------
    deviation, mu
        Contents less what is expected, and that, of one sign.
    variance, systematic
        Of a good bin's deviation, and what of it is no statistics.
    """
    kept = window
    sigma = np.sqrt(np.maximum(variance, 1e-300))
    for _ in range(_ROUNDS):
        change = float(deviation[kept].sum() / max(float(mu[kept].sum()), 1e-300))
        # Variance where the change is true: statistics shrink with the content.
        changed = np.maximum(variance - systematic, 0.0) * max(0.0, 1.0 + change) + systematic
        changed = np.maximum(changed, 0.01 * variance)
        off = np.abs(deviation - change * mu) / np.sqrt(np.maximum(changed, 1e-300))
        short = deviation * np.sign(change) < np.abs(change) * mu
        good = short & (off > np.abs(deviation) / sigma + _SIGMAS)
        smaller = window & ~good
        if not smaller.any() or (smaller == kept).all():
            break
        kept = smaller
    return kept


def good_strips(
    window: BoolArray,
    deviation: FloatArray,
    mu: FloatArray,
    variance: FloatArray,
    coherent: float,
    shape: tuple[int, ...],
) -> BoolArray:
    """Return the strips at the edges of a layer that are rather good than changed as the others of it are.

    Parameters
    ----------
    deviation, mu, variance
        As for `changed_bins`.
    coherent
        Relative scatter that the bins of a strip share.
    shape
        The map's.
    """
    good = np.zeros(shape, dtype=bool)
    grid = window.reshape(shape)
    planes = [np.where(window, p, 0.0).reshape(shape) for p in (deviation, mu, variance)]
    for along in (1, 0) if len(shape) == 2 else ():
        strips = np.flatnonzero(grid.any(axis=along))
        # Strips span the map: what is shorter is a spot, of which bins are looked at.
        if strips.size < 2 or int(grid.any(axis=1 - along).sum()) < _SPANS * shape[along]:
            continue
        d, m, v = (p.sum(axis=along)[strips] for p in planes)
        first, last = _changed_strips(d, m, np.maximum(v + (coherent * m) ** 2, 1e-300))
        out = np.concatenate([strips[:first], strips[last:]])
        good[(out, slice(None)) if along == 1 else (slice(None), out)] = True
    return good.ravel() & window


def _changed_strips(deviation: FloatArray, mu: FloatArray, variance: FloatArray) -> tuple[int, int]:
    """Return the first strip that stays, and that after the last. Shape of all: (strips,)."""
    first, last = 0, deviation.size
    while last - first > 1:
        rather_good = {}
        for edge, others in ((first, slice(first + 1, last)), (last - 1, slice(first, last - 1))):
            change = float(deviation[others].sum()) / max(float(mu[others].sum()), 1e-300)
            as_good, as_changed = deviation[edge] ** 2, (deviation[edge] - change * mu[edge]) ** 2
            rather_good[edge] = float((as_changed - as_good) / variance[edge])
        edge = max(rather_good, key=rather_good.__getitem__)
        if rather_good[edge] <= _RATHER:
            break
        first, last = (first + 1, last) if edge == first else (first, last - 1)
    return first, last
