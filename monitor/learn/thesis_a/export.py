"""A trained classifier as an ONNX file that the monitor serves (`monitor.infer.classifier`).

The graph is written layer by layer from the network's description: standard operators only, the same network and card
give the same bytes, and channels come first, as ONNX Runtime computes them.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from monitor.errors import HistwatchError
from monitor.infer.classifier import CLASSIFIER_KEY, ClassifierCard
from monitor.learn.autoencoder import OPSET
from monitor.learn.thesis_a.networks import Conv, Dense, Dropout, Layer, Pad, Plain, Pool
from monitor.snapshot import AnyArray


def to_onnx(network: Any, card: ClassifierCard) -> bytes:
    """Return the ONNX file of a trained classifier: maps (n, x, y) float32 to probabilities (n, labels).

    Parameters
    ----------
    network
        From `monitor.learn.thesis_a.networks.build`, of classes; its last layer is dense.
    card
        What it says of itself.

    Raises
    ------
    HistwatchError
        If the `onnx` package is missing.
    """
    try:
        import onnx
        from onnx import TensorProto, helper
    except ImportError as error:
        raise HistwatchError("writing models needs the onnx package: pip install 'histwatch[train]'") from error
    writer = _Writer(onnx)
    writer.add("Unsqueeze", [card.input, writer.constant(np.array([1]))])
    parts = iter(network.parts)
    for layer in network.layers:
        writer.layer(layer, parts)
    writer.nodes.append(helper.make_node("Softmax", [writer.last], [card.output], axis=1))
    graph = helper.make_graph(
        writer.nodes,
        card.network or "classifier",
        [helper.make_tensor_value_info(card.input, TensorProto.FLOAT, ["maps", *card.shape])],
        [helper.make_tensor_value_info(card.output, TensorProto.FLOAT, ["maps", len(card.labels)])],
        writer.initializers,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="histwatch")
    model.ir_version = 8
    helper.set_model_props(model, {CLASSIFIER_KEY: json.dumps(card.model_dump(mode="json"), sort_keys=True)})
    onnx.checker.check_model(model, full_check=True)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


class _Writer:
    """A graph that grows at its end."""

    def __init__(self, onnx: Any) -> None:
        self._onnx = onnx
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []
        self.last = ""

    def constant(self, values: AnyArray) -> str:
        name = f"constant_{len(self.initializers)}"
        self.initializers.append(self._onnx.numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def weights(self, variable: Any) -> AnyArray:
        return np.asarray(variable[...], dtype=np.float32)

    def add(self, operator: str, inputs: list[str], **attributes: Any) -> None:
        self.last = f"value_{len(self.nodes)}"
        self.nodes.append(self._onnx.helper.make_node(operator, inputs, [self.last], **attributes))

    def layer(self, layer: Layer, parts: Any) -> None:
        match layer:
            case Conv(_, size, stride, same):
                own = next(parts)
                kernel = self.constant(self.weights(own.kernel).transpose(3, 2, 0, 1))
                self.add(
                    "Conv",
                    [self.last, kernel, self.constant(self.weights(own.bias))],
                    kernel_shape=[size, size],
                    strides=[stride, stride],
                    auto_pad="SAME_UPPER" if same else "VALID",
                )
            case Dense():
                own = next(parts)
                self.add(
                    "Gemm",
                    [self.last, self.constant(self.weights(own.kernel)), self.constant(self.weights(own.bias))],
                )
            case Pool():
                self.add("MaxPool", [self.last], kernel_shape=[2, 2], strides=[2, 2])
            case Pad(width):
                around = self.constant(np.array([0, 0, width, width] * 2))
                self.add("Pad", [self.last, around])
            case Dropout():
                next(parts)
            case Plain("norm"):
                own = next(parts)
                # Scale, shift, mean and variance, in the operator's order.
                numbers = [self.constant(self.weights(v)) for v in (own.scale, own.bias, own.mean, own.var)]
                self.add("BatchNormalization", [self.last, *numbers], epsilon=own.epsilon)
            case Plain("relu"):
                self.add("Relu", [self.last])
            case Plain("flatten"):
                # Keras and Flax keep channels last: the dense layer counts them fastest.
                self.add("Transpose", [self.last], perm=[0, 2, 3, 1])
                self.add("Flatten", [self.last], axis=1)
            case _:
                raise ValueError(f"{layer}: no layer of a classifier")
