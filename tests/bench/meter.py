"""A stopwatch over the records of one consumer process."""

from __future__ import annotations

import resource
import sys
import time
from pathlib import Path
from typing import Any

import psutil

_STATUS = Path("/proc/self/status")


def peak_rss_mb() -> float:
    """Largest resident memory of this process so far, MB."""
    if _STATUS.exists():
        # What getrusage says begins with the memory of the parent, which the child shared before it became a program.
        line = next(line for line in _STATUS.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024 / 1e6
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def cpu_s() -> float:
    """CPU time of this process so far, user and system, s."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


class Meter:
    """Measures from the first poll that returned records to the last record.

    The records of that first poll are not counted: what fetched them is start-up.
    """

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._first = 0
        self._started: tuple[float, float] | None = None
        self.rss: list[tuple[int, float]] = []
        """Records seen and resident memory in MB, after each batch that was asked for."""

    @property
    def started(self) -> bool:
        """Whether records have come."""
        return self._started is not None

    def begin(self, records: int) -> None:
        """Note the first poll that returned records."""
        if self._started is None:
            self._first = records
            self._started = (time.perf_counter(), cpu_s())

    def weigh(self, records: int) -> None:
        """Note the resident memory after so many records."""
        self.rss.append((records, self._process.memory_info().rss / 1e6))

    def result(self, records: int) -> dict[str, Any]:
        """Return rate, CPU time a map of the whole process, and resident memory now and at most."""
        assert self._started is not None
        wall = time.perf_counter() - self._started[0]
        cpu = cpu_s() - self._started[1]
        counted = max(1, records - self._first)
        return {
            "records": records,
            "maps_per_s": counted / wall,
            "cpu_us_per_map": 1e6 * cpu / counted,
            "rss_mb": self._process.memory_info().rss / 1e6,
            "peak_rss_mb": peak_rss_mb(),
        }
