"""Paths, folders and globs to files, and files to the reader of their format."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from monitor.errors import SourceError
from monitor.source.recorded_file import OnSkip, RecordedFile, Skip

DATA_SUFFIXES = frozenset({".parquet", ".h5", ".hdf5", ".npy", ".npz", ".pq", ".feather", ".arrow"})
"""Recorded data that is not read: named as skipped where it lies in a folder, while notes and pictures are not."""


def find_files(paths: Sequence[str | Path], on_skip: OnSkip) -> list[Path]:
    """Return the files of recorded histograms among paths, folders (searched to the bottom) and globs.

    Returns
    -------
    list of Path
        Absolute, each file once, in the order of the paths and by name within a folder.

    Raises
    ------
    SourceError
        For a path that does not exist and a glob that matches nothing.
    """
    files: dict[str, Path] = {}
    for given in paths:
        for path in _existing(str(given)):
            for file in _in_folder(path, on_skip) if path.is_dir() else _named(path, on_skip):
                files.setdefault(os.path.realpath(file), file.absolute())
    return list(files.values())


def open_file(path: Path) -> RecordedFile:
    """Open a file that `find_files` returned.

    Raises
    ------
    Reject
        ``unreadable_file``, ``empty_file``, ``not_root``, ``bad_table``.
    """
    if path.suffix.lower() == ".csv":
        from monitor.source.table import TableFile

        return TableFile(path)
    # uproot takes a second to import: no command should pay that for its --help.
    from monitor.source.root import RootFile

    return RootFile(path)


def _existing(given: str) -> list[Path]:
    if not given or "\0" in given:
        raise SourceError(f"{given!r}: not a path")
    path = Path(given).expanduser()
    # A name with brackets in it is a name first.
    if os.path.lexists(path):
        return [path]
    if glob.has_magic(given):
        found = sorted(glob.glob(str(path), recursive=True))
        if not found:
            raise SourceError(f"{given}: no file matches; check the pattern, and that it is seen from {Path.cwd()}")
        return [Path(name) for name in found]
    raise SourceError(f"{given}: no such file or folder; check the name, and that it is seen from {Path.cwd()}")


def _in_folder(folder: Path, on_skip: OnSkip) -> Iterator[Path]:
    def cannot(error: OSError) -> None:
        on_skip(Skip("unreadable_file", Path(error.filename), detail=error.strerror or ""))

    for where, folders, names in os.walk(folder, onerror=cannot):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(where, name)
            suffix = path.suffix.lower()
            if name.startswith("."):
                continue
            if suffix in (".root", ".csv"):
                yield from _named(path, on_skip)
            elif suffix in DATA_SUFFIXES or (suffix == ".json" and _is_histogram_json(path)):
                on_skip(Skip("unsupported_file", path, detail=f"{suffix} is not read"))


def _named(path: Path, on_skip: OnSkip) -> Iterator[Path]:
    if not path.exists():
        on_skip(Skip("unreadable_file", path, detail="a link to nothing"))
    elif not path.is_file():
        on_skip(Skip("unsupported_file", path, detail="neither a file nor a folder"))
    elif path.suffix.lower() in (".root", ".csv") or _starts_like_root(path):
        yield path
    else:
        on_skip(Skip("unsupported_file", path, detail="neither a ROOT file nor a table (.csv)"))


def _starts_like_root(path: Path) -> bool:
    return _start(path, 4) == b"root"


def _is_histogram_json(path: Path) -> bool:
    """Tell a histogram in JSON (DQM GUI, ROOT) from the notes that lie beside a recording."""
    start = _start(path, 4096)
    return any(word in start for word in (b'"hist"', b'"fXaxis"', b'"_typename"'))


def _start(path: Path, size: int) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(size)
    except OSError:
        # The reader will say what is wrong, by name.
        return b""
