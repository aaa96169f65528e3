"""What an ONNX file must not hold: data elsewhere, operators of others."""

from __future__ import annotations

from collections.abc import Iterator

from google.protobuf.message import DecodeError

from monitor.infer import onnx_subset_pb2 as onnx

ALLOWED_DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml", "com.microsoft"})
"""Operator sets that ship with ONNX Runtime itself."""


def objection(content: bytes) -> str | None:
    """Return why a file is not accepted, or None. Reads the file's structure and runs nothing."""
    model = onnx.Model()
    try:
        model.ParseFromString(content)
    except DecodeError:
        return "not an ONNX file"
    if not model.HasField("graph"):
        return "not an ONNX file: no graph"
    for tensor in _tensors(model):
        if tensor.data_location == 1 or tensor.external_data:
            return f"tensor '{tensor.name}' keeps its data in an external file; save the model as one file"
    for node in _nodes(model):
        if node.domain not in ALLOWED_DOMAINS and not any(f.domain == node.domain for f in model.functions):
            return f"custom operator '{node.domain}.{node.op_type}'; use standard ONNX operators"
    return None


def _graphs(model: onnx.Model) -> Iterator[onnx.Graph]:
    waiting = [model.graph]
    while waiting:
        graph = waiting.pop()
        yield graph
        waiting += _subgraphs(graph.node)
    for function in model.functions:
        waiting = _subgraphs(function.node)
        while waiting:
            graph = waiting.pop()
            yield graph
            waiting += _subgraphs(graph.node)


def _subgraphs(nodes: object) -> list[onnx.Graph]:
    found: list[onnx.Graph] = []
    for node in nodes:  # type: ignore[attr-defined]
        for attribute in node.attribute:
            if attribute.HasField("g"):
                found.append(attribute.g)
            found.extend(attribute.graphs)
    return found


def _nodes(model: onnx.Model) -> Iterator[onnx.Node]:
    for graph in _graphs(model):
        yield from graph.node
    for function in model.functions:
        yield from function.node


def _tensors(model: onnx.Model) -> Iterator[onnx.Tensor]:
    for graph in _graphs(model):
        yield from graph.initializer
        for sparse in graph.sparse_initializer:
            yield sparse.values
            yield sparse.indices
    for node in _nodes(model):
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            for sparse in [attribute.sparse_tensor, *attribute.sparse_tensors]:
                yield sparse.values
                yield sparse.indices
