"""The three normalisations of thesis B (ATLAS 2022, section 3.4.1, equations 11 to 14), each map on its own.

Shape of every argument and result: (maps, bins), float64, C order. NaN is not accepted by the decoder and so does
not occur here; if it does, the whole map becomes NaN.

Equation 12 is printed as ``o - med(o) / r_iqr``. The thesis's own numbers (figure 37: contents 0 and 2454 become
-0.449285 and 0.021687, a map's values stay linear with slope 1/5210) are those of ``(o - med(o)) / r_iqr``, the
robust scaler it names, so that is what is computed.

What the thesis leaves open: quartiles interpolate linearly between order statistics (numpy's and pandas' default).
A map whose interquartile range or standard deviation is 0 is only shifted. The standard deviation is the
population's.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from monitor.kernel import kernel
from monitor.snapshot import FloatArray

_SIGNATURE = "float64[:,::1](float64[:,::1])"


@kernel(
    _SIGNATURE,
)
def _minmax(maps):  # type: ignore[no-untyped-def]
    out = np.empty_like(maps)
    for m in range(maps.shape[0]):
        low = maps[m, 0]
        high = maps[m, 0]
        bad = False
        for i in range(maps.shape[1]):
            v = maps[m, i]
            bad |= np.isnan(v)
            low = min(low, v)
            high = max(high, v)
        if bad:
            out[m, :] = np.nan
        elif high == low:
            out[m, :] = maps[m, :]
        else:
            for i in range(maps.shape[1]):
                out[m, i] = (maps[m, i] - low) / (high - low)
    return out


@kernel(
    "float64(float64[::1], float64)",
)
def _quantile(ordered, q):  # type: ignore[no-untyped-def]
    position = q * (ordered.size - 1)
    below = int(np.floor(position))
    above = min(below + 1, ordered.size - 1)
    return ordered[below] + (position - below) * (ordered[above] - ordered[below])


@kernel(
    _SIGNATURE,
)
def _robust(maps):  # type: ignore[no-untyped-def]
    out = np.empty_like(maps)
    for m in range(maps.shape[0]):
        ordered = np.sort(maps[m])
        if np.isnan(ordered[-1]):
            out[m, :] = np.nan
            continue
        median = _quantile(ordered, 0.5)
        spread = _quantile(ordered, 0.75) - _quantile(ordered, 0.25)
        if spread == 0.0:
            spread = 1.0
        for i in range(maps.shape[1]):
            out[m, i] = (maps[m, i] - median) / spread
    return out


@kernel(
    _SIGNATURE,
)
def _zscore(maps):  # type: ignore[no-untyped-def]
    out = np.empty_like(maps)
    n = maps.shape[1]
    for m in range(maps.shape[0]):
        mean = 0.0
        constant = True
        for i in range(n):
            mean += maps[m, i]
            constant &= maps[m, i] == maps[m, 0]
        mean /= n
        if constant:
            # The mean of equal values is not quite that value, and would leave rounding divided by rounding.
            out[m, :] = 0.0
            continue
        square = 0.0
        for i in range(n):
            square += (maps[m, i] - mean) ** 2
        sigma = np.sqrt(square / n)
        for i in range(n):
            out[m, i] = (maps[m, i] - mean) / sigma
    return out


def _maps(maps: FloatArray) -> FloatArray:
    array = np.require(maps, dtype=np.float64, requirements=["C", "W"])
    if array.ndim != 2 or array.shape[1] == 0:
        raise ValueError(f"expected (maps, bins) with at least one bin, got shape {array.shape}")
    return array


def minmax(maps: FloatArray) -> FloatArray:
    """Scale every map to 0..1 (equation 11); a map of one value keeps it.

    Shape: (maps, bins) to (maps, bins), dimensionless.

    Raises
    ------
    ValueError
        If the argument is not two-dimensional or has no bins.
    """
    result: FloatArray = _minmax(_maps(maps))
    return result


def robust(maps: FloatArray) -> FloatArray:
    """Subtract the median and divide by the interquartile range of every map (equations 12 and 13).

    Shape: (maps, bins) to (maps, bins), dimensionless. See the module's note on equation 12.

    Raises
    ------
    ValueError
        If the argument is not two-dimensional or has no bins.
    """
    result: FloatArray = _robust(_maps(maps))
    return result


def zscore(maps: FloatArray) -> FloatArray:
    """Subtract the mean and divide by the standard deviation of every map (equation 14).

    Shape: (maps, bins) to (maps, bins), dimensionless.

    Raises
    ------
    ValueError
        If the argument is not two-dimensional or has no bins.
    """
    result: FloatArray = _zscore(_maps(maps))
    return result


SCALES: dict[str, Callable[[FloatArray], FloatArray]] = {"minmax": minmax, "robust": robust, "zscore": zscore}
"""The normalisations of thesis B by the name a model's card gives them."""
