"""`monitor.detect.clusters` against scikit-learn: the same labels, number by number, whatever the points."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import DBSCAN
from sklearn.neighbors import KDTree

from monitor.detect import clusters
from monitor.detect.clusters import ask_tree, cluster
from monitor.snapshot import FloatArray

Cloud = Callable[[np.random.Generator, int, int], FloatArray]


def oracle(points: FloatArray, eps: float, min_samples: int) -> DBSCAN:
    return DBSCAN(eps=eps, min_samples=min_samples, algorithm="kd_tree").fit(points)


def assert_same(points: FloatArray, eps: float, min_samples: int) -> None:
    np.testing.assert_array_equal(cluster(points, eps, min_samples), oracle(points, eps, min_samples).labels_)


CLOUDS: dict[str, Cloud] = {
    "random": lambda rng, n, d: rng.random((n, d)),
    "clustered": lambda rng, n, d: rng.normal(rng.integers(0, 4, (n, 1)), 0.05, (n, d)),
    "gridded": lambda rng, n, d: rng.integers(0, 8, (n, d)).astype(float),
    "fine grid": lambda rng, n, d: 0.1 * rng.integers(-8, 8, (n, d)),
    "duplicates": lambda rng, n, d: rng.random((5, d))[rng.integers(0, 5, n)],
    "one place": lambda rng, n, d: np.full((n, d), rng.random()),
    "collinear": lambda rng, n, d: rng.random((n, 1)) * rng.random((1, d)),
    "far away": lambda rng, n, d: 1e9 + rng.random((n, d)),
    "flat": lambda rng, n, d: rng.random((n, d)) * 10.0 ** rng.integers(-12, 12, (1, d)),
    "one far": lambda rng, n, d: np.concatenate([rng.random((n, d)), np.full((1, d), 1e100)]),
}
clouds = st.builds(
    lambda kind, seed, n, d: CLOUDS[kind](np.random.default_rng(seed), n, d),
    st.sampled_from(sorted(CLOUDS)),
    st.integers(0, 2**32),
    st.one_of(st.integers(1, 30), st.integers(31, 400)),
    st.integers(1, 3),
)
samples = st.sampled_from([1, 2, 3, 5, 10, 33, 100, 10**20])


@settings(max_examples=300, deadline=None)
@given(points=clouds, eps=st.floats(-12, 3).map(lambda x: 10.0**x), min_samples=samples)
def test_any_points_get_the_labels_of_scikit_learn(points: FloatArray, eps: float, min_samples: int) -> None:
    assert_same(points, eps, min_samples)


@settings(max_examples=300, deadline=None)
@given(points=clouds, pair=st.tuples(st.integers(0), st.integers(0)), min_samples=samples, data=st.data())
def test_any_points_get_them_with_eps_on_the_edge(
    points: FloatArray, pair: tuple[int, int], min_samples: int, data: st.DataObject
) -> None:
    a, b = (points[i % len(points)] for i in pair)
    eps = float(np.sqrt(((a - b) ** 2).sum())) or 0.5
    if np.isfinite(eps):
        toward = data.draw(st.sampled_from([eps, 0.0, np.inf]))
        assert_same(points, float(np.nextafter(eps, toward)) or 0.5, min_samples)


@settings(max_examples=100, deadline=None)
@given(
    points=st.lists(st.tuples(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6)), min_size=1, max_size=40).map(np.array),
    eps=st.floats(min_value=0.0, exclude_min=True, allow_infinity=False),
    min_samples=samples,
)
def test_any_numbers_will_do(points: FloatArray, eps: float, min_samples: int) -> None:
    assert_same(points, eps, min_samples)


@pytest.mark.parametrize("dimensions", [1, 2, 3])
@pytest.mark.parametrize("square", [1, 2, 3, 4, 5, 8, 9, 10, 13, 17, 25])
@pytest.mark.parametrize("min_samples", [1, 4, 9])
def test_grids_with_eps_on_the_edge(dimensions: int, square: int, min_samples: int) -> None:
    """The root of 13 squared is below 13, that of 10 above."""
    side = {1: 200, 2: 14, 3: 6}[dimensions]
    grid = np.stack(np.meshgrid(*[np.arange(side, dtype=float)] * dimensions), axis=-1).reshape(-1, dimensions)
    assert_same(grid, float(np.sqrt(square)), min_samples)


@pytest.mark.parametrize("square", [1, 2, 4, 5, 25])
def test_exact_grids_do_not_need_the_tree(square: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("asked the tree")

    grid = np.stack(np.meshgrid(np.arange(14.0), np.arange(14.0)), axis=-1).reshape(-1, 2) / 4.0
    wanted = oracle(grid, float(np.sqrt(square)) / 4.0, 9).labels_
    monkeypatch.setattr(clusters, "ask_tree", refuse)
    np.testing.assert_array_equal(cluster(grid, float(np.sqrt(square)) / 4.0, 9), wanted)


def test_a_pair_that_sees_itself_one_way_only_is_labelled_as_by_scikit_learn() -> None:
    """What two trees say of one distance at the last bit: here the reason why the tree is asked."""
    one_way = 0
    for seed in range(200):
        points = np.random.default_rng(seed).random((5, 2))
        eps = float(np.sqrt(((points[0] - points[1]) ** 2).sum()))
        seen = KDTree(points, leaf_size=30).query_radius(points, eps)
        one_way += (1 in seen[0]) != (0 in seen[1])
        for min_samples in (1, 2, 3):
            assert_same(points, eps, min_samples)
    assert one_way > 0


@settings(max_examples=50, deadline=None)
@given(points=clouds, eps=st.sampled_from([0.01, 0.1, 1.0, 13**0.5]), min_samples=samples)
def test_the_tree_itself_gives_these_labels(points: FloatArray, eps: float, min_samples: int) -> None:
    np.testing.assert_array_equal(ask_tree(points, eps, min_samples), oracle(points, eps, min_samples).labels_)


def test_core_points_and_their_groups_are_those_of_scikit_learn_in_the_large() -> None:
    rng = np.random.default_rng(3)
    points = np.concatenate([rng.normal(centre, 0.3, (4000, 2)) for centre in range(4)] + [rng.random((4000, 2)) * 8])
    for eps, min_samples in ((0.02, 1), (0.02, 5), (0.1, 40), (0.5, 900), (0.5, 3000)):
        assert_same(points, eps, min_samples)
        assert_same(np.c_[points, rng.random(len(points))], 2 * eps, min_samples)


def test_border_points_belong_to_the_lowest_numbered_cluster_that_reaches_them() -> None:
    # Only the inner end of each group is within reach of the border, which so has 3 neighbours and is no core point.
    left, right, border = np.array([0.0, -0.5, -0.5, -0.5, -0.5]), np.array([2.0, 2.5, 2.5, 2.5, 2.5]), np.array([1.0])
    for parts, wanted in (
        ((border, right, left), [0] * 6 + [1] * 5),
        ((border, left, right), [0] * 6 + [1] * 5),
        ((left, right, border), [0] * 5 + [1] * 5 + [0]),
        ((right, border, left), [0] * 6 + [1] * 5),
    ):
        points = np.concatenate(parts)[:, None]
        for dimensions in (1, 2, 3):
            flat = np.pad(points, ((0, 0), (0, dimensions - 1)))
            assert cluster(flat, 1.0, 5).tolist() == wanted
            assert_same(flat, 1.0, 5)


@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_points_that_are_all_neighbours_need_no_memory_for_that(dimensions: int) -> None:
    """A list of neighbours would take 80 GB here."""
    n = 100_000
    spread = np.random.default_rng(1).random((n, dimensions)) * 1e-3
    for points in (np.zeros((n, dimensions)), spread):
        assert not cluster(points, 0.1, 5).any()
        assert not cluster(points, 0.1, n).any()
        assert (cluster(points, 0.1, n + 1) == -1).all()


@pytest.mark.parametrize("min_samples", [1, 5, 20_000])
def test_crowds_just_out_of_reach_of_each_other_are_two_clusters(min_samples: int) -> None:
    n = 100_000
    rng = np.random.default_rng(2)
    side, along = rng.integers(0, 2, n), rng.random(n) * 0.01
    side[0] = 0
    for gap, wanted in ((0.1 + 1e-9, side), (0.1 - 1e-9, np.zeros(n))):
        points = np.c_[gap * side, along]
        # On the same height on both sides, so that the shortest way across is the gap.
        points[:2] = [[0.0, 0.0], [0.0, 0.0]]
        points[-2:] = [[gap, 0.0], [gap, 0.0]]
        side[[0, 1, -2, -1]] = 0, 0, 1, 1
        np.testing.assert_array_equal(cluster(points, 0.1, min_samples), wanted)


def test_eps_may_be_small_beyond_all_cell_numbers() -> None:
    rng = np.random.default_rng(4)
    points = np.repeat(rng.random((300, 2)), 3, axis=0)[rng.permutation(900)]
    points[:100] += 1e-13
    for eps in (1e-9, 1e-13, 1e-15, 1e-17, 1e-200, 1e-300, 5e-324):
        assert_same(points, eps, 3)


@pytest.mark.parametrize("points", [[], np.empty((0, 2)), np.empty((0, 1))], ids=["list", "2", "1"])
def test_no_points_have_no_labels(points: Any) -> None:
    if np.ndim(points) == 2:
        assert cluster(points, 1.0, 1).shape == (0,)
    else:
        with pytest.raises(ValueError, match=r"points have shape \(0,\), must be"):
            cluster(points, 1.0, 1)


def test_whole_numbers_and_lists_are_points_too() -> None:
    assert cluster([[0, 0], [0, 1], [9, 9]], 1, 1).tolist() == [0, 0, 1]
    assert cluster(np.array([[0, 0], [0, 1], [9, 9]], dtype=np.float32, order="F"), 1, 2).tolist() == [0, 0, -1]


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_coordinates_that_are_not_finite_are_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match="coordinates that are NaN or infinite; leave those points out"):
        cluster([[0.0, 1.0], [wrong, 0.0]], 1.0, 1)


@pytest.mark.parametrize(
    ("points", "eps", "min_samples", "said"),
    [
        (np.zeros(3), 1.0, 1, r"points have shape \(3,\)"),
        (np.zeros((3, 4)), 1.0, 1, r"points have shape \(3, 4\)"),
        (np.zeros((3, 0)), 1.0, 1, r"points have shape \(3, 0\)"),
        (np.zeros((3, 2)), 0.0, 1, "eps is 0.0, must be a positive number"),
        (np.zeros((3, 2)), np.nan, 1, "eps is nan"),
        (np.zeros((3, 2)), 1.0, 0, "min_samples is 0, must be a whole number from 1"),
    ],
)
def test_other_arguments_are_refused(points: FloatArray, eps: float, min_samples: int, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        cluster(points, eps, min_samples)


def test_points_are_not_written_to() -> None:
    points = np.random.default_rng(5).random((500, 2))
    points.flags.writeable = False
    before = points.copy()
    cluster(points, 0.01, 3)
    np.testing.assert_array_equal(points, before)
