"""ONNX models: what keeps the contract is loaded and warm, what breaks it is refused by name and reason."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from helpers import Trained
from onnx import TensorProto, helper, numpy_helper

from monitor.errors import ModelError
from monitor.infer import Card, Model, load_model, parse_card
from monitor.infer.card import METADATA_KEY
from monitor.infer.inspection import objection
from monitor.snapshot import Kind

SHAPE = (4, 3)
FILE = "some model.onnx"
CARD: dict[str, Any] = {
    "name": "test",
    "version": "7",
    "histogram_types": ["cal/*"],
    "kind": "TH2",
    "shape": list(SHAPE),
    "normalisation": "exposure",
}
RATE = np.arange(1.0, 13.0, dtype=np.float32).reshape(SHAPE)


def build(
    card: dict[str, Any] | str | None = None,
    *,
    nodes: list[onnx.NodeProto] | None = None,
    constants: dict[str, np.ndarray] | None = None,
    outputs: dict[str, tuple[int, list[Any]]] | None = None,
    given: tuple[str, int, list[Any]] = ("maps", TensorProto.FLOAT, ["n", *SHAPE]),
    edit: Callable[[onnx.ModelProto], None] = lambda _model: None,
) -> bytes:
    """An ONNX file that keeps the contract and gives back half of what it is shown, with what is changed."""
    constants = {"half": np.array(0.5, dtype=np.float32), "r": RATE, "s": RATE * 0 + 0.01} | (constants or {})
    known = {
        "expected": (TensorProto.FLOAT, ["n", *SHAPE]),
        "rate": (TensorProto.FLOAT, list(SHAPE)),
        "systematic": (TensorProto.FLOAT, list(SHAPE)),
    }
    identity = [helper.make_node("Identity", [a], [b]) for a, b in (("r", "rate"), ("s", "systematic"))]
    graph = helper.make_graph(
        [helper.make_node("Mul", [given[0], "half"], ["expected"]), *identity] if nodes is None else nodes,
        "test",
        [helper.make_tensor_value_info(*given)],
        [helper.make_tensor_value_info(name, *what) for name, what in (outputs or known).items()],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    if card is None:
        card = CARD
    if card:
        helper.set_model_props(model, {METADATA_KEY: card if isinstance(card, str) else json.dumps(card)})
    edit(model)
    return bytes(model.SerializeToString())


def load(content: bytes) -> Model:
    return load_model(content, FILE)


# What keeps the contract


def test_a_model_that_keeps_the_contract_is_loaded() -> None:
    model = load(build())
    assert (model.card.name, model.card.version, model.card.shape) == ("test", "7", SHAPE)
    np.testing.assert_array_equal(model.reference.rate, RATE)
    np.testing.assert_allclose(model.reference.systematic, 0.01)
    assert model.reference.name == "test 7"
    assert model.reference.live.all()
    assert model.reference.rate.dtype == np.float64
    maps = np.random.default_rng(0).random((5, *SHAPE))
    np.testing.assert_allclose(model.predict(maps), maps / 2, rtol=1e-6)
    assert model.predict(maps).dtype == np.float32


def test_bins_of_rate_0_are_not_live() -> None:
    rate = RATE.copy()
    rate[1, 1] = 0.0
    live = load(build(constants={"r": rate})).reference.live
    assert not live[1, 1]
    assert live.sum() == 11


def test_the_cards_numbers_reach_the_reference() -> None:
    numbers = {
        "coherent": 0.02,
        "dispersion": 2.5,
        "statistics": "sums",
        "zeros": 0.125,
        "degrees_of_freedom": 33.0,
        "references": 8,
        "exposure": 7.5,
    }
    reference = load(build(CARD | numbers)).reference
    for name, value in numbers.items():
        assert getattr(reference, name) == value


@pytest.mark.parametrize("scale", ["minmax", "robust", "zscore"])
def test_models_of_the_thesis_need_no_rate(scale: str) -> None:
    model = load(build(CARD | {"normalisation": scale}, outputs={"expected": (TensorProto.FLOAT, ["n", *SHAPE])}))
    assert not model.reference.live.any()


def test_a_profile_may_be_negative_and_have_a_spread() -> None:
    nodes = [
        helper.make_node("Mul", ["maps", "half"], ["expected"]),
        *(helper.make_node("Identity", [a], [b]) for a, b in (("r", "rate"), ("s", "systematic"), ("w", "spread"))),
    ]
    outputs = {
        name: (TensorProto.FLOAT, list(SHAPE) if name != "expected" else ["n", *SHAPE])
        for name in ("expected", "rate", "systematic", "spread")
    }
    card = CARD | {"kind": "TProfile2D"}
    model = load(build(card, nodes=nodes, outputs=outputs, constants={"r": -RATE, "w": RATE * 2}))
    assert model.reference.profile
    np.testing.assert_array_equal(model.reference.rate, -RATE)
    assert model.reference.spread is not None
    np.testing.assert_array_equal(model.reference.spread, RATE * 2)
    assert load(build(card)).reference.spread is None


def test_a_free_shape_in_the_file_is_fixed_by_the_card() -> None:
    free = ("maps", TensorProto.FLOAT, ["n", "x", None])
    assert load(build(given=free)).predict(np.ones((2, *SHAPE))).shape == (2, *SHAPE)


def test_loading_twice_gives_the_same_predictions(trained: Trained) -> None:
    again = load_model(trained.content, "again.onnx")
    maps = np.stack([trained.sample(n).contents for n in range(3)])
    np.testing.assert_array_equal(again.predict(maps), trained.model.predict(maps))


@pytest.mark.parametrize("number", [0, 1, 127, 128, 129, 300])
def test_many_maps_are_predicted_as_one_by_one(number: int, trained: Trained) -> None:
    maps = np.random.default_rng(1).poisson(400.0, (number, *trained.rate.shape)).astype(np.float32)
    together = trained.model.predict(maps)
    assert together.shape == maps.shape
    for one, found in list(zip(maps, together, strict=True))[:: max(1, number // 5)]:
        np.testing.assert_allclose(trained.model.predict(one[None])[0], found, rtol=1e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32])
def test_any_dtype_and_order_of_maps_will_do(dtype: type) -> None:
    maps = np.asfortranarray(np.arange(24).reshape(2, *SHAPE).astype(dtype))
    maps.flags.writeable = False
    np.testing.assert_allclose(load(build()).predict(maps), maps / 2)


# What breaks it


def external(model: onnx.ModelProto) -> None:
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../../etc/passwd")


def external_in_a_branch(model: onnx.ModelProto) -> None:
    """An external tensor in an attribute of a node within the branch of an If."""
    constant = helper.make_node("Constant", [], ["c"], value=numpy_helper.from_array(RATE, "hidden"))
    external_tensor = constant.attribute[0].t
    external_tensor.data_location = TensorProto.EXTERNAL
    external_tensor.external_data.add(key="location", value="elsewhere")
    branch = helper.make_graph([constant], "branch", [], [helper.make_tensor_value_info("c", 1, list(SHAPE))])
    model.graph.node.append(helper.make_node("If", ["flag"], ["unused"], then_branch=branch, else_branch=branch))


def custom(model: onnx.ModelProto) -> None:
    model.graph.node[0].domain = "my.own"


def custom_in_a_function(model: onnx.ModelProto) -> None:
    body = [helper.make_node("Evil", ["x"], ["y"], domain="my.own")]
    function = helper.make_function("local", "F", ["x"], ["y"], body, [helper.make_opsetid("my.own", 1)])
    model.functions.append(function)
    model.graph.node.append(helper.make_node("F", ["maps"], ["unused"], domain="local"))


def sequence_output(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("SequenceConstruct", ["r"], ["rates"]))
    model.graph.output[1].CopyFrom(helper.make_tensor_sequence_value_info("rates", TensorProto.FLOAT, None))
    model.graph.output[1].name = "rates"


def nodes_giving(op: str, *inputs: str) -> list[onnx.NodeProto]:
    return [
        helper.make_node(op, list(inputs), ["expected"]),
        helper.make_node("Identity", ["r"], ["rate"]),
        helper.make_node("Identity", ["s"], ["systematic"]),
    ]


def outputs_with(name: str, what: tuple[int, list[Any]]) -> dict[str, tuple[int, list[Any]]]:
    return {
        "expected": (TensorProto.FLOAT, ["n", *SHAPE]),
        "rate": (TensorProto.FLOAT, list(SHAPE)),
        "systematic": (TensorProto.FLOAT, list(SHAPE)),
    } | {name: what}


def with_(array: np.ndarray, where: tuple[int, int], value: float) -> np.ndarray:
    changed = array.copy()
    changed[where] = value
    return changed


def cast_to(kind: int) -> bytes:
    nodes = nodes_giving("Identity", "half")
    nodes[0] = helper.make_node("Cast", ["maps"], ["expected"], to=kind)
    return build(nodes=nodes, outputs=outputs_with("expected", (kind, ["n", *SHAPE])))


BROKEN: dict[str, tuple[Callable[[], bytes], str]] = {
    "nothing": (lambda: b"", "not an ONNX file"),
    "text": (lambda: b"{}" * 50, "not an ONNX file"),
    "noise": (lambda: bytes(range(256)) * 9, "not an ONNX file"),
    "cut": (lambda: build()[:-20], "not an ONNX file"),
    "no graph": (lambda: onnx.ModelProto(ir_version=8).SerializeToString(), "no graph"),
    "an operator that does not exist": (lambda: build(nodes=nodes_giving("Frobnicate", "maps")), "ONNX Runtime"),
    "no card": (lambda: build(""), "no card; store it as JSON under the metadata key 'histwatch.card'"),
    "card is no JSON": (lambda: build("{'name'"), "bad card, not JSON"),
    "card is deep": (lambda: build("[" * 100_000), "bad card, not JSON"),
    "card is a list": (lambda: build("[]"), "bad card, card: "),
    "card of an unknown field": (lambda: build(CARD | {"nmae": "x"}), "bad card, nmae: "),
    "card without a name": (lambda: build({k: v for k, v in CARD.items() if k != "name"}), "bad card, name: "),
    "card of another contract": (lambda: build(CARD | {"contract": 2}), "bad card, contract: "),
    "card of an unknown scale": (lambda: build(CARD | {"normalisation": "log"}), "bad card, normalisation: "),
    "card of an unknown kind": (lambda: build(CARD | {"kind": "TH3"}), "bad card, kind: "),
    "card of a kind with other axes": (lambda: build(CARD | {"kind": "TH1"}), "bad card, shape: .*2 axes for a TH1"),
    "card of an absurd size": (lambda: build(CARD | {"shape": [100_000, 100_000]}), "bad card, shape: .*at most"),
    "card of no bins": (lambda: build(CARD | {"shape": [0, 3]}), "bad card, shape"),
    "card with NaN": (lambda: build(json.dumps(CARD)[:-1] + ', "coherent": NaN}'), "bad card, coherent: "),
    "card with infinity": (lambda: build(json.dumps(CARD)[:-1] + ', "exposure": 1e999}'), "bad card, exposure: "),
    "card with a negative number": (lambda: build(CARD | {"dispersion": -1.0}), "bad card, dispersion: "),
    "external data": (lambda: build(edit=external), "tensor 'half' keeps its data in an external file"),
    "external data deep down": (lambda: build(edit=external_in_a_branch), "tensor 'hidden' keeps its data in an exte"),
    "custom operator": (lambda: build(edit=custom), "custom operator 'my.own.Mul'"),
    "custom operator in a function": (lambda: build(edit=custom_in_a_function), "custom operator 'my.own.Evil'"),
    "input of another name": (lambda: build(CARD | {"input": "x"}), r"inputs \['maps'\], the card says \['x'\]"),
    "input of another type": (
        lambda: build(
            given=("maps", TensorProto.DOUBLE, ["n", *SHAPE]),
            constants={"half": np.array(0.5)},
            outputs=outputs_with("expected", (TensorProto.DOUBLE, ["n", *SHAPE])),
        ),
        r"input of type tensor\(double\), must be float32",
    ),
    "input of another rank": (lambda: build(given=("maps", TensorProto.FLOAT, ["n", 12])), "input of shape"),
    "input of another shape": (lambda: build(given=("maps", TensorProto.FLOAT, ["n", 3, 4])), "input of shape"),
    "fixed batch": (lambda: build(given=("maps", TensorProto.FLOAT, [1, *SHAPE])), "fixed batch of 1"),
    "output of another name": (lambda: build(CARD | {"output": "y"}), "no output y"),
    "no rate": (lambda: build(outputs={"expected": (TensorProto.FLOAT, ["n", *SHAPE])}), "no output rate, systematic"),
    "double output": (lambda: cast_to(TensorProto.DOUBLE), r"output expected of type tensor\(double\), must be float"),
    "text output": (lambda: cast_to(TensorProto.STRING), r"output expected of type tensor\(string\)"),
    "sequence for a rate": (lambda: build(edit=sequence_output), "no output rate"),
    "output of another rank": (
        lambda: build(nodes=nodes_giving("Flatten", "maps"), outputs=outputs_with("expected", (1, ["n", 12]))),
        r"1 maps in, shape \(1, 12\) out",
    ),
    "output that loses maps": (
        lambda: build(
            nodes=[helper.make_node("ReduceMean", ["maps"], ["expected"], axes=[0]), *nodes_giving("x")[1:]],
            outputs=outputs_with("expected", (1, None)),
        ),
        r"2 maps in, shape \(1, 4, 3\) out",
    ),
    "rate of another shape": (
        lambda: build(constants={"r": RATE.T.copy()}, outputs=outputs_with("rate", (1, [3, 4]))),
        r"output rate of shape \(3, 4\)",
    ),
    "negative rate": (lambda: build(constants={"r": with_(RATE, (1, 1), -1)}), "output rate holds negative values"),
    "NaN rate": (lambda: build(constants={"r": with_(RATE, (1, 1), np.nan)}), "output rate holds values that are neg"),
    "infinite rate": (lambda: build(constants={"r": with_(RATE, (1, 1), np.inf)}), "output rate holds values that are"),
    "negative systematic": (lambda: build(constants={"s": with_(RATE, (0, 0), -1)}), "output systematic holds values"),
    "NaN for an empty map": (
        lambda: build(nodes=nodes_giving("Div", "maps", "maps")),
        "an empty map gives values that",
    ),
    "fails when it runs": (
        lambda: build(
            nodes=[helper.make_node("Reshape", ["maps", "wrong"], ["expected"]), *nodes_giving("x")[1:]],
            constants={"wrong": np.array([7, 5], dtype=np.int64)},
            outputs=outputs_with("expected", (1, None)),
        ),
        "does not run",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_breaks_the_contract_is_refused_by_name_and_reason(case: str) -> None:
    make, reason = BROKEN[case]
    with pytest.raises(ModelError, match=f"^model {FILE}: .*{reason}") as caught:
        load(make())
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


def test_every_cut_of_a_good_file_is_refused_or_good() -> None:
    content = build()
    for size in range(0, len(content), 7):
        with pytest.raises(ModelError, match=FILE):
            load(content[:size])


def test_a_good_file_with_random_bytes_in_it_is_refused_or_good() -> None:
    rng = np.random.default_rng(0)
    content = build()
    refused = 0
    for _ in range(150):
        damaged = bytearray(content)
        for where in rng.integers(0, len(content), 3):
            damaged[where] = rng.integers(0, 256)
        try:
            load(bytes(damaged))
        except ModelError:
            refused += 1
    assert refused > 50


def test_graphs_nested_beyond_measure_are_refused() -> None:
    """By hand, for onnx itself cannot write them: model.graph.node.attribute.g.node..."""
    graph = b""
    for _ in range(5000):
        attribute = field(6, graph)
        graph = field(1, field(5, attribute))
    with pytest.raises(ModelError, match="not an ONNX file"):
        load(field(7, graph))


def field(number: int, value: bytes) -> bytes:
    """A length-delimited field of Protobuf."""
    length, size = b"", len(value)
    while size > 127:
        length += bytes([size & 127 | 128])
        size >>= 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + value


def test_operators_of_onnx_runtime_and_of_the_files_own_functions_are_accepted() -> None:
    def with_function(model: onnx.ModelProto) -> None:
        body = [helper.make_node("Identity", ["x"], ["y"])]
        model.functions.append(helper.make_function("local", "F", ["x"], ["y"], body, [helper.make_opsetid("", 17)]))
        model.opset_import.append(helper.make_opsetid("local", 1))
        model.graph.node[0].CopyFrom(helper.make_node("F", ["maps"], ["expected"], domain="local"))

    assert objection(build(edit=with_function)) is None
    assert load(build(edit=with_function)).predict(np.ones((1, *SHAPE))).sum() == 12


def test_a_model_that_answers_nan_to_data_says_so_instead_of_calling_all_good() -> None:
    nodes = [helper.make_node("Sqrt", ["below"], ["expected"]), *nodes_giving("x")[1:]]
    nodes.insert(0, helper.make_node("Sub", ["ten", "maps"], ["below"]))
    model = load(build(nodes=nodes, constants={"ten": np.array(10.0, dtype=np.float32)}))
    with pytest.raises(ModelError, match="answer holds values that are not finite"):
        model.predict(np.full((2, *SHAPE), 11.0))


def test_a_card_survives_its_journey() -> None:
    card = Card(**CARD | {"thresholds": {"bin": 7.0}, "training_runs": (1, 2), "seed": 5, "software": "x"})
    assert parse_card(card.model_dump_json()) == card


@pytest.mark.parametrize("kind", Kind)
def test_trained_models_of_every_kind_keep_the_contract(kind: Kind, trained_by_kind: dict[Kind, Trained]) -> None:
    card = trained_by_kind[kind].model.card
    assert card.kind == kind.value
    assert len(card.shape) == kind.dimension
    assert card.software.startswith("histwatch ")
    assert card.seed == 0
