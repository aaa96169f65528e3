"""The kernels of the expectation detector: significances over windows of every shape.

A map is prepared as three additive planes, so that a window of any size is a sum: `deviation`, `variance` and
`expected` of each bin. For counts these are x - mu, k mu (1 + e/E) + (s mu)^2 (1 + 1/R) and mu. For a profile each
bin is weighted by the inverse of its variance first, so that a window's sum is its best mean. The significance of
a window is sum(deviation) / sqrt(sum(variance) + (c sum(expected))^2), c the relative scatter that the window's
bins share.
"""

from __future__ import annotations

import math

import numpy as np

from monitor.detect.tails import poisson_sigmas
from monitor.kernel import REORDERED, array_at, kernel, pointer_to
from monitor.normalise.exposure import exposure_of

EXACT_BELOW = 50.0
"""Expected counts below which the Poisson tail is summed up; above, its deviance is as good."""
_SUMMED = 30.0
"""Standard deviations beyond which a tail is too small a number to be summed."""


@kernel(
    "void(float64[::1], float64[::1], float64[::1], float64, float64, float64, float64, float64[::1], float64[::1],"
    " float64[::1])",
    fastmath=REORDERED,
)
def count_planes(  # type: ignore[no-untyped-def]
    contents, rate, systematic, exposure, dispersion, total_exposure, references, deviation, variance, expected
):
    """Prepare one map of counts; bins of rate 0 count for nothing. Shape of all arrays: (bins,)."""
    statistical = dispersion * (1.0 + exposure / total_exposure)
    spread = 1.0 + 1.0 / references
    for i in range(contents.size):
        mu = exposure * rate[i]
        s = systematic[i] * mu
        live = 1.0 if rate[i] > 0.0 else 0.0
        deviation[i] = live * (contents[i] - mu)
        variance[i] = statistical * mu + s * s * spread
        expected[i] = mu


@kernel(
    "float64(float64, float64, float64, boolean, float64, float64)",
)
def significance(deviation, variance, expected, counts, systematic_variance, dof):  # type: ignore[no-untyped-def]
    """Return the signed significance of a sum, in standard deviations.

    For counts the Poisson tail (few counts) or deviance of the sum, scaled to the effective number of entries mu^2/V
    (where V exceeds mu because of systematics, a map behaves like one of fewer entries); for means the pull, tamed
    where it is positive. The systematic's few degrees of freedom turn the result from t to normal (Wallace 1959) with
    dof (V/V_systematic)^2, so that statistics stay Gaussian.
    """
    if variance <= 0.0:
        return 0.0
    pull = deviation / np.sqrt(variance)
    if abs(pull) < 1.0:
        return pull
    z = pull
    if counts and expected > 0.0:
        scale = expected / variance
        mu = expected * scale
        x = max(expected + deviation, 0.0) * scale
        deviance = 2.0 * ((x * np.log(x / mu) if x > 0.0 else 0.0) - (x - mu))
        z = np.sqrt(max(deviance, 0.0))
        if z < _SUMMED and mu < EXACT_BELOW:
            z = poisson_sigmas(x, mu)
        elif deviation < 0.0:
            z = 1.0 / (6.0 * np.sqrt(mu)) - z
        else:
            z += 1.0 / (6.0 * np.sqrt(mu))
    elif deviation > 0.0 and expected > 0.0:
        # A mean of few positive values is skewed upwards: the gamma distribution's cube root (Wilson and Hilferty
        # 1931) never calls an excess more significant than it is. Deficits keep the pull, which overstates none.
        shape = expected * expected / variance
        cube = ((expected + deviation) / expected) ** (1.0 / 3.0)
        z = min(pull, max(0.0, (cube - 1.0 + 1.0 / (9.0 * shape)) * 3.0 * np.sqrt(shape)))
    if systematic_variance > 0.0:
        nu = dof * (variance / systematic_variance) ** 2
        if nu < 1e4:
            magnitude = np.sqrt(nu * np.log1p(z * z / nu)) * (8.0 * nu + 1.0) / (8.0 * nu + 3.0)
            z = magnitude if z > 0.0 else -magnitude
    return z


@kernel(
    "void(float64[::1], float64[::1], float64[::1], int64, int64, float64[:,::1], float64[:,::1], float64[:,::1])",
)
def _integrals(deviation, variance, expected, nx, ny, sum_d, sum_v, sum_m):  # type: ignore[no-untyped-def]
    # The three running sums of a row wait for their own last addition only, so they run side by side.
    for j in range(ny + 1):
        sum_d[0, j] = 0.0
        sum_v[0, j] = 0.0
        sum_m[0, j] = 0.0
    for i in range(nx):
        row_d = 0.0
        row_v = 0.0
        row_m = 0.0
        sum_d[i + 1, 0] = 0.0
        sum_v[i + 1, 0] = 0.0
        sum_m[i + 1, 0] = 0.0
        for j in range(ny):
            row_d += deviation[i * ny + j]
            row_v += variance[i * ny + j]
            row_m += expected[i * ny + j]
            sum_d[i + 1, j + 1] = sum_d[i, j + 1] + row_d
            sum_v[i + 1, j + 1] = sum_v[i, j + 1] + row_v
            sum_m[i + 1, j + 1] = sum_m[i, j + 1] + row_m


@kernel(
    "void(float64[::1], float64[::1], float64[::1], float64[::1], int64, int64, int64[:,::1], float64, boolean,"
    " float64, float64, float64[:,::1], float64[:,::1], float64[:,::1], float64[::1], int64[:,::1])",
)
def _scan_one(  # type: ignore[no-untyped-def]
    deviation,
    variance,
    expected,
    systematic,
    nx,
    ny,
    scales,
    coherent,
    counts,
    dof,
    worth,
    sum_d,
    sum_v,
    sum_m,
    best,
    place,
):
    prepared = False
    for k in range(scales.shape[0]):
        wx = scales[k, 0]
        wy = scales[k, 1]
        best[k] = 0.0
        place[k, 0] = 0
        place[k, 1] = 0
        top = 0.0
        if wx * wy == 1:
            for i in range(nx * ny):
                d = deviation[i]
                v = variance[i]
                # A deficit's deviance exceeds its squared pull by at most 2, an excess's never does.
                if v <= 0.0 or d * d <= 0.5 * top * top * v:
                    continue
                z = d / np.sqrt(v)
                if abs(z) >= 0.7 * worth:
                    s = systematic[i] * expected[i]
                    z = significance(d, v, expected[i], counts, s * s, dof)
                if abs(z) > top:
                    top = abs(z)
                    best[k] = z
                    place[k, 0] = i // ny
                    place[k, 1] = i % ny
            continue
        if not prepared:
            _integrals(deviation, variance, expected, nx, ny, sum_d, sum_v, sum_m)
            prepared = True
        # Differences of sums leave rounding where a window is empty.
        nothing = 1e-9 * sum_v[nx, ny]
        for i in range(nx - wx + 1):
            for j in range(ny - wy + 1):
                d = sum_d[i + wx, j + wy] - sum_d[i, j + wy] - sum_d[i + wx, j] + sum_d[i, j]
                mu = sum_m[i + wx, j + wy] - sum_m[i, j + wy] - sum_m[i + wx, j] + sum_m[i, j]
                v = sum_v[i + wx, j + wy] - sum_v[i, j + wy] - sum_v[i + wx, j] + sum_v[i, j]
                common = coherent * coherent * mu * mu
                v += common
                if v <= nothing or d * d <= 0.5 * top * top * v:
                    continue
                z = d / np.sqrt(v)
                if abs(z) >= 0.7 * worth:
                    z = significance(d, v, mu, counts, common, dof)
                if abs(z) > top:
                    top = abs(z)
                    best[k] = z
                    place[k, 0] = i
                    place[k, 1] = j


@kernel(
    "void(float64[:,::1], float64[:,::1], float64[:,::1], float64[::1], int64, int64, int64[:,::1], float64, boolean,"
    " float64, float64, float64[:,::1], int64[:,:,::1])",
)
def scan(  # type: ignore[no-untyped-def]
    deviation, variance, expected, systematic, nx, ny, scales, coherent, counts, dof, worth, best, place
):
    """Find the most significant window of every scale in every map.

    Parameters
    ----------
    deviation, variance, expected
        Planes of the maps, see the module. Shape: (maps, nx * ny).
    systematic
        Relative systematic of each bin. Shape: (nx * ny,).
    scales
        Window sizes. Shape: (scales, 2), in bins of x and y; at most (nx, ny).
    coherent
        Relative scatter that bins of a window share; it applies to windows larger than a bin.
    counts
        Whether sums follow Poisson statistics.
    dof
        Degrees of freedom of the systematic.
    worth
        Below 0.7 of it, a window's pull stands for its `significance`, which costs a logarithm.
    best
        Out: signed significance. Shape: (maps, scales).
    place
        Out: first bin (x, y) of the window. Shape: (maps, scales, 2).
    """
    sum_d = np.empty((nx + 1, ny + 1))
    sum_v = np.empty((nx + 1, ny + 1))
    sum_m = np.empty((nx + 1, ny + 1))
    for m in range(deviation.shape[0]):
        _scan_one(
            deviation[m],
            variance[m],
            expected[m],
            systematic,
            nx,
            ny,
            scales,
            coherent,
            counts,
            dof,
            worth,
            sum_d,
            sum_v,
            sum_m,
            best[m],
            place[m],
        )


@kernel("float64(float64[::1], int64, int64, int64[:,::1])")
def look_elsewhere(best, nx, ny, scales):  # type: ignore[no-untyped-def]
    """Return the chance that a good map shows a window as extreme as its most extreme, over all windows."""
    least = 1.0
    for k in range(scales.shape[0]):
        windows = (nx - scales[k, 0] + 1) * (ny - scales[k, 1] + 1)
        least = min(least, windows * math.erfc(abs(best[k]) * math.sqrt(0.5)))
    return min(1.0, scales.shape[0] * least)


@kernel("float64(uint64, uint64[::1], float64, int64)")
def _exposure_at(content, addresses, dispersion, bins):  # type: ignore[no-untyped-def]
    return exposure_of(
        array_at(pointer_to(content), (bins,), np.float64),
        array_at(pointer_to(addresses[3]), (np.int64(addresses[6]),), np.int32),
        array_at(pointer_to(addresses[4]), (np.int64(addresses[7]),), np.float64),
        array_at(pointer_to(addresses[5]), (np.int64(addresses[8]),), np.int32),
        dispersion,
    )


@kernel("void(uint64[::1], uint64[:,::1], float64[:,::1], int64, float64[::1])")
def exposures_at(contents, addresses, numbers, bins, exposure):  # type: ignore[no-untyped-def]
    """Fit the exposures of maps of different references, see `judge_counts`. Out: `exposure`. Shape: (maps,)."""
    for m in range(contents.size):
        exposure[m] = _exposure_at(contents[m], addresses[m], numbers[m, 1], bins)


@kernel(
    "void(uint64[::1], uint64[:,::1], float64[:,::1], float64[::1], int64, int64, int64[:,::1], float64, float64[::1],"
    " float64[::1], float64[:,::1], float64[::1], boolean[::1])",
)
def judge_counts(  # type: ignore[no-untyped-def]
    contents, addresses, numbers, exposure, nx, ny, scales, worth, new_life, silent, best, chance, odd
):
    """Scan maps of counts, of one shape but each with its own reference, in one call that holds no GIL.

    Parameters
    ----------
    contents
        Addresses of the maps' contents, float64, (nx * ny,) each. Shape: (maps,).
    addresses, numbers
        The references' tables, see `monitor.infer.reference.Table`. Shapes: (maps, 9) and (maps, 5). Where a model
        speaks, the address of the rate is that of its answer.
    exposure
        In and out: the exposures that are known; where it is negative, it is fitted first. Shape: (maps,).
    new_life
        Content from which on a bin that is not live makes a map odd. Shape: (maps,).
    silent
        Expected content from which on a live bin at 0 makes a map odd. Shape: (maps,).
    best
        Out: signed significance. Shape: (maps, scales).
    chance
        Out: chance that a good map shows a window as extreme as the most extreme, over all windows. Shape: (maps,).
    odd
        Out: whether the map needs a closer look whatever `best` says. Shape: (maps,).

    Other parameters as in `scan`.
    """
    bins = nx * ny
    deviation = np.empty(bins)
    variance = np.empty(bins)
    expected = np.empty(bins)
    sum_d = np.empty((nx + 1, ny + 1))
    sum_v = np.empty((nx + 1, ny + 1))
    sum_m = np.empty((nx + 1, ny + 1))
    place = np.empty((scales.shape[0], 2), dtype=np.int64)
    for m in range(contents.size):
        if exposure[m] < 0.0:
            exposure[m] = _exposure_at(contents[m], addresses[m], numbers[m, 1], bins)
        content = array_at(pointer_to(contents[m]), (bins,), np.float64)
        rate = array_at(pointer_to(addresses[m, 0]), (bins,), np.float64)
        systematic = array_at(pointer_to(addresses[m, 1]), (bins,), np.float64)
        live = array_at(pointer_to(addresses[m, 2]), (bins,), np.bool_)
        count_planes(
            content,
            rate,
            systematic,
            exposure[m],
            numbers[m, 1],
            numbers[m, 2],
            numbers[m, 3],
            deviation,
            variance,
            expected,
        )
        _scan_one(
            deviation,
            variance,
            expected,
            systematic,
            nx,
            ny,
            scales,
            numbers[m, 0],
            True,
            numbers[m, 4],
            worth,
            sum_d,
            sum_v,
            sum_m,
            best[m],
            place,
        )
        chance[m] = look_elsewhere(best[m], nx, ny, scales)
        strange = 0
        for i in range(bins):
            x = content[i]
            strange |= (not live[i] and x >= new_life[m]) or (live[i] and x == 0.0 and expected[i] >= silent[m])
        odd[m] = strange != 0


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
    """Bring a model's answer into bounds: 0 in bins that are not live, and counts never below a tenth of the rate.

    A reconstruction may undershoot a small rate, but not to nothing: that would make the bin unjudgeable.
    """
    for m in range(predicted.shape[0]):
        for i in range(predicted.shape[1]):
            value = np.float64(predicted[m, i])
            if counts:
                value = max(value, 0.1 * rate[i])
            out[m, i] = value if live[i] else 0.0
