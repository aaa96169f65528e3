"""Reading recorded histograms from ROOT files, whatever state they are in.

uproot answers damaged input with exceptions of every kind, from IndexError to those of the decompressors. They are
caught around each file, directory and object, so that nothing good is lost for something bad beside it.
"""

from __future__ import annotations

import calendar
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from uproot.models.TArray import Model_TArray
from uproot.reading import ReadOnlyDirectory, ReadOnlyFile, ReadOnlyKey
from uproot.source.cursor import Cursor

from monitor.decode.rootbins import profile_bins, without_flow
from monitor.decode.validate import checked_axis
from monitor.errors import Reject
from monitor.snapshot import AnyArray, Axis, Kind
from monitor.source.recorded_file import Content, Item, OnSkip, Skip, sensible_entries
from monitor.source.rescue import MAX_DEPTH, Record, directory_names, record_at, scan

MAX_OBJECT_BYTES = 256 * 2**20
"""Larger objects are refused unread: the largest histogram that a `Snapshot` may hold, with its errors, fits."""

_HISTOGRAM = re.compile(r"(?P<base>TH1|TH2)[CSILFD]|(?P<profile>TProfile|TProfile2D)")
_OTHERS = (
    (re.compile(r"TGraph.*|TMultiGraph"), "graph"),
    (re.compile(r"TTree|TNtuple.*|TChain|ROOT::.*RNTuple"), "tree"),
    (re.compile(r"TH3[CSILFD]|TProfile3D"), "three_dimensional"),
)
_DIRECTORIES = ("TDirectory", "TDirectoryFile")
_DATES = struct.Struct(">hI")


class RootFile:
    """An open ROOT file; see `monitor.source.recorded_file.RecordedFile`.

    Raises
    ------
    Reject
        ``unreadable_file``, ``empty_file``, ``not_root``.
    """

    created_ns: int | None = None

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            # Not memory-mapped: a file cut while it is read would kill the process.
            self._handle = path.open("rb")
        except OSError as error:
            raise Reject("unreadable_file", error.strerror or str(error)) from error
        try:
            self._size = self._handle.seek(0, 2)
            self._file = self._open()
        except BaseException:  # also Ctrl-C: what was opened is closed, and the error goes on
            self._handle.close()
            raise
        self.created_ns = self._created()

    def _open(self) -> ReadOnlyFile:
        if self._size == 0:
            raise Reject("empty_file", "0 bytes")
        self._handle.seek(0)
        if self._handle.read(4) != b"root":
            raise Reject("not_root", "does not begin with 'root'")
        try:
            return ReadOnlyFile(self._handle, object_cache=None, array_cache=None, use_threads=False)
        except Exception as error:  # see the docstring of the module
            raise Reject("truncated_file", f"{self._size} bytes; {_words(error)}") from error

    def _created(self) -> int | None:
        """Return the ``fDatimeC`` of the file, taken as UTC: ROOT writes local time and no zone."""
        try:
            self._handle.seek(self._file.fBEGIN + self._file.fNbytesName)
            _, code = _DATES.unpack(self._handle.read(_DATES.size))
        except (struct.error, OSError, ValueError):
            return None
        date = (code >> 26) + 1995, code >> 22 & 15, code >> 17 & 31, code >> 12 & 31, code >> 6 & 63, code & 63
        if not (1 <= date[1] <= 12 and 1 <= date[2] <= 31 and code):
            return None
        return calendar.timegm(date) * 1_000_000_000

    def items(self, on_skip: OnSkip) -> Iterator[Item]:
        """List the histograms in the file, highest cycle only; name everything else as skipped."""
        keys: dict[int, tuple[str, Any]] = {}
        failed: list[Skip] = []
        try:
            self._walk(self._file.root_directory, "", 0, keys, failed)
        except Exception as error:  # noqa: BLE001 - see the docstring of the module
            failed.append(Skip("unreadable_file", self._path, detail=_words(error)))
        if self._size < self._file.fEND:
            failed = [Skip("truncated_file", self._path, detail=f"{self._size} of {self._file.fEND} bytes")]
        found = [(name, key.fClassName, (position, key.fKeylen), key.fObjlen) for position, (name, key) in keys.items()]
        if failed:
            rescued = self._rescue({name for name, *_ in found}, on_skip)
            found += rescued
            for skip in failed:
                detail = f"{skip.detail}; {len(rescued)} objects found without a directory"
                on_skip(Skip(skip.reason, skip.file, skip.name, detail))
        elif not found:
            on_skip(Skip("no_histograms", self._path, detail="holds no objects"))
        for name, class_name, place, size in found:
            kind = _kind(class_name)
            if not isinstance(kind, Kind):
                on_skip(Skip(kind, self._path, name, class_name))
            elif not 0 < size <= MAX_OBJECT_BYTES:
                on_skip(Skip("too_large", self._path, name, f"{size} bytes, at most {MAX_OBJECT_BYTES}"))
            else:
                yield Item(name, place, kind)

    def _walk(
        self,
        directory: ReadOnlyDirectory,
        prefix: str,
        depth: int,
        keys: dict[int, tuple[str, Any]],
        failed: list[Skip],
    ) -> None:
        self._check(directory)
        for name in directory.keys(recursive=False, cycle=False):
            full = prefix + name
            try:
                key = directory.key(name)
                if key.fClassName not in _DIRECTORIES:
                    keys.setdefault(key.fSeekKey, (full, key))
                elif depth < MAX_DEPTH:
                    self._walk(key.get(), f"{full}/", depth + 1, keys, failed)
                else:
                    raise Reject("too_deep", f"more than {MAX_DEPTH} directories in each other")
            except Exception as error:  # noqa: BLE001 - see the docstring of the module
                failed.append(Skip("unreadable_directory", self._path, full, _words(error)))

    def _check(self, directory: ReadOnlyDirectory) -> None:
        """Refuse a damaged list of keys: uproot takes some for an empty one."""
        if directory.fSeekKeys == 0:
            return
        keys = record_at(self._handle, directory.fSeekKeys, self._size)
        if keys is None:
            raise Reject("unreadable_directory", "no list of keys where it should be")
        self._handle.seek(keys.position + keys.header_bytes)
        if int.from_bytes(self._handle.read(4), "big", signed=True) < 0:
            raise Reject("unreadable_directory", "a negative number of keys")

    def _rescue(self, known: set[str], on_skip: OnSkip) -> list[tuple[str, str, tuple[int, int], int]]:
        records = list(scan(self._handle, self._file.fBEGIN, self._size))
        directories = directory_names(records, self._file.fBEGIN)
        newest: dict[str, Record] = {}
        for record in records:
            if _kind(record.class_name) == "other_class":
                continue
            prefix = directories.get(record.directory)
            if prefix is None:
                on_skip(Skip("lost_directory", self._path, record.name, "which directory it was in is not known"))
                continue
            name = prefix + record.name
            if name not in known and (name not in newest or newest[name].cycle <= record.cycle):
                newest[name] = record
        return [
            (name, record.class_name, (record.position, record.header_bytes), record.object_bytes)
            for name, record in newest.items()
        ]

    def read(self, item: Item) -> Content:
        """Read one histogram.

        Raises
        ------
        Reject
            ``unreadable_object``, ``wrong_size``, ``bad_axis``.
        """
        position, header = item.place
        try:
            chunk = self._file.chunk(position, position + header)
            key = ReadOnlyKey(chunk, Cursor(position), {}, self._file, None, read_strings=True)
            if _kind(key.fClassName) is not item.kind:
                raise Reject("unreadable_object", f"a {key.fClassName} where the directory has a {item.kind.value}")
            return _content(key.get(), item.kind)
        except Reject:
            raise
        except Exception as error:  # see the docstring of the module
            raise Reject("unreadable_object", _words(error)) from error

    def close(self) -> None:
        """Let the file go."""
        self._file.close()
        self._handle.close()


def _kind(class_name: str) -> Kind | str:
    """Return the kind of a ROOT class, or the reason to skip it."""
    match = _HISTOGRAM.fullmatch(class_name)
    if match is not None:
        return Kind(match["base"] or match["profile"])
    for pattern, reason in _OTHERS:
        if pattern.fullmatch(class_name):
            return reason
    return "other_class"


def _content(histogram: Any, kind: Kind) -> Content:
    axes = tuple(_axis(histogram.member(name)) for name in ("fXaxis", "fYaxis")[: kind.dimension])
    shape = tuple(axis.bins for axis in axes)
    stored = _array(histogram.base(Model_TArray)[0])
    sumw2 = _array(histogram.member("fSumw2"))
    total = sensible_entries(float(histogram.member("fEntries")))
    if kind.is_profile:
        weights2 = _array(histogram.member("fBinSumw2", none_if_missing=True))
        mean, variance, entries = profile_bins(
            without_flow(stored, shape),
            without_flow(sumw2, shape),
            without_flow(_array(histogram.member("fBinEntries")), shape),
            None if weights2.size == 0 else without_flow(weights2, shape),
            histogram.member("fErrorMode"),
        )
        return Content(axes, mean, variance, entries, total)
    contents = without_flow(stored, shape)
    variances = without_flow(sumw2, shape) if sumw2.size == stored.size else None
    # Errors were booked, and every weight was 1: these are counts.
    if variances is not None and np.array_equal(variances, contents):
        variances = None
    return Content(axes, contents, variances, None, total)


def _array(values: Any) -> AnyArray:
    """Return a ROOT array, big-endian in the file, in the byte order of the wire."""
    array = np.asarray(() if values is None else values)
    return array.astype(array.dtype.newbyteorder("<"))


def _axis(axis: Any) -> Axis:
    bins = int(axis.member("fNbins"))
    edges = _array(axis.member("fXbins"))
    title = str(axis.member("fTitle"))
    labels = _labels(axis, bins)
    if edges.size == 0:
        return checked_axis(bins, float(axis.member("fXmin")), float(axis.member("fXmax")), None, labels, title)
    return checked_axis(bins, float(edges[0]), float(edges[-1]), edges, labels, title)


def _labels(axis: Any, bins: int) -> tuple[str, ...]:
    """Return the labels of an axis if every bin has one: a label knows its bin by its unique id, from 1."""
    labels = axis.member("fLabels", none_if_missing=True)
    if labels is None or len(labels) != bins:
        return ()
    by_bin = {int(label.member("@fUniqueID")): str(label) for label in labels}
    return tuple(by_bin[i] for i in range(1, bins + 1)) if by_bin.keys() == set(range(1, bins + 1)) else ()


def _words(error: Exception) -> str:
    """Return the first line of an exception, whose text may run over many."""
    if isinstance(error, Reject):
        return error.detail
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__
