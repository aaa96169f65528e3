"""Kinds of statistics told from good intervals of known ones."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from monitor.infer import Reference
from monitor.learn.evaluate.endcaps import Point, endcap
from monitor.learn.reference import Learned, learn_reference
from monitor.learn.statistics import Kind, fit_dispersion
from monitor.learn.toys import Toy, interval_of
from monitor.snapshot import FloatArray

SHAPE = (40, 50)
SEEDS = range(4)
Draw = Callable[[np.random.Generator], FloatArray]

STRUCTURE = np.exp(0.5 * np.random.default_rng(99).normal(size=SHAPE))
FIRED = np.random.default_rng(98).uniform(0.05, 0.95, SHAPE)
SATURATED = np.where(np.arange(SHAPE[0])[:, None] < 4, 1.0, FIRED)


def response(rng: np.random.Generator, scatter: float) -> FloatArray:
    found: FloatArray = STRUCTURE * np.maximum(rng.normal(1.0, scatter, SHAPE), 0.0)
    return found


def counts(mean: float, scatter: float = 0.0) -> Draw:
    return lambda rng: rng.poisson(mean * rng.uniform(0.7, 1.3) * response(rng, scatter)).astype(float)


def weighted(mean: float, weight: float, scatter: float = 0.02) -> Draw:
    return lambda rng: weight * rng.poisson(mean * rng.uniform(0.7, 1.3) * response(rng, scatter) / weight)


def summed(mean: float) -> Draw:
    """Exponential weights: the variance over the mean of such a sum is twice their mean."""
    return lambda rng: rng.gamma(np.maximum(rng.poisson(mean * response(rng, 0.02)), 1e-9), 1.3)


def fired(share: FloatArray, events: int = 2000) -> Draw:
    return lambda rng: rng.binomial(int(events * rng.uniform(0.7, 1.3)), share).astype(float)


def rates(scatter: float) -> Draw:
    return lambda rng: 3.7 * STRUCTURE * np.exp(scatter * rng.normal(size=SHAPE)) * rng.uniform(0.9, 1.1)


def learned(draw: Draw, references: int, seed: int) -> Learned:
    rng = np.random.default_rng(seed)
    return learn_reference([interval_of(draw(rng), run=run) for run in range(1, references + 1)], "test")


def kinds(draw: Draw, references: int) -> set[str]:
    found = {learned(draw, references, seed).kind for seed in SEEDS}
    return {kind.name for kind in found if kind is not None}


KINDS: dict[str, tuple[Draw, str, int]] = {
    "sparse counts": (counts(0.05), "counts", 5),
    "half a count": (counts(0.5), "counts", 5),
    "few counts": (counts(5.0), "counts", 2),
    "counts": (counts(400.0, 0.025), "counts", 2),
    "many counts": (counts(5000.0, 0.025), "counts", 2),
    "a few thousand events": (fired(FIRED), "binomial", 2),
    "channels that always fire": (fired(SATURATED), "binomial", 2),
    "a pulser": (lambda rng: np.full(SHAPE, 2000.0), "exact", 2),
    "a pulser that misses one channel": (
        lambda rng: np.where(np.arange(2000).reshape(SHAPE) == 7, 1999.0 - rng.integers(2), 2000.0),
        "exact",
        2,
    ),
    "sums of weights": (weighted(300.0, 2.75), "sums", 2),
    "sums of whole numbers": (weighted(3000.0, 10.0, 0.0), "sums", 2),
    "sums of energies": (summed(300.0), "sums", 3),
    "rates": (rates(0.1), "rates", 5),
    "rates that hardly move": (rates(0.03), "rates", 5),
}


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("more", [1, 2, 5])
def test_statistics_are_told_apart(name: str, more: int) -> None:
    draw, wanted, fewest = KINDS[name]
    assert kinds(draw, more * fewest) == {wanted}


@pytest.mark.parametrize("name", KINDS)
def test_from_one_reference_only_counts_are_told_from_other_numbers(name: str) -> None:
    draw, _, _ = KINDS[name]
    whole = bool((draw(np.random.default_rng(0)) % 1.0 == 0.0).all())
    assert kinds(draw, 1) == {"counts" if whole else "rates"}


@pytest.mark.parametrize("shape", [(1,), (2,), (5,), (2, 2)], ids=str)
def test_histograms_of_few_bins_are_taken_for_counts(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(1)
    intervals = [interval_of(rng.poisson(100.0, shape).astype(float), run=run) for run in range(5)]
    kind = learn_reference(intervals, "few bins").kind
    assert kind == Kind("counts", 1.0)


def test_good_maps_scatter_as_their_statistics_say() -> None:
    """The width of the pulls of maps that were not learned from, for every kind. A pulser has none."""
    for name, (draw, _, _) in KINDS.items():
        if name.startswith("a pulser") or name in ("sparse counts", "half a count"):
            continue
        reference = learned(draw, 20, 0).reference
        rng = np.random.default_rng(1000)
        pulls = np.concatenate([pulls_of(reference, draw(rng)) for _ in range(5)])
        assert np.median(np.abs(pulls)) / 0.6745 == pytest.approx(1.0, abs=0.07), name


def pulls_of(reference: Reference, contents: FloatArray) -> FloatArray:
    """Deviation of every bin that scatters over its standard deviation, as the detector says."""
    exposure = reference.exposure_of(contents.ravel())
    mu = exposure * reference.rate.ravel()
    bins = mu.size
    variance = exposure * (1.0 + exposure / reference.exposure) * reference.windows.statistical[:bins]
    variance = variance + exposure**2 * reference.windows.systematic[:bins]
    use = reference.live.ravel() if reference.saturated is None else (reference.live & ~reference.saturated).ravel()
    deviation = mu * np.log(np.maximum(contents.ravel() / mu, 1e-3)) if reference.logarithmic else contents.ravel() - mu
    pulls: FloatArray = (deviation / np.sqrt(variance))[use]
    return pulls


@pytest.mark.parametrize("references", [2, 3, 5, 10])
@pytest.mark.parametrize("heavy", [False, True], ids=["benign", "heavy"])
@pytest.mark.parametrize("mean", [3000.0, 20_000.0])
def test_counts_whose_systematic_hides_their_statistics_are_counts(references: int, heavy: bool, mean: float) -> None:
    toys = [Toy(name="toy", shape=(24, 16), mean=mean, heavy=heavy, seed=seed) for seed in range(8)]
    found = [learn_reference(toy.draw_many(references, 1), "toy").kind for toy in toys]
    # Three standard errors are asked for, and heavy tails make them larger than they are known to be.
    assert sum(kind is not None and kind.name != "counts" for kind in found) <= int(heavy)


@pytest.mark.parametrize("mean", [0.02, 0.5, 1.0, 2.0, 5.0])
@pytest.mark.parametrize("references", [2, 3, 8])
def test_sparse_counts_are_counts(mean: float, references: int) -> None:
    assert kinds(counts(mean), references) == {"counts"}


# Variances


def test_variances_are_what_the_formulas_say() -> None:
    mu, most = np.array([[0.0, 10.0, 100.0]]), np.array([[100.0]])
    np.testing.assert_allclose(Kind("counts", 1.0).variance(mu, most), mu)
    np.testing.assert_allclose(Kind("sums", 2.75).variance(mu, most), 2.75 * mu)
    np.testing.assert_allclose(Kind("rates", 0.0).variance(mu, most), 0.0 * mu)
    np.testing.assert_allclose(Kind("exact", 1.0).variance(mu, most), [[0.0, 0.25, 0.25]])
    # Of 100 events a channel that always fires leaves half a count open, and one that fires in ten of them 9.
    np.testing.assert_allclose(Kind("binomial", 1.0).variance(mu, most), [[0.0, 9.25, 0.25]])


@pytest.mark.parametrize(("weight", "scatter"), [(1.0, 0.0), (2.75, 0.025), (40.0, 0.0)])
@pytest.mark.parametrize("references", [5, 20])
def test_the_dispersion_of_weighted_sums_is_recovered(weight: float, scatter: float, references: int) -> None:
    rng = np.random.default_rng(4)
    rate = np.geomspace(20.0, 20_000.0, 2000) * weight
    truth = rate * rng.normal(1.0, scatter, (references, rate.size))
    contents = weight * rng.poisson(np.maximum(truth, 0.0) / weight)
    mu = np.broadcast_to(contents.mean(axis=0), contents.shape)
    assert fit_dispersion(contents, mu) == pytest.approx(weight, rel=0.1)


@pytest.mark.parametrize("shape", [(1, 2000), (20, 12)])
def test_where_the_dispersion_cannot_be_told_it_is_0(shape: tuple[int, int]) -> None:
    contents = np.random.default_rng(0).poisson(50.0, shape).astype(float)
    assert fit_dispersion(contents, np.full(shape, 50.0)) == 0.0


@pytest.mark.parametrize("seed", range(10))
def test_hits_in_clusters_of_three_are_told_from_counts_with_every_draw(seed: int) -> None:
    # Variance 3 times the mean, at 17 hits and more: just where the typical scatter is 3 times that of counts.
    cap = endcap(Point(3.0, 17.0, {}), 5.0)
    rng = np.random.default_rng(seed)
    maps = [interval_of(cap.draw(np.array([e]), rng)[0]) for e in rng.normal(1.0, 0.1, 10)]
    reference = learn_reference(maps, "clusters").reference
    assert reference.statistics == "sums"
    assert 2.0 < reference.dispersion < 4.0
