"""ROOT JSON: every class, every way of writing an array, the identity from beside it, and no way to break it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from snapshot_samples import DTYPES, assert_same_identity, sample, snapshots

from monitor.decode import Envelope, decode, rootjson
from monitor.errors import Reject
from monitor.snapshot import Kind, Snapshot

KEY = "cal/Ecal/Occupancy"


def headers_of(snapshot: Snapshot) -> dict[str, bytes]:
    fields = ("stream", "path", "run", "lumisection", "time_ns", "cumulative", "producer", "sequence")
    return {field: str(getattr(snapshot, field)).encode() for field in fields}


def decoded(node: dict[str, Any] | bytes, **record: Any) -> Snapshot:
    value = node if isinstance(node, bytes) else json.dumps(node).encode()
    return decode(Envelope(value, **({"key": KEY} | record)))


def node_of(kind: Kind = Kind.TH2, dtype: Any = "<f4", **changes: Any) -> dict[str, Any]:
    node: dict[str, Any] = json.loads(rootjson.encode(sample(kind, dtype)))
    return node | changes


def reason_of(node: dict[str, Any] | bytes, **record: Any) -> str:
    with pytest.raises(Reject) as caught:
        decoded(node, **record)
    return caught.value.reason


@settings(max_examples=200, deadline=None)
@given(snapshots())
def test_any_snapshot_comes_back(snapshot: Snapshot) -> None:
    back = decoded(rootjson.encode(snapshot), headers=headers_of(snapshot), key="")
    assert_same_identity(back, snapshot)
    if not snapshot.kind.is_profile:
        np.testing.assert_array_equal(back.contents, snapshot.contents)
        if snapshot.variances is None or np.array_equal(snapshot.variances, snapshot.contents):
            assert back.variances is None
        else:
            np.testing.assert_array_equal(np.asarray(back.variances), snapshot.variances)
        return
    # Sums keep the variance of the mean no better than they keep the square of the mean.
    assert snapshot.entries is not None
    assert snapshot.variances is not None
    entries = snapshot.entries.astype(np.float64)
    filled = entries > 0
    mean = np.where(filled, snapshot.contents, 0.0).astype(np.float64)
    variance = np.where(filled, snapshot.variances, 0.0).astype(np.float64)
    rounding = 1e-14 * (mean**2 / np.where(filled, entries, 1.0) + variance)
    np.testing.assert_array_equal(np.asarray(back.entries), snapshot.entries)
    np.testing.assert_allclose(back.contents, mean, rtol=1e-14)
    assert (np.abs(back.variances - variance) <= rounding).all()


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_storage_keeps_its_type(dtype: np.dtype[np.generic]) -> None:
    widened = {"u1": "i2", "u2": "i4", "u4": "i8", "u8": "f8"}.get(dtype.str[1:], dtype)
    assert decoded(node_of(Kind.TH1, dtype)).contents.dtype == widened


def test_x_comes_first_and_flow_is_dropped() -> None:
    node = node_of(Kind.TH2, "<i4", fArray=list(range(30)))
    snapshot = decoded(node)
    assert snapshot.contents.tolist() == [[7, 13, 19], [8, 14, 20], [9, 15, 21], [10, 16, 22]]
    assert snapshot.contents.flags.c_contiguous


# Beside the payload.


def test_identity_comes_from_the_headers_then_from_the_key() -> None:
    snapshot = decoded(node_of(), received_ns=5)
    assert (snapshot.stream, snapshot.path) == ("cal", "Ecal/Occupancy")
    assert (snapshot.run, snapshot.lumisection, snapshot.time_ns, snapshot.cumulative) == (0, 0, 5, False)
    headers = {"stream": b"trk", "path": "µ".encode(), "run": b"7", "time_ns": b"9", "cumulative": b"True"}
    snapshot = decoded(node_of(), headers=headers, received_ns=5)
    assert (snapshot.stream, snapshot.path) == ("trk", "µ")
    assert (snapshot.run, snapshot.lumisection, snapshot.time_ns, snapshot.cumulative) == (7, 0, 9, True)
    assert decoded(node_of(), headers={"path": b"other"}).key == "cal/other"


@pytest.mark.parametrize("key", ["", "/", "cal", "cal/", "/path"])
def test_without_a_name_there_is_no_identity(key: str) -> None:
    assert reason_of(node_of(), key=key) == "no_identity"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (name, value)
        for name in ("run", "time_ns", "sequence")
        for value in (b"-1", b" 1", b"1_0", b"\xd9\xa1", b"9" * 21)
    ]
    + [("cumulative", b"yes"), ("path", b"\xff"), ("producer", b"x" * 10_000)],
)
def test_headers_that_are_not_what_they_should_be(name: str, value: bytes) -> None:
    assert reason_of(node_of(), headers={name: value}) == "bad_header"


# What ROOT writes besides.


def test_labels_go_to_the_bin_they_name() -> None:
    node = node_of(Kind.TH1)
    node["fXaxis"]["fLabels"] = {"arr": [{"fUniqueID": 3, "fString": "c"}, {"fUniqueID": 1, "fString": "a"}]}
    assert decoded(node).axes[0].labels == ("a", "", "c", "")


def test_what_a_class_does_not_have_is_not_looked_at() -> None:
    assert (
        decoded(node_of(Kind.TH1, fYaxis=None, fBinEntries="?", fFunctions={"arr": [{"_typename": "TF1"}]})).kind
        == Kind.TH1
    )


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"_typename": "TH3F"}, "unknown_kind"),
        ({"_typename": "TH2Poly"}, "unknown_kind"),
        ({"_typename": ["TH1F"]}, "unknown_kind"),
        ({"fXaxis": None}, "incomplete"),
        ({"fArray": []}, "incomplete"),
        ({"fSumw2": []}, "incomplete"),
        ({"fBinEntries": None}, "incomplete"),
        ({"fNcells": 7}, "wrong_size"),
        ({"fErrorMode": 4}, "malformed"),
        ({"fErrorMode": []}, "malformed"),
        ({"fEntries": "many"}, "malformed"),
        ({"fEntries": None}, "not_finite"),
        ({"fEntries": -1}, "negative_entries"),
        ({"fBuffer": [3.0, 1.0, 0.5]}, "incomplete"),
        ({"fBuffer": {"$arr": "Float64", "len": 9, "v": [3.0, 1.0]}}, "incomplete"),
    ],
)
def test_members_that_cannot_be(changes: dict[str, Any], reason: str) -> None:
    assert reason_of(node_of(Kind.TPROFILE) | changes) == reason


@pytest.mark.parametrize(
    ("dtype", "value", "reason"),
    [
        ("i1", 128, "malformed"),
        ("<i2", -32769, "malformed"),
        ("<f4", 1e300, "not_finite"),
        ("<f8", 1e300, "out_of_range"),
    ],
)
def test_contents_beyond_their_storage(dtype: str, value: float, reason: str) -> None:
    node = node_of(Kind.TH1, dtype)
    node["fArray"][2] = value
    assert reason_of(node) == reason


def test_integers_with_a_decimal_point_are_numbers_still() -> None:
    assert decoded(node_of(Kind.TH1, "<i4", fArray=[0, 1.0, 2.5, 3, 4, 0])).contents.tolist() == [1.0, 2.5, 3.0, 4.0]


# JSON from a stranger.

GOOD = rootjson.encode(sample())


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"[" * 100_000, "too_deep"),
        (b'{"a":' * 100_000, "too_deep"),
        (b'{"a":' + b"[" * 64 + b"]" * 64 + b"}", "too_deep"),
        (b'{"a":[' + b"[]," * 70_000 + b"[]]}", "too_deep"),
        (b'{"a":"' + b"\\" * 100_001, "malformed"),
        (b'{"a":' + b"1" * 5000 + b"}", "malformed"),
        (b'{"a":1,"a":1}', "malformed"),
        (b'{"a":{"b":1,"b":2}}', "malformed"),
        (b"[]", "malformed"),
        (b"null", "malformed"),
        (b'{"a":1}x', "malformed"),
        (b'{"a":"\xff"}', "malformed"),
        (b'{"a":"\n"}', "malformed"),
        ('{"a":1}'.encode("utf-16"), "malformed"),
        (b'{"a":NaN}', "not_finite"),
        (b'{"a":-Infinity}', "not_finite"),
        (b'{"a":[0,nan,1]}', "not_finite"),
        (b'{"a":-inf}', "not_finite"),
        (GOOD.replace(b'"fArray":[0.0', b'"fArray":[1e309'), "not_finite"),
        (GOOD.replace(b'"fTitle":"#eta"', b'"fTitle":"\\ud800"'), "malformed"),
        (b"{" + b" " * (16 * 1024 * 1024), "oversized"),
    ],
    ids=lambda value: None if isinstance(value, str) else repr(value[:20]),
)
def test_json_that_would_hurt(value: bytes, reason: str) -> None:
    assert reason_of(value, headers={"content-type": b"application/x-root+json"}) == reason


def test_brackets_in_strings_are_no_depth() -> None:
    node = node_of(fTitle='[0, 1) \\" {' * 1000, fOption="]" * 1000)
    assert decoded(node).kind == Kind.TH2


def test_white_space_and_a_byte_order_mark_may_come_first() -> None:
    for opening in (b"\n", b"\r\n\t ", b"\xef\xbb\xbf", b"\xef\xbb\xbf\n"):
        assert decoded(opening + GOOD).kind == Kind.TH2
    assert decoded(json.dumps(json.loads(GOOD), indent=2).encode()).kind == Kind.TH2


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["$arr", "len", "p", "v", "n", "b"]), inner)
    ),
    max_leaves=6,
)
_PLACES = [
    *node_of(),
    "fBinEntries",
    "fBinSumw2",
    "fErrorMode",
    *(("fXaxis", member) for member in node_of()["fXaxis"]),
]


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(Kind), st.sampled_from(_PLACES), _JSON)
def test_any_member_may_hold_anything(kind: Kind, place: str | tuple[str, str], value: object) -> None:
    node = node_of(kind)
    if isinstance(place, tuple):
        node[place[0]][place[1]] = value
    else:
        node[place] = value
    try:
        decoded(node)
    except Reject as caught:
        reject = caught
    else:
        return
    assert len(reject.detail) < 400


def test_a_profile_without_errors_cannot_be_written() -> None:
    with pytest.raises(ValueError, match="profile"):
        rootjson.encode(replace(sample(Kind.TPROFILE), variances=None))
