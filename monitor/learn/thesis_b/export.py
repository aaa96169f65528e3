"""A trained coordinate autoencoder as an ONNX model of the monitor's contract (`monitor.infer.card`).

The graph takes whole maps. The coordinates of the bins are constants in it: the first layer's product with them is
taken once and broadcast over the maps, the occupancy's own column is added. Of the last layer only the neuron of the
occupancy is kept: the reconstructed coordinates are nobody's expectation.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

import monitor
from monitor.errors import HistwatchError
from monitor.infer import Card
from monitor.infer.card import METADATA_KEY
from monitor.learn.autoencoder import OPSET
from monitor.learn.thesis_b.coordinate import CoordinateAutoencoder, coordinates
from monitor.snapshot import AnyArray


def card_of(model: CoordinateAutoencoder, *, name: str, version: str) -> Card:
    """Return the card of a trained model."""
    return Card.model_validate(
        {
            "name": name,
            "version": version,
            "histogram_types": (model.histogram_type,),
            "kind": model.kind,
            "shape": model.shape,
            "normalisation": model.recipe.normalisation,
            "references": model.references,
            "training_runs": model.training_runs,
            "seed": model.seed,
            "software": f"histwatch {monitor.__version__}",
        }
    )


def to_onnx(model: CoordinateAutoencoder, card: Card) -> bytes:
    """Return the ONNX file: ``maps`` (n, *shape) float32 to ``expected`` of that shape, in the card's normalisation.

    The same model and card give the same bytes.

    Raises
    ------
    HistwatchError
        If the `onnx` package is missing.
    """
    try:
        import onnx
        from onnx import TensorProto, helper, numpy_helper
    except ImportError as error:
        raise HistwatchError("writing models needs the onnx package: pip install 'histwatch[train]'") from error
    shape = list(model.shape)
    bins = int(np.prod(shape))
    initializers = []

    def constant(values: AnyArray, name: str) -> str:
        initializers.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    (first, first_bias), *rest = model.layers
    axes = len(shape)
    nodes = [
        helper.make_node("Reshape", [card.input, constant(np.array([-1, bins, 1], dtype=np.int64), "points")], ["x"]),
        helper.make_node("MatMul", ["x", constant(first[axes:], "occupancy_kernel")], ["own"]),
        helper.make_node(
            "MatMul",
            [constant(coordinates(model.shape, model.recipe.span), "coordinates"), constant(first[:axes], "kernel_0")],
            ["place"],
        ),
        helper.make_node("Add", ["place", constant(first_bias, "bias_0")], ["here"]),
        helper.make_node("Add", ["own", "here"], ["y_0"]),
    ]
    for n, (kernel, bias) in enumerate(rest, start=1):
        if n == len(rest):
            kernel, bias = kernel[:, -1:], bias[-1:]
        nodes += [
            helper.make_node("LeakyRelu", [f"y_{n - 1}"], [f"a_{n}"], alpha=model.recipe.slope),
            helper.make_node("MatMul", [f"a_{n}", constant(kernel, f"kernel_{n}")], [f"m_{n}"]),
            helper.make_node("Add", [f"m_{n}", constant(bias, f"bias_{n}")], [f"y_{n}"]),
        ]
    shaped = constant(np.array([-1, *shape], dtype=np.int64), "shaped")
    nodes.append(helper.make_node("Reshape", [f"y_{len(rest)}", shaped], [card.output]))
    graph = helper.make_graph(
        nodes,
        "coordinate_autoencoder",
        [helper.make_tensor_value_info(card.input, TensorProto.FLOAT, ["maps", *shape])],
        [helper.make_tensor_value_info(card.output, TensorProto.FLOAT, ["maps", *shape])],
        initializers,
    )
    exported = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="histwatch")
    exported.ir_version = 8
    helper.set_model_props(exported, {METADATA_KEY: json.dumps(card.model_dump(mode="json"), sort_keys=True)})
    onnx.checker.check_model(exported, full_check=True)
    content: bytes = exported.SerializeToString(deterministic=True)
    return content


def save(model: CoordinateAutoencoder, path: Path, *, name: str, version: str) -> Card:
    """Write the model to a file, whole or not at all, and return its card.

    Raises
    ------
    HistwatchError
        If the file cannot be written or the `onnx` package is missing.
    """
    card = card_of(model, name=name, version=version)
    content = to_onnx(model, card)
    part = path.with_name(f".{path.name}.part")
    try:
        try:
            part.write_bytes(content)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise HistwatchError(f"{path}: cannot be written, {error.strerror}") from error
    return card
