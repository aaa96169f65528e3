"""What the service takes from a source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from monitor.decode import Envelope

Partition = tuple[str, int]
"""Topic and partition."""


@dataclass(frozen=True, slots=True)
class Record:
    """One record and its place."""

    partition: Partition
    offset: int
    envelope: Envelope


@dataclass(frozen=True, slots=True)
class Batch:
    """Records in the order of their partitions, and what happened to the assignment before them."""

    records: Sequence[Record] = ()
    lost: frozenset[Partition] = frozenset()
    """Partitions that are no longer, or newly, this worker's: their state must be forgotten first."""
    corrupt: int = 0
    """Records that had to be skipped because the broker's bytes were damaged."""

    def positions(self) -> dict[Partition, int]:
        """Return the offset after the last record of each partition: where to go on once all are judged."""
        return {r.partition: r.offset + 1 for r in self.records}


class Source(Protocol):
    """Gives batches and takes back how far they were judged."""

    def poll(self, timeout_s: float, /) -> Batch:
        """Return the next batch, empty after `timeout_s` without one."""
        ...

    def commit(self, positions: Mapping[Partition, int]) -> bool:
        """Record that everything before these positions has had its effects; False: it could not be, ask again."""
        ...

    def lag(self) -> Mapping[Partition, int]:
        """Return records not yet polled, by partition, as far as known without asking the broker."""
        ...

    def ready(self) -> bool:
        """Tell whether partitions are assigned."""
        ...

    def close(self) -> None:
        """Leave the group and free the connections."""
        ...


@dataclass(slots=True)
class ListSource:
    """Batches from a list, for tests and for files."""

    batches: list[Batch]
    committed: dict[Partition, int] = field(default_factory=dict)

    def poll(self, _timeout_s: float) -> Batch:
        """Return the next batch of the list, then empty ones."""
        return self.batches.pop(0) if self.batches else Batch()

    def commit(self, positions: Mapping[Partition, int]) -> bool:
        """Remember the positions."""
        self.committed.update(positions)
        return True

    def lag(self) -> Mapping[Partition, int]:
        """Nothing waits anywhere else."""
        return {}

    def ready(self) -> bool:
        """Return True."""
        return True

    def close(self) -> None:
        """Nothing to free."""
