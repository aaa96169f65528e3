"""What is measured with: 99 x 65 maps in cumulative Poisson counts, one of a hundred with a hot bin."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from monitor.decode.native import NativeFormat
from monitor.snapshot import Axis, Kind, Snapshot
from monitor.window import Interval, State

STREAM = "bench"
SHAPE = (99, 65)
AXES = (Axis(SHAPE[0], -2.5, 2.5), Axis(SHAPE[1], -np.pi, np.pi))
MEAN = 20.0
"""Expected entries of a bin in a lumisection."""
HOT = 200.0
"""Entries that a hot bin has on top."""
FAULTY = 0.01
"""Share of the maps with a hot bin; it is gone in the map's next update."""
HISTOGRAMS = 300
LUMISECTION_NS = 23_000_000_000
START_NS = 1_700_000_000_000_000_000
HEADERS = [("content-type", NativeFormat.content_type.encode())]
_POOL = 512


@dataclass(frozen=True, slots=True)
class Update:
    """The next state of one histogram."""

    snapshot: Snapshot
    faulty: bool


class Workload:
    """Updates of all histograms, a lumisection at a time. Same seed, same updates.

    Parameters
    ----------
    seed
        Of counts and faults.
    faulty
        Share of maps with a hot bin.
    histograms
        Number of histograms.
    """

    def __init__(self, seed: int = 1, faulty: float = FAULTY, histograms: int = HISTOGRAMS) -> None:
        self._seed = seed
        self._faulty = faulty
        self._paths = [f"layer{h // 20:02d}/map{h % 20:02d}" for h in range(histograms)]
        # Drawing every bin of every message anew would take longer than consuming them.
        self._pool = np.random.default_rng(0).poisson(MEAN, (_POOL, *SHAPE)).astype(np.float32)

    @property
    def keys(self) -> list[str]:
        """``stream/path`` of every histogram."""
        return [f"{STREAM}/{path}" for path in self._paths]

    def updates(self, count: int) -> Iterator[Update]:
        """Yield the first `count` updates; contents are reused, so encode one before taking the next."""
        rng = np.random.default_rng(self._seed)
        contents = np.zeros((len(self._paths), *SHAPE), dtype=np.float32)
        for number in range(count):
            lumisection, h = divmod(number, len(self._paths))
            contents[h] += self._pool[rng.integers(_POOL)]
            faulty = bool(rng.random() < self._faulty)
            if faulty:
                contents[h, rng.integers(SHAPE[0]), rng.integers(SHAPE[1])] += HOT
            yield Update(
                Snapshot(
                    stream=STREAM,
                    path=self._paths[h],
                    run=1,
                    lumisection=lumisection + 1,
                    time_ns=START_NS + lumisection * LUMISECTION_NS,
                    kind=Kind.TH2,
                    axes=AXES,
                    contents=contents[h],
                    cumulative=True,
                    producer="bench",
                    sequence=lumisection + 1,
                ),
                faulty,
            )

    def faults(self, count: int) -> set[tuple[str, int]]:
        """Return (path, lumisection) of the faulty ones among the first `count` updates."""
        return {(u.snapshot.path, u.snapshot.lumisection) for u in self.updates(count) if u.faulty}

    def good_intervals(self, lumisections: int, path: str | None = None) -> list[Interval]:
        """Return intervals to learn one histogram from."""
        rng = np.random.default_rng([self._seed, 1])
        return [
            interval(self._pool[rng.integers(_POOL)].astype(np.float64), path or self._paths[0], ls)
            for ls in range(1, lumisections + 1)
        ]


def interval(contents: np.ndarray, path: str, lumisection: int = 1) -> Interval:
    """Return the interval of one lumisection. Shape of contents: `SHAPE`, float64."""
    return Interval(
        stream=STREAM,
        path=path,
        kind=Kind.TH2,
        axes=AXES,
        run=1,
        first_lumisection=lumisection,
        lumisection=lumisection,
        time_ns=START_NS + lumisection * LUMISECTION_NS,
        contents=contents,
        variances=None,
        entries=None,
        total=float(contents.sum()),
        state=State.READY,
    )
