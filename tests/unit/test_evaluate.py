"""The benchmark: its measures against oracles, its suites on a small scale, its command."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import uproot
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats
from sklearn.metrics import roc_auc_score

from monitor.cli import main
from monitor.detect.base import Expected, Settings
from monitor.detect.registry import DETECTORS
from monitor.errors import HistwatchError
from monitor.learn.evaluate import ecal, endcaps, measure, real_maps
from monitor.learn.evaluate import spoiled as injected
from monitor.learn.evaluate.baselines import IsolationForest, Pca
from monitor.learn.evaluate.certified import Labels, near_places, read_labels
from monitor.learn.evaluate.discoveries import discoveries, together
from monitor.learn.evaluate.ecal import DETECTORS as DETECTORS_OF_ECAL
from monitor.learn.evaluate.false_alarms import ratio_interval
from monitor.learn.evaluate.gathered import gather
from monitor.learn.evaluate.looks import looks_of
from monitor.learn.evaluate.own import split_good
from monitor.learn.evaluate.refused import LEFT_OUT, NOT_MADE, REASON, Refusals, measured, not_measured
from monitor.learn.evaluate.report import write_report
from monitor.learn.evaluate.roc import Area, area, area_of_bins, area_of_maps, area_of_single_bins, curve, redraw
from monitor.learn.evaluate.rows import Row
from monitor.learn.evaluate.scorers import (
    CLASSIFIERS,
    DetectorScorer,
    Scored,
    choose,
    expectation_of,
    known_names,
    make_scorer,
)
from monitor.learn.evaluate.simultaneous import KINDS, figures_of, place, spoiled
from monitor.learn.evaluate.suite import SUITES, Options, suite_named
from monitor.learn.evaluate.tables import auc_by_type
from monitor.learn.evaluate.thesis_a import REPORT, class_of
from monitor.learn.evaluate.thesis_b import FAULTS, draw_maps, single_bin_limit, spread_at
from monitor.learn.evaluate.trial import PEERS
from monitor.learn.reference import learn_reference
from monitor.learn.thesis_a.networks import CLASSIFIERS as STUDIED
from monitor.learn.toys import Toy, interval_of
from monitor.verdict import Shape

SMALL = Toy(name="small", shape=(24, 16), mean=400.0, seed=5)
SCORES = st.integers(0, 6).map(float)
"""Few different values: ties are what areas go wrong at."""


def quiet(done: int, of: int, what: str) -> None:
    assert 0 <= done <= of
    assert what


def rows_of(name: str, **options: Any) -> list[Row]:
    return list(suite_named(name).run(Options(**options), quiet))


def shape_of(sign: str, bins: list[tuple[int, ...]], significance: float = 9.0) -> Shape:
    return Shape(
        kind="bin",
        sign=sign,
        axis=None,
        index=None,
        bins=tuple(bins),
        significance=significance,
        observed=0.0,
        expected=1.0,
    )


# Areas


@given(arrays(np.float64, st.integers(1, 30), elements=SCORES), arrays(np.float64, st.integers(1, 30), elements=SCORES))
@settings(deadline=None)
def test_area_is_that_of_scikit_learn(good: Any, bad: Any) -> None:
    truth = np.repeat([0, 1], [good.size, bad.size])
    oracle = roc_auc_score(truth, np.concatenate([good, bad]))
    assert area(good, bad) == pytest.approx(oracle)
    found = area_of_maps(good, bad, np.random.default_rng(1))
    assert found.value == pytest.approx(oracle)
    assert 0.0 <= found.low <= found.high <= 1.0


@given(st.integers(1, 5), st.integers(0, 3), st.integers(0, 2**31))
@settings(deadline=None, max_examples=30)
def test_areas_of_bins_are_those_of_scikit_learn(faulty: int, clean: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores = [rng.integers(0, 5, (4, 3)).astype(float) for _ in range(faulty + clean)]
    truths = [rng.permutation(np.arange(12) < rng.integers(1, 11)).reshape(4, 3) for _ in range(faulty)]
    truths += [np.zeros((4, 3), dtype=bool)] * clean
    found = area_of_bins(scores, truths, rng)
    own = [roc_auc_score(t.ravel(), s.ravel()) for s, t in zip(scores, truths, strict=True) if t.any()]
    assert found.own.value == pytest.approx(np.mean(own))
    assert found.pooled.value == pytest.approx(roc_auc_score(np.ravel(truths), np.ravel(scores)))


def test_bootstrap_draws_maps_and_not_bins() -> None:
    rng = np.random.default_rng(3)
    # Two kinds of maps: of these all faults are found, of those none. Only the mixture of maps is uncertain.
    scores = [np.where(np.arange(100) < 50, 1.0 if n % 2 else 0.0, 0.5) for n in range(20)]
    truths = [np.arange(100) < 50] * 20
    found = area_of_bins(scores, truths, rng).own
    oracle = stats.binom.ppf([0.025, 0.975], 20, 0.5) / 20
    assert found.value == 0.5
    assert (found.low, found.high) == pytest.approx(tuple(oracle), abs=0.051)


def test_interval_of_maps_agrees_with_explicit_resampling() -> None:
    rng = np.random.default_rng(4)
    good, bad = rng.normal(0.0, 1.0, 30), rng.normal(1.0, 1.0, 20)
    found = area_of_maps(good, bad, rng)
    again = [area(rng.choice(good, 30), rng.choice(bad, 20)) for _ in range(2000)]
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(again, [0.025, 0.975])), abs=0.03)


def test_no_curve_without_faulty_bins() -> None:
    with pytest.raises(ValueError, match="no map has both"):
        area_of_bins([np.zeros(4)], [np.zeros(4, dtype=bool)], np.random.default_rng(0))


def test_curve_keeps_its_area_and_ends() -> None:
    rng = np.random.default_rng(5)
    scores, truth = rng.normal(size=20_000), rng.random(20_000) < 0.3
    scores[truth] += 2.0
    false, found = curve(scores, truth)
    assert false.size < 500
    assert (false[0], found[0], false[-1], found[-1]) == (0.0, 0.0, 1.0, 1.0)
    assert (np.diff(false) >= 0).all()
    assert (np.diff(found) >= 0).all()
    assert np.trapezoid(found, false) == pytest.approx(roc_auc_score(truth, scores), abs=2e-3)


def test_limit_of_single_bins_is_what_simulation_gives() -> None:
    rng = np.random.default_rng(6)
    good = np.abs(rng.normal(size=400_000))
    bad = np.abs(rng.normal(size=400_000) + rng.uniform(1.0, 1.5, 400_000))
    assert single_bin_limit((1.0, 1.5)) == pytest.approx(area(good, bad), abs=2e-3)


def test_limit_of_single_bins_holds_for_those_that_are_ever_filled() -> None:
    toy = Toy(name="t", mean=2000.0, seed=4)
    _, bad = draw_maps(toy, 6, 1)
    rng = np.random.default_rng([1, toy.seed, 51])
    exposures = np.maximum(0.1, 1.0 + toy.exposure_spread * rng.standard_normal(12))[6:]
    filled, found = toy.rate > 0, []
    for (interval, truth), exposure in zip(bad[FAULTS[2].name], exposures, strict=True):
        # The truth itself, bin by bin.
        z = np.abs(interval.contents - exposure * toy.rate)[filled] / spread_at(toy, exposure)[filled]
        found.append(area(z[~truth[filled]], z[truth[filled]]))
    assert np.mean(found) == pytest.approx(FAULTS[2].peer_value, abs=2e-3)


# Baselines and scorers


@pytest.mark.parametrize("baseline", [Pca, IsolationForest])
def test_a_baseline_finds_a_tripled_bin_and_repeats_itself(baseline: Any) -> None:
    references = SMALL.draw_many(10, 0)
    good = SMALL.draw_many(1, 1)[0]
    at = tuple(np.argwhere(SMALL.rate > 0.8 * SMALL.rate.max())[0])
    contents = good.contents.copy()
    contents[at] *= 3.0
    bad = replace(good, contents=contents)
    learned = baseline(references, seed=1)
    (scores,) = learned.bin_scores([bad])
    assert scores.shape == contents.shape
    assert scores[at] == scores.max()
    assert learned.score(bad) > learned.score(good)
    assert np.array_equal(scores, baseline(references, seed=1).bin_scores([bad])[0])


def test_pca_takes_what_its_modes_explain() -> None:
    rng = np.random.default_rng(7)
    mode = rng.normal(size=(6, 5))
    mode -= mode.mean()
    references = [interval_of(100.0 + a * mode) for a in (-3.0, 1.0, 2.0, 5.0)]
    learned = Pca(references)
    assert learned.score(interval_of(100.0 + 9.0 * mode)) < 1e-12
    assert learned.score(interval_of(100.0 + 9.0 * mode**2)) > 1e-6


def test_pca_of_references_that_are_all_alike_is_the_distance_to_them() -> None:
    one = np.full((4, 3), 2000.0)
    other = one.copy()
    other[1, 2] = 0.0
    (scores,) = Pca([interval_of(one)] * 4).bin_scores([interval_of(other)])
    assert scores[1, 2] == scores.max() > 0.0


def test_pca_of_one_reference_is_the_distance_to_it() -> None:
    one, other = (i.contents for i in SMALL.draw_many(2, 2))
    distance = (other / other.sum() - one / one.sum()) ** 2
    assert Pca([interval_of(one)]).bin_scores([interval_of(other)])[0] == pytest.approx(distance)


def test_names_are_chosen_by_glob() -> None:
    assert choose((), ("pca", "no_such", "expectation")) == ["pca", "expectation"]
    assert choose(("thesis_*", "pca"), ()) == ["pca", "thesis_b", "thesis_a"]
    assert choose(("peer*", "pca"), (), ("peer", "other")) == ["pca", "peer"]
    assert len(set(known_names())) == len(known_names())
    with pytest.raises(HistwatchError, match="--detectors nothing: there is none; known are expectation"):
        choose(("nothing",), ())


def test_a_detector_scores_by_its_chance_and_then_by_its_score() -> None:
    references = SMALL.draw_many(6, 0)
    good = SMALL.draw_many(8, 1)
    bad = [replace(i, contents=np.where(np.arange(24)[:, None] < k, 0.0, i.contents)) for k, i in enumerate(good, 1)]
    scored = make_scorer("expectation", references).judge([*good, *bad])
    assert max(s.score for s in scored[:8]) < min(s.score for s in scored[8:])
    assert [s.bad for s in scored] == [False] * 8 + [True] * 8
    assert len({s.score for s in scored[8:]}) == 8


def test_many_maps_have_the_scores_of_each() -> None:
    references, maps = SMALL.draw_many(6, 0), SMALL.draw_many(3, 1)
    for name in ("expectation", "strip_median", "pca", "isolation_forest"):
        scorer = make_scorer(name, references)
        found = scorer.bins_of(maps)
        assert found is not None
        assert found == pytest.approx(np.stack([scorer.bins(one) for one in maps]))
    assert make_scorer("ks", references).bins_of(maps) is None


def test_clustering_ranks_maps_by_their_smallest_cluster() -> None:
    rng = np.random.default_rng(15)
    reference = replace(learn_reference(SMALL.draw_many(2, 0), "t").reference, rate=np.ones(SMALL.shape), profile=True)
    options = Settings(options={"mode": "global", "eps_threshold": 0.05, "minpts": 3})
    scorer = DetectorScorer("dbscan", DETECTORS["dbscan"](options), Expected(reference))
    maps = []
    for hot in (5, 1, 2):
        contents = rng.uniform(0.9, 1.1, SMALL.shape)
        contents.ravel()[:hot] = rng.uniform(9.9, 10.1, hot)
        maps.append(interval_of(contents))
    scored = scorer.judge(maps)
    assert [s.score for s in scored] == [1 / 5, 1.0, 1 / 2]
    assert [s.bad for s in scored] == [False, True, True]


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_classifiers_tell_maps_with_a_dead_or_hot_region(name: str) -> None:
    good, bad = SMALL.draw_many(15, 1), SMALL.draw_many(15, 2)
    for n, one in enumerate(bad):
        x, y = 3 + n, 2 + n % 7
        one.contents[x : x + 5, y : y + 5] *= 6.0 if n % 2 else 0.0
    scorer = make_scorer(name, SMALL.draw_many(8, 0), effort=0.5)
    assert scorer.name == name
    of_good, of_bad = scorer.judge(good), scorer.judge(bad)
    assert area(np.array([s.score for s in of_good]), np.array([s.score for s in of_bad])) > 0.95
    assert sum(bool(s.bad) for s in of_good) <= 1
    assert sum(bool(s.bad) for s in of_bad) >= 10
    assert scorer.bins(good[0]) is None


@pytest.mark.parametrize(
    ("name", "shape", "words"),
    [("thesis_a", (3, 40), "does not fit"), ("classifier", (40, 3), "does not fit"), ("thesis_a", (6, 6), "too small")],
)
def test_maps_that_no_classifier_can_take_are_refused(name: str, shape: tuple[int, int], words: str) -> None:
    toy = Toy(name="flat", shape=shape, mean=400.0, unfilled=0.0, seed=6)
    with pytest.raises(HistwatchError, match=words):
        make_scorer(name, toy.draw_many(4, 0), effort=0.05)


# Pictures


def test_no_two_detectors_look_alike() -> None:
    looks = looks_of([*known_names(), *DETECTORS_OF_ECAL])
    assert len({tuple(sorted(look.items())) for look in looks.values()}) == len(looks)
    pairs = [(look["color"], look["marker"]) for look in looks.values()]
    assert len(set(pairs)) == len(pairs)
    alone, other = looks_of(["pca", "expectation"]), looks_of(["expectation"])
    assert alone["expectation"] == other["expectation"] == looks["expectation"]
    assert [name for name, look in looks.items() if look["color"] == looks["expectation"]["color"]] == ["expectation"]


def test_areas_of_detectors_stand_beside_one_another() -> None:
    from matplotlib.figure import Figure

    rows = [
        Row(suite="s", what="w", type=kind, detector=name, unit="map", n_good=9, n_bad=9, area=Area(value, 0.9, 1.0))
        for kind in ("a", "b")
        for name, value in (("expectation", 0.9999), ("pca", 0.99), ("ks", 1.0))
    ]
    figure = Figure(layout="constrained")
    paint = auc_by_type("t", rows).paint
    assert paint is not None
    paint(figure)
    (axes,) = figure.axes
    drawn = {str(c.get_label()): np.array(c.lines[0].get_xydata()) for c in axes.containers}
    places = np.concatenate([points[:, 0] for points in drawn.values()])
    assert len(set(places)) == len(rows)
    assert np.rint(np.sort(places)).tolist() == [0, 0, 0, 1, 1, 1]
    assert drawn["expectation"][:, 1] == pytest.approx(1e-4)
    assert drawn["pca"][:, 1] == pytest.approx(1e-2)
    assert axes.get_yscale() == "log"
    (legend,) = figure.legends
    assert [t.get_text() for t in legend.get_texts()] == ["expectation", "pca", "ks"]
    assert axes.get_legend() is None


# Thesis B


@pytest.mark.parametrize("profile", [False, True])
def test_spread_follows_the_exposure(profile: bool) -> None:
    toy = Toy(name="t", shape=(40, 30), mean=50.0, profile=profile, unfilled=0.0, seed=3)
    assert spread_at(toy, 1.0) == pytest.approx(toy.spread)
    rng = np.random.default_rng(8)
    drawn = np.stack([toy.draw(rng, exposure=2.0).contents for _ in range(300)])
    assert np.median(drawn.std(axis=0) / spread_at(toy, 2.0)) == pytest.approx(1.0, abs=0.02)


def test_faulty_maps_are_other_maps_than_good_ones_and_have_the_thesiss_share() -> None:
    good, bad = draw_maps(SMALL, 3, 1)
    assert set(bad) == {f.name for f in FAULTS}
    for faulty in bad.values():
        assert [round(t.mean(), 2) for _, t in faulty] == [0.22] * 3
        assert not {i.run for i, _ in faulty} & {i.run for i in good}
    again, _ = draw_maps(SMALL, 3, 1)
    assert all(np.array_equal(a.contents, b.contents) for a, b in zip(good, again, strict=True))


def test_a_profile_is_faulty_only_where_it_has_entries() -> None:
    toy = replace(SMALL, profile=True, unfilled=0.3)
    _, bad = draw_maps(toy, 2, 1)
    for interval, truth in (pair for faulty in bad.values() for pair in faulty):
        assert (interval.entries[truth] > 0).all()


def test_thesis_b_measures_every_detector_on_the_same_maps(tmp_path: Path) -> None:
    wanted = {"types": "profile_2", "scale": 0.4, "detectors": ("expectation", "pca", "strip_median")}
    rows = rows_of("thesis-b", **wanted)
    assert {r.detector for r in rows} == {"expectation", "pca", "strip_median"}
    assert {(r.n_good, r.n_bad) for r in rows if r.unit == "map"} == {(2, 2)}
    assert len({(r.what, r.n_good, r.n_bad) for r in rows if r.unit == "bin"}) == 12
    best = {r.detector: r for r in rows if r.unit == "bin" and r.what == "3-4 spreads of each bin, 10 references"}
    assert best["expectation"].auc > 0.95
    assert best["expectation"].auc > best["strip_median"].auc
    assert [r.to_json() for r in rows_of("thesis-b", **wanted)] == [r.to_json() for r in rows]
    path = write_report(suite_named("thesis-b"), rows, Options(**wanted), tmp_path / "deep" / "report")
    text = path.read_text()
    assert "histwatch evaluate thesis-b --seed 0 --scale 0.4 --types 'profile_2' --detectors 'expectation'" in text
    assert "thesis B, median of its types" in text
    pictures = sorted(path.parent.glob("*.png"))
    assert len(pictures) == 6
    assert all(f"({p.name})" in text for p in pictures)


def test_what_is_not_made_for_profiles_is_left_out_of_thesis_b_with_a_word() -> None:
    rows = rows_of("thesis-b", types="profile_2", scale=0.1, detectors=("thesis_a", "strip_median"))
    assert {r.what for r in rows if r.detector == "thesis_a"} == {"left out"}
    parts = suite_named("thesis-b").parts(rows)
    assert [line[1] for line in parts[-1].lines] == ["thesis_a"]
    assert all("thesis_a" not in p.header for p in parts)


def test_bins_of_maps_count_good_and_faulty_ones() -> None:
    good, bad = SMALL.draw_many(3, 1), SMALL.draw_many(2, 2)
    truth = np.zeros(SMALL.shape, dtype=bool)
    truth[3:5, 2:4] = True
    faulty = [(replace(i, contents=np.where(truth, 0.0, i.contents)), truth) for i in bad]
    scorer = make_scorer("pca", SMALL.draw_many(5, 3))
    bins, maps = measure.measure(scorer, good, faulty, suite="s", what="w", kind="k", seed=1, filled=SMALL.rate > 0)
    assert (bins.n_good, bins.n_bad) == (3 * 384 + 2 * 380, 8)
    assert (maps.n_good, maps.n_bad, maps.auc) == (3, 2, 1.0)
    assert maps.figures == {"found": None, "false": None}
    assert bins.to_json()["auc_filled"] > 0.9


# ECAL


@pytest.mark.parametrize("point", [ecal.POINTS[1], ecal.POINTS[3]])
def test_an_endcap_scatters_as_it_says(point: endcaps.Point) -> None:
    cap = endcaps.endcap(point, 4.0)
    valid = cap.rate > 0
    assert valid.sum() == 316
    assert cap.rate.max() / cap.rate[valid].min() == pytest.approx(4.0)
    rng = np.random.default_rng(9)
    drawn = np.concatenate([cap.draw(np.ones(20), rng) for _ in range(300)])
    assert not drawn[:, ~valid].any()
    mu = cap.rate[valid]
    assert drawn.mean(axis=0)[valid] == pytest.approx(mu, rel=0.08)
    variance = drawn.var(axis=0)[valid] - (endcaps.SYSTEMATIC * mu) ** 2
    assert np.median(variance / mu) == pytest.approx(point.dispersion, rel=0.05)
    # At the emptiest towers, the only ones that show nothing often enough to be counted.
    few = np.argsort(mu)[:20]
    assert (drawn[:, valid][:, few] == 0).mean() == pytest.approx(cap.nothing(mu[few]).mean(), rel=0.25, abs=2e-4)


def test_limits_are_those_of_the_note() -> None:
    noted = {(1.0, 4.5): 0.78, (1.0, 9.7): 0.020, (3.0, 9.1): 0.69, (3.0, 17.0): 0.022}
    for point in ecal.POINTS:
        one, every = endcaps.limits(endcaps.endcap(point, 4.0), point.mu1, 1)
        if (point.dispersion, point.mu1) in noted:
            assert one == pytest.approx(noted[point.dispersion, point.mu1], rel=0.05, abs=6e-3)
        # Few towers are as empty as the emptiest.
        assert every < one
        assert endcaps.limits(endcaps.endcap(point, 4.0), point.mu1, 3)[0] < 1e-3 * one


def test_fdr_counts_towers_beyond_what_99_percent_of_the_faulty_exceed() -> None:
    faulty = np.arange(1.0, 201.0)
    clean = np.zeros((50, 10))
    clean[:5, 0] = 3.0
    clean[5:10, 0] = 2.9
    found = discoveries(clean, faulty, redraw(50, 200, np.random.default_rng(0)))
    # The threshold is 3: two of 200 are lost, five towers of 50 maps are false.
    assert found.false == 5
    assert found.fdr == pytest.approx(0.1 / (0.1 + 198 / 200))
    low, high = found.interval
    assert low < found.fdr < high
    # Poisson's of 5 events, which is wider than that of any drawing of these maps alone.
    assert low <= 1.623 / 50 / (1.623 / 50 + 0.99)
    assert high >= 11.668 / 50 / (11.668 / 50 + 0.99)


def test_where_nothing_false_is_seen_a_limit_is_said() -> None:
    redrawn = redraw(1000, 100, np.random.default_rng(0))
    parts = [discoveries(np.zeros((1000, 4)), np.ones(100), redrawn) for _ in range(3)]
    assert (parts[0].fdr, parts[0].interval[0]) == (0.0, 0.0)
    # Of 1000 maps none is false with a chance of 5 %, if 2.996 are expected.
    assert stats.poisson.pmf(0, 2.9957) == pytest.approx(0.05, rel=1e-3)
    assert parts[0].interval[1] == pytest.approx(2.9957e-3, rel=5e-3)
    assert together(parts).interval[1] == pytest.approx(2.9957e-3 / 3, rel=5e-3)


def test_interval_of_fdr_agrees_with_explicit_resampling() -> None:
    rng = np.random.default_rng(13)
    clean, faulty = rng.normal(size=(300, 20)), rng.normal(size=150) + 4.0
    low, high = discoveries(clean, faulty, redraw(300, 150, rng)).interval
    again = []
    for _ in range(500):
        own = rng.choice(faulty, 150)
        false = (clean[rng.integers(300, size=300)] >= np.sort(own)[1]).sum() / 300
        again.append(false / (false + (own >= np.sort(own)[1]).mean()))
    assert (low, high) == pytest.approx(tuple(np.quantile(again, [0.025, 0.975])), abs=0.03)


def test_area_of_single_bins_agrees_with_explicit_resampling() -> None:
    rng = np.random.default_rng(14)
    good, bad = rng.normal(size=(60, 5)) + rng.normal(size=(60, 1)), rng.normal(size=40) + 1.0
    found = area_of_single_bins(good, bad, redraw(60, 40, rng))
    assert found.value == pytest.approx(area(good, bad))
    again = [area(good[rng.integers(60, size=60)], rng.choice(bad, 40)) for _ in range(1000)]
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(again, [0.025, 0.975])), abs=0.015)


@pytest.fixture(scope="module")
def endcap_rows() -> list[Row]:
    wanted = ("expectation", "chi2", "pca", "ks", "peer*")
    return rows_of("ecal-recipe", types="gradient 4", scale=0.1, detectors=wanted)


def test_ecal_recipe_knows_peers_and_limits(endcap_rows: list[Row]) -> None:
    of_points = [r for r in endcap_rows if "mu1" in r.what]
    # Of the peer's losses one is of three maps, two of one; ks scores no bins.
    assert {r.detector for r in of_points} == {"expectation", "chi2", "pca", *PEERS}
    assert len(of_points) == 5 * 2 * (2 * 3 + 3)
    assert {(r.n_good, r.n_bad) for r in of_points} == {(310 * 316, 100)}
    assert {r.figures["published"] for r in endcap_rows if r.detector == "peer"} == {0.8055, 0.0001}
    assert all(r.figures.get("limit") is None for r in endcap_rows if r.what.startswith("hot"))
    again = rows_of("ecal-recipe", types="gradient 4", scale=0.1, detectors=("expectation",))
    assert [r.to_json() for r in again] == [r.to_json() for r in endcap_rows if r.detector == "expectation"]


@pytest.mark.parametrize(
    ("what", "most"),
    [
        ("dead, F 1, mu1 9.7, 1 map", 0.02),
        ("dead, F 3, mu1 9.1, 1 map", 0.68),
        ("dead, F 3, mu1 17, 1 map", 0.02),
        ("dead, F 3, mu1 9.1, 3 maps", 0.005),
        ("dead, F 3, mu1 17, 3 maps", 0.0),
        ("dead, F 1, mu1 18, 1 map", 0.0),
        ("dead, F 1, mu1 18, 3 maps", 0.0),
        ("hot, F 3, mu1 17, 1 map", 0.0),
        ("hot, every point, 1 map", 0.0),
    ],
)
def test_expectation_finds_towers_with_few_false_ones(endcap_rows: list[Row], what: str, most: float) -> None:
    own = {r.detector: float(str(r.figures["fdr"])) for r in endcap_rows if r.what == what}
    assert own["expectation"] <= most
    assert own["expectation"] <= own["pca"]


def test_a_limit_stands_in_the_table_where_nothing_false_was_seen(endcap_rows: list[Row]) -> None:
    table = next(p for p in suite_named("ecal-recipe").parts(endcap_rows) if p.title.startswith("Hot towers, 1 map"))
    every = dict(zip(table.header, table.lines[-1], strict=True))
    assert every["faults"] == "hot, every point, 1 map"
    # Five points of 310 clean maps each: 3.0 / 1550.
    assert every["expectation"] == "< 0.0019 (95 %)"


def test_what_scores_no_bins_is_left_out_with_a_word(endcap_rows: list[Row]) -> None:
    (missing,) = [r for r in endcap_rows if r.detector == "ks"]
    assert (missing.type, missing.figures["reason"]) == ("gradient 4", "scores no single bins")
    parts = {p.title: p for p in suite_named("ecal-recipe").parts(endcap_rows)}
    assert parts["Left out"].lines == [["gradient 4", "ks", "0 / 0", "scores no single bins"]]
    assert "ks" not in parts["Hot towers, 1 map: FDR at 99 % detection"].header


# Six faults


def test_faults_lie_apart_and_change_what_they_say() -> None:
    rng = np.random.default_rng(10)
    toy = Toy(name="t", mean=1000.0, seed=1)
    faults = place(toy.rate, rng)
    assert {f.kind.name for f in faults} == {k.name for k in KINDS}
    assert np.add.reduce([f.bins.astype(int) for f in faults]).max() == 1
    interval = toy.draw(rng)
    bad = spoiled(interval, faults)
    for fault in faults:
        before, after = interval.contents[fault.bins].sum(), bad.contents[fault.bins].sum()
        assert after == pytest.approx(fault.kind.factor * before, rel=0.02)
    untouched = ~np.logical_or.reduce([f.bins for f in faults])
    assert np.array_equal(interval.contents[untouched], bad.contents[untouched])


def test_a_fault_is_named_by_place_and_direction() -> None:
    faults = place(np.full((99, 65), 100.0), np.random.default_rng(11))
    shapes = []
    for fault in faults:
        bins = [tuple(int(i) for i in b) for b in np.argwhere(fault.bins)]
        sign = "low" if fault.kind.factor < 1.0 else "high"
        if fault.kind.name == "dead bin":
            sign = "hot"
        shapes.append(shape_of(sign, bins))
    free = np.argwhere(~np.logical_or.reduce([f.bins for f in faults]))[0]
    shapes.append(shape_of("low", [tuple(int(i) for i in free)]))
    found = figures_of([Scored(1.0, True, tuple(shapes)), Scored(1.0, False)], [faults, faults])
    assert found["all_named"] == 0.0
    assert found["dead bin"] == 0.0
    assert found["strip"] == found["hot bin"] == 0.5
    assert (found["maps_outside"], found["bins_outside"]) == (1, 1)


def test_six_faults_at_once_are_all_named() -> None:
    (row,) = rows_of("simultaneous", types="counts_05000", scale=0.2, detectors=("expectation",))
    assert (row.n_good, row.n_bad) == (5, 5)
    assert row.figures["all_named"] == 1.0
    assert row.figures["bins_outside"] == 0


def test_the_prototypes_figure_stands_beside_its_successor_alone() -> None:
    ours, other = rows_of("simultaneous", types="counts_02000", scale=0.1, detectors=("expectation", "chi2"))
    assert (ours.peer_value, other.peer_value) == (1.0, None)
    assert not other.peer


# False alarms


def test_interval_of_false_alarms_is_never_narrower_than_poissons() -> None:
    rng = np.random.default_rng(12)
    counted = np.zeros(40)
    assert ratio_interval(counted, 2.0, rng) == (0.0, pytest.approx(3.689 / 2.0, rel=1e-3))
    counted[:10] = 1.0
    low, high = ratio_interval(counted, 1.0, rng)
    assert low <= 4.796
    assert high >= 18.39
    # All in one type: how many such types there are is what is unknown.
    counted[:] = 0.0
    counted[0] = 400.0
    assert ratio_interval(counted, 400.0, rng)[0] == 0.0
    assert ratio_interval(counted, 400.0, rng)[1] >= 2.0


def test_false_alarms_are_about_as_many_as_promised() -> None:
    rows = rows_of("false-alarms", types="benign*", scale=0.01)
    assert [r.what for r in rows] == ["p = 0.01", "p = 0.001", "p = 0.0001", "p = 1e-05"]
    assert {r.n_good for r in rows} == {2400}
    first = rows[0].figures
    assert first["promised"] == pytest.approx(24.0)
    assert first["ratio_low"] <= 1.0 <= first["ratio_high"]
    # BAD by the thresholds of that very promise: not more of them, and not next to none.
    assert first["bad_ratio_low"] <= 1.0
    assert 0.1 < first["bad_ratio"] == first["bad_realised"] / first["promised"]
    realised = [float(r.figures["bad_realised"]) for r in rows]  # type: ignore[arg-type]
    assert realised == sorted(realised, reverse=True)
    assert realised[0] > realised[-1]
    with pytest.raises(HistwatchError, match="none states the chance"):
        rows_of("false-alarms", types="benign*", scale=0.01, detectors=("strip_median",))


def test_who_states_no_chance_is_left_out_with_a_word() -> None:
    rows = rows_of("false-alarms", types="benign*", scale=0.002, detectors=("expectation", "pca"))
    assert [(r.detector, r.what) for r in rows[:1]] == [("pca", LEFT_OUT)]
    assert {r.detector for r in measured(rows)} == {"expectation"}
    table, without = suite_named("false-alarms").parts(rows)
    assert len(table.lines) == 4
    assert "no promise" in without.lines[0][-1]


# Thesis A


def test_the_class_of_a_map_is_the_direction_of_its_worst_shape() -> None:
    assert class_of(Scored(0.0, False)) == 0
    both = (shape_of("hot", [(0, 0)], 5.0), shape_of("dead", [(1, 1)], -9.0))
    assert class_of(Scored(1.0, True, both)) == 2
    assert class_of(Scored(1.0, True, both[:1])) == 1
    with pytest.raises(HistwatchError, match="names no class"):
        class_of(Scored(1.0, True))


def test_detectors_name_classes_of_thesis_a() -> None:
    rows = rows_of("thesis-a", types="1 x 1 random", scale=0.1, detectors=("expectation", "pca"))
    assert [r.detector for r in rows] == ["expectation", "pca"]
    assert {(r.n_good, r.n_bad) for r in rows} == {(30, 60)}
    assert rows[0].figures["accuracy"] > 0.95
    assert "accuracy" not in rows[1].figures


def test_the_whole_study_is_written_where_the_report_says(tmp_path: Path) -> None:
    suite = suite_named("thesis-a")
    wanted = Options(types="5 x 5 fixed", scale=0.05, detectors=("thesis_a", "classifier"))
    rows = list(suite.run(wanted, quiet))
    assert {r.type for r in rows} == {"5 x 5 fixed"}
    assert {r.detector for r in rows if r.detector.startswith("thesis_a ")} >= {f"thesis_a {name}" for name in STUDIED}
    (ours,) = [r for r in rows if r.detector == "classifier"]
    assert (ours.figures["maps"], ours.figures["epochs"]) == (3 * 32, 2)
    text = write_report(suite, rows, wanted, tmp_path).read_text()
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert REPORT in links
    assert all((tmp_path / link).is_file() for link in links)
    # Who did not run it has no such report.
    assert all(REPORT not in part.words for part in suite_named("thesis-a").parts(rows))


# Recorded data


def test_what_is_near_a_bad_lumisection() -> None:
    order = [(1, n) for n in range(1, 31)] + [(2, 1)]
    labels = Labels(good=frozenset(order) - {(1, 20)}, single=frozenset({(1, 20)}), whole=frozenset())
    near = near_places(labels, order)
    assert near == {(1, n) for n in (*range(1, 11), *range(15, 26))} | {(2, 1)}


def test_labels_that_are_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(HistwatchError, match="holds 0 tables"):
        read_labels(tmp_path)
    (tmp_path / "t.csv").write_text("run,lumi\n1,2\n")
    with pytest.raises(HistwatchError, match="no table of run, lumi and y"):
        read_labels(tmp_path)
    (tmp_path / "t.csv").write_text("run,lumi,y\n1,1,1\n1,2,0\n2,1,0\n")
    labels = read_labels(tmp_path)
    assert (labels.good, labels.single, labels.whole) == ({(1, 1)}, {(1, 2)}, {(2, 1)})


def test_known_changes_and_injected_faults_have_different_names() -> None:
    assert not set(real_maps.SOURCES) & set(real_maps.KNOWN_CHANGES)


def test_a_fault_in_a_recorded_map_is_named_by_half_of_the_bins_of_both() -> None:
    bins = np.zeros((8, 6), dtype=bool)
    bins[2:5, 1:4] = True
    low = injected.Fault("3 x 3", (3, 3), 0.9)
    places = [tuple(int(i) for i in b) for b in np.argwhere(bins)]
    everywhere = [(x, y) for x in range(8) for y in range(6)]

    def named(sign: str, own: list[tuple[int, ...]]) -> bool:
        return injected.is_named(low, bins, Scored(1.0, True, (shape_of(sign, own),)))

    assert named("low", places)
    assert named("dead", places[:5])
    assert not named("high", places)
    assert not named("low", places[:4])
    # What is wrong somewhere in the map says nothing of where.
    assert not named("low", everywhere)


def test_faults_are_put_where_they_say() -> None:
    references = SMALL.draw_many(6, 0)
    interval = SMALL.draw_many(1, 1)[0]
    expected = expectation_of("expectation", references, 0)
    before = interval.contents.copy()
    live = expected.reference.rate > 0
    for fault, (faulty, bins) in injected.with_faults(interval, expected, np.random.default_rng(2)).items():
        wanted = tuple(n or s for n, s in zip(fault.size, SMALL.shape, strict=True))
        assert (np.argwhere(bins).max(axis=0) - np.argwhere(bins).min(axis=0) < wanted).all()
        assert not (bins & ~live).any()
        changed = faulty.contents != before
        assert not (changed & ~bins).any()
        lost = faulty.contents[bins].sum() / before[bins].sum()
        assert lost == pytest.approx(fault.factor, abs=4.0 / np.sqrt(before[bins].sum()))
        assert faulty.total == faulty.contents.sum()
    assert np.array_equal(interval.contents, before)


def test_a_detector_that_cannot_be_made_costs_its_own_row_only() -> None:
    # No counts: classifiers are not made for these.
    maps = [[replace(i, contents=i.contents + 0.5) for i in SMALL.draw_many(3, 7)]]
    suite = real_maps.RealMaps()
    rows = list(suite.measured("floats", maps, ["classifier", "dbscan", "expectation"], Options()))
    (refused,) = (r for r in rows if r.what == LEFT_OUT)
    assert (refused.detector, refused.n_good, refused.figures[REASON]) == ("classifier", 3, NOT_MADE)
    assert {(r.detector, r.n_good, r.n_bad) for r in measured(rows)} == {("dbscan", 3, 3), ("expectation", 3, 3)}
    assert len(measured(rows)) == 2 * len(injected.FAULTS)


def test_what_was_refused_is_counted_by_detector_and_reason() -> None:
    refusals = Refusals()
    for reason in ("too few", "too few", "too small"):
        refusals.add("thesis_b", HistwatchError(reason))
    found = refusals.rows("s", "k")
    assert [(r.detector, r.n_good, r.figures[REASON]) for r in found] == [
        ("thesis_b", 2, "too few"),
        ("thesis_b", 1, "too small"),
    ]
    assert not_measured(found).lines == [
        ["k", "thesis_b", "2 / 0", "too few"],
        ["k", "thesis_b", "1 / 0", "too small"],
    ]


# Own recordings


@pytest.fixture
def recordings(tmp_path: Path) -> tuple[Path, Path]:
    toy = Toy(name="occupancy", shape=(24, 16), mean=500.0, seed=4)
    folders = tmp_path / "good", tmp_path / "bad"
    for folder, seed, first in zip(folders, (1, 2), (1001, 2001), strict=True):
        folder.mkdir()
        for n, interval in enumerate(toy.draw_many(8, seed)):
            contents = interval.contents
            if folder.name == "bad":
                contents[4:9, 3:8] = 0.0
            with uproot.recreate(folder / f"run{first + n}.root") as file:
                file["occupancy"] = (contents, np.arange(25.0), np.arange(17.0))
                file[f"only_{folder.name}"] = (contents[:, 0], np.arange(25.0))
    return folders


def test_own_recordings_give_the_same_tables(recordings: tuple[Path, Path], tmp_path: Path) -> None:
    good, bad = (str(p) for p in recordings)
    wanted = {"good": (good,), "bad": (bad,), "detectors": ("expectation", "pca", "isolation_forest")}
    rows = rows_of("bring-your-own", **wanted)
    assert {(r.type, r.unit, r.n_good, r.n_bad) for r in measured(rows)} == {("occupancy", "map", 4, 8)}
    found = {r.detector: r for r in measured(rows)}
    assert found["expectation"].auc == 1.0
    assert found["expectation"].figures == {"found": 1.0, "false": 0.0, "empty": 0}
    assert {(r.type, r.n_good, r.n_bad, r.figures[REASON]) for r in rows if r.what == LEFT_OUT} == {
        ("only_good", 8, 0, "in no bad recording"),
        ("only_bad", 0, 8, "in no good recording"),
    }
    path = write_report(suite_named("bring-your-own"), rows, Options(**wanted), tmp_path / "report")
    assert "| occupancy |" in path.read_text()
    assert "| only_bad | all | 0 / 8 | in no good recording |" in path.read_text()
    with pytest.raises(HistwatchError, match=r"no histogram matching only\* can be measured: only_bad \(in no good"):
        rows_of("bring-your-own", **wanted, types="only*")
    with pytest.raises(HistwatchError, match="no histogram matches nothing"):
        rows_of("bring-your-own", **wanted, types="nothing")


def write_map(path: Path, **maps: Any) -> None:
    with uproot.recreate(path) as file:
        for name, contents in maps.items():
            file[name] = (contents, *(np.arange(n + 1.0) for n in contents.shape))


def test_bad_recordings_that_cannot_be_used_are_told_and_empty_ones_count(tmp_path: Path) -> None:
    toy = Toy(name="t", shape=(20, 16), mean=200.0, seed=4)
    good, bad = (toy.draw_many(6, 1), toy.draw_many(5, 2))
    for n, interval in enumerate(good):
        write_map(tmp_path / f"good_{1001 + n}.root", m=interval.contents, equal=np.full((6, 6), 7.0))
    contents = [i.contents.copy() for i in bad]
    contents[0][:] = 0.0
    contents[1][5:9] = 0.0
    contents[2][3, 3] = np.nan
    contents[3] = -contents[3]
    contents[4] = contents[4][:-1]
    for n, one in enumerate(contents):
        write_map(tmp_path / f"bad_{2001 + n}.root", m=one, equal=np.full((6, 6), 7.0))
    (tmp_path / "bad_2009.root").write_bytes(b"root, but not for long")
    wanted: dict[str, Any] = {"good": (str(tmp_path / "good*"),), "bad": (str(tmp_path / "bad*"),)}
    rows = rows_of("bring-your-own", **wanted, detectors=("expectation", "dbscan", "thesis_b", "classifier"))
    ours = next(r for r in rows if (r.detector, r.type) == ("expectation", "m"))
    assert (ours.n_good, ours.n_bad, ours.figures["empty"]) == (3, 2, 1)
    assert (ours.figures["found"], ours.figures["false"], ours.auc) == (1.0, 0.0, 1.0)
    unread = {(r.type, str(r.figures[REASON])) for r in rows if r.what == LEFT_OUT and not r.detector}
    assert {u for u in unread if u[0] == "m"} == {
        ("m", "not read: not_finite"),
        ("m", "not read: negative_counts"),
        ("m", "of other bins or kind than the last good one (20 x 16)"),
    }
    assert [kind for kind, reason in unread if reason.startswith("not read: ") and kind != "m"] == ["files"]
    # Bins that never differ cannot be made faulty: what is measured goes on without those who need it.
    assert {r.detector for r in rows if r.type == "equal" and r.what == LEFT_OUT} >= {"dbscan", "thesis_b"}
    assert {r.detector for r in measured(rows) if r.type == "equal"} >= {"expectation"}
    assert {r.detector for r in rows if r.type == "m"} == {"", "expectation", "dbscan", "thesis_b", "classifier"}


def test_an_empty_map_is_bad_only_where_something_was_to_be_seen(tmp_path: Path) -> None:
    few = np.zeros((4, 4))
    few[1, 1] = 3.0
    for run in (1001, 1002):
        write_map(tmp_path / f"good_{run}.root", few=few, many=few + 10.0)
    write_map(tmp_path / "bad_2001.root", few=np.zeros((4, 4)), many=np.zeros((4, 4)))
    wanted: dict[str, Any] = {"good": (str(tmp_path / "good*"),), "bad": (str(tmp_path / "bad*"),)}
    found = {r.type: r.figures["found"] for r in rows_of("bring-your-own", **wanted, detectors=("chi2",))}
    assert found == {"few": 0.0, "many": 1.0}


def test_a_path_in_two_folders_is_not_guessed(tmp_path: Path) -> None:
    for folder in ("one", "other"):
        (tmp_path / folder).mkdir()
        for run in (1001, 1002):
            write_map(tmp_path / folder / f"run{run}.root", m=np.full((4, 4), 9.0))
    found = gather([str(tmp_path)])
    assert not found.intervals
    assert list(found.without.values()) == [4]


def test_good_runs_are_split_by_run_or_else_by_lumisection() -> None:
    def at(run: int, lumisection: int) -> Any:
        return interval_of(np.ones((2, 2)), run=run, lumisection=lumisection)

    several = [at(run, ls) for run in (1, 2, 3) for ls in (1, 2)]
    references, held = split_good(several)
    assert {i.run for i in references} == {1}
    assert {i.run for i in held} == {2, 3}
    references, held = split_good([at(1, ls) for ls in range(1, 6)])
    assert [i.lumisection for i in references] == [1, 2]
    assert [i.lumisection for i in held] == [3, 4, 5]
    assert split_good([at(1, 1)])[0] == []


# The command


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(["evaluate", *arguments])
    return int(end.value.code or 0)


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> Iterator[Any]:
    return lambda: [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_rows_are_json_lines(lines: Any, tmp_path: Path) -> None:
    small = ("--types", "counts_02000", "--scale", "0.1", "--detectors", "expectation, pca")
    assert run("simultaneous", *small, "--json", "--seed", "3", "--report", str(tmp_path)) == 0
    records = lines()
    assert [r["detector"] for r in records] == ["expectation", "pca"]
    for record in records:
        assert {"suite", "type", "detector", "auc", "auc_low", "auc_high", "n_good", "n_bad", "peer"} <= set(record)
        assert record["suite"] == "simultaneous"
    assert "--seed 3 --scale 0.1" in (tmp_path / "README.md").read_text()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nothing"], "no suite 'nothing'; known are thesis-a"),
        (["real-maps"], "--data DIR"),
        (["certified-1d", "--data", "."], "has no folder certified_1d"),
        (["bring-your-own"], "--good PATH"),
        (["bring-your-own", "--good", "x"], "--bad PATH"),
        (["thesis-b", "--types", "nothing"], "--types nothing: suite thesis-b has none; known are counts_00050"),
        (["thesis-b", "--detectors", "nothing"], "--detectors nothing: there is none"),
        (["thesis-b", "--scale", "0"], "--scale 0"),
    ],
)
def test_wrong_use_is_told_with_exit_2(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*arguments) == 2
    assert words in capsys.readouterr().err


def test_every_suite_can_be_asked_for() -> None:
    for name in SUITES:
        suite = suite_named(name)
        assert suite.name == name
        assert suite.parts([]) is not None
