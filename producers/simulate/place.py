"""Building faults and checking them against the histogram they are in: the only way a fault comes about."""

from __future__ import annotations

import math
from collections.abc import Iterable
from difflib import SequenceMatcher

import numpy as np

from producers.simulate.faults import FAULTS, MAX_STRENGTH, ONE_DIMENSION, SECTORS, SPOT, Fault, Place, require
from producers.simulate.histogram import SimulatedHistogram

Range = int | tuple[int, int]
_LINES = frozenset({"strip", "inefficient_strip", "layer"})
_WHOLE = frozenset({"map_gone", "stuck"})
_SINGLE = frozenset({"dead_bin", "hot_bin"})


def make_fault(
    name: str,
    histogram: str,
    histograms: Iterable[SimulatedHistogram],
    *,
    lumisections: Range,
    x: Range | None = None,
    y: Range | None = None,
    sector: int | None = None,
    strength: float | None = None,
) -> Fault:
    """Build a fault and check it.

    Parameters
    ----------
    name
        One of `producers.simulate.faults.FAULTS`.
    histogram
        ``stream/path``, or the end of one that fits a single histogram.
    histograms
        Those that there are.
    lumisections
        Those it acts in: one, or the first and the last.
    x, y, sector
        Bins, 0-based: one, or first and last. Which are needed depends on the fault.
    strength
        Factor on the fills; None for the fault's default.

    Raises
    ------
    ConfigurationError
        Naming what is wrong and the nearest that would be right.
    """
    require(name in FAULTS, f"there is no fault {name!r}; the nearest is {nearest(name, FAULTS)!r}")
    found = find_histogram(histogram, histograms)
    ranges = {axis: _range(given) for axis, given in (("x", x), ("y", y)) if given is not None}
    if name == "sector":
        ranges |= {"y": _sector(name, sector, found)}
    else:
        require(sector is None, f"{name} has no sector; its place is {FAULTS[name].keys or 'the whole histogram'}")
    if name == "spot" and all(first == last for first, last in ranges.values()):
        ranges = {axis: (first - SPOT // 2, first + SPOT // 2) for axis, (first, _) in ranges.items()}
    first, last = _range(lumisections)
    fault = Fault(
        name,
        found.key,
        Place(ranges.get("x"), ranges.get("y")),
        first,
        last,
        FAULTS[name].strength if strength is None else float(strength),
    )
    check_fault(fault, found)
    return fault


def check_fault(fault: Fault, histogram: SimulatedHistogram) -> None:
    """Refuse a fault that this histogram cannot have.

    Raises
    ------
    ConfigurationError
        Naming what is wrong and the nearest that would be right.
    """
    kind = FAULTS.get(fault.name)
    require(kind is not None, f"there is no fault {fault.name!r}; the nearest is {nearest(fault.name, FAULTS)!r}")
    assert kind is not None
    dimensions = len(histogram.shape)
    require(
        dimensions == 2 or fault.name in ONE_DIMENSION,
        f"{histogram.key} has one axis and cannot have a {fault.name}; it can have {', '.join(sorted(ONE_DIMENSION))}",
    )
    require(dimensions == 2 or fault.place.y is None, f"{histogram.key} has one axis and no y")
    keys = kind.keys if dimensions == 2 else kind.keys.split(":")[0]
    for axis, given, bins in zip("xy", (fault.place.x, fault.place.y), histogram.shape, strict=False):
        _check_range(axis, given, bins, f"{fault.name} in {histogram.key}")
    require(_has_form(fault, dimensions), f"the place of a {fault.name} is written {keys or 'by nothing at all'}")
    _check_strength(fault)
    _check_lumisections(fault)
    _check_filled(fault, histogram)


def find_histogram(text: str, histograms: Iterable[SimulatedHistogram]) -> SimulatedHistogram:
    """Return the histogram with this ``stream/path``, or with this end of one.

    Raises
    ------
    ConfigurationError
        When there is none, or more than one.
    """
    known = {histogram.key: histogram for histogram in histograms}
    if text in known:
        return known[text]
    ends = [key for key in known if key.endswith(f"/{text}")]
    require(len(ends) < 2, f"histogram {text!r} can be {' or '.join(ends)}; write more of its path")
    if ends:
        return known[ends[0]]
    parts = text.count("/") + 1
    same_length = {"/".join(key.split("/")[-parts:]): key for key in known}
    suggestion = same_length[nearest(text, same_length)] if known else "none, the catalogue is empty"
    require(False, f"there is no histogram {text!r}; the nearest is {suggestion}")
    raise AssertionError


def nearest(word: str, words: Iterable[str]) -> str:
    """Return the most similar of some words."""
    return max(words, key=lambda other: SequenceMatcher(None, word, other).ratio())


def _range(given: Range) -> tuple[int, int]:
    return (given, given) if isinstance(given, int) else given


def _sector(name: str, sector: int | None, histogram: SimulatedHistogram) -> tuple[int, int]:
    require(sector is not None, f"the place of a {name} is written {FAULTS[name].keys}")
    assert sector is not None
    nearest_one = min(max(sector, 0), SECTORS - 1)
    require(
        sector == nearest_one, f"there is no sector {sector}; sectors are 0 to {SECTORS - 1}, {nearest_one} is nearest"
    )
    bins = histogram.shape[-1]
    return sector * bins // SECTORS, (sector + 1) * bins // SECTORS - 1


def _check_range(axis: str, given: tuple[int, int] | None, bins: int, where: str) -> None:
    if given is None:
        return
    first, last = given
    require(first <= last, f"{where}: {axis}={first}-{last} runs backwards")
    inside = min(max(first, 0), bins - 1), min(max(last, 0), bins - 1)
    require(
        given == inside,
        f"{where}: {axis}={_words(given)} is outside the map, whose bins are 0 to {bins - 1};"
        f" the nearest is {_words(inside)}",
    )


def _words(given: tuple[int, int]) -> str:
    return str(given[0]) if given[0] == given[1] else f"{given[0]}-{given[1]}"


def _has_form(fault: Fault, dimensions: int) -> bool:
    extents = [None if r is None else r[1] - r[0] + 1 for r in (fault.place.x, fault.place.y)][:dimensions]
    given = [extent for extent in extents if extent is not None]
    if fault.name in _WHOLE:
        return not given
    if fault.name in _SINGLE:
        return given == [1] * dimensions
    if fault.name == "spot":
        return given == [SPOT, SPOT]
    if fault.name in _LINES:
        return len(given) == 1 and (given[0] >= 2 if fault.name == "layer" else given[0] == 1)
    return fault.name != "sector" or (fault.place.x is None and len(given) == 1)


def _check_strength(fault: Fault) -> None:
    kind = FAULTS[fault.name]
    strength = fault.strength
    if kind.lowest == kind.highest:
        require(strength == kind.strength, f"a {fault.name} has no strength")
        return
    require(
        math.isfinite(strength) and kind.lowest <= strength <= kind.highest and strength != 1.0,
        f"strength {strength:g} is none of a {fault.name}: "
        + ("0 to below 1" if kind.highest < 1 else f"above 1 to {MAX_STRENGTH:g}" if kind.lowest > 1 else "")
        + (f"0 to {MAX_STRENGTH:g} and not 1" if kind.lowest < 1 < kind.highest else ""),
    )


def _check_lumisections(fault: Fault) -> None:
    first, last = fault.first_lumisection, fault.last_lumisection
    require(1 <= first <= last, f"{fault.name}: lumisections {first}-{last}; they count from 1, first to last")
    require(
        fault.name != "transient" or first == last,
        f"a transient lasts one lumisection, not {first}-{last}; another fault can last longer",
    )
    require(not fault.is_stuck or first > 1, "stuck: in lumisection 1 there is nothing to repeat yet; begin with 2")


def _check_filled(fault: Fault, histogram: SimulatedHistogram) -> None:
    place, filled = fault.place.mask(histogram.shape), histogram.filled()
    needed = fault.name in _SINGLE or fault.name == "spot"
    if (place & filled).any() and not (needed and (place & ~filled).any()):
        return
    wanted = np.argwhere(place).mean(axis=0)
    bins = np.argwhere(filled)
    best = bins[np.argmin(((bins - wanted) ** 2).sum(axis=1))].tolist()
    where = ":".join(f"{axis}={_words(r)}" for axis, r in zip("xy", (fault.place.x, fault.place.y), strict=True) if r)
    at = ":".join(f"{axis}={b}" for axis, b in zip("xy", best, strict=False))
    which = "holds bins" if needed and len(np.argwhere(place)) > 1 else "is all of bins"
    require(
        False,
        f"{fault.name} in {histogram.key}: {where} {which} that stay empty by design; the nearest filled bin is {at}",
    )
