"""Two references that contradict each other: which of them is right, a third one would have to say."""

from __future__ import annotations

from collections.abc import Sequence

from monitor.detect.base import Expected
from monitor.detect.expectation import ExpectationDetector
from monitor.judge.words import describe_shape
from monitor.learn.reference import learn_reference
from monitor.window import Interval

_NAMED = 3


def contradiction(intervals: Sequence[Interval]) -> str:
    """Say where two references differ as if one of them were bad; empty if they do not, or are not two.

    Each is judged by what is learned of the other alone. Where they differ, two references make a scatter that hides
    any fault.

    Parameters
    ----------
    intervals
        Good intervals of one histogram, as for `learn_reference`.
    """
    if len(intervals) != 2:
        return ""
    first, last = intervals
    for seen, known in ((first, last), (last, first)):
        expected = Expected(learn_reference([known], "the other").reference)
        finding = ExpectationDetector().judge([seen], [expected])[0]
        if finding.shapes:
            places = "; ".join(describe_shape(s) for s in finding.shapes[:_NAMED])
            more = f" and {len(finding.shapes) - _NAMED} more" if len(finding.shapes) > _NAMED else ""
            return (
                f"its two references, run {seen.run} lumisection {seen.lumisection} and run {known.run} lumisection "
                f"{known.lumisection}, contradict each other: {places}{more}; faults there will not be seen, a third "
                "reference would say which is right"
            )
    return ""
