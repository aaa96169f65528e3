"""What must hold for a snapshot of whatever format before a later stage sees it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from monitor.errors import Reject
from monitor.snapshot import AnyArray, Axis, Snapshot

MAX_BINS = 4_000_000
"""Largest accepted number of bins. 4 M float64 bins are 32 MB."""
MAX_NAME = 1024
"""Longest accepted stream or path, characters."""
MAX_TIME_NS = 4_102_444_800_000_000_000
"""1 January 2100: data time beyond it is a producer's error and would stall the windows."""


def checked_axis(
    bins: int,
    low: float,
    high: float,
    edges: AnyArray | None = None,
    labels: tuple[str, ...] = (),
    title: str = "",
) -> Axis:
    """Build an axis, raising `Reject` (``bad_axis``) for one that no histogram can have."""
    if not 0 < bins <= MAX_BINS:
        raise Reject("bad_axis", f"{bins} bins, accepted are 1 to {MAX_BINS}")
    if edges is not None:
        edges = np.asarray(edges, dtype=np.float64)
        if edges.shape != (bins + 1,):
            raise Reject("bad_axis", f"{edges.size} edges for {bins} bins")
        if not np.all(np.isfinite(edges)) or not np.all(np.diff(edges) > 0):
            raise Reject("bad_axis", "edges are not finite and increasing")
        low, high = float(edges[0]), float(edges[-1])
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise Reject("bad_axis", f"range {low} to {high}")
    if labels and len(labels) != bins:
        raise Reject("bad_axis", f"{len(labels)} labels for {bins} bins")
    return Axis(bins, low, high, edges, labels, title)


def check_name(name: str, what: str) -> None:
    """Refuse an empty, endless or unprintable stream or path (``bad_identity``)."""
    if not name:
        raise Reject("bad_identity", f"empty {what}")
    if len(name) > MAX_NAME:
        raise Reject("bad_identity", f"{what} of {len(name)} characters, at most {MAX_NAME}")
    if not name.isprintable():
        raise Reject("bad_identity", f"{what} holds unprintable characters")


def check(snapshot: Snapshot) -> Snapshot:
    """Return the snapshot, or raise `Reject` with the first thing that is wrong with it.

    A profile's NaN in a bin without entries is ROOT's way to say "no mean" and becomes 0; every other value that
    is not finite rejects the snapshot (``not_finite``), as do negative contents of a histogram without variances
    (``negative_counts``) and negative variances or entries (``negative_variance``, ``negative_entries``).
    """
    check_name(snapshot.stream, "stream")
    if "/" in snapshot.stream:
        raise Reject("bad_identity", "a stream's name holds no '/'")
    check_name(snapshot.path, "path")
    if snapshot.run < 0 or snapshot.lumisection < 0:
        raise Reject("bad_identity", "negative run or lumisection")
    if not 0 <= snapshot.time_ns <= MAX_TIME_NS:
        raise Reject("bad_time", f"{snapshot.time_ns} ns is not between 1970 and 2100")
    if len(snapshot.axes) != snapshot.kind.dimension:
        raise Reject("bad_axis", f"{len(snapshot.axes)} axes for a {snapshot.kind.value}")
    shape = tuple(axis.bins for axis in snapshot.axes)
    if math.prod(shape) > MAX_BINS:
        raise Reject("too_large", f"{math.prod(shape)} bins, at most {MAX_BINS}")
    for name, array in (
        ("contents", snapshot.contents),
        ("variances", snapshot.variances),
        ("entries", snapshot.entries),
    ):
        if array is not None and array.shape != shape:
            raise Reject("wrong_size", f"{name} of shape {array.shape} on axes {shape}")
    if snapshot.kind.is_profile:
        snapshot = _without_empty_means(snapshot)
    elif snapshot.variances is None and snapshot.contents.min() < 0:
        raise Reject("negative_counts", f"smallest content {snapshot.contents.min()} and no variances")
    for array, reason in ((snapshot.variances, "negative_variance"), (snapshot.entries, "negative_entries")):
        if array is not None and array.min() < 0:
            raise Reject(reason)
    for array in (snapshot.contents, snapshot.variances, snapshot.entries):
        if array is not None and not _is_finite(array):
            raise Reject("not_finite", "NaN or infinity")
    return snapshot


def _is_finite(array: AnyArray) -> bool:
    if array.dtype.kind != "f":
        return True
    # A float64 sum of finite float32 stays finite, so one pass settles nearly every array.
    if array.dtype == np.float32 and math.isfinite(float(array.sum(dtype=np.float64))):
        return True
    return bool(np.isfinite(array).all())


def _without_empty_means(snapshot: Snapshot) -> Snapshot:
    if snapshot.entries is None or snapshot.variances is None:
        raise Reject("incomplete", f"a {snapshot.kind.value} needs variances and entries of its bins")
    empty = snapshot.entries == 0
    if _is_finite(snapshot.contents) and _is_finite(snapshot.variances):
        return snapshot
    return replace(
        snapshot,
        contents=np.where(empty, 0.0, snapshot.contents),
        variances=np.where(empty, 0.0, snapshot.variances),
    )
