"""Rates against their rolling median and the stream's other histograms: only who departs from the others is odd."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from helpers import expect, make_interval, profile_interval, smooth_rate

from monitor.detect.base import Expected, Finding
from monitor.judge import Catalogue, Judge, Rule
from monitor.judge.rates import LEAST, NEW_STATE, OTHERS, WINDOW, RateWatch
from monitor.verdict import Judgement, Verdict
from monitor.window import Interval

NAMES = [f"h{n}" for n in range(8)]
CONTENTS = np.full((4, 4), 1000.0)


def interval(name: str, lumisection: int, run: int = 1) -> Interval:
    return make_interval(CONTENTS, lumisection, path=name, run=run)


def look(
    watch: RateWatch,
    lumisection: int,
    rate: Callable[[str], float] = lambda _name: 1.0,
    names: Sequence[str] = NAMES,
    run: int = 1,
    entries: float = 1e6,
) -> dict[str, float]:
    """Departures that are not 1, by name."""
    batch = [interval(name, lumisection, run) for name in names]
    found = watch.look(batch, [rate(name) for name in names], [entries] * len(names))
    return {name: departure for name, departure in zip(names, found, strict=True) if departure != 1.0}


def warm(last: int = 10) -> RateWatch:
    watch = RateWatch()
    for lumisection in range(1, last + 1):
        assert look(watch, lumisection) == {}
    return watch


def test_what_moves_all_moves_none() -> None:
    watch, rng = warm(), random.Random(1)
    for lumisection in range(11, 60):
        beam = rng.choice([0.2, 1.0, 1.35, 4.0])
        assert look(watch, lumisection, lambda name, beam=beam: beam * (1.0 + 0.01 * len(name))) == {}  # type: ignore[misc]


@pytest.mark.parametrize("factor", [0.3, 0.6, 1.7, 5.0])
def test_who_departs_from_the_others_is_named_with_its_factor(factor: float) -> None:
    watch = warm()
    found = look(watch, 11, lambda name: 3.0 * (factor if name == "h2" else 1.0))
    assert found == {"h2": pytest.approx(factor)}


def test_histograms_of_different_rate_are_compared_with_their_own() -> None:
    watch = RateWatch()
    own = {name: 10.0**n for n, name in enumerate(NAMES)}
    for lumisection in range(1, 30):
        assert look(watch, lumisection, own.__getitem__) == {}
    assert set(look(watch, 30, lambda name: own[name] * (0.4 if name == "h7" else 1.0))) == {"h7"}


def test_a_small_departure_or_one_of_few_entries_is_chance() -> None:
    assert look(warm(), 11, lambda name: 0.75 if name == "h2" else 1.0) == {}
    assert look(warm(), 11, lambda name: 0.4 if name == "h2" else 1.0, entries=20.0) == {}
    assert set(look(warm(), 11, lambda name: 0.4 if name == "h2" else 1.0, entries=120.0)) == {"h2"}


def test_too_few_others_tell_nothing() -> None:
    few = NAMES[:OTHERS]
    watch = RateWatch()
    for lumisection in range(1, 11):
        look(watch, lumisection, names=few)
    assert look(watch, 11, lambda name: 0.1 if name == "h0" else 1.0, names=few) == {}
    # Others of the same lumisection count whichever batch they came in.
    watch = warm()
    assert look(watch, 11, names=NAMES[:5]) == {}
    assert set(look(watch, 11, lambda _name: 0.1, names=NAMES[5:6])) == {"h5"}


def test_little_of_a_run_tells_nothing() -> None:
    watch = warm(LEAST - 1)
    assert look(watch, LEAST, lambda name: 0.1 if name == "h2" else 1.0) == {}
    watch = warm(10)
    assert look(watch, 1, lambda name: 0.1 if name == "h2" else 1.0, run=2) == {}


def test_what_was_odd_is_not_learned_until_it_is_a_state() -> None:
    watch = warm(WINDOW)
    found = [look(watch, WINDOW + n, lambda name: 0.4 if name == "h2" else 1.0) for n in range(1, 20)]
    assert [set(f) for f in found] == [{"h2"}] * NEW_STATE + [set()] * (19 - NEW_STATE)
    # Odd ones with ordinary ones between them are no state.
    watch = warm(WINDOW)
    for n in range(1, 60):
        odd = n % 10 != 0
        found_now = look(watch, WINDOW + n, lambda name, odd=odd: 0.4 if name == "h2" and odd else 1.0)  # type: ignore[misc]
        assert set(found_now) == ({"h2"} if odd else set())


def test_batches_may_hold_many_lumisections_of_many_streams() -> None:
    def run(sizes: Sequence[int]) -> list[float]:
        rng = random.Random(4)
        places = [(stream, name, n) for n in range(1, 40) for stream in ("a", "b") for name in NAMES]
        everything = [
            (
                make_interval(CONTENTS, n, path=name, stream=stream),
                rng.uniform(0.9, 1.1) * (0.3 if (stream, name, n) == ("b", "h3", 33) else 1.0),
            )
            for stream, name, n in places
        ]
        watch, found = RateWatch(), []
        while everything:
            size = sizes[len(found) % len(sizes)]
            part, everything = everything[:size], everything[size:]
            found += watch.look([i for i, _ in part], [r for _, r in part], [1e6] * len(part))
        return found

    lumisection = 2 * len(NAMES)
    one = run([lumisection])
    assert sum(d != 1.0 for d in one) == 1
    assert run([10_000]) == one
    assert run([5 * lumisection]) == one


def test_a_forgotten_histogram_begins_anew() -> None:
    watch = warm()
    watch.forget(["cal/h2"])
    assert look(watch, 11, lambda name: 0.1 if name == "h2" else 1.0) == {}


# In judgements


class Told:
    """Says of every interval the exposure that its total has."""

    name = "told"
    needs_rates = False

    def judge(self, intervals: Sequence[Interval], expected: Sequence[Expected]) -> list[Finding]:
        return [
            Finding(bad=False, score=1.0, exposure=i.total / e.reference.total)
            for i, e in zip(intervals, expected, strict=True)
        ]


RATE = smooth_rate()


def judged(judge: Judge, lumisection: int, factor: float = 1.0, beam: float = 1.0) -> dict[str, Judgement]:
    batch = [make_interval(RATE * beam * (factor if name == "h2" else 1.0), lumisection, path=name) for name in NAMES]
    return {j.path: j for j in judge.judge(batch)}


@pytest.fixture
def judge() -> Judge:
    references = {f"cal/{name}": expect(RATE) for name in NAMES}
    rule = Rule(name="all", match=("*",), subsystem="x", detector=Told())
    judge = Judge(Catalogue([rule], references=references))
    for lumisection in range(1, 11):
        assert {j.verdict for j in judged(judge, lumisection).values()} == {Verdict.GOOD}
    return judge


def test_an_odd_rate_is_a_warning_and_below_half_bad(judge: Judge) -> None:
    found = judged(judge, 11, 0.6, beam=1.35)
    assert {p: j.verdict for p, j in found.items()} == dict.fromkeys(NAMES, Verdict.GOOD) | {"h2": Verdict.WARNING}
    assert "0.6 times the rate of before" in found["h2"].reason
    assert found["h2"].shapes == ()
    found = judged(judge, 12, 1.6)
    assert found["h2"].verdict is Verdict.WARNING
    found = judged(judge, 13, 0.4, beam=0.5)
    assert {p: j.verdict for p, j in found.items()} == dict.fromkeys(NAMES, Verdict.GOOD) | {"h2": Verdict.BAD}
    (shape,) = found["h2"].shapes
    assert (shape.kind, shape.sign) == ("map", "low")
    assert shape.expected == pytest.approx(0.5 * RATE.sum())
    assert shape.observed == pytest.approx(0.2 * RATE.sum())
    assert shape.significance == -38.0
    assert {j.verdict for j in judged(judge, 14).values()} == {Verdict.GOOD}


@pytest.mark.parametrize("statistics", ["counts", "profile", "exact"])
def test_profiles_and_exact_counters_have_no_rate(statistics: str) -> None:
    mean = smooth_rate(mean=50.0)
    profile = statistics == "profile"
    references = {f"cal/{name}": expect(mean, profile=profile, statistics=statistics) for name in NAMES}
    judge = Judge(Catalogue([Rule(name="all", match=("*",), subsystem="x", detector=Told())], references=references))

    def one(name: str, lumisection: int) -> Interval:
        factor = 0.01 if (name, lumisection) == ("h0", 19) else 1.0
        if not profile:
            return make_interval(mean * factor, lumisection, path=name)
        entries = np.full(mean.shape, 1000.0 * factor)
        return profile_interval(mean, 1.0, entries, lumisection, path=name)  # type: ignore[no-any-return]

    for lumisection in range(1, 20):
        found = judge.judge([one(name, lumisection) for name in NAMES])
    assert (found[0].verdict is Verdict.BAD) == (statistics == "counts")
    assert {j.verdict for j in found[1:]} == {Verdict.GOOD}
