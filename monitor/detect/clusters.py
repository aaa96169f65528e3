"""DBSCAN, exact and without a distance matrix, for points of one to three coordinates.

The labels are those of ``sklearn.cluster.DBSCAN(eps, min_samples=min_samples, algorithm="kd_tree")``, number by number:
core points have at least `min_samples` points, themselves included, within eps; clusters are the connected groups of
core points, numbered by their first core point; a border point belongs to the lowest-numbered cluster that reaches
it; noise is -1. What "within" means to the last bit: see `monitor.detect.clustercells`. Where a distance is so close to
eps that it depends on the layout of scikit-learn's tree (there, whether a sees b and whether b sees a may differ),
that very tree is asked.

Time and memory grow with the number of points, not with the number of neighbours they have.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.neighbors import KDTree

from monitor.detect.clusterzones import label_sets
from monitor.snapshot import FloatArray

IntArray = NDArray[np.int64]

DIMENSIONS = 3
"""Most coordinates of a point."""
_LEAF_SIZE = 30
"""scikit-learn's default."""
_NEIGHBOURS = 1_000_000
"""Neighbours that are held at once where scikit-learn's tree is asked."""


def cluster(points: ArrayLike, eps: float, min_samples: int) -> IntArray:
    """Return the cluster of every point, numbered from 0; -1 is noise.

    Parameters
    ----------
    points
        Shape: (points, coordinates) with 1 to 3 coordinates; computed in float64.
    eps
        Distance up to which points are neighbours, in the points' unit.
    min_samples
        Neighbours, itself included, that make a core point.

    Returns
    -------
    IntArray
        Shape: (points,), int64.

    Raises
    ------
    ValueError
        If the points have another shape or are not all finite, eps is not positive or min_samples below 1.
    """
    array = np.asarray(points, dtype=np.float64)
    if array.ndim != 2 or not 1 <= array.shape[1] <= DIMENSIONS:
        raise ValueError(f"points have shape {array.shape}, must be (points, coordinates) with 1 to 3 coordinates")
    rows, lengths = np.ascontiguousarray(array.T)[None], np.array([len(array)])
    labels: IntArray = cluster_rows(rows, lengths, eps, min_samples)[0]
    return labels


def cluster_rows(rows: FloatArray, lengths: IntArray, eps: float, min_samples: int) -> IntArray:
    """Cluster several sets of points, each on its own, in one call.

    Parameters
    ----------
    rows
        Shape: (sets, coordinates, points), float64; sets that are shorter are filled up with anything finite.
    lengths
        Number of points in each set. Shape: (sets,).
    eps, min_samples
        See `cluster`.

    Returns
    -------
    IntArray
        Labels as of `cluster`; -1 behind a set's end. Shape: (sets, points).

    Raises
    ------
    ValueError
        See `cluster`.
    """
    if not eps > 0.0:
        raise ValueError(f"eps is {eps}, must be a positive number")
    if not min_samples >= 1:
        raise ValueError(f"min_samples is {min_samples}, must be a whole number from 1")
    if not np.isfinite(rows).all():
        raise ValueError("points have coordinates that are NaN or infinite; leave those points out")
    labels = np.full((rows.shape[0], rows.shape[2]), -1, dtype=np.int64)
    needed = int(min(min_samples, np.iinfo(np.int64).max))
    undecided = np.flatnonzero(label_sets(rows, lengths, float(eps), needed, labels))
    for row in undecided:
        n = lengths[row]
        labels[row] = -1
        labels[row, :n] = ask_tree(rows[row, :, :n].T, eps, needed)
    return labels


def ask_tree(points: FloatArray, eps: float, min_samples: int) -> IntArray:
    """Cluster with the neighbours that scikit-learn's k-d tree names, not all of them at once in memory.

    It is exact whatever the rounding, and takes the time that scikit-learn takes. See `cluster`.
    """
    tree = KDTree(np.ascontiguousarray(points), leaf_size=_LEAF_SIZE)
    neighbours = tree.query_radius(points, eps, count_only=True)
    core = neighbours >= min_samples
    labels = np.full(len(points), -1, dtype=np.int64)
    number = 0
    for first in np.flatnonzero(core):
        if labels[first] >= 0:
            continue
        labels[first] = number
        front = np.array([first])
        while front.size:
            held = max(1, int(np.searchsorted(np.cumsum(neighbours[front]), _NEIGHBOURS)))
            found = np.unique(np.concatenate(tree.query_radius(points[front[:held]], eps)))
            found = found[labels[found] < 0]
            labels[found] = number
            front = np.concatenate([front[held:], found[core[found]]])
        number += 1
    return labels
