"""What a derived histogram is made of, and how: ratio, difference or sum of two histograms.

With contents a and b, their variances v_a and v_b (contents themselves for counts), and r = a / b:

=================  =================  ============================================================================
operation          errors             variance of a bin
=================  =================  ============================================================================
sum, difference    ``independent``    v_a + v_b
ratio              ``independent``    (v_a + r^2 v_b) / b^2
ratio              ``shared``         (v_a / b - r^2) / b: every entry of a is one of b's, with a weight. Then r is a
                                      mean, v_a the sum of squared weights, and this its variance; without weights r
                                      is an efficiency and this the binomial r (1 - r) / b. At least that of one
                                      typical entry, (v_a / (a b))^2, where all or none of the entries count.
ratio, sum         ``unknown``        none
=================  =================  ============================================================================

A difference is signed and may be about 0, so it is a profile's: a mean per bin, with the errors above, and as many
entries as both operands have. A ratio is absolute: its scale is not fitted away unseen.

Where b is 0 a ratio does not exist: content and variance are 0, like those of a bin that was never filled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property

import numpy as np

from monitor.snapshot import FloatArray, Kind
from monitor.window.interval import Interval, State
from monitor.window.template import Template

MAX_VALUE = 1e30
"""Largest content that is judged, as of what is received."""
OPERATIONS = ("ratio", "difference", "sum")
ERRORS = ("independent", "shared", "unknown")


class Unfit(Exception):  # noqa: N818 - a reason to count, no error
    """Two intervals of which nothing can be derived; its text is the reason, one of `Deriver.EVENTS`."""


@dataclass(frozen=True, kw_only=True)
class Derivation:
    """One rule that makes histograms of pairs of others.

    Raises
    ------
    ValueError
        If a template is wrong, or the templates do not name the same parts: then one pair of histograms would not be
        one derived histogram.
    """

    path: str
    """Template of the derived histograms' paths."""
    operation: str
    """``ratio``, ``difference`` or ``sum``."""
    of: tuple[str, str]
    """Templates of the two operands' paths, in the order of the operation."""
    stream: str = "*"
    """Glob of the streams it applies to."""
    errors: str = "independent"
    """``independent``, ``shared`` or ``unknown``."""

    def __post_init__(self) -> None:
        if self.operation not in OPERATIONS:
            raise ValueError(f"operation '{self.operation}' is none of {', '.join(OPERATIONS)}")
        if self.errors not in ERRORS:
            raise ValueError(f"errors '{self.errors}' is none of {', '.join(ERRORS)}")
        if self.errors == "shared" and self.operation != "ratio":
            raise ValueError(f"errors 'shared' is for a ratio, not for a {self.operation}")
        if self.errors == "unknown" and self.operation == "difference":
            raise ValueError("a difference may be about 0, and so can be judged by its errors only, not 'unknown'")
        if len(self.of) != 2 or self.of[0] == self.of[1]:
            raise ValueError("of: names two different histograms")
        wanted = set(self.result.names)
        for operand in self.operands:
            if set(operand.names) != wanted:
                raise ValueError(
                    f"'{operand.text}' and '{self.path}' do not name the same parts: each pair of histograms must "
                    "make one derived histogram"
                )
        if self.path in self.of:
            raise ValueError(f"'{self.path}' would be derived of itself")

    @cached_property
    def result(self) -> Template:
        """Template of the derived path."""
        return Template.parse(self.path)

    @cached_property
    def operands(self) -> tuple[Template, Template]:
        """Templates of the operands' paths."""
        return Template.parse(self.of[0]), Template.parse(self.of[1])

    def side_of(self, stream: str, path: str) -> tuple[int, str] | None:
        """Return which operand a histogram is, 0 or 1, and the path of what is derived; None if it is neither.

        Of two templates that match, the one with more literal text counts.
        """
        if not fnmatchcase(stream, self.stream):
            return None
        found = [
            (-template.literals, side, parts)
            for side, template in enumerate(self.operands)
            if (parts := template.match(path)) is not None
        ]
        if not found:
            return None
        _, side, parts = min(found, key=lambda f: f[:2])
        return side, self.result.fill(parts)


def refuse_overlap(derivations: Sequence[Derivation]) -> None:
    """Refuse two rules that make one path, and a rule that is fed by another.

    Raises
    ------
    ValueError
        Naming the path.
    """
    paths = [d.path for d in derivations]
    for number, one in enumerate(derivations):
        if one.path in paths[:number]:
            raise ValueError(f"'{one.path}' is derived twice; give the second another path")
        fed = next((operand for operand in one.of if operand in paths), None)
        if fed is not None:
            raise ValueError(f"'{one.path}' is derived of '{fed}', which is derived itself; name what that is made of")


def combine(derivation: Derivation, path: str, a: Interval, b: Interval) -> Interval:
    """Return ``a operation b`` as an interval of its own, at their common place.

    But for a sum of counts it holds no counts. Its `total` is the smaller of the operands' (of a sum and a difference
    their sum): it says how much statistics stands behind it. A repetition of both operands is one of it.

    Raises
    ------
    Unfit
        If the operands have no errors where they are needed, or the result is too large to calculate with.
    """
    x, y = a.contents, b.contents
    v, w = _variances(a), _variances(b)
    known = v is not None and w is not None and derivation.errors != "unknown"
    variances: FloatArray | None = None
    entries: FloatArray | None = None
    total = min(a.total, b.total)
    if derivation.operation == "ratio":
        there = (y != 0) & np.isfinite(x) & np.isfinite(y)
        safe = np.where(there, y, 1.0)
        with np.errstate(over="ignore"):
            contents = np.where(there, x / safe, 0.0)
        if not np.abs(contents).max(initial=0.0) <= MAX_VALUE:
            raise Unfit("out_of_range")
        if known and v is not None and w is not None:
            shared = derivation.errors == "shared"
            variances = _of_mean(x, v, safe) if shared else (v + contents**2 * w) / safe**2
            variances = np.where(there, variances, 0.0)
    else:
        contents = x - y if derivation.operation == "difference" else x + y
        if derivation.operation == "sum":
            total = a.total + b.total
        counts = derivation.operation == "sum" and a.variances is None and b.variances is None
        if known and not counts and v is not None and w is not None:
            variances = v + w
        if derivation.operation == "difference":
            if v is None or w is None:
                raise Unfit("no_errors")
            entries = _entries(x, v) + _entries(y, w)
            total = float(entries.sum())
    kinds = (Kind.TH1, Kind.TH2) if entries is None else (Kind.TPROFILE, Kind.TPROFILE2D)
    return Interval(
        stream=a.stream,
        path=path,
        kind=kinds[a.kind.dimension - 1],
        axes=a.axes,
        run=a.run,
        first_lumisection=a.first_lumisection,
        lumisection=a.lumisection,
        time_ns=a.time_ns,
        contents=np.ascontiguousarray(contents),
        variances=variances,
        entries=entries,
        total=total,
        state=State.STUCK if a.state is State.STUCK and b.state is State.STUCK else State.READY,
        absolute=derivation.operation == "ratio",
    )


def _of_mean(x: FloatArray, squares: FloatArray, n: FloatArray) -> FloatArray:
    """Variance of x / n where every entry of x is one of n's; `squares` is the sum of squared weights."""
    mean = x / n
    typical = np.where(x != 0, squares / np.where(x != 0, x, 1.0), 1.0)
    floor = (typical / n) ** 2
    variance: FloatArray = np.maximum((squares / n - mean**2) / np.abs(n), floor)
    return variance


def _entries(contents: FloatArray, variances: FloatArray) -> FloatArray:
    """Return how many entries of one size know a content as well as its variance says; 0 where there is none."""
    there = variances > 0
    return np.where(there, contents**2 / np.where(there, variances, 1.0), 0.0)


def _variances(interval: Interval) -> FloatArray | None:
    """Variance of each content; that of counts is their number; None where it cannot be told."""
    if interval.variances is not None:
        return interval.variances
    contents = interval.contents
    if interval.kind.is_profile or not np.array_equal(contents, np.round(contents)) or (contents < 0).any():
        return None
    return contents
