"""Recorded maps: faults put into each by turns, the changes that are known, and silence everywhere else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from monitor.detect.base import Expected
from monitor.detect.geometry import BoolArray
from monitor.learn.evaluate.known import KNOWN_CHANGES
from monitor.learn.evaluate.measure import map_row
from monitor.learn.evaluate.rows import Row
from monitor.learn.evaluate.scorers import OUTSIDE, Scored, applies, choose, expectation_of, make_scorer
from monitor.learn.evaluate.simultaneous import is_low, mask_of
from monitor.learn.evaluate.suite import Options, Part, Tell, data_folder
from monitor.learn.evaluate.tables import experiments, listing, number
from monitor.learn.recorded import gather_intervals
from monitor.snapshot import FloatArray
from monitor.source.recording import Recording
from monitor.window import Interval

DETECTORS = ("expectation", "chi2", "ks", "strip_median", "l1calo_strip_median", "pca")
_FULL = 0.5
"""Share of the median content of live bins that a single bin holds at least where it is made faulty."""


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
    "hcal lumisections": Source("hcal_lumisections", ()),
    "pixel lumisections": Source("pixel_lumisections", ("*clusterposition*",), last_lumisection=3),
    "hcal led counters": Source("hcal_led", ("h_mapDepth?_H?",), (295401, 295675, 296185)),
    "sphenix": Source("sphenix_ihcal", ("h2_hcal_hits*",), (73834, 79152, 79243, 79712, 81161, 81167), together=True),
}
"""The runs of sPHENIX are those with 48 dead towers."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault; the size in bins, 0: the whole axis."""

    name: str
    size: tuple[int, int]
    factor: float
    prototype: str = ""
    """Share found of the HCAL lumisections' maps."""


FAULTS = (
    Fault("dead bin", (1, 1), 0.0, "1.00"),
    Fault("hot bin", (1, 1), 2.0),
    Fault("bin -20 %", (1, 1), 0.8, "0.63-0.80"),
    Fault("3 x 3 -10 %", (3, 3), 0.9, "0.53-1.00"),
    Fault("column -3 %", (1, 0), 0.97, "0.67-0.80"),
    Fault("row -3 %", (0, 1), 0.97, "0.70-0.97"),
)


class RealMaps:
    """Recorded maps, leave one out."""

    name = "real-maps"
    title = "Recorded maps"
    words = (
        "Recorded maps of four detectors (`../shared/data/SOURCES.md`). **Faults put into them**: every map is judged "
        "by references made of all other lumisections or runs of its histogram, as it is and with one fault at a time; "
        "bins hold at least half of a typical one, rows and columns are live. The prototype's figures are of six of "
        "the 14 HCAL histograms, ours of all. `found` is the share called BAD, `named` the share with a shape of its "
        "direction on the fault, `false` the share of the maps as they are that are BAD. "
        "**Known changes**: found at their first run or not, and what else is flagged."
    )

    def run(self, options: Options, tell: Tell) -> Iterator[Row]:
        """Measure all recorded maps."""
        names = options.chosen([*SOURCES, *KNOWN_CHANGES], self.name)
        detectors = choose(options.detectors, DETECTORS)
        for done, name in enumerate(names):
            tell(done, len(names), name)
            if name in SOURCES:
                source = SOURCES[name]
                yield from self._injected(name, _maps_of(options, source), detectors, options)
            else:
                # Only what names bins can say which channel has changed.
                naming = [d for d in detectors if d not in OUTSIDE] if options.detectors else ["expectation"]
                folder = partial(data_folder, options, self.name)
                yield from KNOWN_CHANGES[name](folder, naming)
        tell(len(names), len(names), "done")

    def _injected(
        self, kind: str, maps: Sequence[Sequence[Interval]], detectors: Sequence[str], options: Options
    ) -> Iterator[Row]:
        rng = np.random.default_rng([options.seed, 81])
        good: dict[str, list[Scored]] = {name: [] for name in detectors}
        bad: dict[tuple[str, str], list[Scored]] = {(name, f.name): [] for name in detectors for f in FAULTS}
        named: dict[tuple[str, str], int] = dict.fromkeys(bad, 0)
        for own in maps:
            for n, held in enumerate(own):
                references = [*own[:n], *own[n + 1 :]]
                common = expectation_of("expectation", references, options.seed)
                faulty = _with_faults(held, common, rng)
                for name in (d for d in detectors if applies(d, held)):
                    expected = expectation_of(name, references, options.seed) if name == "thesis_b" else common
                    scorer = make_scorer(name, references, seed=options.seed, expected=expected)
                    as_it_is, *others = scorer.judge([held, *(i for i, _ in faulty.values())])
                    good[name].append(as_it_is)
                    for (fault, (_, bins)), scored in zip(faulty.items(), others, strict=True):
                        bad[name, fault.name].append(scored)
                        named[name, fault.name] += _is_named(fault, bins, scored)
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
        injected = [r for r in rows if r.type in SOURCES]
        known = [r for r in rows if r.type not in SOURCES]
        parts = [_found(f"{kind}: found (named)", [r for r in injected if r.type == kind]) for kind in SOURCES]
        parts.append(listing("Faults put into recorded maps, every row", injected, ["found", "named", "false"]))
        parts.append(listing("Known changes", known, ["known", "found_at_first", "found", "others", "judged"]))
        return [part for part in parts if part.lines]


def _maps_of(options: Options, source: Source) -> list[list[Interval]]:
    """Return the comparable intervals of each histogram, two at least."""
    folder = data_folder(options, RealMaps.name, source.folder)
    intervals = gather_intervals(Recording([folder], select=source.select))
    if source.together:
        intervals = {source.folder: [i for own in intervals.values() for i in own]}
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


def _with_faults(
    interval: Interval, expected: Expected, rng: np.random.Generator
) -> dict[Fault, tuple[Interval, BoolArray]]:
    """Return the interval with each fault, and the bins of the fault."""
    rate = expected.reference.rate
    faulty = {}
    for fault in FAULTS:
        bins = _place(rate, fault.size, rng)
        contents = interval.contents.copy()
        if expected.reference.counts and fault.factor < 1.0:
            # What is lost is lost entry by entry: a few percent of a few entries are one now and then.
            contents[bins] = rng.binomial(np.rint(contents[bins]).astype(np.int64), fault.factor)
        else:
            contents[bins] *= fault.factor
        total = float(contents.sum()) if interval.entries is None else interval.total
        variances = interval.variances
        if variances is not None and interval.entries is None:
            # Errors of weights go with their sums.
            variances = variances.copy()
            variances[bins] *= fault.factor
        faulty[fault] = replace(interval, contents=contents, variances=variances, total=total), bins
    return faulty


def _place(rate: FloatArray, size: tuple[int, int], rng: np.random.Generator) -> BoolArray:
    """Return a random place for a fault: among full enough bins, along live rows and columns."""
    live = rate > 0
    full = rate >= _FULL * np.median(rate[live])
    bins = np.zeros(rate.shape, dtype=np.bool_)
    if 0 in size:
        axis = size.index(1)
        filled = full.sum(axis=1 - axis)
        lines = np.flatnonzero(filled >= 0.5 * filled.max())
        line = int(rng.choice(lines))
        bins[(line, slice(None)) if axis == 0 else (slice(None), line)] = True
        return bins & live
    views = np.lib.stride_tricks.sliding_window_view(full, size)
    share = views.mean(axis=(2, 3))
    x, y = (int(i) for i in rng.choice(np.argwhere(share >= share.max())))
    bins[x : x + size[0], y : y + size[1]] = True
    return bins & live


def _is_named(fault: Fault, bins: BoolArray, scored: Scored) -> bool:
    low = fault.factor < 1.0
    return any(is_low(s) == low and bool((mask_of(s, bins) & bins).any()) for s in scored.shapes)


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
