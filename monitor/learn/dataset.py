"""Good intervals with where they came from, dealt out by run: what models are made of."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from os.path import commonpath
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

import monitor
from monitor.errors import SourceError
from monitor.learn.splits import Split
from monitor.window import Interval

_BLOCK = 1 << 20


class SourceFile(BaseModel):
    """One recorded file that was looked into."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    """Relative to the folder that all of them share."""
    size: int
    """Bytes."""
    sha256: str


class SourceTopic(BaseModel):
    """The part of a topic that was read."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    topic: str
    offsets: dict[int, tuple[int, int]]
    """First offset, and that after the last, by partition."""


class Provenance(BaseModel):
    """Where a dataset came from. No time and no folder: the same input gives the same bytes."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    contract: Literal[1] = 1
    software: str = f"histwatch {monitor.__version__}"
    files: tuple[SourceFile, ...] = ()
    topic: SourceTopic | None = None
    arguments: dict[str, Any] = Field(default_factory=dict)
    """Options of the command that decide what is in it."""
    skipped: dict[str, int] = Field(default_factory=dict)
    """What was not read, by reason."""
    note: str = ""
    """How the splits differ from what was asked for; empty if they do not."""


@dataclass(frozen=True, eq=False)
class Dataset:
    """Intervals by ``stream/path``, in the order of run and lumisection.

    Use `dataset_of`.
    """

    intervals: Mapping[str, Sequence[Interval]]
    splits: Mapping[int, Split]
    """Of every run."""
    provenance: Provenance = field(default_factory=Provenance)

    def part(self, split: Split) -> dict[str, list[Interval]]:
        """Return the intervals of the runs of a split, by ``stream/path``; histograms without any are left out."""
        parts = {key: [i for i in own if self.splits[i.run] == split] for key, own in self.intervals.items()}
        return {key: own for key, own in parts.items() if own}

    def runs(self, split: Split) -> tuple[int, ...]:
        """Return the runs of a split, in order."""
        return tuple(sorted(run for run, of in self.splits.items() if of == split))

    def __len__(self) -> int:
        return sum(map(len, self.intervals.values()))

    @cached_property
    def digest(self) -> str:
        """SHA-256 of all rows and of the split of every run, hexadecimal."""
        digest = hashlib.sha256(json.dumps(sorted(self.splits.items())).encode())
        for own in self.intervals.values():
            digest.update(rows_digest(own).encode())
        return digest.hexdigest()


def dataset_of(
    intervals: Mapping[str, Iterable[Interval]], splits: Mapping[int, Split], provenance: Provenance | None = None
) -> Dataset:
    """Return a dataset whose order depends on its content alone."""
    ordered = {
        key: sorted(intervals[key], key=lambda i: (i.run, i.lumisection, i.first_lumisection, i.time_ns))
        for key in sorted(intervals)
    }
    return Dataset(ordered, splits, provenance or Provenance())


def rows_digest(intervals: Iterable[Interval]) -> str:
    """Return the SHA-256, hexadecimal, of what can be learned of intervals: all but times, axes and titles."""
    digest = hashlib.sha256()
    for i in intervals:
        arrays = (i.contents, i.variances, i.entries)
        head = [
            *(i.stream, i.path, i.kind.value, list(i.contents.shape), i.run, i.first_lumisection, i.lumisection),
            *(i.total, i.state.value, i.silent, [a is not None for a in arrays]),
        ]
        digest.update(json.dumps(head).encode())
        for array in arrays:
            if array is not None:
                digest.update(np.ascontiguousarray(array, dtype="<f8").tobytes())
    return digest.hexdigest()


def source_files(files: Sequence[Path]) -> tuple[SourceFile, ...]:
    """Return name, size and checksum of recorded files, in the order of their names.

    Raises
    ------
    SourceError
        If one cannot be read.
    """
    if not files:
        return ()
    shared = Path(commonpath([file.parent for file in files]))
    found = []
    for file in sorted(files):
        digest, size = hashlib.sha256(), 0
        try:
            with file.open("rb") as stream:
                while block := stream.read(_BLOCK):
                    digest.update(block)
                    size += len(block)
        except OSError as error:
            raise SourceError(f"{file}: cannot be read, {error.strerror}") from error
        found.append(SourceFile(name=file.relative_to(shared).as_posix(), size=size, sha256=digest.hexdigest()))
    return tuple(found)
