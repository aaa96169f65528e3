"""Points in cells so small that all points of one cell are neighbours: what the clustering of `clusters` walks over.

A point is a neighbour if ``dx*dx + dy*dy + dz*dz <= eps*eps``, each operation rounded to float64, as in the leaves of
scikit-learn's trees. Where rounding could matter, that is within some units in the last place of the limit,
scikit-learn's answer also depends on the layout of its tree; such a pair is *open* here unless the arithmetic was
exact. Cells that hold many points get a k-d tree of their own when they are first searched, so that two crowded cells
never cost the product of their sizes.
"""

from __future__ import annotations

import numpy as np

from monitor.kernel import kernel

REACH = 2
"""Points in cells whose numbers differ by more, on any axis, are never neighbours."""
_SHRINK = 1.0 - 2e-6
"""Of the cell's side, so that rounding in a point's cell number cannot put two points in a cell that are too far."""
_NUMBERS = 2.0**30
"""Cell numbers from which on rounding would use up that margin."""
SUBNORMAL = 1e-290
"""Squares this small may lose digits."""
_BAND = 4e-15
"""Relative half width of what rounding could decide; the largest error of scikit-learn's is below 1e-15."""
CROWDED = 32
"""Points that are searched one by one; a cell of more gets a tree."""


@kernel("float64(float64, int64)")
def side_of(eps, dimensions):  # type: ignore[no-untyped-def]
    """Return the side of a cell whose diagonal is just below eps."""
    return eps / np.sqrt(dimensions) * _SHRINK


@kernel("UniTuple(float64, 2)(float64[::1])", fastmath=frozenset({"nnan", "nsz", "reassoc"}))
def extent_of(values):  # type: ignore[no-untyped-def]
    """Return the smallest and largest of some values, none of them NaN, so that order does not matter. Shape: (n,)."""
    low = values[0]
    high = values[0]
    for v in values:
        low = v if v < low else low
        high = v if v > high else high
    return low, high


@kernel("int64(float64[::1], float64, int32[::1])")
def number_cells(values, side, numbers):  # type: ignore[no-untyped-def]
    """Write the number of the interval that each value lies in; return how many numbers there are.

    Shape of both arrays: (points,). Values of one interval differ by at most `side`, those of intervals whose numbers
    differ by 3 by more than twice that. Where the range is too many sides for a regular division, intervals begin at
    the first value that the one before does not hold: numbers stay below the number of points.
    """
    low, high = extent_of(values)
    if side > 1e-300 and high - low < side * _NUMBERS:
        inverse = 1.0 / side
        for i in range(values.size):
            numbers[i] = np.int32((values[i] - low) * inverse)
        return np.int64((high - low) * inverse) + 1
    number = 0
    start = low
    for i in np.argsort(values):
        if values[i] - start > side:
            number += 1
            start = values[i]
        numbers[i] = number
    return number + 1


@kernel("int64(int32, int32, int32, int64)")
def _hashed(x, y, z, bits):  # type: ignore[no-untyped-def]
    # Numbers are below 2^31 and the primes below 2^30: nothing overflows.
    key = (np.int64(x) * 862150319) ^ (np.int64(y) * 517840931) ^ (np.int64(z) * 715225739)
    return (key ^ (key >> 21) ^ (key >> 37)) & ((1 << bits) - 1)


@kernel("int64(int64, int64, int32, int32, int32)")
def slot_of(columns, planes, x, y, z):  # type: ignore[no-untyped-def]
    """Return the place of a cell in a table that has one for each, and for REACH more at every edge.

    A row is `columns` long, a plane `planes`; one of those is 0 where points have no such coordinate.
    """
    below = np.int64(y + (REACH if columns > 0 else 0)) * columns
    return np.int64(x) + REACH + below + np.int64(z + (REACH if planes > 0 else 0)) * planes


@kernel("int64(int32[:,::1], int32[::1], int64, int32, int32, int32)")
def find_cell(numbers, table, bits, x, y, z):  # type: ignore[no-untyped-def]
    """Return the cell of these numbers, or -1 - (the table's free slot for it). Shape of `numbers`: (cells, 3)."""
    slot = _hashed(x, y, z, bits)
    while True:
        cell = table[slot]
        if cell < 0:
            return -1 - slot
        if numbers[cell, 0] == x and numbers[cell, 1] == y and numbers[cell, 2] == z:
            return np.int64(cell)
        slot = (slot + 1) & (table.size - 1)


@kernel("UniTuple(float64, 2)(float64)")
def certain(limit):  # type: ignore[no-untyped-def]
    """Return up to which squared distance points are neighbours, and beyond which they are not, whatever the rounding.

    Between the two, `near` knows more.
    """
    band = _BAND * limit + (1e-300 if limit < SUBNORMAL else 0.0)
    return max(0.0, limit - band), limit + band


@kernel("int64(float64, float64, float64, float64)")
def near(dx, dy, dz, limit):  # type: ignore[no-untyped-def]
    """Return 1 for neighbours, 0 for others, -1 where the layout of scikit-learn's tree decides."""
    a, b, c = dx * dx, dy * dy, dz * dz
    plane = a + b
    s = plane + c
    inside, outside = certain(limit)
    if s > outside:
        return 0
    if s <= inside:
        return 1
    if limit < SUBNORMAL:
        return -1
    if int(dx != 0.0) + int(dy != 0.0) + int(dz != 0.0) == 1:
        # The root of a rounded square is the number again: no order of operations sees another distance.
        return 1 if s <= limit else 0
    exact = np.float32(dx) == dx and np.float32(dy) == dy and np.float32(dz) == dz
    exact = exact and plane - max(a, b) == min(a, b) and s - max(plane, c) == min(plane, c)
    return 1 if exact and s <= limit else -1


@kernel("void(float64[:,::1], int32[::1], int64, int64, int64, int64)")
def _select(points, order, first, last, middle, axis):  # type: ignore[no-untyped-def]
    """Reorder points first..last-1 so that none before `middle` is larger on the axis, and none after is smaller."""
    low = first
    high = last - 1
    while low < high:
        pivot = points[(low + high) // 2, axis]
        i = low
        j = high
        while i <= j:
            while points[i, axis] < pivot:
                i += 1
            while points[j, axis] > pivot:
                j -= 1
            if i <= j:
                for k in range(3):
                    points[i, k], points[j, k] = points[j, k], points[i, k]
                order[i], order[j] = order[j], order[i]
                i += 1
                j -= 1
        if middle <= j:
            high = j
        elif middle >= i:
            low = i
        else:
            return


@kernel("int64(float64[:,::1], int32[::1], int64, int64, int32[:,::1], float64[:,::1], int64)")
def grow(points, order, first, last, nodes, boxes, used):  # type: ignore[no-untyped-def]
    """Build the tree of points first..last-1 at node `used`; return the number of nodes then used.

    A node is (first, last, first child or -1), its box (lowest x, y, z, highest x, y, z). Shapes: (nodes, 3) and
    (nodes, 6). The points are reordered, `order` with them.
    """
    nodes[used, 0] = first
    nodes[used, 1] = last
    at = used
    used += 1
    while at < used:
        first = np.int64(nodes[at, 0])
        last = np.int64(nodes[at, 1])
        axis = 0
        for k in range(3):
            low = points[first, k]
            high = low
            for i in range(first + 1, last):
                low = min(low, points[i, k])
                high = max(high, points[i, k])
            boxes[at, k] = low
            boxes[at, 3 + k] = high
            if high - low > boxes[at, 3 + axis] - boxes[at, axis]:
                axis = k
        nodes[at, 2] = -1
        if last - first > CROWDED and boxes[at, 3 + axis] > boxes[at, axis]:
            middle = (first + last) // 2
            _select(points, order, first, last, middle, axis)
            nodes[at, 2] = used
            nodes[used, 0] = first
            nodes[used, 1] = middle
            nodes[used + 1, 0] = middle
            nodes[used + 1, 1] = last
            used += 2
        at += 1
    return used


@kernel("UniTuple(int64, 2)(float64[:,::1], int64, int64, float64, float64, float64, float64, int64)")
def count_listed(points, first, last, x, y, z, limit, needed):  # type: ignore[no-untyped-def]
    """Count neighbours of (x, y, z) among points first..last-1 until there are enough: (neighbours, open)."""
    found = 0
    undecided = 0
    for i in range(first, last):
        verdict = near(points[i, 0] - x, points[i, 1] - y, points[i, 2] - z, limit)
        if verdict > 0:
            found += 1
            if found >= needed:
                break
        elif verdict < 0:
            undecided += 1
    return found, undecided


@kernel(
    "UniTuple(int64, 2)(float64[:,::1], int32[:,::1], float64[:,::1], int64, int32[::1], float64, float64, float64,"
    " float64, int64)"
)
def count_in_tree(points, nodes, boxes, root, stack, x, y, z, limit, needed):  # type: ignore[no-untyped-def]
    """Count neighbours of (x, y, z) in a tree until there are enough: (neighbours, open)."""
    inside = limit * (1.0 - 2.0 * _BAND)
    outside = limit * (1.0 + 2.0 * _BAND) + (1e-300 if limit < SUBNORMAL else 0.0)
    found = 0
    undecided = 0
    stack[0] = root
    depth = 1
    while depth > 0 and found < needed:
        depth -= 1
        node = stack[depth]
        nearest = 0.0
        farthest = 0.0
        for k in range(3):
            at = x if k == 0 else (y if k == 1 else z)
            below = boxes[node, k] - at
            above = at - boxes[node, 3 + k]
            gap = max(0.0, max(below, above))
            most = max(abs(below), abs(above))
            nearest += gap * gap
            farthest += most * most
        first = np.int64(nodes[node, 0])
        last = np.int64(nodes[node, 1])
        if nearest > outside:
            continue
        if farthest <= inside:
            found += int(last - first)
        elif nodes[node, 2] >= 0:
            stack[depth] = nodes[node, 2]
            stack[depth + 1] = nodes[node, 2] + 1
            depth += 2
        elif last - first > CROWDED:
            # A leaf of so many points is one place.
            verdict = near(points[first, 0] - x, points[first, 1] - y, points[first, 2] - z, limit)
            if verdict > 0:
                found += int(last - first)
            elif verdict < 0:
                undecided += int(last - first)
        else:
            some, others = count_listed(points, first, last, x, y, z, limit, needed - found)
            found += some
            undecided += others
    return found, undecided
