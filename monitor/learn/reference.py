"""From good intervals of one histogram to what it is expected to show.

The recipe, in the order of its steps (docs/expectation.md has the formulas and what was measured):

1. Exposures and rates, entries that disagree left out (`monitor.learn.fit`).
2. Kind of statistics (`monitor.learn.statistics`).
3. References that differ from the rest in a shape larger than a bin are found by a scan, left out, and the rest is
   learned anew.
4. Scatter of every window beyond statistics (`monitor.learn.scatter`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from monitor.errors import HistwatchError
from monitor.infer import Reference, WindowScatter, windows_of
from monitor.learn.differing import differing, winsorised
from monitor.learn.fit import Fit, fit
from monitor.learn.profiles import means_of
from monitor.learn.scatter import ALONE_DEGREES, ALONE_SYSTEMATIC, Moderated, moderated
from monitor.learn.statistics import Kind, recognise
from monitor.snapshot import FloatArray
from monitor.window import Interval

ALONE_COHERENT = 0.01
"""Relative scatter that the bins of a strip share where there is one reference."""


LEAST, MOST = 1.0, 1e12
"""Typical contents that are taken as they are; others, of rates or weights,"""
LIKE_COUNTS = 100.0
"""are made as large as this."""


@dataclass(frozen=True, slots=True, eq=False)
class Learned:
    """A reference and what was seen while it was learned."""

    reference: Reference
    used: tuple[bool, ...]
    """Which of the intervals with content were used; the others differ from the rest."""
    exposures: FloatArray
    """Exposure of every interval with content. Shape: (intervals,)."""
    fitted: Fit | None = None
    kind: Kind | None = None
    """What sums were fitted with; None for profiles."""


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
        If there is no interval with content, shapes differ, or the contents have nothing in common.
    """
    filled = [i for i in intervals if i.total > 0]
    what = f"{intervals[0].key}" if intervals else name
    if not filled:
        raise HistwatchError(f"{what}: nothing to learn from, all {len(intervals)} references are empty")
    odd = next((i for i in filled if not _binned_alike(i, filled[0])), None)
    if odd is not None:
        raise HistwatchError(
            f"{what}: references of different binning: {_binning(filled[0])} in run {filled[0].run}, "
            f"{_binning(odd)} in run {odd.run}; name only runs that are binned alike"
        )
    contents = np.stack([i.contents.ravel() for i in filled])
    shape = filled[0].contents.shape
    spans = np.array([i.lumisections for i in filled], dtype=np.float64)
    try:
        learned = (
            _learn_profile(filled, contents, shape, spans, name)
            if filled[0].kind.is_profile
            else _learn_sums(contents, shape, spans, name)
        )
    except HistwatchError as error:
        raise HistwatchError(f"{what}: {error}") from error
    return replace(learned, reference=replace(learned.reference, ranges=tuple(a.range for a in filled[0].axes)))


def _binned_alike(one: Interval, other: Interval) -> bool:
    if one.contents.shape != other.contents.shape:
        return False
    return all(
        np.allclose(a.bin_edges(), b.bin_edges(), rtol=1e-5, atol=1e-5 * abs(a.high - a.low))
        for a, b in zip(one.axes, other.axes, strict=True)
    )


def _binning(interval: Interval) -> str:
    return " x ".join(f"{a.bins} bins from {a.low:g} to {a.high:g}" for a in interval.axes)


def _learn_sums(contents: FloatArray, shape: tuple[int, ...], spans: FloatArray, name: str) -> Learned:
    """Learn of contents in a unit in which half a count is little, and say it in theirs."""
    filled = contents[contents > 0]
    typical = float(np.median(filled))
    if LEAST <= typical <= MOST or bool((filled == np.round(filled)).all() and typical <= MOST):
        return _learn_scaled(contents, shape, spans, name)
    unit = typical / LIKE_COUNTS
    learned = _learn_scaled(contents / unit, shape, spans, name)
    assert learned.fitted is not None
    assert learned.kind is not None
    reference, fitted, kind = learned.reference, learned.fitted, learned.kind
    return replace(
        learned,
        reference=replace(reference, rate=reference.rate * unit, dispersion=reference.dispersion * unit),
        fitted=replace(fitted, rate=fitted.rate * unit),
        kind=replace(kind, dispersion=kind.dispersion * unit),
    )


def _learn_scaled(contents: FloatArray, shape: tuple[int, ...], spans: FloatArray, name: str) -> Learned:
    bad = np.zeros(len(contents), dtype=bool)
    while True:
        fitted = fit(contents, shape, spans, bad)
        kind = _kind(contents, fitted)
        scales = _scatter_of(contents, fitted, kind, shape) if int(fitted.used.sum()) > 1 else []
        worst = None
        if scales:
            deviation, mu, statistical, _ = _compared(contents, fitted, kind, fitted.used)
            limited = winsorised(deviation, np.sqrt(statistical + (scales[0].common * mu) ** 2))
            worst = differing(limited, mu, statistical, fitted.leverage, scales, windows_of(shape))
        # Two thirds of the references must stay: where many differ there is no rest to differ from.
        if worst is None or int(bad.sum()) + 1 > len(contents) // 3:
            break
        bad[np.flatnonzero(fitted.used)[worst]] = True
    reference = _assemble(contents, fitted, kind, shape, scales, name)
    return Learned(reference, tuple(bool(u) for u in fitted.used), fitted.exposure, fitted, kind)


def rescattered(learned: Learned, contents: FloatArray, predicted: FloatArray) -> Reference:
    """Return a reference whose scatter is that about predictions of a model.

    Parameters
    ----------
    contents, predicted
        Contents of the references that were used, and what a model that has not seen them expects per unit exposure.
        Shape of both: (used references, *shape).
    """
    assert learned.fitted is not None
    assert learned.kind is not None
    fitted, shape = learned.fitted, contents.shape[1:]
    flat = contents.reshape(len(contents), -1)
    scales = _scatter_of(flat, _only(fitted), learned.kind, shape, predicted.reshape(flat.shape))
    return _assemble(flat, _only(fitted), learned.kind, shape, scales, learned.reference.name)


def _only(fitted: Fit) -> Fit:
    """Return the fit without the references that were left out."""
    used = fitted.used
    return Fit(fitted.rate, fitted.exposure[used], used[used], fitted.weight[used])


def _assemble(
    contents: FloatArray, fitted: Fit, kind: Kind, shape: tuple[int, ...], scales: Sequence[Moderated], name: str
) -> Reference:
    used = fitted.used
    count = int(used.sum())
    live = fitted.rate > 0
    systematic, scatter = np.full(live.size, ALONE_SYSTEMATIC), None
    coherent, degrees = ALONE_COHERENT, ALONE_DEGREES
    if not scales and kind.dispersion == 0.0:
        systematic = systematic * 3.0
    if scales:
        systematic = scales[0].relative
        degrees = scales[0].degrees_of_freedom
        windows = windows_of(shape)
        strips = [s for s, is_strip in zip(scales, windows.strips, strict=True) if is_strip] or scales[1:]
        coherent = max((s.common for s in strips), default=0.0)
        scatter = WindowScatter(
            relative=np.concatenate([s.relative for s in scales]).astype(np.float32),
            shared=tuple(s.common for s in scales),
            degrees_of_freedom=tuple(s.degrees_of_freedom for s in scales),
        )
    at_zero = int((contents[used][:, live] == 0).sum())
    return Reference(
        name=name,
        profile=False,
        rate=fitted.rate.reshape(shape),
        systematic=systematic.reshape(shape),
        live=live.reshape(shape),
        coherent=coherent,
        scatter=scatter,
        statistics=kind.name,
        dispersion=kind.dispersion,
        zeros=(at_zero + 1.0) / (count * max(1, int(live.sum())) + 1.0),
        degrees_of_freedom=degrees,
        references=count,
        exposure=float(fitted.exposure[used].sum()),
    )


def _kind(contents: FloatArray, fitted: Fit) -> Kind:
    used = fitted.used
    mu = fitted.exposure[used, None] * fitted.rate
    return recognise(contents[used], mu, fitted.leverage, fitted.weight[used])


def _scatter_of(
    contents: FloatArray, fitted: Fit, kind: Kind, shape: tuple[int, ...], rates: FloatArray | None = None
) -> list[Moderated]:
    """Return the scatter of the windows of every scale; `rates` of each used reference go before the common one."""
    windows = windows_of(shape)
    deviation, mu, statistical, weight = _compared(contents, fitted, kind, fitted.used, rates)
    found = []
    for k in range(len(windows.names)):
        if k == 0:
            found.append(moderated(deviation, mu, statistical, fitted.leverage, weight, windows.independent(k)))
            continue
        # An entry that was left out adds nothing to a window: a fault in a reference must not blind a strip.
        d, m, v = (windows.sums(weight * plane, k) for plane in (deviation, mu, statistical))
        found.append(moderated(d, m, v, fitted.leverage, independent=windows.independent(k)))
    return found


def _compared(
    contents: FloatArray, fitted: Fit, kind: Kind, which: np.ndarray, rates: FloatArray | None = None
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Return deviations, expected contents, statistical variances and weights. Shape of all: (references, bins)."""
    mu = fitted.exposure[which, None] * (fitted.rate if rates is None else np.maximum(rates, 0.1 * fitted.rate))
    deviation = contents[which] - mu
    if kind.name == "rates":
        filled = mu > 0
        ratio = np.where(filled, contents[which] / np.where(filled, mu, 1.0), 1.0)
        deviation = mu * np.log(np.maximum(ratio, 1e-3))
    return deviation, mu, kind.variance(mu, mu.max(axis=1, keepdims=True)), fitted.weight[which]


def _learn_profile(
    filled: Sequence[Interval], contents: FloatArray, shape: tuple[int, ...], spans: FloatArray, name: str
) -> Learned:
    entries = np.stack([np.asarray(i.entries).ravel() for i in filled])
    own = np.stack([np.asarray(i.variances).ravel() for i in filled])
    used = np.ones(len(filled), dtype=bool)
    while True:
        means = means_of(contents[used], entries[used], own[used], shape)
        # As of sums, two thirds must stay.
        if means.worst is None or int((~used).sum()) + 1 > len(filled) // 3:
            break
        used[np.flatnonzero(used)[means.worst]] = False
    coherent, scatter = ALONE_COHERENT, None
    systematic, degrees = np.full(means.mean.size, ALONE_SYSTEMATIC), ALONE_DEGREES
    if means.scales:
        systematic, degrees = means.scales[0].relative, means.scales[0].degrees_of_freedom
        shared = (0.0, *(s.common for s in means.scales[1:]))
        scatter = WindowScatter(
            np.zeros(0, dtype=np.float32), shared, tuple(s.degrees_of_freedom for s in means.scales)
        )
        coherent = max(shared)
    exposure = float(spans[used].sum())
    reference = Reference(
        name=name,
        profile=True,
        rate=means.mean.reshape(shape),
        systematic=systematic.reshape(shape),
        spread=means.spread.reshape(shape),
        occupancy=(means.held / exposure).reshape(shape),
        live=(means.held > 0).reshape(shape),
        coherent=coherent,
        scatter=scatter,
        statistics="profile",
        degrees_of_freedom=degrees,
        references=int(used.sum()),
        exposure=exposure,
    )
    return Learned(reference, tuple(used.tolist()), np.ones(len(filled)))
