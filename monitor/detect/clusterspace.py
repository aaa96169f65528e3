"""The kernels of `monitor.detect.clusters`: core points, their groups, and the points at the border of those.

Two bundles of arguments go through all of them.

`_GRID`: the numbers of each cell, shape (cells, 3); the table that finds a cell by its numbers, and how (see
`monitor.detect.clustercells.slot_of`); the number of coordinates.

`_VIEW`: the points by cell, shape (points, 3); their order; the first point of each cell; the root of each cell's tree
or -1; the trees' nodes and boxes, and how many are used (see `monitor.detect.clustercells.grow`); a stack to walk them.
"""

from __future__ import annotations

import numpy as np

from monitor.detect.clustercells import (
    CROWDED,
    REACH,
    SUBNORMAL,
    count_in_tree,
    count_listed,
    find_cell,
    grow,
    near,
    number_cells,
    side_of,
    slot_of,
)
from monitor.kernel import kernel

_GRID = "int32[:,::1], int32[::1], int64, int64, int64, int64"
_VIEW = "float64[:,::1], int32[::1], int32[::1], int32[::1], int32[:,::1], float64[:,::1], int64[::1], int32[::1]"
_TRIED = 8
"""Points of each of two cells that are compared before anything is built to do it faster."""
_DEPTH = 128
"""Of the stack: trees halve their points at every level."""
_AROUND = 128
"""More than the cells within reach of one, (2 REACH + 1)^3."""
_PLAIN = 1 << 17
"""Entries of a table with a place for every possible cell, beyond 8 a point, before hashing takes less."""


@kernel(f"UniTuple(int64, 2)({_VIEW}, int64, int64, float64, float64, float64, float64, int64)")
def _count(  # type: ignore[no-untyped-def]
    points, order, start, root, nodes, boxes, used, stack, cell, size, x, y, z, limit, needed
):
    """Count neighbours of (x, y, z) among the first `size` points of a cell until there are enough."""
    first = np.int64(start[cell])
    if size <= CROWDED:
        return count_listed(points, first, first + size, x, y, z, limit, needed)
    if root[cell] < 0:
        root[cell] = used[0]
        used[0] = grow(points, order, first, first + size, nodes, boxes, used[0])
    return count_in_tree(points, nodes, boxes, np.int64(root[cell]), stack, x, y, z, limit, needed)


@kernel(f"int64({_VIEW}, int64, int64, int64, int64, float64)")
def _touch(  # type: ignore[no-untyped-def]
    points, order, start, root, nodes, boxes, used, stack, a, size_a, b, size_b, limit
):
    """Say whether any of the first points of cell a is a neighbour of one of b's: 1, 0, or -1 if that is open."""
    if size_a > size_b:
        a, b = b, a
        size_a, size_b = size_b, size_a
    first, second = np.int64(start[a]), np.int64(start[b])
    verdict = 0
    for i in range(first, first + min(size_a, _TRIED)):
        for j in range(second, second + min(size_b, _TRIED)):
            one = near(points[i, 0] - points[j, 0], points[i, 1] - points[j, 1], points[i, 2] - points[j, 2], limit)
            if one > 0:
                return 1
            verdict = min(verdict, one)
    if size_b <= _TRIED:
        return verdict
    verdict = 0
    for i in range(first, first + size_a):
        x, y, z = points[i, 0], points[i, 1], points[i, 2]
        found, undecided = _count(points, order, start, root, nodes, boxes, used, stack, b, size_b, x, y, z, limit, 1)
        if found > 0:
            return 1
        if undecided > 0:
            verdict = -1
    return verdict


@kernel("int64(int32[::1], int64)")
def _root_of(parent, cell):  # type: ignore[no-untyped-def]
    while parent[cell] != cell:
        parent[cell] = parent[parent[cell]]
        cell = np.int64(parent[cell])
    return cell


@kernel(f"int64({_GRID}, int64, boolean, int32[::1])")
def _around(  # type: ignore[no-untyped-def]
    numbers, table, bits, columns, planes, dimensions, cell, later, found
):
    """List the filled cells within reach of a cell, only the `later` half of them or all others; return how many."""
    count = 0
    up = REACH if dimensions > 1 else 0
    deep = REACH if dimensions > 2 else 0
    x, y, z = numbers[cell, 0], numbers[cell, 1], numbers[cell, 2]
    middle = slot_of(columns, planes, x, y, z)
    for k in range(0 if later else -deep, deep + 1):
        for j in range(0 if later and k == 0 else -up, up + 1):
            first = 1 if later and k == 0 and j == 0 else -REACH
            if bits == 0:
                row = middle + k * planes + j * columns
                for slot in range(row + first, row + REACH + 1):
                    # Writing before counting costs less than a branch that nothing can predict.
                    found[count] = table[slot]
                    count += (found[count] >= 0) & (slot != middle)
                continue
            for i in range(first, REACH + 1):
                if i != 0 or j != 0 or k != 0:
                    other = find_cell(numbers, table, bits, np.int32(x + i), np.int32(y + j), np.int32(z + k))
                    if other >= 0:
                        found[count] = other
                        count += 1
    return count


@kernel(
    f"int64({_GRID}, {_VIEW}, int64, int64, float64, int32[::1], boolean[::1], int32[::1])",
)
def _find_cores(  # type: ignore[no-untyped-def]
    numbers, table, bits, columns, planes, dimensions,
    points, order, start, root, nodes, boxes, used, stack,
    cells, min_samples, limit, cores, core, around,
):  # fmt: skip
    """Tell core points (`core`, by point) and count them (`cores`, by cell); they then come first in their cell.

    Return 1 if rounding decides.
    """
    for cell in range(cells):
        size = np.int64(start[cell + 1] - start[cell])
        cores[cell] = size
        if size >= min_samples:
            for i in range(start[cell], start[cell + 1]):
                core[order[i]] = True
            continue
        count = _around(numbers, table, bits, columns, planes, dimensions, cell, False, around)
        within = size
        for other in around[:count]:
            within += start[other + 1] - start[other]
        cores[cell] = 0
        for i in range(start[cell], start[cell + 1]):
            found = size
            undecided = 0
            if within >= min_samples:
                x, y, z = points[i, 0], points[i, 1], points[i, 2]
                for other in around[:count]:
                    some, others = _count(
                        points, order, start, root, nodes, boxes, used, stack,
                        np.int64(other), np.int64(start[other + 1] - start[other]), x, y, z, limit, min_samples - found,
                    )  # fmt: skip
                    found += some
                    undecided += others
                    if found >= min_samples:
                        break
            core[order[i]] = found >= min_samples
            if found >= min_samples:
                cores[cell] += 1
            elif found + undecided >= min_samples:
                return 1
    for cell in range(cells):
        if 0 < cores[cell] < start[cell + 1] - start[cell]:
            # A tree of all points is none of the core points.
            root[cell] = -1
            front = np.int64(start[cell])
            for i in range(start[cell], start[cell + 1]):
                if core[order[i]]:
                    for k in range(3):
                        points[i, k], points[front, k] = points[front, k], points[i, k]
                    order[i], order[front] = order[front], order[i]
                    front += 1
    return 0


@kernel(f"int64({_GRID}, {_VIEW}, int64, float64, int32[::1], int32[::1], int32[::1])")
def _join(  # type: ignore[no-untyped-def]
    numbers, table, bits, columns, planes, dimensions,
    points, order, start, root, nodes, boxes, used, stack,
    cells, limit, cores, parent, around,
):  # fmt: skip
    """Join the cells whose core points are neighbours; a group's parent is its first cell.

    The core points of one cell are neighbours, so only cells have to be joined. Return 1 if rounding decides.
    """
    for cell in range(cells):
        parent[cell] = cell
    for cell in range(cells):
        if cores[cell] == 0:
            continue
        count = _around(numbers, table, bits, columns, planes, dimensions, cell, True, around)
        for other in around[:count]:
            if cores[other] == 0:
                continue
            mine = _root_of(parent, cell)
            theirs = _root_of(parent, np.int64(other))
            if mine == theirs:
                continue
            verdict = _touch(
                points, order, start, root, nodes, boxes, used, stack,
                cell, np.int64(cores[cell]), np.int64(other), np.int64(cores[other]), limit,
            )  # fmt: skip
            if verdict < 0:
                return 1
            if verdict > 0:
                parent[max(mine, theirs)] = min(mine, theirs)
    for cell in range(cells):
        # Parents come before their children, and so have theirs already.
        parent[cell] = parent[parent[cell]]
    return 0


@kernel(f"int64({_GRID}, {_VIEW}, int64, int64, float64, int32[::1], int32[::1], int32[::1], int32[::1], int64[::1])")
def _reach_borders(  # type: ignore[no-untyped-def]
    numbers, table, bits, columns, planes, dimensions,
    points, order, start, root, nodes, boxes, used, stack,
    cells, clusters, limit, cores, parent, number, around, labels,
):  # fmt: skip
    """Label points that are no core points but neighbours of one; return 1 if rounding decides."""
    for cell in range(cells):
        if cores[cell] == start[cell + 1] - start[cell]:
            continue
        count = _around(numbers, table, bits, columns, planes, dimensions, cell, False, around)
        own = np.int64(number[parent[cell]]) if cores[cell] > 0 else clusters
        for i in range(start[cell] + cores[cell], start[cell + 1]):
            best = own
            unsure = clusters
            x, y, z = points[i, 0], points[i, 1], points[i, 2]
            for other in around[:count]:
                theirs = np.int64(number[parent[other]])
                if cores[other] == 0 or theirs >= best:
                    continue
                some, others = _count(
                    points, order, start, root, nodes, boxes, used, stack,
                    np.int64(other), np.int64(cores[other]), x, y, z, limit, 1,
                )  # fmt: skip
                if some > 0:
                    best = theirs
                elif others > 0:
                    unsure = min(unsure, theirs)
            if unsure < best:
                return 1
            labels[order[i]] = best if best < clusters else -1
    return 0


@kernel("int64(float64[:,::1], float64, int64, int64[::1])")
def label_any(coordinates, eps, min_samples, labels):  # type: ignore[no-untyped-def]
    """Label points of up to three coordinates; return 1 if rounding decides, and the labels mean nothing.

    Shapes: (coordinates, points) and (points,).
    """
    dimensions, n = coordinates.shape
    limit = eps * eps
    if np.isinf(limit) or 0.0 < limit < SUBNORMAL:
        return 1
    side = side_of(eps, dimensions)
    axes = np.zeros((3, n), dtype=np.int32)
    size = 1.0
    extent = 1
    columns = 0
    planes = 0
    for k in range(dimensions):
        columns = extent if k == 1 else columns
        planes = extent if k == 2 else planes
        wide = number_cells(coordinates[k], side, axes[k]) + 2 * REACH
        extent *= wide
        size *= wide
    bits = 0
    if size > 8.0 * n + _PLAIN:
        bits = 2
        while (1 << bits) < 2 * n:
            bits += 1
        size = 2.0**bits
    table = np.full(int(size), -1, dtype=np.int32)
    numbers = np.empty((n, 3), dtype=np.int32)
    cell_of = np.empty(n, dtype=np.int32)
    cores = np.zeros(n, dtype=np.int32)
    cells = 0
    if bits == 0:
        # Row after row, so that what is near is near in memory.
        for i in range(n):
            cell_of[i] = slot_of(columns, planes, axes[0, i], axes[1, i], axes[2, i])
            table[cell_of[i]] = 0
        for slot in range(table.size):
            if table[slot] == 0:
                table[slot] = cells
                cells += 1
        for i in range(n):
            cell_of[i] = table[cell_of[i]]
    else:
        for i in range(n):
            cell = find_cell(numbers, table, bits, axes[0, i], axes[1, i], axes[2, i])
            if cell < 0:
                table[-1 - cell] = cells
                cell = cells
                cells += 1
                numbers[cell, :] = axes[:, i]
            cell_of[i] = cell
    for i in range(n):
        numbers[cell_of[i], :] = axes[:, i]
        cores[cell_of[i]] += 1
    start = np.empty(cells + 1, dtype=np.int32)
    start[0] = 0
    for cell in range(cells):
        start[cell + 1] = start[cell] + cores[cell]
    points = np.zeros((n, 3))
    order = np.empty(n, dtype=np.int32)
    filled = start[:cells].copy()
    for i in range(n):
        at = int(filled[cell_of[i]])
        filled[cell_of[i]] += 1
        order[at] = i
        for k in range(dimensions):
            points[at, k] = coordinates[k, i]
    root = np.full(cells, -1, dtype=np.int32)
    parent = np.empty(cells, dtype=np.int32)
    number = np.full(cells, -1, dtype=np.int32)
    core = np.ones(n, dtype=np.bool_)
    around = np.empty(_AROUND, dtype=np.int32)
    nodes = np.empty((n // 2 + 2, 3), dtype=np.int32)
    boxes = np.empty((n // 2 + 2, 6))
    grid = (numbers, table, bits, columns, planes, dimensions)
    view = (points, order, start, root, nodes, boxes, np.zeros(1, dtype=np.int64), np.empty(_DEPTH, dtype=np.int32))
    if min_samples > 1 and _find_cores(*grid, *view, cells, min_samples, limit, cores, core, around) != 0:
        return 1
    if _join(*grid, *view, cells, limit, cores, parent, around) != 0:
        return 1
    clusters = 0
    for i in range(n):
        labels[i] = -1
        if core[i]:
            cell = int(parent[cell_of[i]])
            if number[cell] < 0:
                number[cell] = clusters
                clusters += 1
            labels[i] = number[cell]
    return _reach_borders(*grid, *view, cells, clusters, limit, cores, parent, number, around, labels)
