"""The rules of ATLAS's L1Calo_BinsDiffFromStripMedian, see `monitor.detect.l1calo`.

Planes have the shape (slices, strips, bins): one slice for a histogram without time, else one a time bin.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import kolmogorov

from monitor.detect.geometry import BoolArray
from monitor.detect.strips import IntArray, at_rank, sorted_strips
from monitor.snapshot import FloatArray

_SEED = 0
_GAUSSIAN_FROM = 100.0
"""Variance from which on a toy sample is Gaussian and no longer Poisson."""
_LARGEST_POISSON = 1e9
"""Mean beyond which ROOT's Poisson numbers are Gaussian too."""


@dataclass(frozen=True, slots=True, eq=False)
class Widths:
    """Medians and widths of strips."""

    values: FloatArray
    accepted: BoolArray
    """Contents that are not below `IgnoreBelow`. Shape of both: (slices, strips, bins)."""
    ordered: FloatArray
    """Sorted accepted contents, infinity behind them. Shape: (slices, strips, bins)."""
    number: IntArray
    total: FloatArray
    median: FloatArray
    sigma: FloatArray
    """Number, sum, median and half the width of the middle 68 % of the accepted. Shape of all: (slices, strips)."""
    residual: FloatArray
    """Shape: (slices, strips, bins)."""

    @classmethod
    def of(cls, values: FloatArray, least: float) -> Widths:
        """Measure the strips of contents that are not below `least`."""
        accepted = values >= least
        ordered, number = sorted_strips(values, accepted)
        median = at_rank(ordered, number, number // 2)
        high, low = (at_rank(ordered, number, (number * share).astype(np.int64)) for share in (0.84, 0.16))
        sigma = (high - low) / 2.0
        total = np.where(accepted, values, 0.0).sum(axis=-1)
        judged = accepted & (sigma > 0)[..., None]
        divisor = np.where(sigma > 0, sigma, 1.0)[..., None]
        residual = np.where(judged, (values - median[..., None]) / divisor, 0.0)
        return cls(values, accepted, ordered, number, total, median, sigma, residual)

    @property
    def filled_rows(self) -> BoolArray:
        """Rows, bins of one y, that hold something in some strip. Shape: (slices, bins)."""
        filled: BoolArray = np.any(self.accepted & (self.values > 0), axis=1)
        return filled

    @property
    def mean(self) -> FloatArray:
        """Mean of the accepted contents, 0 without any. Shape: (slices, strips)."""
        mean: FloatArray = self.total / np.maximum(self.number, 1)
        return mean


def classify_bins(
    widths: Widths, cuts: Sequence[tuple[str, float]], known: Mapping[str, BoolArray], least: float
) -> dict[str, BoolArray]:
    """Return the bins of every class that are not known to be of it, and the known ones that are not what they were.

    Parameters
    ----------
    cuts
        Classes and their cuts; the largest |cut| is tried first, the first that matches counts.
    known
        Bins known to be of a class, or ``Dead``. Shape: (1, strips, bins).
    least
        Content that a bin beyond a positive cut must have.

    Returns
    -------
    ``Dead`` and every class by its name; ``Un`` and a name: known bins of it that have entries (``Dead``) or deviate
    in the other direction. Shape: (slices, strips, bins).
    """
    values, residual = widths.values, widths.residual
    ordered = sorted((c for c in cuts if c[1] != 0), key=lambda c: -abs(c[1]))
    nowhere = np.zeros((1, *values.shape[1:]), dtype=bool)
    dead = widths.accepted & (values == 0) & (residual < min([0.0, *(cut for _, cut in ordered)]))
    found = {"Dead": dead & ~known.get("Dead", nowhere)}
    free = widths.accepted & ~dead
    negative, positive = np.zeros_like(dead), np.zeros_like(dead)
    for name, cut in ordered:
        match = free & ((residual < cut) if cut < 0 else (residual > cut) & (values >= least))
        free = free & ~match
        found[name] = match & ~known.get(name, nowhere)
        if cut < 0:
            negative |= match
        else:
            positive |= match
    undead = widths.accepted & (values > 0) & known.get("Dead", nowhere)
    found["UnDead"] = undead
    for name, cut in ordered:
        found[f"Un{name}"] = known.get(name, nowhere) & (positive if cut < 0 else negative) & ~undead
    return found


def dead_strips(widths: Widths, least: float) -> tuple[BoolArray, FloatArray]:
    """Return strips that hold nothing where a neighbour holds `least`, and what a bin of that neighbour holds.

    Only of slices each row of which is filled somewhere. Shape of both: (slices, strips).
    """
    empty = (widths.number > 0) & (widths.sigma == 0) & (widths.total == 0)
    beside, content = (_larger_neighbour(plane) for plane in (widths.total, widths.mean))
    tested = widths.filled_rows.all(axis=1, keepdims=True)
    return tested & empty & (beside >= least), content


def _larger_neighbour(plane: FloatArray) -> FloatArray:
    padded = np.pad(plane, ((0, 0), (1, 1)), constant_values=-np.inf)
    larger: FloatArray = np.maximum(padded[:, :-2], padded[:, 2:])
    return larger


def strip_probabilities(widths: Widths, least: float) -> FloatArray:
    """Return the Kolmogorov probability of every strip of one slice against a toy sample of its size.

    The sample is Gaussian (mean, sigma) of the strip, Poisson (mean) where sigma^2 is below 100, drawn again where it
    is below `least`; 1 where sigma is 0. Shape: (strips,).
    """
    number, sigma, mean = widths.number[0], widths.sigma[0], widths.mean[0]
    toys = toy_samples(mean, sigma, widths.values.shape[2], least)
    inside = np.arange(toys.shape[1]) < number[:, None]
    both = np.concatenate([widths.ordered[0], np.where(inside, toys, np.inf)], axis=1)
    # One step up for each content, one down for each toy; what lies behind them as infinity takes no step.
    steps = np.concatenate([inside.astype(np.int64), -inside.astype(np.int64)], axis=1)
    order = np.argsort(both, axis=1)
    both, steps = np.take_along_axis(both, order, axis=1), np.take_along_axis(steps, order, axis=1)
    # Within a tie the two distributions step together.
    last = np.ones(both.shape, dtype=bool)
    last[:, :-1] = both[:, 1:] != both[:, :-1]
    distance = np.max(np.where(last, np.abs(np.cumsum(steps, axis=1)), 0), axis=1) / np.maximum(number, 1)
    probability: FloatArray = np.where(sigma > 0, kolmogorov(distance * np.sqrt(number / 2.0)), 1.0)
    return probability


def toy_samples(mean: FloatArray, sigma: FloatArray, size: int, least: float) -> FloatArray:
    """Return what good strips of some means and widths could hold; 0 where the width is 0. Shape: (strips, size)."""
    # Made anew for every histogram: the same contents have the same verdict.
    rng = np.random.default_rng(_SEED)
    wide = sigma**2 >= _GAUSSIAN_FROM
    few = ~wide & (mean <= _LARGEST_POISSON)
    spread = np.where(wide, sigma, np.sqrt(np.maximum(mean, 0.0)))
    rate = np.where(few, np.maximum(mean, 0.0), 0.0)
    rows = np.repeat(np.arange(len(mean)), size)
    found = np.empty(rows.size)
    todo = np.flatnonzero(sigma[rows] > 0)
    found[sigma[rows] <= 0] = 0.0
    while todo.size:
        row = rows[todo]
        gaussian = mean[row] + spread[row] * rng.standard_normal(todo.size)
        found[todo] = np.where(few[row], rng.poisson(rate[row]), gaussian)
        todo = todo[found[todo] < least]
    return found.reshape(len(mean), size)


def run_lengths(marked: BoolArray) -> IntArray:
    """Return, for every place along the first axis that is marked, how many in a row up to it are; else 0."""
    lengths = np.zeros(marked.shape, dtype=np.int64)
    length = np.zeros(marked.shape[1:], dtype=np.int64)
    for place, own in enumerate(marked):
        length = np.where(own, length + 1, 0)
        lengths[place] = length
    return lengths


def lasting(marked: BoolArray, duration: int, until: int | None) -> tuple[BoolArray, int]:
    """Return what lasts `duration` slices in a row or more, and how many times something does.

    Parameters
    ----------
    marked
        Shape: (slices, ...).
    until
        The slice in which it must still be there, the last one that counts; None: any.
    """
    lengths = run_lengths(marked)
    ends = marked.copy()
    ends[:-1] &= ~marked[1:]
    ends &= lengths >= duration
    if until is not None:
        ends[np.arange(len(marked)) != until] = False
    kept = np.zeros_like(marked)
    left = np.zeros(marked.shape[1:], dtype=np.int64)
    for place in range(len(marked) - 1, -1, -1):
        left = np.maximum(left - 1, np.where(ends[place], lengths[place], 0))
        kept[place] = left > 0
    return kept, int(ends.sum())
