"""Snapshots as the ROOT objects that a histogram of their kind is in a file."""

from __future__ import annotations

from typing import Any

import numpy as np
from uproot.writing.identify import (
    to_TAxis,
    to_TH1x,
    to_TH2x,
    to_THashList,
    to_TObjString,
    to_TProfile,
    to_TProfile2D,
)

from monitor.snapshot import AnyArray, Axis, FloatArray, Snapshot

_AXIS_NAMES = ("xaxis", "yaxis")


def root_object(snapshot: Snapshot) -> Any:
    """Return what uproot writes as a TH1, TH2, TProfile or TProfile2D with this content.

    A profile is written as the sums that its mean, variance and entries come from. Under- and overflow are empty.
    """
    if snapshot.kind.is_profile:
        return _profile(snapshot)
    weights = np.asarray(snapshot.contents, dtype=np.float64)
    squares = weights if snapshot.variances is None else np.asarray(snapshot.variances, dtype=np.float64)
    sumw2 = None if snapshot.variances is None else _with_flow(squares)
    make = to_TH2x if snapshot.kind.dimension == 2 else to_TH1x
    return make(
        None,
        _title(snapshot),
        _with_flow(snapshot.contents),
        snapshot.total_entries,
        *_moments(snapshot.axes, weights, squares),
        sumw2,
        *_axes(snapshot),
    )


def _profile(snapshot: Snapshot) -> Any:
    if snapshot.entries is None or snapshot.variances is None:
        raise ValueError(f"{snapshot.key}: a profile without entries or variances")
    entries = np.asarray(snapshot.entries, dtype=np.float64)
    mean = np.asarray(snapshot.contents, dtype=np.float64)
    values = mean * entries
    squares = entries * (entries * snapshot.variances + mean * mean)
    make = to_TProfile2D if snapshot.kind.dimension == 2 else to_TProfile
    return make(
        None,
        _title(snapshot),
        _with_flow(values),
        snapshot.total_entries,
        *_moments(snapshot.axes, entries, entries),
        float(values.sum()),
        float(squares.sum()),
        _with_flow(squares),
        _with_flow(entries),
        np.array([], dtype=np.float64),
        *_axes(snapshot),
    )


def _title(snapshot: Snapshot) -> str:
    return snapshot.path.rsplit("/", 1)[-1]


def _with_flow(array: AnyArray) -> AnyArray:
    """Return the flat array of ROOT: x fastest, an empty bin at both ends of each axis."""
    return np.ravel(np.pad(array, 1).T)


def _moments(axes: tuple[Axis, ...], weights: FloatArray, squares: FloatArray) -> list[float]:
    """Return ROOT's statistics: sums of w, w^2, wx, wx^2, and for two axes wy, wy^2, wxy."""
    x = _centres(axes[0])
    along_x = weights if weights.ndim == 1 else weights.sum(axis=1)
    moments = [weights.sum(), squares.sum(), along_x @ x, along_x @ x**2]
    if weights.ndim == 2:
        y = _centres(axes[1])
        along_y = weights.sum(axis=0)
        moments += [along_y @ y, along_y @ y**2, x @ weights @ y]
    return [float(moment) for moment in moments]


def _centres(axis: Axis) -> FloatArray:
    edges = axis.bin_edges()
    return np.asarray((edges[1:] + edges[:-1]) / 2, dtype=np.float64)


def _axes(snapshot: Snapshot) -> list[Any]:
    return [
        to_TAxis(name, axis.title, axis.bins, axis.low, axis.high, fXbins=axis.edges, fLabels=_labels(axis))
        for name, axis in zip(_AXIS_NAMES, snapshot.axes, strict=False)
    ]


def _labels(axis: Axis) -> Any:
    if not axis.labels:
        return None
    strings = []
    for number, label in enumerate(axis.labels, 1):
        string = to_TObjString(label)
        # A label knows its bin by its unique id.
        string._bases[0]._members["@fUniqueID"] = number
        strings.append(string)
    return to_THashList(strings)
