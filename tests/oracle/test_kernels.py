"""The scans of the expectation detector against windows that plain numpy sums one by one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scanning import SHAPES, SURE_DOF, Case, assert_finds, random_case, scanned, scanned_without, slow_scan

from monitor.detect import kernels
from monitor.detect.significance import significance
from monitor.infer import windows_of

# Planes


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 2**32 - 1))
@settings(max_examples=50, deadline=None)
def test_running_sums_are_those_of_numpy(nx: int, ny: int, seed: int) -> None:
    plane = np.random.default_rng(seed).normal(size=(nx, ny))
    sums = np.full((nx + 1, ny + 1), np.nan)
    kernels.running_sums(plane.ravel(), nx, ny, sums)
    np.testing.assert_allclose(sums[1:, 1:], plane.cumsum(axis=0).cumsum(axis=1), rtol=1e-9, atol=1e-12)
    assert not sums[0].any()
    assert not sums[:, 0].any()


@pytest.mark.parametrize("logarithmic", [False, True])
def test_deviations_are_what_the_formulas_say(logarithmic: bool) -> None:
    rng = np.random.default_rng(1)
    rate = rng.gamma(2.0, 5.0, 200) * (rng.random(200) < 0.8)
    live = rate > 0
    contents = rng.poisson(2.0 * rate).astype(float)
    contents[:20] = 0.0
    # What stands in bins that are not expected does not count here.
    contents[~live] = 1e9
    deviation = np.full(200, np.nan)
    silent = kernels.deviations(contents, rate, 2.0, logarithmic, live, deviation)
    mu = 2.0 * np.where(live, rate, 1.0)
    wanted = mu * np.log(np.maximum(contents / mu, kernels.LOG_FLOOR)) if logarithmic else contents - mu
    np.testing.assert_allclose(deviation, np.where(live, wanted, 0.0), rtol=1e-12, atol=1e-12)
    assert silent == int((live & (contents == 0)).sum())


def test_the_log_domain_agrees_with_the_other_where_a_change_is_small() -> None:
    rate, live = np.full(3, 100.0), np.ones(3, dtype=bool)
    found = np.empty(3)
    kernels.deviations(np.array([99.9, 100.0, 100.1]), rate, 1.0, True, live, found)
    np.testing.assert_allclose(found, [-0.1, 0.0, 0.1], atol=1e-4)


# Scan of sums


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("mean", [1.0, 30.0, 3000.0])
def test_the_scan_of_sums_finds_what_summing_every_window_finds(shape: tuple[int, ...], seed: int, mean: float) -> None:
    case = random_case(shape, seed, mean, ("counts", "sums", "binomial", "rates")[seed])
    for close in (0.5, 1.5, kernels.CLOSE):
        best, place = scanned(case, close)
        assert_finds(best, place, slow_scan(case, close))


@pytest.mark.parametrize("seed", range(4))
def test_what_is_beyond_a_threshold_is_found_whatever_is_looked_at(seed: int) -> None:
    """A window within `CLOSE` by its pull must not be beyond the least threshold by its exact significance."""
    case = random_case((13, 10), seed, 5.0)
    every, _ = scanned(case, 0.5)
    quick, _ = scanned(case, kernels.CLOSE)
    beyond = np.abs(every) >= kernels.CLOSE * np.sqrt(2.0)
    np.testing.assert_array_equal(quick[beyond], every[beyond])


@pytest.mark.parametrize("mu", [0.3, 2.0, 10.0, 30.0, 49.0, 51.0, 400.0])
def test_no_significance_exceeds_what_the_scan_takes_for_granted(mu: float) -> None:
    """The scan passes windows over by their pulls: a deficit's z^2 is at most twice, an excess's at most once that."""
    for x in np.unique(np.round(np.clip(mu + np.linspace(-8.0, 40.0, 300) * np.sqrt(mu), 0.0, None))):
        pull = (x - mu) / np.sqrt(mu)
        z = significance(x - mu, mu, mu, True, 0.0, SURE_DOF)
        assert z * z <= (2.0 if x < mu else 1.0) * pull * pull * 1.001


def test_bins_that_hold_what_nobody_expects_are_not_scanned() -> None:
    case = random_case((13, 10), 2)
    contents = np.where(case.reference.live.ravel(), case.contents, 1e9)
    np.testing.assert_array_equal(scanned(replace(case, contents=contents), 0.5)[0], scanned(case, 0.5)[0])


def test_a_map_without_any_expectation_has_nothing_significant() -> None:
    case = random_case((13, 10), 2)
    empty = Case(
        replace(case.reference, rate=np.zeros((13, 10)), live=np.zeros((13, 10), dtype=bool)),
        *(
            np.full(130, 7.0),
            np.zeros(130),
            1.0,
        ),
    )
    np.testing.assert_array_equal(scanned(empty, 0.5)[0], 0.0)
    np.testing.assert_array_equal(scanned_without(empty, np.zeros(130, dtype=bool))[0], 0.0)


# Scan where some bins are left out


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5])
def test_the_scan_without_bins_finds_what_summing_every_window_finds(
    shape: tuple[int, ...], seed: int, share: float
) -> None:
    case = random_case(shape, seed, 30.0, ("counts", "sums", "binomial", "rates")[seed])
    wrong = np.random.default_rng(seed).random(case.contents.size) < share
    best, raw, place = scanned_without(case, wrong)
    assert_finds(best, place, slow_scan(case, 1.0, wrong, smallest=0.5))
    # Of the same windows, as if their systematic were known well.
    known = slow_scan(case, 1.0, wrong, smallest=0.5, raw=True)
    for z, (x, y), every in zip(raw, place, known, strict=True):
        assert z == pytest.approx(every[x, y], rel=1e-6)
    assert (np.abs(raw) >= np.abs(best) * (1.0 - 1e-9)).all()


def test_where_nothing_is_left_out_both_scans_agree() -> None:
    for seed in range(4):
        case = random_case((24, 9), seed)
        best, place = scanned(case, 1.0)
        again, _, there = scanned_without(case, np.zeros(case.contents.size, dtype=bool))
        np.testing.assert_allclose(again, best, rtol=1e-6)
        np.testing.assert_array_equal(there, place)


def test_a_fault_that_is_left_out_is_not_found_again() -> None:
    case = random_case((24, 9), 4, 3000.0)
    contents = (case.exposure * case.rate).round().reshape(24, 9)
    contents[5:8, 2:6] *= 0.5
    wrong = np.zeros((24, 9), dtype=bool)
    wrong[5:8, 2:6] = True
    faulty = replace(case, contents=contents.ravel())
    assert np.abs(scanned_without(faulty, np.zeros(216, dtype=bool))[0]).max() > 5.0
    # Rounding is all that is left.
    assert np.abs(scanned_without(faulty, wrong.ravel())[0]).max() < 1.0


# Scan of means


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("seed", range(4))
def test_the_scan_of_means_finds_what_summing_every_window_finds(shape: tuple[int, ...], seed: int) -> None:
    rng = np.random.default_rng([seed, *shape])
    every = windows_of(shape)
    bins = int(np.prod(shape))
    judged = rng.random(bins) < 0.9
    weight = rng.gamma(2.0, 50.0, bins) * judged
    planes = (weight * rng.normal(0.0, 0.5, bins), weight, weight * rng.uniform(1.0, 5.0, bins))
    systematic = rng.uniform(0.0, 0.05, bins)
    coherent, dof = rng.uniform(0.0, 0.01, len(every.names)), rng.choice([2.5, 8.0, SURE_DOF], len(every.names))
    best, place = np.full(len(every.names), np.nan), np.full((len(every.names), 2), -1)
    kernels.scan_means(*planes, systematic, *every.shape, every.sizes, coherent, dof, True, best, place)
    wanted = []
    for k in range(len(every.names)):
        d, v, mu = (every.sums(plane, k) for plane in planes)
        common = (systematic * mu) ** 2 if k == 0 else (coherent[k] * mu) ** 2
        total = v if k == 0 else v + common
        z = [
            significance(*one, False, float(c), float(dof[k])) if one[1] > 0 else 0.0
            for one, c in zip(zip(d.tolist(), total.tolist(), mu.tolist(), strict=True), common, strict=True)
        ]
        wx, wy = every.sizes[k]
        wanted.append(np.array(z).reshape(every.shape[0] - wx + 1, every.shape[1] - wy + 1))
    assert_finds(best, place, wanted)


def test_bins_of_a_profile_that_do_not_count_are_nothing() -> None:
    every = windows_of((13, 10))
    nothing = np.zeros(130)
    best, place = np.full(len(every.names), np.nan), np.full((len(every.names), 2), -1)
    coherent, dof = np.zeros(len(every.names)), np.full(len(every.names), SURE_DOF)
    kernels.scan_means(nothing, nothing, nothing, nothing, 13, 10, every.sizes, coherent, dof, True, best, place)
    np.testing.assert_array_equal(best, 0.0)
