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
from scipy import ndimage

import monitor
from monitor.detect.expectation import DEFAULT_THRESHOLDS
from monitor.errors import HistwatchError
from monitor.infer import Card, Reference
from monitor.infer.card import METADATA_KEY
from monitor.learn.reference import learn_reference
from monitor.snapshot import FloatArray
from monitor.window import Interval

OPSET = 17
BOX = 9
"""Side of the smoothing box of the modes, bins."""


def fit_modes(maps: FloatArray, rate: FloatArray, live: np.ndarray, rank: int) -> tuple[FloatArray, FloatArray]:
    """Return (modes, scale): orthonormal smoothed modes, and the scale that maps are divided by.

    Parameters
    ----------
    maps
        Contents per unit exposure. Shape: (maps, *shape).
    rate
        Their expectation. Shape: `shape`. `live` marks the bins to use.
    rank
        Number of modes.

    Returns
    -------
    Shapes: (rank, bins) and (bins,).
    """
    shape = rate.shape
    magnitude = np.abs(rate.ravel())
    use = live.ravel() & (magnitude > 0)
    scale = np.where(use, np.sqrt(np.where(use, magnitude, 1.0)), 1.0)
    centred = np.where(use, (maps.reshape(len(maps), -1) - rate.ravel()) / scale, 0.0)
    rank = min(rank, len(maps) - 1)
    if rank < 1:
        return np.zeros((1, use.size)), scale
    _, strengths, vectors = np.linalg.svd(centred, full_matrices=False)
    # Maps that do not differ have no modes: their singular vectors are any.
    rank = min(rank, int((strengths > 1e-7 * np.sqrt(magnitude[use].sum())).sum()))
    if rank < 1:
        return np.zeros((1, use.size)), scale
    box = BOX if len(shape) == 1 else (BOX, BOX)
    coverage = ndimage.uniform_filter(use.reshape(shape).astype(np.float64), box, mode="constant")
    # Smooth the relative change, not the contents: those fall off at the edges of what is filled.
    weight = np.where(use, scale / np.where(use, magnitude, 1.0), 0.0)
    smooth = []
    for vector in vectors[:rank]:
        relative = ndimage.uniform_filter((vector * weight).reshape(shape), box, mode="constant")
        relative = relative / np.maximum(coverage, 1e-9)
        smooth.append(np.where(use, relative.ravel() / np.where(weight > 0, weight, 1.0), 0.0))
    modes, _ = np.linalg.qr(np.array(smooth).T)
    modes = modes.T
    # The sign of a singular vector is arbitrary: fix it, so that the same input gives the same file.
    modes *= np.sign(modes[np.arange(len(modes)), np.abs(modes).argmax(axis=1)])[:, None]
    return np.ascontiguousarray(modes), scale


def train(
    intervals: Sequence[Interval],
    *,
    name: str,
    version: str,
    rank: int = 2,
    seed: int | None = None,
) -> tuple[bytes, Card]:
    """Train the autoencoder of one histogram and return the ONNX file and its card.

    The systematic in the card's ``rate``/``systematic`` outputs is that of the reference without modes: what the
    modes explain only makes the detector more careful.

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
    modes, scale = fit_modes(scaled, reference.rate, reference.live, rank)
    card = Card(
        name=name,
        version=version,
        histogram_types=(intervals[0].key,),
        kind=intervals[0].kind.value,
        shape=reference.shape,
        normalisation="exposure",
        coherent=round(reference.coherent, 6),
        dispersion=reference.dispersion,
        counts=reference.counts,
        constant=reference.constant,
        degrees_of_freedom=round(reference.degrees_of_freedom, 3),
        references=reference.references,
        exposure=reference.exposure,
        thresholds=DEFAULT_THRESHOLDS,
        training_runs=tuple(sorted({i.run for i in filled})),
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

    initializers = [
        constant(reference.rate, "rate_of_bins"),
        constant(reference.systematic, "systematic_of_bins"),
        *([] if reference.spread is None else [constant(reference.spread, "spread_of_bins")]),
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
        *([] if reference.spread is None else [helper.make_node("Identity", ["spread_of_bins"], ["spread"])]),
    ]
    graph = helper.make_graph(
        nodes,
        "autoencoder",
        [helper.make_tensor_value_info(card.input, TensorProto.FLOAT, ["maps", *shape])],
        [
            helper.make_tensor_value_info(card.output, TensorProto.FLOAT, ["maps", *shape]),
            helper.make_tensor_value_info("rate", TensorProto.FLOAT, shape),
            helper.make_tensor_value_info("systematic", TensorProto.FLOAT, shape),
            *([] if reference.spread is None else [helper.make_tensor_value_info("spread", TensorProto.FLOAT, shape)]),
        ],
        initializers,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="histwatch")
    model.ir_version = 8
    helper.set_model_props(model, {METADATA_KEY: json.dumps(card.model_dump(mode="json"), sort_keys=True)})
    onnx.checker.check_model(model, full_check=True)
    content: bytes = model.SerializeToString(deterministic=True)
    return content
