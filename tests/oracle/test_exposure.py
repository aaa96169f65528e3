"""The exposure is unbiased on good maps, and faults do not move it; the blocks are what they say."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.normalise import block_grid, exposures
from monitor.normalise.exposure import MIN_BLOCK_CONTENT
from monitor.snapshot import FloatArray

SHAPE = (99, 65)
MAPS = 40
Fault = Callable[[FloatArray], FloatArray]


def structured(mean: float) -> FloatArray:
    """A detector-like rate: bins differ by a factor of two and more."""
    rate = np.exp(0.3 * np.random.default_rng(1).standard_normal(SHAPE))
    return rate * mean / rate.mean()


def fitted(mean: float, fault: Fault, exposure: float = 1.0) -> FloatArray:
    """Exposures of maps with a fault, over the true one. Shape: (MAPS,)."""
    rng = np.random.default_rng(7)
    rate = structured(mean)
    maps = np.stack([fault(rng.poisson(rate * exposure).astype(float)).ravel() for _ in range(MAPS)])
    return exposures(maps, block_grid(rate)) / exposure


def clean(contents: FloatArray) -> FloatArray:
    return contents


def dead_quarter(contents: FloatArray) -> FloatArray:
    contents[:50, :33] = 0.0
    return contents


def many_hot(contents: FloatArray) -> FloatArray:
    where = np.random.default_rng(3).random(contents.shape) < 0.22
    return np.where(where, 3.0 * contents, contents)


def one_enormous(contents: FloatArray) -> FloatArray:
    contents[5, 5] = 1e6
    return contents


@pytest.mark.parametrize(
    ("fault", "mean", "bias"),
    [
        (clean, 3.0, 0.005),
        (clean, 30.0, 0.005),
        (clean, 300.0, 0.005),
        (dead_quarter, 3.0, 0.02),
        (dead_quarter, 30.0, 0.005),
        (dead_quarter, 300.0, 0.005),
        (many_hot, 30.0, 0.005),
        (many_hot, 300.0, 0.005),
        (one_enormous, 3.0, 0.005),
        (one_enormous, 30.0, 0.005),
        (one_enormous, 300.0, 0.005),
    ],
)
def test_the_exposure_is_unbiased(fault: Fault, mean: float, bias: float) -> None:
    assert fitted(mean, fault).mean() == pytest.approx(1.0, abs=bias)


@pytest.mark.parametrize("mean", [3.0, 30.0, 300.0])
def test_on_good_maps_it_is_as_sharp_as_statistics_allow(mean: float) -> None:
    entries = mean * np.prod(SHAPE)
    # The best there is scatters by 1/sqrt(entries); blocks that are clipped and left out cost a little.
    assert fitted(mean, clean).std() < 2.0 / np.sqrt(entries)


@pytest.mark.parametrize(("fault", "exposure"), [(clean, 0.5), (dead_quarter, 3.0), (dead_quarter, 1000.0)])
def test_the_scale_of_a_map_does_not_matter(fault: Fault, exposure: float) -> None:
    assert fitted(30.0, fault, exposure).mean() == pytest.approx(1.0, abs=0.005)


def test_it_is_the_total_over_the_rate_where_all_agree() -> None:
    rate = structured(1000.0)
    maps = np.stack([2.5 * rate.ravel(), 0.3 * rate.ravel()])
    np.testing.assert_allclose(exposures(maps, block_grid(rate)), [2.5, 0.3], rtol=1e-6)


def test_what_is_not_expected_does_not_count() -> None:
    rate = structured(100.0)
    rate[:, 30:40] = 0.0
    contents = 2.0 * rate
    contents[:, 30:40] = 1e5
    for size in (1.0, 0.001):
        grid = block_grid(rate, size)
        np.testing.assert_allclose(exposures(contents.reshape(1, -1), grid), 2.0, rtol=1e-6)


def test_nothing_to_agree_with_is_exposure_0() -> None:
    rate = structured(100.0)
    nothing = np.zeros((1, rate.size))
    assert exposures(nothing, block_grid(rate)) == 0.0
    assert exposures(nothing + 5.0, block_grid(np.zeros(SHAPE))) == 0.0
    assert exposures(np.zeros((0, rate.size)), block_grid(rate)).shape == (0,)


def test_sums_of_larger_weights_scatter_more() -> None:
    rng = np.random.default_rng(5)
    rate = structured(300.0)
    weight = 10.0
    maps = weight * rng.poisson(rate.ravel() / weight, (MAPS, rate.size))
    found = exposures(maps.astype(float), block_grid(rate), dispersion=weight)
    assert found.mean() == pytest.approx(1.0, abs=0.005)


def test_float32_is_taken_and_a_wrong_number_of_bins_is_not() -> None:
    rate = structured(30.0)
    contents = np.random.default_rng(0).poisson(rate).reshape(1, -1)
    grid = block_grid(rate)
    np.testing.assert_array_equal(exposures(contents.astype(np.float32), grid), exposures(contents.astype(float), grid))
    for wrong in (contents[:, :-1], contents[0], contents.reshape(1, *SHAPE)):
        with pytest.raises(ValueError, match="expected \\(maps, 6435\\)"):
            exposures(wrong.astype(float), grid)


@settings(max_examples=100, deadline=None)
@given(
    st.one_of(st.tuples(st.integers(1, 40)), st.tuples(st.integers(1, 40), st.integers(1, 40))),
    st.floats(0.01, 100.0),
    st.integers(0, 2**32 - 1),
)
def test_blocks_hold_every_expected_bin_once(shape: tuple[int, ...], mean: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rate = rng.gamma(1.0, mean, shape) * (rng.random(shape) < 0.8)
    grid = block_grid(rate)
    if grid.block.size == 0:
        np.testing.assert_array_equal(grid.rate, rate.ravel())
    else:
        np.testing.assert_allclose(grid.rate, np.bincount(grid.block, rate.ravel(), grid.rate.size))
        # What is not expected lies in the block of rate 0, the last.
        np.testing.assert_array_equal(grid.block == grid.rate.size - 1, rate.ravel() == 0)
        assert_compact(grid.block.reshape(shape), without=grid.rate.size - 1)
    assert (grid.rate[grid.sample] > 0).all()
    assert np.unique(grid.sample).size == grid.sample.size == min(1024, int((grid.rate > 0).sum()))


def assert_compact(block: np.ndarray, without: int) -> None:
    """No block is wider than 9 bins along any axis."""
    for number in set(block.ravel().tolist()) - {without}:
        assert all(np.ptp(where) < 9 for where in np.nonzero(block == number))


@pytest.mark.parametrize(("mean", "side"), [(30.0, 1), (4.0, 3), (1.2, 5), (0.6, 7), (0.35, 9), (0.01, 9)])
def test_blocks_are_the_smallest_that_hold_enough(mean: float, side: int) -> None:
    grid = block_grid(np.full((45, 63), mean))
    bins = np.bincount(grid.block).max() if grid.block.size else 1
    assert bins == side * side
    assert side == 9 or mean * side**2 >= MIN_BLOCK_CONTENT > mean * max(1, side - 2) ** 2 or side == 1


def test_a_longer_exposure_needs_smaller_blocks() -> None:
    rate = np.full((45, 63), 1.2)
    assert block_grid(rate, 100.0).block.size == 0
    assert np.bincount(block_grid(rate, 1.0).block).max() == 25


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("share", [0.5, 0.6, 0.8])
def test_silence_of_half_a_map_and_more_is_no_small_exposure(share: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rate = rng.gamma(5.0, 8.0, (120, 100))
    dead = rng.permutation(rate.size).reshape(rate.shape) < share * rate.size
    # A bin that is nearly dead agrees with silence on a scale that is not quite zero.
    contents = np.where(dead, rng.random(rate.shape) < 0.02, rng.poisson(rate)).astype(np.float64)
    assert exposures(contents.reshape(1, -1), block_grid(rate))[0] == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize("exposure", [0.003, 0.03, 0.3])
def test_a_sparse_map_is_no_dead_one(exposure: float) -> None:
    rng = np.random.default_rng(1)
    rate = rng.gamma(2.0, 0.5, (120, 100))
    found = [exposures(rng.poisson(exposure * rate).reshape(1, -1), block_grid(rate))[0] for _ in range(20)]
    assert np.mean(found) == pytest.approx(exposure, rel=0.1)
