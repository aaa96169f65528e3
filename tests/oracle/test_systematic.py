"""What learning calls statistics, systematic and dispersion, against samples whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from monitor.learn.reference import _fit_dispersion, learn_reference, moderated_systematic
from monitor.snapshot import Axis, FloatArray, Kind
from monitor.window import Interval, State

BINS = 2000


def sample(mu: float, systematic: float, references: int, weight: float = 1.0, seed: int = 0) -> FloatArray:
    """Contents of bins whose response differs from reference to reference. Shape: (references, bins)."""
    rng = np.random.default_rng(seed)
    truth = mu * rng.normal(1.0, systematic, (references, BINS))
    return weight * rng.poisson(np.maximum(truth, 0.0) / weight)


def systematic_of(contents: FloatArray, mu: float) -> tuple[FloatArray, float]:
    expected = np.broadcast_to(contents.mean(axis=0), contents.shape)
    ones = np.ones(contents.shape)
    return moderated_systematic(contents, expected, np.full(contents.shape, mu), np.ones(len(contents)), ones)


@pytest.mark.parametrize("references", [5, 20, 50])
def test_a_scatter_of_responses_is_recovered(references: int) -> None:
    found, degrees = systematic_of(sample(5000.0, 0.025, references), 5000.0)
    assert np.median(found) == pytest.approx(0.025, rel=0.06)
    # All bins scatter alike, so what one bin shows says little against all the others.
    assert np.quantile(found, 0.99) < 0.035
    assert degrees > 10 * references


def test_pure_statistics_leave_no_systematic() -> None:
    found, _ = systematic_of(sample(5000.0, 0.0, 20), 5000.0)
    assert np.median(found) < 0.003
    assert found.max() < 0.01


def test_a_bin_of_its_own_kind_keeps_its_own_scatter() -> None:
    contents = sample(5000.0, 0.01, 20)
    contents[:, :5] = sample(5000.0, 0.3, 20, seed=1)[:, :5]
    found, _ = systematic_of(contents, 5000.0)
    np.testing.assert_allclose(found[:5], 0.3, rtol=0.5)
    assert np.median(found) == pytest.approx(0.01, rel=0.1)


def test_bins_that_differ_have_few_degrees_of_freedom() -> None:
    rng = np.random.default_rng(3)
    own = 0.02 * np.exp(rng.normal(0.0, 1.0, BINS))
    contents = rng.poisson(5e4 * np.maximum(rng.normal(1.0, own, (20, BINS)), 0.0)).astype(float)
    found, degrees = systematic_of(contents, 5e4)
    assert degrees < 25
    assert np.corrcoef(np.log(found + 1e-4), np.log(own))[0, 1] > 0.8


def test_left_out_entries_do_not_count() -> None:
    contents = sample(5000.0, 0.0, 20)
    contents[3, ::2] *= 5
    weight = np.ones(contents.shape)
    weight[3, ::2] = 0.0
    mean = (weight * contents).sum(axis=0) / weight.sum(axis=0)
    expected = np.broadcast_to(mean, contents.shape)
    found, _ = moderated_systematic(contents, expected, expected, np.ones(20), weight)
    assert np.median(found) < 0.003


@pytest.mark.parametrize(("weight", "systematic"), [(1.0, 0.0), (2.75, 0.025), (40.0, 0.0)])
def test_the_dispersion_of_weighted_sums_is_recovered(weight: float, systematic: float) -> None:
    rng = np.random.default_rng(4)
    rate = np.geomspace(20.0, 20_000.0, BINS) * weight
    truth = rate * rng.normal(1.0, systematic, (20, BINS))
    contents = weight * rng.poisson(np.maximum(truth, 0.0) / weight)
    assert _fit_dispersion(contents, rate, np.ones(20)) == pytest.approx(weight, rel=0.1)


@pytest.mark.parametrize("shape", [(1, 2000), (20, 12)])
def test_where_the_dispersion_cannot_be_told_it_is_0(shape: tuple[int, int]) -> None:
    contents = np.random.default_rng(0).poisson(50.0, shape).astype(float)
    assert _fit_dispersion(contents, np.full(shape[1], 50.0), np.ones(shape[0])) == 0.0


def intervals_of(contents: FloatArray) -> list[Interval]:
    return [
        Interval(
            stream="a",
            path="b",
            kind=Kind.TH2,
            axes=(Axis(40, 0.0, 1.0), Axis(50, 0.0, 1.0)),
            run=run,
            first_lumisection=1,
            lumisection=1,
            time_ns=1,
            contents=one.reshape(40, 50).astype(float),
            variances=None,
            entries=None,
            total=float(one.sum()),
            state=State.READY,
        )
        for run, one in enumerate(contents, 1)
    ]


def test_the_scatter_that_strips_share_is_recovered() -> None:
    rng = np.random.default_rng(5)
    strips = rng.normal(1.0, 0.02, (20, 40, 1))
    contents = rng.poisson(5000.0 * np.broadcast_to(strips, (20, 40, 50)))
    learned = learn_reference(intervals_of(contents), "test").reference
    assert learned.coherent == pytest.approx(0.02, rel=0.4)
    independent = learn_reference(intervals_of(rng.poisson(5000.0, (20, 40, 50))), "test").reference
    assert independent.coherent < 0.002


def test_rates_and_exposures_are_those_of_the_sample() -> None:
    rng = np.random.default_rng(6)
    rate = rng.gamma(5.0, 100.0, BINS)
    exposure = rng.uniform(0.5, 2.0, 20)
    learned = learn_reference(intervals_of(rng.poisson(exposure[:, None] * rate)), "test")
    reference = learned.reference
    np.testing.assert_allclose(learned.exposures / exposure, 1.0 / exposure.mean(), rtol=0.01)
    assert reference.exposure == pytest.approx(20.0)
    np.testing.assert_allclose(reference.rate.ravel() / (rate * exposure.mean()), 1.0, atol=0.12)
    assert reference.rate.sum() == pytest.approx(rate.sum() * exposure.mean(), rel=0.005)
    assert np.median(reference.systematic) < 0.01
    assert reference.counts
    assert reference.dispersion == 1.0
