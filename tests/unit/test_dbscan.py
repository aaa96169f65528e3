"""The dbscan detector: the modes of thesis B's section 4.4, what they give out, and that both backends agree."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers import SHAPE, bins_of, expect, make_interval, make_reference, poisson_map, smooth_rate
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import DBSCAN

from monitor.detect.base import BinScorer, Detector, Expected, Finding, Settings
from monitor.detect.dbscan import BACKENDS, MODES, DbscanDetector
from monitor.normalise import SCALES
from monitor.snapshot import AnyArray, FloatArray
from monitor.window import Interval


def make(**options: Any) -> DbscanDetector:
    return DbscanDetector(Settings(options=options))


def one(detector: Detector, interval: Interval, expected: Expected) -> Finding:
    (finding,) = detector.judge([interval], [expected])
    return finding


def outliers(mode: str, occupancy: FloatArray, **options: Any) -> set[tuple[int, ...]]:
    """Anomalous bins, reconstruction error rising with occupancy as in figure 43."""
    detector = DbscanDetector(Settings(options={"mode": mode, "eps_threshold": 0.05, **options}))
    return {tuple(int(i) for i in b) for b in np.argwhere(detector.outliers(occupancy, occupancy**2))}


def thesis_map() -> FloatArray:
    """Strips of their own level, within which bins differ little; strip 0 is not filled."""
    occupancy = np.repeat(np.linspace(0.35, 0.5, 9)[:, None], 30, axis=1)
    occupancy += 0.001 * np.arange(30)
    occupancy[0] = 0.0
    return occupancy


def test_global_finds_what_is_far_from_everything() -> None:
    occupancy = thesis_map()
    occupancy[3, 4], occupancy[3, 20] = 1.0, 0.85
    assert outliers("global", occupancy) == {(3, 4), (3, 20)}


def test_stripwise_finds_what_is_far_from_its_strip() -> None:
    occupancy = thesis_map()
    # Both values are ordinary in other strips.
    occupancy[2, 7] = occupancy[8, 3]
    occupancy[7, 9] = 0.0
    assert outliers("global", occupancy) == set()
    assert outliers("stripwise", occupancy) == {(2, 7), (7, 9)}


def test_zonewise_looks_at_the_neighbours_too() -> None:
    occupancy = thesis_map()
    occupancy[2, 7] = 1.0
    occupancy[2, 3] = 0.0
    # As in figure 53: zeros of the neighbours make a cluster of more than minpts, so a zero stands out no more.
    occupancy[1, :6] = occupancy[3, :6] = 0.0
    assert {b for b in outliers("stripwise", occupancy) if b[0] == 2} == {(2, 3), (2, 7)}
    assert {b for b in outliers("zonewise", occupancy) if b[0] == 2} == {(2, 7)}
    # The next but one are no neighbours.
    occupancy[1] = occupancy[3] = occupancy[2, 20]
    occupancy[4, :20] = 0.0
    assert {b for b in outliers("zonewise", occupancy) if b[0] == 2} == {(2, 3), (2, 7)}


def test_zones_end_at_the_edges_of_the_map() -> None:
    occupancy = thesis_map()
    occupancy[8, 29] = occupancy[1, 0] = 1.0
    assert {(8, 29), (1, 0)} <= outliers("zonewise", occupancy)


@pytest.mark.parametrize("mode", ["stripwise", "zonewise"])
def test_strips_without_content_are_skipped(mode: str) -> None:
    occupancy = thesis_map()
    error = occupancy**2
    # A model that reconstructs one zero badly; in a strip with content that would stand out.
    error[0, 29] = error[3, 29] = 1.0
    detector = DbscanDetector(Settings(options={"mode": mode, "eps_threshold": 0.05}))
    assert np.argwhere(detector.outliers(occupancy, error)).tolist() == [[3, 29]]


@pytest.mark.parametrize(("minpts", "found"), [(2, False), (3, True), (10, True)])
def test_minpts_is_the_largest_anomalous_cluster(minpts: int, found: bool) -> None:
    occupancy = np.full((1, 40), 0.2)
    occupancy[0, :3] = 0.9
    assert outliers("global", occupancy, minpts=minpts) == ({(0, 0), (0, 1), (0, 2)} if found else set())


@pytest.mark.parametrize(("eps", "found"), [(0.04, True), (0.06, False)])
def test_eps_is_the_longest_step_within_a_cluster(eps: float, found: bool) -> None:
    occupancy = np.linspace(0.0, 1.0, 41)
    # A gap of twice the others' 0.025, in a plane where the error is constant.
    occupancy = np.delete(occupancy, 38)
    detector = DbscanDetector(Settings(options={"eps_threshold": eps, "minpts": 5}))
    flags = detector.outliers(occupancy, np.zeros(40))
    assert flags.sum() == (2 if found else 0)


@pytest.mark.parametrize("mode", ["global", "stripwise", "zonewise"])
@pytest.mark.parametrize("shape", [(1,), (8,), (1, 1), (3, 5), (20, 30)], ids=str)
def test_where_all_bins_are_alike_none_is_anomalous(mode: str, shape: tuple[int, ...]) -> None:
    assert outliers(mode, np.full(shape, 0.4)) == set()


def test_dbscan_names_shapes_in_contents() -> None:
    rate = np.full(SHAPE, 1000.0)
    contents = poisson_map(rate, 1)
    contents[4, 5] = 9000.0
    finding = one(DbscanDetector(Settings(options={"eps_threshold": 0.05})), make_interval(contents), expect(rate))
    (shape,) = finding.shapes
    assert (shape.kind, shape.sign, shape.bins, shape.observed) == ("bin", "hot", ((4, 5),), 9000.0)
    assert shape.expected == pytest.approx(1000.0, rel=0.02)


@pytest.mark.parametrize("normalisation", SCALES)
def test_dbscan_judges_models_in_every_scale_of_the_thesis(normalisation: str) -> None:
    rate = smooth_rate(mean=2000.0)
    scale = SCALES[normalisation]

    class Reconstruction:
        def predict(self, maps: AnyArray) -> AnyArray:
            return np.repeat(scale(rate.reshape(1, -1)).reshape(1, *rate.shape), len(maps), axis=0)

    contents = rate.copy()
    contents[4, 5] = 0.0
    expected = Expected(make_reference(rate), Reconstruction(), normalisation)
    finding = one(DbscanDetector(Settings(options={"eps_threshold": 0.1})), make_interval(contents), expected)
    assert (4, 5) in bins_of(finding)
    shape = next(s for s in finding.shapes if (4, 5) in s.bins)
    assert (shape.sign, shape.observed) == ("dead", 0.0)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("mode", "locally"),
        ("eps_threshold", 0.0),
        ("eps_threshold", "x"),
        ("minpts", -1),
        ("minpts", 2.5),
        ("minpts", True),
        ("eps_threshold", float("inf")),
        ("eps_threshold", float("nan")),
        ("min_samples", 0),
        ("backend", "cuda"),
    ],
)
def test_options_of_dbscan_are_checked(option: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"detector 'dbscan': {option} "):
        DbscanDetector(Settings(options={option: value}))


# The same by plain means


def plain_members(mode: str, occupancy: FloatArray, error: FloatArray, eps: float, min_samples: int) -> AnyArray:
    """Members of each bin's cluster, as the thesis would count them: strip by strip with scikit-learn."""

    def scaled(values: FloatArray) -> FloatArray:
        span = values.max() - values.min()
        return (values - values.min()) / span if span > 0 else values

    def count(own_occupancy: FloatArray, own_error: FloatArray) -> AnyArray:
        points = np.stack([scaled(own_occupancy).ravel(), scaled(own_error).ravel()], axis=1)
        labels = DBSCAN(eps=eps, min_samples=min_samples, algorithm="kd_tree").fit(points).labels_
        if set(labels) == {0}:
            return np.zeros(own_occupancy.shape, dtype=int)
        found = [-1 if label < 0 else int((labels == label).sum()) for label in labels]
        return np.array(found).reshape(own_occupancy.shape)

    if mode == "global" or occupancy.ndim == 1:
        return count(occupancy, error)
    members = np.zeros(occupancy.shape, dtype=int)
    for x in range(len(occupancy)):
        if occupancy[x].any():
            first = max(0, x - 1) if mode == "zonewise" else x
            zone = slice(first, x + 2 if mode == "zonewise" else x + 1)
            members[x] = count(occupancy[zone], error[zone])[x - first]
    return members


@st.composite
def maps(draw: st.DrawFn) -> tuple[FloatArray, FloatArray]:
    """Occupancy and error of few different values, so that ties and points on the edge are the rule."""
    shape = draw(st.sampled_from([(1, 1), (1, 9), (2, 5), (7, 1), (6, 11), (12,), (20, 30)]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    steps = draw(st.sampled_from([2, 8, 64, 10**9]))
    occupancy = rng.integers(0, steps, shape) * rng.integers(0, 2, shape[:1] + (1,) * (len(shape) - 1)) / steps
    error = (occupancy - rng.integers(0, steps, shape) / steps) ** draw(st.sampled_from([1, 2]))
    return occupancy, error


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("mode", MODES)
@settings(max_examples=40, deadline=None)
@given(
    planes=maps(),
    eps=st.sampled_from([1e-12, 0.0044, 1 / 64, 0.1, 0.125, 0.25, 2**0.5 / 8, 2.0, 1e160]),
    min_samples=st.sampled_from([1, 2, 5, 20]),
)
def test_members_are_counted_as_with_scikit_learn(
    mode: str, backend: str, planes: tuple[FloatArray, FloatArray], eps: float, min_samples: int
) -> None:
    detector = make(mode=mode, backend=backend, eps_threshold=eps, min_samples=min_samples)
    np.testing.assert_array_equal(detector.members(*planes), plain_members(mode, *planes, eps, min_samples))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("eps", [0.0044, 0.1])
@pytest.mark.parametrize("min_samples", [1, 5])
def test_a_map_of_the_thesis_is_clustered_alike_by_both_backends(mode: str, eps: float, min_samples: int) -> None:
    rate = smooth_rate((99, 65), 2000.0)
    occupancy = poisson_map(rate, 1) / rate.max()
    error = (occupancy - rate / rate.max()) ** 2
    numba, sklearn = (
        make(mode=mode, eps_threshold=eps, min_samples=min_samples, backend=backend).members(occupancy, error)
        for backend in BACKENDS
    )
    np.testing.assert_array_equal(numba, sklearn)
    assert (numba != 0).any()


# What it gives out


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("min_samples", [1, 4])
def test_scores_above_a_threshold_are_the_outliers_at_that_minpts(mode: str, min_samples: int) -> None:
    rate = smooth_rate((30, 20), 200.0)
    contents = poisson_map(rate, 2)
    contents[7] = 0.0
    contents[3, 4:8] *= 2.0
    interval, expected = make_interval(contents), expect(rate)
    options = {"mode": mode, "eps_threshold": 0.06, "min_samples": min_samples}
    scorer: BinScorer = make(**options)
    scores = scorer.bin_scores(interval, expected)
    assert scores.shape == contents.shape
    assert mode == "global" or not scores[7].any()
    found = []
    for minpts in (0, 1, 2, 3, 5, 10, 40, 1000):
        shapes = one(make(minpts=minpts, **options), interval, expected).shapes
        flagged = {b for shape in shapes for b in shape.bins}
        above = scores >= 1.0 / minpts if minpts else scores > 1.0
        assert flagged == {tuple(int(i) for i in b) for b in np.argwhere(above)}
        found.append(len(flagged))
    assert found == sorted(found)
    assert found[0] == 0 if min_samples == 1 else found[0] > 0
    assert 0 < found[4] < found[-1]


def test_coordinates_are_printed_as_in_the_thesis() -> None:
    occupancy = thesis_map()
    occupancy[3, 4], occupancy[3, 20] = 1.0, 0.85
    detector = make(mode="global", eps_threshold=0.05)
    assert detector.coordinates(occupancy, occupancy**2) == [(3, 4, 1.0), (3, 20, 0.85)]
    strip = make(mode="stripwise", eps_threshold=0.05)
    occupancy[7, 9] = 0.0
    # As in its figure 51: scaled to the strip, where the coldest bin is 0 and the hottest 1.
    assert [c for c in strip.coordinates(occupancy, occupancy**2) if c[0] == 7] == [(7, 9, 0.0)]
    assert make(eps_threshold=0.1).coordinates(occupancy[3], occupancy[3] ** 2)[0] == (4, 1.0)


@pytest.mark.parametrize("mode", MODES)
def test_coordinates_are_those_of_the_mask(mode: str) -> None:
    rate = smooth_rate((30, 20), 200.0)
    occupancy = poisson_map(rate, 3) / rate.max()
    occupancy[11] = 0.0
    error = (occupancy - rate / rate.max()) ** 2
    detector = make(mode=mode, eps_threshold=0.03)
    listed = detector.coordinates(occupancy, error)
    assert sorted(c[:2] for c in listed) == [
        tuple(b) for b in np.argwhere(detector.outliers(occupancy, error)).tolist()
    ]
    assert len(listed) > 1
    assert all(0.0 <= c[2] <= 1.0 for c in listed)


def test_noise_is_anomalous_and_a_lone_cluster_is_not() -> None:
    occupancy = np.full((1, 40), 0.2)
    occupancy[0, 0] = 1.0
    detector = make(eps_threshold=0.05, min_samples=3, minpts=0)
    assert np.argwhere(detector.outliers(occupancy, occupancy)).tolist() == [[0, 0]]
    assert not make(eps_threshold=0.05, minpts=1000).outliers(np.full((3, 4), 7.0), np.zeros((3, 4))).any()


def test_maps_without_content_are_skipped_strip_by_strip() -> None:
    for mode in MODES:
        assert not make(mode=mode).outliers(np.zeros((5, 6)), np.zeros((5, 6))).any()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_what_is_not_finite_is_refused(mode: str, wrong: float) -> None:
    occupancy = thesis_map()
    error = occupancy**2
    error[2, 3] = wrong
    with pytest.raises(ValueError, match="detector 'dbscan': occupancy or error is NaN or infinite"):
        make(mode=mode).members(occupancy, error)


@pytest.mark.parametrize("mode", MODES)
def test_memory_order_and_precision_of_a_map_do_not_matter(mode: str) -> None:
    occupancy = (thesis_map() * 1024).round().astype(np.float32)
    occupancy[3, 4] = 1024.0
    detector = make(mode=mode, eps_threshold=0.05)
    wanted = detector.members(occupancy.astype(float), occupancy.astype(float))
    np.testing.assert_array_equal(detector.members(np.asfortranarray(occupancy), occupancy), wanted)


def test_a_storm_of_shapes_is_one() -> None:
    rate = smooth_rate((200, 200))
    finding = one(make(mode="stripwise"), make_interval(poisson_map(rate, 1)), expect(rate))
    (shape,) = finding.shapes
    assert shape.kind == "region"
    assert len(shape.bins) > 1000
    assert finding.bad
