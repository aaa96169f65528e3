"""ONNX models: refused by name and reason when they break the contract, warm when they are loaded."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnxruntime as ort

from monitor.errors import ModelError
from monitor.infer.calibration import Calibration
from monitor.infer.card import METADATA_KEY, Card, parse_card
from monitor.infer.reference import Reference, WindowScatter
from monitor.infer.session import Opened, check_input, open_session
from monitor.infer.windows import windows_of
from monitor.snapshot import AnyArray, FloatArray

MAX_CHUNK = 128
"""Maps a call: larger chunks fall out of the second-level cache."""


class Model:
    """One ONNX Runtime session with its card and the reference it carries.

    Use `load_model`. Not safe for use by several threads at once.
    """

    def __init__(self, file: str, card: Card, session: ort.InferenceSession, reference: Reference) -> None:
        self.file = file
        self.card = card
        self.reference = reference
        self._session = session

    def predict(self, maps: AnyArray) -> AnyArray:
        """Reconstruct maps in the scale of the card's normalisation, float32. Shape: (maps, *shape).

        Raises
        ------
        ModelError
            If the model answers with NaN or infinity.
        """
        single = np.ascontiguousarray(maps, dtype=np.float32)
        parts = [
            self._session.run([self.card.output], {self.card.input: single[start : start + MAX_CHUNK]})[0]
            for start in range(0, max(1, len(single)), MAX_CHUNK)
        ]
        result: AnyArray = np.concatenate(parts) if len(parts) != 1 else parts[0]
        # NaN compares with nothing: every bin would look good.
        if not np.isfinite(result).all():
            raise ModelError(f"model {self.file}: its answer holds values that are not finite")
        return result


def load_model(content: bytes, file: str, threads: int = 1) -> Model:
    """Check an ONNX file against the contract and return it warm.

    Parameters
    ----------
    content
        The whole file.
    file
        Its name, for messages.
    threads
        Threads of the session.

    Raises
    ------
    ModelError
        Naming the file and the reason: not ONNX, no or a wrong card, external data, operators that ONNX Runtime
        does not have, inputs or outputs that differ from the card, values that are not finite.
    """
    return model_of(open_session(content, file, threads))


def model_of(opened: Opened, calibration: Calibration | None = None) -> Model:
    """Check an opened file against the contract and return it warm; raises as `load_model` does.

    Parameters
    ----------
    calibration
        Of the models that it is one of; None: its thresholds promise nothing.
    """
    file, session = opened.file, opened.session
    text = opened.metadata.get(METADATA_KEY)
    if text is None:
        raise ModelError(f"model {file}: no card; store it as JSON under the metadata key '{METADATA_KEY}'")
    try:
        card = parse_card(text)
    except ValueError as error:
        raise ModelError(f"model {file}: bad card, {error}") from error
    check_input(opened, card.input, card.shape)
    _check_outputs(session, card, file)
    reference = _reference(session, card, file)
    # What good maps showed is said in standard deviations from a rate; models in thesis B's scales know none.
    if calibration is not None and card.normalisation == "exposure":
        reference = replace(reference, pool=calibration.pools.get(reference.statistics))
    model = Model(file, card, session, reference)
    _check_run(model, file)
    return model


def _check_outputs(session: ort.InferenceSession, card: Card, file: str) -> None:
    wanted = {card.output} | ({"rate", "systematic"} if card.normalisation == "exposure" else set())
    types = {o.name: o.type for o in session.get_outputs()}
    missing = wanted - set(types)
    if missing:
        raise ModelError(f"model {file}: no output {', '.join(sorted(missing))}")
    for name in sorted(wanted | ({"spread", "occupancy", "window_systematic"} & set(types))):
        if types[name] != "tensor(float)":
            raise ModelError(f"model {file}: output {name} of type {types[name]}, must be float32")


def _run(session: ort.InferenceSession, outputs: list[str], card: Card, file: str, maps: int) -> list[FloatArray]:
    try:
        found: list[FloatArray] = session.run(outputs, {card.input: np.zeros((maps, *card.shape), dtype=np.float32)})
    except Exception as error:  # as above: whatever ONNX Runtime raises here, the file cannot be used
        raise ModelError(f"model {file}: does not run, {' '.join(str(error).split())[:200]}") from error
    return found


def _reference(session: ort.InferenceSession, card: Card, file: str) -> Reference:
    rate, systematic = np.zeros(card.shape), np.zeros(card.shape)
    spread: FloatArray | None = None
    occupancy: FloatArray | None = None
    scatter: WindowScatter | None = None
    profile = card.kind.startswith("TProfile")
    # A shape in thesis B's scales says nothing of rates; bins are compared in that scale only.
    if card.normalisation == "exposure":
        constants = _constants(session, card, file)
        rate, systematic = constants["rate"], constants["systematic"]
        if profile:
            spread, occupancy = constants.get("spread"), constants.get("occupancy")
        if not profile and rate.min() < 0:
            raise ModelError(f"model {file}: output rate holds negative values")
        scatter = _scatter(constants, card, file)
    return Reference(
        name=f"{card.name} {card.version}",
        profile=profile,
        rate=rate,
        systematic=systematic,
        spread=spread,
        occupancy=occupancy,
        live=rate != 0,
        ranges=card.ranges,
        coherent=card.coherent,
        scatter=scatter,
        statistics="profile" if profile else card.statistics,
        dispersion=card.dispersion,
        zeros=card.zeros,
        degrees_of_freedom=card.degrees_of_freedom,
        thresholds=card.thresholds,
        references=card.references,
        exposure=card.exposure,
    )


def _constants(session: ort.InferenceSession, card: Card, file: str) -> dict[str, FloatArray]:
    """Return the constant outputs by name, of the shapes that they must have."""
    shapes = dict.fromkeys(("rate", "systematic", "spread", "occupancy"), card.shape)
    shapes["window_systematic"] = (int(windows_of(card.shape).offsets[-1]),)
    names = [name for name in shapes if any(o.name == name for o in session.get_outputs())]
    constants = [np.asarray(a, dtype=np.float64) for a in _run(session, names, card, file, 1)]
    for name, array in zip(names, constants, strict=True):
        if array.shape != shapes[name]:
            raise ModelError(f"model {file}: output {name} of shape {array.shape}, the card says {shapes[name]}")
        if not np.isfinite(array).all() or (name != "rate" and array.min() < 0):
            raise ModelError(f"model {file}: output {name} holds values that are negative or not finite")
    return dict(zip(names, constants, strict=True))


def _scatter(constants: dict[str, FloatArray], card: Card, file: str) -> WindowScatter | None:
    """Return what the model says of windows, None if nothing."""
    if not card.shared and not card.window_degrees:
        return None
    scales = len(windows_of(card.shape).names)
    if (len(card.shared), len(card.window_degrees)) != (scales, scales):
        raise ModelError(
            f"model {file}: bad card, shared and window_degrees have {len(card.shared)} and "
            f"{len(card.window_degrees)} values; maps of shape {card.shape} are scanned with {scales} scales"
        )
    relative = constants.get("window_systematic", np.zeros(0)).astype(np.float32)
    return WindowScatter(relative, card.shared, card.window_degrees)


def _check_run(model: Model, file: str) -> None:
    """Run two sizes of batch: proves the shape, and warms the session before the first message."""
    for maps in (1, 2):
        (found,) = _run(model._session, [model.card.output], model.card, file, maps)
        if found.shape != (maps, *model.card.shape):
            raise ModelError(
                f"model {file}: {maps} maps in, shape {found.shape} out; the card says (maps, {model.card.shape})"
            )
        if not np.isfinite(found).all():
            raise ModelError(f"model {file}: an empty map gives values that are not finite")
