"""Bad input of every kind gets a verdict or a refusal that says why, and never a silent one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from helpers import make_interval

from monitor.detect.expectation import ExpectationDetector
from monitor.errors import HistwatchError
from monitor.judge import Catalogue, Judge, Rule
from monitor.learn.recorded import learn_expectations
from monitor.learn.reference import learn_reference
from monitor.snapshot import FloatArray
from monitor.verdict import Judgement, Verdict
from monitor.window import Interval, State

RATE = np.random.default_rng(0).gamma(8.0, 25.0, (30, 20))


def counts(rate: FloatArray, number: int, seed: int = 0) -> list[Interval]:
    rng = np.random.default_rng(seed)
    return [make_interval(rng.poisson(rate), run=run) for run in range(1, number + 1)]


def bins_of(judgement: Judgement) -> set[tuple[int, ...]]:
    return {place for shape in judgement.shapes for place in shape.bins}


def verdict_of(shown: FloatArray, references: Sequence[Interval]) -> Judgement:
    expected = learn_expectations({references[0].key: list(references)})
    rule = Rule(name="all", match=("*",), subsystem="calo", detector=ExpectationDetector())
    interval = make_interval(
        shown, run=99, state=State.READY if np.any(shown) else State.EMPTY, silent=int(not np.any(shown))
    )
    (judgement,) = Judge(Catalogue([rule], references=expected)).judge([interval])
    return judgement


@pytest.mark.parametrize("references", [1, 2, 10])
def test_an_empty_map_is_no_good_one(references: int) -> None:
    judgement = verdict_of(np.zeros(RATE.shape), counts(RATE, references))
    assert judgement.verdict is Verdict.TOO_FEW
    assert judgement.reason == "nothing new, and no other histogram yet tells whether there is beam"


def test_of_a_histogram_that_was_always_empty_life_is_told() -> None:
    empty = [make_interval(np.zeros(RATE.shape), run=n, state=State.EMPTY, silent=1) for n in range(3)]
    silent = verdict_of(np.zeros(RATE.shape), empty)
    assert (silent.verdict, silent.reason) == (Verdict.GOOD, "empty, as in its references")
    shown = np.zeros(RATE.shape)
    shown[3, 4] = 1000.0
    alive = verdict_of(shown, empty)
    assert alive.verdict is Verdict.BAD
    assert alive.reason.startswith("bin (3, 4) alive: 1000 seen where nothing ever was filled")


@pytest.mark.parametrize("references", [1, 2, 10])
def test_a_map_that_is_all_equal_is_not_taken_for_a_structured_one(references: int) -> None:
    judgement = verdict_of(np.full(RATE.shape, 200.0), counts(RATE, references))
    assert judgement.verdict in (Verdict.BAD, Verdict.WARNING)
    assert judgement.reason


@pytest.mark.parametrize("references", [1, 3])
def test_where_all_maps_are_all_equal_one_lost_count_is_found(references: int) -> None:
    same = [make_interval(np.full(RATE.shape, 2000.0), run=run) for run in range(references)]
    assert verdict_of(np.full(RATE.shape, 2000.0), same).verdict is Verdict.GOOD
    shown = np.full(RATE.shape, 2000.0)
    shown[3, 4] = 0.0
    judgement = verdict_of(shown, same)
    assert judgement.verdict is Verdict.BAD
    assert bins_of(judgement) == {(3, 4)}


@pytest.mark.parametrize("shape", [(1,), (1, 1)])
def test_a_single_bin_says_that_only_its_rate_is_watched(shape: tuple[int, ...]) -> None:
    judgement = verdict_of(np.full(shape, 480.0), counts(np.full(shape, 500.0), 5))
    assert judgement.verdict is Verdict.GOOD
    assert "only its rate is watched" in judgement.reason


@pytest.mark.parametrize("shape", [(200,), (200, 1), (1, 200)])
@pytest.mark.parametrize("references", [1, 2, 10])
def test_a_dead_bin_of_a_single_row_is_found(shape: tuple[int, ...], references: int) -> None:
    rate = np.full(shape, 200.0)
    shown = counts(rate, 1, seed=7)[0].contents
    assert verdict_of(shown, counts(rate, references)).verdict is Verdict.GOOD
    shown.flat[77] = 0.0
    judgement = verdict_of(shown, counts(rate, references))
    assert judgement.verdict is Verdict.BAD
    assert bins_of(judgement) == {tuple(map(int, np.unravel_index(77, shape)))}


def test_a_map_of_four_million_bins_is_judged() -> None:
    rate = np.full((2000, 2000), 60.0)
    shown = counts(rate, 1, seed=7)[0].contents
    references = counts(rate, 2)
    assert verdict_of(shown, references).verdict is Verdict.GOOD
    shown[1234, 567] = 0.0
    judgement = verdict_of(shown, references)
    assert (judgement.verdict, bins_of(judgement)) == (Verdict.BAD, {(1234, 567)})


def test_references_of_different_shape_are_refused_or_told() -> None:
    others = counts(RATE[:20], 2)
    with pytest.raises(HistwatchError, match=r"references of different binning: 20 bins .* 30 bins .* name only runs"):
        learn_reference([*others, *counts(RATE, 2)], "mixed")
    said: list[str] = []
    learned = learn_expectations(
        {"a/b": [*others, *counts(RATE, 3)]}, on_left_out=lambda _key, words: said.append(words)
    )
    assert learned["a/b"].reference.shape == RATE.shape
    assert said == ["2 of its 5 intervals are binned otherwise than the last"]


def test_what_was_learned_of_another_histogram_is_not_used() -> None:
    other = counts(RATE.T, 5)
    judgement = verdict_of(counts(RATE, 1)[0].contents, other)
    assert judgement.verdict is Verdict.ERROR
    assert "learn it anew" in judgement.reason
