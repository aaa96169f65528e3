"""The contract that every detector keeps.

A new one in `DETECTORS` is judged by the contract without a line added.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from findings import Fault, Models, assert_reliable, every_kind, one, scaled
from helpers import SHAPE, Trained, expect, make_interval, poisson_map, smooth_rate

from monitor.detect.base import Detector, Expected, Settings
from monitor.detect.registry import DETECTORS
from monitor.snapshot import FloatArray, Kind
from monitor.window import Interval

every_detector = pytest.mark.parametrize("name", sorted(DETECTORS))


def make(name: str) -> Detector:
    return DETECTORS[name](Settings())


def faulty(trained: Trained, number: int = 6) -> list[Interval]:
    """Good and bad intervals in turn."""
    # Whole strips are nothing to detectors that look within a strip: for them, bins far from their neighbours.
    hot = scaled((slice(2, 10), *[4] * (trained.rate.ndim - 1)), 1000.0)
    faults: list[Fault | None] = [None, scaled(np.s_[3:6], 0.2), None, scaled(np.s_[0], 3.0), hot]
    return [trained.sample(50 + n, faults[n % len(faults)]) for n in range(number)]


# The contract


@every_detector
def test_a_detector_goes_by_its_name(name: str) -> None:
    assert make(name).name == name
    assert name.isidentifier()


@every_detector
@every_kind
def test_the_same_intervals_give_the_same_findings(name: str, kind: Kind, trained_by_kind: Models) -> None:
    trained = trained_by_kind[kind]
    intervals = faulty(trained)
    detector, expected = make(name), [trained.expected] * len(intervals)
    first = detector.judge(intervals, expected)
    assert any(f.bad for f in first)
    for finding, interval in zip(first, intervals, strict=True):
        assert_reliable(finding, interval)
    # Whatever it saw before, and whoever asks.
    detector.judge(intervals[::-1], expected)
    assert detector.judge(intervals, expected) == first
    assert make(name).judge(intervals, expected) == first


@every_detector
@every_kind
def test_a_batch_says_what_its_intervals_say_one_by_one(name: str, kind: Kind, trained_by_kind: Models) -> None:
    intervals = faulty(trained_by_kind[kind])
    for expected in (trained_by_kind[kind].expected, Expected(trained_by_kind[kind].model.reference)):
        together = make(name).judge(intervals, [expected] * len(intervals))
        for interval, finding in zip(intervals, together, strict=True):
            alone = one(make(name), interval, expected)
            # A model's float32 sums depend on the size of the batch in the last digits.
            assert alone.score == pytest.approx(finding.score, rel=1e-3)
            assert [s.bins for s in alone.shapes] == [s.bins for s in finding.shapes]


@every_detector
def test_every_interval_has_its_own_expectation(name: str) -> None:
    rates = [smooth_rate(mean=mean) for mean in (50.0, 400.0, 3000.0)]
    expected = [expect(rate) for rate in rates]
    intervals = [make_interval(poisson_map(rate, n)) for n, rate in enumerate(rates)]
    detector = make(name)
    for order in ((0, 1, 2), (2, 0, 1)):
        found = detector.judge([intervals[n] for n in order], [expected[n] for n in order])
        assert found == [one(detector, intervals[n], expected[n]) for n in order]


@every_detector
@every_kind
def test_nothing_that_is_given_is_changed(name: str, kind: Kind, trained_by_kind: Models) -> None:
    trained = trained_by_kind[kind]
    intervals = faulty(trained)
    reference = trained.model.reference
    arrays = [a for i in intervals for a in (i.contents, i.variances, i.entries) if a is not None]
    arrays += [reference.rate, reference.systematic]
    before = [a.copy() for a in arrays]
    make(name).judge(intervals, [trained.expected] * len(intervals))
    for array, copy in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(array, copy)


def corner(value: float) -> Fault:
    def fault(contents: FloatArray) -> FloatArray:
        contents.flat[0] = value
        return contents

    return fault


ODD: dict[str, Fault] = {
    "empty": np.zeros_like,
    "constant": lambda c: np.full_like(c, 7.0),
    "one entry": lambda c: corner(1.0)(np.zeros_like(c)),
    "all in one bin": lambda c: corner(1e6)(np.zeros_like(c)),
    "huge": lambda c: np.full_like(c, 1e30),
    "huge bin": corner(1e12),
    "tiny": lambda c: c * 1e-30,
    "negative": np.negative,
    "negative bin": corner(-1e6),
}


@every_detector
@every_kind
@pytest.mark.parametrize("odd", ODD)
def test_odd_maps_get_a_finding(name: str, kind: Kind, odd: str, trained_by_kind: Models) -> None:
    trained = trained_by_kind[kind]
    good = trained.sample(60)
    interval = replace(good, contents=ODD[odd](good.contents.copy()))
    for expected in (trained.expected, Expected(trained.model.reference)):
        assert_reliable(one(make(name), interval, expected), interval)


@every_detector
@pytest.mark.parametrize("shape", [(1,), (2,), (1, 1), (1, 30), (30, 1), (2, 2), (400,)], ids=str)
def test_odd_binnings_get_a_finding(name: str, shape: tuple[int, ...]) -> None:
    rate = smooth_rate(shape)
    for contents in (poisson_map(rate, 1), np.zeros(shape), rate * 10.0):
        interval = make_interval(contents)
        assert_reliable(one(make(name), interval, expect(rate)), interval)


@every_detector
def test_a_map_that_is_expected_to_be_empty_gets_a_finding(name: str) -> None:
    for contents in (np.zeros(SHAPE), np.full(SHAPE, 10.0)):
        interval = make_interval(contents)
        assert_reliable(one(make(name), interval, expect(np.zeros(SHAPE))), interval)


@every_detector
@pytest.mark.parametrize("settings", [Settings(thresholds={"bim": 5.0}), Settings(options={"bim": 5})])
def test_settings_that_it_does_not_know_are_refused_by_name(name: str, settings: Settings) -> None:
    with pytest.raises(ValueError, match=rf"detector '{name}' has no \['bim'\]; \w+ are "):
        DETECTORS[name](settings)
