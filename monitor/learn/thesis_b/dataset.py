"""The dataset of thesis B (ATLAS 2022, sections 3.4 and 3.6): one row a bin, split by histogram.

Each row has the features of the thesis's table: path, x, y, occupancy, histogram type and number, quality (1 for a
generated fault), and the occupancy in its three scales (equations 11 to 14). A histogram goes to the training or to
the test part as a whole, two thirds against one third, so that no map has holes. Histograms of one run may stand in
both parts, as there; split by run where runs must not leak (give each run's intervals the same `groups` entry).
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from monitor.detect.geometry import BoolArray
from monitor.errors import HistwatchError
from monitor.normalise import SCALES
from monitor.snapshot import FloatArray
from monitor.window import Interval

TRAIN_SHARE = 2.0 / 3.0


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Columns of one dataset, one row a bin, histogram after histogram. Shape of all: (rows,)."""

    paths: NDArray[np.str_]
    """``run_<number>/<path>``."""
    x: NDArray[np.int32]
    """Bin number along the first axis, from 0."""
    y: NDArray[np.int32]
    """Bin number along the second axis; 0 of a histogram with one."""
    occ: FloatArray
    hist_type: NDArray[np.int32]
    """Types are numbered in the order of their keys."""
    hist_id: NDArray[np.int32]
    """Histograms are numbered in the order given."""
    quality: NDArray[np.int8]
    """1: generated fault, 0: as it came."""
    occ_0to1: FloatArray
    occ_zscore: FloatArray
    occ_robust: FloatArray

    def columns(self) -> dict[str, NDArray[np.generic]]:
        """Return the columns by the thesis's names, for instance for a data frame or a Parquet file."""
        return {one.name: getattr(self, one.name) for one in fields(self)}


def split_by_histogram(
    count: int, seed: int, *, train_share: float = TRAIN_SHARE, groups: Sequence[Hashable] | None = None
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the indices of the training and of the test histograms, each in order.

    Parameters
    ----------
    count
        Number of histograms.
    seed
        Of the draw.
    train_share
        Share for training; rounded, but neither part stays empty.
    groups
        Histograms with equal entries stay together; then the share is one of groups. Default: each on its own.

    Raises
    ------
    HistwatchError
        If there are fewer than two histograms, or groups, to split.
    """
    if not 0.0 < train_share < 1.0:
        raise ValueError(f"train_share {train_share}, must lie in (0, 1)")
    if groups is not None and len(groups) != count:
        raise ValueError(f"{len(groups)} groups for {count} histograms")
    own = list(range(count)) if groups is None else list(groups)
    distinct = list(dict.fromkeys(own))
    if len(distinct) < 2:
        raise HistwatchError(f"{len(distinct)} histograms or groups cannot be split into training and test")
    wanted = min(max(1, round(train_share * len(distinct))), len(distinct) - 1)
    chosen = {distinct[n] for n in np.random.default_rng(seed).permutation(len(distinct))[:wanted]}
    training = np.array([group in chosen for group in own])
    return np.flatnonzero(training), np.flatnonzero(~training)


def build_table(intervals: Sequence[Interval], truths: Sequence[BoolArray] | None = None) -> Table:
    """Return the table of intervals.

    Parameters
    ----------
    intervals
        Of any types and shapes.
    truths
        Which bins are generated faults, one array of the histogram's shape each; default: none are.

    Raises
    ------
    HistwatchError
        If there are no intervals.
    """
    if not intervals:
        raise HistwatchError("no intervals to make a dataset of")
    if truths is None:
        truths = [np.zeros(i.contents.shape, dtype=np.bool_) for i in intervals]
    types = {key: n for n, key in enumerate(sorted({i.key for i in intervals}))}
    sizes = [i.contents.size for i in intervals]
    grids = [np.indices(i.contents.shape).reshape(i.contents.ndim, -1) for i in intervals]
    scaled = {
        name: np.concatenate([scale(i.contents.reshape(1, -1))[0] for i in intervals]) for name, scale in SCALES.items()
    }
    return Table(
        paths=np.repeat([f"run_{i.run}/{i.path}" for i in intervals], sizes),
        x=np.concatenate([g[0] for g in grids]).astype(np.int32),
        y=np.concatenate([g[1] if len(g) > 1 else np.zeros_like(g[0]) for g in grids]).astype(np.int32),
        occ=np.concatenate([i.contents.ravel() for i in intervals]),
        hist_type=np.repeat([types[i.key] for i in intervals], sizes).astype(np.int32),
        hist_id=np.repeat(np.arange(len(intervals)), sizes).astype(np.int32),
        quality=np.concatenate([t.ravel() for t in truths]).astype(np.int8),
        occ_0to1=scaled["minmax"],
        occ_zscore=scaled["zscore"],
        occ_robust=scaled["robust"],
    )
