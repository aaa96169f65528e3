"""Chances and thresholds are each other's inverse, and good maps are as often wrong as was promised."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from monitor.detect.base import Expected
from monitor.detect.expectation import ExpectationDetector
from monitor.infer import Calibration, Pool, Tail, WindowSet, windows_of
from monitor.infer.calibration import (
    ENOUGH,
    NOT_CALIBRATED_SIGMAS,
    chances_of,
    extremeness,
    promise_of,
    tails_of,
    thresholds_of,
)
from monitor.learn.calibration import calibrate_models, calibrated, cross_calibrate, fit_tail
from monitor.learn.reference import learn_reference
from monitor.learn.toys import Toy
from monitor.snapshot import FloatArray
from monitor.window import Interval

SHAPE = (24, 16)
WINDOWS = windows_of(SHAPE)
tails = st.builds(Tail, share=st.floats(0.001, 0.5), start=st.floats(0.01, 20.0), slope=st.floats(1.0, 5.0))


def pool_of(tail: Tail, maps: int = 1000, windows: WindowSet = WINDOWS) -> Pool:
    return Pool(maps=maps, histograms=1, tails=dict.fromkeys(windows.names, tail))


# Tails


@given(tails, st.floats(1e-9, 0.9))
@settings(max_examples=200, deadline=None)
def test_a_threshold_is_exceeded_with_the_chance_that_it_was_made_for(tail: Tail, chance: float) -> None:
    t = tail.threshold(chance)
    level = -np.log(tail.share)
    # Beyond the start an exponential; before it a line from nothing to there.
    log_chance = -level - (t - tail.start) / tail.slope if t >= tail.start else -t * level / tail.start
    assert np.exp(log_chance) == pytest.approx(chance, rel=1e-9)


@given(tails, st.integers(0, len(WINDOWS.names) - 1), st.floats(1e-12, 1e-2))
@settings(max_examples=200, deadline=None)
def test_chances_and_thresholds_are_each_others_inverse(tail: Tail, scale: int, chance: float) -> None:
    pool = pool_of(tail)
    limits = thresholds_of(WINDOWS, pool, chance)
    best = np.zeros((1, len(WINDOWS.names)))
    best[0, scale] = limits[scale]
    found = chances_of(WINDOWS, tails_of(WINDOWS, pool)[None], best)[0]
    if limits[scale] > 0.0:
        assert found == pytest.approx(chance, rel=1e-6)
    # Whatever sign: a deficit counts as an excess.
    np.testing.assert_array_equal(chances_of(WINDOWS, tails_of(WINDOWS, pool)[None], -best), found)


@given(tails, st.lists(st.floats(1e-300, 0.5), min_size=2, max_size=20, unique=True))
@settings(max_examples=100, deadline=None)
def test_a_smaller_chance_is_a_higher_threshold(tail: Tail, chances: list[float]) -> None:
    for pool in (None, pool_of(tail)):
        limits = np.stack([thresholds_of(WINDOWS, pool, c) for c in sorted(chances, reverse=True)])
        assert (np.diff(limits, axis=0) >= 0.0).all()
        assert np.isfinite(limits).all()
        assert (limits >= 0.0).all()


@given(tails, st.lists(st.floats(0.0, 60.0), min_size=2, max_size=20, unique=True))
@settings(max_examples=100, deadline=None)
def test_a_larger_significance_is_a_smaller_chance(tail: Tail, sigmas: list[float]) -> None:
    best = np.zeros((len(sigmas), len(WINDOWS.names)))
    best[:, 1] = sorted(sigmas)
    for pool in (None, pool_of(tail)):
        found = chances_of(WINDOWS, np.broadcast_to(tails_of(WINDOWS, pool), (*best.shape, 3)), best)
        assert (np.diff(found) <= 0.0).all()
        assert ((found >= 0.0) & (found <= 1.0)).all()


@pytest.mark.parametrize("chance", [1e-2, 3.5e-6, 1e-12])
def test_without_a_pool_thresholds_are_those_of_theory(chance: float) -> None:
    """p = 2 N sf(z), shared among the scales; single bins get what few references do not show of them."""
    limits = thresholds_of(WINDOWS, None, chance)
    for k, count in enumerate(WINDOWS.counts):
        wanted = stats.norm.isf(chance / len(WINDOWS.names) / (2.0 * count))
        assert limits[k] == pytest.approx(wanted + (NOT_CALIBRATED_SIGMAS if k == 0 else 0.0), rel=1e-9)
    # A pool too small to tell is none.
    few = pool_of(Tail(share=0.05, start=50.0, slope=4.0), maps=ENOUGH - 1)
    np.testing.assert_array_equal(thresholds_of(WINDOWS, few, chance), limits)


@pytest.mark.parametrize("slope", [1.0, 5.0])
@pytest.mark.parametrize("chance", [1e-2, 1e-10, 1e-100, 1e-300])
def test_extremeness_is_undone_far_beyond_what_float64_can_hold(chance: float, slope: float) -> None:
    tail = Tail(share=0.05, start=3.0, slope=slope)
    limits = thresholds_of(WINDOWS, pool_of(tail), chance)
    wanted = tail.threshold(chance / len(WINDOWS.names))
    np.testing.assert_allclose(extremeness(WINDOWS, limits), wanted, rtol=1e-3)


def test_extremeness_is_what_the_definition_says() -> None:
    best = np.array([[0.0, 1.0, -4.0, 6.0] + [0.0] * (len(WINDOWS.names) - 4)])
    found = extremeness(WINDOWS, best)
    wanted = -np.log(2.0 * WINDOWS.counts * stats.norm.sf(np.abs(best)))
    np.testing.assert_allclose(found, np.maximum(wanted, 0.0), rtol=1e-9)


# The fit


@pytest.mark.parametrize("slope", [1.0, 1.3, 2.0, 3.0])
@pytest.mark.parametrize("maps", [200, 2000, 20_000])
def test_an_exponential_tail_is_recovered(slope: float, maps: int) -> None:
    t = np.random.default_rng(1).exponential(slope, maps)
    tail = fit_tail(t)
    assert tail is not None
    error = 1.0 / np.sqrt(0.05 * maps)
    # One standard error is added on purpose; three more, either way, may come by chance.
    careful = slope * (1.0 + error)
    assert careful * (1.0 - 3.0 * error) <= tail.slope <= careful * (1.0 + 3.0 * error)
    assert tail.share == pytest.approx(0.05, abs=0.005)
    assert tail.start == pytest.approx(-slope * np.log(0.05), rel=3.0 * error)
    # So thresholds are those of the truth, where they are extrapolated by a factor 100.
    assert tail.threshold(5e-4) == pytest.approx(-slope * np.log(5e-4), rel=3.0 * error)


def test_a_tail_lighter_than_theory_is_not_believed() -> None:
    tail = fit_tail(np.random.default_rng(1).exponential(0.4, 2000))
    assert tail is not None
    assert tail.slope == 1.0


@pytest.mark.parametrize("maps", [0, 1, ENOUGH - 1])
def test_too_few_maps_have_no_tail(maps: int) -> None:
    assert fit_tail(np.ones(maps)) is None


def test_maps_that_are_all_alike_have_a_tail_of_theory() -> None:
    tail = fit_tail(np.full(100, 3.0))
    assert tail is not None
    assert (tail.start, tail.slope) == (3.0, 1.0)


def test_what_stands_behind_a_promise_is_said() -> None:
    tail = Tail(share=0.05, start=3.0, slope=1.2)
    assert promise_of(None, 1e-3) == "no promise: 0 held-out good maps, 20 needed"
    assert promise_of(pool_of(tail, maps=19), 1e-3) == "no promise: 19 held-out good maps, 20 needed"
    assert promise_of(pool_of(tail, maps=10_000), 1e-3) == "observed on 10000 held-out good maps"
    assert promise_of(pool_of(tail, maps=1000), 1e-3) == (
        "extrapolated by a factor 10 beyond what 1000 held-out good maps show; good to a factor 2"
    )


def test_fewer_maps_and_smaller_chances_leave_more_doubt() -> None:
    tail = Tail(share=0.05, start=3.0, slope=1.2)
    # 25 maps beyond the start: one standard error of 0.2 of the exponent, which is log(0.05 x scales / chance).
    pool = pool_of(tail, maps=500)
    assert pool.doubt(1e-5) == pytest.approx((0.05 * len(pool.tails) / 1e-5) ** 0.2)
    assert pool.doubt(1e-6) > pool.doubt(1e-5) > pool_of(tail, maps=5000).doubt(1e-5) >= 2.0


# Realised and promised

TYPES, LEARNED, HELD_OUT, JUDGED = 16, 10, 60, 1000
CASES = {"counts": (100.0, False), "heavy tails": (400.0, True), "rich and heavy": (3000.0, True)}


@cache
def good_maps(case: str) -> tuple[Calibration, Expected, FloatArray]:
    """The calibration of 16 types, one of their expectations, and the significances of 1 000 other good maps of each.

    Types whose statistics were taken for another kind have a pool of their own and are passed over here.
    """
    mean, heavy = CASES[case]
    toys = [Toy(name=f"{n}", shape=SHAPE, mean=mean, heavy=heavy, seed=n) for n in range(TYPES)]
    detector = ExpectationDetector()
    expected = {f"toy/{t.name}": Expected(learn_reference(t.draw_many(LEARNED, 1), t.name).reference) for t in toys}
    expected = {key: e for key, e in expected.items() if e.reference.statistics == "counts"}
    toys = [t for t in toys if f"toy/{t.name}" in expected]
    calibration = calibrate_models({f"toy/{t.name}": t.draw_many(HELD_OUT, 2) for t in toys}, expected).calibration
    best = [detector.scan(t.draw_many(JUDGED, 3), [expected[f"toy/{t.name}"]] * JUDGED) for t in toys]
    return calibration, expected["toy/0"], np.concatenate(best)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("chance", [1e-2, 1e-3])
def test_good_maps_are_wrong_as_often_as_promised(case: str, chance: float) -> None:
    calibration, expected, best = good_maps(case)
    pool = calibration.pools["counts"]
    assert pool.histograms >= TYPES - 1
    assert pool.maps == pool.histograms * HELD_OUT
    loud = (np.abs(best) >= thresholds_of(expected.reference.window_set, pool, chance)).any(axis=1)
    realised = float(loud.mean()) / chance
    # Scales overlap and slopes are drawn to the safe side, so fewer are wrong; more than twice would break the promise.
    assert 0.1 <= realised <= 2.0
    # The chance that a verdict states says the same.
    tails = np.broadcast_to(tails_of(expected.reference.window_set, pool), (*best.shape, 3))
    np.testing.assert_array_equal(chances_of(expected.reference.window_set, tails, best) < chance, loud)


def test_theory_alone_breaks_its_promise_where_tails_are_heavy() -> None:
    """Why there is a calibration: the same maps with the thresholds of theory."""
    _, expected, best = good_maps("rich and heavy")
    limits = thresholds_of(expected.reference.window_set, None, 1e-3)
    assert (np.abs(best) >= limits).any(axis=1).mean() > 5e-3


def test_maps_that_serve_twice_are_judged_by_what_has_not_seen_them() -> None:
    toys = [Toy(name=f"{n}", shape=SHAPE, mean=400.0, heavy=True, seed=n) for n in range(4)]
    seen: list[str] = []
    found = cross_calibrate({f"toy/{t.name}": t.draw_many(24, 1) for t in toys}, on_histogram=seen.append).calibration
    assert seen == [f"toy/{t.name}" for t in toys]
    pool = found.pools["counts"]
    assert (pool.maps, pool.histograms) == (96, 4)
    # In-sample residuals would fall short of theory; these have the heavy tail that new maps have.
    assert pool.tails["bin"].start > 4.0
    assert found == cross_calibrate({f"toy/{t.name}": t.draw_many(24, 1) for t in toys}).calibration


def test_an_expectation_is_given_the_pool_of_its_own_statistics() -> None:
    calibration, expected, _ = good_maps("counts")
    reference = calibrated(expected, calibration).reference
    assert reference.pool == calibration.pools["counts"]
    assert ExpectationDetector().limits(reference).promise.startswith("extrapolated")
    assert calibrated(expected, None) is expected
    assert calibrated(expected, Calibration(pools={"sums": calibration.pools["counts"]})) is expected


PROFILE = Toy(name="profile", shape=(48, 32), profile=True, mean=1.0)


def spoilt(interval: Interval) -> Interval:
    contents = interval.contents.copy()
    contents[20:30] *= 0.3
    return replace(interval, contents=contents)


def steepest(calibration: Calibration) -> float:
    return max(tail.slope for pool in calibration.pools.values() for tail in pool.tails.values())


@pytest.mark.parametrize(
    "toy",
    [Toy(name="few", shape=(48, 32), mean=80.0), Toy(name="many", shape=(48, 32), mean=4000.0), PROFILE],
    ids=lambda t: t.name,
)
def test_a_bad_run_among_the_good_ones_does_not_calibrate(toy: Toy) -> None:
    good = toy.draw_many(24, 1)
    bad = [spoilt(i) if i.run in (6, 7) else i for i in good]
    expected = {"h": Expected(learn_reference(toy.draw_many(12, 7), "others").reference)}
    for fit in (lambda own: cross_calibrate({"h": own}), lambda own: calibrate_models({"h": own}, expected)):
        clean, cleaned = fit(good), fit(bad)
        assert not clean.left_out
        assert {i.run for i in cleaned.left_out["h"]} == {6, 7}
        assert sum(pool.maps for pool in cleaned.calibration.pools.values()) == 22
        assert steepest(cleaned.calibration) < 2.0 * steepest(clean.calibration)


def test_noisy_good_maps_all_calibrate() -> None:
    for seed in range(4):
        kinds = [(mean, heavy) for mean in (100.0, 3000.0) for heavy in (False, True)]
        toys = [Toy(name=f"{mean} {heavy}", mean=mean, heavy=heavy, seed=seed) for mean, heavy in kinds]
        held = {t.name: t.draw_many(60, 50 + seed) for t in toys}
        known = {t.name: Expected(learn_reference(t.draw_many(8, 70 + seed), t.name).reference) for t in toys}
        assert not calibrate_models(held, known).left_out
