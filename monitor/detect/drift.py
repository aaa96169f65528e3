"""Drift of mean and RMS along each axis against the reference.

With contents w in bins with centres c and widths d, W = sum w, mean a = sum w c / W, and s^2 = sum w u / W with
u = (c - a)^2 + d^2 / 12, entries being spread evenly over their bin; with variances v of the contents

    var(a) = sum v u / W^2,  var(s) = sum v (u - s^2)^2 / (2 s W)^2

for counts s^2 / n and what the fourth moment says; v is the larger of the variances observed and expected, along the
axis, since a bin that is empty by chance would say that nothing scatters. The same of the reference's mu with its
variances; z is the difference over the root of both variances. Two-dimensional histograms are summed along the other
axis first. Negative contents count as 0; of profiles the means are the weights. p is that of the largest |z| among
K = 2 or 4: 1 - (1 - p_1)^K.
"""

from __future__ import annotations

import numpy as np

from monitor.detect.checks import NOTHING, Check, Comparison, Planes, log_two_sided
from monitor.snapshot import Axis, FloatArray
from monitor.window import Interval

_SMALL = -20.0
"""log p below which 1 - (1 - p)^K is K p to 1e-8."""


class DriftCheck(Check):
    """Drift of mean and RMS against the reference; thresholds and options are those of `Check`."""

    name = "drift"

    def compare(self, interval: Interval, planes: Planes) -> Comparison:
        """Return log p of the largest drift."""
        found: list[tuple[float, str, str]] = []
        for number, axis in enumerate(interval.axes):
            contents, expected = (
                _projected(np.maximum(plane, 0.0), planes, number) for plane in (planes.contents, planes.expected)
            )
            if contents.sum() <= 0 or expected.sum() <= 0:
                return NOTHING
            variances = np.maximum(*(_projected(plane, planes, number) for plane in (planes.own, planes.alike)))
            own = moments(axis, contents, variances)
            wanted = moments(axis, expected, _projected(planes.of_reference, planes, number))
            for what, (value, variance), (other, of_other) in zip(("mean", "RMS"), own, wanted, strict=True):
                total = variance + of_other
                z = (value - other) / float(np.sqrt(total)) if total > 0 else 0.0
                name = f"{what} {'xy'[number]}"
                words = f"{name} {value:.4g}, expected {other:.4g} ({z:+.1f} sigma)"
                found.append((z, words, f"shape differs: {name} moved by {value - other:+.3g}"))
        z, words, headline = max(found, key=lambda one: abs(one[0]))
        return Comparison(log_of_best(log_two_sided(z), len(found)), words, headline)


def moments(axis: Axis, weights: FloatArray, variances: FloatArray) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return mean and RMS of a histogram of one dimension, in units of its axis, each with its variance.

    Parameters
    ----------
    weights, variances
        Contents, none negative and not all 0, and their variances. Shape: (bins,).
    """
    edges = axis.bin_edges()
    centres, within = 0.5 * (edges[1:] + edges[:-1]), np.diff(edges) ** 2 / 12.0
    total = float(weights.sum())
    mean = float((weights * centres).sum()) / total
    away = (centres - mean) ** 2 + within
    square = float((weights * away).sum()) / total
    of_mean = float((variances * away).sum()) / total**2
    of_square = float((variances * (away - square) ** 2).sum()) / total**2
    return (mean, of_mean), (float(np.sqrt(square)), of_square / (4.0 * square))


def log_of_best(log_p: float, number: int) -> float:
    """Return log of the chance that the best of several has a p as small, 1 - (1 - p)^number."""
    if log_p < _SMALL:
        return log_p + float(np.log(number))
    return float(np.log(1.0 - (1.0 - np.exp(log_p)) ** number))


def _projected(plane: FloatArray, planes: Planes, axis: int) -> FloatArray:
    kept = np.where(planes.judged, plane, 0.0)
    return kept if kept.ndim == 1 else kept.sum(axis=1 - axis)
