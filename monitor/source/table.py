"""Reading recorded one-dimensional histograms from a table: a CSV file with one histogram a line.

Columns, in any order, others are ignored:

=============================  ======================================================================
``run``                        run number
``lumi``, ``ls``,              lumisection
``lumisection``
``hname``                      name of the histogram; without this column, that of the file
``xmin``, ``xmax``, ``xbins``  its axis
``entries``                    number of fills; without this column 0, "not said"
``bin_0`` to ``bin_N``         its contents: ``xbins`` of them, or ``xbins + 2`` with the under- and
                               overflow at the ends
=============================  ======================================================================
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from monitor.decode.validate import checked_axis
from monitor.errors import Reject
from monitor.snapshot import Kind
from monitor.source.recorded_file import Content, Item, OnSkip, Skip, sensible_entries

MAX_LINE_BYTES = 64 * 2**20
"""Longest accepted line."""
_LUMISECTION = ("lumi", "ls", "lumisection")
_BIN = re.compile(r"bin_([0-9]{1,7})")


_MARKS = ("good", "bad", "y", "label", "quality")
"""Columns that may say which lines are good."""


def marks_of(path: Path) -> tuple[str, ...]:
    """Return the columns of a table that look as if they said which of its lines are good; nothing reads them."""
    if path.suffix.lower() != ".csv":
        return ()
    try:
        with path.open("rb") as file:
            names = {name.strip().lower() for name in _split(file.readline(MAX_LINE_BYTES))}
    except (OSError, ValueError):
        return ()
    return tuple(mark for mark in _MARKS if mark in names)


class TableFile:
    """An open table; see `monitor.source.recorded_file.RecordedFile`.

    Raises
    ------
    Reject
        ``unreadable_file``, ``empty_file``, ``bad_table``.
    """

    created_ns: int | None = None

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._handle = path.open("rb")
        except OSError as error:
            raise Reject("unreadable_file", error.strerror or str(error)) from error
        try:
            self._columns = self._header()
        except BaseException:
            self._handle.close()
            raise
        self._bins = [self._columns[name] for name in _bin_names(self._columns)]

    def _header(self) -> dict[str, int]:
        line = self._handle.readline(MAX_LINE_BYTES)
        if not line:
            raise Reject("empty_file", "0 bytes")
        columns = {name.strip().lower(): at for at, name in reversed(list(enumerate(_split(line))))}
        for name in _LUMISECTION:
            if name in columns:
                columns.setdefault("lumi", columns[name])
        missing = [name for name in ("run", "lumi", "xmin", "xmax", "xbins", "bin_0") if name not in columns]
        if missing:
            raise Reject("bad_table", f"no column {', '.join(missing)}")
        return columns

    def items(self, on_skip: OnSkip) -> Iterator[Item]:
        """List the lines of the table; a line whose run or lumisection is no number is skipped by its number."""
        number = 1
        count = 0
        while True:
            place = self._handle.tell()
            line = self._handle.readline(MAX_LINE_BYTES)
            if not line:
                break
            number += 1
            if not line.strip():
                continue
            try:
                cells = _split(line)
                run, lumisection = self._whole(cells, "run"), self._whole(cells, "lumi")
                name = cells[self._columns["hname"]].strip() if "hname" in self._columns else self._path.stem
            except (ValueError, IndexError) as error:
                on_skip(Skip("bad_row", self._path, f"line {number}", str(error)[:200]))
                continue
            count += 1
            yield Item(name, (place, len(line)), Kind.TH1, run, lumisection)
            # Whoever listens may have read a line in between.
            self._handle.seek(place + len(line))
        if not count:
            on_skip(Skip("no_histograms", self._path, detail="no line after the first"))

    def read(self, item: Item) -> Content:
        """Read one histogram.

        Raises
        ------
        Reject
            ``bad_row``, ``wrong_size``, ``bad_axis``.
        """
        self._handle.seek(item.place[0])
        cells = _split(self._handle.read(item.place[1]))
        try:
            bins = self._whole(cells, "xbins")
            low, high = (float(cells[self._columns[name]]) for name in ("xmin", "xmax"))
            axis = checked_axis(bins, low, high)
            values = np.array([float(cells[at]) for at in self._bins])
            entries = float(cells[self._columns["entries"]]) if "entries" in self._columns else 0.0
        except (ValueError, IndexError, OverflowError) as error:
            raise Reject("bad_row", str(error)[:200]) from error
        if values.size == bins + 2:
            values = values[1:-1]
        elif values.size != bins:
            raise Reject("wrong_size", f"{values.size} columns of contents for {bins} bins")
        return Content((axis,), values.astype("<f8"), total_entries=sensible_entries(entries))

    def close(self) -> None:
        """Let the file go."""
        self._handle.close()

    def _whole(self, cells: list[str], column: str) -> int:
        text = cells[self._columns[column]]
        number = float(text)
        if not number.is_integer() or not 0 <= number < 2**32:
            raise ValueError(f"{column} is {text!r}, not a whole number")
        return int(number)


def _split(line: bytes) -> list[str]:
    try:
        return next(csv.reader([line.decode("utf-8-sig", "replace").rstrip("\r\n")], strict=False), [])
    except csv.Error as error:
        raise Reject("bad_row", str(error)) from error


def _bin_names(columns: dict[str, int]) -> list[str]:
    """Return the names of the bins' columns, from ``bin_0`` on without a gap."""
    found = {int(match[1]) for match in map(_BIN.fullmatch, columns) if match is not None}
    names: list[str] = []
    while len(names) in found:
        names.append(f"bin_{len(names)}")
    return names
