"""The windows that maps are scanned with, against sums of every window on its own."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.infer.windows import LARGE, WindowSet, windows_of

SHAPES = [(1,), (2,), (3,), (25,), (26,), (60,), (1, 1), (1, 2), (1, 30), (30, 1), (2, 2), (3, 3), (5, 5), (12, 9)]
SHAPES += [(8, 40), (13, 17), (24, 16), (99, 65)]
some_shape = st.one_of(st.tuples(st.integers(1, 60)), st.tuples(st.integers(1, 30), st.integers(1, 30)))


def corners(windows: WindowSet, scale: int) -> list[tuple[int, int]]:
    """First bins of the windows of a scale, x before y."""
    nx, ny = windows.shape
    wx, wy = windows.sizes[scale].tolist()
    return [(i, j) for i in range(nx - wx + 1) for j in range(ny - wy + 1)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_sums_are_those_of_every_window_on_its_own(shape: tuple[int, ...]) -> None:
    windows = windows_of(shape)
    plane = np.random.default_rng(len(shape)).normal(3.0, 10.0, shape)
    square = plane.reshape(windows.shape)
    for k in range(len(windows.names)):
        wx, wy = windows.sizes[k]
        wanted = [square[i : i + wx, j : j + wy].sum() for i, j in corners(windows, k)]
        np.testing.assert_allclose(windows.sums(plane.ravel(), k), wanted, rtol=1e-9, atol=1e-9)


@given(some_shape, st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_the_windows_of_a_map_are_numbered_as_the_kernels_number_them(shape: tuple[int, ...], seed: int) -> None:
    windows = windows_of(shape)
    plane = np.random.default_rng(seed).integers(-1000, 1000, int(np.prod(shape))).astype(float)
    assert windows.names[0] == "bin"
    assert windows.offsets[0] == 0
    for k in range(len(windows.names)):
        every = corners(windows, k)
        assert windows.counts[k] == windows.offsets[k + 1] - windows.offsets[k] == len(every) > 0
        # Whole numbers are summed without rounding, so the window and its mask must agree to the last digit.
        first = every[seed % len(every)]
        mask = windows.bins(k, first)
        assert mask.sum() == windows.sizes[k].prod()
        assert windows.sums(plane, k)[every.index(first)] == plane[mask].sum()


@given(some_shape)
@settings(max_examples=100, deadline=None)
def test_no_two_scales_are_the_same_and_none_is_the_whole_map(shape: tuple[int, ...]) -> None:
    windows = windows_of(shape)
    sizes = [tuple(s) for s in windows.sizes.tolist()]
    assert len(set(sizes)) == len(sizes) == len(windows.names) == len(set(windows.names)) == len(windows.strips)
    nx, ny = windows.shape
    for (wx, wy), name, strip in zip(sizes, windows.names, windows.strips.tolist(), strict=True):
        assert name == "bin" or wx * wy < nx * ny, "the exposure absorbs what all bins share"
        if strip:
            assert wx == nx or wy == ny
            assert min(nx, ny) > 1, "a histogram of one dimension has no strips"


def test_sums_of_many_maps_are_those_of_each() -> None:
    windows = windows_of((12, 9))
    planes = np.random.default_rng(0).normal(size=(2, 3, 108))
    for k in range(len(windows.names)):
        together = windows.sums(planes, k)
        assert together.shape == (2, 3, windows.counts[k])
        np.testing.assert_allclose(together[1, 2], windows.sums(planes[1, 2], k), rtol=1e-12)


def test_whole_numbers_are_summed_and_planes_are_left_alone() -> None:
    windows = windows_of((5, 6))
    plane = np.arange(30)
    for k in range(len(windows.names)):
        assert windows.sums(plane, k).dtype == np.float64
    np.testing.assert_array_equal(plane, np.arange(30))


def test_a_map_of_thesis_b_has_the_scales_of_the_recipe() -> None:
    windows = windows_of((99, 65))
    sizes = dict(zip(windows.names, windows.sizes.tolist(), strict=True))
    assert sizes == {
        "bin": [1, 1],
        "5x5": [5, 5],
        "3x3": [3, 3],
        "1x8": [1, 8],
        "12x1": [12, 1],
        "block": [12, 8],
        "strip_x": [1, 65],
        "strip_y": [99, 1],
        "layer_x": [3, 65],
        "layer_y": [99, 3],
        "sector_x": [12, 65],
        "sector_y": [99, 8],
    }


def test_a_large_map_is_scanned_with_few_scales() -> None:
    small, large = windows_of((499, 500)), windows_of((500, 500))
    assert np.prod(large.shape) == LARGE
    assert {"3x3", "1x8", "12x1", "block"} <= set(small.names)
    assert not {"3x3", "1x8", "12x1", "block"} & set(large.names)
    assert {"bin", "5x5", "strip_x", "strip_y"} <= set(large.names)
