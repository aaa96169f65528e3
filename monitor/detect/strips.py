"""Strips: bins of one x, which a symmetric detector fills alike. What ATLAS's strip detectors share.

A histogram of one dimension is one strip.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from monitor.detect.geometry import BoolArray, shapes_of
from monitor.detect.options import Options
from monitor.snapshot import AnyArray, Axis, FloatArray
from monitor.verdict import Shape
from monitor.window import Interval

IntArray = NDArray[np.int64]
RANGE: dict[str, object] = {"xmin": None, "xmax": None, "ymin": None, "ymax": None}
"""Options that say which part of a histogram is judged, in units of its axes."""


class Colour(Enum):
    """What ATLAS's data-quality framework says of a histogram."""

    GREEN = "green"
    YELLOW = "yellow"
    RED = "red"
    UNDEFINED = "undefined"


@dataclass(frozen=True, slots=True)
class Part:
    """The part of a histogram that is judged, in units of its axes; None: up to its edge."""

    detector: str
    x: tuple[float | None, float | None]
    y: tuple[float | None, float | None]

    @classmethod
    def of(cls, options: Options) -> Part:
        """Return what the options `RANGE` say."""
        x, y = ((options.optional(f"{axis}min"), options.optional(f"{axis}max")) for axis in "xy")
        return cls(options.detector, x, y)

    def bins(self, interval: Interval) -> tuple[slice, ...]:
        """Return which bins of a histogram are judged, one slice an axis.

        Raises
        ------
        ValueError
            If there are none, or a content is NaN or infinite.
        """
        if not np.isfinite(interval.contents).all():
            raise ValueError(f"detector '{self.detector}': contents are NaN or infinite; mask those bins")
        ends = (self.x, self.y)
        return tuple(self._of_axis(axis, *ends[i], "xy"[i]) for i, axis in enumerate(interval.axes))

    def _of_axis(self, axis: Axis, low: float | None, high: float | None, letter: str) -> slice:
        if low is None and high is None:
            return slice(0, axis.bins)
        edges = axis.bin_edges()
        first = 0 if low is None else max(0, int(np.searchsorted(edges, low, side="right")) - 1)
        # A limit on the lower edge of a bin leaves that bin out, as in ATLAS's tools.
        beyond = axis.bins if high is None else min(axis.bins, int(np.searchsorted(edges, high, side="left")))
        if first >= beyond:
            raise ValueError(
                f"detector '{self.detector}': no bin from {letter}min to {letter}max; its axis has {edges[0]:g} to "
                f"{edges[-1]:g}"
            )
        return slice(first, beyond)


def as_strips(plane: AnyArray) -> AnyArray:
    """Return a histogram's plane as strips of constant x. Shape: (strips, bins)."""
    return plane if plane.ndim == 2 else plane[None, :]


def sorted_strips(values: FloatArray, accepted: BoolArray) -> tuple[FloatArray, IntArray]:
    """Sort the accepted contents of every strip; what is not accepted goes behind them as infinity.

    Parameters
    ----------
    values, accepted
        Shape: (..., bins).

    Returns
    -------
    Sorted contents, shape (..., bins), and the number of accepted ones, shape (...).
    """
    return np.sort(np.where(accepted, values, np.inf), axis=-1), accepted.sum(axis=-1)


def at_rank(ordered: FloatArray, number: IntArray, rank: IntArray) -> FloatArray:
    """Return the content at a 0-based rank of every strip, 0 for strips without contents. Shape: (...)."""
    found = np.take_along_axis(ordered, rank[..., None], axis=-1)[..., 0]
    return np.where(number > 0, found, 0.0)


def average(values: FloatArray, accepted: BoolArray, number: IntArray) -> FloatArray:
    """Return the mean of the accepted contents of every strip, 0 for strips without. Shape: (...)."""
    mean: FloatArray = np.where(accepted, values, 0.0).sum(axis=-1) / np.maximum(number, 1)
    return mean


def connected(
    interval: Interval,
    bins: BoolArray,
    judged: BoolArray,
    level: FloatArray,
    variance: FloatArray,
    low: BoolArray | None = None,
) -> tuple[Shape, ...]:
    """Return bins as shapes, too low ones and too high ones apart.

    Parameters
    ----------
    bins
        Bins that are wrong. Shape of all: the histogram's.
    judged
        Bins that count.
    level
        What their strips show.
    variance
        Of a bin about that level; of a shape it is the sum of its bins'.
    low
        Bins that hold too little; None: those below their level.
    """

    def significance(own: BoolArray) -> float:
        deviation, total = float((interval.contents - level)[own].sum()), float(variance[own].sum())
        return deviation / float(np.sqrt(total)) if total > 0 else 0.0

    low = bins & ((interval.contents < level) if low is None else low)
    profile = interval.kind.is_profile
    return tuple(
        shape
        for own, is_low in ((low, True), (bins & ~low, False))
        if own.any()
        for shape in shapes_of(own, own, judged, interval.contents, level, significance, is_low, profile)
    )
