"""Exposures and rates of references, and the bad ones among them: found, left out, and no good one lost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from monitor.learn.fit import fit
from monitor.learn.reference import learn_reference
from monitor.learn.toys import Toy, interval_of
from monitor.snapshot import FloatArray
from monitor.window import Interval

SHAPE = (50, 33)
Fault = Callable[[FloatArray, np.random.Generator], FloatArray]


def sector(share: float) -> Fault:
    def fault(contents: FloatArray, rng: np.random.Generator) -> FloatArray:
        contents[6:12] = rng.binomial(contents[6:12].astype(int), share)
        return contents

    return fault


def many(contents: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Of 22 % of the bins half are dead and half are hot."""
    hit = rng.random(SHAPE) < 0.22
    return np.where(hit, contents * rng.choice([0.0, 3.0], size=SHAPE), contents)


def hot_spot(contents: FloatArray, rng: np.random.Generator) -> FloatArray:
    contents[10:15, 10:15] = np.round(1.5 * contents[10:15, 10:15])
    return contents


def scattered_dead(contents: FloatArray, rng: np.random.Generator) -> FloatArray:
    return np.where(rng.random(SHAPE) < 0.02, 0.0, contents)


def strip(contents: FloatArray, rng: np.random.Generator) -> FloatArray:
    contents[:, 5] = rng.binomial(contents[:, 5].astype(int), 0.5)
    return contents


FAULTS: dict[str, Fault] = {
    "dead sector": sector(0.0),
    "sector at 80 %": sector(0.8),
    "22 % faults": many,
    "hot 5 x 5": hot_spot,
    "scattered dead bins": scattered_dead,
    "strip at half": strip,
}


def toy_of(mean: float, heavy: bool, seed: int) -> Toy:
    return Toy(name="toy", shape=SHAPE, mean=mean, heavy=heavy, seed=seed)


def used(intervals: list[Interval]) -> list[bool]:
    return list(learn_reference(intervals, "test").used)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("heavy", [False, True], ids=["benign", "heavy"])
@pytest.mark.parametrize("references", [5, 10, 20])
def test_a_bad_reference_is_found_and_only_that(fault: str, heavy: bool, references: int) -> None:
    for seed, mean in enumerate((50.0, 400.0, 5000.0)):
        good = toy_of(mean, heavy, seed).draw_many(references, seed)
        contents = FAULTS[fault](good[1].contents.copy(), np.random.default_rng(seed))
        bad = replace(good[1], contents=contents, total=float(contents.sum()))
        assert used([good[0], bad, *good[2:]]) == [True, False] + [True] * (references - 2), mean


@pytest.mark.parametrize("heavy", [False, True], ids=["benign", "heavy"])
@pytest.mark.parametrize("mean", [20.0, 400.0, 5000.0])
@pytest.mark.parametrize("references", [3, 5, 20])
def test_no_good_reference_is_lost(heavy: bool, mean: float, references: int) -> None:
    for seed in range(6):
        assert all(used(toy_of(mean, heavy, seed).draw_many(references, seed))), seed


def test_two_bad_ones_are_both_found() -> None:
    good = toy_of(400.0, True, 3).draw_many(12, 1)
    rng = np.random.default_rng(0)
    for n in (2, 7):
        good[n] = interval_of(FAULTS["sector at 80 %"](good[n].contents.copy(), rng), run=n + 1)
    assert [n for n, use in enumerate(used(good)) if not use] == [2, 7]


def test_references_of_two_epochs_are_all_kept() -> None:
    """Where half differs from the other half there is no rest to differ from."""
    toy = toy_of(400.0, False, 1)
    maps = toy.draw_many(8, 1)
    for n in range(4):
        contents = maps[n].contents.copy()
        contents[:25] = np.round(1.3 * contents[:25])
        maps[n] = interval_of(contents, run=n + 1)
    assert all(used(maps))


def test_the_rate_without_a_bad_reference_is_the_truth() -> None:
    toy = toy_of(5000.0, False, 2)
    good = toy.draw_many(10, 1)
    learned = learn_reference(
        [interval_of(sector(0.0)(good[0].contents.copy(), np.random.default_rng(0))), *good[1:]], "x"
    )
    rate = learned.reference.rate
    live = toy.rate > 0
    ratio = rate[live] / toy.rate[live]
    ratio /= np.median(ratio)
    # Nine references of 2.5 % and half a percent a strip.
    assert np.std(ratio) < 0.012
    inside = (rate[6:12] / np.where(live, toy.rate, 1.0)[6:12])[live[6:12]]
    assert np.median(inside) == pytest.approx(np.median(rate[live] / toy.rate[live]), rel=0.005)


# The fit


def flat(intervals: list[Interval]) -> FloatArray:
    return np.stack([i.contents.ravel() for i in intervals])


def test_exposures_and_rates_are_those_of_the_sample() -> None:
    rng = np.random.default_rng(6)
    rate = rng.gamma(5.0, 100.0, SHAPE)
    exposure = rng.uniform(0.5, 2.0, 20)
    contents = rng.poisson(exposure[:, None, None] * rate).astype(float).reshape(20, -1)
    found = fit(contents, SHAPE, np.ones(20), np.zeros(20, dtype=bool))
    np.testing.assert_allclose(found.exposure / exposure, 1.0 / exposure.mean(), rtol=0.005)
    assert found.exposure.sum() == pytest.approx(20.0)
    assert found.rate.sum() == pytest.approx(rate.sum() * exposure.mean(), rel=0.002)
    # 25 entries in the emptiest bins, 20 times: 5 % at the worst.
    np.testing.assert_allclose(found.rate / (rate.ravel() * exposure.mean()), 1.0, atol=0.15)
    assert found.used.all()
    assert found.weight.mean() > 0.9999
    np.testing.assert_allclose(found.leverage, exposure / exposure.sum(), rtol=0.005)


def test_a_unit_of_exposure_is_an_average_lumisection() -> None:
    toy = toy_of(400.0, False, 1)
    contents = flat(toy.draw_many(6, 1))
    spans = np.array([1.0, 1.0, 2.0, 2.0, 5.0, 1.0])
    found = fit(contents, SHAPE, spans, np.zeros(6, dtype=bool))
    assert found.exposure.sum() == pytest.approx(12.0)
    one = fit(contents, SHAPE, np.ones(6), np.zeros(6, dtype=bool))
    np.testing.assert_allclose(found.exposure * found.rate.sum(), one.exposure * one.rate.sum(), rtol=1e-6)


def test_an_entry_that_disagrees_is_clipped() -> None:
    contents = flat(toy_of(400.0, False, 1).draw_many(10, 1))
    bins = np.flatnonzero(contents.min(axis=0) > 100)[[3, 500]]
    clean = fit(contents, SHAPE, np.ones(10), np.zeros(10, dtype=bool))
    contents[2, bins[0]] *= 8.0
    contents[5, bins[1]] = 0.0
    found = fit(contents, SHAPE, np.ones(10), np.zeros(10, dtype=bool))
    assert found.used.all()
    assert found.weight[2, bins[0]] == found.weight[5, bins[1]] == 0.0
    assert found.weight.sum() >= found.weight.size - 10
    np.testing.assert_allclose(found.rate[bins], clean.rate[bins], rtol=0.03)
    np.testing.assert_allclose(found.exposure, clean.exposure, rtol=0.003)


def test_a_bin_without_an_agreed_value_keeps_all_of_them() -> None:
    contents = flat(toy_of(400.0, False, 1).draw_many(10, 1))
    bin_ = int(np.flatnonzero(contents.min(axis=0) > 100)[3])
    contents[:3, bin_] = 0.0
    found = fit(contents, SHAPE, np.ones(10), np.zeros(10, dtype=bool))
    assert (found.weight[:, bin_] == 1.0).all()
    assert found.rate[bin_] == pytest.approx(contents[:, bin_].sum() / found.exposure.sum(), rel=1e-6)


def test_what_is_known_to_be_bad_is_not_used() -> None:
    contents = flat(toy_of(400.0, False, 1).draw_many(6, 1))
    leave = np.array([False, True, False, False, False, False])
    found = fit(contents, SHAPE, np.ones(6), leave)
    np.testing.assert_array_equal(found.used, ~leave)
    changed = contents.copy()
    changed[1, :800] = 0.0
    np.testing.assert_allclose(fit(changed, SHAPE, np.ones(6), leave).rate, found.rate, rtol=1e-9)
    # Its exposure is told all the same.
    assert found.exposure[1] == pytest.approx(contents[1].sum() / found.rate.sum(), rel=0.02)


@pytest.mark.parametrize("references", [1, 2, 3])
def test_few_references_are_fitted_too(references: int) -> None:
    toy = toy_of(400.0, False, 1)
    contents = flat(toy.draw_many(references, 1))
    found = fit(contents, SHAPE, np.ones(references), np.zeros(references, dtype=bool))
    assert found.exposure.sum() == pytest.approx(references)
    assert found.rate.sum() == pytest.approx(contents.sum() / references, rel=0.01)
    assert not found.rate[toy.rate.ravel() == 0].any()
