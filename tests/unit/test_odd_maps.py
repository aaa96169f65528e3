"""Maps that are no ordinary counts, or hardly a map any more: what is wrong with them is found and named."""

from __future__ import annotations

import numpy as np
import pytest

from monitor.detect.base import Expected, Finding
from monitor.detect.expectation import ExpectationDetector
from monitor.judge.words import describe
from monitor.learn.reference import learn_reference
from monitor.learn.toys import Toy, interval_of
from monitor.snapshot import FloatArray
from monitor.window import Interval

SHAPE = (30, 20)
ENTRIES, SPREAD = 100.0, 5.0


def judge(interval: Interval, references: list[Interval]) -> Finding:
    expected = Expected(learn_reference(references, "test").reference)
    return ExpectationDetector().judge([interval], [expected])[0]


def profile(mean: FloatArray, rng: np.random.Generator) -> Interval:
    error = SPREAD / np.sqrt(ENTRIES)
    return interval_of(
        rng.normal(mean, error), entries=np.full(mean.shape, ENTRIES), variances=np.full(mean.shape, error**2)
    )


@pytest.mark.parametrize("mean", [0.0, -3.0, 0.3])
def test_residuals_about_zero_show_excesses_as_well_as_deficits(mean: float) -> None:
    rng = np.random.default_rng(0)
    means = np.full(SHAPE, mean)
    references = [profile(means, rng) for _ in range(20)]
    for sign in (-1.0, 1.0):
        for x, y in ((3, 4), (29, 0), (15, 19)):
            shown = profile(means, rng)
            shown.contents[x, y] += sign * 5.0
            (shape,) = judge(shown, references).shapes
            assert shape.bins == ((x, y),)
    shown = profile(means, rng)
    shown.contents[5:10, 5:10] += 3.0
    (shape,) = judge(shown, references).shapes
    assert (shape.kind, len(shape.bins), shape.bins[0]) == ("spot", 25, (5, 5))
    assert not judge(profile(means, rng), references).shapes


@pytest.mark.parametrize("references", [2, 5, 20])
@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_a_profile_all_of_whose_means_moved_is_wrong_as_a_whole(references: int, factor: float) -> None:
    rng = np.random.default_rng(1)
    means = np.full(SHAPE, 10.0) * np.linspace(0.5, 2.0, SHAPE[1])
    finding = judge(profile(factor * means, rng), [profile(means, rng) for _ in range(references)])
    (shape,) = finding.shapes
    assert (finding.bad, shape.kind, len(shape.bins)) == (True, "map", 600)
    assert f"all of its means are {factor:g} times what is expected" in finding.warning
    assert finding.p_value is not None
    assert finding.p_value < 1e-9


@pytest.mark.parametrize("lost", [20, 26, 28, 29])
def test_columns_of_a_profile_without_entries_are_missed_however_many(lost: int) -> None:
    rng = np.random.default_rng(2)
    means = np.full(SHAPE, 10.0)
    shown = profile(means, rng)
    for plane in (shown.contents, shown.entries, shown.variances):
        assert plane is not None
        plane[:lost] = 0.0
    (shape,) = judge(shown, [profile(means, rng) for _ in range(5)]).shapes
    assert (shape.sign, len(shape.bins)) == ("dead", 20 * lost)


@pytest.mark.parametrize("unit", [1e-12, 1e-9, 1e-5, 1e-2, 1.0, 1e6, 1e14])
def test_the_unit_of_float_rates_does_not_matter(unit: float) -> None:
    rng = np.random.default_rng(1)
    rate = rng.uniform(1.0, 5.0, SHAPE)

    def draw() -> FloatArray:
        found: FloatArray = rate * (1.0 + 0.05 * rng.standard_normal(SHAPE)) * rng.uniform(0.7, 1.3) * unit
        return found

    references = [interval_of(draw(), run=n) for n in range(8)]
    for x, y in ((0, 0), (12, 7), (29, 19)):
        contents = draw()
        contents[x, y] *= 5.0
        (shape,) = judge(interval_of(contents), references).shapes
        assert shape.bins == ((x, y),)
    contents = draw()
    contents[:, 5] *= 0.6
    (strip,) = judge(interval_of(contents), references).shapes
    assert (strip.kind, strip.axis, strip.index) == ("strip", "y", 5)
    assert not judge(interval_of(draw()), references).shapes


@pytest.mark.parametrize("wrong", [1, 98, 100])
def test_exact_counters_of_which_many_are_wrong_are_all_named(wrong: int) -> None:
    contents = np.full(200, 2000.0)
    contents[np.random.default_rng(1).permutation(200)[:wrong]] = 1000.0
    good = [interval_of(np.full((20, 10), 2000.0), run=n) for n in range(5)]
    finding = judge(interval_of(contents.reshape(20, 10)), good)
    assert finding.bad
    assert sum(len(s.bins) for s in finding.shapes) == wrong


@pytest.mark.parametrize("references", [1, 3, 20])
@pytest.mark.parametrize("alive", [1, 3, 5, 28])
def test_however_much_of_a_map_is_dead_it_is_named(references: int, alive: int) -> None:
    toy = Toy(name="toy", shape=(48, 32), mean=200.0, seed=1)
    contents = np.random.default_rng(5).poisson(toy.rate).astype(float)
    contents[alive:] = 0.0
    finding = judge(interval_of(contents), toy.draw_many(references, 3))
    assert finding.bad
    assert {s.sign for s in finding.shapes} == {"dead"}
    assert {b for s in finding.shapes for b in s.bins} == set(
        zip(*np.nonzero((toy.rate > 0) & (contents == 0)), strict=True)
    )
    assert finding.p_value is not None
    assert finding.p_value < 1e-6
    assert "dead: 0 seen" in describe(finding)


@pytest.mark.parametrize("shape", [(30, 20), (99, 65), (300, 200)])
@pytest.mark.parametrize("references", [1, 3])
def test_a_dead_half_is_one_shape_and_nothing_else_is_wrong(shape: tuple[int, int], references: int) -> None:
    rng = np.random.default_rng(0)
    # A fifth of the bins hold too little to be dead for certain, each by itself.
    rate = rng.gamma(5.0, 8.0, shape)
    good = [interval_of(rng.poisson(rate).astype(float)) for _ in range(references)]
    half = np.arange(shape[0])[:, None] < shape[0] // 2
    (found,) = judge(interval_of(rng.poisson(np.where(half, 0.0, rate)).astype(float)), good).shapes
    assert (found.kind, found.axis, found.sign) == ("layer", "x", "dead")
    assert len(found.bins) >= 0.98 * half.sum() * shape[1]
    assert max(x for x, _ in found.bins) < shape[0] // 2
