"""Good snapshots, for the corpus to spoil."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from monitor.decode import Envelope
from monitor.snapshot import Axis, Kind, Snapshot

KEY = "cal/Ecal/Occupancy/barrel"
Case = tuple[str, Envelope]


def good_snapshot(kind: Kind = Kind.TH2, seed: int = 1, shape: tuple[int, ...] = (6, 5)) -> Snapshot:
    """Return a snapshot that every format can carry."""
    rng = np.random.default_rng(seed)
    shape = shape[: kind.dimension]
    contents = rng.poisson(40, shape).astype(np.float32)
    snapshot = Snapshot(
        stream="cal",
        path="Ecal/Occupancy/barrel",
        run=362_000,
        lumisection=17,
        time_ns=1_700_000_000_000_000_000,
        kind=kind,
        axes=(Axis(shape[0], -2.5, 2.5, title="eta"), Axis(shape[-1], -3.125, 3.125))[: kind.dimension],
        contents=contents,
        total_entries=float(contents.sum()),
    )
    if not kind.is_profile:
        return snapshot
    entries = rng.integers(2, 50, shape).astype(np.float64)
    return replace(
        snapshot,
        contents=rng.normal(5.0, 1.0, shape),
        variances=rng.uniform(0.01, 0.1, shape),
        entries=entries,
        total_entries=float(entries.sum()),
    )
