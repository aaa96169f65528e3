"""Many sets of points, or many zones of a map, clustered in one call of a kernel."""

from __future__ import annotations

import numpy as np

from monitor.detect.clustercells import REACH, extent_of, side_of
from monitor.detect.clusterplane import DONE, ENTRIES, ROOM, TOO_LARGE, UNDECIDED, WORDS, label_plane
from monitor.detect.clusterspace import label_any
from monitor.kernel import kernel

NOISE = -1
"""Stands for the members of a cluster where a point belongs to none."""
_SMALL = 1 << 16
"""Points of a set for which it pays to try `label_plane`."""


@kernel("boolean[::1](float64[:,:,::1], int64[::1], float64, int64, int64[:,::1])")
def label_sets(sets, lengths, eps, min_samples, labels):  # type: ignore[no-untyped-def]
    """Label every set of points, of up to three coordinates; return those in which rounding decides.

    Shapes: (sets, coordinates, points), (sets,) and (sets, points); the result's: (sets,).
    """
    dimensions, most = sets.shape[1], sets.shape[2]
    flat = dimensions == 2 and most <= _SMALL
    room = np.empty((ROOM, most if flat else 0), dtype=np.int32)
    filled = np.zeros(WORDS if flat else 0, dtype=np.int64)
    cored = np.zeros(WORDS if flat else 0, dtype=np.int64)
    table = np.empty(ENTRIES if flat else 0, dtype=np.int32)
    undecided = np.zeros(len(sets), dtype=np.bool_)
    for k in range(len(sets)):
        n = lengths[k]
        outcome = TOO_LARGE if n > 0 else DONE
        if flat and n > 0:
            x, y = sets[k, 0, :n], sets[k, 1, :n]
            outcome, _ = label_plane(x, y, eps, min_samples, labels[k, :n], room, filled, cored, table)
        if outcome == TOO_LARGE:
            own = sets[k, :, :n].copy()
            outcome = DONE if label_any(own, eps, min_samples, labels[k, :n]) == 0 else UNDECIDED
        undecided[k] = outcome == UNDECIDED
    return undecided


@kernel("void(int64[::1], int64[::1], int64, int64[::1])")
def sizes_of(labels, sizes, first, members):  # type: ignore[no-untyped-def]
    """Write the size of the cluster of each point from `first` on; NOISE of noise, 0 if all points are one cluster.

    `sizes` is room. Shapes: (points,), (points,), (points wanted,).
    """
    clusters = 0
    noise = False
    for i in range(labels.size):
        clusters = max(clusters, labels[i] + 1)
        noise |= labels[i] < 0
    if clusters == 1 and not noise:
        members[:] = 0
        return
    sizes[:clusters] = 0
    for i in range(labels.size):
        if labels[i] >= 0:
            sizes[labels[i]] += 1
    for i in range(members.size):
        label = labels[first + i]
        members[i] = sizes[label] if label >= 0 else NOISE


@kernel("void(float64[::1], float64[::1])")
def _scale(values, out):  # type: ignore[no-untyped-def]
    """Do as `monitor.normalise.minmax`, to the last bit."""
    low, high = extent_of(values)
    if high == low:
        out[:] = values
        return
    span = high - low
    for i in range(values.size):
        out[i] = (values[i] - low) / span


@kernel(
    "boolean[::1](float64[:,::1], float64[:,::1], int64[::1], int64[::1], int64[::1], float64, int64, int64[:,::1])"
)
def count_members(occupancy, error, judged, first, last, eps, min_samples, members):  # type: ignore[no-untyped-def]
    """Cluster each zone of a map, strips first..last, and write the members of the clusters of its judged strip.

    As `label_sets` with both planes scaled to 0..1 in each zone, and `sizes_of`; return the zones in which rounding
    decides. Shapes: occupancy, error and members (strips, bins), the others (zones,).
    """
    bins = occupancy.shape[1]
    most = 0
    for k in range(judged.size):
        most = max(most, (last[k] + 1 - first[k]) * bins)
    room = np.empty((ROOM, most), dtype=np.int32)
    # Both coordinates are 0..1, or constant.
    across = 1.0 / side_of(eps, 2) + 2.0 * REACH + 2.0
    words = int(min(float(WORDS), 1.0 + across * (across / 32.0 + 2.0)))
    filled = np.zeros(words, dtype=np.int64)
    cored = np.zeros(words if min_samples > 1 else 0, dtype=np.int64)
    table = np.empty(int(min(float(ENTRIES), across * across)), dtype=np.int32)
    both = np.empty((2, most))
    labels = np.empty(most, dtype=np.int64)
    sizes = np.empty(most, dtype=np.int64)
    undecided = np.zeros(judged.size, dtype=np.bool_)
    for k in range(judged.size):
        n = (last[k] + 1 - first[k]) * bins
        x, y, own = both[0, :n], both[1, :n], labels[:n]
        _scale(occupancy[first[k] : last[k] + 1].reshape(n), x)
        _scale(error[first[k] : last[k] + 1].reshape(n), y)
        wanted = own if min_samples > 1 else own[:0]
        outcome, clusters = label_plane(x, y, eps, min_samples, wanted, room, filled, cored, table)
        at = (judged[k] - first[k]) * bins
        mine = members[judged[k]]
        if outcome == DONE and min_samples <= 1:
            cell_of, label_of, total = room[2], room[8], room[11]
            for i in range(bins):
                mine[i] = total[label_of[cell_of[at + i]]] if clusters > 1 else 0
            continue
        if outcome == TOO_LARGE:
            outcome = DONE if label_any(both[:, :n].copy(), eps, min_samples, own) == 0 else UNDECIDED
        undecided[k] = outcome == UNDECIDED
        if outcome == DONE:
            sizes_of(own, sizes, at, mine)
    return undecided
