"""The windows that a map is scanned with: every size of shape that a fault of a detector has.

Windows of one scale are numbered by their first bin, x before y; those of all scales stand one after the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from monitor.snapshot import AnyArray, FloatArray

LARGE = 250_000
"""Bins from which on a map is scanned with few scales, so that its tables stay small."""


@dataclass(frozen=True, slots=True, eq=False)
class WindowSet:
    """All windows of maps of one shape."""

    shape: tuple[int, int]
    """(bins_x, bins_y); a one-dimensional histogram has one bin in y."""
    names: tuple[str, ...]
    """Of the scales; the first is ``bin``."""
    strips: NDArray[np.bool_]
    """Which scales span the map in one direction. Shape: (scales,)."""
    sizes: NDArray[np.int64]
    """Bins in x and y. Shape: (scales, 2)."""
    counts: NDArray[np.int64]
    """Number of windows. Shape: (scales,)."""
    offsets: NDArray[np.int64]
    """Number of the first window of each scale, and the number of all. Shape: (scales + 1,)."""

    def sums(self, plane: AnyArray, scale: int) -> FloatArray:
        """Sum a plane over every window of a scale.

        Parameters
        ----------
        plane
            Shape: (..., bins), bins in C order.

        Returns
        -------
        Shape: (..., windows of the scale), float64.
        """
        nx, ny = self.shape
        wx, wy = (int(s) for s in self.sizes[scale])
        maps = np.asarray(plane, dtype=np.float64).reshape(*plane.shape[:-1], nx, ny)
        if wx * wy > 1:
            maps = _moving_sum(_moving_sum(maps, wx, -2), wy, -1)
        return maps.reshape(*plane.shape[:-1], -1)

    def independent(self, scale: int) -> int:
        """Return how many windows of a scale fit into a map side by side."""
        (nx, ny), (wx, wy) = self.shape, self.sizes[scale].tolist()
        return int((nx // wx) * (ny // wy))

    def bins(self, scale: int, first: tuple[int, int]) -> NDArray[np.bool_]:
        """Return the bins of the window of a scale that starts at a bin. Shape: (bins,)."""
        mask = np.zeros(self.shape, dtype=bool)
        wx, wy = self.sizes[scale]
        mask[first[0] : first[0] + wx, first[1] : first[1] + wy] = True
        return mask.ravel()


def _moving_sum(maps: FloatArray, width: int, axis: int) -> FloatArray:
    """Sum `width` neighbours along an axis."""
    if width == 1:
        return maps
    running = np.cumsum(maps, axis=axis)
    count = maps.shape[axis] - width + 1
    sums = np.take(running, np.arange(width - 1, width - 1 + count), axis=axis)
    if count > 1:
        later = [slice(None)] * maps.ndim
        later[axis] = slice(1, None)
        sums[tuple(later)] -= np.take(running, np.arange(count - 1), axis=axis)
    return sums


def windows_of(shape: tuple[int, ...]) -> WindowSet:
    """Return the windows for histograms of a shape, (bins_x,) or (bins_x, bins_y)."""
    return _windows_of(shape[0], shape[1] if len(shape) == 2 else 1)


@lru_cache(maxsize=256)
def _windows_of(nx: int, ny: int) -> WindowSet:
    wanted: list[tuple[str, int, int, bool]] = [("bin", 1, 1, False)]
    if ny == 1 or nx == 1:
        # A histogram of one dimension has no strips.
        wanted += [(str(w), w if ny == 1 else 1, 1 if ny == 1 else w, False) for w in (3, 9, 25)]
    else:
        wanted += [("5x5", 5, 5, False)]
        if nx * ny < LARGE:
            wanted += [("3x3", 3, 3, False), ("1x8", 1, 8, False), ("12x1", 12, 1, False), ("block", 12, 8, False)]
        wanted += [("strip_x", 1, ny, True), ("strip_y", nx, 1, True)]
        wanted += [("layer_x", 3, ny, True), ("layer_y", nx, 3, True)]
        wanted += [("sector_x", max(1, nx // 8), ny, True), ("sector_y", nx, max(1, ny // 8), True)]
    kept: list[tuple[str, int, int, bool]] = []
    for one in wanted:
        _, wx, wy, _ = one
        fits = wx <= nx and wy <= ny and (wx * wy < nx * ny or one[0] == "bin")
        if fits and not any(k[1:3] == (wx, wy) for k in kept):
            kept.append(one)
    sizes = np.array([k[1:3] for k in kept], dtype=np.int64).reshape(-1, 2)
    counts = (nx - sizes[:, 0] + 1) * (ny - sizes[:, 1] + 1)
    return WindowSet(
        shape=(nx, ny),
        names=tuple(k[0] for k in kept),
        strips=np.array([k[3] for k in kept], dtype=bool),
        sizes=sizes,
        counts=counts,
        offsets=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
    )
