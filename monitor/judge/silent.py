"""Bins that were never silent before, and are: certain whatever a histogram's own scatter is."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from monitor.detect.base import DEFAULT_CHANCE, Finding
from monitor.detect.geometry import shapes_of
from monitor.detect.missing import missing_entries
from monitor.infer import Reference
from monitor.judge.entries import SURE
from monitor.judge.gathered import Kept
from monitor.judge.words import place_of
from monitor.snapshot import FloatArray
from monitor.window import Interval

_CERTAIN = 38.0
"""Where a float64 p-value ends, in standard deviations."""


def silent_bins(interval: Interval, reference: Reference, good: Sequence[Kept]) -> Finding | None:
    """Return that bins are silent though they should not be; None where none is.

    A bin of counts should not that held enough in each of the last good intervals, scaled to this one's total; a bin
    of a profile, of which the entries expected are as many as exclude chance.

    Parameters
    ----------
    good
        What the reference is made of.
    """
    expected, found = (_of_profile if reference.profile else _of_counts)(interval, reference, good)
    silent = found < 0
    if not silent.any():
        return None
    shapes = shapes_of(
        silent,
        silent,
        reference.live,
        interval.contents,
        expected,
        lambda own: max(-_CERTAIN, float(found[own].sum()) / math.sqrt(int(own.sum()))),
        True,
        reference.profile,
    )
    words = f"{int(silent.sum())} bins of the profile got no entries: {', '.join(map(place_of, shapes[:3]))}"
    return Finding(
        bad=True,
        score=max(abs(s.significance) for s in shapes),
        shapes=tuple(shapes),
        headline=words if reference.profile else "",
    )


def _of_profile(interval: Interval, reference: Reference, _good: Sequence[Kept]) -> tuple[FloatArray, FloatArray]:
    """Return expected means and negative significances, shape of both: the histogram's."""
    found = missing_entries(reference, interval, DEFAULT_CHANCE / interval.contents.size)
    return reference.rate, found.reshape(reference.shape)


def _of_counts(interval: Interval, reference: Reference, good: Sequence[Kept]) -> tuple[FloatArray, FloatArray]:
    """As `_of_profile`, of contents."""
    at_zero = interval.contents == 0
    found = np.zeros(reference.shape)
    if not at_zero.any() or not reference.counts:
        return reference.rate, found
    least = np.min([k.contents * (interval.total / max(k.total, 1e-300)) for k in good], axis=0)
    certain = at_zero & (least >= SURE)
    found[certain] = -np.sqrt(2.0 * least[certain])
    return least, found
