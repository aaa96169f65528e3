"""A profile all of whose means have moved by one factor: no exposure explains that, and no part of it is to blame."""

from __future__ import annotations

import math

import numpy as np

from monitor.detect.geometry import sign_of
from monitor.detect.planes import Planes
from monitor.detect.significance import significance
from monitor.verdict import Shape

_ALIKE = 1.5
"""Width of the bins' pulls up to which one factor explains them."""


def moved_means(planes: Planes, threshold: float) -> Shape | None:
    """Return the whole profile as a shape, if one factor explains what has changed; None if none does.

    Parameters
    ----------
    threshold
        Standard deviations from which on the factor is no accident. References show how far means move together: what
        sectors of the map share.
    """
    reference = planes.reference
    weight = np.where(planes.judged, 1.0 / planes.variance, 0.0)
    held = float((weight * planes.rate**2).sum())
    if not reference.profile or held <= 0.0:
        return None
    change = float((weight * planes.rate * planes.deviation).sum()) / held
    own = float(reference.shared[-1]) ** 2 * (1.0 + 1.0 / max(1, reference.references))
    z = float(significance(change, 1.0 / held + own, 0.0, False, own, float(reference.freedoms[-1])))
    left = np.abs(planes.deviation - change * planes.rate)[planes.judged] / np.sqrt(planes.variance[planes.judged])
    if abs(z) < threshold or float(np.median(left)) > _ALIKE * 0.6745:
        return None
    expected = float(planes.rate[planes.judged].mean())
    observed = expected * (1.0 + change)
    return Shape(
        kind="map",
        sign=sign_of(observed, expected, change < 0.0),
        axis=None,
        index=None,
        bins=tuple(zip(*(c.tolist() for c in np.nonzero(planes.judged.reshape(reference.shape))), strict=True)),
        significance=math.copysign(min(abs(z), 1e3), z),
        observed=observed,
        expected=expected,
    )
