"""Recorded maps: faults put into each by turns, the changes that are known, and silence everywhere else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from monitor.detect.base import Detector, Expected, Settings
from monitor.detect.registry import DETECTORS as BY_NAME
from monitor.errors import HistwatchError
from monitor.learn.evaluate.known import KNOWN_CHANGES, KNOWN_FIGURES, KNOWN_WORDS
from monitor.learn.evaluate.measure import map_row
from monitor.learn.evaluate.refused import NOT_MADE, Refusals, left_out, measured, not_measured
from monitor.learn.evaluate.rows import Row
from monitor.learn.evaluate.scorers import (
    OUTSIDE,
    DetectorScorer,
    Scored,
    Scorer,
    applies,
    choose,
    expectation_of,
    make_scorer,
)
from monitor.learn.evaluate.spoiled import FAULTS, is_named, with_faults
from monitor.learn.evaluate.suite import Options, Part, Tell, data_folder
from monitor.learn.evaluate.tables import experiments, listing, number
from monitor.learn.recorded import gather_intervals
from monitor.learn.thesis_b.calibrate import calibrate_type
from monitor.source.recording import Recording
from monitor.window import Interval

DETECTORS = (
    "expectation",
    "chi2",
    "ks",
    "strip_median",
    "l1calo_strip_median",
    "dbscan",
    "pca",
    "isolation_forest",
)


@dataclass(frozen=True, slots=True)
class Source:
    """Maps of one kind, taken under like conditions."""

    folder: str
    select: tuple[str, ...]
    runs: tuple[int, ...] = ()
    """Those without known changes against one another; none: all."""
    last_lumisection: int = 0
    """0: all."""
    together: bool = False
    """Whether all are of one histogram, whatever it was called at the time."""


SOURCES: Mapping[str, Source] = {
    "hcal lumisections": Source("hcal_lumisections", ("*_depth[1-4]",)),
    "hcal lumisections, 6 to 28 bins": Source("hcal_lumisections", ("*_depth[5-7]",)),
    "pixel lumisections": Source("pixel_lumisections", ("*clusterposition_xy*",), last_lumisection=3),
    "hcal led counters": Source("hcal_led", ("h_mapDepth?_H?",), (295401, 295675, 296185)),
    "sphenix": Source("sphenix_ihcal", ("h2_hcal_hits*",), (73834, 79152, 79243, 79712, 81161, 81167), together=True),
}
"""Maps of the upper HCAL depths have so few live bins that a row or column of them holds next to nothing. Of the
pixels the forward disk: counted in blocks of 10 x 10 bins, its lumisections differ by 4.7 standard deviations at most,
those of the barrel layer by 24, where modules go dark. The runs of sPHENIX are those with 48 dead towers."""


class RealMaps:
    """Recorded maps, leave one out."""

    name = "real-maps"
    title = "Recorded maps"
    words = (
        "Recorded maps of four detectors (`../shared/data/SOURCES.md`). **Faults put into them**: every map is judged "
        "by references made of all other lumisections or runs of its histogram, as it is and with one fault at a time; "
        "bins hold at least half of a typical one, rows and columns are live. The prototype's figures are of six of "
        "the 14 HCAL histograms; ours are of the eight with 314 live bins and more, and apart from these of the six "
        "with 6 to 28. `found` is the share called BAD, `named` the share with a shape of its direction that shares "
        "half of the bins of both with the fault, `false` the share of the maps as they are that are BAD. Of the "
        "pixels only the forward disk is taken to be good: in the barrel layer modules go dark all the time. "
        "HCAL rows are found by the bins that every event fills, and so named in parts. `dbscan` is calibrated once a "
        "histogram, without its first map, and so has seen the others. "
        f"{KNOWN_WORDS}"
    )

    def run(self, options: Options, tell: Tell) -> Iterator[Row]:
        """Measure all recorded maps."""
        names = options.chosen([*SOURCES, *KNOWN_CHANGES], self.name)
        detectors = choose(options.detectors, DETECTORS)
        for done, name in enumerate(names):
            tell(done, len(names), name)
            if name in SOURCES:
                source = SOURCES[name]
                yield from self.measured(name, maps_of(options, source), detectors, options)
            else:
                folder = partial(data_folder, options, self.name)
                asked = detectors if options.detectors else ["expectation"]
                for detector in asked:
                    try:
                        # Only what names bins can say which channel has changed.
                        if detector in OUTSIDE:
                            raise HistwatchError("names no bins, so cannot say which channel has changed")
                        yield from KNOWN_CHANGES[name](folder, detector)
                    except HistwatchError as error:
                        yield left_out(self.name, name, detector, str(error))
        tell(len(names), len(names), "done")

    def measured(
        self, kind: str, maps: Sequence[Sequence[Interval]], detectors: Sequence[str], options: Options
    ) -> Iterator[Row]:
        """Put faults into each map by turns; who cannot be asked costs rows of its own only.

        Parameters
        ----------
        kind
            Name of the maps.
        maps
            Of each histogram, two at least.
        """
        rng = np.random.default_rng([options.seed, 81])
        good: dict[str, list[Scored]] = {name: [] for name in detectors}
        bad: dict[tuple[str, str], list[Scored]] = {(name, f.name): [] for name in detectors for f in FAULTS}
        named: dict[tuple[str, str], int] = dict.fromkeys(bad, 0)
        refusals = Refusals()
        for own in maps:
            makers = _Makers(options.seed)
            for n, held in enumerate(own):
                references = [*own[:n], *own[n + 1 :]]
                common = expectation_of("expectation", references, options.seed)
                faulty = with_faults(held, common, rng)
                for name in detectors:
                    try:
                        scorer = makers.make(name, references, common)
                        as_it_is, *others = scorer.judge([held, *(i for i, _ in faulty.values())])
                    except HistwatchError as error:
                        refusals.add(name, error)
                        continue
                    good[name].append(as_it_is)
                    for (fault, (_, bins)), scored in zip(faulty.items(), others, strict=True):
                        bad[name, fault.name].append(scored)
                        named[name, fault.name] += is_named(fault, bins, scored)
        yield from refusals.rows(self.name, kind)
        for name in (d for d in detectors if good[d]):
            for fault in FAULTS:
                own_bad = bad[name, fault.name]
                shaped = any(s.shapes for s in own_bad)
                yield map_row(
                    name,
                    good[name],
                    own_bad,
                    suite=self.name,
                    what=fault.name,
                    kind=kind,
                    rng=np.random.default_rng([options.seed, 82]),
                    figures={"named": named[name, fault.name] / max(1, len(own_bad)) if shaped else None},
                    peer=f"prototype, found: {fault.prototype}"
                    if fault.prototype and (kind, name) == ("hcal lumisections", "expectation")
                    else "",
                )

    def parts(self, rows: Sequence[Row]) -> list[Part]:
        """Return what was found and false, then known changes; recorded data stays numbers."""
        injected = [r for r in measured(rows) if r.type in SOURCES]
        known = [r for r in measured(rows) if r.type not in SOURCES]
        parts = [_found(f"{kind}: found (named)", [r for r in injected if r.type == kind]) for kind in SOURCES]
        parts.append(listing("Faults put into recorded maps, every row", injected, ["found", "named", "false"]))
        parts.append(listing("Known changes", known, KNOWN_FIGURES))
        parts.append(not_measured(rows))
        return [part for part in parts if part.lines]


class _Makers:
    """Scorers of one histogram, learned anew for each map that is left out."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._calibrated: Detector | None = None

    def make(self, name: str, references: Sequence[Interval], common: Expected) -> Scorer:
        """Return a scorer that has learned from references, by which `common` was learned too.

        Raises
        ------
        HistwatchError
            If the detector cannot be made for such histograms.
        """
        if not applies(name, references[0]):
            raise HistwatchError(NOT_MADE)
        if name == "dbscan":
            # Its calibration takes seconds; thesis B's takes hours, and so is done once a histogram as well.
            if self._calibrated is None:
                options = calibrate_type(references, common, seed=self._seed).options
                self._calibrated = BY_NAME[name](Settings(options=options))
            return DetectorScorer(name, self._calibrated, common)
        expected = expectation_of(name, references, self._seed) if name == "thesis_b" else common
        return make_scorer(name, references, seed=self._seed, expected=expected)


def maps_of(options: Options, source: Source) -> list[list[Interval]]:
    """Return the comparable intervals of each histogram, two at least."""
    folder = data_folder(options, RealMaps.name, source.folder)
    intervals = gather_intervals(Recording([folder], select=source.select))
    if source.together:
        # One histogram has one path: what learns from them all refuses others.
        intervals = {source.folder: [replace(i, path=source.folder) for own in intervals.values() for i in own]}
    found = []
    for key in sorted(intervals):
        own = [
            i
            for i in intervals[key]
            if i.total > 0
            and (not source.runs or i.run in source.runs)
            and (not source.last_lumisection or i.lumisection <= source.last_lumisection)
        ]
        if len(own) > 1 and own[0].contents.ndim == 2:
            found.append(own)
    return found


def _found(title: str, rows: Sequence[Row]) -> Part:
    names = list(dict.fromkeys(r.detector for r in rows))
    cells = {(r.what, r.detector): r for r in rows}

    def cell(what: str, name: str) -> str:
        row = cells.get((what, name))
        if row is None or row.figures["found"] is None:
            return ""
        named = row.figures["named"]
        return number(row.figures["found"], 2) + (f" ({number(named, 2)})" if named is not None else "")

    lines = [[what, *(cell(what, name) for name in names)] for what in experiments(rows)]
    if rows:
        false = {r.detector: r.figures["false"] for r in rows}
        lines.append(["none: false alarms", *(number(false[name], 3) for name in names)])
    return Part(title=title, header=["fault", *names], lines=lines)
