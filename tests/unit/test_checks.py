"""The classical checks: each formula against scipy or plain Python, and what they say of good and bad histograms."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from helpers import (
    bins_of,
    expect,
    good_intervals,
    make_interval,
    make_reference,
    poisson_map,
    profile_interval,
    smooth_rate,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from monitor.detect.base import DEFAULT_CHANCE, BinScorer, Expected, Finding, Settings
from monitor.detect.checks import Check, log_two_sided, sigmas_of
from monitor.detect.chi2 import LEAST, Chi2Check, groups, log_chi2_tail
from monitor.detect.drift import DriftCheck, log_of_best, moments
from monitor.detect.ks import KolmogorovCheck, log_kolmogorov
from monitor.judge.words import describe
from monitor.snapshot import Axis, FloatArray
from monitor.window import Interval

CHECKS = (Chi2Check, KolmogorovCheck, DriftCheck)
every_check = pytest.mark.parametrize("kind", CHECKS, ids=lambda kind: kind.name)
Kind = type[Check]
KNOWN = 1e9
"""Exposure of references that are known beyond doubt."""


def judge(kind: Kind, interval: Interval, expected: Expected, **options: Any) -> Finding:
    (finding,) = kind(Settings(options=options)).judge([interval], [expected])
    return finding


def known(rate: FloatArray, **changes: Any) -> Expected:
    return expect(rate, **({"exposure": KNOWN, "references": 10**6} | changes))


# Tails


@given(st.floats(0.0, 30.0))
def test_sigmas_are_those_of_the_normal_tail(sigmas: float) -> None:
    assert sigmas_of(float(stats.norm.logsf(sigmas))) == pytest.approx(sigmas, rel=1e-9, abs=1e-9)
    assert math.exp(log_two_sided(-sigmas)) == pytest.approx(2.0 * stats.norm.sf(sigmas), rel=1e-9)


@pytest.mark.parametrize("log_p", [-1e3, -1e6, -1e30, -1e60])
def test_sigmas_go_on_where_p_is_too_small_a_number(log_p: float) -> None:
    # z^2 / 2 is all that counts there, but for the logarithm of z.
    assert sigmas_of(log_p) == pytest.approx(math.sqrt(-2.0 * log_p), rel=1e-2)


def test_less_than_even_odds_are_no_deviation() -> None:
    assert sigmas_of(0.0) == sigmas_of(-0.1) == 0.0


@given(st.integers(1, 20_000), st.floats(-5.0, 34.0))
@settings(deadline=None)
def test_the_chi2_tail_is_that_of_scipy(freedom: int, sigmas: float) -> None:
    chi2 = max(0.0, freedom + sigmas * math.sqrt(2.0 * freedom))
    wanted = float(stats.chi2.logsf(chi2, freedom))
    assert log_chi2_tail(chi2, freedom) == pytest.approx(wanted, rel=1e-6, abs=1e-12)


@pytest.mark.parametrize("freedom", [1, 2, 99, 6434, 100_000, 4_000_000])
@pytest.mark.parametrize("times", [1.0, 1.01, 1.5, 100.0, 1e6])
def test_the_chi2_tail_goes_on_where_p_is_too_small_a_number(freedom: int, times: float) -> None:
    chi2 = times * float(stats.chi2.isf(1e-279, freedom))
    power = 0.5 * freedom - 1.0
    # The density falls off like an exponential of this length, at first.
    length = 1.0 / (0.5 - power / chi2)
    rest, _ = integrate.quad(
        lambda t: math.exp(power * math.log1p(length * t / chi2) - 0.5 * length * t), 0.0, 60.0, limit=200
    )
    log_density = float(stats.chi2.logpdf(chi2, freedom))
    assert log_chi2_tail(chi2, freedom) == pytest.approx(log_density + math.log(length * rest), rel=1e-8)


@pytest.mark.parametrize("statistic", [0.0, 0.1, 0.5, 1.0, 1.3581, 3.0, 4.99, 5.01, 10.0])
def test_the_kolmogorov_tail_is_that_of_scipy(statistic: float) -> None:
    wanted = float(stats.kstwobign.logsf(statistic))
    assert log_kolmogorov(statistic) == pytest.approx(wanted, rel=1e-9, abs=1e-12)


def test_the_kolmogorov_tail_goes_on_where_p_is_too_small_a_number() -> None:
    assert log_kolmogorov(100.0) == pytest.approx(math.log(2.0) - 20_000.0)


@pytest.mark.parametrize("p", [1.0, 0.9, 0.3, 1e-3, 1e-8, 1e-9, 1e-200])
@pytest.mark.parametrize("number", [1, 2, 4])
def test_the_best_of_several_is_less_of_a_surprise(p: float, number: int) -> None:
    wanted = -math.expm1(number * math.log1p(-p)) if p < 1 else 1.0
    assert math.exp(log_of_best(math.log(p), number)) == pytest.approx(wanted, rel=1e-6)


# chi2


@pytest.mark.parametrize("shape", [(40,), (12, 9)], ids=str)
def test_chi2_is_pearsons_where_the_reference_is_known(shape: tuple[int, ...]) -> None:
    rate = smooth_rate(shape, 60.0)
    contents = poisson_map(rate, 1, exposure=1.7)
    wanted = stats.chisquare(contents.ravel(), rate.ravel() * contents.sum() / rate.sum())
    finding = judge(Chi2Check, make_interval(contents), known(rate))
    assert finding.p_value == pytest.approx(float(wanted.pvalue), rel=1e-5)
    assert finding.exposure == pytest.approx(contents.sum() / rate.sum())
    assert finding.note == f"chi2 / degrees of freedom = {wanted.statistic:.4g} / {rate.size - 1}"


def test_chi2_is_that_of_two_samples_where_the_reference_is_one() -> None:
    rate = smooth_rate((40,), 60.0)
    contents, other = poisson_map(rate, 1), poisson_map(rate, 2, exposure=3.0)
    other[:2] = contents[0] = 0.0
    table = np.stack([contents, other])[:, 1:]
    wanted = stats.contingency.chi2_contingency(table, correction=False)
    # One unit of exposure is the reference; bin 1 is filled though it was empty, bin 0 empty in both and left out.
    expected = expect(other, live=other > 0, exposure=1.0, references=1)
    finding = judge(Chi2Check, make_interval(contents), expected)
    assert finding.p_value == pytest.approx(float(wanted.pvalue), rel=1e-9)
    assert finding.note.endswith(f"/ {wanted.dof}")


def test_chi2_scores_every_bin_by_its_pull() -> None:
    rate = smooth_rate((12, 9), 100.0)
    contents = poisson_map(rate, 1)
    contents[3, 4] = 0.0
    check = Chi2Check()
    assert isinstance(check, BinScorer)
    scores = check.bin_scores(make_interval(contents), known(rate))
    mu = rate * contents.sum() / rate.sum()
    np.testing.assert_allclose(scores, np.abs(contents - mu) / np.sqrt(mu), rtol=1e-6)
    assert np.unravel_index(scores.argmax(), scores.shape) == (3, 4)
    assert not check.bin_scores(make_interval(np.zeros((12, 9))), known(rate)).any()


def test_chi2_counts_the_learned_scatter_unless_it_is_told_not_to() -> None:
    rate = smooth_rate((50, 20), 4000.0)
    rng = np.random.default_rng(3)
    interval = make_interval(rng.poisson(rate * rng.normal(1.0, 0.05, rate.shape)))
    expected = known(rate, systematic=np.full(rate.shape, 0.05))
    assert judge(Chi2Check, interval, expected, systematic=0).bad
    pulls = (interval.contents - rate * (mean := interval.contents.sum() / rate.sum())) ** 2
    chi2 = float((pulls / (rate * mean + (0.05 * rate * mean) ** 2)).sum())
    finding = judge(Chi2Check, interval, expected)
    assert finding.p_value == pytest.approx(float(stats.chi2.sf(chi2, 999)), rel=1e-3)
    assert not finding.bad


def test_chi2_of_profiles_is_that_of_their_means() -> None:
    mean = smooth_rate((30,), 50.0)
    entries = np.full(30, 100.0)
    rng = np.random.default_rng(1)
    interval = profile_interval(mean + rng.normal(0.0, 0.5, 30), 5.0, entries)
    reference = make_reference(mean, profile=True, statistics="profile", spread=np.full(30, 5.0), references=4)
    chi2 = float((((interval.contents - mean) / 0.5) ** 2).sum()) / 1.25
    finding = judge(Chi2Check, interval, Expected(reference))
    # Nothing is scaled: as many degrees of freedom as bins.
    assert finding.p_value == pytest.approx(float(stats.chi2.sf(chi2, 30)), rel=1e-9)
    assert finding.exposure is None
    silent = profile_interval(mean, 5.0, np.where(np.arange(30) < 10, 0.0, 100.0))
    assert judge(Chi2Check, silent, Expected(reference)).note == "chi2 / degrees of freedom = 0 / 20"


# Kolmogorov and Smirnov


def slow_distance(contents: FloatArray, rate: FloatArray) -> float:
    """Largest distance of two cumulative distributions, bin by bin, x by x."""
    rows, wanted = contents.ravel().tolist(), rate.ravel().tolist()
    largest = f = g = 0.0
    for a, b in zip(rows, wanted, strict=True):
        f += a / sum(rows)
        g += b / sum(wanted)
        largest = max(largest, abs(f - g))
    return largest


@pytest.mark.parametrize("shape", [(60,), (12, 9)], ids=str)
@pytest.mark.parametrize("exposure", [0.5, 3.0, KNOWN])
def test_ks_is_the_largest_distance_of_two_samples(shape: tuple[int, ...], exposure: float) -> None:
    rate = smooth_rate(shape, 30.0)
    contents = poisson_map(rate, 4, exposure=0.8)
    n, many = contents.sum(), rate.sum() * exposure
    wanted = stats.kstwobign.sf(slow_distance(contents, rate) * math.sqrt(n * many / (n + many)))
    finding = judge(KolmogorovCheck, make_interval(contents), expect(rate, exposure=exposure))
    assert finding.p_value == pytest.approx(float(wanted), rel=1e-6)


def test_ks_of_fine_bins_is_the_test_of_the_entries_themselves() -> None:
    rng = np.random.default_rng(5)
    one, other = rng.normal(0.0, 1.0, 400), rng.normal(0.3, 1.0, 900)
    edges = np.linspace(-6.0, 6.0, 200_001)
    contents, rate = (np.histogram(sample, edges)[0].astype(float) for sample in (one, other))
    # scipy's own p-value takes the law of a finite sample.
    distance = stats.ks_2samp(one, other).statistic
    wanted = float(stats.kstwobign.sf(distance * math.sqrt(400 * 900 / 1300)))
    finding = judge(KolmogorovCheck, make_interval(contents), expect(rate, exposure=1.0))
    assert finding.p_value == pytest.approx(wanted, rel=1e-6)


def test_ks_takes_weights_for_fewer_entries() -> None:
    rate = smooth_rate((60,), 30.0)
    contents = poisson_map(rate, 4)
    weighted = make_interval(5.0 * contents, variances=25.0 * contents)
    plain = judge(KolmogorovCheck, make_interval(contents), known(rate))
    assert judge(KolmogorovCheck, weighted, known(rate)).p_value == pytest.approx(plain.p_value, rel=1e-6)


# Drift


def slow_moments(axis: Axis, contents: FloatArray, variances: FloatArray) -> list[float]:
    """Mean, its variance, RMS, its variance; the derivatives by each content taken in small steps."""
    edges = axis.bin_edges().tolist()

    def both(weights: list[float]) -> tuple[float, float]:
        total = sum(weights)
        mean = sum(w * (a + b) / 2 for w, a, b in zip(weights, edges[:-1], edges[1:], strict=True)) / total
        # The integral of (x - mean)^2 over a bin that is filled evenly.
        square = sum(
            w * ((b - mean) ** 3 - (a - mean) ** 3) / (3 * (b - a))
            for w, a, b in zip(weights, edges[:-1], edges[1:], strict=True)
        )
        return mean, math.sqrt(square / total)

    weights = contents.tolist()
    step = 1e-4 * sum(weights)
    of_mean = of_rms = 0.0
    for i, variance in enumerate(variances.tolist()):
        up, down = list(weights), list(weights)
        up[i] += step
        down[i] -= step
        slopes = [(u - d) / (2 * step) for u, d in zip(both(up), both(down), strict=True)]
        within = (edges[i + 1] - edges[i]) ** 2 / 12
        of_mean += variance * (slopes[0] ** 2 + within / sum(weights) ** 2)
        of_rms += variance * slopes[1] ** 2
    return [both(weights)[0], of_mean, both(weights)[1], of_rms]


@pytest.mark.parametrize("edges", [None, np.array([0.0, 1.0, 1.5, 4.0, 4.5, 8.0, 10.0, 11.0])], ids=["even", "own"])
def test_moments_and_their_errors_are_those_of_the_derivatives(edges: FloatArray | None) -> None:
    axis = Axis(7, 0.0, 14.0 if edges is None else 11.0, edges)
    contents = np.array([3.0, 0.0, 40.0, 70.0, 12.0, 9.0, 1.0])
    variances = np.array([3.0, 1.0, 80.0, 70.0, 6.0, 9.0, 1.0])
    (mean, of_mean), (rms, of_rms) = moments(axis, contents, variances)
    wanted = slow_moments(axis, contents, variances)
    assert [mean, of_mean, rms, of_rms] == pytest.approx(wanted, rel=1e-4)


def test_the_errors_of_counts_are_the_textbooks() -> None:
    axis = Axis(2000, -8.0, 8.0)
    contents = 5000.0 * np.diff(stats.norm.cdf(axis.bin_edges()))
    (_, of_mean), (rms, of_rms) = moments(axis, contents, contents)
    # s^2 / n and s^2 / 2 n.
    assert [of_mean, rms, of_rms] == pytest.approx([1 / 5000, 1.0, 1 / 10_000], rel=1e-3)


def test_drift_names_what_drifts_most() -> None:
    rate = smooth_rate((40, 30), 50.0)
    axes = (Axis(40, -2.0, 2.0), Axis(30, 0.0, 300.0))
    tilted = rate * np.linspace(0.8, 1.2, 30)
    interval = make_interval(np.round(tilted), axes=axes)
    finding = judge(DriftCheck, interval, known(rate))
    seen, wanted = interval.contents.sum(axis=0), rate.sum(axis=0)
    alike = wanted * seen.sum() / wanted.sum()
    (mean, of_mean), _ = moments(axes[1], seen, np.maximum(seen, alike))
    (other, _), _ = moments(axes[1], wanted, wanted)
    z = (mean - other) / math.sqrt(of_mean)
    assert finding.bad
    assert finding.note == f"mean y {mean:.4g}, expected {other:.4g} ({z:+.1f} sigma)"
    # Four numbers were looked at.
    assert finding.p_value == pytest.approx(4.0 * 2.0 * float(stats.norm.sf(z)), rel=1e-4)
    wider = make_interval(np.round(rate * (1.0 + 0.3 * np.abs(np.linspace(-1, 1, 40)))[:, None]), axes=axes)
    assert judge(DriftCheck, wider, known(rate)).note.startswith("RMS x ")


def test_the_reference_has_an_error_too() -> None:
    rate = smooth_rate((40,), 50.0)
    interval = make_interval(np.round(rate * np.linspace(0.9, 1.1, 40)))
    scores = [judge(DriftCheck, interval, expect(rate, exposure=e)).score for e in (KNOWN, 1.0, 0.1)]
    assert scores[0] > scores[1] > scores[2]


@every_check
@pytest.mark.parametrize("entries", [1.2, 12.0, 40.0, 150.0])
def test_few_entries_are_no_alarm(kind: Kind, entries: float) -> None:
    rate = smooth_rate((24, 16))
    rate *= entries / rate.sum()
    rng = np.random.default_rng(4)
    found = [judge(kind, make_interval(rng.poisson(rate).astype(float)), known(rate)) for _ in range(200)]
    assert not any(f.bad for f in found)
    if entries < 2:
        assert all(f.note in ("nothing to compare",) or f.note.endswith("judged from 30 on") for f in found)


@given(st.lists(st.floats(0.0, 20.0), min_size=1, max_size=60))
def test_terms_of_chi2_expect_enough_entries(entries: list[float]) -> None:
    group = groups(np.array(entries))
    assert set(group.tolist()) == set(range(group.max() + 1))
    expected = np.bincount(group, entries)
    assert len(expected) == 1 or expected.min() >= LEAST - 1e-9


@every_check
def test_what_differs_comes_first_and_no_content_is_named(kind: Kind) -> None:
    rate = smooth_rate((50,), 80.0)
    finding = judge(kind, make_interval(poisson_map(FAULTS["tilt"](rate), 3)), known(rate))
    assert describe(finding).startswith("shape differs: ")
    assert " seen" not in describe(finding)
    assert finding.headline.endswith(f"({finding.score:.1f} sigma)")


@every_check
def test_contents_that_cannot_be_squared_are_named(kind: Kind) -> None:
    with pytest.raises(ValueError, match="contents beyond 1e\\+60"):
        judge(kind, make_interval(np.full(6, 1e200)), expect(np.ones(6)))
    assert "judged from 30 on" in judge(kind, make_interval(np.full(6, 1e-300)), expect(np.ones(6))).note


# All of them


@every_check
@pytest.mark.parametrize("exposure", [KNOWN, 2.0], ids=["known", "two references"])
@pytest.mark.parametrize("shape", [(50,), (12, 9)], ids=str)
def test_good_histograms_have_p_values_as_they_should(kind: Kind, exposure: float, shape: tuple[int, ...]) -> None:
    truth = smooth_rate(shape, 80.0)
    rng = np.random.default_rng(11)
    p_values = []
    for interval in good_intervals(truth, 400, seed=3):
        rate = truth if exposure == KNOWN else rng.poisson(truth * exposure) / exposure
        p_values.append(judge(kind, interval, expect(rate, exposure=exposure)).p_value)
    found = np.array(p_values)
    if kind is not KolmogorovCheck:
        assert stats.kstest(found, "uniform").pvalue > 1e-3
    # Bins make p of the distance too large, never too small.
    for level in (0.01, 0.05, 0.2):
        assert float((found < level).mean()) < level + 4.0 * math.sqrt(level / 400)


FAULTS = {
    "tilt": lambda rate: rate * np.linspace(0.7, 1.3, len(rate)).reshape(-1, *[1] * (rate.ndim - 1)),
    "dead part": lambda rate: np.where(np.arange(rate.size).reshape(rate.shape) < rate.size // 5, 0.0, rate),
}


@every_check
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("shape", [(50,), (12, 9)], ids=str)
def test_a_changed_histogram_is_bad_as_a_whole(kind: Kind, fault: str, shape: tuple[int, ...]) -> None:
    rate = smooth_rate(shape, 80.0)
    contents = poisson_map(FAULTS[fault](rate), 3)
    finding = judge(kind, make_interval(contents), known(rate))
    assert finding.bad
    assert finding.p_value is not None
    assert finding.p_value < DEFAULT_CHANCE
    (shape_,) = finding.shapes
    assert shape_.kind == "map"
    assert bins_of(finding) == {tuple(int(i) for i in b) for b in np.ndindex(shape)}
    assert abs(shape_.significance) == finding.score
    assert shape_.observed == pytest.approx(shape_.expected)


@every_check
def test_another_exposure_is_no_change(kind: Kind) -> None:
    rate = smooth_rate((50,), 1000.0)
    scores = [judge(kind, make_interval(rate * e), known(rate)).score for e in (0.01, 1.0, 50.0)]
    assert scores == pytest.approx([0.0] * 3, abs=1e-6)


@every_check
def test_the_threshold_is_the_budgets_or_what_is_set(kind: Kind) -> None:
    rate = smooth_rate((50,), 400.0)
    interval = make_interval(np.round(rate * np.linspace(0.9, 1.1, 50)))
    (free,) = kind().judge([interval], [known(rate)])
    assert free.p_value is not None
    for settings_, bad in (
        (Settings(chance=free.p_value * 1.01), True),
        (Settings(chance=free.p_value * 0.99), False),
        (Settings({"p": free.p_value * 1.01}, chance=1e-300), True),
        (Settings({"p": free.p_value * 0.99}, chance=0.5), False),
        (Settings({"sigma": free.score * 0.99}, chance=1e-300), True),
        (Settings({"sigma": free.score * 1.01}, chance=0.5), False),
    ):
        assert kind(settings_).judge([interval], [known(rate)])[0].bad == bad


@every_check
@pytest.mark.parametrize("thresholds", [{"p": 1.5}, {"p": -0.1}, {"sigma": 0.0}, {"p": 0.1, "sigma": 3.0}], ids=str)
def test_thresholds_are_checked(kind: Kind, thresholds: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=f"detector '{kind.name}': (p|sigma) "):
        kind(Settings(thresholds))


@every_check
def test_names_that_are_not_known_are_refused(kind: Kind) -> None:
    with pytest.raises(ValueError, match=r"has no \['z'\]; options are systematic; thresholds are p, sigma"):
        kind(Settings({"z": 3.0}))
    with pytest.raises(ValueError, match="systematic '2', must be 0 or 1"):
        kind(Settings(options={"systematic": 2}))


@every_check
@pytest.mark.parametrize("contents", [np.zeros(20), -np.ones(20)], ids=["empty", "negative"])
def test_there_may_be_nothing_to_compare(kind: Kind, contents: FloatArray) -> None:
    finding = judge(kind, make_interval(contents), expect(np.full(20, 5.0)))
    assert (finding.bad, finding.score, finding.p_value, finding.exposure) == (False, 0.0, 1.0, 0.0)
    assert finding.note == "nothing to compare"
    assert not judge(kind, make_interval(np.ones(20)), expect(np.zeros(20))).bad


@pytest.mark.parametrize("kind", [Chi2Check, KolmogorovCheck], ids=lambda kind: kind.name)
def test_a_single_bin_has_no_shape(kind: Kind) -> None:
    assert judge(kind, make_interval(np.array([9000.0])), known(np.array([5.0]))).note == "nothing to compare"


@every_check
def test_a_bin_that_comes_alive_counts(kind: Kind) -> None:
    rate = smooth_rate((60,), 100.0)
    rate[50:] = 0.0
    contents = poisson_map(rate, 1)
    assert not judge(kind, make_interval(contents), known(rate)).bad
    contents[55] = 400.0
    finding = judge(kind, make_interval(contents), known(rate))
    assert finding.bad
    assert (55,) in bins_of(finding)


@every_check
def test_where_statistics_are_not_known_the_learned_scatter_is_the_error(kind: Kind) -> None:
    rate = smooth_rate((60,), 1.0)
    unknown = known(rate, statistics="rates", dispersion=0.0, systematic=np.full(60, 0.1))
    rng = np.random.default_rng(2)
    assert not judge(kind, make_interval(rate * rng.normal(1.0, 0.1, 60)), unknown).bad
    assert judge(kind, make_interval(rate * np.linspace(0.3, 1.7, 60)), unknown).bad
    exact = known(rate, statistics="rates", dispersion=0.0)
    assert judge(kind, make_interval(rate * np.linspace(0.3, 1.7, 60)), exact).p_value == 1.0


@every_check
def test_contents_that_are_no_numbers_are_refused(kind: Kind) -> None:
    with pytest.raises(ValueError, match=f"detector '{kind.name}': contents are NaN or infinite"):
        judge(kind, make_interval(np.array([1.0, np.nan])), expect(np.ones(2)))


@every_check
def test_models_are_not_asked(kind: Kind) -> None:
    class Model:
        def predict(self, maps: Any) -> Any:
            raise AssertionError("asked")

    rate = smooth_rate((20,), 100.0)
    expected = replace(expect(rate), predictor=Model())
    assert judge(kind, make_interval(poisson_map(rate, 1)), expected) == judge(
        kind, make_interval(poisson_map(rate, 1)), expect(rate)
    )
