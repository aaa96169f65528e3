"""What few references allow, and what they do not."""

from __future__ import annotations

import re

import numpy as np
import pytest
from faultmaps import expected_of, judge

from monitor.detect.base import Expected
from monitor.detect.expectation import ExpectationDetector
from monitor.learn.doubt import contradiction
from monitor.learn.recorded import learn_expectations
from monitor.learn.reference import learn_reference
from monitor.learn.toys import Toy, interval_of
from monitor.snapshot import FloatArray
from monitor.window import Interval

SHAPE = (48, 32)


def test_no_good_reference_that_only_moves_is_lost() -> None:
    x, y = np.meshgrid(np.linspace(-1.0, 1.0, SHAPE[0]), np.linspace(-1.0, 1.0, SHAPE[1]), indexing="ij")
    lost = 0
    for seed in range(3):
        rng = np.random.default_rng(seed)
        amounts = rng.normal(0.0, 1.0, (30, 3)) * (0.035, 0.035, 0.06)
        responses = [1.0 + a * x + b * y + c * x * y for a, b, c in amounts]
        maps = [interval_of(rng.poisson(5000.0 * r).astype(float), run=run) for run, r in enumerate(responses)]
        lost += learn_reference(maps, "moving").used.count(False)
    assert lost == 0


# A window's own scatter from one or two degrees of freedom may come out as nothing. Its systematic is then small beside
# statistics, so the t distribution of few degrees of freedom is not applied to just the windows that need it most. And
# the degrees of freedom of a scale may not exceed (references - 1) times its windows that do not overlap.


@pytest.mark.parametrize("references", [2, 3])
def test_good_maps_are_silent_with_few_references(references: int) -> None:
    alarms = 0
    for seed in (0, 1, 4, 7):
        toy = Toy(name="toy", shape=(24, 16), mean=5000.0, seed=seed)
        expected = expected_of(toy, references)
        alarms += sum(judge(good, expected).bad for good in toy.draw_many(200, 3))
    assert alarms == 0


@pytest.mark.parametrize("references", [2, 3])
def test_no_window_is_held_for_steady_because_two_references_agreed(references: int) -> None:
    """Its prior alone, nu_0 of nu_0 + nu degrees of freedom, speaks for a share of the common scatter."""
    for seed in range(8):
        reference = expected_of(Toy(name="toy", shape=(24, 16), mean=5000.0, seed=seed), references).reference
        assert reference.scatter is not None
        windows = reference.window_set
        for k, (name, common) in enumerate(zip(windows.names, reference.scatter.shared, strict=True)):
            own = reference.scatter.relative[int(windows.offsets[k]) : int(windows.offsets[k + 1])]
            assert own[own > 0].min(initial=np.inf) >= 0.5 * common, name


def test_a_scale_is_known_no_better_than_its_references_and_windows_allow() -> None:
    for references in (2, 5):
        reference = expected_of(Toy(name="toy", shape=(24, 16), mean=5000.0, seed=0), references).reference
        windows = reference.window_set
        apart = [(24 // x) * (16 // y) for x, y in windows.sizes.tolist()]
        for name, degrees, most in zip(windows.names, reference.freedoms, apart, strict=True):
            assert degrees <= (references - 1) * most + 1.0, name


def counts_of(rate: FloatArray, seed: int, run: int = 1) -> Interval:
    return interval_of(np.random.default_rng(seed).poisson(rate).astype(float), run=run)


def test_what_one_reference_cannot_show_is_told_by_the_map_that_is_judged() -> None:
    rng = np.random.default_rng(5)
    rate = rng.gamma(5.0, 40.0, (30, 20))
    expected = Expected(learn_reference([counts_of(rate, 1)], "one").reference)
    like, unlike = ExpectationDetector().judge(
        [counts_of(rate, 2), counts_of(rate * rng.normal(1.0, 0.4, rate.shape).clip(0.05), 3)], [expected] * 2
    )
    assert like.note == unlike.note == "few references (1): small effects are missed"
    assert not like.warning
    told = re.search(
        r"the map and its one reference differ by (\d+)% in a typical bin, taken for usual", unlike.warning
    )
    assert told is not None
    assert 30 <= int(told[1]) <= 50
    assert unlike.visible["bin"] > max(1.0, 2.0 * like.visible["bin"])


def test_references_that_contradict_each_other_are_told() -> None:
    rate = np.random.default_rng(5).gamma(5.0, 40.0, (30, 20))
    holed = rate.copy()
    holed[3:7, 3:7] = 0.0
    words = contradiction([counts_of(rate, 1, run=7), counts_of(holed, 2, run=8)])
    assert "run 7" in words
    assert "run 8" in words
    assert "spot x=3..6 y=3..6" in words
    assert "third reference" in words
    assert not any(contradiction([counts_of(rate, seed), counts_of(rate, 1000 + seed)]) for seed in range(100))
    assert not contradiction([counts_of(rate, 1), counts_of(5.0 * rate, 2)])
    assert not contradiction([counts_of(rate, 1), counts_of(holed, 2), counts_of(rate, 3)])
    said: list[tuple[str, str]] = []
    pair = [counts_of(rate, 1, run=7), counts_of(holed, 2, run=8)]
    learn_expectations({pair[0].key: pair}, on_left_out=lambda key, told: said.append((key, told)))
    assert said == [(pair[0].key, words)]


def test_a_histogram_of_one_bin_makes_no_promise() -> None:
    expected = Expected(learn_reference([counts_of(np.full((1, 1), 500.0), s) for s in range(5)], "one bin").reference)
    finding = ExpectationDetector().judge([counts_of(np.full((1, 1), 100.0), 9)], [expected])[0]
    assert not finding.visible
    assert finding.note == "its one bin has no other to be compared with: only its rate is watched"


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_contents_that_are_not_finite_are_no_good_map(value: float) -> None:
    rate = np.full((30, 20), 200.0)
    expected = Expected(learn_reference([counts_of(rate, s) for s in range(5)], "five").reference)
    contents = rate.copy()
    contents[3, 4] = value
    with pytest.raises(ValueError, match="toy/toy: contents that are not finite"):
        ExpectationDetector().judge([interval_of(contents)], [expected])


@pytest.mark.parametrize("mean", [2.0, 5.0, 10.0])
def test_statistics_of_a_few_entries_are_no_difference_that_is_told(mean: float) -> None:
    rate = np.random.default_rng(5).gamma(5.0, mean / 5.0, (40, 30))
    expected = Expected(learn_reference([counts_of(rate, 1)], "one").reference)
    findings = ExpectationDetector().judge([counts_of(rate, seed) for seed in range(2, 32)], [expected] * 30)
    assert not any("taken for usual" in f.warning or f.bad for f in findings)
