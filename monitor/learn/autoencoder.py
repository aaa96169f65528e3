"""The shipped autoencoder: a linear one of low rank, in closed form, written as ONNX with its card.

Maps per unit exposure, centred on the rate and divided by its square root (so that counts have equal errors), are
projected on the leading singular vectors of the training maps and back. The vectors are smoothed by a 9 x 9 box:
what the detector does as a whole (ageing, luminosity-dependent shape) is smooth, a fault is not, so a fault is
neither learned nor reproduced.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np

import monitor
from monitor.errors import HistwatchError
from monitor.infer import Card, Reference
from monitor.infer.card import METADATA_KEY
from monitor.learn.dataset import rows_digest
from monitor.learn.lowrank import choose_rank, fit_modes, folds_of, held_out
from monitor.learn.reference import learn_reference, rescattered
from monitor.snapshot import AnyArray, FloatArray
from monitor.window import Interval

OPSET = 17


def train(
    intervals: Sequence[Interval],
    *,
    name: str,
    version: str,
    rank: int | None = None,
    seed: int | None = None,
) -> tuple[bytes, Card]:
    """Train the autoencoder of one histogram and return the ONNX file and its card.

    The scatter in its outputs is that of held-out maps about their reconstruction; of profiles, that without modes,
    which is no smaller.

    Parameters
    ----------
    rank
        Number of modes; None: as many as pay on held-out maps, often none.

    Raises
    ------
    HistwatchError
        If the `onnx` package is missing or the intervals cannot be learned from.
    """
    learned = learn_reference(intervals, name)
    reference = learned.reference
    filled = [i for i in intervals if i.total > 0]
    maps = np.stack([_shown(i, reference) for i in filled])[list(learned.used)]
    exposure = learned.exposures[list(learned.used)]
    scaled = maps / exposure.reshape(-1, *([1] * (maps.ndim - 1)))
    folds = folds_of([i.run for i, used in zip(filled, learned.used, strict=True) if used])
    asked = rank
    if rank is None:
        rank = choose_rank(scaled, reference.rate, reference.live, folds)
    modes, scale = fit_modes(scaled, reference.rate, reference.live, rank)
    if rank > 0 and not reference.profile and len(scaled) > 2:
        reference = rescattered(learned, maps, held_out(scaled, reference.rate, reference.live, rank, folds))
    card = Card(
        name=name,
        version=version,
        histogram_types=(intervals[0].key,),
        kind=intervals[0].kind.value,
        shape=reference.shape,
        ranges=learned.reference.ranges,
        normalisation="exposure",
        coherent=round(reference.coherent, 6),
        dispersion=reference.dispersion,
        statistics=reference.statistics,
        zeros=reference.zeros,
        shared=() if reference.scatter is None else tuple(round(s, 6) for s in reference.scatter.shared),
        window_degrees=()
        if reference.scatter is None
        else tuple(round(d, 3) for d in reference.scatter.degrees_of_freedom),
        degrees_of_freedom=round(reference.degrees_of_freedom, 3),
        references=reference.references,
        exposure=reference.exposure,
        training_runs=tuple(sorted({i.run for i in filled})),
        left_out=learned.used.count(False),
        left_out_runs=tuple(sorted({i.run for i, used in zip(filled, learned.used, strict=True) if not used})),
        data=rows_digest(filled),
        # Without any, the graph has one of zeros.
        rank=int(modes.any(axis=1).sum()),
        rank_asked=asked,
        seed=seed,
        software=f"histwatch {monitor.__version__}",
    )
    return write_onnx(reference, modes, scale, card), card


def _shown(interval: Interval, reference: Reference) -> FloatArray:
    """Return what a model is shown of an interval; the detector shows it the same."""
    if interval.variances is None or interval.entries is None:
        return interval.contents
    return reference.trusted(interval.contents, interval.variances, interval.entries)


def write_onnx(reference: Reference, modes: FloatArray, scale: FloatArray, card: Card) -> bytes:
    """Return the ONNX file of a low-rank linear autoencoder.

    Parameters
    ----------
    modes, scale
        Shapes: (rank, bins) and (bins,).
    """
    try:
        import onnx
        from onnx import TensorProto, helper, numpy_helper
    except ImportError as error:
        raise HistwatchError("writing models needs the onnx package: pip install 'histwatch[train]'") from error
    shape = list(reference.shape)
    bins = int(np.prod(shape))

    def constant(values: FloatArray, name: str) -> onnx.TensorProto:
        return numpy_helper.from_array(np.ascontiguousarray(values, dtype=np.float32), name)

    more: dict[str, AnyArray] = {}
    if reference.spread is not None:
        more["spread"] = reference.spread
    if reference.occupancy is not None:
        more["occupancy"] = reference.occupancy
    if reference.scatter is not None and reference.scatter.relative.size:
        more["window_systematic"] = reference.scatter.relative
    halved = {name: a for name, a in more.items() if name == "window_systematic"}
    initializers = [
        constant(reference.rate, "rate_of_bins"),
        constant(reference.systematic, "systematic_of_bins"),
        # Half precision halves the file, and three digits of a scatter are plenty; what is larger than it can hold, of
        # windows where next to nothing is expected, is as good as infinite.
        *(
            numpy_helper.from_array(np.minimum(a, np.finfo(np.float16).max).astype(np.float16), f"{name}_of_it")
            for name, a in halved.items()
        ),
        *(constant(a, f"{name}_of_it") for name, a in more.items() if name not in halved),
        constant(scale, "scale"),
        constant(modes.T, "modes"),
        numpy_helper.from_array(np.array([-1, bins], dtype=np.int64), "flat"),
        numpy_helper.from_array(np.array([-1, *shape], dtype=np.int64), "shaped"),
        numpy_helper.from_array(np.array([bins], dtype=np.int64), "row"),
    ]
    nodes = [
        helper.make_node("Reshape", [card.input, "flat"], ["x"]),
        helper.make_node("Reshape", ["rate_of_bins", "row"], ["r"]),
        helper.make_node("Sub", ["x", "r"], ["centred"]),
        helper.make_node("Div", ["centred", "scale"], ["scaled"]),
        helper.make_node("MatMul", ["scaled", "modes"], ["code"]),
        helper.make_node("Transpose", ["modes"], ["decoder"], perm=[1, 0]),
        helper.make_node("MatMul", ["code", "decoder"], ["decoded"]),
        helper.make_node("Mul", ["decoded", "scale"], ["unscaled"]),
        helper.make_node("Add", ["unscaled", "r"], ["y"]),
        helper.make_node("Reshape", ["y", "shaped"], [card.output]),
        helper.make_node("Identity", ["rate_of_bins"], ["rate"]),
        helper.make_node("Identity", ["systematic_of_bins"], ["systematic"]),
        *(helper.make_node("Cast", [f"{name}_of_it"], [name], to=TensorProto.FLOAT) for name in more),
    ]
    graph = helper.make_graph(
        nodes,
        "autoencoder",
        [helper.make_tensor_value_info(card.input, TensorProto.FLOAT, ["maps", *shape])],
        [
            helper.make_tensor_value_info(card.output, TensorProto.FLOAT, ["maps", *shape]),
            helper.make_tensor_value_info("rate", TensorProto.FLOAT, shape),
            helper.make_tensor_value_info("systematic", TensorProto.FLOAT, shape),
            *(helper.make_tensor_value_info(name, TensorProto.FLOAT, list(a.shape)) for name, a in more.items()),
        ],
        initializers,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="histwatch")
    model.ir_version = 8
    helper.set_model_props(model, {METADATA_KEY: json.dumps(card.model_dump(mode="json"), sort_keys=True)})
    onnx.checker.check_model(model, full_check=True)
    content: bytes = model.SerializeToString(deterministic=True)
    return content
