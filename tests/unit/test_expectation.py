"""What the expectation detector finds, and what it does not take for a fault."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from findings import Models, assert_reliable, every_kind, one, scaled
from helpers import (
    SHAPE,
    SPREAD,
    Trained,
    bins_of,
    expect,
    good_intervals,
    make_interval,
    make_reference,
    poisson_map,
    profile_interval,
    smooth_rate,
)

from monitor.detect.base import Expected, Settings
from monitor.detect.expectation import MOST_SUPPORT, ExpectationDetector, supported
from monitor.snapshot import AnyArray, FloatArray, Kind


@dataclass(frozen=True)
class Case:
    """A fault, and the one shape that it must be named as."""

    where: Any
    factor: float
    kind: str
    sign: str
    axis: str | None = None
    index: int | None = None
    model: Kind = Kind.TH2

    def bins(self, shape: tuple[int, ...]) -> set[tuple[int, ...]]:
        hit = np.zeros(shape, dtype=bool)
        hit[self.where] = True
        return {tuple(int(i) for i in b) for b in np.argwhere(hit)}


FAULTS = {
    "dead bin": Case(np.s_[20, 10], 0.0, "bin", "dead"),
    "hot bin": Case(np.s_[20, 10], 5.0, "bin", "hot"),
    "low bin": Case(np.s_[20, 10], 0.5, "bin", "low"),
    "high bin": Case(np.s_[20, 10], 1.6, "bin", "high"),
    "dead corner": Case(np.s_[0, 0], 0.0, "bin", "dead"),
    "hot corner": Case(np.s_[47, 31], 4.0, "bin", "hot"),
    "dead spot": Case(np.s_[20:25, 10:15], 0.0, "spot", "dead"),
    "high spot": Case(np.s_[20:25, 10:15], 1.6, "spot", "high"),
    "low spot": Case(np.s_[30:33, 20:23], 0.6, "spot", "low"),
    "spot in the corner": Case(np.s_[43:, 27:], 0.0, "spot", "dead"),
    "dead strip": Case(np.s_[7, :], 0.0, "strip", "dead", "x", 7),
    "dead strip across": Case(np.s_[:, 7], 0.0, "strip", "dead", "y", 7),
    "strip at 70 %": Case(np.s_[7, :], 0.7, "strip", "low", "x", 7),
    "strip across at 70 %": Case(np.s_[:, 7], 0.7, "strip", "low", "y", 7),
    "strip at 90 %": Case(np.s_[7, :], 0.9, "strip", "low", "x", 7),
    "strip at 110 %": Case(np.s_[:, 20], 1.1, "strip", "high", "y", 20),
    "first strip": Case(np.s_[0, :], 0.0, "strip", "dead", "x", 0),
    "last strip across": Case(np.s_[:, 31], 0.7, "strip", "low", "y", 31),
    "dead layer": Case(np.s_[8:11, :], 0.0, "layer", "dead", "x", 8),
    "low layer across": Case(np.s_[:, 20:23], 0.85, "layer", "low", "y", 20),
    "dead sector": Case(np.s_[12:18, :], 0.0, "layer", "dead", "x", 12),
    "sector at 80 %": Case(np.s_[12:18, :], 0.8, "layer", "low", "x", 12),
    "last sector": Case(np.s_[42:, :], 0.5, "layer", "low", "x", 42),
    "dead half": Case(np.s_[:24, :], 0.0, "layer", "dead", "x", 0),
    "dead quarter": Case(np.s_[:24, :16], 0.0, "region", "dead"),
    "bin of a 1-D": Case(np.s_[0], 0.0, "bin", "dead", model=Kind.TH1),
    "range of a 1-D": Case(np.s_[40:46], 0.0, "spot", "dead", model=Kind.TH1),
    "high range of a 1-D": Case(np.s_[10:13], 1.5, "spot", "high", model=Kind.TH1),
    "bin of a profile": Case(np.s_[7, 3], 1.2, "bin", "high", model=Kind.TPROFILE2D),
    "low bin of a profile": Case(np.s_[29, 19], 0.8, "bin", "low", model=Kind.TPROFILE2D),
    "spot of a profile": Case(np.s_[10:15, 3:8], 0.9, "spot", "low", model=Kind.TPROFILE2D),
    "strip of a profile": Case(np.s_[7, :], 0.93, "strip", "low", "x", 7, model=Kind.TPROFILE2D),
    "strip across of a profile": Case(np.s_[:, 0], 1.07, "strip", "high", "y", 0, model=Kind.TPROFILE2D),
    "range of a 1-D profile": Case(np.s_[20:25], 1.15, "spot", "high", model=Kind.TPROFILE),
}


@every_kind
def test_good_maps_are_silent(kind: Kind, trained_by_kind: Models) -> None:
    trained = trained_by_kind[kind]
    good = [trained.sample(2000 + n) for n in range(200)]
    found = ExpectationDetector().judge(good, [trained.expected] * len(good))
    assert [f.shapes for f in found if f.bad] == []
    assert not any(f.warning for f in found)
    assert min(f.p_value or 0.0 for f in found) > 1e-5
    if not kind.is_profile:
        # One unit is the average of the references, and they were drawn with 0.7 to 1.3.
        assert np.mean([f.exposure for f in found]) == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_named_as_what_it_is(fault: str, trained_by_kind: Models) -> None:
    case = FAULTS[fault]
    trained = trained_by_kind[case.model]
    finding = one(ExpectationDetector(), trained.sample(3, scaled(case.where, case.factor)), trained.expected)
    assert_reliable(finding, trained.sample(3))
    (shape,) = finding.shapes
    assert (shape.kind, shape.sign, shape.axis, shape.index) == (case.kind, case.sign, case.axis, case.index)
    assert set(shape.bins) == case.bins(trained.rate.shape)
    combine = np.mean if case.model.is_profile else np.sum
    wanted = float(combine(trained.rate[case.where]))
    # Against the reference's average exposure, of which this interval has one.
    assert shape.expected == pytest.approx(wanted, rel=0.1)
    assert finding.score >= abs(shape.significance) > 5.0


@pytest.mark.parametrize("fault", ["dead bin", "high spot", "strip at 70 %", "sector at 80 %"])
def test_the_same_is_found_without_a_model(fault: str, trained: Trained) -> None:
    case = FAULTS[fault]
    finding = one(
        ExpectationDetector(), trained.sample(3, scaled(case.where, case.factor)), Expected(trained.model.reference)
    )
    (shape,) = finding.shapes
    assert (shape.kind, shape.sign) == (case.kind, case.sign)
    assert set(shape.bins) == case.bins(trained.rate.shape)


def test_several_faults_are_named_one_by_one(trained: Trained) -> None:
    def fault(rate: FloatArray) -> FloatArray:
        rate[30:35, 20:25] = 0.0
        rate[7, :] *= 0.7
        rate[40, 3] *= 6.0
        return rate

    finding = one(ExpectationDetector(), trained.sample(4, fault), trained.expected)
    assert {(s.kind, s.sign) for s in finding.shapes} == {("spot", "dead"), ("strip", "low"), ("bin", "hot")}
    truth = {(x, y) for x in range(30, 35) for y in range(20, 25)} | {(7, y) for y in range(32)} | {(40, 3)}
    assert bins_of(finding) == truth


def test_a_whole_map_that_is_scaled_is_only_another_exposure(trained: Trained) -> None:
    finding = one(ExpectationDetector(), trained.sample(5, lambda rate: rate * 7.0), trained.expected)
    assert not finding.bad
    assert finding.exposure == pytest.approx(7.0, rel=0.05)


def test_a_bin_that_comes_alive_is_found() -> None:
    rate = smooth_rate()
    rate[5:8, 5:8] = 0.0
    contents = poisson_map(rate, 1)
    detector = ExpectationDetector()
    assert not one(detector, make_interval(contents), expect(rate)).bad
    contents[6, 6] = 50.0
    (shape,) = one(detector, make_interval(contents), expect(rate)).shapes
    assert (shape.kind, shape.sign, shape.bins) == ("bin", "hot", ((6, 6),))


def test_thresholds_are_those_that_are_set(trained: Trained) -> None:
    weak = trained.sample(3, scaled(np.s_[7, :], 0.9))
    for threshold, found in ((8.0, True), (30.0, False)):
        detector = ExpectationDetector(Settings(thresholds={"strip": threshold, "bin": 30.0}))
        assert one(detector, weak, trained.expected).bad == found


def test_a_known_scatter_is_no_fault() -> None:
    rate = smooth_rate(mean=5000.0)
    rng = np.random.default_rng(1)
    scattered = make_interval(rng.poisson(rate * rng.normal(1.0, 0.1, rate.shape)))
    assert one(ExpectationDetector(), scattered, expect(rate)).warning
    known = expect(rate, systematic=np.full(rate.shape, 0.1), coherent=0.02)
    finding = one(ExpectationDetector(), scattered, known)
    assert not finding.bad
    assert not finding.warning


def test_a_reference_that_aged_as_a_whole_is_doubted_and_names_no_bins() -> None:
    rate = smooth_rate(mean=5000.0)
    rng = np.random.default_rng(2)
    aged = rate * rng.normal(1.0, 0.06, rate.shape)
    finding = one(ExpectationDetector(), make_interval(rng.poisson(aged)), expect(rate, coherent=0.02))
    assert not finding.bad
    assert "the whole map differs" in finding.warning


def test_with_few_references_a_silent_bin_is_found_and_the_doubt_is_said() -> None:
    rate = smooth_rate(mean=1000.0)
    systematic = np.full(rate.shape, 0.03)
    few = expect(rate, systematic=systematic, coherent=0.01, degrees_of_freedom=2.0, references=2, exposure=2.0)
    contents = poisson_map(rate, 3)
    contents[4, 4] = 0.0
    finding = one(ExpectationDetector(), make_interval(contents), few)
    assert bins_of(finding) == {(4, 4)}
    assert finding.note == "few references (2): small effects are missed"


def test_bins_of_a_profile_without_entries_are_dead_where_entries_are_expected(trained_by_kind: Models) -> None:
    trained = trained_by_kind[Kind.TPROFILE2D]
    entries = np.full(trained.rate.shape, 300.0)
    entries[5:9, 4:9] = 0.0
    interval = profile_interval(trained.rate, SPREAD, entries)
    (shape,) = one(ExpectationDetector(), interval, trained.expected).shapes
    assert (shape.kind, shape.sign, len(shape.bins)) == ("spot", "dead", 20)
    # Without an idea of how many entries there should be, their absence says nothing.
    unknown = Expected(replace(trained.expected.reference, occupancy=None))
    assert not one(ExpectationDetector(), interval, unknown).bad


def test_a_model_that_follows_a_drift_hides_it_and_not_a_fault() -> None:
    """What the predictor says goes before the fixed rate."""
    rate = smooth_rate()
    drift = np.linspace(0.8, 1.2, rate.shape[0])[:, None] * rate

    class Drifted:
        def predict(self, maps: AnyArray) -> AnyArray:
            return np.repeat(drift[None].astype(np.float32), len(maps), axis=0)

    expected = Expected(make_reference(rate), Drifted(), "exposure")
    good = poisson_map(drift, 4)
    assert not one(ExpectationDetector(), make_interval(good), expected).bad
    assert one(ExpectationDetector(), make_interval(good), expect(rate)).bad
    good[5, 5] = 0.0
    assert bins_of(one(ExpectationDetector(), make_interval(good), expected)) == {(5, 5)}


@pytest.mark.parametrize("alive", [1, 3, 5], ids="{} strips".format)
def test_a_map_most_of_which_is_dead_is_bad(alive: int) -> None:
    rate = smooth_rate()
    contents = poisson_map(rate, 1)
    contents[alive:] = 0.0
    finding = one(ExpectationDetector(), make_interval(contents), expect(rate))
    assert finding.bad
    assert {s.sign for s in finding.shapes} <= {"dead", "hot"}


@pytest.mark.parametrize("shape", [SHAPE, (100,)], ids=str)
def test_all_entries_in_one_bin_are_bad(shape: tuple[int, ...]) -> None:
    rate = smooth_rate(shape)
    contents = np.zeros(shape)
    contents.flat[0] = rate.sum()
    assert one(ExpectationDetector(), make_interval(contents), expect(rate)).bad


def test_good_maps_of_any_exposure_are_silent() -> None:
    rate = smooth_rate((48, 32), 300.0)
    good = [i for n, e in enumerate((0.05, 0.2, 1.0, 20.0)) for i in good_intervals(rate * e, 25, seed=n)]
    found = ExpectationDetector().judge(good, [expect(rate, exposure=1e6, references=100)] * len(good))
    assert [f.shapes for f in found if f.bad] == []


def test_neighbours_are_believed_only_where_faults_lie_side_by_side() -> None:
    lifted = []
    for seed in range(20):
        z = np.random.default_rng(seed).standard_normal((60, 40))
        z[::6, ::5] = -8.0
        lifted.append(float((supported(z) - np.abs(z)).mean()))
        z[10:25, 5:20] += 1.5
        together = supported(z)
        inside = np.s_[11:24, 6:19]
        assert (together - np.abs(z))[inside].mean() > 0.2
        assert (together >= np.abs(z)).all()
        assert (together <= np.abs(z) + np.minimum(np.abs(z), MOST_SUPPORT)).all()
    assert np.mean(lifted) < 0.005
    assert not supported(np.zeros((3, 3))).any()
    assert supported(np.array([5.0])).tolist() == [5.0]


@pytest.mark.parametrize("value", [0.0, -1.0, np.nan, np.inf])
def test_a_threshold_that_is_none_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match=f"detector 'expectation': bin {value}, must be a positive number"):
        ExpectationDetector(Settings({"bin": value}))
