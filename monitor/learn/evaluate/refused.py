"""What could not be measured, and why: rows like any other, so that nothing is missing without a word."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from monitor.learn.evaluate.rows import Row
from monitor.learn.evaluate.suite import Part

LEFT_OUT = "left out"
"""The experiment of a row that measures nothing."""
REASON = "reason"
"""The figure that says why."""
NOT_MADE = "is not made for such histograms"
"""Of a detector that `monitor.learn.evaluate.scorers.applies` says no to."""


def left_out(suite: str, kind: str, detector: str, reason: str, *, good: int = 0, bad: int = 0) -> Row:
    """Return a row that says why something was not measured.

    Parameters
    ----------
    kind
        Histogram type.
    detector
        Empty: none was asked.
    good, bad
        Maps that this is about.
    """
    return Row(
        suite=suite,
        what=LEFT_OUT,
        type=kind,
        detector=detector,
        unit="map",
        n_good=good,
        n_bad=bad,
        figures={REASON: reason},
    )


def measured(rows: Sequence[Row]) -> list[Row]:
    """Return the rows that measure something."""
    return [r for r in rows if REASON not in r.figures]


def not_measured(rows: Sequence[Row]) -> Part:
    """Return a table of what was left out; without lines if nothing was."""
    lines = [
        [r.type, r.detector or "all", f"{r.n_good} / {r.n_bad}", str(r.figures[REASON])]
        for r in rows
        if REASON in r.figures
    ]
    return Part(title="Left out", header=["type", "detector", "good / bad maps", REASON], lines=lines)


class Refusals:
    """Reasons why detectors could not be asked about maps of one type."""

    def __init__(self) -> None:
        self._found: Counter[tuple[str, str]] = Counter()

    def add(self, detector: str, reason: str | Exception) -> None:
        """Note that a detector could not be asked about one more map."""
        self._found[detector, str(reason)] += 1

    def rows(self, suite: str, kind: str) -> list[Row]:
        """Return a row for each detector and reason."""
        return [left_out(suite, kind, name, reason, good=maps) for (name, reason), maps in self._found.items()]
