"""Bins to shapes, and shapes to words."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import make_shape

from monitor.detect.base import Finding
from monitor.detect.geometry import BoolArray, classify, shapes_of, sign_of
from monitor.judge.words import describe, describe_shape, place_of
from monitor.verdict import Shape

SHAPE = (20, 15)
ALL = np.ones(SHAPE, dtype=bool)


def mask(*slices: tuple[slice | int, ...], shape: tuple[int, ...] = SHAPE) -> BoolArray:
    bins = np.zeros(shape, dtype=bool)
    for one in slices:
        bins[one] = True
    return bins


def found(bins: BoolArray, live: BoolArray | None = None, low: bool = True, profile: bool = False) -> list[Shape]:
    """Shapes of bins that hold 1 where 100 is expected (300 where they are high); significance counts bins."""
    sign = -1 if low else 1
    return shapes_of(
        bins,
        bins,
        np.ones(bins.shape, dtype=bool) if live is None else live,
        np.full(bins.shape, 1.0 if low else 300.0),
        np.full(bins.shape, 100.0),
        lambda own: sign * float(own.sum()),
        low,
        profile,
    )


@pytest.mark.parametrize(
    ("bins", "named"),
    [
        (mask((3, 4)), ("bin", None, None)),
        (mask((slice(3, 8), slice(4, 9))), ("spot", None, None)),
        (mask((slice(0, 2), slice(0, 1))), ("spot", None, None)),
        (mask((7, slice(None))), ("strip", "x", 7)),
        (mask((slice(None), 14)), ("strip", "y", 14)),
        (mask((0, slice(1, 14))), ("strip", "x", 0)),
        (mask((slice(4, 7), slice(None))), ("layer", "x", 4)),
        (mask((slice(None), slice(12, 15))), ("layer", "y", 12)),
        (mask((slice(0, 9), slice(0, 9))), ("region", None, None)),
        (mask((7, slice(0, 9))), ("region", None, None)),
        (mask((slice(None), slice(None))), ("map", None, None)),
        (mask((slice(1, 20), slice(None))), ("map", None, None)),
    ],
)
def test_sets_of_bins_have_names(bins: BoolArray, named: tuple[str, str | None, int | None]) -> None:
    assert classify(bins, ALL) == named


def test_a_strip_is_whole_where_all_its_live_bins_are_in_it() -> None:
    live = ALL.copy()
    live[7, 5:] = False
    assert classify(mask((7, slice(0, 5))), live) == ("strip", "x", 7)
    assert classify(mask((7, slice(0, 5))), ALL)[0] == "spot"


def test_a_strip_of_two_live_bins_is_just_those_bins() -> None:
    live = ALL.copy()
    live[7, 2:] = False
    assert classify(mask((7, slice(0, 2))), live)[0] == "spot"


def test_one_dimension_has_bins_spots_regions_and_the_whole() -> None:
    live = np.ones((40, 1), dtype=bool)
    for last, kind in ((1, "bin"), (6, "spot"), (20, "region"), (40, "map")):
        bins = np.zeros((40, 1), dtype=bool)
        bins[:last] = True
        assert classify(bins, live) == (kind, None, None)


def test_a_histogram_of_one_bin_has_a_bin() -> None:
    assert classify(np.ones((1, 1), dtype=bool), np.ones((1, 1), dtype=bool))[0] == "bin"


@pytest.mark.parametrize(
    ("observed", "low", "sign"),
    [(0.0, True, "dead"), (10.0, True, "dead"), (10.1, True, "low"), (199.0, False, "high"), (200.0, False, "hot")],
)
def test_signs_say_how_far(observed: float, low: bool, sign: str) -> None:
    assert sign_of(observed, 100.0, low) == sign


def test_whatever_appears_where_nothing_is_expected_is_hot() -> None:
    assert sign_of(1.0, 0.0, False) == "hot"


def test_bins_that_touch_at_a_corner_are_one_shape() -> None:
    (shape,) = found(mask((3, 4), (4, 5)))
    assert shape.bins == ((3, 4), (4, 5))


def test_bins_apart_are_shapes_of_their_own_and_the_surest_comes_first() -> None:
    shapes = found(mask((0, 0), (slice(10, 13), slice(5, 8)), (slice(6, 8), 1)))
    assert [len(s.bins) for s in shapes] == [9, 2, 1]
    assert [s.significance for s in shapes] == [-9.0, -2.0, -1.0]


def test_a_shape_says_what_was_seen_and_expected() -> None:
    (shape,) = found(mask((slice(0, 2), slice(0, 2))))
    assert (shape.observed, shape.expected, shape.sign) == (4.0, 400.0, "dead")
    (shape,) = found(mask((slice(0, 2), slice(0, 2))), profile=True, low=False)
    assert (shape.observed, shape.expected, shape.sign) == (300.0, 100.0, "hot")


def test_of_an_area_only_the_judged_bins_are_named() -> None:
    area = mask((slice(0, 5), slice(0, 5)))
    bins = area & mask((slice(0, 5), slice(0, 5, 2)))
    (shape,) = shapes_of(area, bins, ALL, np.zeros(SHAPE), np.ones(SHAPE), lambda own: -float(own.sum()), True, False)
    assert len(shape.bins) == 15
    assert shapes_of(area, mask(), ALL, np.zeros(SHAPE), np.ones(SHAPE), lambda own: -1.0, True, False) == []


def test_shapes_of_one_dimension_have_bins_of_one_index() -> None:
    (shape,) = found(mask((slice(3, 6),), shape=(40,)))
    assert shape.bins == ((3,), (4,), (5,))
    assert (shape.kind, shape.axis, shape.index) == ("spot", None, None)


# Words


STRIP = make_shape(*((x, 4) for x in range(20)), kind="strip", axis="y", index=4)


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        (make_shape((3, 7)), "bin (3, 7)"),
        (make_shape((3,)), "bin (3)"),
        (make_shape((3, 7), (4, 8)), "spot x=3..4 y=7..8"),
        (make_shape((3,), (4,)), "spot x=3..4"),
        (STRIP, "strip y=4"),
        (make_shape((4, 0), (5, 0), (6, 9), kind="layer", axis="x", index=4), "layer x=4..6"),
        (make_shape((0, 0), kind="map"), "whole map"),
    ],
)
def test_places_in_words(shape: Shape, words: str) -> None:
    assert place_of(shape) == words


def test_a_finding_in_words_names_the_worst_and_counts_the_rest() -> None:
    shapes = tuple(make_shape((x, 0)) for x in range(5))
    words = describe(Finding(bad=True, score=10.0, shapes=shapes, warning="all is old", note="few references"))
    assert words.startswith("bin (0, 0) dead: 0 seen, 100 expected (-10.0 sigma); bin (1, 0)")
    assert words.endswith("; and 2 more; all is old; few references")


def test_nothing_found_is_said_with_the_largest_deviation() -> None:
    assert describe(Finding(bad=False, score=3.14)) == "as expected, largest deviation 3.1 sigma"


def test_new_life_is_said_without_an_expectation() -> None:
    words = describe_shape(make_shape((3, 7), sign="hot", observed=2000.0, expected=0.0))
    assert words == "bin (3, 7) alive: 2000 seen where nothing ever was filled"


def test_many_bins_far_apart_are_counted_and_not_called_the_whole_map() -> None:
    shape = make_shape(*[(5 * n, 3 * (n % 7)) for n in range(40)], kind="region")
    assert place_of(shape) == "40 bins within x=0..195 y=0..18"
    near = make_shape(*[(x, y) for x in range(9) for y in range(9)], kind="region")
    assert place_of(near) == "region x=0..8 y=0..8"


@pytest.mark.parametrize("seed", range(8))
def test_every_bin_is_in_exactly_one_shape(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(500):
        shape = tuple(rng.integers(2, 9, 2))
        live = rng.random(shape) < rng.choice([0.3, 0.6, 0.8])
        # Strips that cross, and together hold all that others have: none may be named with no bins left.
        bins = rng.random(shape) < rng.choice([0.1, 0.3])
        bins[rng.random(shape[0]) < 0.5] = True
        bins[:, rng.random(shape[1]) < 0.3] = True
        bins &= live
        shapes = found(bins, live)
        named = [place for one in shapes for place in one.bins]
        assert all(one.bins for one in shapes)
        assert len(set(named)) == len(named)
        assert set(named) == set(zip(*(axis.tolist() for axis in np.nonzero(bins)), strict=True))
