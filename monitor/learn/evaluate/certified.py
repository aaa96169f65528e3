"""Recorded lumisections of one histogram in time order, with what people certified of them."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from monitor.detect.base import Detector, Finding, Settings
from monitor.detect.registry import DETECTORS as BY_NAME
from monitor.detect.scan import WindowScan
from monitor.errors import HistwatchError
from monitor.judge import AdaptiveOptions, judge_in_order
from monitor.learn.evaluate.measure import map_row
from monitor.learn.evaluate.refused import NOT_MADE, left_out, measured, not_measured
from monitor.learn.evaluate.rows import Figure, Row
from monitor.learn.evaluate.scorers import CALIBRATED, SETTINGS, Scored, applies, choose, make_scorer
from monitor.learn.evaluate.suite import Options, Part, Tell, data_folder
from monitor.learn.evaluate.tables import listing
from monitor.learn.recorded import gather_intervals
from monitor.source.recording import Recording
from monitor.window import Interval

FOLDER = "certified_1d"
FIXED = 20
"""First good lumisections that a fixed reference is learned of."""
RATE = "rate"
"""No detector: entries per lumisection against the run's rolling median (`monitor/judge/entries.py`)."""
DETECTORS = (
    WindowScan.name,
    RATE,
    "expectation",
    "chi2",
    "ks",
    "drift",
    "strip_median",
    "l1calo_strip_median",
    "dbscan",
    "pca",
    "isolation_forest",
    "thesis_b",
)
OTHER_RATES = (0.3, 0.4, 0.6, 0.7)
OTHER_THRESHOLDS = (6.0, 10.0)
"""What other settings than the default give, which was chosen on the same lumisections."""
_TYPE = "charge, 102 bins"
_NEAR = 5
_FIRST = 10

Place = tuple[int, int]
"""Run and lumisection."""


@dataclass(frozen=True, slots=True)
class Labels:
    """What was certified."""

    good: frozenset[Place]
    single: frozenset[Place]
    """Bad lumisections within runs that have good ones."""
    whole: frozenset[Place]
    """Lumisections of runs that were rejected as a whole, for any reason."""


@dataclass(frozen=True, slots=True)
class Check:
    """One way of judging in time order."""

    what: str
    detector: str
    options: AdaptiveOptions | None
    """None: against a fixed reference."""
    prototype: tuple[str, float] | None = None
    """What it found of 15, in words, and its false alarms."""


class Certified:
    """False alarms on the good lumisections, and which of the single bad ones are found."""

    name = "certified-1d"
    title = "Certified lumisections in time order"
    words = (
        "Recorded charge of one histogram, lumisection after lumisection (`../shared/data/SOURCES.md`): 2788 certified "
        "good, 15 bad ones within good runs (`found`), 297 of runs that were rejected as a whole for any reason "
        "(`rejected`: share that is flagged). `false`: good ones that are flagged, of these `false_near` within "
        f"{_NEAR} lumisections of a bad one or among the first {_FIRST} of a run. Adaptive: compared with the last "
        f"good lumisections (`monitor/judge/adaptive.py`) by a check of the shape, `scan` by default, and by `{RATE}`, "
        "entries below a share of the run's rolling median. **Both thresholds were chosen on these lumisections** "
        f"(rate {AdaptiveOptions().lowest_rate:g}, shape {AdaptiveOptions().threshold:g}); what others would have "
        f"given stands beside. Fixed: compared with the first {FIXED} good ones, which are not judged. The area is "
        "that of the 15 against all good ones."
    )

    def run(self, options: Options, tell: Tell) -> Iterator[Row]:
        """Judge all lumisections in every way."""
        folder = data_folder(options, self.name, FOLDER)
        labels = read_labels(folder)
        (own,) = gather_intervals(Recording([folder])).values()
        detectors = choose(options.detectors, DETECTORS, own=(WindowScan.name, RATE))
        checks = [check for name in detectors for check in _checks(name)]
        wanted = options.chosen(list(dict.fromkeys(c.what for c in checks)), self.name)
        checks = [c for c in checks if c.what in wanted]
        # Two checks of a detector may be refused for one reason.
        refused: dict[tuple[str, str], None] = {}
        for done, check in enumerate(checks):
            tell(done, len(checks), f"{check.what}, {check.detector}")
            try:
                yield self._row(own, labels, check, options.seed)
            except HistwatchError as error:
                refused[check.detector, str(error)] = None
        for name, reason in refused:
            yield left_out(self.name, _TYPE, name, reason, good=len(labels.good), bad=len(labels.single))
        tell(len(checks), len(checks), "done")

    def _row(self, own: Sequence[Interval], labels: Labels, check: Check, seed: int) -> Row:
        if check.options is None:
            scored = _against_fixed(own, labels, check.detector, seed)
        else:
            detector = WindowScan() if check.detector in (WindowScan.name, RATE) else _adaptive(check.detector)
            found = judge_in_order(own, check.options, detector)
            scored = {
                _place(i): Scored(f.score, f.bad) if isinstance(f, Finding) else Scored(0.0, False)
                for i, f in zip(own, found, strict=True)
            }
        row = self._of(scored, labels, check, seed)
        # Where the rate is not odd there is only the score of a shape, which was not asked for.
        return replace(row, area=None, curve=None) if check.detector == RATE else row

    def _of(self, scored: Mapping[Place, Scored], labels: Labels, check: Check, seed: int) -> Row:
        flagged = {place for place, one in scored.items() if one.bad}
        near = near_places(labels, list(scored))
        says = all(one.bad is not None for one in scored.values())
        figures: dict[str, Figure] = {
            "found": len(flagged & labels.single) if says else None,
            "false": len(flagged & labels.good) if says else None,
            "false_near": len(flagged & labels.good & near) if says else None,
            "rejected": len(flagged & labels.whole) / max(1, len(labels.whole)) if says else None,
        }
        good, bad = ([scored[p] for p in sorted(places) if p in scored] for places in (labels.good, labels.single))
        peer, value = check.prototype or ("", None)
        return map_row(
            check.detector,
            good,
            bad,
            suite=self.name,
            what=check.what,
            kind=_TYPE,
            rng=np.random.default_rng(seed),
            figures=figures,
            peer=peer,
            peer_value=value,
        )

    def parts(self, rows: Sequence[Row]) -> list[Part]:
        """Return one table; recorded data stays numbers."""
        figures = ["found", "false", "false_near", "rejected"]
        parts = [listing("Found and false", measured(rows), figures), not_measured(rows)]
        return [part for part in parts if part.lines]


def read_labels(folder: Path) -> Labels:
    """Read what was certified; the column y is 1 for a good lumisection.

    Raises
    ------
    HistwatchError
        If there is not one table with the columns run, lumi and y.
    """
    tables = sorted(folder.glob("*.csv"))
    if len(tables) != 1:
        raise HistwatchError(f"{folder}: holds {len(tables)} tables (*.csv), must be one")
    try:
        with tables[0].open(newline="") as file:
            # Bins come behind the first columns and before the last one, and are of no interest here.
            certified = {
                (int(float(r["run"])), int(float(r["lumi"]))): float(r["y"]) == 1.0 for r in csv.DictReader(file)
            }
    except (KeyError, ValueError, TypeError) as error:
        raise HistwatchError(f"{tables[0]}: no table of run, lumi and y: {error}") from error
    good = frozenset(place for place, is_good in certified.items() if is_good)
    runs = {run for run, _ in good}
    bad = frozenset(certified) - good
    single = frozenset(place for place in bad if place[0] in runs)
    return Labels(good, single, bad - single)


def near_places(labels: Labels, order: Sequence[Place]) -> set[Place]:
    """Return the places within some lumisections of a bad one, and the first ones of each run.

    Parameters
    ----------
    order
        All places in time order.
    """
    near: set[Place] = set()
    for n, place in enumerate(order):
        if place in labels.single:
            near.update(p for p in order[max(0, n - _NEAR) : n + _NEAR + 1] if p[0] == place[0])
    seen: dict[int, int] = {}
    for place in order:
        seen[place[0]] = seen.get(place[0], 0) + 1
        if seen[place[0]] <= _FIRST:
            near.add(place)
    return near


def _checks(name: str) -> list[Check]:
    default = AdaptiveOptions()
    both, shape, rate = "adaptive, rate and shape", "adaptive, shape alone", "adaptive, rate alone"
    alone = replace(default, lowest_rate=0.0)
    if name == WindowScan.name:
        others = OTHER_THRESHOLDS
        return [
            Check(both, name, default, ("prototype's rate check: 15 of 15 found, false", 15)),
            *(Check(f"{both}, threshold {t:g}", name, replace(default, threshold=t)) for t in others),
            *(Check(f"{both}, lowest_rate {r:g}", name, replace(default, lowest_rate=r)) for r in OTHER_RATES),
            Check(shape, name, alone, ("prototype: 13 of 15 found, false", 34)),
            *(Check(f"{shape}, threshold {t:g}", name, replace(alone, threshold=t)) for t in others),
        ]
    if name == RATE:
        only = replace(default, threshold=math.inf)
        return [
            Check(rate, name, only, ("prototype's rate check: 15 of 15 found, false", 15)),
            *(Check(f"{rate}, lowest_rate {r:g}", name, replace(only, lowest_rate=r)) for r in OTHER_RATES),
        ]
    fixed = Check("fixed reference", name, None, ("prototype, fixed: false", 2174) if name == "expectation" else None)
    return [Check(both, name, default), Check(shape, name, alone), fixed]


def _adaptive(name: str) -> Detector:
    """Return a detector that can be asked about the references of the moment.

    Raises
    ------
    HistwatchError
        If it has to learn or to be calibrated first.
    """
    if name not in BY_NAME or name in CALIBRATED:
        raise HistwatchError("not in time order: it learns of stored references, so only with the fixed one")
    return BY_NAME[name](SETTINGS.get(name, Settings()))


def _against_fixed(own: Sequence[Interval], labels: Labels, name: str, seed: int) -> dict[Place, Scored]:
    filled = [i for i in own if i.total > 0]
    references = [i for i in filled if _place(i) in labels.good][:FIXED]
    if not references or not applies(name, references[0]):
        raise HistwatchError(NOT_MADE if references else "no certified good lumisection has content")
    learned = {_place(i) for i in references}
    rest = [i for i in filled if _place(i) not in learned]
    found = dict(zip(map(_place, rest), make_scorer(name, references, seed=seed).judge(rest), strict=True))
    return {place: found.get(place, Scored(0.0, False)) for i in own if (place := _place(i)) not in learned}


def _place(interval: Interval) -> Place:
    return interval.run, interval.lumisection
