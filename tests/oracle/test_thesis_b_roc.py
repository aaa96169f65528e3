"""ROC curves against scikit-learn, equation 17 against the expected risk it follows from."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score, roc_curve

from monitor.detect.base import Settings
from monitor.detect.clusters import IntArray
from monitor.detect.dbscan import DbscanDetector
from monitor.detect.geometry import BoolArray
from monitor.learn.faults import inject, map_sigma
from monitor.learn.thesis_b.roc import Costs, choose_minpts, is_first, roc, roc_over_minpts
from monitor.snapshot import FloatArray


def cluster_scores(seed: int, min_samples: int = 1) -> tuple[FloatArray, FloatArray, DbscanDetector]:
    """Return occupancy, error and a detector of a small map with faults."""
    rng = np.random.default_rng(seed)
    good = rng.poisson(300.0, (20, 12)).astype(np.float64)
    faulty = inject(good, map_sigma(good), rng)
    error = (faulty.contents - good.mean()) ** 2
    options = {"eps_threshold": 0.02, "min_samples": min_samples}
    return faulty.contents, error, DbscanDetector(Settings(options=options))


def scores_of(members: IntArray) -> FloatArray:
    return np.where(members < 0, 2.0, (members > 0) / np.maximum(members, 1))


@settings(max_examples=200, deadline=None)
@given(data=st.data(), size=st.integers(2, 60), ties=st.integers(1, 8))
def test_the_curve_and_its_area_are_scikit_learns(data: st.DataObject, size: int, ties: int) -> None:
    values = data.draw(st.lists(st.integers(0, ties), min_size=size, max_size=size))
    truth = np.array(data.draw(st.lists(st.booleans(), min_size=size, max_size=size)))
    if truth.all() or not truth.any():
        truth[0] = not truth[0]
    scores = np.array(values, dtype=np.float64) / ties
    curve = roc(scores, truth)
    false, found, thresholds = roc_curve(truth, scores, drop_intermediate=False)
    assert curve.false == pytest.approx(false)
    assert curve.found == pytest.approx(found)
    assert (curve.thresholds == thresholds).all()
    assert curve.auc == pytest.approx(roc_auc_score(truth, scores))


@pytest.mark.parametrize("min_samples", [1, 3])
@pytest.mark.parametrize("seed", range(5))
def test_the_curve_over_minpts_is_what_the_detector_flags_at_each(seed: int, min_samples: int) -> None:
    occupancy, error, detector = cluster_scores(seed, min_samples)
    truth = occupancy > np.quantile(occupancy, 0.8)
    scores = scores_of(detector.members(occupancy, error))
    curve = roc_over_minpts(scores, truth, largest=40)
    assert (curve.false[0], curve.found[0], curve.false[-1], curve.found[-1]) == (0, 0, 1, 1)
    for minpts in range(41):
        own = DbscanDetector(
            Settings(options={"eps_threshold": 0.02, "minpts": minpts, "min_samples": min_samples})
        ).outliers(occupancy, error)
        assert curve.found[1 + minpts] == pytest.approx(own[truth].mean()), minpts
        assert curve.false[1 + minpts] == pytest.approx(own[~truth].mean()), minpts


def test_minpts_as_large_as_the_map_give_the_whole_curve() -> None:
    occupancy, error, detector = cluster_scores(1)
    truth = occupancy > np.quantile(occupancy, 0.8)
    scores = scores_of(detector.members(occupancy, error))
    assert roc_over_minpts(scores, truth, largest=scores.size).auc == pytest.approx(roc(scores, truth).auc)


@pytest.mark.parametrize(
    ("scores", "truth", "reason"),
    [
        (np.ones(3), np.zeros(3, dtype=bool), "both kinds"),
        (np.ones(3), np.ones(3, dtype=bool), "both kinds"),
        (np.array([1.0, np.nan]), np.array([True, False]), "NaN"),
        (np.ones(3), np.array([True, False]), "shape"),
    ],
)
def test_what_has_no_curve_is_refused(scores: FloatArray, truth: BoolArray, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        roc(scores, truth)


# Equation 17

PRICES = st.floats(0.0, 100.0)


@settings(max_examples=300, deadline=None)
@given(l11=PRICES, l22=PRICES, more12=st.floats(0.01, 100.0), more21=st.floats(0.01, 100.0), p=st.floats(0.0, 1.0))
def test_equation_17_picks_the_class_of_least_expected_cost(
    l11: float, l22: float, more12: float, more21: float, p: float
) -> None:
    costs = Costs(first_second=l22 + more12, second_first=l11 + more21, first_first=l11, second_second=l22)
    risk_first = costs.first_first * p + costs.first_second * (1 - p)
    risk_second = costs.second_first * p + costs.second_second * (1 - p)
    if abs(risk_first - risk_second) < 1e-9 * (1 + risk_first + risk_second):
        return
    chosen = bool(is_first(np.array(p), np.array(1 - p), costs))
    assert chosen == (risk_first < risk_second)
    if abs(p - costs.threshold) > 1e-9:
        assert chosen == (p > costs.threshold)


def test_equal_losses_are_a_50_50_chance() -> None:
    assert Costs().threshold == 0.5
    assert is_first(np.array([0.4, 0.5, 0.6]), np.array([0.6, 0.5, 0.4])).tolist() == [False, False, True]


@pytest.mark.parametrize("prices", [{"first_second": 0.0}, {"second_first": 1.0, "first_first": 2.0}])
def test_costs_that_reward_mistakes_are_refused(prices: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must cost more"):
        Costs(**prices)


@pytest.mark.parametrize("share", [0.02, 0.22, 0.5])
@pytest.mark.parametrize("costs", [Costs(), Costs(first_second=20.0), Costs(second_first=20.0)])
@pytest.mark.parametrize("seed", range(4))
def test_the_chosen_minpts_costs_least_of_all(seed: int, share: float, costs: Costs) -> None:
    occupancy, error, detector = cluster_scores(seed)
    truth = occupancy > np.quantile(occupancy, 0.8)
    scores = scores_of(detector.members(occupancy, error))
    chosen = choose_minpts(roc(scores, truth), share, costs)

    def cost(minpts: int) -> float:
        called = (scores > 0) & (scores >= 1 / minpts) if minpts else scores > 1
        missed, false = float((~called[truth]).mean()), float(called[~truth].mean())
        return costs.first_second * share * missed + costs.second_first * (1 - share) * false

    assert cost(chosen) == pytest.approx(min(cost(m) for m in range(scores.size + 1)))


def test_where_the_share_falls_steadily_minpts_is_equation_17_size_by_size() -> None:
    # Clusters of 1, 2 and 4 bins: all, half and a quarter of their bins are faulty.
    sizes = np.array([1] * 8 + [2] * 8 + [4] * 16)
    truth = np.array([True] * 8 + [True, False] * 4 + [True, False, False, False] * 4)
    share = float(truth.mean())
    curve = roc(1.0 / sizes, truth)
    for costs, expected in (
        (Costs(second_first=10.0), 1),
        (Costs(second_first=2.0), 1),
        (Costs(first_second=1.5), 2),
        (Costs(first_second=2.5), 2),
        (Costs(first_second=3.5), 4),
    ):
        faulty = np.array([truth[sizes == n].mean() for n in (1, 2, 4)])
        inlier = is_first(1 - faulty, faulty, costs)
        assert max(n for n, first in zip((1, 2, 4), inlier, strict=True) if not first) == expected
        assert choose_minpts(curve, share, costs) == expected


def test_a_share_outside_its_range_is_refused() -> None:
    with pytest.raises(ValueError, match=r"outlier_share 0\.0"):
        choose_minpts(roc(np.array([1.0, 0.0]), np.array([True, False])), 0.0)
