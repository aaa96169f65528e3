"""Generated faults: hot and cold spots, strips and layers of known place (thesis B, ATLAS 2022, sections 3.4.2 and 5).

The thesis says of its faults that they are "spots in random locations, horizontal strips, horizontal layers", that
strips and layers are limited in length, that their intensity is "between three and four sigma for the entire map
rather than for that strip", and that they are about 22 % of the bins (9 146 559 of 41 235 480). The rest is chosen
here: a shape is a spot, strip or layer with equal chance and hot or cold with equal chance; a spot is one bin, a
strip runs along y at one x over 3 bins to a third of the axis, a layer is 2 bins to an eighth of the axis wide and as
long as a strip; every bin has its own intensity, uniform between the limits, added to its content. Of the thesis's
own tables (figures 34, 37 and 38) one map shows generated contents of 3.6 to 4.6 million in bins that were empty,
which such sums fit.

What sigma is, is the caller's choice: an array, so that it can be the spread of the whole map, as in the thesis
(`map_sigma`), or that of each bin of good maps (`monitor.learn.toys.Toy.spread`), which is far smaller wherever a map
has structure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from monitor.detect.geometry import BoolArray
from monitor.errors import HistwatchError
from monitor.snapshot import FloatArray
from monitor.window import Interval

SHAPES = ("spot", "strip", "layer")
SIGNS = ("hot", "cold")
SHARE = 9_146_559 / 41_235_480
"""Share of bins that the thesis made faulty."""
SIGMAS = (3.0, 4.0)
"""Intensity of the thesis's faults, in sigma."""
_MISSES = 2000
"""Shapes in a row that change nothing before it is said that there is nothing left to change."""


@dataclass(frozen=True, slots=True, eq=False)
class Faulty:
    """A histogram with faults."""

    contents: FloatArray
    """Shape: the histogram's."""
    truth: BoolArray
    """Bins whose content differs from the good one. Shape: the histogram's."""


def map_sigma(contents: FloatArray) -> FloatArray:
    """Return the standard deviation of all bins of a map, at every bin: the thesis's sigma. Shape: the argument's."""
    return np.full(contents.shape, contents.std())


def inject(
    contents: FloatArray,
    sigma: FloatArray,
    rng: np.random.Generator,
    *,
    sigmas: tuple[float, float] = SIGMAS,
    share: float = SHARE,
    counts: bool = True,
    shapes: Sequence[str] = SHAPES,
    signs: Sequence[str] = SIGNS,
) -> Faulty:
    """Put faults into a histogram; the argument is left as it is.

    No bin is changed twice. A bin that a fault leaves at its content, such as an empty one of counts that turns cold,
    is not faulty and does not count. The same generator state gives the same faults.

    Parameters
    ----------
    contents
        Shape: (bins_x,) or (bins_x, bins_y). Of one axis, strips and layers run along it.
    sigma
        What an intensity of 1 adds, in the contents' unit. Shape: the contents'.
    rng
        Where chance comes from.
    sigmas
        Smallest and largest intensity.
    share
        Share of the bins to change, in (0, 1]; rounded to whole bins.
    counts
        Whether results are whole numbers from 0, as of counts.
    shapes, signs
        What to draw from, of `SHAPES` and `SIGNS`.

    Raises
    ------
    ValueError
        If an option is outside its range or sigma has another shape.
    HistwatchError
        If so many bins cannot be changed.
    """
    _check(contents, sigma, sigmas, share, shapes, signs)
    changed = contents.astype(np.float64)
    truth = np.zeros(contents.shape, dtype=np.bool_)
    wanted = max(1, round(share * contents.size))
    left, misses = wanted, 0
    while left > 0:
        kind, sign = shapes[int(rng.integers(len(shapes)))], signs[int(rng.integers(len(signs)))]
        window = _window(kind, contents.shape, rng)
        own = contents[window]
        step = rng.uniform(*sigmas, size=own.shape) * sigma[window]
        value = own + step if sign == "hot" else own - step
        if counts:
            value = np.maximum(np.rint(value), 0.0)
        new = (value != own) & ~truth[window]
        # The last shape stops where the share is reached.
        new.ravel()[np.flatnonzero(new)[left:]] = False
        found = int(new.sum())
        misses = 0 if found else misses + 1
        if misses > _MISSES:
            raise HistwatchError(
                f"only {wanted - left} of {wanted} bins could be made faulty: too many are empty or have no sigma"
            )
        changed[window] = np.where(new, value, changed[window])
        truth[window] |= new
        left -= found
    return Faulty(changed, truth)


def inject_into(
    interval: Interval,
    sigma: FloatArray,
    rng: np.random.Generator,
    *,
    sigmas: tuple[float, float] = SIGMAS,
    share: float = SHARE,
    shapes: Sequence[str] = SHAPES,
    signs: Sequence[str] = SIGNS,
) -> tuple[Interval, BoolArray]:
    """Return an interval with faults, and which bins are faulty; see `inject`.

    Contents without errors of their own that are all whole numbers stay so. The errors and entries of a profile stay
    as they are: its means are what is wrong.
    """
    counts = interval.variances is None and bool((interval.contents == np.rint(interval.contents)).all())
    faulty = inject(
        interval.contents, sigma, rng, sigmas=sigmas, share=share, counts=counts, shapes=shapes, signs=signs
    )
    total = float(faulty.contents.sum()) if interval.entries is None else interval.total
    return replace(interval, contents=faulty.contents, total=total), faulty.truth


def _window(kind: str, shape: tuple[int, ...], rng: np.random.Generator) -> tuple[slice, ...]:
    """Draw where a shape lies; it is cut at the histogram's edges."""
    along = shape[-1]
    longest = max(1, along // 3)
    length = 1 if kind == "spot" else int(rng.integers(min(3, longest), longest + 1))
    if len(shape) == 1:
        return (_range(along, length, rng),)
    widest = max(2, shape[0] // 8)
    width = int(rng.integers(2, widest + 1)) if kind == "layer" else 1
    return _range(shape[0], width, rng), _range(along, length, rng)


def _range(bins: int, length: int, rng: np.random.Generator) -> slice:
    # Starting before the first bin gives the bins at both edges the chance of all others.
    first = int(rng.integers(1 - length, bins))
    return slice(max(0, first), min(bins, first + length))


def _check(
    contents: FloatArray,
    sigma: FloatArray,
    sigmas: tuple[float, float],
    share: float,
    shapes: Sequence[str],
    signs: Sequence[str],
) -> None:
    if contents.ndim not in (1, 2) or contents.size == 0 or sigma.shape != contents.shape:
        raise ValueError(f"contents of shape {contents.shape} with a sigma of shape {sigma.shape}")
    if not (np.isfinite(contents).all() and np.isfinite(sigma).all() and (sigma >= 0).all()):
        raise ValueError("contents and sigma must be finite, sigma not negative")
    if not 0.0 < sigmas[0] <= sigmas[1]:
        raise ValueError(f"sigmas {sigmas}, must be two positive numbers in order")
    if not 0.0 < share <= 1.0:
        raise ValueError(f"share {share}, must lie in (0, 1]")
    for given, known, word in ((shapes, SHAPES, "shapes"), (signs, SIGNS, "signs")):
        if not given or not set(given) <= set(known):
            raise ValueError(f"{word} {list(given)}, must be of {', '.join(known)}")
