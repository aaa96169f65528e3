"""Changes that are known to be in the recorded data, and what else is flagged there (`../shared/data/SOURCES.md`)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
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
Known = Callable[[Folder, str], Iterator[Row]]
"""Of a folder and a detector."""

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
    **{(path.replace("h_mapDepth", "mean_depth"), x, y): run for (path, x, y), run in LED_ALIVE.items()},
}
"""Mean amplitudes that jump, or begin."""
LED_PARTS = ("HB", "HE", "HF", "HO")
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
KNOWN_FIGURES = ("known", "found_at_first", "found", "others", "maps_with_others", "judged")
KNOWN_WORDS = (
    "**Known changes**: `known` channels are found at their first run or not; `others` are flagged channels beside "
    "them, in `maps_with_others` of the `judged` maps. Of the LED's mean amplitudes: three channels of HB depth 2 "
    "drift by 2 to 4 %; HE depth 7 has six live channels; in HF the LED's pattern changes in steps (in five runs every "
    "channel is 1.9 times as bright, in others half of them move by 30 % and more): no fault, and no good map either; "
    "three channels of HO are dim in two of the three references, one comes and goes, one changes by 30 % from run to "
    "run. Pixel barrel: `found` "
    "are shapes that are too low, `others` shapes that are too high; no lumisection is good. sPHENIX: the one other "
    "tower shows 0.66 and 0.65 of what is expected in the last two runs, its neighbours 0.95 to 1.00."
)


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
    judged: Sequence[Interval],
    explained: Collection[Bin] = (),
) -> Row:
    """Return how many of the known changes are found at their first run, and how many other bins are flagged in any.

    Parameters
    ----------
    known
        Bins and the first run of their change.
    judged
        Maps. A bin counts once, in however many of them.
    explained
        More bins that are not held against a detector.
    """
    first: dict[Bin, int] = {}
    others: set[Bin] = set()
    maps = set()
    for one in flagged:
        for place in one.bins & set(known):
            first[place] = min(first.get(place, one.run), one.run)
        more = one.bins - set(known) - set(explained)
        others |= more
        if more:
            maps.add((one.path, one.run))
    bins = {i.path: i.contents.size for i in judged}
    return Row(
        suite="real-maps",
        what=what,
        type=kind,
        detector=detector,
        unit="bin",
        n_good=sum(bins.values()) - len({*known, *explained}),
        n_bad=len(known),
        figures={
            "known": len(known),
            "found_at_first": sum(first.get(place) == run for place, run in known.items()),
            "found": len(first),
            "others": len(others),
            "maps_with_others": len(maps),
            "judged": len(judged),
        },
    )


def led_counters(folder: Folder, detector: str) -> Iterator[Row]:
    """Judge the counters of all LED runs by the first three."""
    intervals = gather_intervals(Recording([folder("hcal_led")], select=("h_mapDepth?_H?",)))
    yield _by_first_runs("known: hcal led counters", intervals.values(), {**LED_DEAD, **LED_ALIVE}, detector)


def led_amplitudes(folder: Folder, detector: str) -> Iterator[Row]:
    """Judge mean amplitudes of all depths by the first three runs, each part of the detector apart."""
    recording = Recording([folder("hcal_led")], select=("h_mapDepth?ADCAmpl_H?", "h_mapDepth?_H?"))
    every = gather_intervals(recording, derivations=[MEANS])
    for part in LED_PARTS:
        means = [own for own in every.values() if own[0].path.startswith("mean_") and own[0].path.endswith(part)]
        known = {place: run for place, run in LED_HIGH.items() if place[0].endswith(part)}
        yield _by_first_runs("known: hcal led mean amplitudes", means, known, detector, f"{part}: ")


def _by_first_runs(
    kind: str, intervals: Iterable[Sequence[Interval]], known: Mapping[Bin, int], detector: str, part: str = ""
) -> Row:
    flagged: list[Flagged] = []
    judged: list[Interval] = []
    for own in sorted(intervals, key=lambda own: own[0].path):
        filled = [i for i in own if i.total > 0]
        references = [i for i in filled if i.run in LED_REFERENCES]
        later = [i for i in filled if i.run not in LED_REFERENCES]
        if references and later:
            flagged += _flagged(detector, later, references)
            judged += later
    return _row(kind, f"{part}3 references, 11 runs", detector, known, flagged, judged)


def pixel(folder: Folder, detector: str) -> Iterator[Row]:
    """Judge the barrel's maps by their first lumisection: modules go dark until the fourth one."""
    found = gather_intervals(Recording([folder("pixel_lumisections") / "*.root"], select=("*clusterposition_zphi*",)))
    for lumisection in range(2, 6):
        flagged: list[Flagged] = []
        judged = 0
        for own in found.values():
            now = [i for i in own if i.lumisection == lumisection]
            flagged += _flagged(detector, now, [i for i in own if i.lumisection == 1])
            judged += len(now)
        low = sum(f.shape.sign in ("dead", "low") for f in flagged)
        yield Row(
            suite="real-maps",
            what=f"lumisection {lumisection}, reference lumisection 1: shapes too low (found), too high (others)",
            type="known: pixel dark modules",
            detector=detector,
            unit="map",
            n_good=0,
            n_bad=judged,
            figures={"found": low, "others": len(flagged) - low, "judged": judged},
        )


def sphenix(folder: Folder, detector: str) -> Iterator[Row]:
    """Judge the first run of each epoch of dead towers by several choices of earlier references."""
    every = gather_intervals(Recording([folder("sphenix_ihcal")], select=("h2_hcal_hits*",)))
    # The later runs' maps have another name.
    runs = {i.run: replace(i, path="h2_hcal_hits") for own in every.values() for i in own}
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
            yield _row(
                "known: sphenix dead towers",
                f"run {run} ({count} dead), references {', '.join(map(str, choice))}",
                detector,
                known,
                _flagged(detector, [interval], references),
                [interval],
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
