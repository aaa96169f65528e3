"""The four ways in which ROOT's TBufferJSON writes an array of numbers.

=============  ================================================================================================
plain          ``[0, 1, 2]``
no zeros       ``{"$arr": "Float64", "len": 9, "p": 3, "v": [1, 2]}``: zero but for ``v`` from position ``p`` on
same values    also ``"n"``, the count of a single ``v``; further stretches are ``p1, v1, n1``, ``p2, v2, n2`` and
               so on; without ``p`` a stretch follows the one before it
base64         ``{"$arr": "Float64", "len": 9, "o": 24, "b": "..."}``: little-endian bytes from byte ``o`` on
=============  ================================================================================================

NaN is written as null, infinity as 2e308, and by other writers as text: all are refused as ``not_finite``.
"""

from __future__ import annotations

import binascii
import math
from array import array
from typing import Any

import numpy as np

from monitor.errors import Reject
from monitor.snapshot import AnyArray

_DTYPES: dict[str, np.dtype[Any]] = {
    "Bool": np.dtype("u1"),
    "Int8": np.dtype("i1"),
    "Uint8": np.dtype("u1"),
    "Int16": np.dtype("<i2"),
    "Uint16": np.dtype("<u2"),
    "Int32": np.dtype("<i4"),
    "Uint32": np.dtype("<u4"),
    "Int64": np.dtype("<i8"),
    "Uint64": np.dtype("<u8"),
    "Float32": np.dtype("<f4"),
    "Float64": np.dtype("<f8"),
}
_NOT_FINITE = frozenset({"nan", "inf", "infinity"})


def is_empty(node: object) -> bool:
    """Tell whether a member is missing, null or an array without elements."""
    return node is None or node == [] or (isinstance(node, dict) and node.get("len") == 0)


def numbers(node: object, size: int, what: str) -> AnyArray:
    """Return an array of `size` numbers: int64 or, when one of them is not an integer, float64.

    Base64 keeps the type it names.

    Raises
    ------
    Reject
        ``malformed``, ``wrong_size``, ``not_finite``, ``unknown_dtype``; the detail starts with `what`.
    """
    if isinstance(node, list):
        if len(node) != size:
            raise Reject("wrong_size", f"{what}: {len(node)} values for {size} bins, flow bins included")
        return _plain(node, what)
    if not isinstance(node, dict) or "$arr" not in node:
        raise Reject("malformed", f"{what} is not an array")
    name = node["$arr"]
    if not isinstance(name, str) or name not in _DTYPES:
        raise Reject("unknown_dtype", f"{what} of type {name!r:.80}")
    if _integer(node.get("len"), what) != size:
        raise Reject("wrong_size", f"{what}: {node['len']} values for {size} bins, flow bins included")
    return _base64(node, _DTYPES[name], size, what) if "b" in node else _stretches(node, size, what)


def number(value: object, what: str) -> float:
    """Return a finite number.

    Raises
    ------
    Reject
        ``malformed`` or ``not_finite``; the detail starts with `what`.
    """
    return float(_scalar(value, what))


def _scalar(value: object, what: str) -> int | float:
    if type(value) is float and math.isfinite(value):
        return value
    checked: int | float = _plain([value], what)[0].item()
    return checked


def _plain(values: list[Any], what: str) -> AnyArray:
    try:
        return np.frombuffer(array("q", values), dtype=np.int64)
    except (TypeError, OverflowError):
        pass  # not all of them small integers
    try:
        result = np.frombuffer(array("d", values), dtype=np.float64)
    except OverflowError as error:
        raise Reject("not_finite", f"{what}: an integer beyond all floats") from error
    except TypeError as error:
        odd = next(value for value in values if not isinstance(value, int | float))
        if odd is None or (isinstance(odd, str) and odd.strip().lower().lstrip("+-") in _NOT_FINITE):
            raise Reject("not_finite", f"{what} holds {odd!r:.80}") from error
        raise Reject("malformed", f"{what} holds a {type(odd).__name__}") from error
    if not np.isfinite(result).all():
        raise Reject("not_finite", f"{what} holds a number beyond all floats")
    return result


def _stretches(node: dict[str, Any], size: int, what: str) -> AnyArray:
    pieces: list[tuple[int, int, AnyArray | int | float]] = []
    floating = False
    at = 0
    used = 2
    suffix = ""
    while "v" + suffix in node:
        start = at
        if "p" + suffix in node:
            start = _integer(node["p" + suffix], what)
            used += 1
        # ROOT writes stretches in order. Held to it, they cost no more than the array is long.
        if start < at:
            raise Reject("malformed", f"{what}: stretch {len(pieces)} begins within the one before it")
        values = node["v" + suffix]
        used += 1
        piece: AnyArray | int | float
        if isinstance(values, list):
            piece = _plain(values, what)
            count = len(values)
            floating |= piece.dtype.kind == "f"
        else:
            piece = _scalar(values, what)
            count = 1
            floating |= isinstance(piece, float)
            if "n" + suffix in node:
                count = _integer(node["n" + suffix], what)
                used += 1
        at = start + count
        if at > size:
            raise Reject("wrong_size", f"{what}: stretch {len(pieces)} ends at {at} of {size}")
        pieces.append((start, at, piece))
        suffix = str(len(pieces))
    if used != len(node):
        raise Reject("malformed", f"{what}: members that belong to no stretch")
    result = np.zeros(size, dtype=np.float64 if floating else np.int64)
    for start, end, piece in pieces:
        result[start:end] = piece
    return result


def _base64(node: dict[str, Any], dtype: np.dtype[Any], size: int, what: str) -> AnyArray:
    offset = _integer(node.get("o", 0), what)
    text = node["b"]
    if not isinstance(text, str) or len(node) != 3 + ("o" in node):
        raise Reject("malformed", f"{what}: base64 with other members")
    try:
        data = binascii.a2b_base64(text, strict_mode=True) if text else b""
    except ValueError as error:
        raise Reject("malformed", f"{what}: {error}") from error
    room = size * dtype.itemsize
    if offset + len(data) > room or len(data) % dtype.itemsize or offset % dtype.itemsize:
        raise Reject("wrong_size", f"{what}: {len(data)} bytes at {offset} for {room} bytes")
    result = np.zeros(size, dtype=dtype)
    result.view(np.uint8)[offset : offset + len(data)] = np.frombuffer(data, dtype=np.uint8)
    if dtype.kind == "f" and not np.isfinite(result).all():
        raise Reject("not_finite", f"{what} holds NaN or infinity")
    return result


def _integer(value: object, what: str) -> int:
    if type(value) is not int or value < 0:
        raise Reject("malformed", f"{what}: {value!r:.80} is not a count")
    return value
