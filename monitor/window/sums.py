"""Additive form of a histogram, in which intervals are differences and windows are sums.

Counts and weighted sums add as they are. A profile does not: its mean, variance of the mean and effective entries
are turned into sums of weights, of values and of squared values, added or subtracted, and turned back.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from monitor.snapshot import AnyArray, FloatArray, Snapshot
from monitor.window.kernels import subtract

_CERTAIN = 25.0
"""Logarithm of a chance that is none: exp(-25) is 1e-11."""


@dataclass(frozen=True, slots=True, eq=False)
class Sums:
    """Additive content of a histogram; arrays of the histogram's shape."""

    first: AnyArray
    """Contents, in the dtype they came in, or for a profile the sum of values."""
    second: FloatArray | None
    """Sum of squared weights (None for counts), or for a profile the sum of squared values."""
    entries: FloatArray | None
    """Profiles only: effective entries."""
    known_total: float | None = None
    """`total` where it fell out of the subtraction."""
    least: float = 0.0
    """Least value of that which only grows in a cumulative histogram, or 0: negative after a counter reset."""

    @classmethod
    def of(cls, snapshot: Snapshot) -> Sums:
        """Return the sums of a snapshot.

        For a profile with mean m, variance of the mean v and effective entries n, as ROOT defines them with
        option "": sum of values S = n m, sum of squares Q = n (n v + m^2).
        """
        if not snapshot.kind.is_profile:
            second = None if snapshot.variances is None else np.asarray(snapshot.variances, dtype=np.float64)
            return cls(snapshot.contents, second, None)
        n = np.asarray(snapshot.entries, dtype=np.float64)
        v = np.asarray(snapshot.variances, dtype=np.float64)
        m = np.asarray(snapshot.contents, dtype=np.float64)
        return cls(n * m, n * (n * v + m * m), n)

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        return sum(a.nbytes for a in (self.first, self.second, self.entries) if a is not None)

    @property
    def total(self) -> float:
        """Entries: the sum of contents, or of effective entries for a profile."""
        if self.known_total is not None:
            return self.known_total
        return float((self.first if self.entries is None else self.entries).sum(dtype=np.float64))

    def plus(self, other: Sums) -> Sums:
        """Return the sum, for adding up intervals."""
        return Sums(
            np.add(self.first, other.first, dtype=np.float64),
            None if self.second is None or other.second is None else self.second + other.second,
            None if self.entries is None or other.entries is None else self.entries + other.entries,
        )

    def minus(self, base: Sums) -> Sums:
        """Return the difference to an earlier state of the same cumulative histogram."""
        first, total, least = subtract(self.first, base.first)
        second = None if self.second is None or base.second is None else self.second - base.second
        entries = None
        # Squared weights and effective entries only grow; weighted contents may fall.
        grown = second
        if self.entries is not None and base.entries is not None:
            entries = grown = self.entries - base.entries
            total = float(entries.sum())
        if grown is not None:
            # What passed through float32 differs by rounding where nothing was filled.
            slack = 1e-6 * max(1.0, float(np.abs(grown).max(initial=0.0)))
            least = min(0.0, float(grown.min(initial=0.0)) + slack)
        return Sums(first, second, entries, total, least)

    def may_repeat(self) -> bool:
        """Tell whether the next interval may well show the same numbers in every bin, by chance."""
        counts = np.asarray(self.first if self.entries is None else self.entries, dtype=np.float64)
        if self.entries is None and self.second is not None:
            counts = np.divide(counts * counts, self.second, out=np.zeros_like(counts), where=self.second > 0)
        # Two Poisson counts of mean m are the same with probability exp(-2 m) I0(2 m).
        return float(-np.log(special.ive(0, 2.0 * np.maximum(counts, 0.0))).sum()) < _CERTAIN

    def is_empty(self) -> bool:
        """Tell whether nothing at all was filled."""
        return not self.known_total and not (self.first if self.entries is None else self.entries).any()

    def arrays(self) -> tuple[FloatArray, FloatArray | None, FloatArray | None]:
        """Return (contents, variances, entries) in the sense of `Interval`."""
        if self.entries is None:
            # What came as it is judged is a view on a message, and kernels take no read-only arrays.
            contents = np.require(self.first, dtype=np.float64, requirements=["C", "W"])
            return contents, None if self.second is None else np.maximum(self.second, 0.0), None
        n = np.maximum(self.entries, 0.0)
        filled = n > 0
        safe = np.where(filled, n, 1.0)
        mean = np.where(filled, self.first / safe, 0.0)
        assert self.second is not None
        variance = np.where(filled, np.maximum(self.second / safe - mean * mean, 0.0) / safe, 0.0)
        return mean, variance, n
