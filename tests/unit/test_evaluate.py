"""The benchmark: its measures against oracles, its suites on a small scale, its command."""

from __future__ import annotations

import json
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
from monitor.errors import HistwatchError
from monitor.learn.evaluate import ecal, endcaps, measure, real_maps
from monitor.learn.evaluate.baselines import IsolationForest, Pca
from monitor.learn.evaluate.certified import Labels, near_places, read_labels
from monitor.learn.evaluate.false_alarms import ratio_interval
from monitor.learn.evaluate.own import split_good
from monitor.learn.evaluate.report import write_report
from monitor.learn.evaluate.roc import area, area_of_bins, area_of_maps, curve
from monitor.learn.evaluate.rows import Row
from monitor.learn.evaluate.scorers import Scored, choose, known_names, make_scorer
from monitor.learn.evaluate.simultaneous import KINDS, figures_of, place, spoiled
from monitor.learn.evaluate.suite import SUITES, Options, suite_named
from monitor.learn.evaluate.thesis_a import class_of
from monitor.learn.evaluate.thesis_b import FAULTS, draw_maps, single_bin_limit, spread_at
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
    scores = learned.bin_scores(bad)
    assert scores.shape == contents.shape
    assert scores[at] == scores.max()
    assert learned.score(bad) > learned.score(good)
    assert np.array_equal(scores, baseline(references, seed=1).bin_scores(bad))


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
    scores = Pca([interval_of(one)] * 4).bin_scores(interval_of(other))
    assert scores[1, 2] == scores.max() > 0.0


def test_pca_of_one_reference_is_the_distance_to_it() -> None:
    one, other = (i.contents for i in SMALL.draw_many(2, 2))
    distance = (other / other.sum() - one / one.sum()) ** 2
    assert Pca([interval_of(one)]).bin_scores(interval_of(other)) == pytest.approx(distance)


def test_names_are_chosen_by_glob() -> None:
    assert choose((), ("pca", "no_such", "expectation")) == ["pca", "expectation"]
    assert choose(("thesis_*", "pca"), ()) == ["pca", "thesis_b", "thesis_a"]
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
    # The threshold is 3: two of 200 are lost, five towers of 50 maps are false.
    assert ecal.fdr(clean, faulty) == pytest.approx(0.1 / (0.1 + 198 / 200))


def test_ecal_recipe_knows_peers_and_limits() -> None:
    rows = rows_of("ecal-recipe", types="gradient 4", scale=0.07)
    assert len(rows) == 5 * 2 * 7
    alone = [r for r in rows if r.what == "dead, F 1, mu1 9.7" and r.detector == "expectation, single bins"]
    assert float(alone[0].figures["fdr"]) < 0.1  # type: ignore[arg-type]
    rich = [r for r in rows if r.what == "dead, F 1, mu1 18" and r.detector == "expectation, 3 maps"]
    assert [r.figures["fdr"] for r in rich] == [0.0]
    assert {r.figures["published"] for r in rows if r.detector == "peer"} == {0.8055, 0.0001}
    assert all(r.figures["limit"] is None for r in rows if r.what.startswith("hot"))


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
    with pytest.raises(HistwatchError, match="none states the chance"):
        rows_of("false-alarms", types="benign*", scale=0.01, detectors=("strip_median",))


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
    assert {(r.type, r.unit, r.n_good, r.n_bad) for r in rows} == {("occupancy", "map", 4, 8)}
    found = {r.detector: r for r in rows}
    assert found["expectation"].auc == 1.0
    assert found["expectation"].figures == {"found": 1.0, "false": 0.0}
    path = write_report(suite_named("bring-your-own"), rows, Options(**wanted), tmp_path / "report")
    assert "| occupancy |" in path.read_text()
    with pytest.raises(HistwatchError, match=r"no histogram matching only\*"):
        rows_of("bring-your-own", **wanted, types="only*")


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
