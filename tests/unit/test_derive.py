"""Derived histograms: arithmetic and errors against simulation, and that no mismatched pair is ever combined."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import make_interval, make_snapshot, profile_of
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from monitor.config.load import settings_from
from monitor.decode import Envelope
from monitor.decode.native import encode
from monitor.detect.expectation import ExpectationDetector
from monitor.errors import ConfigurationError
from monitor.judge import Catalogue, Rule
from monitor.learn.recorded import gather_intervals, learn_expectations
from monitor.service.build import build_derivations
from monitor.service.files import judge_snapshots
from monitor.service.pipeline import Pipeline
from monitor.sinks.base import Outcome
from monitor.sinks.metrics import Metrics
from monitor.snapshot import Axis, FloatArray, Kind, Snapshot
from monitor.source.record import Batch, Record
from monitor.verdict import Verdict
from monitor.window import Derivation, Deriver, Interval, State, refuse_overlap
from monitor.window.derivation import combine
from monitor.window.template import Template


def ratio(**changes: Any) -> Derivation:
    fields: dict[str, Any] = {"path": "mean/{name}", "operation": "ratio", "of": ("sum/{name}", "count/{name}")}
    return Derivation(**(fields | changes))


def operand(side: int, lumisection: int = 1, contents: Any = (4.0, 6.0), name: str = "a", **changes: Any) -> Interval:
    return make_interval(contents, lumisection, path=f"{('sum', 'count')[side]}/{name}", **changes)


def counted(deriver: Deriver) -> dict[str, int]:
    return {reason: number for reason, number in deriver.events.items() if number}


# Templates


@pytest.mark.parametrize(
    ("template", "path", "parts"),
    [
        ("a/{x}", "a/b", {"x": "b"}),
        ("a/{x}", "a/b/c", None),
        ("a/{x}", "a/", None),
        ("h{d:?}ADC_{s}", "h1ADC_HB", {"d": "1", "s": "HB"}),
        ("h{d:?}_{s}", "h1ADC_HB", None),
        ("h{d:[0-9]}", "hx", None),
        ("h{d:[!0-9]}", "hx", {"d": "x"}),
        ("h{d:[!0-9]}", "h/", None),
        ("h{d:[^x]}", "h^", {"d": "^"}),
        ("h{d:[^x]}", "hy", None),
        ("a.c{x:b*}", "a.cbbb", {"x": "bbb"}),
        ("a.c{x:b*}", "abcbbb", None),
        ("plain", "plain", {}),
    ],
)
def test_a_template_matches_what_it_says(template: str, path: str, parts: dict[str, str] | None) -> None:
    assert Template.parse(template).match(path) == parts


@given(st.dictionaries(st.sampled_from("xyz"), st.text("abc.1+", min_size=1, max_size=5), min_size=3))
def test_filled_with_what_was_matched_a_template_is_the_path_again(parts: dict[str, str]) -> None:
    template = Template.parse("{x}/m[{y}]/{z}")
    path = template.fill(parts)
    assert template.match(path) == parts


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"of": ("sum/{name}", "count/all")}, "do not name the same parts"),
        ({"of": ("sum/{name}_{name}", "count/{name}")}, "twice"),
        ({"of": ("sum/{name", "count/{name}")}, "brace"),
        ({"of": ("sum/{name:[a}", "count/{name}")}, r"without its \]"),
        ({"of": ("sum/{name}", "sum/{name}")}, "two different"),
        ({"path": "sum/{name}"}, "of itself"),
        ({"operation": "product"}, "is none of"),
        ({"errors": "guessed"}, "is none of"),
        ({"operation": "sum", "errors": "shared"}, "for a ratio"),
    ],
)
def test_a_rule_that_cannot_pair_histograms_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        ratio(**changes)


def test_the_more_specific_of_two_templates_that_match_tells_the_operand() -> None:
    rule = Derivation(path="m{x}", operation="ratio", of=("h{x}", "hADC{x}"))
    assert rule.side_of("s", "hADC1") == (1, "m1")
    assert rule.side_of("s", "h1") == (0, "m1")
    assert rule.side_of("s", "g1") is None
    assert Derivation(path="m{x}", operation="ratio", of=("h{x}", "g{x}"), stream="t*").side_of("s", "h1") is None


# Arithmetic


def spread_of(draws: FloatArray) -> FloatArray:
    values: FloatArray = draws.var(axis=0)
    return values


def test_independent_errors_are_the_scatter_of_repeated_measurements() -> None:
    rng = np.random.default_rng(1)
    truth_a, truth_b = np.array([400.0, 900.0]), np.array([2500.0, 1600.0])
    many_a, many_b = (rng.poisson(t, (20_000, 2)).astype(float) for t in (truth_a, truth_b))
    for operation, values in (("ratio", many_a / many_b), ("difference", many_a - many_b), ("sum", many_a + many_b)):
        made = combine(ratio(operation=operation), "p", operand(0, contents=truth_a), operand(1, contents=truth_b))
        assert made.contents == pytest.approx(values.mean(axis=0), rel=0.01)
        # A sum of counts is counts: their variance is their number, and nobody need say so.
        variances = made.contents if operation == "sum" else made.variances
        assert (made.variances is None) == (operation == "sum")
        assert variances == pytest.approx(spread_of(values), rel=0.05)


def test_shared_errors_are_those_of_a_mean_of_weights() -> None:
    rng = np.random.default_rng(2)
    n, experiments = 400, 5000
    weights = rng.gamma(4.0, 25.0, (experiments, n))
    sums, squares = weights.sum(axis=1), (weights**2).sum(axis=1)
    made = combine(
        ratio(errors="shared"),
        "p",
        operand(0, contents=[sums[0]], variances=np.array([squares[0]])),
        operand(1, contents=[float(n)]),
    )
    assert made.variances is not None
    # As ROOT's profile says of the same fills.
    mean, variance, _ = profile_of([(0, w) for w in weights[0]], 1)
    assert made.contents == pytest.approx(mean)
    assert made.variances == pytest.approx(variance)
    assert made.variances[0] == pytest.approx((sums / n).var(), rel=0.2)


def test_shared_errors_without_weights_are_binomial_and_never_nothing() -> None:
    made = combine(
        ratio(errors="shared"), "p", operand(0, contents=[30.0, 0.0, 100.0]), operand(1, contents=[100.0] * 3)
    )
    assert made.contents.tolist() == [0.3, 0.0, 1.0]
    assert made.variances == pytest.approx(np.array([0.3 * 0.7 / 100, 1e-4, 1e-4]))


def test_where_the_denominator_is_zero_there_is_nothing_and_no_nan() -> None:
    for errors in ("independent", "shared", "unknown"):
        made = combine(
            ratio(errors=errors), "p", operand(0, contents=[5.0, 0.0, 8.0]), operand(1, contents=[0.0, 0.0, 2.0])
        )
        assert made.contents.tolist() == [0.0, 0.0, 4.0]
        if errors == "unknown":
            assert made.variances is None
        else:
            assert made.variances is not None
            assert made.variances[:2].tolist() == [0.0, 0.0]
            assert made.variances[2] > 0


def test_errors_need_both_operands_errors() -> None:
    sums = operand(0, contents=[1.5, 2.5])
    assert combine(ratio(), "p", sums, operand(1)).variances is None
    known = operand(0, contents=[1.5, 2.5], variances=np.array([1.0, 1.0]))
    assert combine(ratio(), "p", known, operand(1)).variances is not None
    assert combine(ratio(errors="unknown"), "p", known, operand(1)).variances is None


@given(
    st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=1, max_size=8),
    st.sampled_from(["ratio", "difference", "sum"]),
)
def test_a_derived_interval_is_finite_and_says_where_it_was_taken(pairs: list[tuple[int, int]], operation: str) -> None:
    a, b = (np.array([p[i] for p in pairs], dtype=float) for i in (0, 1))
    made = combine(ratio(operation=operation), "p", operand(0, 3, a, run=7), operand(1, 3, b, run=7))
    assert np.isfinite(made.contents).all()
    assert made.variances is None or (made.variances >= 0).all()
    assert (made.run, made.first_lumisection, made.lumisection, made.time_ns) == (7, 3, 3, 3_000_000_000)
    assert made.kind is (Kind.TPROFILE if operation == "difference" else Kind.TH1)
    assert made.absolute == (operation == "ratio")
    assert (made.entries is None) == (operation != "difference")
    assert made.total == (min(a.sum(), b.sum()) if operation == "ratio" else a.sum() + b.sum())


# Pairs


def test_a_pair_is_combined_in_whichever_order_it_comes() -> None:
    for first in (0, 1):
        deriver = Deriver([ratio()])
        assert deriver.add(operand(first, contents=(4.0, 6.0) if first == 0 else (2.0, 3.0)), f"from {first}") == []
        assert len(deriver) == 1
        (made,) = deriver.add(
            operand(1 - first, contents=(2.0, 3.0) if first == 0 else (4.0, 6.0)), f"from {1 - first}"
        )
        assert made.interval.key == "cal/mean/a"
        assert made.interval.contents.tolist() == [2.0, 2.0]
        assert made.origins == ("from 0", "from 1")
        assert len(deriver) == 0
        assert counted(deriver) == {"derived": 1}


def test_names_and_streams_are_not_mixed() -> None:
    deriver = Deriver([ratio()])
    assert not deriver.add(operand(0, name="a"))
    assert not deriver.add(operand(1, name="b"))
    assert not deriver.add(operand(1, name="a", stream="other"))
    assert len(deriver.add(operand(1, name="a"))) == 1


def test_one_operand_may_serve_several() -> None:
    deriver = Deriver([ratio(), ratio(path="both/{name}", operation="sum")])
    deriver.add(operand(0))
    assert [d.interval.path for d in deriver.add(operand(1))] == ["mean/a", "both/a"]


@pytest.mark.parametrize(
    ("first", "second", "reason"),
    [
        (operand(0, 1, run=1), operand(1, 1, run=2), "other_run"),
        (operand(0, 2), operand(1, 3, first_lumisection=2), "other_lumisections"),
        (operand(0, 3, first_lumisection=1), operand(1, 3), "other_lumisections"),
        (operand(0, 1), operand(1, 2), "unmatched"),
        (operand(0, time_ns=1), operand(1, time_ns=2), "other_update"),
        (operand(0), operand(1, axes=(Axis(2, 0.0, 5.0),)), "other_binning"),
        (operand(0), operand(1, contents=(1.0, 2.0, 3.0)), "other_binning"),
        (operand(0), operand(1, state=State.TOO_FEW), "not_ready"),
        (operand(0), operand(1, state=State.EMPTY, contents=(0.0, 0.0)), "not_ready"),
        (
            operand(0),
            operand(1, kind=Kind.TPROFILE, variances=np.ones(2), entries=np.ones(2)),
            "other_kind",
        ),
    ],
)
def test_a_mismatched_pair_is_counted_by_reason_and_not_combined(
    first: Interval, second: Interval, reason: str
) -> None:
    for pair in ((first, second), (second, first)):
        deriver = Deriver([ratio()])
        assert [made for one in pair for made in deriver.add(one)] == []
        deriver.finish()
        # What went on waits for a partner of its own until the end.
        meets = reason in ("not_ready", "other_binning", "other_kind") or first.lumisection == second.lumisection
        left_over = 0 if meets and reason != "other_run" and first.time_ns == second.time_ns else 1
        expected = Counter({reason: 1}) + Counter({"unmatched": left_over})
        assert Counter(counted(deriver)) == expected


def test_the_pairs_of_updates_at_one_place_are_told_apart_by_their_number() -> None:
    deriver = Deriver([ratio()])
    first = [deriver.add(operand(0, contents=(value, value))) for value in (10.0, 20.0)]
    second = [deriver.add(operand(1, contents=(value, value))) for value in (1.0, 2.0)]
    assert first == [[], []]
    assert [made[0].interval.contents[0] for made in second] == [10.0, 10.0]
    assert counted(deriver) == {"derived": 2}


def test_what_waits_is_bounded_in_number_and_bytes() -> None:
    deriver = Deriver([ratio()], capacity=5)
    for n in range(9):
        deriver.add(operand(0, name=f"n{n}"))
    assert len(deriver) == 5
    assert counted(deriver) == {"unmatched": 4}
    deriver = Deriver([ratio()], capacity_bytes=100)
    for lumisection in range(1, 20):
        deriver.add(operand(0, lumisection))
        assert len(deriver) * 16 <= 100
    deriver.finish()
    assert counted(deriver) == {"unmatched": 19}
    assert len(deriver) == 0


def test_what_came_from_a_lost_partition_is_let_go_uncounted() -> None:
    deriver = Deriver([ratio()])
    deriver.add(operand(0, name="a"), 1)
    deriver.add(operand(0, name="b"), 2)
    deriver.forget({1})
    assert len(deriver) == 1
    assert not deriver.add(operand(1, name="a"), 2)
    assert len(deriver.add(operand(1, name="b"), 2)) == 1


@settings(max_examples=200)
@given(st.data())
def test_however_two_partitions_interleave_every_pair_is_made_once_or_counted(data: st.DataObject) -> None:
    """Each side drops some updates; the sides keep their own order and interleave at random."""
    kept = [data.draw(st.lists(st.booleans(), min_size=6, max_size=6)) for _ in range(2)]
    queues = [[operand(side, n + 1, (n + 1.0, 1.0)) for n in range(6) if kept[side][n]] for side in (0, 1)]
    turns = random.Random(data.draw(st.integers(0, 1000)))
    deriver = Deriver([ratio(operation="difference")])
    made: list[Interval] = []
    while any(queues):
        side = turns.choice([s for s in (0, 1) if queues[s]])
        made += [d.interval for d in deriver.add(queues[side].pop(0))]
    deriver.finish()
    both = [n + 1 for n in range(6) if kept[0][n] and kept[1][n]]
    alone = sum(kept[0][n] != kept[1][n] for n in range(6))
    assert [i.lumisection for i in made] == both
    assert all(i.contents[0] == 0.0 for i in made)
    found = counted(deriver)
    assert found.pop("derived", 0) == len(both)
    assert sum(found.values()) == alone


# In the monitor


def snapshots(runs: int, faulty_run: int = 0) -> list[Any]:
    """Runs of a summed amplitude and a counter; in the faulty one a bin's amplitude is ten times as large."""
    rng = np.random.default_rng(3)
    found = []
    amplitude = 100.0 + 50.0 * rng.random((12, 8))
    for run in range(1, runs + 1):
        count = rng.poisson(2000.0 * rng.uniform(0.5, 1.5), (12, 8)).astype(float)
        mean = amplitude * (1.0 + 0.002 * rng.standard_normal((12, 8)))
        if run == faulty_run:
            mean[3, 4] *= 10.0
        for path, contents in (("sum/a", mean * count), ("count/a", count)):
            found.append(make_snapshot(contents, run=run, path=path, time_ns=run * 10**9))
    return found


def test_derived_histograms_are_learned_and_judged_like_others() -> None:
    learned = learn_expectations(gather_intervals(snapshots(6), derivations=[ratio()]))
    assert set(learned) == {"cal/sum/a", "cal/count/a", "cal/mean/a"}
    rules = [
        Rule(name="means", match=("*/mean/*",), subsystem="calo", detector=ExpectationDetector()),
        Rule(name="all", match=("*",), subsystem="calo", detector=ExpectationDetector()),
    ]
    catalogue = Catalogue(rules, references=learned)
    deriver = Deriver([ratio()])
    found = {(j.run, j.path): j for j in judge_snapshots(snapshots(7, faulty_run=7), catalogue, deriver=deriver)}
    assert counted(deriver) == {"derived": 7}
    assert found[7, "mean/a"].histogram_type == "means"
    assert found[7, "mean/a"].verdict is Verdict.BAD
    assert (3, 4) in {b for s in found[7, "mean/a"].shapes for b in s.bins}
    # The beam doubles and halves from run to run: sums and counts move, their ratio does not.
    assert all(found[run, "mean/a"].verdict is Verdict.GOOD for run in range(1, 7))


def test_configuration_builds_derivations_and_names_what_is_wrong() -> None:
    given_ = {"derive": [{"path": "m/{x}", "operation": "ratio", "of": ["a/{x}", "b/{x}"], "errors": "shared"}]}
    (made,) = build_derivations(settings_from(given_, "test"), "test")
    assert (made.operation, made.of, made.errors) == ("ratio", ("a/{x}", "b/{x}"), "shared")
    given_["derive"][0]["of"] = ["a/{x}", "b/{y}"]
    with pytest.raises(ConfigurationError, match=r"test: derive\[0\]: .*do not name the same parts"):
        build_derivations(settings_from(given_, "test"), "test")
    with pytest.raises(ConfigurationError, match="did you mean 'operation'"):
        settings_from({"derive": [{"path": "m", "operaton": "ratio", "of": ["a", "b"]}]}, "test")


def test_mismatches_are_metrics_from_the_start() -> None:
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    for reason in Deriver.EVENTS:
        assert registry.get_sample_value("dqm_derived_total", {"outcome": reason}) == 0
    outcome = Outcome()
    outcome.derive_events.update(other_run=2, derived=5)
    metrics.see_batch(outcome, 0.0, 0.0)
    assert registry.get_sample_value("dqm_derived_total", {"outcome": "other_run"}) == 2
    assert registry.get_sample_value("dqm_derived_total", {"outcome": "derived"}) == 5


def test_the_command_derives_and_says_what_found_no_partner(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import json

    import uproot

    from monitor.cli import main

    folder = tmp_path / "runs"
    folder.mkdir()
    for run in (1, 2, 3):
        with uproot.recreate(folder / f"Run{run}.root") as file:
            edges = np.arange(11.0)
            file["sumA"] = (np.arange(10.0) * 300.0 + 300.0, edges)
            file["countA"] = (np.full(10, 300.0), edges)
            file["sumB"] = (np.full(10, 300.0), edges)
    config = tmp_path / "m.yaml"
    config.write_text(
        "models: {directory: null}\ntypes: [{name: all, match: ['*']}]\n"
        "derive: [{path: 'mean{x}', operation: ratio, of: ['sum{x}', 'count{x}'], errors: unknown}]\n"
    )
    with pytest.raises(SystemExit) as ended:
        main(["judge", str(folder), "--reference", str(folder), "--config", str(config), "--json"])
    assert ended.value.code == 0
    out, err = capsys.readouterr()
    paths = [json.loads(line)["path"] for line in out.splitlines()]
    assert paths.count("meanA") == 3
    assert "meanB" not in paths
    assert "3 histograms derived; operands without their partner: 3 unmatched" in err


def record(snapshot: Snapshot, offset: int, partition: tuple[str, int]) -> Record:
    return Record(partition, offset, Envelope(encode(snapshot), received_ns=1_700_000_000_000_000_000 + offset))


def test_operands_from_two_partitions_meet_and_their_alarms_go_when_one_is_lost() -> None:
    learned = learn_expectations(gather_intervals(snapshots(6), derivations=[ratio()]))
    rule = Rule(name="all", match=("*/mean/*",), subsystem="calo", detector=ExpectationDetector())
    pipeline = Pipeline(Catalogue([rule], references=learned), derivations=[ratio()])
    sums, counts = [s for s in snapshots(7, faulty_run=7) if s.run == 7]
    here, there = ("t", 0), ("t", 1)
    first = pipeline.process(Batch([record(sums, 0, here)]))
    assert [j.path for j in first.judgements] == ["sum/a"]
    second = pipeline.process(Batch([record(counts, 0, there)]))
    assert {j.path: j.verdict for j in second.judgements} == {"count/a": Verdict.NO_MODEL, "mean/a": Verdict.BAD}
    assert second.derive_events["derived"] == 1
    assert {a.judgement.path for a in pipeline.open_alarms()} == {"mean/a"}
    lost = pipeline.process(Batch([], lost=[there]))
    assert lost.forgotten == {"cal/count/a", "cal/mean/a"}
    assert pipeline.open_alarms() == []


def test_what_waits_for_a_lost_partition_is_not_combined_with_what_comes_again() -> None:
    rule = Rule(name="all", match=("*/mean/*",), subsystem="calo", detector=ExpectationDetector())
    pipeline = Pipeline(Catalogue([rule]), derivations=[ratio()])
    sums, counts = snapshots(1)
    pipeline.process(Batch([record(sums, 0, ("t", 0))]))
    outcome = pipeline.process(Batch([record(counts, 0, ("t", 1))], lost=[("t", 0)]))
    assert [j.path for j in outcome.judgements] == ["count/a"]


def test_what_is_too_large_or_has_no_errors_is_counted() -> None:
    deriver = Deriver([ratio()])
    for side, contents in ((0, (1e25, 1.0)), (1, (1e-25, 1.0))):
        assert deriver.add(operand(side, contents=contents, variances=np.ones(2))) == []
    assert counted(deriver) == {"out_of_range": 1}
    deriver = Deriver([ratio(operation="difference")])
    for side in (0, 1):
        assert deriver.add(operand(side, contents=(0.5, 1.5))) == []
    assert counted(deriver) == {"no_errors": 1}
    with pytest.raises(ValueError, match="a difference may be about 0"):
        ratio(operation="difference", errors="unknown")


def test_rules_that_make_one_path_or_feed_one_another_are_refused() -> None:
    one = Derivation(path="m/{x}", operation="sum", of=("a/{x}", "b/{x}"))
    refuse_overlap([one, Derivation(path="n/{x}", operation="ratio", of=("a/{x}", "b/{x}"))])
    with pytest.raises(ValueError, match=r"'m/\{x\}' is derived twice"):
        refuse_overlap([one, Derivation(path="m/{x}", operation="ratio", of=("a/{x}", "b/{x}"))])
    with pytest.raises(ValueError, match=r"'n/\{x\}' is derived of 'm/\{x\}', which is derived itself"):
        refuse_overlap([one, Derivation(path="n/{x}", operation="ratio", of=("m/{x}", "b/{x}"))])
