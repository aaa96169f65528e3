"""ONNX files opened: what every kind of model has in common before its card is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import onnxruntime as ort

from monitor.errors import ModelError
from monitor.infer.inspection import objection

MAX_MODEL_BYTES = 512 * 1024 * 1024
# Log severity 4 is "fatal only": what a user needs to know of a refused model is in the exception.
_LOG_SEVERITY = 4


@dataclass(frozen=True, slots=True, eq=False)
class Opened:
    """A session and what its file says of itself."""

    file: str
    session: ort.InferenceSession
    metadata: Mapping[str, str]


def open_session(content: bytes, file: str, threads: int = 1) -> Opened:
    """Open an ONNX file that may be trusted to run.

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
        Naming the file and the reason: too large, not ONNX, external data, operators that ONNX Runtime does not have,
        metadata or names that are not UTF-8.
    """
    if len(content) > MAX_MODEL_BYTES:
        raise ModelError(f"model {file}: {len(content)} bytes, at most {MAX_MODEL_BYTES}")
    reason = objection(content)
    if reason is not None:
        raise ModelError(f"model {file}: {reason}")
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = _LOG_SEVERITY
    # Without spinning an idle session leaves the core to the consumer.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises a dozen unrelated classes; all mean "this file cannot be used"
        raise ModelError(f"model {file}: ONNX Runtime refuses it, {' '.join(str(error).split())[:200]}") from error
    try:
        metadata = dict(session.get_modelmeta().custom_metadata_map)
        _ = [node.name for node in (*session.get_inputs(), *session.get_outputs())]
    except UnicodeDecodeError as error:
        raise ModelError(f"model {file}: a card or names that are not UTF-8") from error
    return Opened(file, session, metadata)


def check_input(opened: Opened, name: str, shape: tuple[int, ...]) -> None:
    """Check that a model takes maps of a shape, any number at once, as float32 under the name that its card says.

    Raises
    ------
    ModelError
        Naming what differs.
    """
    file, inputs = opened.file, opened.session.get_inputs()
    if [i.name for i in inputs] != [name]:
        raise ModelError(f"model {file}: inputs {[i.name for i in inputs]}, the card says ['{name}']")
    if inputs[0].type != "tensor(float)":
        raise ModelError(f"model {file}: input of type {inputs[0].type}, must be float32")
    if len(inputs[0].shape) != len(shape) + 1 or not all(
        isinstance(a, str) or a is None or a == b for a, b in zip(inputs[0].shape[1:], shape, strict=True)
    ):
        raise ModelError(f"model {file}: input of shape {inputs[0].shape}, the card says (maps, {shape})")
    if isinstance(inputs[0].shape[0], int):
        raise ModelError(f"model {file}: fixed batch of {inputs[0].shape[0]}; export it with a free first dimension")
