"""ROOT JSON that says what cannot be."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

from corpus_good import KEY, Case, good_snapshot

from monitor.decode import Envelope, rootjson
from monitor.snapshot import Kind

ROOT = {"content-type": b"application/x-root+json"}


def _insane_root(name: str, *edits: Callable[[dict[str, Any]], object]) -> Callable[[random.Random], Case]:
    def make(rng: random.Random) -> Case:
        node = json.loads(rootjson.encode(good_snapshot(rng.choice(list(Kind)))))
        rng.choice(edits)(node)
        return f"root {name}", Envelope(json.dumps(node).encode(), KEY, rng.choice([{}, ROOT]))

    return make


def _member(field: str, value: object) -> Callable[[dict[str, Any]], object]:
    *parents, last = field.split(".")

    def edit(node: dict[str, Any]) -> None:
        for parent in parents:
            node = node[parent]
        node[last] = value

    return edit


def _content(value: object) -> Callable[[dict[str, Any]], object]:
    return lambda node: node["fArray"].__setitem__(len(node["fArray"]) // 2, value)


def _packed(**members: object) -> Callable[[dict[str, Any]], object]:
    def edit(node: dict[str, Any]) -> None:
        node["fArray"] = {"$arr": "Float64", "len": len(node["fArray"])} | members

    return edit


def _zeros(bins: int) -> Callable[[dict[str, Any]], object]:
    def edit(node: dict[str, Any]) -> None:
        two = node["_typename"] in ("TH2F", "TProfile2D")
        cells = (bins + 2) ** (2 if two else 1)
        for axis in ("fXaxis", "fYaxis"):
            node[axis]["fNbins"] = bins
        node["fNcells"] = cells
        for member in ("fArray", "fSumw2", "fBinEntries"):
            if node.get(member):
                node[member] = {"$arr": "Float64", "len": cells}

    return edit


def _raw(name: str, old: bytes, *new: bytes) -> Callable[[random.Random], Case]:
    def make(rng: random.Random) -> Case:
        value = rootjson.encode(good_snapshot(rng.choice(list(Kind))))
        return f"root {name}", Envelope(value.replace(old, rng.choice(new), 1), KEY, rng.choice([{}, ROOT]))

    return make


_ARRAY = b'"fArray":[0.0,'
_ODD_VALUES = (None, "", "nan", "-inf", "7", True, [], [1.0], {}, {"$ref": 1}, 10**18, 10**400, -1, 1e308, float("nan"))
INSANE_ROOT = (
    _insane_root("content", *(_content(value) for value in _ODD_VALUES)),
    _insane_root("array", *(_member("fArray", value) for value in (*_ODD_VALUES, [0.0] * 10**5, ["x" * 10**5] * 9))),
    _insane_root("sums", *(_member("fSumw2", value) for value in (*_ODD_VALUES, [-1.0] * 56, [1.0] * 7))),
    _insane_root("entries", *(_member("fBinEntries", value) for value in (*_ODD_VALUES, [-1.0] * 56, [0.0] * 56))),
    _insane_root("weights", *(_member("fBinSumw2", value) for value in (*_ODD_VALUES, [-1.0] * 56, [0.0] * 56))),
    _insane_root(
        "class", *(_member("_typename", value) for value in (*_ODD_VALUES, "TH3F", "TH2Poly", "TGraph", "TH1"))
    ),
    _insane_root("bins", *(_member("fXaxis.fNbins", value) for value in (*_ODD_VALUES, 0, 1, 10**9, 6.0))),
    _insane_root("many bins in few bytes", _zeros(1100), _zeros(2000)),
    _insane_root("range", *(_member("fXaxis.fXmax", value) for value in (*_ODD_VALUES, -2.5, -9))),
    _insane_root("edges", *(_member("fXaxis.fXbins", value) for value in (*_ODD_VALUES, [3, 2, 1], [0.0] * 7))),
    _insane_root("axis", *(_member("fYaxis", value) for value in _ODD_VALUES)),
    _insane_root(
        "title", *(_member("fXaxis.fTitle", value) for value in (*_ODD_VALUES, "\ud800", "\x1b[2J", "x" * 10**6))
    ),
    _insane_root(
        "labels", *(_member("fXaxis.fLabels", {"arr": value}) for value in (*_ODD_VALUES, [None], [{}], [[]]))
    ),
    _insane_root(
        "label",
        *(
            _member("fXaxis.fLabels", {"arr": [{"fUniqueID": position, "fString": text}]})
            for position, text in ((1, "\ud800"), (0, "a"), (7, "a"), (10**30, "a"), ("1", "a"), (1, None), (1, "\n"))
        ),
    ),
    _insane_root("total", *(_member("fEntries", value) for value in _ODD_VALUES)),
    _insane_root("cells", *(_member("fNcells", value) for value in _ODD_VALUES)),
    _insane_root("buffer", *(_member("fBuffer", value) for value in (*_ODD_VALUES, [3.0, 1.0, 0.5], [-3.0]))),
    _insane_root("error mode", *(_member("fErrorMode", value) for value in (*_ODD_VALUES, 0, 1, 2, 3, 4))),
    _insane_root(
        "type of a packed array", *(_packed(**{"$arr": value}) for value in (*_ODD_VALUES, "Float16", "Int8"))
    ),
    _insane_root("length of a packed array", *(_packed(len=value) for value in (*_ODD_VALUES, 10**9, 0))),
    _insane_root(
        "packed array",
        _packed(p=10**9, v=1.0),
        _packed(p=-1, v=1.0),
        _packed(p=1, v=[1.0] * 10**4),
        _packed(v=1.0, n=10**9),
        _packed(v=1.0, n=-1),
        _packed(v=[], n=3),
        _packed(v="nan"),
        _packed(v=1.0, p1=0, v1=2.0),
        _packed(v=1.0, v2=1.0),
        _packed(w=1.0),
        _packed(**{f"{c}{i or ''}": 0 for i in range(1000) for c in "pv"}),
    ),
    _insane_root(
        "base64", *(_packed(b=text) for text in ("", "A", "AAA=", "AAAA", "\ud800", "é", "A" * 10**5, None, 7, "=" * 9))
    ),
    _insane_root(
        "base64 of NaN", _packed(b="AAAAAAAA+H8="), _packed(b="AAAAAAAA8H8=", o=8), _packed(b="AAAAAAAA8D8=", o=3)
    ),
    _insane_root("base64 that begins nowhere", *(_packed(b="AAAAAAAA8D8=", o=value) for value in _ODD_VALUES)),
    _raw(
        "bare words", _ARRAY, *(b'"fArray":[' + word + b"," for word in (b"NaN", b"nan", b"-nan", b"inf", b"-Infinity"))
    ),
    _raw(
        "numbers without end",
        _ARRAY,
        *(b'"fArray":[' + word + b"," for word in (b"1" * 10**5, b"1e309", b"-1e999999999")),
    ),
    _raw("numbers of many digits", _ARRAY, b'"fArray":[0.' + b"1" * 10**5 + b",", b'"fArray":[' + b"9" * 4000 + b","),
    _raw("depth", _ARRAY, *(b'"a":' + opening * 50_000 + b',"fArray":[0.0,' for opening in (b"[", b'{"a":', b"[[],"))),
    _raw("depth in a string", _ARRAY, b'"a":"' + b"[" * 50_000 + b'","fArray":[0.0,'),
    _raw("many small objects", _ARRAY, b'"a":[' + b"{}," * 66_000 + b"{}]," + _ARRAY),
    _raw("a member named twice", b'"fEntries"', b'"fNcells":1,"fEntries"', b'"fArray":[],"fEntries"'),
    _raw("bytes that are no text", b'"fTitle":"', b'"fTitle":"\xff', b'"fTitle":"\xed\xa0\x80', b'"fTitle":"\x00'),
    _raw("an opening of white space", b"{", b"\n{", b"\n\n\n  \t{", b"\xef\xbb\xbf{", b" " * 10_000 + b"{", b"\x0b{"),
)
