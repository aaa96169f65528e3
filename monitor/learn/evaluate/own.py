"""A user's own good and bad recordings: the same tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np

from monitor.errors import HistwatchError, SourceError
from monitor.judge.entries import SURE
from monitor.learn.evaluate.gathered import Gathered, gather
from monitor.learn.evaluate.measure import measure
from monitor.learn.evaluate.refused import NOT_MADE, left_out, measured, not_measured
from monitor.learn.evaluate.rows import Row
from monitor.learn.evaluate.scorers import Scored, Scorer, applies, choose, make_scorer
from monitor.learn.evaluate.suite import Options, Part, Tell
from monitor.learn.evaluate.tables import auc_by_type, listing, pivot, rates, roc_curves, summary
from monitor.snapshot import FloatArray
from monitor.window import Interval

DETECTORS = ("expectation", "dbscan", "strip_median", "l1calo_strip_median", "chi2", "ks", "pca", "isolation_forest")
SHARE = 0.5
"""Share of the good runs, the first ones, that references are made of."""
_WHAT = "good against bad recordings"
_NAMED = 4


class BringYourOwn:
    """Good and bad files of a user."""

    name = "bring-your-own"
    title = "Own recordings"
    words = (
        "References are the first half of the good runs (of lumisections, where there is one run); the other half are "
        "the good maps that are judged, and all of the bad recordings are the bad ones, whichever of their histograms "
        "are wrong. `found` and `false`: shares of bad and good maps that are BAD at the detector's own threshold. "
        f"`empty` bad maps are BAD for every detector where references hold {SURE:g} entries: the monitor says so, "
        "while other histograms of the stream fill, without asking one. What could not be used is in the last table."
    )

    def run(self, options: Options, tell: Tell) -> Iterator[Row]:
        """Measure every histogram that is in both recordings; what cannot be is a row with its reason.

        Raises
        ------
        HistwatchError
            If good or bad recordings are not named, or no histogram can be measured.
        """
        for name, paths in (("--good", options.good), ("--bad", options.bad)):
            if not paths:
                raise HistwatchError(f"suite {self.name} needs recordings: name them with {name} PATH")
        detectors = choose(options.detectors, DETECTORS)
        good, bad = gather(options.good), gather(options.bad)
        yield from self._unread(good, bad, options.types)
        names = [p for p in sorted({*good.intervals, *bad.intervals}) if fnmatchcase(p, options.types)]
        reasons: dict[str, str] = {}
        chosen: dict[str, _Chosen] = {}
        for path in names:
            one = _choose(good.intervals.get(path, []), bad.intervals.get(path, []))
            if one.reason:
                unread = [r for p, r in sorted({*good.without, *bad.without}) if p == path]
                reasons[path] = "; ".join([one.reason, *unread])
            else:
                chosen[path] = one
            for reason, of_good, of_bad in one.without:
                yield left_out(self.name, path, "", reason, good=of_good, bad=of_bad)
        if not chosen:
            raise SourceError(_nothing(options.types, reasons))
        for done, (path, one) in enumerate(chosen.items()):
            tell(done, len(chosen), path)
            for name in detectors:
                yield from self._of(name, path, one, options.seed)
        tell(len(chosen), len(chosen), "done")

    def _unread(self, good: Gathered, bad: Gathered, types: str) -> Iterator[Row]:
        for place in sorted({*good.without, *bad.without}):
            path, reason = place
            if not path or fnmatchcase(path, types):
                counts = good.without[place], bad.without[place]
                yield left_out(self.name, path or "files", "", reason, good=counts[0], bad=counts[1])

    def _of(self, name: str, path: str, one: _Chosen, seed: int) -> Iterator[Row]:
        empty = sum(_is_empty(i) for i in one.bad)
        nothing = np.zeros(one.references[0].contents.shape, dtype=np.bool_)
        try:
            if not applies(name, one.references[0]):
                raise HistwatchError(NOT_MADE)
            scorer: Scorer = make_scorer(name, one.references, seed=seed)
            if empty:
                scorer = _EmptyFirst(scorer, one.references)
            faulty = [(i, nothing) for i in one.bad]
            # All or nothing: half of a detector's rows would say less than why there are none.
            rows = list(measure(scorer, one.held, faulty, suite=self.name, what=_WHAT, kind=path, seed=seed))
        except HistwatchError as error:
            yield left_out(self.name, path, name, str(error), good=len(one.held), bad=len(one.bad))
            return
        yield from (row.with_figures({"empty": empty}) for row in rows)

    def parts(self, rows: Sequence[Row]) -> list[Part]:
        """Return the same tables and pictures as of simulated suites, and what was left out."""
        known, without = measured(rows), not_measured(rows)
        parts = [
            summary("Least / median area over the histograms", known),
            rates("Found / false at the detector's own threshold", known),
            pivot("Area by histogram, 95 % interval", known),
            listing("Every row", known, ["found", "false", "empty"]),
        ]
        drawn = [r for r in known if r.area is not None]
        if drawn:
            parts += [auc_by_type("Area by histogram", drawn), roc_curves("ROC", drawn)]
        return [*parts, without] if without.lines else parts


@dataclass(frozen=True, slots=True)
class _Chosen:
    """Intervals of one histogram, sorted by what they are for."""

    references: list[Interval]
    held: list[Interval]
    bad: list[Interval]
    reason: str
    """Why the histogram cannot be measured; empty if it can."""
    without: list[tuple[str, int, int]]
    """Why intervals are not used, and how many good and bad ones."""


def _choose(good: Sequence[Interval], bad: Sequence[Interval]) -> _Chosen:
    """Sort the intervals of one histogram: good ones without content teach nothing, bad ones without are faults."""
    filled = [i for i in good if not _is_empty(i)]
    alike = [i for i in filled if _is_like(i, filled[-1])]
    wrong = [i for i in bad if filled and _is_like(i, filled[-1])]
    references, held = split_good(alike)
    reason = ""
    if not good or not bad:
        reason = f"in no {'bad' if good else 'good'} recording"
    elif not references or not held:
        reason = f"content in {len(alike)} good runs (or lumisections) that are binned alike, two are needed"
    elif not wrong:
        reason = "binned in no bad recording as in the good ones"
    if reason:
        return _Chosen([], [], [], reason, [(reason, len(good), len(bad))])
    shape = " x ".join(map(str, filled[-1].contents.shape))
    without = [
        ("empty, and so nothing to learn from", len(good) - len(filled), 0),
        (f"of other bins or kind than the last good one ({shape})", len(filled) - len(alike), len(bad) - len(wrong)),
    ]
    return _Chosen(references, held, wrong, "", [one for one in without if any(one[1:])])


def _nothing(types: str, reasons: dict[str, str]) -> str:
    if not reasons:
        return f"no histogram matches {types} in the good or in the bad recordings"
    named = ", ".join(f"{path} ({reason})" for path, reason in list(reasons.items())[:_NAMED])
    more = f" and {len(reasons) - _NAMED} more" if len(reasons) > _NAMED else ""
    return f"no histogram matching {types} can be measured: {named}{more}"


class _EmptyFirst:
    """A scorer behind the monitor's rule that an empty map is BAD, whatever the detector."""

    def __init__(self, scorer: Scorer, references: Sequence[Interval]) -> None:
        self.name = scorer.name
        self._scorer = scorer
        # A profile's total is a sum of means: that it has any bins says enough.
        wanted = SURE if references[0].entries is not None else float(np.mean([i.total for i in references]))
        self._empty = Scored(np.finfo(np.float64).max, True) if wanted >= SURE else Scored(0.0, False)

    def judge(self, intervals: Sequence[Interval]) -> list[Scored]:
        """Score maps; the detector is asked about those with content."""
        filled = [i for i in intervals if not _is_empty(i)]
        found = iter(self._scorer.judge(filled) if filled else [])
        return [self._empty if _is_empty(i) else next(found) for i in intervals]

    def bins(self, interval: Interval) -> FloatArray | None:
        """Return the detector's own scores."""
        return self._scorer.bins(interval)

    def bins_of(self, intervals: Sequence[Interval]) -> FloatArray | None:
        """Return the detector's own scores."""
        return self._scorer.bins_of(intervals)


def split_good(intervals: Sequence[Interval]) -> tuple[list[Interval], list[Interval]]:
    """Return references and good maps to judge: no run is in both, unless there is but one."""
    runs = sorted({i.run for i in intervals})
    if len(runs) > 1:
        first = set(runs[: max(1, int(SHARE * len(runs)))])
        return [i for i in intervals if i.run in first], [i for i in intervals if i.run not in first]
    count = int(SHARE * len(intervals))
    return list(intervals[:count]), list(intervals[count:])


def _is_empty(interval: Interval) -> bool:
    return interval.total <= 0


def _is_like(one: Interval, other: Interval) -> bool:
    return one.contents.shape == other.contents.shape and one.kind is other.kind
