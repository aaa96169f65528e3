"""Six faults at once in one map: are all named, and no bin outside of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from monitor.detect.geometry import BoolArray
from monitor.learn.evaluate.measure import map_row
from monitor.learn.evaluate.rows import Figure, Row
from monitor.learn.evaluate.scorers import Scored, choose, expectation_of, make_scorer
from monitor.learn.evaluate.suite import Options, Part, Tell
from monitor.learn.evaluate.tables import listing
from monitor.learn.toys import Toy
from monitor.snapshot import FloatArray
from monitor.verdict import Shape
from monitor.window import Interval

DETECTORS = ("expectation", "chi2", "strip_median", "l1calo_strip_median")
TYPES = tuple(
    Toy(name=f"counts_{m:05.0f}", mean=m, seed=200 + n) for n, m in enumerate((1000.0, 2000.0, 5000.0, 20000.0))
)
ALIKE = 0.5
"""Least share of the bins of a fault and of a shape together that both have, for the shape to name the fault."""
_MAPS = 25
_REFERENCES = 20
_APART = 2
_TRIES = 500
_FULL = 0.3
"""Share of the mean content that a bin holds at least where a single bin is made faulty."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One of the six faults; sizes in bins, 0: the whole axis."""

    name: str
    size: tuple[int, int]
    factor: float
    """Of the content."""


KINDS = (
    Kind("dead bin", (1, 1), 0.0),
    Kind("hot bin", (1, 1), 3.0),
    Kind("spot 5 x 5", (5, 5), 0.8),
    Kind("spot 3 x 3", (3, 3), 1.3),
    Kind("strip", (1, 0), 0.9),
    Kind("layer of 3", (3, 0), 1.08),
)


@dataclass(frozen=True, slots=True, eq=False)
class Placed:
    """A fault in a map."""

    kind: Kind
    bins: BoolArray
    """Shape: the histogram's."""


class Simultaneous:
    """Six faults in each map, 100 maps."""

    name = "simultaneous"
    title = "Six faults at once"
    words = (
        f"{len(TYPES)} simulated types of 99 x 65 bins, {_REFERENCES} references. Every faulty map has a dead bin, a "
        "hot one (times 3), a 5 x 5 spot of 80 %, a 3 x 3 spot of 130 %, a strip of 90 % and a layer of three strips "
        f"of 108 %, at least {_APART} bins apart. A fault is named if a shape of its direction shares half of the bins "
        "of both with it. `bins_outside` counts bins of shapes that belong to no fault, `maps_outside` the maps with "
        "any; `false` is the share of good maps that are BAD."
    )

    def run(self, options: Options, tell: Tell) -> Iterator[Row]:
        """Measure every type."""
        toys = {toy.name: toy for toy in TYPES}
        names = options.chosen(list(toys), self.name)
        detectors = choose(options.detectors, DETECTORS)
        for number, name in enumerate(names):
            tell(number, len(names), name)
            yield from self._of_type(toys[name], detectors, options)
        tell(len(names), len(names), "done")

    def _of_type(self, toy: Toy, detectors: Sequence[str], options: Options) -> Iterator[Row]:
        count = options.count(_MAPS)
        rng = np.random.default_rng([options.seed, toy.seed, 61])
        references = toy.draw_many(_REFERENCES, 2 * options.seed)
        drawn = toy.draw_many(2 * count, 2 * options.seed + 1)
        placed = [place(toy.rate, rng) for _ in range(count)]
        faulty = [spoiled(interval, faults) for interval, faults in zip(drawn[count:], placed, strict=True)]
        for name in detectors:
            expected = expectation_of(name, references, options.seed)
            scorer = make_scorer(name, references, seed=options.seed, expected=expected)
            good, bad = scorer.judge(drawn[:count]), scorer.judge(faulty)
            figures = figures_of(bad, placed)
            yield map_row(
                name,
                good,
                bad,
                suite=self.name,
                what="six faults",
                kind=toy.name,
                rng=rng,
                figures=figures,
                # It was a detector like ours: chi2 and strip medians have no such figure beside them.
                peer="prototype, share of maps with all six named" if name == "expectation" else "",
                peer_value=1.0 if name == "expectation" else None,
            )

    def parts(self, rows: Sequence[Row]) -> list[Part]:
        """Return one table."""
        names = ["all_named", *(k.name for k in KINDS), "maps_outside", "bins_outside", "false"]
        return [listing("Faults named", rows, names)]


def place(rate: FloatArray, rng: np.random.Generator) -> list[Placed]:
    """Place one fault of each kind, apart from one another, single bins where there is enough content.

    Parameters
    ----------
    rate
        Expected content. Shape: (x, y).
    """
    while True:
        taken = np.zeros(rate.shape, dtype=np.bool_)
        found = []
        # The largest first: there is always room for a bin.
        for kind in sorted(KINDS, key=lambda k: -k.size[0] * (k.size[1] or rate.shape[1])):
            bins = _free(rate, taken, kind, rng)
            if bins is None:
                break
            taken |= bins
            found.append(Placed(kind, bins))
        if len(found) == len(KINDS):
            return found


def _free(rate: FloatArray, taken: BoolArray, kind: Kind, rng: np.random.Generator) -> BoolArray | None:
    size = tuple(s or n for s, n in zip(kind.size, rate.shape, strict=True))
    for _ in range(_TRIES):
        first = [int(rng.integers(n - s + 1)) for n, s in zip(rate.shape, size, strict=True)]
        around = tuple(slice(max(0, f - _APART), f + s + _APART) for f, s in zip(first, size, strict=True))
        window = tuple(slice(f, f + s) for f, s in zip(first, size, strict=True))
        if not taken[around].any() and (size != (1, 1) or rate[window].min() > _FULL * rate.mean()):
            bins = np.zeros(rate.shape, dtype=np.bool_)
            bins[window] = True
            return bins
    return None


def spoiled(interval: Interval, faults: Sequence[Placed]) -> Interval:
    """Return an interval of counts with faults; the argument is left as it is."""
    contents = interval.contents.copy()
    for fault in faults:
        contents[fault.bins] = np.rint(fault.kind.factor * contents[fault.bins])
    return replace(interval, contents=contents, total=float(contents.sum()))


def is_low(shape: Shape) -> bool:
    """Return whether a shape is less than expected."""
    return shape.sign in ("dead", "low")


def mask_of(shape: Shape, like: BoolArray) -> BoolArray:
    """Return the bins of a shape. Shape: the argument's."""
    bins = np.zeros(like.shape, dtype=np.bool_)
    bins[tuple(np.array(shape.bins).T)] = True
    return bins


def figures_of(scored: Sequence[Scored], placed: Sequence[Sequence[Placed]]) -> dict[str, Figure]:
    """Return the shares of maps in which all faults, and each kind, are named, and what is outside of faults."""
    named: dict[str, int] = {kind.name: 0 for kind in KINDS}
    every = maps_outside = bins_outside = 0
    for one, faults in zip(scored, placed, strict=True):
        masks = [(is_low(s), mask_of(s, faults[0].bins)) for s in one.shapes]
        right = [any(low == (f.kind.factor < 1.0) and alike(mask, f.bins) for low, mask in masks) for f in faults]
        for fault, is_named in zip(faults, right, strict=True):
            named[fault.kind.name] += is_named
        every += all(right)
        wrong = np.logical_or.reduce([f.bins for f in faults])
        outside = int(np.logical_or.reduce([mask & ~wrong for _, mask in masks]).sum()) if masks else 0
        maps_outside += outside > 0
        bins_outside += outside
    maps = len(scored)
    return {
        "all_named": every / maps,
        **{name: count / maps for name, count in named.items()},
        "maps_outside": maps_outside,
        "bins_outside": bins_outside,
    }


def alike(one: BoolArray, other: BoolArray) -> bool:
    """Return whether half of the bins of either are in both."""
    return bool((one & other).sum() >= ALIKE * (one | other).sum())
