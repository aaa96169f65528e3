"""From good intervals to a reference and a model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from helpers import (
    SHAPE,
    bins_of,
    good_intervals,
    make_interval,
    make_snapshot,
    poisson_map,
    profile_interval,
    sample,
    smooth_rate,
)

from monitor.detect.base import Expected
from monitor.detect.expectation import ExpectationDetector
from monitor.errors import HistwatchError
from monitor.infer import Model, load_model
from monitor.judge import Catalogue, Judge, Rule
from monitor.learn.autoencoder import train
from monitor.learn.lowrank import fit_modes
from monitor.learn.models import model_file_name
from monitor.learn.recorded import gather_intervals, learn_expectations
from monitor.learn.reference import ALONE_SYSTEMATIC, learn_reference
from monitor.learn.toys import thesis_types
from monitor.snapshot import FloatArray, Kind
from monitor.window import Interval, Minimum


def model_of(intervals: list[Interval], rank: int = 2) -> Model:
    return load_model(train(intervals, name="m", version="1", rank=rank)[0], "m.onnx")


def reference_of(intervals: list[Interval]):  # type: ignore[no-untyped-def]
    return learn_reference(intervals, "test").reference


# Reproducible


@pytest.mark.parametrize("kind", [Kind.TH2, Kind.TPROFILE2D])
def test_the_same_intervals_give_the_same_bytes(kind: Kind) -> None:
    rate = smooth_rate(mean=50.0)
    made = [train([sample(kind, rate, n) for n in range(8)], name="m", version="1", seed=3)[0] for _ in range(2)]
    assert made[0] == made[1]


def test_other_intervals_give_another_file() -> None:
    rate = smooth_rate()
    one, other = (train(good_intervals(rate, 8, seed), name="m", version="1")[0] for seed in (1, 2))
    assert one != other


def test_the_card_says_what_it_was_made_of() -> None:
    _, card = train(good_intervals(smooth_rate(), 8), name="m", version="5", seed=9)
    assert (card.name, card.version, card.seed, card.references) == ("m", "5", 9, 8)
    assert card.histogram_types == ("cal/Ecal/Occupancy",)
    assert card.training_runs == tuple(range(1, 9))
    assert (card.kind, card.shape, card.normalisation) == ("TH2", SHAPE, "exposure")


# References


def spoilt(intervals: list[Interval], number: int, fault) -> list[Interval]:  # type: ignore[no-untyped-def]
    contents = fault(intervals[number].contents.copy())
    return [make_interval(contents, run=i.run) if n == number else i for n, i in enumerate(intervals)]


def dead_sector(contents: FloatArray) -> FloatArray:
    contents[6:12] = 0.0
    return contents


def many_hot(contents: FloatArray) -> FloatArray:
    return np.where(np.random.default_rng(1).random(contents.shape) < 0.22, 3 * contents, contents)


@pytest.mark.parametrize("fault", [dead_sector, many_hot])
def test_a_bad_reference_among_good_ones_is_left_out(fault) -> None:  # type: ignore[no-untyped-def]
    rate = smooth_rate()
    good = good_intervals(rate, 10)
    learned = learn_reference(spoilt(good, 4, fault), "test")
    assert learned.used == tuple(n != 4 for n in range(10))
    assert learned.reference.references == 9
    clean = reference_of(good)
    np.testing.assert_allclose(learned.reference.rate / clean.rate, clean.total**0 * np.ones(SHAPE), atol=0.1)
    assert np.median(learned.reference.systematic) < 0.02


def test_a_dead_bin_in_one_reference_does_not_blind_the_bin() -> None:
    def dead_bin(contents: FloatArray) -> FloatArray:
        contents[3, 3] = 0.0
        return contents

    good = good_intervals(smooth_rate(), 10)
    learned = reference_of(spoilt(good, 4, dead_bin))
    clean = reference_of(good)
    assert learned.rate[3, 3] == pytest.approx(clean.rate[3, 3], rel=0.05)
    assert learned.systematic[3, 3] < 0.05
    contents = poisson_map(learned.rate, 77)
    contents[3, 3] = 0.0
    (finding,) = ExpectationDetector().judge([make_interval(contents)], [Expected(learned)])
    assert bins_of(finding) == {(3, 3)}


def test_one_reference_must_do_with_a_general_systematic() -> None:
    rate = smooth_rate(mean=2000.0)
    reference = reference_of(good_intervals(rate, 1))
    assert reference.references == 1
    np.testing.assert_array_equal(reference.systematic, ALONE_SYSTEMATIC)
    fresh = good_intervals(rate, 30, seed=5)
    found = ExpectationDetector().judge(fresh, [Expected(reference)] * len(fresh))
    assert not any(f.bad for f in found)
    dead = fresh[0].contents.copy()
    dead[5, 5] = 0.0
    (finding,) = ExpectationDetector().judge([make_interval(dead)], [Expected(reference)])
    assert bins_of(finding) == {(5, 5)}
    assert "few references (1)" in finding.note


def test_unit_of_exposure_is_an_average_lumisection() -> None:
    rate = smooth_rate()
    long = [make_interval(poisson_map(rate, n, 4.0), 4, first_lumisection=1) for n in range(6)]
    reference = reference_of(long)
    assert reference.rate.sum() == pytest.approx(rate.sum(), rel=0.01)
    assert reference.exposure == pytest.approx(24.0)


@pytest.mark.parametrize("number", [2, 6])
def test_counters_that_always_show_the_same_are_known_as_such(number: int) -> None:
    pulser = [make_interval(np.full(SHAPE, 2000.0), run=n) for n in range(number)]
    assert reference_of(pulser).constant
    assert model_of(pulser).reference.constant
    assert not reference_of(pulser[:1]).constant
    assert not any(reference_of(good_intervals(smooth_rate(), number, seed)).constant for seed in range(10))


def test_exact_counters_have_no_systematic() -> None:
    reference = reference_of([make_interval(np.full(SHAPE, 2000.0), run=n) for n in range(6)])
    np.testing.assert_array_equal(reference.systematic, 0.0)
    np.testing.assert_allclose(reference.rate, 2000.0)


def test_bins_that_never_fill_are_not_live() -> None:
    rate = smooth_rate()
    rate[:, :3] = 0.0
    reference = reference_of(good_intervals(rate, 8))
    np.testing.assert_array_equal(reference.live, rate > 0)


def test_one_dimension_is_learned_alike() -> None:
    rate = smooth_rate((80,))
    reference = reference_of(good_intervals(rate, 10))
    assert reference.shape == (80,)
    np.testing.assert_allclose(reference.rate / reference.total, rate / rate.sum(), rtol=0.1)


def test_profiles_weigh_means_by_their_entries() -> None:
    mean = smooth_rate(mean=50.0)
    few = profile_interval(mean * 1.05, 5.0, np.full(SHAPE, 10.0))
    many = profile_interval(mean, 5.0, np.full(SHAPE, 990.0))
    reference = reference_of([few, many])
    np.testing.assert_allclose(reference.rate, mean * 1.0005, rtol=1e-6)
    assert reference.spread is not None
    np.testing.assert_allclose(reference.spread, 5.0, rtol=0.01)
    assert reference.profile
    assert not reference.counts


@pytest.mark.parametrize("factor", [0.0, 0.5, 1.1, 3.0])
@pytest.mark.parametrize("references", [3, 6, 12])
def test_a_bad_reference_of_a_profile_is_left_out(factor: float, references: int) -> None:
    toy = thesis_types()[-1]
    assert toy.profile
    good = toy.draw_many(references, references)
    assert all(learn_reference(good, "test").used)
    contents = good[1].contents.copy()
    contents[:, 20:26] *= factor
    learned = learn_reference([good[0], replace(good[1], contents=contents), *good[2:]], "test")
    assert learned.used == tuple(n != 1 for n in range(references))
    assert learned.reference.references == references - 1
    clean = reference_of([g for n, g in enumerate(good) if n != 1])
    assert np.allclose(learned.reference.rate, clean.rate)


def test_few_entries_say_little_of_a_profile_s_spread() -> None:
    """One reference of which most bins hold a few entries is worth what its entries are worth."""
    toy = next(t for t in thesis_types() if t.profile)
    rng = np.random.default_rng(5)
    thin = learn_reference([toy.draw(rng, 0.1)], "test")
    assert np.median(thin.reference.occupancy) < 15  # type: ignore[arg-type]
    thick = learn_reference([toy.draw(rng, 30.0)], "test").reference
    live = thin.reference.live & thick.live
    ratio = thin.reference.spread[live] / thick.spread[live]  # type: ignore[index]
    assert 0.9 < np.median(ratio) < 1.1
    assert np.quantile(ratio, 0.01) > 0.5
    good = [toy.draw(rng, 1.0) for _ in range(6)]
    found = ExpectationDetector().judge(good, [Expected(thin.reference)] * 6)
    assert not any(f.shapes for f in found)


def test_bins_of_a_profile_without_entries_are_not_live() -> None:
    entries = np.full(SHAPE, 100.0)
    entries[4] = 0.0
    reference = reference_of([profile_interval(smooth_rate(), 5.0, entries, run=n) for n in range(4)])
    assert not reference.live[4].any()
    assert reference.live.sum() == entries.astype(bool).sum()


def weighted(shape: tuple[int, ...], number: int) -> list[Interval]:
    rng = np.random.default_rng(3)
    rate = smooth_rate(shape, 500.0)
    return [make_interval(2.75 * rng.poisson(rate / 2.75) + 0.001, run=n) for n in range(number)]


def test_sums_of_weights_have_a_dispersion() -> None:
    reference = reference_of(weighted((40, 30), 12))
    assert reference.dispersion == pytest.approx(2.75, rel=0.25)
    assert not reference.counts


@pytest.mark.parametrize(("shape", "number"), [((10,), 6), ((20, 20), 1), ((2, 2), 3)])
def test_sums_too_few_for_a_dispersion_still_make_a_model(shape: tuple[int, ...], number: int) -> None:
    intervals = weighted(shape, number)
    model = model_of(intervals)
    assert model.card.dispersion == 0.0
    found = ExpectationDetector().judge(intervals, [Expected(model.reference, model)] * number)
    assert not any(f.bad for f in found)


@pytest.mark.parametrize("intervals", [[], [make_interval(np.zeros(SHAPE)) for _ in range(3)]], ids=["none", "empty"])
def test_from_nothing_nothing_is_learned(intervals: list[Interval]) -> None:
    with pytest.raises(HistwatchError, match=f"nothing to learn from, all {len(intervals)} references are empty"):
        learn_reference(intervals, "test")
    with pytest.raises(HistwatchError, match="nothing to learn from"):
        train(intervals, name="m", version="1")


def test_references_and_maps_of_another_range_are_refused() -> None:
    good = good_intervals(smooth_rate(), 8)
    wider = [replace(i, run=i.run + 10, axes=(replace(i.axes[0], high=i.axes[0].high * 2.0), i.axes[1])) for i in good]
    with pytest.raises(HistwatchError, match=r"24 bins from 0 to 24 .* in run 1, 24 bins from 0 to 48 .* in run 11"):
        learn_reference([*good, *wider], "test")
    # Single precision of a producer is no other binning.
    rounded = [replace(i, axes=(replace(i.axes[0], high=i.axes[0].high * (1.0 + 1e-7)), i.axes[1])) for i in good]
    learned = learn_reference([*good, *rounded], "test").reference
    model = model_of(good)
    for expected in (Expected(learned), Expected(model.reference, model)):
        rule = Rule(name="all", match=("*",), subsystem="calo", detector=ExpectationDetector())
        judge = Judge(Catalogue([rule], references={good[0].key: expected}))
        verdicts = [judge.judge([i])[0] for i in (good[0], rounded[0], wider[0])]
        assert [v.verdict.value for v in verdicts] == ["GOOD", "GOOD", "ERROR"]
        assert verdicts[-1].reason == "axes of 0 to 48 x 0 to 16, its expectation has 0 to 24 x 0 to 16: learn it anew"
    relearned = learn_expectations({good[0].key: [*good, *wider]}, on_left_out=lambda *_: None)
    assert relearned[good[0].key].reference.ranges == ((0.0, 48.0), (0.0, 16.0))


def test_references_of_other_binning_are_refused() -> None:
    intervals = [make_interval(np.ones(4)), make_interval(np.ones(5))]
    with pytest.raises(HistwatchError, match="cal/Ecal/Occupancy: references of different binning"):
        learn_reference(intervals, "test")


# Modes


def tilted(rate: FloatArray, amount: float) -> FloatArray:
    return rate * (1.0 + amount * np.linspace(-1.0, 1.0, rate.shape[0])[:, None])


def drifting(number: int = 16, mean: float = 3000.0) -> list[Interval]:
    """Runs over which the detector tilts, to either side."""
    rng = np.random.default_rng(6)
    rate = smooth_rate((48, 32), mean)
    return [make_interval(rng.poisson(tilted(rate, rng.normal(0.0, 0.05))), run=n) for n in range(number)]


def test_modes_explain_a_smooth_drift() -> None:
    model = model_of(drifting())
    rate = smooth_rate((48, 32), 3000.0)
    for amount in (-0.08, 0.08):
        shown = tilted(rate, amount)
        found = model.predict(shown[None])[0] / shown - 1.0
        # Smoothing costs a little at the edges.
        assert np.abs(found).max() < 0.03
        assert np.sqrt(np.mean(found**2)) < 0.008


def test_modes_do_not_reproduce_faults() -> None:
    model = model_of(drifting())
    rate = smooth_rate((48, 32), 3000.0)
    for where in (np.s_[10, :], np.s_[:, 5], np.s_[20:25, 10:15], np.s_[0, 0]):
        shown = rate.copy()
        shown[where] = 0.0
        # What the model expects there although nothing was shown.
        assert model.predict(shown[None])[0][where].min() > 0.75 * rate[where].min()


def test_a_fault_on_top_of_a_drift_is_found_and_nothing_else() -> None:
    model = model_of(drifting())
    contents = poisson_map(tilted(smooth_rate((48, 32), 3000.0), 0.06), 9)
    expected = Expected(model.reference, model, "exposure")
    assert not ExpectationDetector().judge([make_interval(contents)], [expected])[0].bad
    contents[10, :] = np.round(0.7 * contents[10, :])
    (finding,) = ExpectationDetector().judge([make_interval(contents)], [expected])
    assert {s.sign for s in finding.shapes} == {"low"}
    assert bins_of(finding) <= {(10, y) for y in range(32)}
    assert len(bins_of(finding)) >= 16


def test_modes_are_orthonormal_and_at_most_one_fewer_than_maps() -> None:
    rate = smooth_rate()
    maps = np.stack([poisson_map(rate, n) for n in range(4)])
    modes, scale = fit_modes(maps, rate, rate > 0, rank=10)
    assert modes.shape == (3, rate.size)
    np.testing.assert_allclose(modes @ modes.T, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(scale, np.sqrt(rate.ravel()))


@pytest.mark.parametrize("number", [1, 6])
def test_maps_that_do_not_differ_have_no_modes(number: int) -> None:
    model = model_of([make_interval(np.full(SHAPE, 2000.0), run=n) for n in range(number)])
    shown = np.full((1, *SHAPE), 2000.0)
    shown[0, 3, 3] = 0.0
    np.testing.assert_allclose(model.predict(shown), 2000.0, rtol=1e-6)


def test_dead_and_unfilled_bins_are_in_no_mode() -> None:
    rate = smooth_rate()
    rate[:, 5] = 0.0
    modes, _ = fit_modes(np.stack([poisson_map(rate, n) for n in range(6)]), rate, rate > 0, 2)
    np.testing.assert_array_equal(modes.reshape(2, *SHAPE)[:, :, 5], 0.0)


# Recorded runs


def test_recorded_runs_become_intervals_as_in_the_monitor() -> None:
    rate = smooth_rate()
    snapshots = [
        make_snapshot(poisson_map(rate, 10 * run + ls), ls, run=run, path=path)
        for run in (1, 2)
        for ls in (1, 2)
        for path in ("a", "b")
    ]
    gathered = gather_intervals(snapshots)
    assert {key: len(own) for key, own in gathered.items()} == {"cal/a": 4, "cal/b": 4}
    gathered = gather_intervals(snapshots, lambda key: Minimum(lumisections=2 if key == "cal/a" else 1))
    assert {key: len(own) for key, own in gathered.items()} == {"cal/a": 2, "cal/b": 4}


def test_always_empty_is_learned_as_empty() -> None:
    snapshots = [make_snapshot(np.zeros(SHAPE), 1, run=run) for run in (1, 2, 3)]
    learned = learn_expectations(gather_intervals(snapshots))["cal/Ecal/Occupancy"].reference
    assert not learned.live.any()
    assert (learned.total, learned.references, learned.name) == (0.0, 3, "reference of runs 1, 2, 3")


def test_empty_intervals_beside_filled_ones_are_left_out() -> None:
    rate = smooth_rate()
    snapshots = [make_snapshot(poisson_map(rate, n) * (n != 3), n, run=1) for n in range(1, 7)]
    (own,) = gather_intervals(snapshots).values()
    assert len(own) == 5


def test_a_histogram_that_was_binned_anew_is_learned_as_it_is_now() -> None:
    old = [make_interval(np.full(4, 100.0), run=n) for n in (1, 2)]
    new = [make_interval(np.full(8, 50.0), run=n) for n in (3, 4, 5)]
    (expected,) = learn_expectations({"cal/a": old + new}).values()
    assert expected.reference.shape == (8,)
    assert expected.reference.name == "reference of runs 3, 4, 5"


def test_many_runs_are_named_in_short() -> None:
    intervals = [make_interval(np.full(4, 100.0), run=n) for n in range(1, 8)]
    (expected,) = learn_expectations({"cal/a": intervals}).values()
    assert expected.reference.name == "reference of runs 1, 2, 3, 4 and 3 more"


# Names


@pytest.mark.parametrize(("key", "name"), [("cal/Occupancy", "cal_Occupancy"), ("cal/A/b-1.x", "cal_A_b-1.x")])
def test_short_keys_are_readable_names(key: str, name: str) -> None:
    assert model_file_name(key) == name


def test_names_are_unique_short_and_safe_for_a_file_system() -> None:
    keys = ["a/b c", "a/b_c", "a/b\u00b5c", "../../etc/passwd", "x/" + "y" * 300, "x/" + "y" * 301, "a/.", "cal/\u2603"]
    names = [model_file_name(key) for key in keys]
    assert len(set(names)) == len(keys)
    for name in names:
        assert len(name) <= 100
        assert not set(name) & set("/\\ \0")
        assert name[0] not in ".-"
