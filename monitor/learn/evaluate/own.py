"""A user's own good and bad recordings: the same tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase

import numpy as np

from monitor.errors import HistwatchError, SourceError
from monitor.learn.evaluate.measure import measure
from monitor.learn.evaluate.rows import Row
from monitor.learn.evaluate.scorers import applies, choose, make_scorer
from monitor.learn.evaluate.suite import Options, Part, Tell
from monitor.learn.evaluate.tables import auc_by_type, listing, pivot, rates, roc_curves, summary
from monitor.learn.recorded import gather_intervals
from monitor.source.recording import Recording
from monitor.window import Interval

DETECTORS = ("expectation", "dbscan", "strip_median", "l1calo_strip_median", "chi2", "ks", "pca", "isolation_forest")
SHARE = 0.5
"""Share of the good runs, the first ones, that references are made of."""
_WHAT = "good against bad recordings"


class BringYourOwn:
    """Good and bad files of a user."""

    name = "bring-your-own"
    title = "Own recordings"
    words = (
        "References are the first half of the good runs (of lumisections, where there is one run); the other half are "
        "the good maps that are judged, and all of the bad recordings are the bad ones, whichever of their histograms "
        "are wrong. `found` and `false`: shares of bad and good maps that are BAD at the detector's own threshold."
    )

    def run(self, options: Options, tell: Tell) -> Iterator[Row]:
        """Measure every histogram that is in both recordings.

        Raises
        ------
        HistwatchError
            If good or bad recordings are not named, or no histogram is in both.
        """
        for name, paths in (("--good", options.good), ("--bad", options.bad)):
            if not paths:
                raise HistwatchError(f"suite {self.name} needs recordings: name them with {name} PATH")
        good, bad = _by_path(options.good), _by_path(options.bad)
        names = [p for p in sorted(good) if p in bad and fnmatchcase(p, options.types)]
        split = {path: split_good(good[path]) for path in names}
        names = [p for p in names if split[p][0] and split[p][1] and _alike(good[p][-1], bad[p])]
        if not names:
            raise SourceError(
                f"no histogram matching {options.types} has content in two good runs (or lumisections) and in a bad one"
            )
        detectors = choose(options.detectors, DETECTORS)
        for done, path in enumerate(names):
            tell(done, len(names), path)
            references, held = split[path]
            wrong = [(i, np.zeros(i.contents.shape, dtype=np.bool_)) for i in _alike(good[path][-1], bad[path])]
            for name in (d for d in detectors if applies(d, references[0])):
                scorer = make_scorer(name, references, seed=options.seed)
                yield from measure(scorer, held, wrong, suite=self.name, what=_WHAT, kind=path, seed=options.seed)
        tell(len(names), len(names), "done")

    def parts(self, rows: Sequence[Row]) -> list[Part]:
        """Return the same tables and pictures as of simulated suites."""
        parts = [
            summary("Least / median area over the histograms", rows),
            rates("Found / false at the detector's own threshold", rows),
            pivot("Area by histogram, 95 % interval", rows),
            listing("Every row", rows, ["found", "false"]),
        ]
        if any(r.area is not None for r in rows):
            parts += [auc_by_type("Area by histogram", rows), roc_curves("ROC", rows)]
        return parts


def split_good(intervals: Sequence[Interval]) -> tuple[list[Interval], list[Interval]]:
    """Return references and good maps to judge: no run is in both, unless there is but one."""
    runs = sorted({i.run for i in intervals})
    if len(runs) > 1:
        first = set(runs[: max(1, int(SHARE * len(runs)))])
        return [i for i in intervals if i.run in first], [i for i in intervals if i.run not in first]
    count = int(SHARE * len(intervals))
    return list(intervals[:count]), list(intervals[count:])


def _by_path(paths: Sequence[str]) -> Mapping[str, list[Interval]]:
    """Return the intervals with content by path: streams are named after folders, which differ."""
    found = gather_intervals(Recording(paths))
    often = Counter(key.partition("/")[2] for key in found)
    return {
        path: filled
        for key, own in found.items()
        if often[path := key.partition("/")[2]] == 1 and (filled := [i for i in own if i.total > 0])
    }


def _alike(one: Interval, others: Sequence[Interval]) -> list[Interval]:
    return [i for i in others if i.contents.shape == one.contents.shape and i.kind is one.kind]
