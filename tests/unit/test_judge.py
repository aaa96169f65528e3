"""Verdicts: which histogram is compared with what, and what is said where nothing can be compared."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
from helpers import SHAPE, Trained, expect, make_interval, make_shape, poisson_map, profile_interval, smooth_rate

from monitor.detect.base import Expected, Finding
from monitor.detect.expectation import ExpectationDetector
from monitor.detect.geometry import MAX_SHAPES
from monitor.infer import Model
from monitor.judge import Catalogue, Judge, Rule
from monitor.snapshot import Kind
from monitor.verdict import Judgement, Verdict
from monitor.window import Interval, Minimum, State

RATE = smooth_rate()
FINE = Finding(bad=False, score=2.0, p_value=0.5, exposure=1.0)


@dataclass
class Canned:
    """Says of every histogram what it is told to; notes what it was asked together."""

    says: dict[str, Finding | Exception] = field(default_factory=dict)
    asked: list[list[str]] = field(default_factory=list)
    name: str = "canned"
    needs_rates: bool = False

    def judge(self, intervals: Sequence[Interval], expected: Sequence[Expected]) -> list[Finding]:
        assert len(intervals) == len(expected)
        self.asked.append([i.path for i in intervals])
        found = [self.says.get(i.path, FINE) for i in intervals]
        for one in found:
            if isinstance(one, Exception):
                raise one
        return [one for one in found if isinstance(one, Finding)]


def rule(detector: Any = None, **changes: Any) -> Rule:
    fields: dict[str, Any] = {"name": "all", "match": ("*",), "subsystem": "calo", "detector": detector or Canned()}
    return Rule(**(fields | changes))


def judge_of(
    paths: Sequence[str], detector: Any = None, expected: Expected | None = None, on_error: Any = None, **changes: Any
) -> Judge:
    """A judge with an expectation for each path of the stream ``cal``."""
    references = {f"cal/{path}": expected or expect(RATE) for path in paths}
    return Judge(Catalogue([rule(detector, **changes)], references=references), on_error)


def interval(path: str = "a", lumisection: int = 1, state: State = State.READY, **changes: Any) -> Interval:
    empty = state is State.EMPTY
    contents = changes.pop("contents", np.zeros(SHAPE) if empty else RATE)
    return make_interval(contents, lumisection, path=path, state=state, silent=int(empty), **changes)


def one(judge: Judge, *intervals: Interval) -> Judgement:
    """The judgement of the last interval."""
    found = judge.judge(intervals)
    assert [j.key for j in found] == [i.key for i in intervals]
    return found[-1]


# What can be compared


def test_findings_become_verdicts() -> None:
    shape = make_shape((3, 4))
    detector = Canned(
        {
            "bad": Finding(bad=True, score=9.0, shapes=(shape,), warning="old", p_value=1e-9, exposure=2.0),
            "doubtful": Finding(bad=False, score=3.0, warning="the whole map differs"),
        }
    )
    good, bad, doubtful = judge_of(["good", "bad", "doubtful"], detector, guidance="Call.").judge(
        [interval(path) for path in ("good", "bad", "doubtful")]
    )
    assert (good.verdict, bad.verdict, doubtful.verdict) == (Verdict.GOOD, Verdict.BAD, Verdict.WARNING)
    assert (bad.shapes, bad.score, bad.p_value, bad.exposure) == ((shape,), 9.0, 1e-9, 2.0)
    assert bad.reason.startswith("bin (3, 4) dead")
    assert doubtful.reason == "the whole map differs"
    assert (good.detector, good.model, good.histogram_type) == ("canned", "reference of the test", "all")
    assert (good.subsystem, good.guidance, good.run, good.lumisection) == ("calo", "Call.", 1, 1)


def test_a_judgement_is_json_of_the_contract() -> None:
    detector = Canned({"a": Finding(bad=True, score=9.0, shapes=(make_shape((3, 4), (3, 5)), make_shape((0, 1))))})
    said = json.loads(json.dumps(one(judge_of(["a"], detector), interval()).to_json(), allow_nan=False))
    assert (said["stream"], said["path"], said["kind"], said["verdict"]) == ("cal", "a", "TH2", "BAD")
    assert said["bins"] == [[0, 1], [3, 4], [3, 5]]
    assert [shape["bins"] for shape in said["shapes"]] == [[[3, 4], [3, 5]], [[0, 1]]]


def test_one_call_takes_all_that_can_be_judged_together() -> None:
    detector = Canned()
    references = {f"cal/{path}": expect(RATE) for path in "abcd"}
    references["cal/short"] = expect(np.ones(5))
    references["cal/profile"] = expect(RATE, profile=True)
    judge = Judge(Catalogue([rule(detector)], references=references))
    profile = profile_interval(RATE, 1.0, np.ones(SHAPE), path="profile")
    found = judge.judge([interval("a"), interval("short", contents=np.ones(5)), interval("b"), profile, interval("c")])
    assert [j.path for j in found] == ["a", "short", "b", "profile", "c"]
    assert sorted(detector.asked) == [["a", "b", "c"], ["profile"], ["short"]]


def test_nothing_to_judge_is_no_judgement() -> None:
    detector = Canned()
    assert judge_of([], detector).judge([]) == []
    assert detector.asked == []


def test_a_map_that_is_wrong_everywhere_is_one_shape() -> None:
    many = tuple(make_shape((x, y), significance=-5.0 - x) for x in range(MAX_SHAPES) for y in (0, 2))
    few = many[:MAX_SHAPES]
    detector = Canned({"many": Finding(bad=True, score=9, shapes=many), "few": Finding(bad=True, score=9, shapes=few)})
    found, others = judge_of(["many", "few"], detector).judge([interval("many"), interval("few")])
    (shape,) = found.shapes
    assert (shape.kind, shape.sign, shape.significance) == ("region", "dead", -5.0 - MAX_SHAPES + 1)
    assert set(shape.bins) == {b for s in many for b in s.bins}
    assert (shape.observed, shape.expected) == (0.0, 100.0 * len(many))
    assert others.shapes == few


# What cannot


def test_a_path_that_no_type_matches_has_no_model() -> None:
    judge = Judge(Catalogue([rule(match=("other/*",))]))
    found = one(judge, interval())
    assert (found.verdict, found.reason) == (
        Verdict.NO_MODEL,
        "no histogram type in the configuration matches its path",
    )
    assert (found.subsystem, found.detector, found.model) == ("unknown", "", "")


def test_a_type_without_a_model_has_no_model() -> None:
    found = one(Judge(Catalogue([rule()])), interval())
    assert found.verdict is Verdict.NO_MODEL
    assert "histwatch learn" in found.reason
    assert found.subsystem == "calo"


@pytest.mark.parametrize("state", State)
def test_other_binning_is_an_error_that_says_both(state: State) -> None:
    found = one(judge_of(["a"]), interval(contents=np.ones((3, 2)), state=state))
    assert (found.verdict, found.reason) == (
        Verdict.ERROR,
        "binning 3 x 2, its expectation has 24 x 16: learn it anew",
    )


def test_another_kind_is_an_error() -> None:
    found = one(judge_of(["a"]), profile_interval(RATE, 1.0, np.ones(SHAPE), path="a"))
    assert found.verdict is Verdict.ERROR
    assert found.reason == "a TProfile2D, its expectation was learned from another kind"


def test_too_few_entries_are_said_with_what_is_needed() -> None:
    judge = judge_of(["a"], minimum=Minimum(5000, 3))
    found = one(judge, interval(contents=RATE / RATE.sum() * 1234, state=State.TOO_FEW))
    assert (found.verdict, found.reason) == (
        Verdict.TOO_FEW,
        "1234 entries in 1 lumisections gathered, 5000 in 3 needed",
    )


def test_a_histogram_that_joined_its_run_is_not_judged_yet() -> None:
    found = one(judge_of(["a"]), interval(state=State.JOINED))
    assert found.verdict is Verdict.TOO_FEW
    assert found.reason.startswith("joined its run in the middle")


# What is empty


def test_what_empties_while_others_fill_is_bad() -> None:
    found = one(judge_of(["a", "b"]), interval("b"), interval("a", state=State.EMPTY))
    assert found.verdict is Verdict.BAD
    assert "no new entries while other histograms of its stream fill" in found.reason
    (shape,) = found.shapes
    assert (shape.kind, shape.sign, len(shape.bins)) == ("map", "dead", RATE.size)
    assert shape.expected == pytest.approx(RATE.sum())


def test_the_order_within_a_batch_does_not_matter() -> None:
    found = judge_of(["a", "b"]).judge([interval("a", state=State.EMPTY), interval("b")])
    assert [j.verdict for j in found] == [Verdict.BAD, Verdict.GOOD]


def test_what_empties_alone_is_too_few() -> None:
    found = one(judge_of(["a", "b"]), interval("a", state=State.EMPTY))
    assert found.verdict is Verdict.TOO_FEW
    assert "no other histogram yet tells whether there is beam" in found.reason


@pytest.mark.parametrize(
    "other",
    [
        interval("b", 1),
        interval("b", 2, run=2),
        interval("b", 2, stream="other"),
        interval("b", 2, state=State.TOO_FEW),
        interval("b", 2, state=State.EMPTY),
    ],
    ids=["earlier", "another run", "another stream", "too few", "empty too"],
)
def test_only_what_fills_now_in_its_run_and_stream_tells_of_beam(other: Interval) -> None:
    references = {"cal/a": expect(RATE), "cal/b": expect(RATE), "other/b": expect(RATE)}
    judge = Judge(Catalogue([rule()], references=references))
    assert one(judge, other, interval("a", 2, state=State.EMPTY)).verdict is Verdict.TOO_FEW


def test_a_histogram_of_few_entries_may_be_empty_by_chance() -> None:
    references = {"cal/a": expect(RATE / RATE.sum() * 10), "cal/b": expect(RATE)}
    judge = Judge(Catalogue([rule()], references=references))
    silent = interval("a", state=State.EMPTY)
    found = one(judge, interval("b"), silent)
    assert (found.verdict, found.reason) == (Verdict.TOO_FEW, "nothing new, but only 10.0 entries were expected")
    longer = replace(silent, lumisection=3, silent=3)
    assert one(judge, interval("b", 3), longer).verdict is Verdict.BAD


def test_what_was_gathered_before_it_fell_silent_is_not_missing() -> None:
    """30 lumisections that filled, one that did not: only the one counts."""
    references = {"cal/a": expect(RATE / RATE.sum()), "cal/b": expect(RATE)}
    judge = Judge(Catalogue([rule()], references=references))
    silent = interval("a", 31, state=State.EMPTY, contents=RATE / RATE.sum() * 30, first_lumisection=1)
    assert one(judge, interval("b", 31), silent).verdict is Verdict.TOO_FEW


def test_beam_that_fades_is_counted() -> None:
    detector = Canned({"b": replace(FINE, exposure=1e-6)})
    found = one(judge_of(["a", "b"], detector), interval("b"), interval("a", state=State.EMPTY))
    assert found.verdict is Verdict.TOO_FEW


def test_empty_as_in_its_references_is_good() -> None:
    references = {"cal/a": expect(np.zeros(SHAPE)), "cal/b": expect(RATE)}
    found = one(Judge(Catalogue([rule()], references=references)), interval("b"), interval("a", state=State.EMPTY))
    assert (found.verdict, found.reason) == (Verdict.GOOD, "empty, as in its references")


def test_a_model_without_rates_does_not_call_an_empty_histogram_good() -> None:
    references = {"cal/a": Expected(expect(np.zeros(SHAPE)).reference, None, "minmax"), "cal/b": expect(RATE)}
    found = one(Judge(Catalogue([rule()], references=references)), interval("b"), interval("a", state=State.EMPTY))
    assert found.verdict is Verdict.BAD


def test_an_empty_profile_under_beam_is_bad() -> None:
    nothing = np.zeros(SHAPE)
    references = {"cal/a": expect(RATE, profile=True, statistics="profile"), "cal/b": expect(RATE)}
    silent = profile_interval(nothing, 1.0, nothing, path="a", state=State.EMPTY, silent=1)
    found = one(Judge(Catalogue([rule()], references=references)), interval("b"), silent)
    assert found.verdict is Verdict.BAD


# What repeats itself


def test_a_stuck_histogram_is_bad() -> None:
    found = one(judge_of(["a"]), interval(state=State.STUCK))
    assert found.verdict is Verdict.BAD
    assert found.reason == "repeats the content of the last interval bin by bin: its producer is stuck"


def test_a_stuck_profile_is_bad() -> None:
    expected = expect(RATE, profile=True, statistics="profile", systematic=np.full(SHAPE, 0.01))
    stuck = profile_interval(RATE, 1.0, np.ones(SHAPE), path="a", state=State.STUCK)
    assert one(judge_of(["a"], expected=expected), stuck).verdict is Verdict.BAD


@pytest.mark.parametrize("expected", [expect(RATE, statistics="exact"), expect(RATE, statistics="sums")])
@pytest.mark.parametrize("says", [FINE, Finding(bad=True, score=9.0, shapes=(make_shape((1, 1)),))])
def test_what_always_shows_the_same_is_judged_by_its_contents(expected: Expected, says: Finding) -> None:
    """Counters without scatter in several references, and numbers that are no counts."""
    judge = judge_of(["a", "b"], Canned({"a": says}), expected)
    assert one(judge, interval("b"), interval(state=State.STUCK)).verdict is (Verdict.BAD if says.bad else Verdict.GOOD)


# A detector that fails


def test_a_detector_that_fails_costs_one_histogram_its_verdict() -> None:
    detector = Canned({"b": ZeroDivisionError("by zero")})
    errors: list[tuple[str, Exception]] = []
    judge = judge_of(["a", "b", "c"], detector, on_error=lambda *said: errors.append(said))
    found = judge.judge([interval(path) for path in "abc"])
    assert [j.verdict for j in found] == [Verdict.GOOD, Verdict.ERROR, Verdict.GOOD]
    assert found[1].reason == "detector canned failed: ZeroDivisionError('by zero')"
    assert [(key, type(error)) for key, error in errors] == [("cal/b", ZeroDivisionError)]


def test_other_groups_are_judged_although_one_detector_fails() -> None:
    broken, sound = Canned({"a": RuntimeError("broken")}), Canned()
    references = {"cal/a": expect(RATE), "cal/b": expect(RATE)}
    judge = Judge(Catalogue([rule(broken, match=("cal/a",)), rule(sound)], references=references))
    assert [j.verdict for j in judge.judge([interval("a"), interval("b")])] == [Verdict.ERROR, Verdict.GOOD]


def test_findings_of_a_wrong_number_are_an_error() -> None:
    class Silent:
        name = "silent"
        needs_rates = False

        def judge(self, intervals: Sequence[Interval], expected: Sequence[Expected]) -> list[Finding]:
            return []

    assert one(judge_of(["a"], Silent()), interval()).verdict is Verdict.ERROR


# Which expectation


def modelled(trained: Trained, name: str, *types: str) -> Model:
    card = trained.model.card.model_copy(update={"name": name, "histogram_types": types})
    return Model(f"{name}.onnx", card, trained.model._session, replace(trained.model.reference, name=name))


def named(catalogue: Catalogue, key: str) -> str | None:
    expected = catalogue[key].expected
    return None if expected is None else expected.reference.name


def test_references_go_before_models_and_exact_names_before_globs(trained: Trained) -> None:
    models = [modelled(trained, n, *types) for n, types in {"glob": ["cal/*"], "exact": ["cal/b", "cal/c"]}.items()]
    catalogue = Catalogue([rule()], models, {"cal/c": expect(RATE)})
    assert named(catalogue, "cal/a") == "glob"
    assert named(catalogue, "cal/b") == "exact"
    assert named(catalogue, "cal/c") == "reference of the test"
    assert named(catalogue, "other/a") is None


def test_references_of_another_stream_serve_where_they_are_the_only_ones_of_their_path() -> None:
    references = {"old/a": expect(RATE), "old/b": expect(RATE), "older/b": expect(RATE, name="older")}
    catalogue = Catalogue([rule()], references=references)
    assert named(catalogue, "new/a") == "reference of the test"
    assert named(catalogue, "new/b") is None
    assert named(catalogue, "older/b") == "older"


def test_of_two_that_fit_the_first_counts(trained: Trained) -> None:
    models = [modelled(trained, n, "cal/*", "cal/b") for n in ("first", "second")]
    catalogue = Catalogue([rule()], models)
    assert named(catalogue, "cal/a") == named(catalogue, "cal/b") == "first"


def test_a_type_may_name_its_model(trained: Trained) -> None:
    models = [modelled(trained, n, "cal/*", "cal/b") for n in ("first", "second")]
    catalogue = Catalogue([rule(model="second")], models)
    assert named(catalogue, "cal/a") == named(catalogue, "cal/b") == "second"
    assert named(catalogue, "other/a") is None


def test_a_path_with_brackets_is_its_own_exact_name(trained: Trained) -> None:
    catalogue = Catalogue([rule()], [modelled(trained, "exact", "cal/a[0]")])
    assert named(catalogue, "cal/a[0]") == "exact"


def test_the_first_type_that_matches_counts() -> None:
    rules = [rule(match=("cal/A/*", "x/*"), name="one"), rule(match=("cal/*",), name="two"), rule(name="rest")]
    catalogue = Catalogue(rules)
    found = {key: catalogue[key].rule for key in ("cal/A/b", "cal/B/A/b", "x/y/z", "CAL/A/b")}
    assert [r.name for r in found.values() if r] == ["one", "two", "one", "rest"]


# With the real detector


def test_a_faulty_map_is_bad_and_a_good_one_good(trained: Trained) -> None:
    catalogue = Catalogue([rule(ExpectationDetector())], [modelled(trained, "m", "cal/*")])
    good, bad = trained.sample(1), trained.sample(2)
    bad.contents[5] = 0.0
    errors: list[str] = []
    found = Judge(catalogue, lambda key, error: errors.append(repr(error))).judge([good, bad])
    assert [j.verdict for j in found] == [Verdict.GOOD, Verdict.BAD]
    assert found[1].reason.startswith("strip x=5 dead: 0 seen, ")
    assert errors == []


def test_kinds_are_judged_in_one_batch(trained_by_kind: dict[Kind, Trained]) -> None:
    models = [modelled(t, kind.value, f"cal/{kind.value}") for kind, t in trained_by_kind.items()]
    judge = Judge(Catalogue([rule(ExpectationDetector())], models))
    found = judge.judge([replace(t.sample(9), path=kind.value) for kind, t in trained_by_kind.items()])
    assert {j.verdict for j in found} == {Verdict.GOOD}
    assert [j.model for j in found] == [kind.value for kind in trained_by_kind]


def test_a_model_that_fails_on_data_is_an_error_and_no_good_verdict(trained: Trained) -> None:
    class Broken:
        def predict(self, maps: Any) -> Any:
            raise ValueError("no answer")

    references = {"cal/a": Expected(trained.model.reference, Broken()), "cal/b": Expected(trained.model.reference)}
    judge = Judge(Catalogue([rule(ExpectationDetector())], references=references))
    contents = poisson_map(trained.rate, 1)
    found = judge.judge([make_interval(contents, path="a"), make_interval(contents, path="b")])
    assert [j.verdict for j in found] == [Verdict.ERROR, Verdict.GOOD]


@pytest.mark.parametrize(("needs_rates", "verdict"), [(True, Verdict.NO_MODEL), (False, Verdict.GOOD)])
def test_a_model_in_a_scale_of_thesis_b_tells_no_rates(needs_rates: bool, verdict: Verdict) -> None:
    interval = make_interval(np.full((4, 4), 100.0))
    expected = replace(expect(np.full((4, 4), 100.0)), normalisation="minmax")
    rule = Rule(name="map", match=("*",), subsystem="test", detector=Canned(needs_rates=needs_rates))
    (judgement,) = Judge(Catalogue([rule], references={interval.key: expected})).judge([interval])
    assert judgement.verdict is verdict
    assert ("minmax" in judgement.reason) is needs_rates
