"""Classifiers: what is refused, the scales of their maps, and how the monitor names the kind of an alarm."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import jsonschema
import numpy as np
import onnx
import pytest
from helpers import SHAPE, Trained, expect, make_interval, make_reference, poisson_map, profile_interval, smooth_rate
from hypothesis import given, settings
from hypothesis.extra.numpy import arrays
from onnx import TensorProto, helper, numpy_helper

import monitor.alarm
from monitor.alarm import AlarmBook
from monitor.config.settings import Settings
from monitor.detect.base import Settings as DetectorSettings
from monitor.detect.expectation import ExpectationDetector
from monitor.errors import ModelError
from monitor.infer import Classifier, ClassifierCard, load_classifier, load_model
from monitor.infer.card import METADATA_KEY
from monitor.infer.classifier import CLASSIFIER_KEY, LARGEST_PULL, shares, significances
from monitor.judge import Catalogue, Judge, Rule
from monitor.judge.words import describe_kind
from monitor.service.build import build_catalogue, load_models
from monitor.snapshot import Kind
from monitor.verdict import Verdict
from monitor.window import Interval

RATE = smooth_rate()
FIELDS: dict[str, Any] = {
    "name": "kinds",
    "version": "1",
    "histogram_types": ["cal/*"],
    "kind": "TH2",
    "shape": list(SHAPE),
    "normalisation": "significance",
    "labels": ["good", "hot", "dead"],
}


def content_of(
    metadata: dict[str, str] | None = None,
    *,
    shape: tuple[int, ...] = SHAPE,
    batch: str | int = "maps",
    last: str = "Softmax",
    output: str = "probabilities",
    add: float = 0.0,
    good: str = "Identity",
    **card: Any,
) -> bytes:
    """A classifier that calls hot what has a bin near the top of the scale, dead what has one near its bottom."""
    nodes = [
        helper.make_node("Flatten", ["maps"], ["flat"], axis=1),
        helper.make_node("ReduceMax", ["flat"], ["hot"], axes=[1], keepdims=1),
        helper.make_node("ReduceMin", ["flat"], ["low"], axes=[1], keepdims=1),
        helper.make_node("Neg", ["low"], ["dead"]),
        helper.make_node("Mul", ["dead", "nothing" if good == "Identity" else "one"], ["zero"]),
        helper.make_node("Sub", ["half", "zero"], ["rest"]),
        helper.make_node(good, ["rest"], ["good"]),
        helper.make_node("Concat", ["good", "hot", "dead"], ["every"], axis=1),
        helper.make_node("Mul", ["every", "steep"], ["logits"]),
        helper.make_node("Add", ["logits", "more"], ["sum"]),
        helper.make_node(last, ["sum"], [output]),
    ]
    constants = {"nothing": 0.0, "one": 1.0, "half": 0.5, "steep": 30.0, "more": add}
    graph = helper.make_graph(
        nodes,
        "kinds",
        [helper.make_tensor_value_info("maps", TensorProto.FLOAT, [batch, *shape])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, [batch, 3])],
        [numpy_helper.from_array(np.array([[v]], dtype=np.float32), name) for name, v in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    helper.set_model_props(model, {CLASSIFIER_KEY: json.dumps(FIELDS | card)} if metadata is None else metadata)
    onnx.checker.check_model(model)
    found: bytes = model.SerializeToString()
    return found


def classifier(**changes: Any) -> Classifier:
    return load_classifier(content_of(**changes), "kinds.onnx")


# What is refused


def test_a_classifier_keeps_its_card() -> None:
    assert classifier().card == ClassifierCard.model_validate(FIELDS)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"metadata": {}}, "no classifier; store its card as JSON under the key 'histwatch.classifier'"),
        ({"metadata": {CLASSIFIER_KEY: json.dumps(FIELDS), METADATA_KEY: "{}"}}, "has both cards"),
        ({"metadata": {CLASSIFIER_KEY: "[" * 100_000}}, "bad card, not JSON"),
        ({"colour": "red"}, "bad card, colour: Extra inputs"),
        ({"labels": ["good", "good", "dead"]}, "bad card, labels: .*a label stands twice"),
        ({"labels": ["fine", "hot", "dead"]}, "bad card, good: 'good' is none of its labels"),
        ({"labels": ["good", "dead"]}, r"1 maps in, shape \(1, 3\) out; the card names 2 labels"),
        ({"kind": "TProfile2D"}, "bad card, kind"),
        ({"kind": "TH1"}, "bad card, shape: .*2 axes for a TH1"),
        ({"normalisation": "zscore"}, "bad card, normalisation"),
        ({"shape": [9, 9]}, None),
        ({"input": "images"}, r"inputs \['maps'\], the card says \['images'\]"),
        ({"output": "answers"}, "no output probabilities of type float32"),
        ({"batch": 1}, "fixed batch of 1"),
        ({"last": "Identity"}, "its answer is no probability, it needs a softmax"),
        ({"add": math.nan}, "its answer is no probability"),
    ],
)
def test_a_classifier_that_breaks_the_contract_is_refused(changes: dict[str, Any], reason: str | None) -> None:
    if reason is None:
        # The card's shape is not that of the graph.
        card = json.dumps(FIELDS | changes)
        changes, reason = {"metadata": {CLASSIFIER_KEY: card}}, r"the card says \(maps, \(9, 9\)\)"
    with pytest.raises(ModelError, match=f"^model kinds.onnx: .*{reason}"):
        classifier(**changes)


def test_an_autoencoder_is_no_classifier_and_a_classifier_no_autoencoder(trained: Trained) -> None:
    with pytest.raises(ModelError, match="no classifier"):
        load_classifier(trained.content, "m.onnx")
    with pytest.raises(ModelError, match="no card"):
        load_model(content_of(), "kinds.onnx")


def test_what_is_not_onnx_is_refused() -> None:
    with pytest.raises(ModelError, match="not an ONNX file"):
        load_classifier(b"\xff\xfe nothing", "kinds.onnx")


# Scales


@given(arrays(np.float64, (3, 4, 2), elements=st.floats(0.0, 1e9)))
def test_shares_are_of_the_largest_content(contents: Any) -> None:
    found = shares(contents)
    for one, own in zip(found, contents, strict=True):
        largest = own.max()
        assert one == pytest.approx(own / largest if largest > 0 else own)


@settings(max_examples=50)
@given(
    arrays(np.float64, (2, 3, 2), elements=st.integers(0, 10_000).map(float)),
    arrays(np.float64, (3, 2), elements=st.sampled_from([0.0, 0.1, 5.0, 800.0])),
    st.floats(0.0, 0.2),
    st.floats(0.01, 20.0),
)
def test_significances_are_as_the_formula_says(contents: Any, rate: Any, systematic: float, exposure: float) -> None:
    reference = make_reference(rate, systematic=np.full(rate.shape, systematic))
    found = significances(contents, np.array([exposure, 2.0 * exposure]), reference)
    for m, x, y in np.ndindex(contents.shape):
        mu = exposure * (m + 1) * rate[x, y]
        pull = (contents[m, x, y] - mu) / math.sqrt(max(mu, 1.0) + (systematic * mu) ** 2)
        cut = max(-LARGEST_PULL, min(LARGEST_PULL, pull))
        assert found[m, x, y] == pytest.approx(cut * abs(cut) / LARGEST_PULL**2, abs=1e-12)


def test_a_scale_that_needs_a_rate_says_nothing_without_one() -> None:
    one = classifier()
    contents = poisson_map(RATE, 1)
    assert one.classify(contents, None, make_reference(RATE)) == {}
    assert one.classify(contents, 1.0, None) == {}
    assert one.classify(contents, 1.0, make_reference(RATE[:5])) == {}
    assert set(classifier(normalisation="maximum").classify(contents, None, None)) == {"good", "hot", "dead"}


# In the monitor


def judge_of(*classifiers: Classifier, told: list[tuple[str, Exception]] | None = None) -> Judge:
    rule = Rule(
        name="all", match=("*",), subsystem="calo", detector=ExpectationDetector(DetectorSettings()), guidance="call"
    )
    catalogue = Catalogue([rule], references={"cal/a": expect(RATE)}, classifiers=classifiers)
    return Judge(catalogue, None if told is None else lambda key, error: told.append((key, error)))


def interval(factor: float = 1.0, **changes: Any) -> Interval:
    contents = poisson_map(RATE, 5, exposure=1.3)
    contents[3:8, 4:9] *= factor
    return make_interval(contents, path="a", **changes)


@pytest.mark.parametrize(("factor", "label"), [(0.0, "dead"), (4.0, "hot")])
def test_the_kind_of_what_is_bad_is_named(factor: float, label: str) -> None:
    (plain,) = judge_of().judge([interval(factor)])
    (named,) = judge_of(classifier()).judge([interval(factor)])
    assert plain.verdict is named.verdict is Verdict.BAD
    assert plain.classification == {}
    assert sum(named.classification.values()) == pytest.approx(1.0)
    assert named.classification[label] > 0.9
    assert named.reason == f"{plain.reason}; classifier: {label} above 99 %"
    assert replace(named, classification={}, reason=plain.reason) == plain
    assert named.to_json()["classification"] == named.classification


def test_what_is_good_is_not_classified() -> None:
    (found,) = judge_of(classifier()).judge([interval()])
    assert (found.verdict, found.classification) == (Verdict.GOOD, {})


def test_a_classifier_is_asked_of_its_own_histograms_only() -> None:
    others = [classifier(histogram_types=["other/*"]), small()]
    (found,) = judge_of(*others).judge([interval(0.0)])
    assert (found.verdict, found.classification) == (Verdict.BAD, {})
    (found,) = judge_of(*others, classifier()).judge([interval(0.0)])
    assert found.classification["dead"] > 0.9


def small() -> Classifier:
    card = json.dumps(FIELDS | {"shape": [9, 9]})
    return load_classifier(content_of({CLASSIFIER_KEY: card}, shape=(9, 9)), "small.onnx")


def test_a_profile_is_not_classified() -> None:
    one = profile_interval(RATE, 1.0, np.full(SHAPE, 50.0))
    assert not classifier().takes(one.kind, one.contents.shape)
    assert classifier().takes(Kind.TH2, SHAPE)


def test_a_classifier_that_fails_costs_no_verdict() -> None:
    told: list[tuple[str, Exception]] = []
    # Its check sees empty maps; the logarithm of what is below 0 comes with the first dead bin.
    failing = classifier(good="Log")
    (plain,) = judge_of().judge([interval(0.0)])
    (found,) = judge_of(failing, told=told).judge([interval(0.0)])
    assert found == plain
    assert [(key, str(error)) for key, error in told] == [
        ("cal/a", "model kinds.onnx: its answer is no probability, it needs a softmax at its end")
    ]


def test_an_alarm_tells_the_kind_and_keeps_its_schema() -> None:
    schema = json.loads((Path(monitor.alarm.__file__).parent / "alarm.schema.json").read_text(encoding="utf-8"))
    (judgement,) = judge_of(classifier()).judge([interval(0.0)])
    (event,) = AlarmBook().update(judgement)
    told = json.loads(json.dumps(event.to_json()))
    jsonschema.Draft202012Validator(schema).validate(told)
    assert told["judgement"]["classification"]["dead"] > 0.9
    told["judgement"]["classification"]["dead"] = 1.5
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(schema).validate(told)


@pytest.mark.parametrize(
    ("classification", "words"),
    [
        ({}, ""),
        ({"good": 0.9, "dead": 0.1}, ""),
        ({"good": 0.3, "hot": 0.3, "dead": 0.4}, ""),
        ({"good": 0.02, "dead": 0.98}, "classifier: dead 98 %"),
        ({"good": 0.001, "hot": 0.999}, "classifier: hot above 99 %"),
    ],
)
def test_a_kind_in_words(classification: dict[str, float], words: str) -> None:
    assert describe_kind(classification, "good") == words


def settings_for(folder: Path) -> Settings:
    return Settings.model_validate({"models": {"directory": str(folder)}, "types": []})


def test_the_model_folder_holds_both_kinds(trained: Trained, tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(trained.content)
    (tmp_path / "b.onnx").write_bytes(content_of())
    catalogue, models = build_catalogue(settings_for(tmp_path), tmp_path, "x.yaml")
    assert [m.card.name for m in models] == [trained.model.card.name]
    assert [c.card.name for c in catalogue["cal/a"].classifiers] == ["kinds"]
    assert catalogue["trk/a"].classifiers == ()
    assert [m.file for m in load_models(settings_for(tmp_path), tmp_path)] == ["a.onnx"]


def test_two_classifiers_of_one_name_are_refused(tmp_path: Path) -> None:
    for file in ("a.onnx", "b.onnx"):
        (tmp_path / file).write_bytes(content_of())
    with pytest.raises(ModelError, match=r"model b.onnx: carries the name 'kinds' of a.onnx"):
        build_catalogue(settings_for(tmp_path), tmp_path, "x.yaml")
