"""What every reader of recorded histograms speaks of: what it found, what it skipped, and a histogram's content.

Reasons to skip, besides those of `monitor.decode.validate.check`:

=========================  ============================================================================
``unreadable_file``        a file that cannot be opened or read
``unsupported_file``       data in a format that is not read
``empty_file``             0 bytes
``not_root``               a ``.root`` file that is none
``truncated_file``         a ROOT file cut or never closed; its objects are read as far as they are there
``unreadable_directory``   a damaged directory; its objects are looked for and read
``lost_directory``         a histogram that is there, while the name of its directory is not
``no_histograms``          a file without any object
``unreadable_object``      a damaged histogram
``graph``, ``tree``,       objects that are no histograms of one or two dimensions
``three_dimensional``,
``other_class``
``bad_table``              a table without the columns it needs
``bad_row``                a line of a table that holds no histogram
=========================  ============================================================================
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from monitor.decode.validate import MAX_VALUE
from monitor.snapshot import AnyArray, Axis, Kind

NOT_MEANT = frozenset({"graph", "tree", "three_dimensional", "other_class", "unsupported_file", "no_histograms"})
"""Reasons to skip what is no histogram that can be judged; all other reasons speak of one that is damaged."""


@dataclass(frozen=True, slots=True)
class Skip:
    """Something that was not read, and why."""

    reason: str
    """A short fixed word for the counter, for instance ``graph`` or ``truncated_file``."""
    file: Path
    name: str = ""
    """The object in the file; empty for the file itself. Text of the file: escape it before it is shown."""
    detail: str = ""
    """What exactly was wrong. May quote the file."""

    def __str__(self) -> str:
        where = f"{self.file}:{self.name}" if self.name else str(self.file)
        return f"{where}: {self.reason}" + (f" ({self.detail})" if self.detail else "")


OnSkip = Callable[[Skip], None]


def ignore(skip: Skip) -> None:
    """Take no notice of what was skipped."""


@dataclass(frozen=True, slots=True)
class Item:
    """A histogram that a file holds, not yet read."""

    name: str
    """Its name in the file, with the directories there."""
    place: tuple[int, int]
    """Where in the file, for its reader."""
    kind: Kind
    run: int | None = None
    """Set where the file itself says it, as a table does."""
    lumisection: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Content:
    """What a file says about a histogram: the part of a `Snapshot` that does not come from names."""

    axes: tuple[Axis, ...]
    contents: AnyArray
    variances: AnyArray | None = None
    entries: AnyArray | None = None
    total_entries: float = 0.0


def sensible_entries(entries: float) -> float:
    """Return a number of fills; 0, "not said", for one that cannot be, as subtracting histograms leaves it."""
    return entries if math.isfinite(entries) and 0 <= entries <= MAX_VALUE else 0.0


class RecordedFile(Protocol):
    """An open file of one format."""

    created_ns: int | None
    """Time the file itself says it was begun, ns since 1970."""

    def items(self, on_skip: OnSkip) -> Iterator[Item]:
        """List the histograms in the file; name everything else that is in it as skipped."""
        ...

    def read(self, item: Item) -> Content:
        """Read one histogram.

        Raises
        ------
        Reject
            For one that cannot be read.
        """
        ...

    def close(self) -> None:
        """Let the file go."""
        ...
