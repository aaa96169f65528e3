"""Exposures and rates of references: what they agree on, without what they do not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from monitor.normalise import block_grid, count_events, exposures, saturated_bins
from monitor.snapshot import FloatArray

CLIP = 5.0
"""Standard deviations beyond which an entry is left out of mean and variance."""
_ROUNDS = 3
_START_SYSTEMATIC = 0.03
_OUTLYING = 0.03
"""Share of clipped bins that a good reference may have: one that moves further than most along with the beam has some.
Smaller faults are found by the scan of references."""
_SILENT = 0.005
"""Share of bins that only a bad reference has at zero, and the others not."""


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """What references agree on."""

    rate: FloatArray
    """Content per average lumisection. Shape: (bins,)."""
    exposure: FloatArray
    """Of every reference, used or not. Shape: (references,)."""
    used: np.ndarray
    """Which references agree with the rest. Shape: (references,)."""
    weight: FloatArray
    """0 for entries that are left out. Shape: (references, bins)."""

    @property
    def leverage(self) -> FloatArray:
        """Share of every used reference in their sum of exposures. Shape: (used references,)."""
        own = self.exposure[self.used]
        leverage: FloatArray = own / own.sum()
        return leverage


def fit(contents: FloatArray, shape: tuple[int, ...], spans: FloatArray, leave_out: np.ndarray) -> Fit:
    """Fit exposures and rates in turn; entries beyond `CLIP` standard deviations count for nothing.

    A reference with many more such entries than the others is left out as a whole, from four references on.

    Parameters
    ----------
    contents
        Shape: (references, bins).
    spans
        Lumisections of each reference. Shape: (references,).
    leave_out
        References that are known to be bad. Shape: (references,).
    """
    whole = bool(np.all(contents == np.round(contents)))
    used = ~leave_out
    scale = contents.sum(axis=1) / spans
    chosen, chosen_scale = contents[used], np.maximum(scale * spans, 1e-300)[used, None]
    start = np.median(chosen / chosen_scale, axis=0) if int(used.sum()) > 2 else None
    rate = chosen.mean(axis=0) if start is None else start * float(np.median(scale[used]))
    if not (rate > 0).any():
        rate = chosen.mean(axis=0)
    weight = np.ones(contents.shape)
    exposure = np.ones(len(contents))
    for _ in range(_ROUNDS):
        grid = block_grid(rate.reshape(shape), float(np.median(exposure[used])) or 1.0)
        exposure = exposures(contents, grid)
        if not (exposure[used] > 0).any():
            exposure = np.ones(len(contents))
        full = saturated_bins(rate) if whole else None
        if full is not None and all(_same(row[full]) for row in contents[used]):
            exposure = np.array([count_events(row, rate, full) for row in contents])
        exposure = np.maximum(exposure, 1e-12)
        mu = exposure[:, None] * rate
        # Before the systematic is known a generous one keeps ordinary bins; half a count keeps sparse ones.
        spread = np.sqrt((mu if whole else 0.0) + (_START_SYSTEMATIC * mu) ** 2 + 0.25)
        spread = np.maximum(spread, _scatter(contents[used], mu[used], rate) * mu)
        weight = (np.abs(contents - mu) <= CLIP * spread).astype(float)
        outlying = 1.0 - weight[:, rate > 0].mean(axis=1) if (rate > 0).any() else np.zeros(len(contents))
        silent = ((contents == 0) & (weight == 0)).mean(axis=1)
        if len(contents) >= 4:
            used = ~leave_out
            for share, most in ((outlying, _OUTLYING), (silent, _SILENT)):
                used = used & (share <= max(most, 4.0 * float(np.median(share[~leave_out]))))
        # A bin that is clipped in many references has no agreed value there: it keeps them all.
        many = (1.0 - weight[used]).sum(axis=0) > max(1.0, used.sum() / 10.0)
        weight[:, many] = 1.0
        held = (weight * exposure[:, None])[used].sum(axis=0)
        rate = np.where(held > 0, (weight * contents)[used].sum(axis=0) / np.maximum(held, 1e-300), 0.0)
        rate = np.maximum(rate, 0.0)
        # One unit of exposure is an average lumisection of the references that are used.
        unit = float(exposure[used].sum() / spans[used].sum())
        exposure, rate = exposure / unit, rate * unit
    return Fit(rate, exposure, used, weight)


def _same(contents: FloatArray) -> bool:
    """Tell whether most channels show the same number, as those do that fire in every event."""
    return float(np.mean(contents == np.median(contents))) > 0.5


def _scatter(contents: FloatArray, mu: FloatArray, rate: FloatArray) -> float:
    """Relative scatter of the middle two thirds of all bins: histograms that move a lot are clipped later."""
    if len(contents) < 3 or not (rate > 0).any():
        return 0.0
    relative = np.abs(contents - mu)[:, rate > 0] / mu[:, rate > 0]
    return float(np.quantile(relative, 0.68))
