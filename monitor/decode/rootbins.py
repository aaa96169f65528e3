"""What ROOT stores of a histogram, turned into what a `Snapshot` holds: one place for every reader of ROOT.

ROOT keeps a histogram's bins in one flat array, x fastest, with an under- and an overflow bin at the ends of each
axis. A profile keeps sums per bin: of w*y as its contents, of w*y^2 as ``fSumw2``, of w as ``fBinEntries`` and, only
when it was filled with weights, of w^2 as ``fBinSumw2``.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import numpy as np

from monitor.errors import Reject
from monitor.snapshot import AnyArray, FloatArray

STORAGE: dict[str, np.dtype[Any]] = {
    "C": np.dtype("<i1"),
    "S": np.dtype("<i2"),
    "I": np.dtype("<i4"),
    "L": np.dtype("<i8"),
    "F": np.dtype("<f4"),
    "D": np.dtype("<f8"),
}
"""Type of the contents of a TH1 or TH2 by the last letter of its class."""


class ErrorMode(IntEnum):
    """``fErrorMode`` of a profile: the option its errors were booked with."""

    MEAN = 0
    """Spread over root of effective entries."""
    SPREAD = 1
    """Option ``s``: ROOT draws the spread. The variance of the mean is that of `MEAN`."""
    SPREAD_INTEGER = 2
    """Option ``i``: as `MEAN`, but values without spread are integers with a variance of 1/12."""
    GAUSSIAN = 3
    """Option ``g``: values have known errors and weight 1 / error^2, so the variance of the mean is 1 / sum of w."""


def without_flow(array: AnyArray, shape: tuple[int, ...]) -> AnyArray:
    """Return the bins of a flat ROOT array without under- and overflow.

    Parameters
    ----------
    array
        Shape: (bins_x + 2,) or ((bins_x + 2) * (bins_y + 2),), x fastest.
    shape
        (bins_x,) or (bins_x, bins_y) of the result.

    Returns
    -------
    AnyArray
        Shape as asked, C-contiguous. In one dimension a view, in two a copy.

    Raises
    ------
    Reject
        ``wrong_size`` when the array has another number of bins.
    """
    cells = 1
    for bins in shape:
        cells *= bins + 2
    if array.size != cells:
        raise Reject("wrong_size", f"{array.size} values for {cells} bins, flow bins included")
    # x fastest: C order of the reversed shape.
    flowing = array.reshape([bins + 2 for bins in reversed(shape)]).T
    return np.ascontiguousarray(flowing[(slice(1, -1),) * len(shape)])


def counts_or_variances(contents: AnyArray, sum_w2: AnyArray | None) -> AnyArray | None:
    """Return the variances of a histogram's bins, or None when they say no more than that the contents are counts.

    ``Sumw2()`` is often called for histograms that are then filled without weights: each variance is its content.
    """
    return None if sum_w2 is None or np.array_equal(sum_w2, contents) else sum_w2


def profile_bins(
    sum_wy: AnyArray,
    sum_wy2: AnyArray,
    entries: AnyArray,
    sum_w2: AnyArray | None = None,
    mode: int = ErrorMode.MEAN,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return mean, variance of the mean and effective entries of a profile's bins.

    As ROOT defines them: mean ``sum_wy / entries``, effective entries ``entries^2 / sum_w2`` (``entries`` when there
    were no weights), variance of the mean ``|sum_wy2 / entries - mean^2| / effective entries``. A bin without
    entries has 0 of each. A bin with a single entry has no spread and so a variance of 0: it says nothing about how
    well its mean is known.

    Parameters
    ----------
    sum_wy
        Sum of w*y of each bin; any shape, that of the other arrays and of the results.
    sum_wy2
        Sum of w*y^2 of each bin.
    entries
        Sum of w of each bin.
    sum_w2
        Sum of w^2 of each bin; None or of size 0 when the profile was filled without weights.
    mode
        The profile's ``fErrorMode``, see `ErrorMode`.
    """
    wy, wy2, w = (np.asarray(sums, dtype=np.float64) for sums in (sum_wy, sum_wy2, entries))
    filled = w != 0
    divisor = np.where(filled, w, 1.0)
    # Sums that overflow here end as values that are not finite, which `validate.check` names.
    with np.errstate(all="ignore"):
        mean = np.where(filled, wy / divisor, 0.0)
        effective = w if sum_w2 is None or np.size(sum_w2) == 0 else _effective(w, np.asarray(sum_w2, np.float64))
        spread2 = np.abs(wy2 / divisor - mean * mean)
        if mode == ErrorMode.SPREAD_INTEGER:
            spread2 = np.where(spread2 == 0, 1.0 / 12.0, spread2)
        variance = 1.0 / divisor if mode == ErrorMode.GAUSSIAN else spread2 / np.where(effective != 0, effective, 1.0)
    return mean, np.where(filled & (effective != 0), variance, 0.0), np.where(filled, effective, 0.0)


def _effective(w: FloatArray, w2: FloatArray) -> FloatArray:
    return np.asarray(np.where(w2 != 0, w * w / np.where(w2 != 0, w2, 1.0), 0.0))
