"""The significance of a sum against the exact distributions of scipy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import special, stats

from monitor.detect.significance import EXACT_BELOW, significance
from monitor.detect.tails import lower_gamma, poisson_sigmas, sigmas_of, upper_gamma

SURE_DOF = 1e9


def exact(x: float, mu: float) -> float:
    """The normal quantile of the Poisson tail that includes x itself."""
    if x >= mu:
        return max(0.0, float(stats.norm.isf(stats.poisson.sf(x - 1, mu))))
    return min(0.0, float(stats.norm.ppf(stats.poisson.cdf(x, mu))))


def around(mu: float, low: float = -8.0, high: float = 12.0) -> list[float]:
    """Whole numbers about mu, in its standard deviations."""
    found = np.unique(np.round(np.clip(mu + np.linspace(low, high, 150) * np.sqrt(mu), 0.0, None)))
    return [float(x) for x in found]


# Tails


@pytest.mark.parametrize("a", [0.5, 1.0, 3.0, 20.0, 60.0])
@pytest.mark.parametrize("ratio", [0.01, 0.3, 0.9, 1.5, 3.0])
def test_incomplete_gamma_functions_are_those_of_scipy(a: float, ratio: float) -> None:
    x = a * ratio
    assert upper_gamma(a, x) == pytest.approx(special.gammaincc(a, x), rel=1e-9)
    if x < a + 1:
        assert lower_gamma(a, x) == pytest.approx(special.gammainc(a, x), rel=1e-9)


@pytest.mark.parametrize("z", [0.1, 1.0, 3.0, 6.0, 12.0, 30.0, 37.0])
def test_a_chance_gives_the_standard_deviations_that_it_came_from(z: float) -> None:
    assert sigmas_of(stats.norm.sf(z)) == pytest.approx(z, rel=1e-9)


def test_even_chances_are_none() -> None:
    assert sigmas_of(0.5) == sigmas_of(1.0) == 0.0
    assert 36.0 < sigmas_of(0.0) < 38.0


# Counts


@pytest.mark.parametrize("mu", [0.0005, 0.01, 0.1, 0.5, 2.0, 5.0, 9.9, 20.0, 35.0, 49.9])
def test_few_counts_have_the_significance_of_the_exact_poisson_tail(mu: float) -> None:
    assert mu < EXACT_BELOW
    for x in around(mu):
        if abs(x - mu) < np.sqrt(mu):
            continue
        found = significance(x - mu, mu, mu, True, 0.0, SURE_DOF)
        wanted = exact(x, mu)
        assert found == pytest.approx(wanted, rel=1e-6, abs=1e-9), x
        assert found == pytest.approx(poisson_sigmas(x, mu), rel=1e-9)


@pytest.mark.parametrize(("mu", "tolerance"), [(50.0, 0.2), (100.0, 0.09), (1e3, 0.02), (1e4, 0.007)])
def test_many_counts_have_it_nearly(mu: float, tolerance: float) -> None:
    for x in around(mu):
        if abs(x - mu) / np.sqrt(mu) >= 1.0 and abs(wanted := exact(x, mu)) < 9.0:
            assert significance(x - mu, mu, mu, True, 0.0, SURE_DOF) == pytest.approx(wanted, abs=tolerance)


def test_a_dead_bin_is_as_significant_as_its_chance() -> None:
    """The recipe, step 6: the deviance says 6.3 where 20 are expected, the exact tail 5.9 (with both halves of it)."""
    found = -significance(-20.0, 20.0, 20.0, True, 0.0, SURE_DOF)
    assert stats.norm.sf(found) == pytest.approx(np.exp(-20.0), rel=1e-9)


@given(st.floats(0.1, 1e5), st.floats(-8.0, 12.0), st.floats(0.01, 100.0))
@settings(max_examples=200, deadline=None)
def test_a_scaled_sum_is_worth_as_many_entries_as_its_variance_says(mu: float, pull: float, weight: float) -> None:
    """A sum of w-fold weights is one of counts, w times as large."""
    # Where one formula gives way to the next, rounding decides.
    assume(abs(abs(pull) - 1.0) > 1e-6)
    assume(abs(mu - EXACT_BELOW) > 1e-6)
    deviation = max(pull * np.sqrt(mu), -mu)
    plain = significance(deviation, mu, mu, True, 0.0, SURE_DOF)
    scaled = significance(weight * deviation, weight**2 * mu, weight * mu, True, 0.0, SURE_DOF)
    assert scaled == pytest.approx(plain, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("counts", [True, False])
@pytest.mark.parametrize("pull", [-8.0, -3.0, -1.0, 0.0, 0.5, 2.0, 7.0])
def test_much_content_is_gaussian(counts: bool, pull: float) -> None:
    mu = 1e12
    found = significance(pull * np.sqrt(mu), mu, mu, counts, 0.0, SURE_DOF)
    assert found == pytest.approx(pull, abs=1e-4)


@given(st.floats(0.01, 1e6), st.floats(-9.0, 40.0), st.floats(0.01, 5.0), st.booleans(), st.floats(0.0, 1.0))
@settings(max_examples=300, deadline=None)
def test_a_larger_deviation_is_no_less_significant(
    mu: float, pull: float, more: float, counts: bool, share: float
) -> None:
    """From two standard deviations on: below, tails of few counts and pulls are not told apart."""
    assume(abs(pull) > 2.0)
    further = pull + np.sign(pull) * more
    one, two = (significance(max(p * np.sqrt(mu), -mu), mu, mu, counts, share * mu, 5.0) for p in (pull, further))
    # Where the exact tail gives way to the deviance the two differ by a hundredth.
    assert abs(two) >= abs(one) - 0.1
    assert one * pull >= 0.0


# A systematic that is known by few references


def test_a_systematic_that_is_well_known_is_gaussian_too() -> None:
    mu, systematic = 1e8, 0.01
    variance = mu + (systematic * mu) ** 2
    for pull in (-5.0, 5.0):
        found = significance(pull * np.sqrt(variance), variance, mu, False, variance - mu, SURE_DOF)
        assert found == pytest.approx(pull, rel=0.02)


@pytest.mark.parametrize("dof", [2.0, 4.0, 10.0, 100.0])
@pytest.mark.parametrize("pull", [-1.5, -3.0, -5.0, -10.0])
def test_a_systematic_of_few_degrees_of_freedom_follows_t(dof: float, pull: float) -> None:
    found = significance(pull, 1.0, 0.0, False, 1.0, dof)
    assert found == pytest.approx(stats.norm.ppf(stats.t.cdf(pull, dof)), rel=0.03)


def test_only_the_systematics_share_has_few_degrees_of_freedom() -> None:
    wanted = stats.norm.ppf(stats.t.cdf(-6.0, 4.0 * (1.0 / 0.2) ** 2))
    assert significance(-6.0, 1.0, 0.0, False, 0.2, 4.0) == pytest.approx(wanted, rel=0.01)


def test_statistics_stay_exact_where_a_small_systematic_is_badly_known() -> None:
    wanted = exact(0.0, 20.0)
    assert significance(-20.0, 20.0, 20.0, True, 0.02, 2.0) == pytest.approx(wanted, rel=1e-3)


@given(st.floats(-20.0, 40.0), st.floats(1.0, 1e4), st.floats(0.0, 1.0), st.booleans())
@settings(max_examples=200, deadline=None)
def test_fewer_degrees_of_freedom_make_nothing_more_significant(
    pull: float, dof: float, share: float, counts: bool
) -> None:
    mu = 1000.0
    sure, unsure = (significance(max(pull * np.sqrt(mu), -mu), mu, mu, counts, share * mu, d) for d in (SURE_DOF, dof))
    assert abs(unsure) <= abs(sure) * (1.0 + 1e-9)


# Means


@pytest.mark.parametrize("shape", [3.0, 10.0, 100.0])
def test_an_excess_of_a_mean_follows_the_gamma_distribution(shape: float) -> None:
    for pull in (1.5, 3.0, 5.0, 8.0):
        excess = pull / np.sqrt(shape)
        wanted = stats.norm.isf(stats.gamma.sf(1.0 + excess, shape, scale=1.0 / shape))
        assert significance(excess, 1.0 / shape, 1.0, False, 0.0, SURE_DOF) == pytest.approx(wanted, rel=0.03)


@pytest.mark.parametrize("pull", [-1.5, -3.0, -6.0])
def test_a_deficit_of_a_mean_is_its_pull(pull: float) -> None:
    assert significance(pull, 1.0, 100.0, False, 0.0, SURE_DOF) == pull


# Whatever it is given


def test_no_variance_is_no_significance() -> None:
    assert significance(5.0, 0.0, 0.0, True, 0.0, SURE_DOF) == 0.0
    assert significance(5.0, -1e-12, 0.0, True, 0.0, SURE_DOF) == 0.0


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
    found = significance(max(deviation, -expected), variance, expected, counts, share * variance, dof)
    assert np.isfinite(found)
    assert found * deviation >= 0.0 or abs(found) < 0.5
