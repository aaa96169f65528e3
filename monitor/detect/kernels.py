"""The kernels of the expectation detector: significances over windows of every shape.

Sums (counts, weights, rates): the deviation of a window S at exposure e is the sum of x - e m over its bins, taken
from one plane of running sums. Its variance is e (1 + e/E) p_S + e^2 q_S, where p_S and q_S, the statistical and
the systematic variance at unit exposure, stand in the reference's tables for every window (`monitor.infer.Windows`)
and E is the sum of the references' exposures. So most windows cost four loads, two table values and one comparison;
only those beyond `CLOSE` standard deviations get an exact significance.

Profiles: every map brings its own errors, so three planes are summed, each bin weighted by the inverse of its
variance, which makes a window's sum its best mean: deviation, weight and expected. The significance of a window is
sum(deviation) / sqrt(sum(weight) + (c sum(expected))^2), c the relative scatter that a window's bins share.
"""

from __future__ import annotations

import numpy as np

from monitor.detect.significance import significance
from monitor.kernel import REORDERED, array_at, kernel, pointer_to
from monitor.normalise.exposure import exposure_of

CLOSE = 3.5
"""Standard deviations beyond which a window of counts gets its exact significance."""
WIDE = 1.5
"""Standard deviations whose excess over `WIDE_SHARE` of the bins makes a map odd as a whole."""
WIDE_SHARE = 0.3
"""Of bins whose pulls are 1.5 times too wide 0.32 lie beyond 1.5, of good ones 0.13."""
LOG_FLOOR = 1e-3
"""Least ratio to the expectation that the log domain tells apart."""


@kernel("void(float64[::1], int64, int64, float64[:,::1])")
def running_sums(plane, nx, ny, sums):  # type: ignore[no-untyped-def]
    """Sum a plane, shape (nx * ny,), over all bins below each corner. Out: `sums`. Shape: (nx + 1, ny + 1)."""
    for j in range(ny + 1):
        sums[0, j] = 0.0
    for i in range(nx):
        row = 0.0
        sums[i + 1, 0] = 0.0
        for j in range(ny):
            row += plane[i * ny + j]
            sums[i + 1, j + 1] = sums[i, j + 1] + row


@kernel(
    "void(float64[::1], float64[::1], float64[::1], float64[::1], int64, int64, int64[:,::1], float64[::1],"
    " float64[::1], boolean, float64[::1], int64[:,::1])",
)
def scan_means(  # type: ignore[no-untyped-def]
    deviation, weight, expected, systematic, nx, ny, sizes, coherent, dof, skewed, best, place
):
    """Find the most significant window of every scale in one profile.

    Parameters
    ----------
    deviation, weight, expected
        Weighted planes, see the module; 0 in bins that do not count. Shape: (nx * ny,).
    systematic
        Relative systematic of each bin. Shape: (nx * ny,).
    sizes
        Window sizes in bins of x and y. Shape: (scales, 2).
    coherent
        Relative scatter that the bins of a window share; that of single bins is in `weight`. Shape: (scales,).
    dof
        Degrees of freedom of the systematic. Shape: (scales,).
    skewed
        Whether few entries have a tail upwards.
    best
        Out: signed significance. Shape: (scales,).
    place
        Out: first bin (x, y) of the window. Shape: (scales, 2).
    """
    sum_d = np.empty((nx + 1, ny + 1))
    sum_v = np.empty((nx + 1, ny + 1))
    sum_m = np.empty((nx + 1, ny + 1))
    running_sums(deviation, nx, ny, sum_d)
    running_sums(weight, nx, ny, sum_v)
    running_sums(expected, nx, ny, sum_m)
    # Differences of sums leave rounding where a window is empty.
    nothing = 1e-9 * sum_v[nx, ny]
    for k in range(sizes.shape[0]):
        wx = sizes[k, 0]
        wy = sizes[k, 1]
        best[k] = 0.0
        place[k, 0] = 0
        place[k, 1] = 0
        for i in range(nx - wx + 1):
            for j in range(ny - wy + 1):
                if wx * wy == 1:
                    bin_ = i * ny + j
                    d = deviation[bin_]
                    mu = expected[bin_]
                    v = weight[bin_]
                    common = (systematic[bin_] * mu) ** 2
                else:
                    d = sum_d[i + wx, j + wy] - sum_d[i, j + wy] - sum_d[i + wx, j] + sum_d[i, j]
                    mu = sum_m[i + wx, j + wy] - sum_m[i, j + wy] - sum_m[i + wx, j] + sum_m[i, j]
                    v = sum_v[i + wx, j + wy] - sum_v[i, j + wy] - sum_v[i + wx, j] + sum_v[i, j]
                    common = coherent[k] * coherent[k] * mu * mu
                    v += common
                # No tail of a mean is more significant than its pull.
                if v <= nothing or d * d <= best[k] * best[k] * v:
                    continue
                z = significance(d, v, mu if skewed else 0.0, False, common, dof[k])
                if abs(z) > abs(best[k]):
                    best[k] = z
                    place[k, 0] = i
                    place[k, 1] = j


@kernel("float64(uint64, uint64[::1], float64, int64)")
def _exposure_at(content, addresses, dispersion, bins):  # type: ignore[no-untyped-def]
    return exposure_of(
        array_at(pointer_to(content), (bins,), np.float64),
        array_at(pointer_to(addresses[2]), (np.int64(addresses[8]),), np.int32),
        array_at(pointer_to(addresses[3]), (np.int64(addresses[9]),), np.float64),
        array_at(pointer_to(addresses[4]), (np.int64(addresses[10]),), np.int32),
        dispersion,
    )


@kernel("void(uint64[::1], uint64[:,::1], float64[:,::1], int64, float64[::1])")
def exposures_at(contents, addresses, numbers, bins, exposure):  # type: ignore[no-untyped-def]
    """Fit the exposures of maps of different references, see `judge_counts`. Out: `exposure`. Shape: (maps,)."""
    for m in range(contents.size):
        exposure[m] = _exposure_at(contents[m], addresses[m], numbers[m, 0], bins)


@kernel("int64(float64[::1], float64[::1], float64, boolean, boolean[::1], float64[::1])", fastmath=REORDERED)
def deviations(contents, rate, exposure, logarithmic, live, deviation):  # type: ignore[no-untyped-def]
    """Compare a map with its expectation; return the number of live bins at zero. Shape of all arrays: (bins,).

    In the log domain the deviation is mu log(x / mu), which is x - mu where the two are close.
    """
    silent = 0
    if logarithmic:
        for i in range(contents.size):
            mu = exposure * rate[i]
            deviation[i] = 0.0
            if live[i] and mu > 0.0:
                deviation[i] = mu * np.log(max(contents[i] / mu, LOG_FLOOR))
                silent += contents[i] == 0.0
        return silent
    for i in range(contents.size):
        on = 1.0 if live[i] else 0.0
        deviation[i] = on * (contents[i] - exposure * rate[i])
        silent += live[i] and contents[i] == 0.0
    return silent


@kernel(
    "int64(float64[::1], float64[::1], float64[::1], float64[::1], float32[::1], float32[::1], float64, float64, "
    "float64)",
    fastmath=REORDERED,
)
def _beyond(above_right, below_right, above_left, below_left, p, q, a, b, square):  # type: ignore[no-untyped-def]
    # Counting instead of branching lets the loop run over several windows at once.
    hits = 0
    for j in range(p.size):
        d = above_right[j] - below_right[j] - above_left[j] + below_left[j]
        hits += d * d > square * (a * p[j] + b * q[j])
    return hits


@kernel("int64(float64[::1], float32[::1], float32[::1], float64, float64, float64)", fastmath=REORDERED)
def _beyond_bins(deviation, p, q, a, b, square):  # type: ignore[no-untyped-def]
    hits = 0
    for j in range(p.size):
        hits += deviation[j] * deviation[j] > square * (a * p[j] + b * q[j])
    return hits


@kernel(
    "void(float64[::1], float64[:,::1], float64[::1], float64, int64, int64, int64[:,::1], int64[::1], float32[::1],"
    " float32[::1], float64[::1], float64, boolean, float64, float64[::1], int64[:,::1])",
)
def scan_counts(  # type: ignore[no-untyped-def]
    deviation, sums, rate, exposure, nx, ny, sizes, offsets, p, q, dof, total_exposure, counts, close, best, place
):
    """Find the most significant window of every scale in one map of sums.

    Parameters
    ----------
    deviation
        Of each bin, see `deviations`. Shape: (nx * ny,).
    sums
        Its `running_sums`. Shape: (nx + 1, ny + 1).
    rate
        Expected content per unit exposure. Shape: (nx * ny,).
    sizes, offsets
        See `monitor.infer.windows.WindowSet`. Shapes: (scales, 2) and (scales + 1,).
    p, q
        Statistical and systematic variance of every window at unit exposure. Shape: (windows,).
    dof
        Degrees of freedom of the systematic. Shape: (scales,).
    total_exposure
        Sum of the references' exposures.
    counts
        Whether sums have the tails of counts.
    close
        Standard deviations beyond which a window gets its exact significance, usually `CLOSE`.
    best
        Out: signed significance, 0 where none is beyond `close`. Shape: (scales,).
    place
        Out: first bin (x, y) of the window. Shape: (scales, 2).
    """
    a = exposure * (1.0 + exposure / total_exposure)
    b = exposure * exposure
    square = close * close
    for k in range(sizes.shape[0]):
        wx = sizes[k, 0]
        wy = sizes[k, 1]
        columns = ny - wy + 1
        best[k] = 0.0
        place[k, 0] = 0
        place[k, 1] = 0
        for i in range(nx - wx + 1):
            first = offsets[k] + i * columns
            p_row = p[first : first + columns]
            q_row = q[first : first + columns]
            if wx * wy == 1:
                if _beyond_bins(deviation[i * ny : i * ny + ny], p_row, q_row, a, b, square) == 0:
                    continue
            elif (
                _beyond(
                    sums[i + wx, wy : wy + columns],
                    sums[i, wy : wy + columns],
                    sums[i + wx, :columns],
                    sums[i, :columns],
                    p_row,
                    q_row,
                    a,
                    b,
                    square,
                )
                == 0
            ):
                continue
            for j in range(columns):
                if wx * wy == 1:
                    d = deviation[i * ny + j]
                else:
                    d = sums[i + wx, j + wy] - sums[i, j + wy] - sums[i + wx, j] + sums[i, j]
                systematic = b * q_row[j]
                variance = a * p_row[j] + systematic
                # A deficit's deviance exceeds its squared pull, but by less than half of it; an excess's never does.
                if not d * d > max(square, 0.5 * best[k] * best[k]) * variance:
                    continue
                mu = 0.0
                for ii in range(i, i + wx):
                    for jj in range(j, j + wy):
                        mu += rate[ii * ny + jj]
                z = significance(d, variance, exposure * mu, counts, systematic, dof[k])
                if abs(z) > abs(best[k]):
                    best[k] = z
                    place[k, 0] = i
                    place[k, 1] = j


@kernel(
    "void(float64[:,::1], float64[:,::1], float64[:,::1], float64, int64, int64, int64[:,::1], int64[::1],"
    " float32[::1], float32[::1], float64[::1], float64, boolean, float64[::1], float64[::1], int64[:,::1])",
)
def scan_without(  # type: ignore[no-untyped-def]
    sums, left, whole, exposure, nx, ny, sizes, offsets, p, q, dof, total_exposure, counts, best, raw, place
):
    """Find the most significant window of every scale where some bins are left out.

    Parameters
    ----------
    sums
        `running_sums` of the deviations, 0 in bins left out. Shape: (nx + 1, ny + 1).
    left, whole
        `running_sums` of the rates that are left, and of all.
    raw
        Out: that significance as if the systematic were known well, which compares with that of other scales.
        Shape: (scales,).

    Other parameters as in `scan_counts`. A window's statistical variance shrinks with the share of its rate that is
    left, its systematic with the square of that share; windows of which less than half is left are passed over.
    """
    a = exposure * (1.0 + exposure / total_exposure)
    b = exposure * exposure
    for k in range(sizes.shape[0]):
        wx = sizes[k, 0]
        wy = sizes[k, 1]
        columns = ny - wy + 1
        best[k] = 0.0
        raw[k] = 0.0
        place[k, 0] = 0
        place[k, 1] = 0
        for i in range(nx - wx + 1):
            for j in range(columns):
                d = sums[i + wx, j + wy] - sums[i, j + wy] - sums[i + wx, j] + sums[i, j]
                some = left[i + wx, j + wy] - left[i, j + wy] - left[i + wx, j] + left[i, j]
                every = whole[i + wx, j + wy] - whole[i, j + wy] - whole[i + wx, j] + whole[i, j]
                if not some >= 0.5 * every or every <= 0.0:
                    continue
                share = some / every
                window = offsets[k] + i * columns + j
                systematic = b * q[window] * share * share
                variance = a * p[window] * share + systematic
                if not d * d > max(1.0, 0.5 * best[k] * best[k]) * variance:
                    continue
                z = significance(d, variance, exposure * some, counts, systematic, dof[k])
                if abs(z) > abs(best[k]):
                    best[k] = z
                    raw[k] = significance(d, variance, exposure * some, counts, 0.0, 1.0)
                    place[k, 0] = i
                    place[k, 1] = j


@kernel(
    "void(uint64[::1], uint64[:,::1], float64[:,::1], float64[::1], int64, int64, int64[:,::1], int64[::1],"
    " float64[::1], float64[::1], int64[::1], float64, float64[:,::1], boolean[::1])",
)
def judge_counts(  # type: ignore[no-untyped-def]
    contents, addresses, numbers, exposure, nx, ny, sizes, offsets, new_life, silent, silent_bins, close, best, odd
):
    """Scan maps of sums, of one shape but each with its own reference, in one call that holds no GIL.

    Parameters
    ----------
    contents
        Addresses of the maps' contents, float64, (nx * ny,) each. Shape: (maps,).
    addresses, numbers
        The references' tables, see `monitor.infer.reference.Table`. Shapes: (maps, 11) and (maps, 4). Where a model
        speaks, the address of the rate is that of its answer.
    exposure
        In and out: the exposures that are known; where it is negative, it is fitted first. Shape: (maps,).
    new_life
        Content from which on a bin that is not live makes a map odd. Shape: (maps,).
    silent
        Expected content from which on a live bin at 0 makes a map odd. Shape: (maps,).
    silent_bins
        Number of live bins at 0 from which on a map is odd. Shape: (maps,).
    close
        See `scan_counts`.
    best
        Out: signed significance of every scale, see `scan_counts`. Shape: (maps, scales).
    odd
        Out: whether the map needs a closer look whatever `best` says. Shape: (maps,).
    """
    bins = nx * ny
    windows = offsets[sizes.shape[0]]
    deviation = np.empty(bins)
    sums = np.empty((nx + 1, ny + 1))
    place = np.empty((sizes.shape[0], 2), dtype=np.int64)
    for m in range(contents.size):
        if exposure[m] < 0.0:
            exposure[m] = _exposure_at(contents[m], addresses[m], numbers[m, 0], bins)
        content = array_at(pointer_to(contents[m]), (bins,), np.float64)
        rate = array_at(pointer_to(addresses[m, 0]), (bins,), np.float64)
        live = array_at(pointer_to(addresses[m, 1]), (bins,), np.bool_)
        p = array_at(pointer_to(addresses[m, 5]), (windows,), np.float32)
        q = array_at(pointer_to(addresses[m, 6]), (windows,), np.float32)
        dof = array_at(pointer_to(addresses[m, 7]), (sizes.shape[0],), np.float64)
        e = exposure[m]
        at_zero = deviations(content, rate, e, numbers[m, 2] == 2.0, live, deviation)
        strange = 0
        for i in range(bins):
            x = content[i]
            strange |= (not live[i] and x >= new_life[m]) or (live[i] and x == 0.0 and e * rate[i] >= silent[m])
        wide = _beyond_bins(deviation, p[:bins], q[:bins], e * (1.0 + e / numbers[m, 1]), e * e, WIDE * WIDE)
        odd[m] = strange != 0 or at_zero >= silent_bins[m] or wide > WIDE_SHARE * numbers[m, 3]
        running_sums(deviation, nx, ny, sums)
        scan_counts(
            deviation,
            sums,
            rate,
            e,
            nx,
            ny,
            sizes,
            offsets,
            p,
            q,
            dof,
            numbers[m, 1],
            numbers[m, 2] == 1.0,
            close,
            best[m],
            place,
        )


@kernel("void(float64[::1], float64[::1], float64[::1], float64[::1], boolean, float64, float64[::1])")
def significances(deviation, variance, expected, systematic, counts, dof, out):  # type: ignore[no-untyped-def]
    """Return the `significance` of every bin, 0 where the variance is 0. Shape of all arrays: (bins,)."""
    for i in range(deviation.size):
        out[i] = significance(deviation[i], variance[i], expected[i], counts, systematic[i], dof)


@kernel(
    "void(float64[:,::1], float64[::1], float64[::1], float32[:,::1])",
    fastmath=REORDERED,
)
def per_exposure(contents, exposure, fallback, out):  # type: ignore[no-untyped-def]
    """Divide maps by their exposures, float32 as a model wants them; a map of exposure 0 becomes `fallback`."""
    for m in range(contents.shape[0]):
        if exposure[m] > 0.0:
            factor = 1.0 / exposure[m]
            for i in range(contents.shape[1]):
                out[m, i] = contents[m, i] * factor
        else:
            for i in range(contents.shape[1]):
                out[m, i] = fallback[i]


@kernel(
    "void(float32[:,::1], float64[::1], boolean[::1], boolean, float64[:,::1])",
)
def clean_rates(predicted, rate, live, counts, out):  # type: ignore[no-untyped-def]
    """Bring a model's answer into bounds.

    It is 0 in bins that are not live, counts are within a factor 10 of the rate, and means no further from it than
    the largest of all rates. A reconstruction may undershoot a small rate, but not to nothing:
    that would make the bin unjudgeable. Nor may it follow absurd contents.
    """
    most = 0.0
    for i in range(rate.size):
        most = max(most, abs(rate[i]))
    for m in range(predicted.shape[0]):
        for i in range(predicted.shape[1]):
            low = 0.1 * rate[i] if counts else rate[i] - most
            high = 10.0 * rate[i] if counts else rate[i] + most
            value = min(max(np.float64(predicted[m, i]), low), high)
            out[m, i] = value if live[i] else 0.0
