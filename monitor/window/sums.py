"""Additive form of a histogram, in which intervals are differences and windows are sums.

Counts and weighted sums add as they are. A profile does not: its mean, variance of the mean and effective entries
are turned into sums of weights, of values and of squared values, added or subtracted, and turned back.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from monitor.snapshot import FloatArray, Snapshot


@dataclass(frozen=True, slots=True, eq=False)
class Sums:
    """Additive content of a histogram; arrays of the histogram's shape, float64.

    ``first``: contents, or for a profile the sum of values. ``second``: sum of squared weights (None for counts),
    or for a profile the sum of squared values. ``entries``: profiles only, the effective entries.
    """

    first: FloatArray
    second: FloatArray | None
    entries: FloatArray | None

    @classmethod
    def of(cls, snapshot: Snapshot) -> Sums:
        """Return the sums of a snapshot.

        For a profile with mean m, variance of the mean v and effective entries n, as ROOT defines them with
        option "" : sum of values S = n m, sum of squares Q = n (n v + m^2).
        """
        contents = np.asarray(snapshot.contents, dtype=np.float64)
        if not snapshot.kind.is_profile:
            second = None if snapshot.variances is None else np.asarray(snapshot.variances, dtype=np.float64)
            return cls(contents, second, None)
        n = np.asarray(snapshot.entries, dtype=np.float64)
        v = np.asarray(snapshot.variances, dtype=np.float64)
        return cls(n * contents, n * (n * v + contents * contents), n)

    def plus(self, other: Sums) -> Sums:
        """Return the sum, for adding up intervals."""
        return Sums(
            self.first + other.first,
            _combine(np.add, self.second, other.second),
            _combine(np.add, self.entries, other.entries),
        )

    def minus(self, base: Sums) -> Sums:
        """Return the difference to an earlier state of the same cumulative histogram."""
        return Sums(
            self.first - base.first,
            _combine(np.subtract, self.second, base.second),
            _combine(np.subtract, self.entries, base.entries),
        )

    def shrank(self) -> bool:
        """Tell whether a difference says that the counter was reset: something that only grows became less.

        Effective entries (profiles) and squared weights only grow, and so do counts; weighted contents may fall.
        """
        grows = self.entries if self.entries is not None else self.second if self.second is not None else self.first
        # Sums that passed through float32 differ by rounding where nothing was filled.
        slack = 0.0 if self.second is None and self.entries is None else -1e-6 * max(1.0, float(np.abs(grows).max()))
        return bool(grows.min() < slack)

    @property
    def total(self) -> float:
        """Entries: the sum of contents, or of effective entries for a profile."""
        return float((self.first if self.entries is None else self.entries).sum())

    def is_empty(self) -> bool:
        """Tell whether nothing at all was filled."""
        return not (self.first if self.entries is None else self.entries).any()

    def arrays(self) -> tuple[FloatArray, FloatArray | None, FloatArray | None]:
        """Return (contents, variances, entries) in the sense of `Interval`."""
        if self.entries is None:
            return self.first, None if self.second is None else np.maximum(self.second, 0.0), None
        n = np.maximum(self.entries, 0.0)
        filled = n > 0
        safe = np.where(filled, n, 1.0)
        mean = np.where(filled, self.first / safe, 0.0)
        assert self.second is not None
        variance = np.where(filled, np.maximum(self.second / safe - mean * mean, 0.0) / safe, 0.0)
        return mean, variance, n


def _combine(operation: np.ufunc, left: FloatArray | None, right: FloatArray | None) -> FloatArray | None:
    if left is None or right is None:
        return left if right is None else right
    result: FloatArray = operation(left, right)
    return result
