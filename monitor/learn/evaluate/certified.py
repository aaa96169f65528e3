"""Recorded lumisections of one histogram in time order, with what people certified of them."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from monitor.detect.base import Detector, Expected, Finding, Settings
from monitor.detect.registry import DETECTORS
from monitor.detect.scan import WindowScan
from monitor.errors import HistwatchError
from monitor.judge import AdaptiveOptions, judge_in_order
from monitor.learn.evaluate.measure import map_row
from monitor.learn.evaluate.rows import Row
from monitor.learn.evaluate.scorers import SETTINGS, Scored, choose
from monitor.learn.evaluate.suite import Options, Part, Tell, data_folder
from monitor.learn.evaluate.tables import listing
from monitor.learn.recorded import gather_intervals
from monitor.learn.reference import learn_reference
from monitor.source.recording import Recording
from monitor.window import Interval

FOLDER = "certified_1d"
FIXED = 20
"""First good lumisections that a fixed reference is learned of."""
JUDGING = ("expectation", "chi2", "ks")
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
        "good lumisections (`monitor/judge/adaptive.py`). Fixed: with the first "
        f"{FIXED} good ones. The area is that of the 15 against all good ones."
    )

    def run(self, options: Options, tell: Tell) -> Iterator[Row]:
        """Judge all lumisections in every way."""
        folder = data_folder(options, self.name, FOLDER)
        labels = read_labels(folder)
        (own,) = gather_intervals(Recording([folder])).values()
        detectors = [d for d in choose(options.detectors, JUDGING) if d in DETECTORS]
        if not detectors:
            raise HistwatchError(f"--detectors {', '.join(options.detectors)}: none can be asked in time order")
        checks = _checks(detectors, scan=not options.detectors)
        wanted = options.chosen(list(dict.fromkeys(c.what for c in checks)), self.name)
        checks = [c for c in checks if c.what in wanted]
        for done, check in enumerate(checks):
            tell(done, len(checks), f"{check.what}, {check.detector}")
            yield self._row(own, labels, check, options.seed)
        tell(len(checks), len(checks), "done")

    def _row(self, own: Sequence[Interval], labels: Labels, check: Check, seed: int) -> Row:
        detector = _detector(check.detector)
        if check.options is None:
            found = _against_fixed(own, labels, detector)
        else:
            found = judge_in_order(own, check.options, detector)
        scored = {
            (i.run, i.lumisection): Scored(f.score, f.bad) if isinstance(f, Finding) else Scored(0.0, False)
            for i, f in zip(own, found, strict=True)
        }
        flagged = {place for place, one in scored.items() if one.bad}
        near = near_places(labels, list(scored))
        figures = {
            "found": len(flagged & labels.single),
            "false": len(flagged & labels.good),
            "false_near": len(flagged & labels.good & near),
            "rejected": len(flagged & labels.whole) / max(1, len(labels.whole)),
        }
        good, bad = ([scored[p] for p in sorted(places) if p in scored] for places in (labels.good, labels.single))
        peer, value = check.prototype or ("", None)
        return map_row(
            check.detector,
            good,
            bad,
            suite=self.name,
            what=check.what,
            kind="charge, 102 bins",
            rng=np.random.default_rng(seed),
            figures=figures,
            peer=peer,
            peer_value=value,
        )

    def parts(self, rows: Sequence[Row]) -> list[Part]:
        """Return one table; recorded data stays numbers."""
        return [listing("Found and false", rows, ["found", "false", "false_near", "rejected"])]


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


def _checks(detectors: Sequence[str], scan: bool) -> list[Check]:
    both, alone = AdaptiveOptions(), AdaptiveOptions(lowest_rate=0.0)
    checks = []
    if scan:
        checks = [
            Check("adaptive, rate and shape", "scan", both, ("prototype's rate check: 15 of 15 found, false", 15)),
            Check("adaptive, shape alone", "scan", alone, ("prototype: 13 of 15 found, false", 34)),
        ]
    for name in detectors:
        checks += [
            Check("adaptive, rate and shape", name, both),
            Check("adaptive, shape alone", name, alone),
            Check("fixed reference", name, None, ("prototype, fixed: false", 2174) if name == "expectation" else None),
        ]
    return checks


def _detector(name: str) -> Detector:
    if name == WindowScan.name:
        return WindowScan()
    return DETECTORS[name](SETTINGS.get(name, Settings()))


def _against_fixed(own: Sequence[Interval], labels: Labels, detector: Detector) -> list[Finding | str]:
    good = [i for i in own if (i.run, i.lumisection) in labels.good and i.total > 0]
    expected = Expected(learn_reference(good[:FIXED], "the first good lumisections").reference)
    filled = [i for i in own if i.total > 0]
    found = dict(zip(map(id, filled), detector.judge(filled, [expected] * len(filled)), strict=True))
    return [found.get(id(i), "empty") for i in own]
