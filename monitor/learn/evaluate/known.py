"""Changes that are known to be in the recorded data, and what else is flagged there (`../shared/data/SOURCES.md`)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from monitor.detect.geometry import BoolArray
from monitor.learn.evaluate.rows import Row
from monitor.learn.evaluate.scorers import expectation_of, make_scorer
from monitor.learn.recorded import gather_intervals
from monitor.source.recording import Recording
from monitor.verdict import Shape
from monitor.window import Derivation, Interval

Bin = tuple[str, int, int]
"""Path and 0-based indices."""
Folder = Callable[[str], Path]
Known = Callable[[Folder, Sequence[str]], Iterator[Row]]

LED_REFERENCES = (295401, 295675, 296185)
LED_DEAD: Mapping[Bin, int] = {
    ("h_mapDepth1_HE", 21, 58): 297082,
    ("h_mapDepth2_HE", 19, 58): 297082,
    ("h_mapDepth2_HE", 22, 58): 297082,
    ("h_mapDepth1_HB", 44, 63): 298863,
    ("h_mapDepth1_HB", 48, 63): 298863,
    ("h_mapDepth1_HB", 52, 63): 298863,
}
"""Counters that stop, with their first run."""
LED_ALIVE: Mapping[Bin, int] = {
    (f"h_mapDepth{depth}_HE", ieta, 30): 298863
    for depth, ieta in ((1, 57), (1, 58), (1, 66), (2, 58), (2, 66), (3, 56))
}
"""Counters that begin to count."""
LED_HIGH: Mapping[Bin, int] = {
    **{("mean_depth1_HB", ieta, 63): 297630 for ieta in (44, 48, 52)},
    ("mean_depth1_HE", 21, 58): 296808,
    ("mean_depth2_HE", 19, 58): 296808,
    ("mean_depth2_HE", 22, 58): 296808,
    **{
        (path.replace("h_mapDepth", "mean_depth"), x, y): run
        for (path, x, y), run in LED_ALIVE.items()
        if "3" not in path
    },
}
"""Mean amplitudes that jump, or begin."""
MEANS = Derivation(
    path="mean_depth{depth}_{sub}",
    operation="ratio",
    of=("h_mapDepth{depth:?}ADCAmpl_{sub:H?}", "h_mapDepth{depth:?}_{sub:H?}"),
    errors="shared",
)
SPHENIX_FIRST = {24: 69238, 48: 73834, 72: 82400}
"""First run with so many dead towers."""
SPHENIX_REFERENCES: tuple[tuple[int, ...], ...] = (
    (67963,),
    (54373, 67963),
    (54145, 54373, 67963),
    (54117, 54145, 54373, 67963),
    (69238, 71597),
    (67963, 69238, 71597),
    (79152, 79243, 79712, 81161, 81167),
)
"""Seven choices of references, of one epoch and of two."""


@dataclass(frozen=True, slots=True)
class Flagged:
    """A shape in one run."""

    path: str
    run: int
    shape: Shape

    @property
    def bins(self) -> set[Bin]:
        """Its bins."""
        return {(self.path, int(x), int(y)) for x, y in self.shape.bins}


def _flagged(detector: str, intervals: Sequence[Interval], references: Sequence[Interval]) -> list[Flagged]:
    scorer = make_scorer(detector, references, expected=expectation_of(detector, references, 0))
    found = scorer.judge(intervals)
    return [Flagged(i.path, i.run, shape) for i, one in zip(intervals, found, strict=True) for shape in one.shapes]


def _row(
    kind: str,
    what: str,
    detector: str,
    known: Mapping[Bin, int],
    flagged: Sequence[Flagged],
    judged: int,
    explained: Collection[Bin] = (),
) -> Row:
    """Return how many of the known changes are found at their first run, and how many other bins are flagged in any.

    Parameters
    ----------
    known
        Bins and the first run of their change.
    explained
        More bins that are not held against a detector.
    """
    first: dict[Bin, int] = {}
    others: set[Bin] = set()
    for one in flagged:
        mine = one.bins & set(known)
        for place in mine:
            first[place] = min(first.get(place, one.run), one.run)
        others |= one.bins - set(known) - set(explained)
    return Row(
        suite="real-maps",
        what=what,
        type=kind,
        detector=detector,
        unit="map",
        n_good=judged,
        n_bad=len(known),
        figures={
            "known": len(known),
            "found_at_first": sum(first.get(place) == run for place, run in known.items()),
            "found": len(first),
            "others": len(others),
            "judged": judged,
        },
    )


def led_counters(folder: Folder, detectors: Sequence[str]) -> Iterator[Row]:
    """Judge the counters of all LED runs by the first three."""
    intervals = gather_intervals(Recording([folder("hcal_led")], select=("h_mapDepth?_H?",)))
    yield from _by_first_runs("known: hcal led counters", intervals, {**LED_DEAD, **LED_ALIVE}, detectors)


def led_amplitudes(folder: Folder, detectors: Sequence[str]) -> Iterator[Row]:
    """Judge mean amplitudes of the depths in which changes are known, by the first three runs."""
    recording = Recording([folder("hcal_led")], select=("h_mapDepth[12]ADCAmpl_H[BE]", "h_mapDepth[12]_H[BE]"))
    intervals = gather_intervals(recording, derivations=[MEANS])
    means = {key: own for key, own in intervals.items() if own[0].path.startswith("mean_")}
    yield from _by_first_runs("known: hcal led mean amplitudes", means, LED_HIGH, detectors)


def _by_first_runs(
    kind: str, intervals: Mapping[str, Sequence[Interval]], known: Mapping[Bin, int], detectors: Sequence[str]
) -> Iterator[Row]:
    for detector in detectors:
        flagged: list[Flagged] = []
        judged = 0
        for key in sorted(intervals):
            own = [i for i in intervals[key] if i.total > 0]
            references = [i for i in own if i.run in LED_REFERENCES]
            later = [i for i in own if i.run not in LED_REFERENCES]
            if references and later:
                flagged += _flagged(detector, later, references)
                judged += len(later)
        yield _row(kind, "3 references, 11 runs", detector, known, flagged, judged)


def pixel(folder: Folder, detectors: Sequence[str]) -> Iterator[Row]:
    """Judge the pixel maps by their first lumisection: modules go dark until the fourth one."""
    intervals = gather_intervals(Recording([folder("pixel_lumisections") / "*.root"], select=("*clusterposition*",)))
    for detector in detectors:
        for lumisection in range(2, 6):
            flagged: list[Flagged] = []
            for key in sorted(intervals):
                now = [i for i in intervals[key] if i.lumisection == lumisection]
                flagged += _flagged(detector, now, [i for i in intervals[key] if i.lumisection == 1])
            low = sum(f.shape.sign in ("dead", "low") for f in flagged)
            yield Row(
                suite="real-maps",
                what=f"lumisection {lumisection}, reference lumisection 1: shapes too low (found), too high (others)",
                type="known: pixel dark modules",
                detector=detector,
                unit="map",
                n_good=len(intervals),
                n_bad=0,
                figures={"found": low, "others": len(flagged) - low, "judged": len(intervals)},
            )


def sphenix(folder: Folder, detectors: Sequence[str]) -> Iterator[Row]:
    """Judge the first run of each epoch of dead towers by several choices of earlier references."""
    # The later runs' maps have another name.
    every = gather_intervals(Recording([folder("sphenix_ihcal")], select=("h2_hcal_hits*",)))
    runs = {i.run: i for own in every.values() for i in own}
    for detector in detectors:
        for choice in SPHENIX_REFERENCES:
            references = [runs[r] for r in choice]
            # Towers that are dead in a reference too are no change to what it shows.
            filled = np.stack([i.contents > 0 for i in references])
            alive = filled.all(axis=0)
            for count, run in SPHENIX_FIRST.items():
                if run <= max(choice):
                    continue
                interval = runs[run]
                dead = interval.contents == 0
                known = dict.fromkeys(_places(interval, alive & dead), run)
                # Those that only some references show may be flagged or not.
                explained = set(_places(interval, filled.any(axis=0) & dead))
                flagged = _flagged(detector, [interval], references)
                yield _row(
                    "known: sphenix dead towers",
                    f"run {run} ({count} dead), references {', '.join(map(str, choice))}",
                    detector,
                    known,
                    flagged,
                    1,
                    explained,
                )


def _places(interval: Interval, bins: BoolArray) -> list[Bin]:
    return [(interval.path, int(x), int(y)) for x, y in np.argwhere(bins)]


KNOWN_CHANGES: Mapping[str, Known] = {
    "known: hcal led counters": led_counters,
    "known: hcal led mean amplitudes": led_amplitudes,
    "known: pixel dark modules": pixel,
    "known: sphenix dead towers": sphenix,
}
