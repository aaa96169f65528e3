"""The scale of shares and means: a map of them that is another one everywhere has no part that stands out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from monitor.infer import Reference
from monitor.judge.rates import BAD_BELOW, HIGH, LOW, SIGMAS
from monitor.verdict import Judgement, Shape, Verdict
from monitor.window import Interval

BAD_ABOVE = 1.0 / BAD_BELOW
_CERTAIN = 38.0
"""Where a float64 p-value ends, in standard deviations."""


def at_odd_scale(interval: Interval, reference: Reference, judgement: Judgement) -> Judgement:
    """Return a judgement that says so where all contents are far from what is expected.

    Windows are compared at a fitted scale, because light or gain of a whole map may move from run to run. Beyond 0.7
    or 1.5 times that of the references, on average, it is a warning; beyond 0.5 or 2 times the map is bad.
    """
    if judgement.exposure is None or not reference.exposure > 0:
        return judgement
    scale = judgement.exposure * reference.references / reference.exposure
    if LOW <= scale <= HIGH:
        return judgement
    seen = float(interval.contents[reference.live].mean())
    away = _CERTAIN
    if interval.variances is not None and scale > 0:
        error = float(np.sqrt(interval.variances[reference.live].sum())) / int(reference.live.sum())
        away = min(_CERTAIN, abs(seen - seen / scale) / error) if error > 0 else _CERTAIN
    if away < SIGMAS:
        return judgement
    words = f"all of its values are {scale:.2g} times what is expected"
    reason = words if judgement.verdict is Verdict.GOOD else f"{words}; {judgement.reason}"
    if BAD_BELOW <= scale <= BAD_ABOVE:
        verdict = Verdict.WARNING if judgement.verdict is Verdict.GOOD else judgement.verdict
        return replace(judgement, verdict=verdict, reason=reason)
    low = scale < 1.0
    whole = Shape(
        kind="map",
        sign="low" if low else "hot",
        axis=None,
        index=None,
        bins=tuple(tuple(int(i) for i in b) for b in zip(*reference.live.nonzero(), strict=True)),
        significance=-away if low else away,
        observed=seen,
        expected=seen / scale if scale > 0 else float(reference.rate[reference.live].mean()),
    )
    own = tuple(s for s in judgement.shapes if s.kind != "map")
    return replace(
        judgement, verdict=Verdict.BAD, reason=reason, score=max(judgement.score, away), shapes=(whole, *own)
    )
