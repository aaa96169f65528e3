"""Finding the objects of a ROOT file without its directories.

The directories of a ROOT file are written last, so a file cut in half, or one that was never closed, has lost them,
but not its objects. Each of these lies in a record, and the header of a record says where in the file it lies: that
is how it is recognised. (ROOT follows the chain of records from the start instead, and ends where that is broken.)
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

_SMALL = struct.Struct(">ihiIhhii")
_BIG = struct.Struct(">ihiIhhqq")
_BIG_VERSION = 1000
_OWN_POSITION = 18
"""Offset in a header of the position of its record."""
_BLOCK = 2**22
MAX_DEPTH = 32
"""Deepest accepted nesting of directories: a damaged one may hold itself."""


@dataclass(frozen=True, slots=True)
class Record:
    """The header of one record."""

    position: int
    header_bytes: int
    object_bytes: int
    """Size of the object when it is not compressed."""
    cycle: int
    directory: int
    """Position of the directory it belongs to."""
    class_name: str
    name: str


def scan(file: BinaryIO, begin: int, size: int) -> Iterator[Record]:
    """Find the records that lie whole in a file.

    Parameters
    ----------
    file
        Any seekable file.
    begin
        Position of the first record, ``fBEGIN``.
    size
        Length of the file in bytes.
    """
    for position in _candidates(file, begin, size):
        record = record_at(file, position, size)
        if record is not None:
            yield record


def directory_names(records: Sequence[Record], root: int) -> dict[int, str]:
    """Return the name of each directory by its position, with a ``/`` at its end; the file's own has none."""
    parents = {
        record.position: (record.directory, record.name)
        for record in records
        if record.class_name in ("TDirectory", "TDirectoryFile")
    }
    names = {root: ""}
    for position in parents:
        parts: list[str] = []
        here = position
        while here != root and here in parents and len(parts) < MAX_DEPTH:
            here, name = parents[here]
            parts.append(name)
        names[position] = "".join(f"{part}/" for part in reversed(parts))
    return names


def _candidates(file: BinaryIO, begin: int, size: int) -> Iterator[int]:
    """Find the places that are named, as own position in four or in eight bytes, where a header would have it."""
    for start in range(max(0, begin), size, _BLOCK):
        file.seek(start + _OWN_POSITION)
        data = file.read(_BLOCK + 8)
        found = []
        for shift in range(4):
            words = np.frombuffer(data, dtype=">u4", count=max(0, len(data) - shift) // 4, offset=min(shift, len(data)))
            places = start + shift + 4 * np.arange(words.size, dtype=np.int64)
            hits = words == places
            hits[:-1] |= (words[:-1] == places[:-1] >> 32) & (words[1:] == places[:-1] & 0xFFFFFFFF)
            found.append(places[hits])
        # A block reads a little into the next one.
        yield from sorted(int(place) for place in np.concatenate(found) if place < start + _BLOCK)


def record_at(file: BinaryIO, position: int, size: int) -> Record | None:
    """Return the record that begins at a position and lies whole in the file; None when there is none."""
    file.seek(position)
    start = file.read(_BIG.size)
    if len(start) < _SMALL.size:
        return None
    length, version, object_bytes, _, header_bytes, cycle, own, directory = _SMALL.unpack_from(start)
    fixed = _SMALL
    if version > _BIG_VERSION:
        if len(start) < _BIG.size:
            return None
        fixed = _BIG
        own, directory = _BIG.unpack(start)[6:]
    # The length of a deleted record is negative.
    if not fixed.size <= header_bytes <= length or own != position or position + length > size:
        return None
    file.seek(position + fixed.size)
    names = _strings(file.read(header_bytes - fixed.size), 3)
    return None if names is None else Record(position, header_bytes, object_bytes, cycle, directory, *names[:2])


def _strings(data: bytes, count: int) -> list[str] | None:
    """Unpack ROOT strings: one byte of length, or 255 and four."""
    strings = []
    at = 0
    for _ in range(count):
        if at >= len(data):
            return None
        length = data[at]
        at += 1
        if length == 255:
            if at + 4 > len(data):
                return None
            length = int.from_bytes(data[at : at + 4], "big")
            at += 4
        if at + length > len(data):
            return None
        strings.append(data[at : at + length].decode("utf-8", "replace"))
        at += length
    return strings
