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
"""Longest accepted stream, path or producer, and what is kept of a title or label; characters."""
MAX_VALUE = 1e30
"""Largest accepted content, variance or entries: in float32 it is finite, in float64 its square is."""
MAX_RUN = 2**64 - 1
MAX_LUMISECTION = 2**32 - 1
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
    """Build an axis, raising `Reject` (``bad_axis``) for one that no histogram can have.

    Title and labels only decorate: what cannot be printed in them is replaced, and they are cut at `MAX_NAME`.
    """
    if not 0 < bins <= MAX_BINS:
        raise Reject("bad_axis", f"{bins} bins, accepted are 1 to {MAX_BINS}")
    if edges is not None:
        edges = np.asarray(edges, dtype=np.float64)
        if edges.shape != (bins + 1,):
            raise Reject("bad_axis", f"{edges.size} edges for {bins} bins")
        if not np.isfinite(edges).all() or not (edges[1:] > edges[:-1]).all():
            raise Reject("bad_axis", "edges are not finite and increasing")
        low, high = float(edges[0]), float(edges[-1])
    # A difference that overflows would make edges of NaN.
    if not (math.isfinite(low) and math.isfinite(high) and low < high and math.isfinite(high - low)):
        raise Reject("bad_axis", f"range {low} to {high}")
    width = (high - low) / bins
    if edges is None and not (low + width > low and high - width < high):
        raise Reject("bad_axis", f"{bins} bins from {low} to {high} are narrower than a float can tell")
    if labels:
        if len(labels) != bins:
            raise Reject("bad_axis", f"{len(labels)} labels for {bins} bins")
        labels = tuple(printable(label) for label in labels)
    return Axis(bins, low, high, edges, labels, printable(title))


def printable(text: str) -> str:
    """Return text that decorates, fit to be shown: cut at `MAX_NAME`, what cannot be printed replaced."""
    text = text[:MAX_NAME]
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


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
    is not finite rejects the snapshot (``not_finite``), as do values beyond `MAX_VALUE` (``out_of_range``), negative
    contents of a histogram without variances (``negative_counts``) and negative variances or entries
    (``negative_variance``, ``negative_entries``). The other reasons are ``bad_identity``, ``bad_time``, ``bad_axis``,
    ``too_large``, ``wrong_size``, ``unknown_dtype`` and ``incomplete``.
    """
    check_name(snapshot.stream, "stream")
    if "/" in snapshot.stream:
        raise Reject("bad_identity", "a stream's name holds no '/'")
    check_name(snapshot.path, "path")
    if snapshot.producer:
        check_name(snapshot.producer, "producer")
    if not (0 <= snapshot.run <= MAX_RUN and 0 <= snapshot.lumisection <= MAX_LUMISECTION):
        raise Reject("bad_identity", f"run {snapshot.run}, lumisection {snapshot.lumisection}")
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
        if array is None:
            continue
        if array.shape != shape:
            raise Reject("wrong_size", f"{name} of shape {array.shape} on axes {shape}")
        if array.dtype.kind not in "iuf":
            raise Reject("unknown_dtype", f"{name} of dtype {array.dtype}")
    if not math.isfinite(snapshot.total_entries):
        raise Reject("not_finite", f"{snapshot.total_entries} entries in total")
    if not 0 <= snapshot.total_entries <= MAX_VALUE:
        reason = "negative_entries" if snapshot.total_entries < 0 else "out_of_range"
        raise Reject(reason, f"{snapshot.total_entries} entries in total")
    if snapshot.kind.is_profile:
        snapshot = _without_empty_means(snapshot)
    lowest = _lowest(snapshot.contents, "contents")
    if lowest < 0 and snapshot.variances is None:
        raise Reject("negative_counts", f"smallest content {lowest} and no variances")
    for name, array, reason in (
        ("variances", snapshot.variances, "negative_variance"),
        ("entries", snapshot.entries, "negative_entries"),
    ):
        if array is not None and (lowest := _lowest(array, name)) < 0:
            raise Reject(reason, f"{name} down to {lowest}")
    return snapshot


def _lowest(array: AnyArray, what: str) -> float:
    """Return the smallest value, refusing NaN, infinity and values beyond `MAX_VALUE`."""
    lowest: float = array.min()
    # NaN is passed on by min and max, and fails any comparison.
    if array.dtype.kind == "f" and not (lowest >= -MAX_VALUE and array.max() <= MAX_VALUE):
        if not np.isfinite(array).all():
            raise Reject("not_finite", f"NaN or infinity in the {what}")
        raise Reject("out_of_range", f"{what} from {lowest} to {array.max()}, at most {MAX_VALUE}")
    return lowest


def _without_empty_means(snapshot: Snapshot) -> Snapshot:
    if snapshot.entries is None or snapshot.variances is None:
        raise Reject("incomplete", f"a {snapshot.kind.value} needs variances and entries of its bins")
    if np.isfinite(snapshot.contents).all() and np.isfinite(snapshot.variances).all():
        return snapshot
    empty = snapshot.entries == 0
    return replace(
        snapshot,
        contents=np.where(empty, 0.0, snapshot.contents),
        variances=np.where(empty, 0.0, snapshot.variances),
    )
