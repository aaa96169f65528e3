"""The strip medians of ATLAS against a bin-by-bin program in plain Python that knows no arrays."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.detect.base import Settings
from monitor.detect.strip_median import StripMedianDetector, StripResult
from monitor.detect.strip_median_online import StripMedianOnlineDetector
from monitor.detect.strips import Colour
from monitor.learn.toys import interval_of

Map = list[list[float]]
Places = set[tuple[int, int]]
FACTS = (99, 65)


def slow_ratios(contents: Map, *, online: bool, ignored: tuple[float, ...], per_strip: float) -> dict[Any, float]:
    """rho of every bin that is judged."""
    ratios = {}
    for x, strip in enumerate(contents):
        kept = {
            y: v for y, v in enumerate(strip) if not any((abs(v - i) < 1e-4) if online else (v == i) for i in ignored)
        }
        if not kept or (online and len(kept) < per_strip):
            continue
        ordered, n = sorted(kept.values()), len(kept)
        median = (ordered[n // 4] + ordered[n // 2] + ordered[(3 * n) // 4]) / 3
        mean = sum(ordered) / n
        variance = sum((v - mean) ** 2 for v in ordered) / n
        is_zero = (lambda v: abs(v) < 1e-4) if online else (lambda v: v == 0)
        if is_zero(median):
            if is_zero(variance) or is_zero(mean):
                continue
            median = mean
        if abs(median) <= (1e-4 if online else 1e-5):
            continue
        for y, v in kept.items():
            ratios[x, y] = (v - median) / math.sqrt(abs(median))
    return ratios


def slow_colours(contents: Map, ratios: dict[Any, float], options: dict[str, Any]) -> tuple[Places, Places]:
    kept = [v for strip in contents for v in strip if v not in options["ignored"]]
    greatest = max([0.0, *kept])
    red, yellow = set(), set()
    for (x, y), rho in ratios.items():
        share = contents[x][y] / greatest if greatest else math.copysign(math.inf, contents[x][y])
        if contents[x][y] == 0 and greatest == 0:
            share = math.nan
        if abs(rho) > options["red"]:
            if not (options["visual"] and share < 0.01):
                red.add((x, y))
        elif abs(rho) > options["green"] and not (options["visual"] and share < 0.05):
            yellow.add((x, y))
    return red, yellow


def slow_clusters(red: Places, yellow: Places) -> list[Places]:
    """Sets of two bins or more that touch, by a walk from each."""
    left, found = red | yellow, []
    while left:
        todo = [left.pop()]
        one = set(todo)
        while todo:
            x, y = todo.pop()
            around = {(x + i, y + j) for i in (-1, 0, 1) for j in (-1, 0, 1)} & left
            left -= around
            one |= around
            todo += around
        if len(one) > 1:
            found.append(one)
    return found


@st.composite
def maps(draw: st.DrawFn) -> Map:
    """Maps with strips that are empty, equal, negative, or mostly 0, and with ties and marks."""
    nx, ny = draw(st.sampled_from([(1, 1), (1, 9), (7, 1), (5, 4), (6, 13)]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    level = rng.choice([0.0, 0.2, 4.0, 100.0, 1e4, -50.0], size=(nx, 1))
    contents = np.where(level < 0, level + rng.normal(0, 3, (nx, ny)), rng.poisson(np.abs(level), (nx, ny)))
    contents = np.where(rng.random((nx, ny)) < 0.1, 0.0, contents)
    contents = np.where(rng.random((nx, ny)) < 0.1, 9.0 * contents, contents)
    contents = np.where(rng.random((nx, ny)) < 0.05, -99999.0, contents)
    return [[float(v) for v in strip] for strip in contents]


def examined(kind: type[StripMedianDetector], contents: Map, **settings: Any) -> StripResult:
    thresholds = {"green": settings.pop("green", 6.0), "red": settings.pop("red", 10.0)}
    return kind(Settings(thresholds, settings)).examine(interval_of(np.array(contents)))


@pytest.mark.parametrize("online", [False, True])
@given(contents=maps(), visual=st.booleans(), cluster=st.booleans(), per_strip=st.sampled_from([-1, 3, 6]))
@settings(max_examples=150, deadline=None)
def test_every_bin_is_judged_as_the_plain_program_does(
    online: bool, contents: Map, visual: bool, cluster: bool, per_strip: int
) -> None:
    ignored = (-99999.0, 0.0) if online else (-99999.0,)
    ratios = slow_ratios(contents, online=online, ignored=ignored, per_strip=per_strip)
    wanted = {"ignored": ignored, "visual": visual, "green": 3.0, "red": 6.0}
    red, yellow = slow_colours(contents, ratios, wanted)
    options: dict[str, Any] = {"VisualMode": int(visual), "ClusterResult": int(cluster), "green": 3.0, "red": 6.0}
    kind: type[StripMedianDetector] = StripMedianDetector
    if online:
        options["MinStatPerstrip"], kind = per_strip, StripMedianOnlineDetector
    found = examined(kind, contents, **options)
    assert {tuple(map(int, b)) for b in np.argwhere(found.judged)} == set(ratios)
    for where, rho in ratios.items():
        assert found.ratios[where] == pytest.approx(rho, rel=1e-9, abs=1e-9)
    clusters = slow_clusters(red, yellow) if cluster else []
    clustered = {b for one in clusters for b in one}
    assert set(found.red) == red - clustered
    assert set(found.yellow) == yellow - clustered
    assert sorted(sorted(c.bins) for c in found.clusters) == sorted(sorted(c) for c in clusters)
    assert all(c.red == bool(set(c.bins) & red) for c in found.clusters)
    wrong = Colour.RED if red else Colour.YELLOW if yellow else Colour.GREEN
    assert found.colour is wrong


# What the field's note says of Poisson maps of 99 x 65 bins with green 6 and red 10


def poisson(mean: float, seed: int, modulation: float = 0.0) -> Map:
    phi = 2.0 * np.pi * np.arange(FACTS[1]) / FACTS[1]
    rate = np.broadcast_to(mean * (1.0 + modulation * np.cos(phi)), FACTS)
    return [[float(v) for v in strip] for strip in np.random.default_rng(seed).poisson(rate)]


@pytest.mark.parametrize("mean", [20.0, 100.0, 400.0, 10_000.0])
def test_a_dead_bin_is_never_seen_by_default(mean: float) -> None:
    contents = poisson(mean, 1)
    contents[50][30] = 0.0
    found = examined(StripMedianDetector, contents)
    assert (50, 30) not in found.red + found.yellow
    assert found.colour is Colour.GREEN


@pytest.mark.parametrize(("mean", "colour"), [(20.0, "none"), (80.0, "yellow"), (400.0, "red")])
def test_without_visual_mode_a_dead_bin_is_off_by_the_root_of_its_median(mean: float, colour: str) -> None:
    contents = poisson(mean, 2)
    contents[50][30] = 0.0
    found = examined(StripMedianDetector, contents, VisualMode=0)
    assert found.ratios[50, 30] == pytest.approx(-math.sqrt(found.level[50, 30]), rel=1e-12)
    assert found.ratios[50, 30] == pytest.approx(-math.sqrt(mean), rel=0.05)
    assert ((50, 30) in found.red) == (colour == "red")
    assert ((50, 30) in found.yellow) == (colour == "yellow")


def test_the_test_is_not_free_of_scale() -> None:
    few = [len(examined(StripMedianDetector, poisson(100.0, n, 0.1)).red) for n in range(5)]
    many = [len(examined(StripMedianDetector, poisson(10_000.0, n, 0.1)).red) for n in range(5)]
    assert few == [0] * 5
    # The note counts 794 of 6435 on a map of its own; the level of each strip moves the number.
    assert np.mean(many) == pytest.approx(794, rel=0.1)
