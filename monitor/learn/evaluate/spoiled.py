"""Faults put into recorded maps, and whether they are named."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from monitor.detect.base import Expected
from monitor.detect.geometry import BoolArray
from monitor.learn.evaluate.scorers import Scored
from monitor.learn.evaluate.simultaneous import alike, is_low, mask_of
from monitor.snapshot import FloatArray
from monitor.window import Interval

_FULL = 0.5
"""Share of the median content of live bins that a single bin holds at least where it is made faulty."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault; the size in bins, 0: the whole axis."""

    name: str
    size: tuple[int, int]
    factor: float
    prototype: str = ""
    """Share found of the HCAL lumisections' maps."""


FAULTS = (
    Fault("dead bin", (1, 1), 0.0, "1.00"),
    Fault("hot bin", (1, 1), 2.0),
    Fault("bin -20 %", (1, 1), 0.8, "0.63-0.80"),
    Fault("3 x 3 -10 %", (3, 3), 0.9, "0.53-1.00"),
    Fault("column -3 %", (1, 0), 0.97, "0.67-0.80"),
    Fault("row -3 %", (0, 1), 0.97, "0.70-0.97"),
)


def with_faults(
    interval: Interval, expected: Expected, rng: np.random.Generator
) -> dict[Fault, tuple[Interval, BoolArray]]:
    """Return the interval with each fault, and the bins of the fault."""
    rate = expected.reference.rate
    faulty = {}
    for fault in FAULTS:
        bins = _place(rate, fault.size, rng)
        contents = interval.contents.copy()
        if expected.reference.counts and fault.factor < 1.0:
            # What is lost is lost entry by entry: a few percent of a few entries are one now and then.
            contents[bins] = rng.binomial(np.rint(contents[bins]).astype(np.int64), fault.factor)
        else:
            contents[bins] *= fault.factor
        total = float(contents.sum()) if interval.entries is None else interval.total
        variances = interval.variances
        if variances is not None and interval.entries is None:
            # Errors of weights go with their sums.
            variances = variances.copy()
            variances[bins] *= fault.factor
        faulty[fault] = replace(interval, contents=contents, variances=variances, total=total), bins
    return faulty


def _place(rate: FloatArray, size: tuple[int, int], rng: np.random.Generator) -> BoolArray:
    """Return a random place for a fault: among full enough bins, along live rows and columns."""
    live = rate > 0
    full = rate >= _FULL * np.median(rate[live])
    bins = np.zeros(rate.shape, dtype=np.bool_)
    if 0 in size:
        axis = size.index(1)
        filled = full.sum(axis=1 - axis)
        lines = np.flatnonzero(filled >= 0.5 * filled.max())
        line = int(rng.choice(lines))
        bins[(line, slice(None)) if axis == 0 else (slice(None), line)] = True
        return bins & live
    views = np.lib.stride_tricks.sliding_window_view(full, size)
    share = views.mean(axis=(2, 3))
    x, y = (int(i) for i in rng.choice(np.argwhere(share >= share.max())))
    bins[x : x + size[0], y : y + size[1]] = True
    return bins & live


def is_named(fault: Fault, bins: BoolArray, scored: Scored) -> bool:
    """Return whether a shape of the fault's direction shares half of the bins of both with it."""
    low = fault.factor < 1.0
    return any(is_low(s) == low and alike(mask_of(s, bins), bins) for s in scored.shapes)
