"""What a map should show per unit exposure: the reference's rate, or a model's reconstruction of the map."""

from __future__ import annotations

import numpy as np

from monitor.detect import kernels
from monitor.detect.base import Expected
from monitor.infer import Reference
from monitor.snapshot import FloatArray
from monitor.window import Interval


def is_modelled(expected: Expected) -> bool:
    """Tell whether a model says what a map per exposure should be."""
    return expected.predictor is not None and expected.normalisation == "exposure"


def shown(reference: Reference, interval: Interval) -> FloatArray:
    """Return what a model is shown of an interval, flat. Shape: (bins,)."""
    if not reference.profile:
        return interval.contents.ravel()
    assert interval.variances is not None
    assert interval.entries is not None
    return reference.trusted(interval.contents, interval.variances, interval.entries).ravel()


def modelled_rates(maps: FloatArray, exposure: FloatArray, expected: Expected) -> FloatArray:
    """Return the expected content per unit exposure.

    Parameters
    ----------
    maps
        Contents, of profiles as `shown`. Shape: (maps, bins).
    exposure
        Shape: (maps,).

    Returns
    -------
    Shape: (maps, bins), or (1, bins) without a model.
    """
    reference = expected.reference
    fixed: FloatArray = np.ascontiguousarray(reference.rate, dtype=np.float64).reshape(1, -1)
    if expected.predictor is None or not is_modelled(expected):
        return fixed
    scaled = np.empty(maps.shape, dtype=np.float32)
    kernels.per_exposure(maps, exposure, fixed[0], scaled)
    predicted = expected.predictor.predict(scaled.reshape(-1, *reference.shape))
    rate = np.empty(maps.shape)
    kernels.clean_rates(predicted.reshape(maps.shape), fixed[0], reference.live.ravel(), not reference.profile, rate)
    return rate
