"""Bins to shapes: connected wrong bins become one thing with a name."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from monitor.snapshot import FloatArray
from monitor.verdict import Shape

BoolArray = NDArray[np.bool_]

FULL = 0.8
"""Share of a strip's live bins that makes it a whole strip."""
WHOLE = 0.9
"""Share of a map's live bins that makes it the whole map."""
SPOT = 7
"""Largest extent of a spot, bins."""
DEAD = 0.1
"""Below this share of the expected content a shape is dead."""
HOT = 2.0
"""From this multiple of the expected content on a shape is hot."""
MAX_SHAPES = 32
"""Shapes of one map beyond which they are one: a storm of alarms tells nobody anything."""
_NEIGHBOURS = np.ones((3, 3), dtype=bool)


def sign_of(observed: float, expected: float, low: bool) -> str:
    """Name the direction of a deviation: ``dead``, ``low``, ``high`` or ``hot``."""
    if low:
        return "dead" if observed <= DEAD * expected else "low"
    return "hot" if expected <= 0.0 or observed >= HOT * expected else "high"


def classify(bins: BoolArray, live: BoolArray) -> tuple[str, str | None, int | None]:
    """Name a set of bins: (kind, axis, first index).

    Parameters
    ----------
    bins, live
        The set, and all bins that are ever filled. Shape: (bins_x, bins_y), or (bins, 1) for one dimension.
    """
    count = int(bins.sum())
    if count >= WHOLE * max(1, int(live.sum())) and count > 1:
        return "map", None, None
    if count == 1:
        return "bin", None, None
    nx, ny = bins.shape
    # A one-dimensional histogram has no strips.
    for axis, along in (("x", 1), ("y", 0)) if nx > 1 and ny > 1 else ():
        per_strip = bins.sum(axis=along)
        alive = np.maximum(live.sum(axis=along), 1)
        touched = np.flatnonzero(per_strip)
        # A "strip" of a map whose strips hold only a bin or two live bins is just those bins.
        if np.all(per_strip[touched] >= FULL * alive[touched]) and np.all(alive[touched] > 2):
            return ("strip" if touched.size == 1 else "layer"), axis, int(touched[0])
    ix, iy = np.nonzero(bins)
    if np.ptp(ix) < SPOT and np.ptp(iy) < SPOT:
        return "spot", None, None
    return "region", None, None


def whole_strips(bins: BoolArray, live: BoolArray) -> BoolArray:
    """Return the strips, along either axis, of which `FULL` of the live bins are given. Shape: the map's."""
    found = np.zeros_like(bins)
    if bins.ndim == 2 and min(bins.shape) > 1:
        for along in (1, 0):
            found |= np.expand_dims(_whole(bins, live, along), along)
    return found


def _whole(bins: BoolArray, live: BoolArray, along: int) -> BoolArray:
    """Tell which strips are whole, those of x for `along` 1."""
    alive = live.sum(axis=along)
    whole: BoolArray = (bins.sum(axis=along) >= FULL * alive) & (alive > 2)
    return whole


def _apart(places: NDArray[np.int64], shape: tuple[int, ...], live: BoolArray) -> list[NDArray[np.int64]]:
    """Take whole strips out of bins that touch: two that cross, or one that touches a spot, are no region.

    Parameters
    ----------
    places
        Flat indices of bins that touch.
    live
        Shape: `shape`, (bins_x, bins_y).
    """
    own = np.zeros(shape, dtype=bool)
    own.flat[places] = True
    if min(shape) == 1 or places.size < 3 or classify(own, live)[0] != "region":
        return [places]
    crossing: list[NDArray[np.int64]] = []
    left = own.copy()
    for along in (1, 0):
        whole = np.flatnonzero(_whole(own, live, along))
        for strips in np.split(whole, np.flatnonzero(np.diff(whole) > 1) + 1):
            if strips.size:
                strip = np.zeros(shape, dtype=bool)
                strip[(strips, slice(None)) if along == 1 else (slice(None), strips)] = True
                # Where strips cross, the bins are the first one's; the second, if any are left, is whole enough.
                if (strip & left).any():
                    crossing.append(np.flatnonzero(strip & left))
                left &= ~strip
    if not crossing:
        return [places]
    rest, number = ndimage.label(left, structure=_NEIGHBOURS)
    return [*crossing, *(np.flatnonzero(rest == n + 1) for n in range(number))]


def shapes_of(
    areas: BoolArray,
    bins: BoolArray,
    live: BoolArray,
    contents: FloatArray,
    expected: FloatArray,
    significance: Callable[[BoolArray], float],
    low: bool,
    profile: bool,
) -> list[Shape]:
    """Group bins that deviate in one direction into shapes, the most significant first.

    Parameters
    ----------
    areas
        Where deviations were found, whole windows; touching areas are one shape.
    bins
        The bins within them that were judged.
    live
        All bins that can be judged.
    areas, bins, live, contents, expected
        Shape of all: the histogram's.
    significance
        Gives the signed significance of a set of bins, in standard deviations; it must not keep the array.
    low
        Whether the bins hold too little.
    profile
        Whether contents are means, whose shape's content is their mean and not their sum.
    """
    shape2 = bins.shape if bins.ndim == 2 else (bins.size, 1)
    labels, _ = ndimage.label(areas.reshape(shape2), structure=_NEIGHBOURS)
    labels[~bins.reshape(shape2)] = 0
    places = np.flatnonzero(labels)
    # Bins of one shape side by side: a map of a thousand shapes is not looked through a thousand times.
    places = places[np.argsort(labels.ravel()[places], kind="stable")]
    ends = np.flatnonzero(np.diff(labels.ravel()[places])) + 1
    combine = np.mean if profile else np.sum
    own = np.zeros(bins.shape, dtype=bool)
    found = []
    touching = np.split(places, ends) if places.size else []
    for part in [one for group in touching for one in _apart(group, shape2, live.reshape(shape2))]:
        own.flat[part] = True
        kind, axis, index = (
            ("bin", None, None) if part.size == 1 else classify(own.reshape(shape2), live.reshape(shape2))
        )
        observed, wanted = float(combine(contents.flat[part])), float(combine(expected.flat[part]))
        found.append(
            Shape(
                kind=kind,
                sign=sign_of(observed, wanted, low),
                axis=axis,
                index=index,
                bins=tuple(zip(*(c.tolist() for c in np.unravel_index(part, bins.shape)), strict=True)),
                significance=float(significance(own)),
                observed=observed,
                expected=wanted,
            )
        )
        own.flat[part] = False
    return sorted(found, key=lambda s: -abs(s.significance))
