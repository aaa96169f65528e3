"""Where the strips of a histogram lie for `monitor.detect.l1calo`: in it, or in its slices of time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from monitor.detect.geometry import BoolArray
from monitor.detect.strips import Part, as_strips
from monitor.snapshot import AnyArray
from monitor.window import Interval


@dataclass(frozen=True, slots=True)
class Layout:
    """Turns planes of a histogram into slices of strips and back."""

    detector: str
    shape: tuple[int, ...]
    """Of the histogram."""
    where: tuple[slice, ...]
    """The part that is judged."""
    rows: int
    """Bins in y of a slice of time; 0: no time."""
    time_axis: int
    y_first: bool
    """Whether the bins of a strip follow one another on the axis of places."""

    @classmethod
    def of(cls, interval: Interval, part: Part, rows: int, time_axis: int) -> Layout:
        """Return the layout of a histogram; see the options of the detector.

        Raises
        ------
        ValueError
            If it has no axis of time, or fewer places than a slice has rows.
        """
        shape, where = interval.contents.shape, part.bins(interval)
        if not rows:
            return cls(part.detector, shape, where, 0, time_axis, False)
        if len(shape) != 2 or shape[1 - time_axis] < rows:
            raise ValueError(
                f"detector '{part.detector}': NBinsY {rows} needs an axis of time and one of at least {rows} places; "
                f"the histogram has {' x '.join(map(str, shape))} bins"
            )
        places = shape[1 - time_axis] // rows * rows
        cut = (where[0], slice(0, places)) if time_axis == 0 else (slice(0, places), where[1])
        return cls(part.detector, shape, cut, rows, time_axis, interval.axes[1 - time_axis].title.endswith("+y"))

    @property
    def timed(self) -> bool:
        """Whether it has slices of time."""
        return self.rows > 0

    def cut(self, plane: AnyArray) -> AnyArray:
        """Return the judged part of a plane of the histogram's shape. Shape: (slices, strips, bins)."""
        inner = plane[self.where]
        if not self.timed:
            return as_strips(inner)[None]
        by_time = inner if self.time_axis == 0 else inner.T
        if self.y_first:
            return by_time.reshape(len(by_time), -1, self.rows)
        return by_time.reshape(len(by_time), self.rows, -1).transpose(0, 2, 1)

    def put(self, planes: AnyArray) -> AnyArray:
        """Return slices of strips as a plane of the histogram's shape, 0 elsewhere."""
        whole: AnyArray = np.zeros(self.shape, dtype=planes.dtype)
        if not self.timed:
            whole[self.where] = planes[0].reshape(whole[self.where].shape)
            return whole
        by_time = (planes if self.y_first else planes.transpose(0, 2, 1)).reshape(len(planes), -1)
        whole[self.where] = by_time if self.time_axis == 0 else by_time.T
        return whole

    def known(self, bins: Sequence[tuple[int, ...]], name: str) -> BoolArray:
        """Return a mask of bins, of the histogram or in time mode of a slice. Shape: (1, strips, bins).

        Raises
        ------
        ValueError
            For a bin that is not there.
        """
        one: tuple[int, ...] = self.shape
        if self.timed:
            places = self.shape[1 - self.time_axis]
            one = (places // self.rows, self.rows)
        mask: np.ndarray[Any, np.dtype[np.bool_]] = np.zeros(one, dtype=bool)
        for bin_ in bins:
            if len(bin_) != len(one) or any(i >= n for i, n in zip(bin_, one, strict=True)):
                raise ValueError(
                    f"detector '{self.detector}': Known{name} {':'.join(map(str, bin_))} is no bin of "
                    f"{' x '.join(map(str, one))}"
                )
            mask[bin_] = True
        return mask[None] if self.timed else as_strips(mask[self.where])[None]
