"""Good, hot and dead occupancy maps (thesis A, CMS 2018, chapters 4 and 5).

The thesis takes good occupancy maps of the hadron calorimeter and puts one fault into each bad one: a region of 5 x 5
or 1 x 1 bins, at the same place in all maps or at a random one, dead ("there is not any readout") or hot ("readout too
much activity").

Where it is silent, and what was chosen: maps have 64 x 72 bins (ieta x iphi of barrel and endcap, and what the
thesis's autoencoder can give back); as many maps of each class; a hot region has 2 to 10 times its content, a number
drawn for each map; a region lies where at least 4 of 5 of its bins are ever filled, so that there is something to lose.

The classifier that is served knows one class more than the thesis, ``noisy``: a region of 3 x 3 to 5 x 5 bins that
scatter far beyond statistics. Each bin has a factor of its own, the logarithm of it uniform between those of 1/3 and 3,
divided by their mean: together the bins hold what they should. (One bin cannot be told from a hot or weak one.)

Good maps are drawn from a `Toy`: by default `HcalToy`, or what was learned of recorded good intervals, `toy_like`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from monitor.errors import HistwatchError
from monitor.infer import Reference
from monitor.infer.classifier import shares, significances
from monitor.learn.reference import learn_reference
from monitor.learn.toys import Toy
from monitor.snapshot import FloatArray
from monitor.window import Interval

LABELS = ("good", "hot", "dead")
"""Classes 0, 1 and 2 of the thesis (page 20)."""
SERVED = (*LABELS, "noisy")
"""Classes of the classifier that is served."""
SIZES = (5, 1)
Place = Literal["fixed", "random"]
PLACES: tuple[Place, ...] = ("fixed", "random")
Normalisation = Literal["maximum", "significance"]
HOT = (2.0, 10.0)
"""Smallest and largest factor of a hot region; the monitor calls hot what is at least twice the expectation."""
NOISE = 3.0
"""Largest factor of a bin of a noisy region, and the inverse of the smallest, before their mean is made 1."""
NOISY_SIZES = (3, 4, 5)
_FILLED = 0.8
_REFERENCES = 10
"""Good maps that the expectation is learned from."""

Labels = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class HcalToy(Toy):
    """Occupancy of a hadron calorimeter, 64 ieta x 72 iphi: more towards the beam, a few channels that never answer.

    Of the recorded maps (run 306138, depth 1) it has the range of contents, a tenth to twice the mean, and the number
    of single dead channels.
    """

    name: str = "hcal"
    shape: tuple[int, ...] = (64, 72)
    mean: float = 660.0
    edge: int = 3
    """Columns at both ends that are never filled."""
    holes: int = 6
    """Single channels that are never filled."""

    @cached_property
    def rate(self) -> FloatArray:
        """Expected content per unit exposure. Shape: (64, 72)."""
        rng = np.random.default_rng([self.seed, 11])
        nx, ny = self.shape
        eta = np.abs(np.arange(nx) - (nx - 1) / 2.0) / (nx / 2.0)
        phi = 2.0 * np.pi * np.arange(ny) / ny
        endcap = np.where(eta > 0.5, 1.4, 1.0)
        along = endcap * np.exp(1.8 * eta)
        around = 1.0 + 0.05 * np.cos(phi + rng.uniform(0.0, 2.0 * np.pi)) + 0.03 * np.cos(4.0 * phi)
        values: FloatArray = along[:, None] * around[None, :] * rng.normal(1.0, 0.03, self.shape)
        values[: self.edge] = values[nx - self.edge :] = 0.0
        filled = np.flatnonzero(values.ravel())
        values.ravel()[rng.choice(filled, self.holes, replace=False)] = 0.0
        values *= self.mean / values[values > 0].mean()
        return values


@dataclass(frozen=True, kw_only=True, eq=False)
class ReferenceToy(Toy):
    """Maps as a learned reference expects them, with its scatter; made by `toy_like`."""

    reference: Reference
    key: str = ""
    runs: tuple[int, ...] = field(default=())

    @cached_property
    def rate(self) -> FloatArray:
        """Expected content per unit exposure. Shape: the histogram's."""
        return np.where(self.reference.live, self.reference.rate, 0.0)

    @cached_property
    def scatter(self) -> FloatArray:
        """Relative scatter of each bin from run to run. Shape: the histogram's."""
        return self.reference.systematic


def toy_like(intervals: Sequence[Interval]) -> ReferenceToy:
    """Return a generator of maps like recorded good intervals of one histogram.

    A classifier needs hundreds of good maps, and few are recorded: what the recorded ones share is learned as the
    monitor learns it, and maps are drawn from that at exposures like theirs.

    Raises
    ------
    HistwatchError
        If nothing can be learned from them, or they are no two-dimensional counts.
    """
    key = intervals[0].key if intervals else "no intervals"
    learned = learn_reference(intervals, key)
    reference = learned.reference
    if reference.profile or len(reference.shape) != 2 or not reference.counts:
        raise HistwatchError(f"{key}: a classifier is trained on two-dimensional maps of counts, this is none")
    used = learned.exposures[list(learned.used)]
    return ReferenceToy(
        name=key,
        key=key,
        shape=reference.shape,
        reference=reference,
        strip_scatter=reference.coherent,
        exposure_spread=float(max(0.1, used.std() / used.mean())),
        runs=tuple(sorted({i.run for i in intervals})),
    )


@dataclass(frozen=True, slots=True, eq=False)
class Maps:
    """Maps and what is wrong with each."""

    contents: FloatArray
    """Shape: (maps, x, y)."""
    labels: Labels
    """Index into the names of the classes. Shape: (maps,)."""

    def of(self, label: int) -> FloatArray:
        """Return the maps of one class."""
        found: FloatArray = self.contents[self.labels == label]
        return found


def fixed_window(toy: Toy, size: int, seed: int) -> tuple[slice, slice]:
    """Return the place that all faults of an experiment share."""
    return _window(toy.rate > 0, size, np.random.default_rng([seed, size, 21]))


def draw(
    toy: Toy,
    per_class: int,
    *,
    size: int,
    window: tuple[slice, slice] | None,
    seed: int,
    classes: int = len(LABELS),
) -> Maps:
    """Draw as many maps of each of the first classes of `LABELS`, in a random order.

    Parameters
    ----------
    toy
        What good maps are drawn from; of two dimensions and counts.
    per_class
        Maps of each class.
    size
        Bins that a fault is wide and high.
    window
        Where all faults are; None: each anywhere.
    seed
        The same seed gives the same maps; another seed other ones.

    Raises
    ------
    ValueError
        If the toy is of other histograms or a number is out of its range.
    HistwatchError
        If a fault of that size fits nowhere.
    """
    if toy.profile or len(toy.shape) != 2:
        raise ValueError(f"maps of {toy.name}: faults are put into two-dimensional counts only")
    if per_class < 1 or not 2 <= classes <= len(LABELS):
        raise ValueError(f"{per_class} maps of each of {classes} classes; from 1, and 2 or 3 classes")
    rng = np.random.default_rng([seed, size, 22])
    good = good_maps(toy, per_class * classes, rng)
    return spoil(good, toy.rate > 0, sizes=(size,), window=window, rng=rng, classes=classes)


def good_maps(toy: Toy, count: int, rng: np.random.Generator) -> FloatArray:
    """Draw good maps. Shape: (count, x, y)."""
    return np.stack([toy.draw(rng).contents for _ in range(count)])


def spoil(
    good: FloatArray,
    live: NDArray[np.bool_],
    *,
    sizes: Sequence[int],
    window: tuple[slice, slice] | None,
    rng: np.random.Generator,
    classes: int = len(LABELS),
) -> Maps:
    """Return copies of good maps, as many of each of the first classes of `SERVED` as can be, with their faults.

    Parameters
    ----------
    good
        Shape: (maps, x, y).
    live
        Bins that are ever filled. Shape: (x, y).
    sizes
        Bins that a hot or dead region is wide and high; each of these with equal chance. Noisy ones have
        `NOISY_SIZES`.
    window
        As of `draw`.
    classes
        How many of the first classes of `SERVED`.

    Raises
    ------
    HistwatchError
        If a fault of that size fits nowhere.
    """
    contents = good.copy()
    labels = np.arange(len(good)) % classes
    rng.shuffle(labels)
    for one, label in zip(contents, labels, strict=True):
        name = SERVED[label]
        if name != "good":
            among = NOISY_SIZES if name == "noisy" else sizes
            where = _window(live, int(rng.choice(among)), rng) if window is None else window
            one[where] = np.rint(one[where] * _factor(name, one[where].shape, rng))
    return Maps(contents, labels)


def _factor(name: str, shape: tuple[int, ...], rng: np.random.Generator) -> FloatArray | float:
    """Return what a fault multiplies contents with: one number, or one of each bin."""
    if name == "noisy":
        factors = np.exp(rng.uniform(-np.log(NOISE), np.log(NOISE), shape))
        noise: FloatArray = factors / factors.mean()
        return noise
    return rng.uniform(*HOT) if name == "hot" else 0.0


def _window(live: NDArray[np.bool_], size: int, rng: np.random.Generator) -> tuple[slice, slice]:
    """Draw a square in which enough bins are ever filled."""
    if size < 1 or min(live.shape) < size:
        raise HistwatchError(f"a fault of {size} x {size} bins does not fit into maps of {live.shape}")
    views = np.lib.stride_tricks.sliding_window_view(live, (size, size))
    places = np.argwhere(views.mean(axis=(2, 3)) >= _FILLED)
    if not len(places):
        raise HistwatchError(f"a fault of {size} x {size} bins fits nowhere: too few bins are ever filled")
    x, y = (int(i) for i in places[rng.integers(len(places))])
    return slice(x, x + size), slice(y, y + size)


class Scale:
    """How maps are normalised for a network; what ``significance`` expects is learned as the monitor learns it."""

    def __init__(self, toy: Toy, normalisation: Normalisation, seed: int) -> None:
        self.normalisation = normalisation
        self._reference = None
        if normalisation == "significance":
            self._reference = learn_reference(toy.draw_many(_REFERENCES, seed), toy.name).reference

    def __call__(self, contents: FloatArray) -> NDArray[np.float32]:
        """Return maps for a network, float32. Shape: (maps, x, y), in and out."""
        if self._reference is None:
            return shares(contents).astype(np.float32)
        exposures = np.array([self._reference.exposure_of(one.ravel()) for one in contents])
        return significances(contents, exposures, self._reference).astype(np.float32)
