"""The kernels of the expectation detector against plain numpy and the exact distributions of scipy."""

from __future__ import annotations

import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view
from scipy import stats

from monitor.detect import kernels
from monitor.kernel import address_of
from monitor.snapshot import FloatArray

SCALES = np.array([[1, 1], [3, 3], [1, 5], [4, 1], [1, 9], [12, 1], [2, 9]])
SHAPE = (12, 9)
SURE_DOF = 1e9
jitted = os.environ.get("NUMBA_DISABLE_JIT") != "1"


def planes_of(
    contents: FloatArray,
    rate: FloatArray,
    systematic: FloatArray,
    exposure: float = 1.0,
    dispersion: float = 1.0,
    total_exposure: float = 20.0,
    references: float = 20.0,
) -> FloatArray:
    """Deviation, variance and expected content. Shape: (3, bins)."""
    planes = np.full((3, contents.size), np.nan)
    kernels.count_planes(contents, rate, systematic, exposure, dispersion, total_exposure, references, *planes)
    return planes


def scanned(
    planes: FloatArray,
    systematic: FloatArray,
    coherent: float = 0.0,
    counts: bool = True,
    dof: float = SURE_DOF,
    worth: float = 0.0,
    scales: np.ndarray = SCALES,
) -> tuple[FloatArray, np.ndarray]:
    best, place = np.empty((1, len(scales))), np.empty((1, len(scales), 2), dtype=np.int64)
    kernels.scan(*planes[:, None], systematic, *SHAPE, scales, coherent, counts, dof, worth, best, place)
    return best[0], place[0]


def all_windows(
    planes: FloatArray, systematic: FloatArray, scale: np.ndarray, coherent: float, counts: bool, dof: float
) -> FloatArray:
    """The significance of every window of one scale, each summed on its own."""
    d, v, mu = (sliding_window_view(p.reshape(SHAPE), tuple(scale)).sum(axis=(2, 3)) for p in planes)
    common = (systematic.reshape(SHAPE) * mu) ** 2 if scale.prod() == 1 else (coherent * mu) ** 2
    total = v if scale.prod() == 1 else v + common
    cells = zip(d.ravel(), total.ravel(), mu.ravel(), common.ravel(), strict=True)
    return np.array([kernels.significance(*c[:3], counts, c[3], dof) for c in cells]).reshape(d.shape)


def random_map(seed: int, mean: float) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Contents with a fault or two, rate with bins that are not expected, systematic."""
    rng = np.random.default_rng(seed)
    rate = rng.gamma(4.0, mean / 4.0, SHAPE) * (rng.random(SHAPE) < 0.85)
    contents = rng.poisson(rate).astype(float)
    contents[rng.integers(12), rng.integers(9)] *= 3
    if seed % 2:
        contents[rng.integers(12), :] *= 0.5
    return contents.ravel(), rate.ravel(), rng.uniform(0.0, 0.05, rate.size)


# Planes


def test_planes_are_what_the_formulas_say() -> None:
    contents, rate, systematic = random_map(1, 50.0)
    deviation, variance, expected = planes_of(contents, rate, systematic, 2.0, 1.7, 10.0, 5.0)
    mu = 2.0 * rate
    live = rate > 0
    np.testing.assert_allclose(expected, mu, rtol=1e-13)
    np.testing.assert_allclose(deviation, np.where(live, contents - mu, 0.0), rtol=1e-13)
    np.testing.assert_allclose(variance, 1.7 * mu * (1 + 2.0 / 10.0) + (systematic * mu) ** 2 * (1 + 1 / 5), rtol=1e-12)


def test_bins_of_rate_0_count_for_nothing_whatever_they_hold() -> None:
    contents, rate, systematic = random_map(1, 50.0)
    contents[rate == 0] = 1e9
    assert (planes_of(contents, rate, systematic)[:, rate == 0] == 0.0).all()


# Significance


def exact(x: float, mu: float) -> float:
    """The normal quantile of the exact Poisson tail, half of the bin itself counted (mid-p)."""
    own = 0.5 * stats.poisson.pmf(x, mu)
    if x < mu:
        return float(stats.norm.ppf(stats.poisson.cdf(x - 1, mu) + own))
    return float(stats.norm.isf(stats.poisson.sf(x, mu) + own))


@pytest.mark.parametrize(
    ("mu", "tolerance"), [(2.0, 0.4), (5.0, 0.4), (10.0, 0.35), (20.0, 0.3), (100.0, 0.03), (1e3, 0.01), (1e4, 0.005)]
)
def test_counts_have_the_significance_of_the_exact_poisson_tail(mu: float, tolerance: float) -> None:
    for x in np.unique(np.round(np.clip(mu + np.linspace(-8, 10, 120) * np.sqrt(mu), 0, None))):
        wanted = exact(x, mu)
        if abs(wanted) < 9.0:
            assert kernels.significance(x - mu, mu, mu, True, 0.0, SURE_DOF) == pytest.approx(wanted, abs=tolerance)


@pytest.mark.parametrize("mu", [0.0005, 0.002, 0.01, 0.1, 0.5, 2.0, 5.0, 20.0])
def test_an_excess_of_few_counts_is_not_called_much_too_significant(mu: float) -> None:
    """Where little is expected a count or two must not be an alarm by themselves."""
    for x in range(int(np.ceil(mu)), int(mu + 12 * np.sqrt(mu)) + 3):
        wanted = exact(x, mu)
        if wanted < 20.0:
            assert kernels.significance(x - mu, mu, mu, True, 0.0, SURE_DOF) < wanted + 0.5, (mu, x)


@pytest.mark.parametrize("counts", [True, False])
@pytest.mark.parametrize("pull", [-8.0, -3.0, -1.0, 0.0, 0.5, 2.0, 7.0])
def test_much_content_is_gaussian(counts: bool, pull: float) -> None:
    mu = 1e12
    found = kernels.significance(pull * np.sqrt(mu), mu, mu, counts, 0.0, SURE_DOF)
    assert found == pytest.approx(pull, abs=1e-4)


def test_a_systematic_that_is_well_known_is_gaussian_too() -> None:
    mu, systematic = 1e8, 0.01
    variance = mu + (systematic * mu) ** 2
    for pull in (-5.0, 5.0):
        found = kernels.significance(pull * np.sqrt(variance), variance, mu, False, variance - mu, SURE_DOF)
        assert found == pytest.approx(pull, rel=0.02)


@pytest.mark.parametrize("dof", [2.0, 4.0, 10.0, 100.0])
@pytest.mark.parametrize("pull", [-1.5, -3.0, -5.0, -10.0])
def test_a_systematic_of_few_degrees_of_freedom_follows_t(dof: float, pull: float) -> None:
    found = kernels.significance(pull, 1.0, 0.0, False, 1.0, dof)
    assert found == pytest.approx(stats.norm.ppf(stats.t.cdf(pull, dof)), rel=0.03)


def test_only_the_systematics_share_has_few_degrees_of_freedom() -> None:
    wanted = stats.norm.ppf(stats.t.cdf(-6.0, 4.0 * (1.0 / 0.2) ** 2))
    assert kernels.significance(-6.0, 1.0, 0.0, False, 0.2, 4.0) == pytest.approx(wanted, rel=0.01)


@pytest.mark.parametrize("shape", [3.0, 10.0, 100.0])
def test_an_excess_of_a_mean_follows_the_gamma_distribution(shape: float) -> None:
    for pull in (1.5, 3.0, 5.0, 8.0):
        excess = pull / np.sqrt(shape)
        wanted = stats.norm.isf(stats.gamma.sf(1.0 + excess, shape, scale=1.0 / shape))
        assert kernels.significance(excess, 1.0 / shape, 1.0, False, 0.0, SURE_DOF) == pytest.approx(wanted, rel=0.03)


def test_no_variance_is_no_significance() -> None:
    assert kernels.significance(5.0, 0.0, 0.0, True, 0.0, SURE_DOF) == 0.0
    assert kernels.significance(5.0, -1e-12, 0.0, True, 0.0, SURE_DOF) == 0.0


@given(
    st.floats(-1e6, 1e6),
    st.floats(1e-6, 1e6),
    st.one_of(st.just(0.0), st.floats(1e-40, 1e6)),
    st.booleans(),
    st.floats(0, 1),
    st.floats(1, 1e9),
)
@settings(max_examples=300, deadline=None)
def test_it_has_the_sign_of_the_deviation_and_is_finite(
    deviation: float, variance: float, expected: float, counts: bool, share: float, dof: float
) -> None:
    found = kernels.significance(max(deviation, -expected), variance, expected, counts, share * variance, dof)
    assert np.isfinite(found)
    assert found * deviation >= 0.0 or abs(found) < 0.5


# Scan


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("mean", [1.0, 30.0, 2000.0])
def test_the_scan_finds_what_summing_every_window_finds(seed: int, mean: float) -> None:
    contents, rate, systematic = random_map(seed, mean)
    coherent, dof = (0.0, 0.01)[seed % 2], (SURE_DOF, 8.0)[seed % 3 == 0]
    planes = planes_of(contents, rate, systematic)
    best, place = scanned(planes, systematic, coherent, dof=dof)
    for scale, z, (x, y) in zip(SCALES, best, place, strict=True):
        every = all_windows(planes, systematic, scale, coherent, True, dof)
        assert abs(z) == pytest.approx(np.abs(every).max(), rel=1e-9)
        assert z == pytest.approx(every[x, y], rel=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_the_scan_of_means_finds_the_same_too(seed: int) -> None:
    rng = np.random.default_rng(seed)
    weight = rng.gamma(2.0, 50.0, np.prod(SHAPE)) * (rng.random(np.prod(SHAPE)) < 0.9)
    planes = np.stack([weight * rng.normal(0.0, 0.2, weight.size), weight, weight * 5.0])
    nothing = np.zeros(weight.size)
    best, _ = scanned(planes, nothing, 0.002, counts=False)
    for scale, z in zip(SCALES, best, strict=True):
        every = all_windows(planes, nothing, scale, 0.002, False, SURE_DOF)
        assert abs(z) == pytest.approx(np.abs(every).max(), rel=1e-9)


@pytest.mark.parametrize("seed", range(6))
def test_what_is_worth_a_look_is_found_as_if_all_were(seed: int) -> None:
    contents, rate, systematic = random_map(seed, 30.0)
    planes = planes_of(contents, rate, systematic)
    every, _ = scanned(planes, systematic)
    for worth in (3.0, 5.0, 8.0):
        best, _ = scanned(planes, systematic, worth=worth)
        above = np.abs(every) >= worth
        np.testing.assert_array_equal(np.abs(best) >= worth, above)
        np.testing.assert_allclose(best[above], every[above])


def test_windows_without_expectation_are_nothing() -> None:
    contents, rate, systematic = random_map(2, 30.0)
    rate.reshape(SHAPE)[:6] = 0.0
    contents.reshape(SHAPE)[:6] = 1e6
    planes = planes_of(contents, rate, systematic)
    best, place = scanned(planes, systematic)
    assert np.abs(best).max() < 50.0
    assert (place[[0, 1, 2, 4, 6], 0] + SCALES[[0, 1, 2, 4, 6], 0] > 6).all()
    best, _ = scanned(np.zeros_like(planes), systematic)
    np.testing.assert_array_equal(best, 0.0)


def test_maps_are_scanned_each_on_its_own() -> None:
    maps = [planes_of(*random_map(seed, 30.0)) for seed in range(3)]
    systematic = np.zeros(maps[0].shape[1])
    best, place = np.empty((3, len(SCALES))), np.empty((3, len(SCALES), 2), dtype=np.int64)
    kernels.scan(*np.stack(maps, axis=1), systematic, *SHAPE, SCALES, 0.0, True, SURE_DOF, 0.0, best, place)
    for one, found in zip(maps, best, strict=True):
        np.testing.assert_array_equal(scanned(one, systematic)[0], found)


def test_the_chance_counts_all_windows() -> None:
    best = np.array([4.0, -6.0])
    scales = np.array([[1, 1], [3, 9]])
    # 108 bins and 10 windows of 3 x 9, on two scales.
    wanted = 2 * min(108 * 2 * stats.norm.sf(4.0), 10 * 2 * stats.norm.sf(6.0))
    assert kernels.look_elsewhere(best, *SHAPE, scales) == pytest.approx(wanted, rel=1e-9)
    assert kernels.look_elsewhere(np.zeros(2), *SHAPE, scales) == 1.0


# To and from a model


def test_maps_are_shown_per_exposure() -> None:
    maps = np.random.default_rng(0).poisson(50.0, (3, 8)).astype(float)
    fallback, out = np.arange(8.0), np.empty((3, 8), dtype=np.float32)
    kernels.per_exposure(maps, np.array([2.0, 0.0, 0.5]), fallback, out)
    np.testing.assert_allclose(out, [maps[0] / 2.0, fallback, maps[2] / 0.5], rtol=1e-6)


def test_answers_of_a_model_are_brought_into_bounds() -> None:
    predicted = np.array([[90.0, 1.0, -5.0, 7.0]], dtype=np.float32)
    rate, live = np.array([100.0, 100.0, 100.0, 100.0]), np.array([True, True, True, False])
    out = np.empty((1, 4))
    kernels.clean_rates(predicted, rate, live, True, out)
    np.testing.assert_array_equal(out, [[90.0, 10.0, 10.0, 0.0]])
    kernels.clean_rates(predicted, rate, live, False, out)
    np.testing.assert_array_equal(out, [[90.0, 1.0, -5.0, 0.0]])


@pytest.mark.parametrize(
    "array", [np.zeros(4, dtype=np.float32), np.zeros((4, 4))[:, 1], np.asfortranarray(np.zeros((3, 4)))]
)
def test_an_address_is_given_only_of_what_a_kernel_would_read_right(array: np.ndarray) -> None:
    with pytest.raises(ValueError, match="C-contiguous"):
        address_of(array, np.float64)


@pytest.mark.skipif(not jitted, reason="nothing is compiled with NUMBA_DISABLE_JIT=1")
def test_every_kernel_is_compiled_at_import_for_the_signatures_it_names() -> None:
    for name in ("count_planes", "scan", "significance", "look_elsewhere", "per_exposure", "clean_rates"):
        kernel = getattr(kernels, name)
        assert len(kernel.signatures) == 1, name
        assert not kernel._can_compile, name
