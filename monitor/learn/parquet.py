"""Datasets as Parquet files: a row an interval, provenance in the file's metadata.

Any tool that reads Parquet can read them. The file holds no time of its making, so the same input gives the same
bytes (with the same version of pyarrow, whose name Parquet stores).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from monitor.decode.validate import check, checked_axis
from monitor.errors import HistwatchError, Reject, SourceError
from monitor.learn.dataset import Dataset, Provenance, dataset_of
from monitor.learn.files import written_whole
from monitor.learn.splits import SPLITS, Split
from monitor.snapshot import AnyArray, Axis, Kind, Snapshot
from monitor.window import Interval, State

METADATA_KEY = b"histwatch.dataset"
"""Key of the provenance, a JSON object, in the file's metadata."""
MAGIC = b"PAR1"
_BATCH = 256
_ROWS = 4096
_BINS = 1 << 22


def is_parquet(path: Path) -> bool:
    """Tell whether a path is a file that begins as Parquet does."""
    try:
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


def write_dataset(dataset: Dataset, path: Path, on_rows: Callable[[int], None] = lambda _rows: None) -> None:
    """Write a dataset, whole or not at all.

    Parameters
    ----------
    on_rows
        Called with the number of rows just written.

    Raises
    ------
    HistwatchError
        If pyarrow is missing or the file cannot be written.
    """
    pa, pq = _pyarrow()
    provenance = json.dumps(dataset.provenance.model_dump(mode="json"), sort_keys=True).encode()
    schema = _schema(pa).with_metadata({METADATA_KEY: provenance})
    with (
        written_whole(path) as part,
        pq.ParquetWriter(part, schema, compression="zstd", write_statistics=False, write_page_checksum=True) as writer,
    ):
        for batch in _batches([i for own in dataset.intervals.values() for i in own]):
            columns = _columns(pa, batch, [dataset.splits[i.run] for i in batch])
            writer.write_table(pa.Table.from_arrays([columns[name] for name in schema.names], schema=schema))
            on_rows(len(batch))


def read_dataset(path: Path, on_rows: Callable[[int, int], None] = lambda _rows, _all: None) -> Dataset:
    """Read a dataset.

    Parameters
    ----------
    on_rows
        Called with the number of rows read so far and of all.

    Raises
    ------
    SourceError
        If the file cannot be read, is no dataset, or holds a row that no histogram can make, naming it.
    HistwatchError
        If pyarrow is missing.
    """
    pa, pq = _pyarrow()
    try:
        file = pq.ParquetFile(path, page_checksum_verification=True)
    except (OSError, pa.ArrowException) as error:
        raise SourceError(f"{path}: cannot be read as Parquet, {_line(error)}") from error
    with file:
        provenance = _provenance(path, (file.schema_arrow.metadata or {}).get(METADATA_KEY))
        wanted = _schema(pa)
        for column in wanted:
            found = file.schema_arrow.field(column.name) if column.name in file.schema_arrow.names else None
            if found is None or not found.type.equals(column.type):
                raise SourceError(
                    f"{path}: column '{column.name}' must be {column.type}, "
                    f"{'there is none' if found is None else f'it is {found.type}'}; make it anew: histwatch dataset"
                )
        intervals: dict[str, list[Interval]] = {}
        splits: dict[int, Split] = {}
        number = 0
        try:
            for batch in file.iter_batches(_BATCH, columns=wanted.names):
                for row in _rows(batch):
                    interval = _interval(row, path, number)
                    intervals.setdefault(interval.key, []).append(interval)
                    if row["split"] not in SPLITS:
                        raise SourceError(f"{path}: row {number}: there is no split '{row['split']}'")
                    if splits.setdefault(interval.run, row["split"]) != row["split"]:
                        raise SourceError(f"{path}: run {interval.run} is in two splits")
                    number += 1
                on_rows(number, file.metadata.num_rows)
        except (OSError, pa.ArrowException) as error:
            raise SourceError(f"{path}: damaged after row {number}, {_line(error)}") from error
    return dataset_of(intervals, splits, provenance)


def _pyarrow() -> tuple[ModuleType, ModuleType]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise HistwatchError("Parquet files need the pyarrow package: pip install 'histwatch[train]'") from error
    return pyarrow, pyarrow.parquet


def _schema(pa: ModuleType) -> Any:
    numbers = pa.list_(pa.float64())
    return pa.schema(
        [
            ("stream", pa.string()),
            ("path", pa.string()),
            ("kind", pa.string()),
            ("shape", pa.list_(pa.int32())),
            ("split", pa.string()),
            ("run", pa.uint64()),
            ("first_lumisection", pa.int64()),
            ("lumisection", pa.int64()),
            ("time_ns", pa.int64()),
            ("state", pa.string()),
            ("silent", pa.int64()),
            ("total", pa.float64()),
            ("contents", numbers),
            ("variances", numbers),
            ("entries", numbers),
            ("axes", pa.string()),
        ]
    )


def _batches(intervals: Sequence[Interval]) -> Iterator[list[Interval]]:
    """Cut into row groups by the number of bins: rows of large maps are few."""
    batch: list[Interval] = []
    bins = 0
    for interval in intervals:
        batch.append(interval)
        bins += interval.contents.size
        if len(batch) >= _ROWS or bins >= _BINS:
            yield batch
            batch, bins = [], 0
    if batch:
        yield batch


def _columns(pa: ModuleType, batch: Sequence[Interval], splits: Sequence[Split]) -> dict[str, Any]:
    return {
        **{
            name: pa.array([getattr(i, name) for i in batch], type=kind)
            for name, kind in (
                ("stream", pa.string()),
                ("path", pa.string()),
                ("run", pa.uint64()),
                ("first_lumisection", pa.int64()),
                ("lumisection", pa.int64()),
                ("time_ns", pa.int64()),
                ("silent", pa.int64()),
                ("total", pa.float64()),
            )
        },
        "kind": pa.array([i.kind.value for i in batch]),
        "shape": pa.array([list(i.contents.shape) for i in batch], type=pa.list_(pa.int32())),
        "split": pa.array(splits),
        "state": pa.array([i.state.value for i in batch]),
        "contents": _lists(pa, [i.contents for i in batch]),
        "variances": _lists(pa, [i.variances for i in batch]),
        "entries": _lists(pa, [i.entries for i in batch]),
        "axes": pa.array([json.dumps([_axis_to_json(a) for a in i.axes]) for i in batch]),
    }


def _lists(pa: ModuleType, arrays: Sequence[AnyArray | None]) -> Any:
    """Return a column of lists without making a Python number of every bin."""
    sizes = np.array([0 if a is None else a.size for a in arrays])
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32)
    there = [np.asarray(a, dtype=np.float64).ravel() for a in arrays if a is not None]
    return pa.ListArray.from_arrays(
        offsets,
        np.concatenate(there) if there else np.zeros(0),
        mask=pa.array([a is None for a in arrays]),
    )


def _axis_to_json(axis: Axis) -> dict[str, Any]:
    said: dict[str, Any] = {"bins": axis.bins, "low": axis.low, "high": axis.high}
    if axis.edges is not None:
        said["edges"] = [float(e) for e in axis.edges]
    if axis.labels:
        said["labels"] = list(axis.labels)
    if axis.title:
        said["title"] = axis.title
    return said


def _axis_of(said: Any) -> Axis:
    edges = said.get("edges")
    return checked_axis(
        int(said["bins"]),
        float(said["low"]),
        float(said["high"]),
        None if edges is None else np.asarray(edges, dtype=np.float64),
        tuple(map(str, said.get("labels", ()))),
        str(said.get("title", "")),
    )


def _rows(batch: Any) -> Iterator[dict[str, Any]]:
    """Yield the rows of a record batch; lists of numbers as arrays."""
    wide = {name: batch.column(name) for name in ("contents", "variances", "entries")}
    narrow = {name: batch.column(name).to_pylist() for name in batch.schema.names if name not in wide}
    for n in range(batch.num_rows):
        yield {
            **{name: values[n] for name, values in narrow.items()},
            **{
                name: column[n].values.to_numpy(zero_copy_only=False) if column[n].is_valid else None
                for name, column in wide.items()
            },
        }


def _interval(row: dict[str, Any], path: Path, number: int) -> Interval:
    try:
        shape = tuple(row["shape"])
        contents, variances, entries = (
            None if row[name] is None else np.ascontiguousarray(row[name], dtype=np.float64).reshape(shape)
            for name in ("contents", "variances", "entries")
        )
        if contents is None:
            raise ValueError("no contents")
        snapshot = check(
            Snapshot(
                stream=row["stream"],
                path=row["path"],
                run=row["run"],
                lumisection=row["lumisection"],
                time_ns=row["time_ns"],
                kind=Kind(row["kind"]),
                axes=tuple(_axis_of(axis) for axis in json.loads(row["axes"])),
                contents=contents,
                variances=variances,
                entries=entries,
            )
        )
        first, silent = int(row["first_lumisection"]), int(row["silent"])
        total = float(row["total"])
        if not (0 <= first <= snapshot.lumisection and silent >= 0 and np.isfinite(total)):
            raise ValueError("lumisections or total that no interval can have")
        return Interval(
            stream=snapshot.stream,
            path=snapshot.path,
            kind=snapshot.kind,
            axes=snapshot.axes,
            run=snapshot.run,
            first_lumisection=first,
            lumisection=snapshot.lumisection,
            time_ns=snapshot.time_ns,
            contents=snapshot.contents,
            variances=snapshot.variances,
            entries=snapshot.entries,
            total=total,
            state=State(row["state"]),
            silent=silent,
        )
    except (Reject, ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
        raise SourceError(f"{path}: row {number} is no interval: {_line(error)}") from error


def _provenance(path: Path, text: bytes | None) -> Provenance:
    if text is None:
        raise SourceError(f"{path}: Parquet, but no dataset of histwatch; make one with: histwatch dataset")
    try:
        return Provenance.model_validate_json(text)
    except ValueError as error:
        raise SourceError(f"{path}: its provenance cannot be read, {_line(error)}") from error


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]
