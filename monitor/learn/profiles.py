"""What the references of a profile have in common: means, the spread of one entry, and their scatter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from monitor.infer import windows_of
from monitor.learn.differing import differing, winsorised
from monitor.learn.fit import CLIP
from monitor.learn.scatter import Moderated, moderated
from monitor.snapshot import FloatArray

LENT_FREEDOM = 20.0
"""Degrees of freedom that bins of like means lend to the spread of one entry in a profile's bin."""
_CENTRAL = float(stats.norm.ppf(0.75))
_LENDERS = 16
_LENT_BY = 50
"""Least number of bins that lend each other theirs."""


@dataclass(frozen=True, slots=True, eq=False)
class Means:
    """What the references of a profile have in common. Shapes: (bins,)."""

    mean: FloatArray
    spread: FloatArray
    """Standard deviation of one entry."""
    held: FloatArray
    """Entries of all references."""
    scales: Sequence[Moderated] = ()
    """Empty where there is one reference, or hardly any bin to compare."""
    worst: int | None = None
    """The reference that differs from the rest."""


def means_of(contents: FloatArray, entries: FloatArray, own: FloatArray, shape: tuple[int, ...]) -> Means:
    """Return what profiles have in common.

    Parameters
    ----------
    contents, entries, own
        Means, entries and squared errors of the means. Shape: (references, bins).
    shape
        Of the histogram.
    """
    held = entries.sum(axis=0)
    live = held > 0
    kept = _agreeing(contents, entries, own)
    weighed = kept * entries
    mean = np.where(live, (weighed * contents).sum(axis=0) / np.maximum(weighed.sum(axis=0), 1e-300), 0.0)
    # n v is ROOT's biased variance of one entry; n - 1 of n degrees of freedom are left in it.
    freedom = np.maximum(entries - 1.0, 0.0).sum(axis=0)
    spread = _spread_of_one((entries * entries * own).sum(axis=0), freedom, mean, live)
    filled = (entries > 0) & (spread > 0)
    usable = filled & kept
    enough = live & (usable.sum(axis=0) >= 2) & (mean != 0)
    if len(contents) < 2 or int(enough.sum()) < 4:
        return Means(mean, spread, held)
    windows = windows_of(shape)
    mu = np.repeat(np.where(enough, np.abs(mean), 0.0)[None], len(contents), axis=0)
    deviation = np.where(filled, contents - mean, 0.0) * np.sign(mean)
    error = spread**2 / np.maximum(entries, 1.0)
    leverage = entries.sum(axis=1) / held.sum()
    bins = moderated(deviation, mu, error, leverage, usable.astype(float))
    # Weighted as the detector weights them, so that a window's sum is its best mean.
    total = error + (bins.relative * mu) ** 2
    weight = np.where(usable & enough, 1.0 / np.maximum(total, 1e-300), 0.0)
    scales = [bins]
    for k in range(1, len(windows.names)):
        d, m, v = (windows.sums(plane, k) for plane in (weight * deviation, weight * mu, weight))
        scales.append(moderated(d, m, v, leverage, independent=windows.independent(k)))
    # A bin's own scatter would hide what it has learned of a bad reference.
    total = error + (bins.common * mu) ** 2
    weight = np.where(filled & enough, 1.0 / np.maximum(total, 1e-300), 0.0)
    limited = weight * winsorised(deviation, np.sqrt(total))
    return Means(mean, spread, held, scales, differing(limited, weight * mu, weight, leverage, scales, windows))


def _agreeing(contents: FloatArray, entries: FloatArray, own: FloatArray) -> NDArray[np.bool_]:
    """Tell which means agree with the median of the references: a bad one must not move what all have in common.

    Shapes: (references, bins).
    """
    if len(contents) < 3:
        return np.ones(contents.shape, dtype=bool)
    filled = entries > 0
    centre = np.zeros(contents.shape[1])
    live = filled.any(axis=0)
    centre[live] = np.nanmedian(np.where(filled, contents, np.nan)[:, live], axis=0)
    away = np.abs(contents - centre)
    squares = (entries * entries * own).sum(axis=0) / np.maximum((entries - 1.0).clip(0.0).sum(axis=0), 1.0)
    error = np.sqrt(squares / np.maximum(entries, 1.0))
    # What a typical mean is away, in errors, stands for what they scatter beyond them.
    pulls = (away / np.maximum(error, 1e-300))[filled & (error > 0)]
    typical = max(1.0, float(np.median(pulls)) / _CENTRAL) if pulls.size else 1.0
    agreeing: NDArray[np.bool_] = (away <= CLIP * typical * error) | ~filled
    # Where hardly any agree there is no rest to agree with.
    agreeing[:, (agreeing & filled).sum(axis=0) < 2] = True
    return agreeing


def _spread_of_one(squares: FloatArray, freedom: FloatArray, mean: FloatArray, live: NDArray[np.bool_]) -> FloatArray:
    """Return the standard deviation of one entry of a profile, per bin.

    A bin's few entries say little of it, and one entry nothing: bins of like means lend it theirs, `LENT_FREEDOM`
    degrees of freedom.

    Parameters
    ----------
    squares
        Sum of squared differences of entries from their mean. All shapes: (bins,).
    """
    lent = np.zeros(len(mean))
    alive = np.flatnonzero(live)
    order = alive[np.argsort(np.abs(mean[alive]), kind="stable")]
    for alike in np.array_split(order, max(1, min(_LENDERS, order.size // _LENT_BY))):
        lent[alike] = squares[alike].sum() / max(1.0, freedom[alike].sum())
    return np.sqrt((squares + LENT_FREEDOM * lent) / (freedom + LENT_FREEDOM))
