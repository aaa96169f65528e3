"""One map beside its expectation, bin by bin, for the closer look."""

from __future__ import annotations

import math

import numpy as np
from scipy import stats

from monitor.detect import kernels
from monitor.detect.geometry import BoolArray
from monitor.detect.significance import significance
from monitor.detect.tails import sigmas_of
from monitor.detect.trim import changed_bins, good_strips
from monitor.infer import Reference
from monitor.snapshot import FloatArray
from monitor.window import Interval

MIN_PROFILE_ENTRIES = 30.0
"""Where the spread of one entry is not known, a profile's bin with fewer entries has no error to be judged by."""
PRIOR_ENTRIES = 50.0
"""Entries that the references' spread of one entry counts for beside the bin's own."""
_CENTRAL = float(stats.norm.ppf(0.75))


class Planes:
    """Deviation, variances and expected content of one map. Shape of all: (bins,).

    Parameters
    ----------
    rate, exposure
        Expected content per unit exposure, shape (bins,), and the map's exposure.
    bin_systematic
        Systematic variance of single bins at unit exposure; None: the reference's. Shape: (bins,).
    scatter
        Factor on all standard deviations.
    """

    def __init__(
        self,
        reference: Reference,
        interval: Interval,
        rate: FloatArray,
        exposure: float,
        bin_systematic: FloatArray | None = None,
        scatter: float = 1.0,
    ) -> None:
        self.reference, self.interval, self.rate, self.exposure = reference, interval, rate, exposure
        self.mu = rate * exposure
        contents = interval.contents.ravel()
        live = reference.live.ravel()
        if reference.profile:
            own, self.judged = _errors(reference, interval)
            self.systematic = (reference.systematic.ravel() * rate) ** 2 * (1.0 + 1.0 / max(1, reference.references))
            self.variance = np.where(self.judged, own + self.systematic, 1.0)
            self.deviation = np.where(self.judged, contents - rate, 0.0)
            return
        bins = live.size
        windows = reference.windows
        self.judged = live & np.isfinite(windows.statistical[:bins])
        statistical = np.where(self.judged, windows.statistical[:bins], 0.0).astype(np.float64)
        q = windows.systematic[:bins].astype(np.float64) if bin_systematic is None else bin_systematic
        self.systematic = exposure**2 * q
        self.systematic *= scatter**2
        more = exposure * (1.0 + exposure / reference.exposure) * scatter**2
        self.variance = more * statistical + self.systematic
        self.deviation = np.zeros(bins)
        kernels.deviations(contents, rate, exposure, reference.logarithmic, live, self.deviation)

    def weighted(self, without: BoolArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return deviation, weight and expected mean of a profile, weighted by the inverse of the variance."""
        weight = np.where(self.judged & ~without, 1.0 / self.variance, 0.0)
        return weight * self.deviation, weight, weight * np.abs(self.rate)

    def bin_significances(self) -> FloatArray:
        """Return the signed significance of every bin. Shape: (bins,)."""
        found = np.zeros(self.mu.size)
        kernels.significances(
            self.deviation,
            np.where(self.judged, self.variance, 0.0),
            np.abs(self.mu) if self.reference.skewed or not self.reference.profile else np.zeros_like(self.mu),
            self.systematic,
            not self.reference.profile and not self.reference.logarithmic,
            float(self.reference.freedoms[0]),
            found,
        )
        return found

    def width(self, without: BoolArray) -> float:
        """Return the median of the bins' |pull| in units of its value for a normal distribution.

        Silent bins are left out: they are faults, not a sign of age.
        """
        use = self.judged & (self.variance > 0) & ~without
        if not self.reference.profile:
            use &= self.interval.contents.ravel() > 0
            if self.reference.counts:
                use &= self.mu >= 5.0
        if int(use.sum()) < 20:
            return 1.0
        pulls = np.abs(self.deviation[use]) / np.sqrt(self.variance[use])
        return float(np.median(pulls)) / _CENTRAL

    def trim(self, window: BoolArray) -> BoolArray:
        """Leave out of a window what is rather good than changed as the window is, see `monitor.detect.trim`."""
        mu, shape = np.abs(self.mu), self.reference.shape
        kept = window & ~good_strips(window, self.deviation, mu, self.variance, self.reference.coherent, shape)
        return changed_bins(kept, self.deviation, mu, self.variance, self.systematic)

    def significance(self, bins: BoolArray) -> float:
        """Signed significance of a set of bins; where nothing ever was, that of new life."""
        reference = self.reference
        new = bins & ~reference.live.ravel()
        if new.any():
            entries = float(self.interval.contents.ravel()[new].sum()) / reference.unit
            # Beyond 37 standard deviations a chance is no float64.
            chance = max(-700.0, float(log_new_life(np.array(entries), self.exposure, reference.exposure)))
            return float(sigmas_of(math.exp(chance)))
        several = int(bins.sum()) > 1
        freedom = float(reference.freedoms[1 if several and len(reference.freedoms) > 1 else 0])
        if reference.profile:
            d, v, mu = (float(p[bins].sum()) for p in self.weighted(np.zeros_like(bins)))
            common = (reference.coherent * mu) ** 2 if several else 0.0
            own = common if several else float((self.systematic[bins] / self.variance[bins] ** 2).sum())
            return float(significance(d, v + common, mu if reference.skewed else 0.0, False, own, freedom))
        d, v, mu, own = (float(p[bins].sum()) for p in (self.deviation, self.variance, self.mu, self.systematic))
        common = (reference.coherent * mu) ** 2 if several else 0.0
        return float(significance(d, v + common, mu, not reference.logarithmic, own + common, freedom))


def log_new_life(entries: FloatArray, exposure: float, references: float) -> FloatArray:
    """Return the logarithm of the chance of entries where nothing ever was.

    Nothing in the references' exposure E leaves open any rate; over all rates, each as likely as it makes nothing,
    n entries and more in exposure e come with a chance of (e / (e + E))^n.
    """
    e = max(exposure, 1e-3)
    return entries * math.log(e / (e + references))


def _errors(reference: Reference, interval: Interval) -> tuple[FloatArray, BoolArray]:
    """Return the squared errors of a profile's means, and which bins can be judged. Shapes: (bins,)."""
    assert interval.variances is not None
    assert interval.entries is not None
    own, entries = interval.variances.ravel(), interval.entries.ravel()
    judged = reference.live.ravel().copy()
    if reference.spread is None:
        judged &= entries >= MIN_PROFILE_ENTRIES
    else:
        # The spread of one entry, from the references and, as far as it has entries, from the bin itself.
        one = reference.spread.ravel() ** 2
        own = (one * PRIOR_ENTRIES + entries * entries * own) / (PRIOR_ENTRIES + np.maximum(entries - 1.0, 0.0))
        own = own / np.maximum(entries, 1.0)
        if reference.occupancy is not None:
            # The references' own means are known as well as their entries allow.
            own = own + one / np.maximum(reference.exposure * reference.occupancy.ravel(), 1.0)
        judged &= entries > 0
    return own, judged & (own > 0)
