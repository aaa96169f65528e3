"""The native Protobuf format: what goes in comes out, bit for bit, and is not copied on the way."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from google.protobuf import descriptor_pb2
from hypothesis import given, settings
from snapshot_samples import DTYPES, assert_same, sample, snapshots

from monitor.decode import Envelope, decode, native
from monitor.decode import histogram_pb2 as pb
from monitor.errors import Reject
from monitor.snapshot import Axis, Kind, Snapshot

REPOSITORY = Path(__file__).parents[2]


def decoded(snapshot: Snapshot) -> Snapshot:
    return decode(Envelope(native.encode(snapshot)))


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_kind_and_dtype_comes_back(kind: Kind, dtype: np.dtype[np.generic]) -> None:
    snapshot = sample(kind, dtype)
    assert_same(decoded(snapshot), snapshot)


@settings(max_examples=300, deadline=None)
@given(snapshots())
def test_any_snapshot_comes_back(snapshot: Snapshot) -> None:
    assert_same(decoded(snapshot), snapshot)


@settings(max_examples=50, deadline=None)
@given(snapshots())
def test_same_snapshot_same_bytes(snapshot: Snapshot) -> None:
    once = native.encode(snapshot)
    assert native.encode(snapshot) == once
    assert native.encode(decode(Envelope(once))) == once


def test_big_endian_and_strided_contents_are_written_as_the_wire_wants_them() -> None:
    snapshot = sample()
    strided = np.zeros((8, 6), dtype=">f4")[::2, ::2]
    strided[...] = snapshot.contents
    assert native.encode(replace(snapshot, contents=strided)) == native.encode(snapshot)


def test_arrays_are_read_only_views_on_the_bytes_of_the_message() -> None:
    value = native.encode(sample(Kind.TPROFILE2D))
    snapshot = decode(Envelope(value))
    for array in (snapshot.contents, snapshot.variances, snapshot.entries):
        assert array is not None
        assert not array.flags.owndata
        assert not array.flags.writeable
        assert array.flags.c_contiguous
        base = array
        while isinstance(base, np.ndarray):
            assert base.base is not None
            base = base.base
        assert isinstance(base, bytes)
        assert base in value


def test_regular_axes_are_shared_so_that_comparing_them_is_cheap() -> None:
    one, other = (decoded(sample(Kind.TH1, lumisection=n)) for n in (1, 2))
    assert one.axes[0] is other.axes[0]


def test_endless_titles_are_not_kept() -> None:
    axis = decoded(sample(Kind.TH1, axes=(Axis(4, 0.0, 1.0, title="x" * 100_000),))).axes[0]
    assert len(axis.title) == 1024


def test_labels_need_no_edges() -> None:
    axis = Axis(4, 0.0, 1.0, labels=("a", "b", "c", "d"))
    assert decoded(sample(Kind.TH1, axes=(axis,))).axes[0].labels == axis.labels


@pytest.mark.parametrize("count", [0, 2, 3, 64, 65, 1000])
def test_any_number_of_axes_but_the_right_one_is_refused(count: int) -> None:
    message = pb.Histogram(stream="cal", path="p", kind=pb.TH1)  # type: ignore[arg-type]
    for _ in range(count):
        message.axes.add(bins=1, low=0.0, high=1.0)
    message.contents.dtype = pb.FLOAT64  # type: ignore[assignment]
    message.contents.data = bytes(8)
    with pytest.raises(Reject, match="bad_axis"):
        decode(Envelope(message.SerializeToString()))


@pytest.mark.parametrize(
    ("padding", "reason"),
    [
        (b"\x52\x00", "too_large"),  # axes
        (b"\x0a\x01a", "too_large"),  # stream, again and again
        (b"\xa1\x06" + bytes(8), "too_large"),  # unknown fixed64
        (b"\xa5\x06" + bytes(4), "too_large"),  # unknown fixed32
        (b"\x80", "truncated"),  # a tag without end
        (b"\xa3\x06", "truncated"),  # a group without end
    ],
)
def test_long_messages_of_nothing_are_refused_before_they_are_parsed(padding: bytes, reason: str) -> None:
    with pytest.raises(Reject, match=reason) as caught:
        decode(Envelope(native.encode(sample()) + padding * (2_000_000 // len(padding))))
    assert not isinstance(caught.value.__cause__, Exception), "the parser has seen it"


def test_one_field_of_many_megabytes_is_refused_before_it_is_parsed() -> None:
    message = pb.Histogram(stream="cal", path="p")
    message.axes.add().labels.extend([""] * 5_000_000)
    with pytest.raises(Reject, match="too_large"):
        decode(Envelope(message.SerializeToString()))


def test_a_large_map_is_no_padding() -> None:
    contents = np.ones((1000, 1000), dtype=np.float32)
    snapshot = sample(axes=(Axis(1000, 0.0, 1.0), Axis(1000, 0.0, 1.0)), contents=contents)
    assert_same(decoded(snapshot), snapshot)


def test_what_the_wire_has_no_type_for_is_the_callers_mistake() -> None:
    with pytest.raises(ValueError, match="bool"):
        native.encode(sample(dtype=bool))


def test_generated_code_is_that_of_the_schema(tmp_path: Path) -> None:
    pytest.importorskip("grpc_tools", reason="the schema's compiler is in the [dev] extra")
    out = tmp_path / "descriptor"
    subprocess.run(
        [
            sys.executable,
            "-m",
            "grpc_tools.protoc",
            "-I.",
            f"--descriptor_set_out={out}",
            "monitor/decode/histogram.proto",
        ],
        cwd=REPOSITORY,
        check=True,
    )
    compiled = descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes()).file[0]
    for message in compiled.message_type:
        for field in message.field:
            field.ClearField("json_name")
    generated = descriptor_pb2.FileDescriptorProto.FromString(pb.DESCRIPTOR.serialized_pb)
    assert generated == compiled
