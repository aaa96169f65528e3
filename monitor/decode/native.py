"""The native Protobuf format, see ``histogram.proto`` beside this file."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from google.protobuf.message import DecodeError

from monitor.decode import histogram_pb2 as pb
from monitor.decode.envelope import Envelope
from monitor.decode.validate import MAX_NAME, checked_axis
from monitor.errors import Reject
from monitor.snapshot import AnyArray, Axis, Kind, Snapshot

_DTYPES: dict[int, np.dtype[np.generic]] = {
    pb.FLOAT32: np.dtype("<f4"),
    pb.FLOAT64: np.dtype("<f8"),
    pb.INT8: np.dtype("i1"),
    pb.INT16: np.dtype("<i2"),
    pb.INT32: np.dtype("<i4"),
    pb.INT64: np.dtype("<i8"),
    pb.UINT8: np.dtype("u1"),
    pb.UINT16: np.dtype("<u2"),
    pb.UINT32: np.dtype("<u4"),
    pb.UINT64: np.dtype("<u8"),
}
_WIRE_DTYPES = {dtype: number for number, dtype in _DTYPES.items()}
_KINDS: dict[int, Kind] = {
    pb.TH1: Kind.TH1,
    pb.TH2: Kind.TH2,
    pb.TPROFILE: Kind.TPROFILE,
    pb.TPROFILE2D: Kind.TPROFILE2D,
}
_WIRE_KINDS = {kind: number for number, kind in _KINDS.items()}

_LONG = 1024 * 1024
"""Messages beyond this many bytes are looked over before they are parsed."""
_MAX_FIELDS = 64
_MAX_PADDING = 8 * 1024 * 1024
_ARRAY_FIELDS = frozenset(
    {pb.Histogram.CONTENTS_FIELD_NUMBER, pb.Histogram.VARIANCES_FIELD_NUMBER, pb.Histogram.ENTRIES_FIELD_NUMBER}
)


class NativeFormat:
    """`Format` of the Protobuf message ``histwatch.v1.Histogram``."""

    name = "native"
    content_type = "application/x-histwatch+protobuf"

    def sniff(self, value: bytes) -> bool:
        """Field 1 (``stream``) opens every message that says where it comes from, and field 2 (``path``) follows.

        The tag of field 1 is also a newline, but the tag of field 2 (0x12) is a byte that no text holds.
        """
        if len(value) < 4 or value[0] != 0x0A:
            return False
        if value[1] < 0x80:
            after = 2 + value[1]
        elif value[2] < 0x80:
            after = 3 + (value[1] & 0x7F) + (value[2] << 7)
        else:
            return False
        return value[after : after + 1] == b"\x12"

    def decode(self, envelope: Envelope) -> Snapshot:
        """Decode one message; the arrays of the snapshot are read-only views on its bytes.

        Raises
        ------
        Reject
            ``truncated`` (not Protobuf, or cut), ``unknown_kind``, ``unknown_dtype``, ``wrong_size``, ``bad_axis``,
            ``too_large``.
        """
        if len(envelope.value) > _LONG:
            _refuse_padding(envelope.value)
        message = pb.Histogram()
        try:
            message.ParseFromString(envelope.value)
        except DecodeError as error:
            raise Reject("truncated", str(error)) from error
        kind = _KINDS.get(message.kind)
        if kind is None:
            raise Reject("unknown_kind", f"kind {message.kind}")
        if len(message.axes) != kind.dimension:
            raise Reject("bad_axis", f"{len(message.axes)} axes for a {kind.value}")
        axes = tuple(
            checked_axis(a.bins, a.low, a.high, np.array(a.edges) if a.edges else None, tuple(a.labels), a.title)
            if a.edges or a.labels
            else _regular_axis(a.bins, a.low, a.high, a.title[:MAX_NAME])
            for a in message.axes
        )
        shape = tuple(axis.bins for axis in axes)
        return Snapshot(
            stream=message.stream,
            path=message.path,
            run=message.run,
            lumisection=message.lumisection,
            time_ns=message.time_ns,
            kind=kind,
            axes=axes,
            contents=_view(message.contents, shape, "contents"),
            variances=_view(message.variances, shape, "variances") if message.HasField("variances") else None,
            entries=_view(message.entries, shape, "entries") if message.HasField("entries") else None,
            total_entries=message.total_entries,
            cumulative=message.cumulative,
            producer=message.producer,
            sequence=message.sequence,
        )


def _refuse_padding(value: bytes) -> None:
    """Refuse a long message whose length is not that of its arrays.

    The parser spends up to 40 bytes of memory on a byte of empty axes or labels, so 64 MB of them would take
    gigabytes before anything could be refused.
    """
    at = fields = padding = 0
    while at < len(value):
        tag, start = _varint(value, at)
        wire_type = tag & 7
        if wire_type == 2:
            length, start = _varint(value, start)
            end = start + length
        elif wire_type == 0:
            end = _varint(value, start)[1]
        elif wire_type in (1, 5):
            end = start + (8 if wire_type == 1 else 4)
        else:
            raise Reject("truncated", f"wire type {wire_type}")
        fields += 1
        if tag >> 3 not in _ARRAY_FIELDS:
            padding += end - at
        if fields > _MAX_FIELDS or padding > _MAX_PADDING:
            raise Reject("too_large", f"{fields} fields and {padding} bytes besides the arrays")
        at = end


def _varint(value: bytes, at: int) -> tuple[int, int]:
    number = 0
    for shift, byte in enumerate(value[at : at + 10]):
        number |= (byte & 0x7F) << (7 * shift)
        if byte < 0x80:
            return number, at + shift + 1
    raise Reject("truncated", "a number without an end")


@lru_cache(maxsize=1024)
def _regular_axis(bins: int, low: float, high: float, title: str) -> Axis:
    # Shared between snapshots, so that comparing two of them is an identity test.
    return checked_axis(bins, low, high, None, (), title)


def _view(array: pb.Array, shape: tuple[int, ...], what: str) -> AnyArray:
    dtype = _DTYPES.get(array.dtype)
    if dtype is None:
        raise Reject("unknown_dtype", f"{what} of dtype {array.dtype}")
    data = array.data
    bins = 1
    for n in shape:
        bins *= n
    if len(data) != bins * dtype.itemsize:
        raise Reject("wrong_size", f"{what} of {len(data)} bytes for {bins} bins of {dtype.itemsize} bytes")
    return np.frombuffer(data, dtype=dtype).reshape(shape)


def encode(snapshot: Snapshot) -> bytes:
    """Return the message of a snapshot. Same snapshot, same bytes."""
    message = pb.Histogram(
        stream=snapshot.stream,
        path=snapshot.path,
        run=snapshot.run,
        lumisection=snapshot.lumisection,
        time_ns=snapshot.time_ns,
        kind=_WIRE_KINDS[snapshot.kind],  # type: ignore[arg-type]
        cumulative=snapshot.cumulative,
        producer=snapshot.producer,
        sequence=snapshot.sequence,
        total_entries=snapshot.total_entries,
        contents=_array(snapshot.contents),
    )
    for axis in snapshot.axes:
        message.axes.add(
            bins=axis.bins,
            low=axis.low,
            high=axis.high,
            edges=() if axis.edges is None else axis.edges.tolist(),
            labels=axis.labels,
            title=axis.title,
        )
    if snapshot.variances is not None:
        message.variances.CopyFrom(_array(snapshot.variances))
    if snapshot.entries is not None:
        message.entries.CopyFrom(_array(snapshot.entries))
    return message.SerializeToString(deterministic=True)


def _array(array: AnyArray) -> pb.Array:
    little = array.dtype.newbyteorder("<") if array.dtype.itemsize > 1 else array.dtype
    number = _WIRE_DTYPES.get(little)
    if number is None:
        raise ValueError(f"no wire dtype for {array.dtype}")
    return pb.Array(dtype=number, data=np.ascontiguousarray(array, dtype=little).tobytes())  # type: ignore[arg-type]
