"""Kinds of faults: classifiers name what is wrong with maps that were found to be bad.

A verdict never depends on it: what a classifier cannot take is left without a name, and one that fails is reported.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from monitor.infer import Classifier
from monitor.judge.catalogue import Entry
from monitor.judge.words import describe_kind
from monitor.verdict import Judgement, Verdict
from monitor.window import Interval


def name_faults(
    intervals: Sequence[Interval],
    entries: Sequence[Entry],
    judgements: Sequence[Judgement],
    on_error: Callable[[str, Exception], None] | None = None,
) -> list[Judgement]:
    """Return the judgements, those that are BAD with what a classifier says of their map.

    Parameters
    ----------
    intervals, entries, judgements
        Of the same histograms, in the same order.
    on_error
        Called with the histogram's key and the exception when a classifier fails.
    """
    return [
        _named(interval, entry, judgement, on_error)
        if entry.classifiers and judgement.verdict is Verdict.BAD and interval.total > 0
        else judgement
        for interval, entry, judgement in zip(intervals, entries, judgements, strict=True)
    ]


def _named(
    interval: Interval, entry: Entry, judgement: Judgement, on_error: Callable[[str, Exception], None] | None
) -> Judgement:
    classifier = next((c for c in entry.classifiers if c.takes(interval.kind, interval.contents.shape)), None)
    if classifier is None:
        return judgement
    try:
        found = _classify(classifier, interval, entry, judgement.exposure)
    except Exception as error:  # noqa: BLE001 - ring two: a name that is missing must never cost the verdict
        if on_error is not None:
            on_error(interval.key, error)
        return judgement
    words = describe_kind(found, classifier.card.good)
    return replace(
        judgement, classification=found, reason=f"{judgement.reason}; {words}" if words else judgement.reason
    )


def _classify(classifier: Classifier, interval: Interval, entry: Entry, exposure: float | None) -> dict[str, float]:
    # Models in thesis B's scales know no rates.
    known = entry.expected is not None and entry.expected.normalisation == "exposure"
    reference = entry.expected.reference if known and entry.expected is not None else None
    if exposure is None and reference is not None and reference.shape == interval.contents.shape:
        # Not every detector needs to know it.
        exposure = reference.exposure_of(interval.contents.ravel())
    return classifier.classify(interval.contents, exposure, reference)
