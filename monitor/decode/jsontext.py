"""JSON from a stranger: strict, and bounded in size, depth and cost before it is parsed."""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

from monitor.errors import Reject

MAX_JSON_BYTES = 16 * 1024 * 1024
"""Longer texts are refused unread: parsed, JSON takes up to 25 times its size."""
MAX_DEPTH = 64
MAX_CONTAINERS = 65_536
"""Most objects and arrays in one text. A label is one."""

_BOM = b"\xef\xbb\xbf"
# Strings are matched to be stepped over. Possessive, so that a hostile text costs no backtracking.
_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[\[{]|[\]}]', re.DOTALL)
_NOT_FINITE = re.compile(r"[+-]?(?:nan|inf)", re.IGNORECASE)


def parse_object(value: bytes) -> dict[str, Any]:
    """Return the JSON object in UTF-8 bytes.

    Raises
    ------
    Reject
        ``oversized``, ``too_deep``, ``malformed`` (not UTF-8, not JSON, not an object, a member named twice, an
        integer of thousands of digits), ``not_finite`` (NaN or infinity written as a bare word).
    """
    if len(value) > MAX_JSON_BYTES:
        raise Reject("oversized", f"{len(value)} bytes of JSON, at most {MAX_JSON_BYTES}")
    if value.count(b"{") + value.count(b"[") > MAX_DEPTH:
        _refuse_depth(value)
    try:
        text = value.removeprefix(_BOM).decode()
    except UnicodeDecodeError as error:
        raise Reject("malformed", f"not UTF-8 at byte {error.start}") from error
    try:
        parsed = json.loads(text, object_pairs_hook=_object, parse_constant=_constant)
    except json.JSONDecodeError as error:
        # Older versions of ROOT print C's nan and inf as they are.
        if _NOT_FINITE.match(text, error.pos):
            _constant(text[error.pos : error.pos + 4])
        raise Reject("malformed", str(error)) from error
    except ValueError as error:
        raise Reject("malformed", str(error)) from error
    if not isinstance(parsed, dict):
        raise Reject("malformed", "JSON, but not an object")
    return parsed


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise Reject("malformed", "an object names a member twice")
    return members


def _constant(word: str) -> NoReturn:
    raise Reject("not_finite", f"a bare {word!r}")


def _refuse_depth(value: bytes) -> None:
    depth = containers = 0
    for match in _TOKEN.finditer(value):
        token = match.group()
        if token in b"[{":
            depth += 1
            containers += 1
            if depth > MAX_DEPTH or containers > MAX_CONTAINERS:
                raise Reject("too_deep", f"{containers} objects and arrays in {depth} levels, at most {MAX_DEPTH}")
        elif token in b"]}":
            depth -= 1
