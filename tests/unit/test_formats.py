"""The contract that every wire format keeps. A new one in `FORMATS` is judged here without a line added.

Beside its class, a format's module has ``encode(snapshot) -> bytes``, so that there is something to judge it by.
"""

from __future__ import annotations

import ast
import importlib
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from snapshot_samples import assert_same_identity, sample, snapshots

import monitor.decode
from monitor.decode import FORMATS, MAX_MESSAGE_BYTES, REASONS, Envelope, Format, decode
from monitor.decode.validate import check
from monitor.errors import Reject
from monitor.snapshot import Kind, Snapshot

every_format = pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
FIELDS = ("stream", "path", "run", "lumisection", "time_ns", "cumulative", "producer", "sequence")


def encode(form: Format, snapshot: Snapshot) -> bytes:
    value = importlib.import_module(type(form).__module__).encode(snapshot)
    assert isinstance(value, bytes)
    return value


def envelope(value: bytes, snapshot: Snapshot, **headers: bytes) -> Envelope:
    """A record whose headers say all that a payload may leave out."""
    said = {field: str(getattr(snapshot, field)).encode() for field in FIELDS}
    return Envelope(value, snapshot.key, said | headers, snapshot.time_ns)


def recognised_by(value: bytes) -> list[str]:
    return [form.name for form in FORMATS if form.sniff(value)]


def test_names_and_content_types_tell_formats_apart() -> None:
    assert len({form.name for form in FORMATS}) == len(FORMATS)
    types = [form.content_type for form in FORMATS]
    assert len(set(types)) == len(types)
    for content_type in types:
        assert content_type == content_type.lower().strip()
        assert ";" not in content_type
        assert content_type.isascii()


@every_format
@settings(max_examples=100, deadline=None)
@given(snapshot=snapshots())
def test_what_it_encodes_it_decodes(form: Format, snapshot: Snapshot) -> None:
    value = encode(form, snapshot)
    for headers in ({}, {"content-type": form.content_type.upper().encode() + b" ; version=1"}):
        back = decode(envelope(value, snapshot, **headers))
        assert_same_identity(back, snapshot)
        assert check(back) is back
        if not snapshot.kind.is_profile:
            np.testing.assert_array_equal(back.contents, snapshot.contents)


@every_format
@settings(max_examples=100, deadline=None)
@given(snapshot=snapshots())
def test_nothing_else_takes_its_messages_for_its_own(form: Format, snapshot: Snapshot) -> None:
    assert recognised_by(encode(form, snapshot)) == [form.name]


@settings(max_examples=500, deadline=None)
@given(
    st.sampled_from([b"", b"\n", b"\n{", b"\n\x80", b"{", b'{"_typename"', b"\xef\xbb\xbf{"]), st.binary(max_size=300)
)
@example(b'\n{"_typename"' + b"a" * 111, b"\x12")
@example(b"\n\n{", b'"_typename":\x12')
def test_sniffing_never_raises_and_never_finds_two(opening: bytes, rest: bytes) -> None:
    assert len(recognised_by(opening + rest)) <= 1


@pytest.mark.parametrize("length", [9, 10, 13, 32, 123, 127, 128, 300, 1024])
@every_format
def test_names_of_awkward_lengths_are_told_apart(form: Format, length: int) -> None:
    """The length of a native message's stream may be a blank, a newline or a brace, and so may its letters."""
    for opening in ('{"_typename":', '\t {"_typename"', ""):
        snapshot = sample(stream=(opening + "x" * length)[:length])
        assert recognised_by(encode(form, snapshot)) == [form.name]


@every_format
@pytest.mark.parametrize("kind", Kind)
def test_text_may_open_with_white_space(form: Format, kind: Kind) -> None:
    value = encode(form, sample(kind))
    if value[:1] == b"{":
        for opening in (b"\n", b"\r\n", b" \t\n", b"\n" * 100, b"\xef\xbb\xbf", b"\xef\xbb\xbf\n"):
            assert recognised_by(opening + value) == [form.name]


def _outcome(record: Envelope) -> str:
    """``good``, or the reason; any other exception is the failure."""
    try:
        snapshot = decode(record)
    except Reject as caught:
        reject = caught
    else:
        assert check(snapshot) is snapshot
        assert snapshot.stream
        assert snapshot.shape == tuple(axis.bins for axis in snapshot.axes)
        return "good"
    assert reject.reason in REASONS
    return reject.reason


@every_format
@settings(max_examples=400, deadline=None)
@given(kind=st.sampled_from(Kind), seed=st.integers(0, 2**32), named=st.booleans())
def test_a_mutation_is_good_or_refused(form: Format, kind: Kind, seed: int, named: bool) -> None:
    rng = random.Random(seed)
    snapshot = sample(kind)
    value = bytearray(encode(form, snapshot))
    for _ in range(rng.choice([1, 2, 10])):
        at = rng.randrange(len(value))
        edit = rng.randrange(4)
        if edit == 0:
            value[at] ^= 1 << rng.randrange(8)
        elif edit == 1:
            value[at] = rng.randrange(256)
        elif edit == 2:
            value[at:at] = rng.randbytes(rng.randint(1, 9))
        else:
            del value[at : at + rng.randint(1, 9)]
    headers = {"content-type": form.content_type.encode()} if named else {}
    _outcome(envelope(bytes(value), snapshot, **headers))


@every_format
@pytest.mark.parametrize("kind", Kind)
def test_a_message_cut_anywhere_is_good_or_refused(form: Format, kind: Kind) -> None:
    snapshot = sample(kind)
    value = encode(form, snapshot)
    outcomes = {_outcome(envelope(value[:cut], snapshot)) for cut in range(len(value))}
    assert outcomes & {"truncated", "malformed"}


@every_format
@pytest.mark.parametrize("value", [b"\x00" * 100, b"\xff" * 100, b"{" * 100, b"\n" * 100, b"text", bytes(range(256))])
def test_rubbish_under_its_name_is_refused(form: Format, value: bytes) -> None:
    assert _outcome(envelope(value, sample(), **{"content-type": form.content_type.encode()})) != "good"


def test_what_no_format_is_asked_about() -> None:
    snapshot = sample()
    assert _outcome(envelope(b"", snapshot)) == "empty"
    assert _outcome(envelope(bytes(MAX_MESSAGE_BYTES + 1), snapshot)) == "oversized"
    assert _outcome(envelope(b"\x00", snapshot)) == "unknown_format"
    for header in (b"", b"application/json", b"\xff", b"x" * 100_000):
        assert _outcome(envelope(b"\x00", snapshot, **{"content-type": header})) == "unknown_content_type"


def test_every_reason_in_the_code_is_in_the_documented_set() -> None:
    found: set[Any] = set()
    for path in Path(monitor.decode.__file__).parent.glob("*.py"):
        for call in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "Reject":
                found |= {call.args[0].value} if isinstance(call.args[0], ast.Constant) else set()
    # These come by way of a variable.
    assert found | {"negative_variance", "negative_entries", "out_of_range"} == REASONS
    assert all(
        f"``{reason}``" in (Path(monitor.decode.__file__).parent / "reasons.py").read_text() for reason in REASONS
    )
