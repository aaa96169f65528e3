"""From good intervals of one histogram to what it is expected to show.

The recipe, in the order of its steps:

1. Exposures against a median start, three rounds; contents beyond five standard deviations are left out of the
   sums; a reference with far more such bins than the others is left out as a whole (from four references on).
2. Statistics: whole numbers are counts (variance = mean); other sums get variance = k mean + (s mean)^2 fitted over
   twelve groups of equal mean; profiles have their own errors.
3. Systematic per bin: the scatter that statistics leave unexplained, shrunk towards the map's common value in the
   measure that few references demand (moderated variances: D* = (nu0 D0 + nu D)/(nu0 + nu), with nu0 from the
   spread of log D as in Smyth 2004).
4. The same for strips gives the scatter that the bins of a strip share.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats

from monitor.errors import HistwatchError
from monitor.infer import Reference
from monitor.normalise import block_grid, exposures
from monitor.snapshot import FloatArray
from monitor.window import Interval

ALONE_SYSTEMATIC = 0.03
"""Relative systematic of a bin when there is one reference and so no scatter to learn from."""
ALONE_COHERENT = 0.01
ALONE_DEGREES = 4.0
_CLIP = 5.0
_ROUNDS = 3
_START_SYSTEMATIC = 0.03


@dataclass(frozen=True, slots=True, eq=False)
class Learned:
    """A reference and what was seen while it was learned."""

    reference: Reference
    used: tuple[bool, ...]
    """Which of the intervals were used; the others differ from the rest."""
    exposures: FloatArray
    """Exposure of every interval. Shape: (intervals,)."""


def learn_reference(intervals: Sequence[Interval], name: str) -> Learned:
    """Learn what a histogram shows when all is well.

    Parameters
    ----------
    intervals
        Good intervals of one histogram, all of one shape and kind.
    name
        What to call the reference in evidence.

    Raises
    ------
    HistwatchError
        If there is no interval with content, or shapes differ.
    """
    filled = [i for i in intervals if i.total > 0]
    what = f"{intervals[0].key}" if intervals else name
    if not filled:
        raise HistwatchError(f"{what}: nothing to learn from, all {len(intervals)} references are empty")
    if len({i.contents.shape for i in filled}) > 1:
        raise HistwatchError(f"{what}: references of different binning; learn them apart")
    contents = np.stack([i.contents.ravel() for i in filled])
    shape = filled[0].contents.shape
    spans = np.array([i.lumisections for i in filled], dtype=np.float64)
    if filled[0].kind.is_profile:
        return _learn_profile(filled, contents, shape, spans, name)
    return _learn_sums(contents, shape, spans, name)


def _learn_sums(contents: FloatArray, shape: tuple[int, ...], spans: FloatArray, name: str) -> Learned:
    whole = bool(np.all(contents == np.round(contents)))
    rate, exposure, used, weight = _fit_rates(contents, shape, spans, whole)
    count = int(used.sum())
    dispersion = 1.0 if whole else _fit_dispersion(contents[used], rate, exposure[used])
    live = rate > 0
    total = float(exposure[used].sum())
    if count < 2:
        systematic, coherent, degrees = np.full(rate.size, ALONE_SYSTEMATIC), ALONE_COHERENT, ALONE_DEGREES
        if not whole:
            dispersion, systematic = 0.0, np.full(rate.size, 3 * ALONE_SYSTEMATIC)
    else:
        mu = exposure[used, None] * rate
        statistical = np.maximum(dispersion * mu, 1e-12)
        systematic, degrees = moderated_systematic(contents[used], mu, statistical, exposure[used], weight[used])
        coherent = _coherent(contents[used], mu, statistical, systematic, exposure[used], weight[used], shape)
    reference = Reference(
        name=name,
        profile=False,
        rate=rate.reshape(shape),
        systematic=systematic.reshape(shape),
        live=live.reshape(shape),
        coherent=coherent,
        dispersion=dispersion,
        counts=whole,
        constant=count > 1 and bool((contents[used] == contents[used][0]).all()),
        degrees_of_freedom=degrees,
        references=count,
        exposure=total,
    )
    return Learned(reference, tuple(bool(u) for u in used), exposure)


def _fit_rates(
    contents: FloatArray, shape: tuple[int, ...], spans: FloatArray, whole: bool
) -> tuple[FloatArray, FloatArray, np.ndarray, FloatArray]:
    """Return rates per average lumisection, exposures, which references are used, and weights (0: clipped entry)."""
    scale = contents.sum(axis=1) / spans
    start = np.median(contents / np.maximum(scale * spans, 1e-300)[:, None], axis=0) if len(contents) > 2 else None
    rate = contents.mean(axis=0) if start is None else start * float(np.median(scale))
    if not (rate > 0).any():
        rate = contents.mean(axis=0)
    used = np.ones(len(contents), dtype=bool)
    weight = np.ones(contents.shape)
    exposure = np.ones(len(contents))
    for _ in range(_ROUNDS):
        grid = block_grid(rate.reshape(shape), float(np.median(exposure)) or 1.0)
        exposure = exposures(contents, grid)
        if not (exposure > 0).any():
            exposure = np.ones(len(contents))
        exposure = np.maximum(exposure, 1e-12)
        mu = exposure[:, None] * rate
        # Before the systematic is known a generous one keeps ordinary bins; half a count keeps sparse ones.
        spread = np.sqrt((mu if whole else 0.0) + (_START_SYSTEMATIC * mu) ** 2 + 0.25)
        weight = (np.abs(contents - mu) <= _CLIP * np.maximum(spread, _scatter(contents, mu, rate))).astype(float)
        outlying = 1.0 - weight[:, rate > 0].mean(axis=1) if (rate > 0).any() else np.zeros(len(contents))
        if len(contents) >= 4:
            used = outlying <= max(0.01, 4.0 * float(np.median(outlying)))
        # A bin that is clipped in many references has no agreed value there: it keeps them all.
        many = (1.0 - weight[used]).sum(axis=0) > max(1.0, used.sum() / 10.0)
        weight[:, many] = 1.0
        held = (weight * exposure[:, None])[used].sum(axis=0)
        rate = np.where(held > 0, (weight * contents)[used].sum(axis=0) / np.maximum(held, 1e-300), 0.0)
        rate = np.maximum(rate, 0.0)
        # One unit of exposure is an average lumisection of the references that are used.
        unit = float(exposure[used].sum() / spans[used].sum())
        exposure, rate = exposure / unit, rate * unit
    return rate, exposure, used, weight


def _scatter(contents: FloatArray, mu: FloatArray, rate: FloatArray) -> FloatArray:
    """Relative scatter of the middle two thirds of all bins: histograms that move a lot are clipped later."""
    if len(contents) < 3 or not (rate > 0).any():
        return np.zeros_like(mu)
    relative = np.abs(contents - mu)[:, rate > 0] / mu[:, rate > 0]
    scatter: FloatArray = float(np.quantile(relative, 0.68)) * mu
    return scatter


def _fit_dispersion(contents: FloatArray, rate: FloatArray, exposure: FloatArray) -> float:
    """Fit k of variance = k mean + (s mean)^2 over groups of bins of equal mean; 0 where it cannot be told."""
    live = np.flatnonzero(rate > 0)
    if len(contents) < 2 or live.size < 24:
        return 0.0
    mu = exposure[:, None] * rate[live]
    variance = ((contents[:, live] - mu) ** 2).sum(axis=0) / (len(contents) - 1)
    mean = mu.mean(axis=0)
    groups = np.array_split(np.argsort(mean), 12)
    median = stats.chi2.ppf(0.5, len(contents) - 1) / (len(contents) - 1)
    x = np.array([np.median(mean[g]) for g in groups])
    y = np.array([np.median(variance[g]) for g in groups]) / median
    keep = (x > 0) & (y > 0)
    if int(keep.sum()) < 3:
        return 0.0
    x, y = x[keep], y[keep]
    # Relative weights: every group says the same about its own variance.
    solution, _ = optimize.nnls(np.stack([x / y, x * x / y], axis=1), np.ones(x.size))
    return float(solution[0])


def moderated_systematic(
    contents: FloatArray, mu: FloatArray, statistical: FloatArray, exposure: FloatArray, weight: FloatArray
) -> tuple[FloatArray, float]:
    """Return the relative systematic of each bin and its degrees of freedom.

    Parameters
    ----------
    contents, mu, statistical, weight
        Contents, expected contents, statistical variances, and 0 for entries to leave out.
        Shape: (references, bins).
    exposure
        Shape: (references,).
    """
    references = len(contents)
    leverage = (exposure / exposure.sum())[:, None]
    live = (mu.mean(axis=0) > 0) & (weight.sum(axis=0) >= 2)
    systematic = np.zeros(contents.shape[1])
    if int(live.sum()) < 4:
        return np.full(contents.shape[1], ALONE_SYSTEMATIC), ALONE_DEGREES
    c, m, v, w = (a[:, live] for a in (contents, mu, statistical, weight))
    nu = w.sum(axis=0) - 1.0
    target = float(stats.chi2.ppf(0.5, references - 1)) / (references - 1)
    squares = w * (c - m) ** 2 / (1.0 - leverage)

    def excess(s: float) -> float:
        return float(np.median((squares / (v + (s * m) ** 2)).sum(axis=0) / (nu + 1.0))) - target

    common = 0.0
    if excess(0.0) > 0.0:
        high = 0.01
        while excess(high) > 0.0 and high < 1e3:
            high *= 2.0
        common = float(optimize.brentq(excess, 0.0, high, xtol=1e-6))
    base = v + (common * m) ** 2
    d = (squares / base).sum(axis=0) / (nu + 1.0)
    nu0 = _prior_degrees(d, float(np.median(nu)))
    d0 = float(np.median(d)) / float(stats.f.median(float(np.median(nu)), nu0))
    own = nu / (1.0 + 1.0 / (2.0 * np.maximum(m.mean(axis=0), 1e-9)))
    moderated = (nu0 * d0 + own * d) / (nu0 + own)
    # A bin far out in the tail of the prior is a bin of its own kind and keeps its own scatter.
    alone = d / max(d0, 1e-12) > stats.f.isf(1e-3 / d.size, nu, nu0)
    moderated[alone] = d[alone]
    mean, variance = m.mean(axis=0), v.mean(axis=0)
    total = moderated * (variance + (common * mean) ** 2)
    systematic[live] = np.sqrt(np.maximum(total - variance, 0.0)) / np.maximum(mean, 1e-300)
    few = ~live & (mu.mean(axis=0) > 0)
    systematic[few] = max(common, float(np.quantile(systematic[live], 0.9)))
    return systematic, float(nu0 + np.median(nu))


def _prior_degrees(d: FloatArray, nu: float) -> float:
    """Degrees of freedom of the prior: the interquartile range of log d matched to that of F(nu, nu0)."""
    logs = np.log(np.maximum(d, 1e-12))
    seen = float(np.subtract(*np.quantile(logs, [0.75, 0.25])))

    def spread(log_nu0: float) -> float:
        f = stats.f(nu, np.exp(log_nu0))
        return float(np.log(f.ppf(0.75)) - np.log(f.ppf(0.25))) - seen

    low, high = np.log(1.0), np.log(1e4)
    if spread(high) > 0.0:
        return 1e4
    if spread(low) < 0.0:
        return 1.0
    return float(np.exp(optimize.brentq(spread, low, high, xtol=1e-3)))


def _coherent(
    contents: FloatArray,
    mu: FloatArray,
    statistical: FloatArray,
    systematic: FloatArray,
    exposure: FloatArray,
    weight: FloatArray,
    shape: tuple[int, ...],
) -> float:
    """Relative scatter that the bins of a strip share: what strip sums show beyond their bins."""
    if len(shape) == 1:
        groups = [np.arange(shape[0]).reshape(-1, 1) // max(1, shape[0] // 10)]
        axes = [groups[0].ravel()]
    else:
        ix, iy = np.indices(shape)
        axes = [ix.ravel(), iy.ravel()]
    found = [0.0]
    # Clipped entries are replaced by their expectation: a fault in a reference must not blind a strip.
    clean = np.where(weight > 0, contents, mu)
    independent = statistical + (systematic * mu) ** 2
    for index in axes:
        strips = int(index.max()) + 1

        def add(a: FloatArray, index: np.ndarray = index, strips: int = strips) -> FloatArray:
            return np.stack([np.bincount(index, weights=row, minlength=strips) for row in a])

        c, m, v = add(clean), add(mu), add(independent)
        if int((m.mean(axis=0) > 0).sum()) >= 4:
            s, _ = moderated_systematic(c, m, np.maximum(v, 1e-12), exposure, np.ones_like(c))
            # The upper quartile, not the mean: strips that move more than others must not alarm.
            found.append(float(np.quantile(s[m.mean(axis=0) > 0], 0.75)))
    return max(found)


def _learn_profile(
    filled: Sequence[Interval], contents: FloatArray, shape: tuple[int, ...], spans: FloatArray, name: str
) -> Learned:
    entries = np.stack([np.asarray(i.entries).ravel() for i in filled])
    own = np.stack([np.asarray(i.variances).ravel() for i in filled])
    held = entries.sum(axis=0)
    live = held > 0
    mean = np.where(live, (entries * contents).sum(axis=0) / np.maximum(held, 1e-300), 0.0)
    # n v is ROOT's biased variance of one entry; n - 1 of n degrees of freedom are left in it.
    freedom = np.maximum(entries - 1.0, 0.0).sum(axis=0)
    spread = np.sqrt((entries * entries * own).sum(axis=0) / np.maximum(freedom, 1.0))
    systematic, coherent, degrees = np.full(mean.size, ALONE_SYSTEMATIC), ALONE_COHERENT, ALONE_DEGREES
    usable = (entries > 0) & (spread > 0)
    enough = live & (usable.sum(axis=0) >= 2) & (mean != 0)
    if len(filled) > 1 and int(enough.sum()) >= 4:
        mu = np.repeat(np.abs(mean)[None], len(filled), axis=0)
        mu[:, ~enough] = 0.0
        shifted = np.where(usable, contents * np.sign(mean), mu)
        statistical = np.where(usable, spread**2 / np.maximum(entries, 1.0), 1e-12)
        ones = np.ones(len(filled))
        systematic, degrees = moderated_systematic(shifted, mu, statistical, ones, usable.astype(float))
        coherent = float(np.quantile(systematic[enough], 0.5)) / 2.0
    reference = Reference(
        name=name,
        profile=True,
        rate=mean.reshape(shape),
        systematic=systematic.reshape(shape),
        spread=spread.reshape(shape),
        live=live.reshape(shape),
        coherent=coherent,
        counts=False,
        degrees_of_freedom=degrees,
        references=len(filled),
        exposure=float(spans.sum()),
    )
    return Learned(reference, (True,) * len(filled), np.ones(len(filled)))
