"""Native messages that say what cannot be."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
from corpus_good import KEY, Case, good_snapshot

from monitor.decode import Envelope, native
from monitor.decode import histogram_pb2 as pb
from monitor.snapshot import Kind


def _insane_native(name: str, *edits: Callable[[Any], None]) -> Callable[[random.Random], Case]:
    def make(rng: random.Random) -> Case:
        message = pb.Histogram()
        message.ParseFromString(native.encode(good_snapshot(rng.choice(list(Kind)))))
        edit = rng.choice(edits)
        edit(message)
        return f"native {name}", Envelope(message.SerializeToString(), KEY)

    return make


def _set(field: str, value: object) -> Callable[[Any], None]:
    *parents, last = field.split(".")

    def edit(message: Any) -> None:
        for parent in parents:
            message = message[int(parent)] if parent.isdigit() else getattr(message, parent)
        setattr(message, last, value)

    return edit


def _fill(value: float) -> Callable[[Any], None]:
    def edit(message: Any) -> None:
        count = len(message.contents.data) // (4 if message.contents.dtype == pb.FLOAT32 else 8)
        message.contents.dtype = pb.FLOAT64
        message.contents.data = np.full(count, value).tobytes()

    return edit


def _signalling(message: Any) -> None:
    message.contents.data = b"\x01\x00\x80\x7f" * (len(message.contents.data) // 4)


def _both_infinities(message: Any) -> None:
    _fill(np.inf)(message)
    message.contents.data = np.float64(-np.inf).tobytes() + message.contents.data[8:]


def _axes(count: int) -> Callable[[Any], None]:
    def edit(message: Any) -> None:
        del message.axes[:]
        for _ in range(count):
            message.axes.add(bins=1, low=0.0, high=1.0)
        message.contents.dtype = pb.FLOAT64
        message.contents.data = bytes(8)

    return edit


def _edges(*edges: float) -> Callable[[Any], None]:
    return lambda message: message.axes[0].edges.extend(edges)


def _labels(*labels: str) -> Callable[[Any], None]:
    return lambda message: message.axes[0].labels.extend(labels)


def _bare_array(message: Any) -> None:
    message.variances.SetInParent()


def _negative_sums(message: Any) -> None:
    for array in (message.variances, message.entries):
        array.dtype = pb.FLOAT64
        array.data = np.full(len(message.contents.data) // 4, -1.0).tobytes()


INSANE_NATIVE = (
    _insane_native("a thousand million bins", _set("axes.0.bins", 10**9), _set("axes.0.bins", 2**32 - 1)),
    _insane_native("contents of 1e300", _fill(1e300), _fill(-1e300), _fill(np.finfo(float).max)),
    _insane_native("contents that are no number", _fill(np.nan), _fill(np.inf), _signalling, _both_infinities),
    _insane_native("negative counts", _fill(-1.0), _negative_sums),
    _insane_native("number of axes", *(_axes(count) for count in (0, 1, 2, 3, 64, 65, 1000))),
    _insane_native("axis without extent", _set("axes.0.high", -2.5), _set("axes.0.low", 2.5), _set("axes.0.low", 9.0)),
    _insane_native("axis without end", _set("axes.0.high", np.inf), _set("axes.0.low", np.nan)),
    _insane_native(
        "axis wider than floats", lambda m: (_set("axes.0.low", -1.7e308)(m), _set("axes.0.high", 1.7e308)(m))
    ),
    _insane_native(
        "axis narrower than floats", lambda m: (_set("axes.0.low", 1e17)(m), _set("axes.0.high", 1e17 + 32)(m))
    ),
    _insane_native(
        "nine million bins", _set("axes.0.bins", 2_000_000), lambda m: [_set("bins", 3000)(a) for a in m.axes]
    ),
    _insane_native("no bins", _set("axes.0.bins", 0)),
    _insane_native("edges", _edges(5, 4, 3, 2, 1, 0, -1), _edges(*[0.0] * 7), _edges(1), _edges(*[np.nan] * 7)),
    _insane_native(
        "edges of infinity", _edges(-np.inf, 1, 2, 3, 4, 5, np.inf), _edges(-1.7e308, 1, 2, 3, 4, 5, 1.7e308)
    ),
    _insane_native(
        "labels", _labels("one"), _labels(*"abcdefg"), _labels(*["\x1b[31m\n"] * 6), _labels(*["x" * 10**5] * 6)
    ),
    _insane_native("path of a megabyte", _set("path", "x" * 10**6), _set("stream", "y" * 10**6)),
    _insane_native(
        "path that commands a terminal", _set("path", "\x1b]0;owned\x07\x1b[2J"), _set("path", "a\nb\r\x00\u202e")
    ),
    _insane_native("title", _set("axes.0.title", "z" * 10**6), _set("axes.0.title", "\x1b[2J\u202e")),
    _insane_native("producer", _set("producer", "z" * 10**6), _set("producer", "\x1b[2J\u202e")),
    _insane_native("no name", _set("path", ""), _set("stream", ""), _set("stream", "a/b")),
    _insane_native("time", *(_set("time_ns", t) for t in (2**63 - 1, -(2**63), -1, 0, 10**19 // 2))),
    _insane_native("run", _set("run", 2**64 - 1), _set("lumisection", 2**32 - 1), _set("sequence", 2**64 - 1)),
    _insane_native("entries in total", *(_set("total_entries", t) for t in (np.nan, np.inf, -np.inf, -1.0, 1e300))),
    _insane_native("kind", *(_set("kind", kind) for kind in (0, 1, 2, 3, 4, 5, -1, 2**31 - 1))),
    _insane_native("dtype", *(_set("contents.dtype", dtype) for dtype in (0, 2, 3, 10, 11, -1, 2**31 - 1))),
    _insane_native(
        "array", _set("contents.data", b""), _set("contents.data", bytes(7)), _set("contents.data", bytes(10**6))
    ),
    _insane_native(
        "array of nothing", _bare_array, lambda m: m.ClearField("contents"), lambda m: m.ClearField("entries")
    ),
)
