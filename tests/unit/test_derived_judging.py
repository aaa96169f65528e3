"""Derived histograms from operands to verdicts: what fails in one operand is wrong in what is derived, and is named."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import make_interval

from monitor.detect.expectation import ExpectationDetector
from monitor.judge import Catalogue, Judge, Rule
from monitor.learn.recorded import learn_expectations
from monitor.snapshot import FloatArray
from monitor.verdict import Judgement, Verdict
from monitor.window import Derivation, Deriver, Interval

SHAPE = (30, 20)
A = np.random.default_rng(0).gamma(8.0, 25.0, SHAPE)
B = np.random.default_rng(1).gamma(8.0, 50.0, SHAPE)


def derived(operation: str, a: FloatArray, b: FloatArray, run: int, **changes: FloatArray) -> Interval:
    """What is derived of two counts of these expectations."""
    rng = np.random.default_rng(run)
    deriver = Deriver([Derivation(path="made", operation=operation, of=("a", "b"))])
    deriver.add(make_interval(rng.poisson(a), path="a", run=run))
    (made,) = deriver.add(make_interval(rng.poisson(b), path="b", run=run))
    return made.interval


def judged(operation: str, a: FloatArray = A, b: FloatArray = B, run: int = 99, references: int = 8) -> Judgement:
    good = [derived(operation, A, B, n) for n in range(1, references + 1)]
    expected = learn_expectations({good[0].key: good})
    rule = Rule(name="all", match=("*",), subsystem="calo", detector=ExpectationDetector())
    (judgement,) = Judge(Catalogue([rule], references=expected)).judge([derived(operation, a, b, run)])
    return judgement


def changed(plane: FloatArray, where: object, factor: float) -> FloatArray:
    one = plane.copy()
    one[where] *= factor  # type: ignore[index]
    return one


def bins_of(judgement: Judgement) -> set[tuple[int, ...]]:
    return {place for shape in judgement.shapes for place in shape.bins}


@pytest.mark.parametrize("references", [2, 8])
@pytest.mark.parametrize("operation", ["ratio", "difference", "sum"])
def test_good_pairs_are_good(operation: str, references: int) -> None:
    for run in range(90, 98):
        judgement = judged(operation, run=run, references=references)
        assert judgement.verdict is Verdict.GOOD, judgement.reason


@pytest.mark.parametrize("operation", ["ratio", "difference"])
def test_a_dead_bin_of_either_operand_is_named(operation: str) -> None:
    # Of a difference the other operand's statistics are in the way: a bin that holds much.
    place = tuple(int(i) for i in np.unravel_index(int(np.argmax(A)), SHAPE))
    for a, b in ((changed(A, place, 0.0), B), (A, changed(B, place, 0.0))):
        judgement = judged(operation, a, b)
        assert judgement.verdict is Verdict.BAD, judgement.reason
        assert bins_of(judgement) == {place}


@pytest.mark.parametrize("operation", ["ratio", "difference"])
@pytest.mark.parametrize("factor", [0.0, 0.5])
def test_a_strip_of_either_operand_is_named(operation: str, factor: float) -> None:
    for a, b in ((changed(A, (7,), factor), B), (A, changed(B, (7,), factor))):
        judgement = judged(operation, a, b)
        assert judgement.verdict is Verdict.BAD, judgement.reason
        assert {x for x, _ in bins_of(judgement)} == {7}
        assert len(bins_of(judgement)) >= 16


@pytest.mark.parametrize("factor", [0.1, 0.4, 2.5, 10.0])
def test_an_operand_that_is_another_everywhere_makes_the_whole_map_bad(factor: float) -> None:
    judgement = judged("ratio", factor * A)
    assert judgement.verdict is Verdict.BAD, judgement.reason
    assert [(s.kind, len(s.bins)) for s in judgement.shapes] == [("map", 600)]
    assert judgement.reason.startswith(f"all of its values are {factor:.2g} times what is expected")
    # Differences of another operand have another pattern, and no scale.
    assert judged("difference", factor * A).verdict in (Verdict.BAD, Verdict.WARNING)


def test_a_ratio_that_moved_a_little_is_a_warning_and_one_of_few_entries_is_none() -> None:
    moved = judged("ratio", 0.6 * A)
    assert moved.verdict is Verdict.WARNING
    assert moved.reason.startswith("all of its values are 0.6 times what is expected")
    assert judged("ratio", 0.9 * A).verdict is Verdict.GOOD


def test_a_ratio_does_not_grow_with_the_lumisections_that_it_covers() -> None:
    rule = Rule(name="all", match=("*",), subsystem="calo", detector=ExpectationDetector())
    good = [derived("ratio", A, B, n) for n in range(1, 6)]
    judge = Judge(Catalogue([rule], references=learn_expectations({good[0].key: good})))
    rng = np.random.default_rng(7)
    deriver = Deriver([Derivation(path="made", operation="ratio", of=("a", "b"))])
    deriver.add(make_interval(rng.poisson(5 * A), 5, path="a", run=9, first_lumisection=1))
    (made,) = deriver.add(make_interval(rng.poisson(5 * B), 5, path="b", run=9, first_lumisection=1))
    (judgement,) = judge.judge([made.interval])
    assert judgement.verdict is Verdict.GOOD, judgement.reason
