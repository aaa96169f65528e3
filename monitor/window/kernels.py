"""Differences of histograms in one pass."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from monitor.kernel import REORDERED, kernel
from monitor.snapshot import AnyArray, FloatArray

_DTYPES = (np.float32, np.float64, np.int32, np.int64, np.uint32, np.uint64)
_NATIVE = frozenset(np.dtype(d) for d in _DTYPES)
_TYPES = (types.float32, types.float64, types.int32, types.int64, types.uint32, types.uint64)


def _signature(kind: Any) -> Any:
    # Contents are read-only views of the messages they came in.
    given = types.Array(kind, 1, "C", readonly=True)
    pair: Any = types.Tuple((types.float64, types.float64))  # type: ignore[no-untyped-call]
    return pair(given, given, types.Array(types.float64, 1, "C"))


@kernel(
    [_signature(kind) for kind in _TYPES],
    fastmath=REORDERED | {"nnan"},
)
def _subtract(current, base, out):  # type: ignore[no-untyped-def]
    total = 0.0
    least = 0.0
    for i in range(current.size):
        d = np.float64(current[i]) - np.float64(base[i])
        out[i] = d
        total += d
        least = min(least, d)
    return total, least


def subtract(current: AnyArray, base: AnyArray) -> tuple[FloatArray, float, float]:
    """Return (difference, its sum, its least value or 0 if that is positive).

    Shapes: all alike, any. Integers are subtracted in float64, exact below 2^53.
    """
    if current.dtype != base.dtype or current.dtype not in _NATIVE:
        current, base = current.astype(np.float64), base.astype(np.float64)
    out = np.empty(current.shape)
    total, least = _subtract(np.ascontiguousarray(current).ravel(), np.ascontiguousarray(base).ravel(), out.ravel())
    return out, total, least
