"""A reference from the good intervals of the last lumisections, made anew for every judgement.

`monitor.learn.reference` learns more carefully from more; this has to be cheap, and is only asked whether the next
lumisection looks like the last ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from monitor.infer import Reference
from monitor.infer.reference import Statistics
from monitor.snapshot import FloatArray
from monitor.window import Interval

_UNKNOWN = 0.03
"""Relative systematic where a single interval shows none."""


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """What is kept of an interval; arrays of the histogram's shape."""

    contents: FloatArray
    variances: FloatArray | None
    entries: FloatArray | None
    total: float
    """Sum of contents, or of entries for a profile."""
    lumisections: int
    whole: bool
    """Whether all contents are whole numbers."""

    @classmethod
    def of(cls, interval: Interval) -> Kept:
        """Return what is kept of an interval; the arrays are copies, which nobody else changes."""
        return cls(
            interval.contents.copy(),
            None if interval.variances is None else interval.variances.copy(),
            None if interval.entries is None else interval.entries.copy(),
            interval.total if interval.entries is not None else float(interval.contents.sum()),
            interval.lumisections,
            bool((interval.contents == np.round(interval.contents)).all()),
        )

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        return sum(a.nbytes for a in (self.contents, self.variances, self.entries) if a is not None)


def reference_of(kept: Sequence[Kept], name: str, systematic: float | None = None) -> Reference:
    """Return what intervals of one histogram, at least one, agree on.

    Exposures are those of the totals. The systematic is one number for all bins, as given, or else the median over the
    fuller half of them of what the scatter between the intervals leaves over statistics.
    """
    return (_of_profiles if kept[0].entries is not None else _of_sums)(kept, name, systematic)


def _of_sums(kept: Sequence[Kept], name: str, systematic: float | None) -> Reference:
    totals = [k.total for k in kept]
    per_lumisection = sum(totals) / sum(k.lumisections for k in kept)
    exposures = [max(t / max(per_lumisection, 1e-300), 1e-12) for t in totals]
    # One map after the other: together they would not fit into the cache.
    sums, squares, weighted = np.zeros((3, *kept[0].contents.shape))
    for k, e in zip(kept, exposures, strict=True):
        sums += k.contents
        if systematic is None:
            squares += k.contents * k.contents
            weighted += e * k.contents
    exposure = sum(exposures)
    rate = np.maximum(sums / exposure, 0.0)
    live = rate > 0
    dispersion = 1.0 if all(k.whole for k in kept) else 0.0
    known = [k.variances for k in kept if k.variances is not None]
    if len(known) == len(kept):
        dispersion = sum(float(v.sum()) for v in known) / max(float(np.abs(sums).sum()), 1e-300)
    if systematic is None:
        # sum (x - e m)^2, multiplied out.
        scatter = squares - 2.0 * rate * weighted + rate * rate * sum(e * e for e in exposures)
        mu = rate * (exposure / len(kept))
        excess = np.maximum(scatter, 0.0) / max(1, len(kept) - 1) - dispersion * mu
        systematic = _excess(excess, mu, live) if len(kept) > 1 else _UNKNOWN
    return Reference(
        name=name,
        profile=False,
        rate=rate,
        systematic=np.where(live, systematic, 0.0),
        live=live,
        coherent=0.0,
        statistics=_statistics(kept, dispersion),
        dispersion=dispersion,
        references=len(kept),
        exposure=exposure,
    )


def _of_profiles(kept: Sequence[Kept], name: str, systematic: float | None) -> Reference:
    contents = np.stack([k.contents for k in kept])
    entries = np.stack([k.entries for k in kept if k.entries is not None])
    own = np.stack([np.zeros_like(k.contents) if k.variances is None else k.variances for k in kept])
    held = entries.sum(axis=0)
    lumisections = float(sum(k.lumisections for k in kept))
    live = held > 0
    mean = np.where(live, (entries * contents).sum(axis=0) / np.maximum(held, 1e-300), 0.0)
    freedom = np.maximum(entries - 1.0, 0.0).sum(axis=0)
    spread = np.sqrt((entries * entries * own).sum(axis=0) / np.maximum(freedom, 1.0))
    if systematic is None:
        filled = entries > 0
        statistical = np.where(filled, spread**2 / np.maximum(entries, 1.0), 0.0).sum(axis=0)
        number = np.maximum(filled.sum(axis=0), 1)
        scatter = (filled * (contents - mean) ** 2).sum(axis=0) / np.maximum(number - 1, 1)
        excess = scatter - statistical / number
        systematic = _excess(excess, np.abs(mean), live & (number > 1)) if len(kept) > 1 else _UNKNOWN
    return Reference(
        name=name,
        profile=True,
        rate=mean,
        systematic=np.where(live, systematic, 0.0),
        spread=spread,
        occupancy=held / lumisections,
        live=live,
        coherent=0.0,
        statistics="profile",
        references=len(kept),
        exposure=lumisections,
    )


def _statistics(kept: Sequence[Kept], dispersion: float) -> Statistics:
    if repeats(kept):
        return "exact"
    if all(k.whole for k in kept):
        return "counts"
    return "sums" if dispersion > 0 or any((k.contents < 0).any() for k in kept) else "rates"


def repeats(kept: Sequence[Kept]) -> bool:
    """Tell whether several intervals all show the same numbers, as a pulser's do."""
    return len(kept) > 1 and all(np.array_equal(k.contents, kept[0].contents) for k in kept[1:])


def _excess(variance: FloatArray, mean: FloatArray, live: np.ndarray) -> float:
    """Return the relative systematic that explains a variance: the median over the fuller half of the live bins."""
    if not live.any():
        return _UNKNOWN
    full = live & (mean >= np.median(mean[live])) & (mean > 0)
    if not full.any():
        return _UNKNOWN
    return float(np.sqrt(max(0.0, float(np.median(variance[full] / mean[full] ** 2)))))
