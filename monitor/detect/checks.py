"""What the classical checks share: one number for the whole histogram, compared with its reference.

With contents x, rates m of the reference, made of exposure E in all, and statistics of variance k per content (1 for
counts), the expectation is mu = e m with e = sum x / sum m. Its own variance is (e / E) k mu. Profiles are compared as
they are, e = 1, and their reference's variance is 1 / R of theirs, R its number of intervals. Models are not asked.

Below `FEWEST` effective entries, (sum x)^2 / sum of variances, nothing is said: the checks' formulas hold for many.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import log_ndtr, ndtri_exp

from monitor.detect.base import Expected, Finding, Settings
from monitor.detect.geometry import BoolArray, sign_of
from monitor.detect.options import Options
from monitor.infer import Reference
from monitor.snapshot import FloatArray
from monitor.verdict import Shape
from monitor.window import Interval

_LARGEST = 1e60
"""Contents beyond which sums of squares of squares are no numbers."""
FEWEST = 30.0
"""Effective entries below which nothing is said of a histogram."""


@dataclass(frozen=True, slots=True, eq=False)
class Planes:
    """A histogram beside its reference. Shape of all planes: the histogram's."""

    contents: FloatArray
    expected: FloatArray
    """mu."""
    judged: BoolArray
    """Bins that can be compared."""
    own: FloatArray
    """Statistical variance of the contents as they are."""
    of_reference: FloatArray
    """Variance of mu, with the systematic where that counts."""
    total: FloatArray
    """Variance of contents - mu if the two are alike (Pearson's)."""
    alike: FloatArray
    """Statistical variance of the contents if they are as expected."""
    entries: FloatArray
    """Effective entries expected of histogram and reference together; infinite where statistics are not known."""
    exposure: float
    """e; 0 where there is nothing to compare."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a check says of one histogram."""

    log_p: float
    """Natural logarithm of the chance of such a difference, or a larger one, among good histograms."""
    words: str
    """For a person."""
    headline: str = ""
    """What is wrong if it is BAD, for a person."""


NOTHING = Comparison(0.0, "nothing to compare")


class Check(ABC):
    """A check of a whole histogram against its reference. BAD where p is below its threshold.

    Thresholds
    ----------
    p
        Chance of a false alarm; default: what follows from the budget.
    sigma
        The same in standard deviations, one-sided; only one of both may be set.

    Options
    -------
    systematic
        1 (default): the scatter that the reference has learned beyond statistics counts as an error too, bin by bin. 0:
        statistics alone, as in textbooks; then good histograms of many entries are BAD. Where statistics are not known
        it always counts.
    """

    name: str
    needs_rates = True

    def __init__(self, settings: Settings | None = None) -> None:
        options = Options(self.name, settings, {"systematic": 1}, {"p": None, "sigma": None})
        self._systematic = options.flag("systematic")
        p, sigma = options.threshold("p"), options.threshold("sigma")
        if p is not None and sigma is not None:
            raise ValueError(f"detector '{self.name}': p and sigma are both set; set one")
        if p is not None and p >= 1.0:
            raise ValueError(f"detector '{self.name}': p '{p}', must be below 1")
        self._limit = sigma if sigma is not None else sigmas_of(float(np.log(p or (settings or Settings()).chance)))

    @abstractmethod
    def compare(self, interval: Interval, planes: Planes) -> Comparison:
        """Compare a histogram with its reference; the exposure of `planes` is positive."""

    def judge(self, intervals: Sequence[Interval], expected: Sequence[Expected]) -> list[Finding]:
        """Judge intervals, each against its own reference; models are not asked."""
        return [self._judge(i, e.reference) for i, e in zip(intervals, expected, strict=True)]

    def planes(self, interval: Interval, reference: Reference) -> Planes:
        """Put a histogram beside its reference.

        Raises
        ------
        ValueError
            If a content is NaN or infinite.
        """
        if not np.isfinite(interval.contents).all():
            raise ValueError(f"detector '{self.name}': contents are NaN or infinite; mask those bins")
        if np.abs(interval.contents).max(initial=0.0) > _LARGEST:
            raise ValueError(f"detector '{self.name}': contents beyond {_LARGEST:g} cannot be squared; mask those bins")
        return (_of_profile if reference.profile else _of_sums)(interval, reference, self._systematic)

    def _judge(self, interval: Interval, reference: Reference) -> Finding:
        planes = self.planes(interval, reference)
        found = NOTHING
        if planes.exposure > 0:
            entries = effective_entries(interval, planes)
            few = Comparison(0.0, f"{entries:.3g} effective entries, judged from {FEWEST:g} on")
            found = few if entries < FEWEST else self.compare(interval, planes)
        score = sigmas_of(found.log_p)
        bad = score > self._limit
        return Finding(
            bad=bad,
            score=score,
            shapes=(_whole(planes, score, reference.profile),) if bad else (),
            p_value=float(np.exp(found.log_p)),
            exposure=None if reference.profile else planes.exposure,
            note=found.words,
            headline=f"{found.headline} ({score:.1f} sigma)" if bad else "",
        )


def effective_entries(interval: Interval, planes: Planes) -> float:
    """Return how many entries of one size know as much as the judged bins; infinite where statistics are not known.

    For each bin the larger of the variances observed and expected counts: a bin that is empty by chance has one too.
    """
    if interval.entries is not None:
        return float(interval.entries[planes.judged].sum())
    total = float(planes.contents[planes.judged].sum())
    variance = float(np.maximum(planes.own, planes.alike)[planes.judged].sum())
    # Not total^2 first: the square of what is still a number may be none.
    return total / variance * total if variance > 0 else float("inf")


def sigmas_of(log_p: float) -> float:
    """Return how many standard deviations a one-sided normal tail of chance p is away, 0 from p = 1/2 on."""
    return max(0.0, -float(ndtri_exp(log_p))) if log_p < 0.0 else 0.0


def log_two_sided(z: float) -> float:
    """Return log p of a deviation of z standard deviations in either direction."""
    return min(0.0, float(np.log(2.0) + log_ndtr(-abs(z))))


def _of_sums(interval: Interval, reference: Reference, systematic: bool) -> Planes:
    contents, rate = interval.contents, reference.rate
    known = reference.dispersion > 0
    # Where an entry has a size, one in a bin that was always empty says something.
    judged = np.ones(contents.shape, dtype=bool) if known else reference.live
    total, expected = float(contents[judged].sum()), float(rate[judged].sum())
    exposure = total / expected if total > 0 and expected > 0 else 0.0
    mu = rate * exposure
    share = exposure / max(reference.exposure, 1e-300)
    alike = reference.statistical * exposure
    counted = reference.dispersion * np.maximum(contents, 0.0)
    own = alike if reference.statistics in ("binomial", "exact") else counted
    if interval.variances is not None:
        own = interval.variances
    scatter = _scatter(reference, mu, systematic or not known)
    # As of two samples: what is in a bin now says what could have been in it when it was empty.
    together = alike + share * counted
    entries = together / (1.0 + share) / reference.dispersion**2 if known else np.full(mu.shape, np.inf)
    return Planes(contents, mu, judged, own, share * alike + scatter, together + scatter, alike, entries, exposure)


def _of_profile(interval: Interval, reference: Reference, systematic: bool) -> Planes:
    assert interval.entries is not None
    assert interval.variances is not None
    entries, mu = interval.entries, reference.rate
    one = interval.variances * entries if reference.spread is None else reference.spread**2
    own = one / np.maximum(entries, 1.0)
    judged = reference.live & (entries > 0)
    of_reference = own / max(1, reference.references) + _scatter(reference, mu, systematic)
    return Planes(
        interval.contents,
        mu,
        judged,
        own,
        of_reference,
        own + of_reference,
        own,
        np.full(mu.shape, np.inf),
        float(judged.any()),
    )


def _scatter(reference: Reference, mu: FloatArray, counts: bool) -> FloatArray:
    """Return the variance that is not statistics, of a new histogram against the references; 0 where none counts."""
    more = 1.0 + 1.0 / max(1, reference.references)
    return (reference.systematic * mu) ** 2 * more if counts else np.zeros(mu.shape)


def _whole(planes: Planes, score: float, profile: bool) -> Shape:
    """Return the whole histogram as one shape; of sums its content is what is expected, by construction."""
    where = planes.judged
    combine = np.mean if profile else np.sum
    observed, expected = float(combine(planes.contents[where])), float(combine(planes.expected[where]))
    if not profile:
        # Equal by construction: they differ by rounding, which has no direction.
        observed = expected
    low = observed < expected
    return Shape(
        kind="map",
        sign=sign_of(observed, expected, low),
        axis=None,
        index=None,
        bins=tuple(tuple(int(i) for i in b) for b in np.argwhere(where)),
        significance=-score if low else score,
        observed=observed,
        expected=expected,
    )
