"""The ways in which ROOT writes an array into JSON, and the ways in which nobody should."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import pytest

from monitor.decode.rootarrays import numbers
from monitor.errors import Reject

ARRAYS = [
    ([0, 0, 5, 6, 0, 0], [0, 0, 5, 6, 0, 0]),
    ([0.0, 0, 5, 6.5, 0, 0], [0, 0, 5, 6.5, 0, 0]),
    ({"$arr": "Int32", "len": 6}, [0] * 6),
    ({"$arr": "Int32", "len": 6, "p": 2, "v": [5, 6]}, [0, 0, 5, 6, 0, 0]),
    ({"$arr": "Float32", "len": 6, "v": 5.5}, [5.5, 0, 0, 0, 0, 0]),
    ({"$arr": "Float64", "len": 6, "p": 1, "v": 7, "n": 4}, [0, 7, 7, 7, 7, 0]),
    ({"$arr": "Float64", "len": 6, "p": 1, "v": 7, "n": 2, "v1": [1.5], "p2": 5, "v2": 9}, [0, 7, 7, 1.5, 0, 9]),
    ({"$arr": "Int16", "len": 6, "b": base64.b64encode(np.arange(6, dtype="<i2")).decode()}, range(6)),
    ({"$arr": "Int16", "len": 6, "o": 6, "b": base64.b64encode(np.array([3, 4], "<i2")).decode()}, [0, 0, 0, 3, 4, 0]),
    ({"$arr": "Float64", "len": 6, "b": ""}, [0] * 6),
    ([2**53 + 1, -(2**63), 2**63 - 1, 0, 0, 0], [2**53 + 1, -(2**63), 2**63 - 1, 0, 0, 0]),
]


@pytest.mark.parametrize(("node", "expected"), ARRAYS)
def test_arrays_however_written(node: object, expected: Any) -> None:
    assert numbers(node, 6, "x").tolist() == list(expected)


BAD_ARRAYS = [
    (None, "malformed"),
    ("[]", "malformed"),
    ({}, "malformed"),
    ([0] * 5, "wrong_size"),
    ([[0]] * 6, "malformed"),
    (["1"] * 6, "malformed"),
    (["nan"] * 6, "not_finite"),
    (["-Infinity"] * 6, "not_finite"),
    ([None] * 6, "not_finite"),
    ([1e400] * 6, "not_finite"),
    ([10**400] * 6, "not_finite"),
    ({"$arr": "Float16", "len": 6}, "unknown_dtype"),
    ({"$arr": ["Int8"], "len": 6}, "unknown_dtype"),
    ({"$arr": "Int8"}, "malformed"),
    ({"$arr": "Int8", "len": 6.0}, "malformed"),
    ({"$arr": "Int8", "len": True}, "malformed"),
    ({"$arr": "Int8", "len": 10**9}, "wrong_size"),
    ({"$arr": "Int8", "len": 6, "p": 6, "v": 1}, "wrong_size"),
    ({"$arr": "Int8", "len": 6, "p": -1, "v": 1}, "malformed"),
    ({"$arr": "Int8", "len": 6, "p": 10**30, "v": 1}, "wrong_size"),
    ({"$arr": "Int8", "len": 6, "v": 1, "n": 10**9}, "wrong_size"),
    ({"$arr": "Int8", "len": 6, "v": [1, 2], "n": 2}, "malformed"),
    ({"$arr": "Int8", "len": 6, "v": 1, "n": 3, "p1": 2, "v1": 1}, "malformed"),
    ({"$arr": "Int8", "len": 6, "p": 3}, "malformed"),
    ({"$arr": "Int8", "len": 6, "v": None}, "not_finite"),
    ({"$arr": "Int8", "len": 6, "v": {}}, "malformed"),
    ({"$arr": "Int8", "len": 6, "b": "AAA"}, "malformed"),
    ({"$arr": "Int8", "len": 6, "b": "é"}, "malformed"),
    ({"$arr": "Int8", "len": 6, "b": 7}, "malformed"),
    ({"$arr": "Int8", "len": 6, "b": "AAAA", "v": 1}, "malformed"),
    ({"$arr": "Int8", "len": 6, "b": "AAAAAAAAAAAA"}, "wrong_size"),
    ({"$arr": "Int8", "len": 6, "b": "AAAA", "o": 4}, "wrong_size"),
    ({"$arr": "Int32", "len": 6, "b": "AAAA"}, "wrong_size"),
    ({"$arr": "Float32", "len": 6, "b": base64.b64encode(np.full(6, np.nan, "<f4")).decode()}, "not_finite"),
]


@pytest.mark.parametrize(("node", "reason"), BAD_ARRAYS)
def test_arrays_that_are_none(node: object, reason: str) -> None:
    with pytest.raises(Reject) as caught:
        numbers(node, 6, "x")
    assert caught.value.reason == reason
    assert len(caught.value.detail) < 200
