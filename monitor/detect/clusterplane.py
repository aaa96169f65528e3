"""The clustering of `clusters` for what the detector has: many small sets of points in a plane.

The same cells as in `monitor.detect.clustercells`, but every cell has a bit and an entry in a table, so that one look
at five words tells which of the 24 cells within reach are filled; clusters then spread from cell to cell. A word covers
64 columns of one row of cells and begins 32 after the one before, so that five neighbouring columns are in one word.

`room` is what these kernels write down, one row of it each: numbers of each point's cell in x and y; its cell; the
next point in that cell; and of each cell: its x and y, first point, points, cluster; a stack; whether each point is a
core point; the points of each cluster.
"""

from __future__ import annotations

import numpy as np

from monitor.detect.clustercells import REACH, SUBNORMAL, certain, near, number_cells, side_of
from monitor.kernel import kernel

DONE, UNDECIDED, TOO_LARGE = 0, 1, 2
"""Outcomes: labels; none, since rounding decides; none, since this is a task for `monitor.detect.clusterspace`."""
ROOM = 12
WORDS = 1 << 14
ENTRIES = 1 << 18
"""Most words of a bit map and entries of the table."""
_COMPARED = 4096
"""Comparisons of two cells' points one by one, from which on trees take less."""
_FEW = 16
"""Comparisons up to which nothing is done to save some of them."""
_SWEPT = 256
"""Points up to which it takes less to compare one with all others than to look up those that could be near."""
_SELF = 1 << 12
"""The bit of the cell in the middle of 5 x 5."""
_SEQUENCE = 0x077CB531
"""Its products with the powers of two differ in their upper five bits."""
_PLACE_OF = np.zeros(32, dtype=np.int64)
for _bit in range(32):
    _PLACE_OF[((_SEQUENCE << _bit) & 0xFFFFFFFF) >> 27] = _bit

_SCENE = "float64[::1], float64[::1], float64, int64, int64, int32[:,::1], int64[::1], int32[::1]"
"""x, y, the square of eps, columns of the table, words of a row of cells, room, a bit map, the table."""


@kernel("int64(int64)")
def _lowest(bits):  # type: ignore[no-untyped-def]
    return _PLACE_OF[np.uint64((((bits & -bits) * _SEQUENCE) & 0xFFFFFFFF) >> 27)]


@kernel("int64(int64, int64)")
def _offset(place, wide):  # type: ignore[no-untyped-def]
    """Return how far a cell of 5 x 5 is from their first in the table: (place // 5) * wide + place % 5."""
    return place + ((place * 13) >> 6) * (wide - 5)


@kernel("void(int64[::1], int64, int32, int32)")
def _set(words, stride, x, y):  # type: ignore[no-untyped-def]
    at = y * stride + (x >> 5)
    words[np.uint64(at + 1)] |= np.int64(1) << np.int64(x & 31)
    words[np.uint64(at)] |= np.int64(1) << np.int64((x & 31) + 32)


@kernel("void(int64[::1], int64, int32, int32)")
def _clear(words, stride, x, y):  # type: ignore[no-untyped-def]
    at = y * stride + (x >> 5)
    words[np.uint64(at + 1)] &= ~(np.int64(1) << np.int64(x & 31))
    words[np.uint64(at)] &= ~(np.int64(1) << np.int64((x & 31) + 32))


@kernel("int64(int64[::1], int64, int32, int32)")
def _around(words, stride, x, y):  # type: ignore[no-untyped-def]
    """Return which cells of the 5 x 5 around a cell are set: bit 5 j + i for the one at (x + i - 2, y + j - 2)."""
    at = 1 + (y - REACH) * stride + ((x - REACH) >> 5)
    offset = np.int64((x - REACH) & 31)
    found = (words[np.uint64(at)] >> offset) & 31
    found |= ((words[np.uint64(at + stride)] >> offset) & 31) << 5
    found |= ((words[np.uint64(at + 2 * stride)] >> offset) & 31) << 10
    found |= ((words[np.uint64(at + 3 * stride)] >> offset) & 31) << 15
    found |= ((words[np.uint64(at + 4 * stride)] >> offset) & 31) << 20
    return found


@kernel("int64(float64[::1], float64[::1], int32[::1], int64, int64, float64)")
def _touch_few(x, y, after, a, b, limit):  # type: ignore[no-untyped-def]
    """Say whether any point of the list that begins at a is a neighbour of one of b's: 1, 0 or -1 (open)."""
    verdict = 0
    while a >= 0:
        p = np.uint64(a)
        at = b
        while at >= 0:
            q = np.uint64(at)
            one = near(x[p] - x[q], y[p] - y[q], 0.0, limit)
            if one > 0:
                return 1
            verdict = min(verdict, one)
            at = np.int64(after[q])
        a = np.int64(after[p])
    return verdict


@kernel("int64(float64[::1], float64[::1], int32[::1], int64, int64, float64)")
def _touch_many(x, y, after, a, b, limit):  # type: ignore[no-untyped-def]
    """Do as `_touch_few` for long lists; return -2 if they are too long."""
    verdict = 0
    left, right, low, high = x[b], x[b], y[b], y[b]
    q = b
    while q >= 0:
        left = min(left, x[q])
        right = max(right, x[q])
        low = min(low, y[q])
        high = max(high, y[q])
        q = np.int64(after[q])
    # Most points of a cell are far from all of the other's.
    limit_of_box = limit * (1.0 + 1e-9)
    compared = 0
    while a >= 0:
        dx = max(0.0, max(left - x[a], x[a] - right))
        dy = max(0.0, max(low - y[a], y[a] - high))
        if dx * dx + dy * dy <= limit_of_box:
            q = b
            while q >= 0:
                one = near(x[a] - x[q], y[a] - y[q], 0.0, limit)
                if one > 0:
                    return 1
                verdict = min(verdict, one)
                compared += 1
                q = np.int64(after[q])
            if compared > _COMPARED:
                return -2
        a = np.int64(after[a])
    return verdict


@kernel("UniTuple(int64, 2)(float64[::1], float64[::1], int32[::1], int64, int64, float64)")
def _count(x, y, after, p, b, limit):  # type: ignore[no-untyped-def]
    """Count the neighbours of point p in the list that begins at b: (neighbours, open)."""
    found = 0
    undecided = 0
    own_x, own_y = x[np.uint64(p)], y[np.uint64(p)]
    at = b
    while at >= 0:
        q = np.uint64(at)
        one = near(own_x - x[q], own_y - y[q], 0.0, limit)
        found += one > 0
        undecided += one < 0
        at = np.int64(after[q])
    return found, undecided


@kernel("UniTuple(int64, 2)(float64[::1], float64[::1], float64, float64, float64, float64)")
def _sweep(x, y, own_x, own_y, inside, outside):  # type: ignore[no-untyped-def]
    """Count points that are surely neighbours, and those that may be. See `monitor.detect.clustercells.certain`."""
    surely = 0
    perhaps = 0
    for j in range(x.size):
        dx = own_x - x[j]
        dy = own_y - y[j]
        square = dx * dx + dy * dy
        surely += square <= inside
        perhaps += square <= outside
    return surely, perhaps


@kernel("int64(int32[:,::1], int64, int64, int64, int64[::1], int32[::1])")
def _fill(room, n, wide, stride, filled, table):  # type: ignore[no-untyped-def]
    """Put points into cells; return the number of cells."""
    axis_x, axis_y, cell_of, after, at_x, at_y, head, size = (
        room[0], room[1], room[2], room[3], room[4], room[5], room[6], room[7],
    )  # fmt: skip
    cells = 0
    for i in range(n):
        x = axis_x[i] + np.int32(REACH)
        y = axis_y[i] + np.int32(REACH)
        slot = np.uint64(y * wide + x)
        if (filled[np.uint64(1 + y * stride + (x >> 5))] >> (x & 31)) & 1:
            cell = np.uint64(table[slot])
            after[i] = head[cell]
            size[cell] += 1
        else:
            cell = np.uint64(cells)
            cells += 1
            table[slot] = cell
            _set(filled, stride, x, y)
            at_x[cell] = x
            at_y[cell] = y
            after[i] = -1
            size[cell] = 1
        head[cell] = i
        cell_of[i] = cell
    return cells


@kernel(f"int64({_SCENE}, int64, int64, int64[::1])")
def _find_cores(x, y, limit, wide, stride, room, filled, table, cells, min_samples, cored):  # type: ignore[no-untyped-def]
    """Tell core points, and keep only those in the cells' lists and, in both bit maps, the cells that have some."""
    cell_of, after, at_x, at_y, head, size, core = room[2], room[3], room[4], room[5], room[6], room[7], room[10]
    n = x.size
    compared = 0
    outcome = DONE
    inside, outside = certain(limit)
    for i in range(n):
        cell = np.uint64(cell_of[i])
        found = np.int64(size[cell])
        undecided = 0
        corner = (at_y[cell] - REACH) * wide + at_x[cell] - REACH
        bits = 0
        if found < min_samples:
            bits = _around(filled, stride, at_x[cell], at_y[cell]) & ~_SELF
            within = found
            left = bits
            while left != 0:
                within += size[np.uint64(table[np.uint64(corner + _offset(_lowest(left), wide))])]
                left &= left - 1
            if within < min_samples:
                bits = 0
            elif n <= _SWEPT:
                surely, perhaps = _sweep(x, y, x[i], y[i], inside, outside)
                if surely >= min_samples or perhaps < min_samples:
                    found = surely
                    bits = 0
        while bits != 0 and found < min_samples:
            other = np.uint64(table[np.uint64(corner + _offset(_lowest(bits), wide))])
            bits &= bits - 1
            some, others = _count(x, y, after, i, np.int64(head[other]), limit)
            compared += size[other]
            found += some
            undecided += others
        core[i] = found >= min_samples
        if found < min_samples and found + undecided >= min_samples:
            outcome = UNDECIDED
        if compared > _COMPARED * n:
            return TOO_LARGE
    for i in range(n):
        head[cell_of[i]] = -1
    for i in range(n):
        if core[i]:
            cell = np.uint64(cell_of[i])
            if head[cell] < 0:
                _set(cored, stride, at_x[cell], at_y[cell])
            after[i] = head[cell]
            head[cell] = i
    for empty in range(cells):
        if head[empty] < 0:
            _clear(filled, stride, at_x[empty], at_y[empty])
    return outcome


@kernel(f"UniTuple(int64, 2)({_SCENE}, int64, boolean)")
def _spread(x, y, limit, wide, stride, room, words, table, cells, every):  # type: ignore[no-untyped-def]
    """Give every cell with core points its cluster and count points; return outcome and number of clusters.

    `every`: all points are core points. Cells that have a cluster lose their bit. Clusters are numbered in the order
    of their first core points, and cells are in the order of their first points.
    """
    cell_of, after, at_x, at_y, head = room[2], room[3], room[4], room[5], room[6]
    size, label_of, stack, core, total = room[7], room[8], room[9], room[10], room[11]
    outcome = DONE
    clusters = 0
    label_of[:cells] = -1
    for i in range(cells if every else x.size):
        cell = np.uint64(i) if every else np.uint64(cell_of[i])
        if label_of[cell] >= 0 or (not every and core[i] == 0):
            continue
        label_of[cell] = clusters
        members = 0
        stack[0] = cell
        depth = 1
        while depth > 0:
            depth -= 1
            mine = np.uint64(stack[np.uint64(depth)])
            members += size[mine]
            bits = _around(words, stride, at_x[mine], at_y[mine]) & ~_SELF
            if bits == 0:
                continue
            if mine == cell:
                _clear(words, stride, at_x[cell], at_y[cell])
            corner = (at_y[mine] - REACH) * wide + at_x[mine] - REACH
            while bits != 0:
                place = _lowest(bits)
                bits &= bits - 1
                other = np.uint64(table[np.uint64(corner + _offset(place, wide))])
                if size[mine] * size[other] == 1:
                    a, b = np.uint64(head[mine]), np.uint64(head[other])
                    verdict = near(x[a] - x[b], y[a] - y[b], 0.0, limit)
                elif np.int64(size[mine]) * size[other] <= _FEW:
                    verdict = _touch_few(x, y, after, np.int64(head[mine]), np.int64(head[other]), limit)
                else:
                    verdict = _touch_many(x, y, after, np.int64(head[mine]), np.int64(head[other]), limit)
                if verdict > 0:
                    label_of[other] = clusters
                    _clear(words, stride, at_x[other], at_y[other])
                    stack[np.uint64(depth)] = other
                    depth += 1
                elif verdict < 0:
                    outcome = UNDECIDED if verdict == -1 else TOO_LARGE
        total[np.uint64(clusters)] = members
        clusters += 1
    return outcome, clusters


@kernel(f"int64({_SCENE}, int64, int64[::1])")
def _reach_borders(x, y, limit, wide, stride, room, cored, table, clusters, labels):  # type: ignore[no-untyped-def]
    """Label points that are no core points: by the lowest cluster that reaches them, or as noise."""
    cell_of, after, at_x, at_y, head, label_of, core = room[2], room[3], room[4], room[5], room[6], room[8], room[10]
    for i in range(x.size):
        if core[i]:
            continue
        cell = np.int64(cell_of[i])
        corner = (at_y[cell] - REACH) * wide + at_x[cell] - REACH
        bits = _around(cored, stride, at_x[cell], at_y[cell]) & ~_SELF if clusters > 0 else 0
        best = np.int64(label_of[cell]) if head[cell] >= 0 else clusters
        unsure = clusters
        while bits != 0:
            place = _lowest(bits)
            bits &= bits - 1
            other = np.int64(table[corner + _offset(place, wide)])
            theirs = np.int64(label_of[other])
            if theirs >= best:
                continue
            some, others = _count(x, y, after, i, np.int64(head[other]), limit)
            if some > 0:
                best = theirs
            elif others > 0:
                unsure = min(unsure, theirs)
        if unsure < best:
            return UNDECIDED
        labels[i] = best if best < clusters else -1
    return DONE


@kernel(
    "UniTuple(int64, 2)(float64[::1], float64[::1], float64, int64, int64[::1], int32[:,::1], int64[::1], int64[::1],"
    " int32[::1])"
)
def label_plane(x, y, eps, min_samples, labels, room, filled, cored, table):  # type: ignore[no-untyped-def]
    """Label points in a plane, see `monitor.detect.clusters`; return the outcome and the number of clusters.

    Shapes: x and y (points,), and labels too, or (0,) where they are not wanted; room (ROOM, points); two bit maps, 0
    before and afterwards; the table, whatever it holds. Sets whose cells do not fit these, or are crowded, are
    TOO_LARGE.
    """
    limit = eps * eps
    if np.isinf(limit) or 0.0 < limit < SUBNORMAL:
        return UNDECIDED, 0
    side = side_of(eps, 2)
    wide = number_cells(x, side, room[0]) + 2 * REACH
    high = number_cells(y, side, room[1]) + 2 * REACH
    stride = (wide >> 5) + 2
    if wide * 1.0 * high > table.size or 1.0 + stride * 1.0 * high > filled.size:
        return TOO_LARGE, 0
    cells = _fill(room, x.size, wide, stride, filled, table)
    every = min_samples <= 1
    outcome = DONE
    clusters = 0
    if not every:
        outcome = _find_cores(x, y, limit, wide, stride, room, filled, table, cells, min_samples, cored)
    if outcome == DONE:
        outcome, clusters = _spread(x, y, limit, wide, stride, room, filled, table, cells, every)
    if outcome == DONE:
        cell_of, label_of = room[2], room[8]
        for i in range(labels.size):
            labels[i] = label_of[cell_of[i]]
        if not every:
            outcome = _reach_borders(x, y, limit, wide, stride, room, cored, table, clusters, labels)
    for cell in range(cells):
        at = 1 + room[5, cell] * stride + (room[4, cell] >> 5)
        filled[at - 1] = 0
        filled[at] = 0
        if not every:
            cored[at - 1] = 0
            cored[at] = 0
    return outcome, clusters
