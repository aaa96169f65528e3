"""The normalisations of thesis B against plain numpy and scipy, and against the numbers that the thesis prints."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from monitor.normalise import SCALES, minmax, robust, zscore
from monitor.snapshot import FloatArray

Scale = Callable[[FloatArray], FloatArray]


def plain_minmax(maps: FloatArray) -> FloatArray:
    span = np.ptp(maps, axis=1, keepdims=True)
    return np.where(span > 0, (maps - maps.min(axis=1, keepdims=True)) / np.where(span > 0, span, 1.0), maps)


def plain_robust(maps: FloatArray) -> FloatArray:
    width = stats.iqr(maps, axis=1, keepdims=True)
    return (maps - np.median(maps, axis=1, keepdims=True)) / np.where(width > 0, width, 1.0)


def plain_zscore(maps: FloatArray) -> FloatArray:
    with warnings.catch_warnings():
        # What scipy says of a constant map; it then gives NaN.
        warnings.simplefilter("ignore", RuntimeWarning)
        found = stats.zscore(maps, axis=1)
    return np.where(np.isnan(found), maps - maps.mean(axis=1, keepdims=True), found)


ORACLES: dict[str, tuple[Scale, Scale]] = {
    "minmax": (minmax, plain_minmax),
    "robust": (robust, plain_robust),
    "zscore": (zscore, plain_zscore),
}
every_scale = pytest.mark.parametrize("name", sorted(SCALES))


def test_every_scale_has_an_oracle() -> None:
    assert {name: scale for name, (scale, _) in ORACLES.items()} == SCALES


@every_scale
@settings(max_examples=100, deadline=None)
@given(hnp.arrays(np.float64, st.tuples(st.integers(1, 4), st.integers(1, 30)), elements=st.integers(-1000, 10_000)))
def test_any_map_equals_plain_numpy(name: str, maps: FloatArray) -> None:
    scale, plain = ORACLES[name]
    np.testing.assert_allclose(scale(maps), plain(maps), rtol=1e-12, atol=1e-12)


@every_scale
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_large_random_maps_equal_plain_numpy(name: str, dtype: type) -> None:
    rng = np.random.default_rng(1)
    maps = np.stack([rng.normal(-5.0, 100.0, 6435), rng.poisson(3.0, 6435), rng.gamma(0.1, 1e6, 6435)]).astype(dtype)
    scale, plain = ORACLES[name]
    found = scale(maps)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, plain(maps.astype(np.float64)), rtol=1e-9, atol=1e-9)


@every_scale
@pytest.mark.parametrize("value", [0.0, 7.0, -3.5, 0.1, 1e30])
@pytest.mark.parametrize("bins", [1, 2, 1000])
def test_a_map_of_one_value_is_only_shifted(name: str, value: float, bins: int) -> None:
    found = SCALES[name](np.full((1, bins), value))
    np.testing.assert_allclose(found, value if name == "minmax" else 0.0, atol=1e-13 * abs(value))


def test_without_spread_between_the_quartiles_contents_are_only_shifted() -> None:
    maps = np.array([[5.0] * 10 + [105.0, 3.0]])
    np.testing.assert_array_equal(robust(maps), maps - 5.0)


@every_scale
def test_every_map_is_scaled_on_its_own(name: str) -> None:
    maps = np.random.default_rng(2).poisson([[3.0], [300.0], [30_000.0]], (3, 50)).astype(float)
    alone = np.concatenate([SCALES[name](one[None]) for one in maps])
    np.testing.assert_array_equal(SCALES[name](maps), alone)


@every_scale
def test_nan_spoils_its_own_map_and_no_other(name: str) -> None:
    maps = np.arange(12.0).reshape(3, 4)
    clean = SCALES[name](maps)
    maps[1, 2] = np.nan
    found = SCALES[name](maps)
    assert np.isnan(found[1]).all()
    np.testing.assert_array_equal(found[[0, 2]], clean[[0, 2]])


@every_scale
def test_maps_are_not_written_to_and_any_memory_order_will_do(name: str) -> None:
    maps = np.asfortranarray(np.arange(12.0).reshape(3, 4))
    maps.flags.writeable = False
    np.testing.assert_allclose(SCALES[name](maps), ORACLES[name][1](maps), atol=1e-12)
    assert SCALES[name](np.zeros((0, 4))).shape == (0, 4)


@every_scale
@pytest.mark.parametrize("shape", [(4,), (2, 0), (2, 3, 4)])
def test_other_shapes_are_refused(name: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="expected \\(maps, bins\\)"):
        SCALES[name](np.zeros(shape))


# Figures 37 and 38 of the thesis: (occ, occ_0to1, occ_robust) of bins of one histogram, as printed.

FIGURE_37 = [(0.0, 0.0, -0.449285), (2454.0, 0.032756, 0.021687)]
FIGURE_37_LAST = [(0.0, 0.0, -0.170740), (78.0, 0.006434, 0.036157)]
FIGURE_38 = [
    (0.0, 0.0, -0.374900),
    (3_872_943.0, 0.084320, 1.564232),
    (4_551_316.0, 0.099089, 1.903885),
    (3_610_718.0, 0.078611, 1.432940),
]


def quartiles_of(figure: list[tuple[float, float, float]]) -> tuple[float, float]:
    """Median and interquartile range of the whole histogram, which two printed lines determine."""
    (occ, _, low), (other, _, high) = figure[:2]
    width = (other - occ) / (high - low)
    return occ - low * width, width


def histogram_of(figure: list[tuple[float, float, float]]) -> FloatArray:
    """A map that holds the printed contents and has the quartiles of the printed histogram, the first of them 0."""
    median, width = quartiles_of(figure)
    most = 2 * max(width, *(occ for occ, _, _ in figure))
    return np.array([[0.0] * 35 + [median] * 30 + [width] * 20 + [most] * 15 + [occ for occ, _, _ in figure]])


@pytest.mark.parametrize("figure", [FIGURE_37, FIGURE_37_LAST, FIGURE_38], ids=["37", "37 end", "38"])
def test_the_robust_scale_gives_the_numbers_that_the_thesis_prints(figure: list[tuple[float, float, float]]) -> None:
    median, width = quartiles_of(figure)
    maps = histogram_of(figure)
    assert np.median(maps) == pytest.approx(median)
    assert stats.iqr(maps) == pytest.approx(width)
    scaled = robust(maps)[0]
    for occ, _, printed in figure:
        assert scaled[maps[0] == occ] == pytest.approx(printed, abs=2e-6)


@pytest.mark.parametrize("figure", [FIGURE_37, FIGURE_37_LAST, FIGURE_38], ids=["37", "37 end", "38"])
def test_the_equation_as_printed_would_give_other_numbers(figure: list[tuple[float, float, float]]) -> None:
    """``o - med(o) / r_iqr`` leaves a content of thousands in the thousands."""
    median, width = quartiles_of(figure)
    for occ, _, printed in figure[1:]:
        assert abs(occ - median / width - printed) > 10 * abs(printed)


def test_the_printed_values_of_one_histogram_are_linear_in_its_contents() -> None:
    median, width = quartiles_of(FIGURE_38)
    for occ, _, printed in FIGURE_38:
        assert (occ - median) / width == pytest.approx(printed, abs=2e-6)
    assert quartiles_of(FIGURE_37)[1] == pytest.approx(5210.5, abs=0.5)


@pytest.mark.parametrize("figure", [FIGURE_37, FIGURE_37_LAST, FIGURE_38], ids=["37", "37 end", "38"])
def test_the_minmax_scale_gives_the_numbers_that_the_thesis_prints(figure: list[tuple[float, float, float]]) -> None:
    occ, printed, _ = figure[1]
    most = occ / printed
    scaled = minmax(np.array([[o for o, _, _ in figure] + [most]]))[0]
    for value, (_, wanted, _) in zip(scaled, figure, strict=False):
        assert value == pytest.approx(wanted, rel=1e-4)
    assert scaled[-1] == 1.0
