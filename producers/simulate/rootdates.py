"""Replacing the dates in a finished ROOT file: it then says when its data were taken, not when it was written.

With that a file is a function of its content: same content, same bytes. Dates are in the header of each record, in the
copies of it in the lists of keys, and in the directories. What lies between the records is left from writing and is
cleared.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from datetime import UTC, datetime
from mmap import mmap
from pathlib import Path

_KEY = struct.Struct(">ihiIhhii")
_BIG_KEY = struct.Struct(">ihiIhhqq")
_KEY_DATE = 10
"""Offset of the date in the header of a record."""
_DIRECTORY_DATES = 2
"""Offset of the dates of creation and change in a directory."""
_BIG_VERSION = 1000
_BIG_FILE_VERSION = 1_000_000


def set_dates(path: Path, time_ns: int) -> None:
    """Give everything in a closed ROOT file the same date.

    Parameters
    ----------
    path
        The file; it is changed in place.
    time_ns
        The date, ns since 1970. ROOT keeps whole seconds and no zone: this writes UTC.
    """
    with path.open("r+b") as file, mmap(file.fileno(), 0) as data:
        dates = _Dates(data, _code(time_ns))
        dates.set_all()
        dates.clear_gaps()


def _code(time_ns: int) -> bytes:
    t = datetime.fromtimestamp(time_ns // 1_000_000_000, UTC)
    code = (t.year - 1995) << 26 | t.month << 22 | t.day << 17 | t.hour << 12 | t.minute << 6 | t.second
    return struct.pack(">I", code)


@dataclass(slots=True)
class _Dates:
    data: mmap
    code: bytes
    used: list[tuple[int, int]] = field(default_factory=list)

    def set_all(self) -> None:
        version, begin = struct.unpack_from(">ii", self.data, 4)
        names = ">qqiiiBiqi" if version > _BIG_FILE_VERSION else ">iiiiiBiii"
        # End, free list and its length, number of free, length of the name, pointer size, compression, streamers.
        end, free, _, _, name_bytes, _, _, streamers, _ = struct.unpack_from(names, self.data, 12)
        self.used += [(0, begin), (end, end)]
        for position in (begin, free, streamers):
            self._record(position)
        self._directory(begin + name_bytes)

    def clear_gaps(self) -> None:
        reached = 0
        for start, end in sorted(self.used):
            if start > reached:
                self.data[reached:start] = bytes(start - reached)
            reached = max(reached, end)

    def _date(self, position: int) -> None:
        self.data[position : position + len(self.code)] = self.code

    def _record(self, position: int) -> int:
        """Set the date of a record; return the position of what is in it."""
        length, header = self._header(position)[:2]
        self.used.append((position, position + length))
        self._date(position + _KEY_DATE)
        return position + header

    def _header(self, position: int) -> tuple[int, int, int]:
        """Return the length of a record, the length of its header and where it says that it is."""
        big = struct.unpack_from(">h", self.data, position + 4)[0] > _BIG_VERSION
        length, _, _, _, header, _, own, _ = (_BIG_KEY if big else _KEY).unpack_from(self.data, position)
        return length, header, own

    def _directory(self, position: int) -> None:
        for offset in (_DIRECTORY_DATES, _DIRECTORY_DATES + len(self.code)):
            self._date(position + offset)
        big = struct.unpack_from(">h", self.data, position)[0] > _BIG_VERSION
        # Version, two dates, length of the list of keys and of the name; then own, parent's and the list's position.
        keys = struct.unpack_from(">qqq" if big else ">iii", self.data, position + 18)[2]
        at = self._record(keys)
        (count,) = struct.unpack_from(">i", self.data, at)
        at += 4
        for _ in range(count):
            _, header, own = self._header(at)
            self._date(at + _KEY_DATE)
            content = self._record(own)
            if self._class_name(at) == b"TDirectory":
                self._directory(content)
            at += header
        # Room for more keys, with what was there before.
        end = keys + self._header(keys)[0]
        self.data[at:end] = bytes(end - at)

    def _class_name(self, position: int) -> bytes:
        big = struct.unpack_from(">h", self.data, position + 4)[0] > _BIG_VERSION
        start = position + (_BIG_KEY if big else _KEY).size
        return bytes(self.data[start + 1 : start + 1 + self.data[start]])
