"""The rules beside the scan: what is silent, what comes alive, and what the kind of statistics makes of it."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from faultmaps import Fault, expected_of, judge, mask_of, truth_of, with_faults

from monitor.detect.base import DEFAULT_CHANCE, Expected, Finding
from monitor.infer import Pool, Tail
from monitor.learn.reference import learn_reference
from monitor.learn.toys import Toy, interval_of
from monitor.snapshot import FloatArray
from monitor.window import Interval

SHAPE = (48, 32)


def toy_of(mean: float, seed: int = 2) -> Toy:
    return Toy(name="toy", shape=SHAPE, mean=mean, seed=seed)


def found_bins(finding: Finding) -> set[tuple[int, ...]]:
    return {b for shape in finding.shapes for b in shape.bins}


def changed(interval: Interval, where: tuple[int, ...], value: float) -> Interval:
    contents = interval.contents.copy()
    contents[where] = value
    return replace(interval, contents=contents, total=float(contents.sum()))


# New life


@pytest.mark.parametrize("references", [1, 2, 5, 20])
@pytest.mark.parametrize("exposure", [1.0, 0.1])
def test_a_bin_comes_alive_by_as_many_entries_as_the_references_leave_open(references: int, exposure: float) -> None:
    """Entries n in exposure e, nothing in E: chance (e / (e + E))^n, half of the budget shared among the bins."""
    toy = toy_of(400.0)
    expected = expected_of(toy, references)
    good = toy.draw(np.random.default_rng(5), exposure=exposure)
    where = tuple(int(i) for i in np.argwhere(toy.rate == 0)[7])
    e = judge(good, expected).exposure
    assert e is not None
    share = e / (e + expected.reference.exposure)
    needed = max(5, int(np.ceil(np.log(DEFAULT_CHANCE / 2.0 / good.contents.size) / np.log(share))))
    assert not judge(changed(good, where, needed - 1.0), expected).bad
    (shape,) = judge(changed(good, where, float(needed)), expected).shapes
    assert (shape.kind, shape.sign, shape.bins) == ("bin", "hot", (where,))
    assert shape.significance > 4.5


def test_a_few_entries_are_no_new_life_however_many_references_there_are() -> None:
    toy = toy_of(400.0)
    good = toy.draw_many(1, 9)[0]
    for where in np.argwhere(toy.rate == 0)[:5].tolist():
        assert not judge(changed(good, tuple(where), 4.0), expected_of(toy, 20)).bad


# Silence


@pytest.mark.parametrize("references", [1, 2, 3])
@pytest.mark.parametrize("mean", [100.0, 1000.0])
def test_a_dead_bin_is_found_with_few_references_and_nothing_else(references: int, mean: float) -> None:
    for seed in range(6):
        toy = toy_of(mean, seed)
        expected = expected_of(toy, references)
        good = toy.draw(np.random.default_rng(3), exposure=1.0)
        assert not judge(good, expected).bad
        where = tuple(int(i) for i in np.argwhere(toy.rate > 0.5 * mean)[500])
        finding = judge(changed(good, where, 0.0), expected)
        assert found_bins(finding) == {where}
        assert finding.note == (f"few references ({references}): small effects are missed" if references < 3 else "")


def test_where_little_is_expected_silence_says_nothing() -> None:
    toy = toy_of(5.0)
    expected = expected_of(toy, 2)
    good = toy.draw_many(1, 9)[0]
    for where in np.argwhere(toy.rate > 0)[::150].tolist():
        assert not judge(changed(good, tuple(where), 0.0), expected).bad


@pytest.mark.parametrize("references", [1, 2, 5, 20])
def test_with_one_and_more_references_plain_faults_are_found_and_good_maps_are_silent(references: int) -> None:
    faults = [
        Fault(np.s_[20, 10], 0.0, "bin", "dead"),
        Fault(np.s_[30:34, 20:24], 0.0, "spot", "dead"),
        Fault(np.s_[:, 5], 0.0, "strip", "dead", "y", 5),
    ]
    for mean in (100.0, 400.0, 5000.0):
        for seed in range(3):
            toy = toy_of(mean, seed)
            expected = expected_of(toy, references)
            assert not any(judge(good, expected).bad for good in toy.draw_many(5, 7))
            good = toy.draw(np.random.default_rng(2), exposure=1.0)
            # What the exposure leaves empty by chance is no part of the truth.
            truth = truth_of(faults, toy.rate) & (toy.rate > 25.0)
            found = mask_of(judge(with_faults(good, faults, np.random.default_rng(0)), expected), SHAPE)
            assert not (truth & ~found).any()
            assert not (found & ~truth_of(faults, toy.rate)).any()


# Numbers that never change


@cache
def pulser(references: int) -> Expected:
    maps = [interval_of(np.full(SHAPE, 2000.0), run=run) for run in range(references)]
    return Expected(learn_reference(maps, "pulser").reference)


@pytest.mark.parametrize("references", [2, 5, 50])
@pytest.mark.parametrize(
    ("content", "sign"), [(1999.0, None), (2001.0, None), (1990.0, "low"), (2010.0, "high"), (0.0, "dead")]
)
def test_an_exact_counter_misses_one_event_and_not_ten(references: int, content: float, sign: str | None) -> None:
    expected = pulser(references)
    assert expected.reference.constant
    finding = judge(changed(interval_of(np.full(SHAPE, 2000.0)), (5, 6), content), expected)
    assert finding.bad == (sign is not None)
    if sign is None:
        return
    (shape,) = finding.shapes
    assert (shape.kind, shape.sign, shape.bins) == ("bin", sign, ((5, 6),))
    # Half a count is open in the map, and in the mean of the references: 20 sigma for ten events, 4000 for all.
    wanted = (content - 2000.0) / (0.5 * np.sqrt(1.0 + 1.0 / references))
    # The tail below a Poisson mean is lighter than a normal one: all events missing is sqrt(2) times its pull.
    assert shape.significance == pytest.approx(wanted * (np.sqrt(2.0) if content == 0.0 else 1.0), rel=0.01)


def test_fewer_events_in_all_channels_of_an_exact_counter_are_another_exposure() -> None:
    finding = judge(interval_of(np.full(SHAPE, 1500.0)), pulser(5))
    assert not finding.bad
    assert finding.exposure == pytest.approx(0.75, rel=1e-3)


# Rates, compared in the log domain


def rates(rng: np.random.Generator, scatter: float, seed: int) -> FloatArray:
    steady = 0.02 * np.exp(0.5 * np.random.default_rng(seed).normal(size=SHAPE))
    found: FloatArray = steady * np.exp(scatter * rng.normal(size=SHAPE)) * rng.uniform(0.9, 1.1)
    return found


TOWERS = [(3, 4), (20, 10), (21, 10), (40, 30), (10, 20), (47, 31)]


@pytest.mark.parametrize("references", [1, 2, 5, 20])
@pytest.mark.parametrize("scatter", [0.03, 0.1])
def test_dead_towers_among_rates_are_found(references: int, scatter: float) -> None:
    for seed in range(4):
        rng = np.random.default_rng(100 + seed)
        maps = [interval_of(rates(rng, scatter, seed), run=run) for run in range(references)]
        expected = Expected(learn_reference(maps, "rates").reference)
        contents = rates(rng, scatter, seed)
        assert not judge(interval_of(contents), expected).bad
        contents[tuple(np.transpose(TOWERS))] = 0.0
        finding = judge(interval_of(contents), expected)
        assert found_bins(finding) == set(TOWERS)
        assert {shape.sign for shape in finding.shapes} == {"dead"}


def test_twice_and_half_a_rate_are_equally_wrong() -> None:
    rng = np.random.default_rng(100)
    maps = [interval_of(rates(rng, 0.05, 0), run=run) for run in range(10)]
    expected = Expected(learn_reference(maps, "rates").reference)
    assert expected.reference.logarithmic
    contents = expected.reference.rate.copy()
    contents[5, 5] *= 2.0
    contents[30, 20] *= 0.5
    finding = judge(interval_of(contents), expected)
    assert {(s.sign, s.bins) for s in finding.shapes} == {("hot", ((5, 5),)), ("low", ((30, 20),))}
    hot, low = (next(s.significance for s in finding.shapes if s.sign == sign) for sign in ("hot", "low"))
    # The gamma distribution's cube root holds the excess back a little.
    assert 0.5 < hot / -low <= 1.0


# The budget


def test_a_heavier_tail_of_good_maps_raises_the_threshold_until_a_fault_is_none() -> None:
    toy = toy_of(400.0)
    expected = expected_of(toy, 20)
    weak = with_faults(
        toy.draw_many(1, 2)[0], [Fault(np.s_[:, 5], 0.9, "strip", "low", "y", 5)], np.random.default_rng(0)
    )
    names = expected.reference.window_set.names
    found = []
    for slope in (1.0, 2.0, 8.0):
        tail = Tail(share=0.05, start=3.0, slope=slope)
        pool = Pool(maps=1000, histograms=10, tails=dict.fromkeys(names, tail))
        found.append(judge(weak, Expected(replace(expected.reference, pool=pool))))
    assert [f.bad for f in found] == [True, True, False]
    chances = [f.p_value for f in found]
    assert all(c is not None for c in chances)
    assert sorted(c for c in chances if c is not None) == chances
    # What would be seen is said, and it grows with the threshold.
    assert found[0].visible["strip"] < found[1].visible["strip"] < found[2].visible["strip"]
    assert found[0].visible["strip"] < found[0].visible["bin"]
