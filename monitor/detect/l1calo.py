"""ATLAS's L1Calo_BinsDiffFromStripMedian: classes of bins that differ from their strip's median by its own width.

Sorted accepted contents s of a strip with n bins: M = s[n//2], sigma = (s[int(.84 n)] - s[int(.16 n)]) / 2, and a bin
of content v has the residual (v - M) / sigma, 0 where sigma is 0 (parameters and order of the steps as in athena,
DataQuality/dqm_algorithms, commit 95745be4; cuts and limits as in its eFEX monitoring).

Where this differs from athena: toy samples come of numpy's generator with a fixed seed, not of ROOT's; histograms
without time are judged by their own result, which athena's last branch (`nBinsZ >= 0`, true by default) throws away; in
LiveMode only what is still there counts, where athena counts what is over too, without naming it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from monitor.detect.base import Expected, Finding, Settings
from monitor.detect.geometry import BoolArray
from monitor.detect.l1calo_layout import Layout
from monitor.detect.l1calo_rules import Widths, classify_bins, dead_strips, lasting, run_lengths, strip_probabilities
from monitor.detect.options import Options
from monitor.detect.strips import RANGE, Colour, IntArray, Part, as_strips, connected
from monitor.snapshot import FloatArray
from monitor.verdict import Shape
from monitor.window import Interval

_DEFAULTS: dict[str, object] = {
    "MinStat": 100,
    "IgnoreBelow": 0,
    "ProbThreshold": 0.01,
    "NBinsY": 0,
    "TimeAxis": "x",
    "MinDuration": 3,
    "LiveMode": 0,
    "ColdCut": -3.5,
    "WarmCut": 9,
    "HotCut": 20,
    "KnownDead": "",
    "NDead": "0,2",
    "NCold": "0,2",
    "NWarm": "0,5",
    "NHot": "0,2",
    "NDeadStrip": "0,0",
    "NWrongKnown": "0,100",
    "NConsecUnlikelyStrip": "2,5",
    **RANGE,
}
_FAMILIES = {"<Name>Cut": r"[A-Za-z]\w*Cut", "Known<Name>": r"Known[A-Za-z]\w*", "N<Name>": r"N[A-Za-z]\w*"}
_SPECIAL = ("Dead", "DeadStrip", "WrongKnown", "ConsecUnlikelyStrip")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class L1CaloResult:
    """What the algorithm says of one histogram, in its own words. Planes have the histogram's shape."""

    colour: Colour
    counts: Mapping[str, int]
    """``NDead``, ``NDeadStrip`` (-1: not every row is filled), ``NWrongKnown``, ``NConsecUnlikelyStrip``, N<Name>."""
    anomalies: Mapping[str, BoolArray]
    """Bins by what they are: ``Dead``, ``DeadStrip``, ``UnlikelyStrip``, <Name>, ``UnDead``, ``Un<Name>``."""
    residuals: FloatArray
    judged: BoolArray
    level: FloatArray
    """Median of the strip; in dead strips the mean of the fuller neighbour."""
    variance: FloatArray
    """Squared width of the strip; in dead strips the level."""


class L1CaloDetector:
    """L1Calo_BinsDiffFromStripMedian. It needs no reference.

    Options
    -------
    <Name>Cut
        Residual beyond which a bin is of the class <Name>; negative: below. Default ``ColdCut: -3.5``, ``WarmCut: 9``,
        ``HotCut: 20``; the cut of largest size is tried first, the first that matches counts; 0: no such class.
    Known<Name>, KnownDead
        Bins known to be of a class, which do not count, as text: "3:7,3:8" for 0-based x:y, of a histogram of one
        dimension "3,4". In time mode the bins of a slice.
    N<Name>, NDead, NDeadStrip, NWrongKnown, NConsecUnlikelyStrip
        Limits "green,red": more than the first is yellow, more than the second red; "": none. Default "0,2", ``NWarm``
        "0,5", ``NDeadStrip`` "0,0", ``NWrongKnown`` "0,100", ``NConsecUnlikelyStrip`` "2,5".
    MinStat
        Entries below which a histogram is yellow; content of a bin beyond a positive cut; content of a dead strip's
        neighbour. Default 100.
    IgnoreBelow
        Contents below it are not there; default 0.
    ProbThreshold
        Kolmogorov probability below which a strip is unlikely; default 0.01.
    NBinsY
        Time mode: bins in y of a slice, whose bins lie one behind the other on the axis that is not time: x first, or
        y first where that axis's title ends with "+y". Default 0: no time.
    TimeAxis
        Axis of time, ``x`` (default) or ``y``.
    MinDuration
        Slices in a row that an anomaly must last; default 3.
    LiveMode
        1: the last filled slice, which is still being filled, does not count, and of the others only what lasts until
        then; default 0.
    xmin, xmax, ymin, ymax
        The part that is judged, in units of the axes; in time mode that of time. Default all.
    """

    name = "l1calo_strip_median"
    needs_rates = False

    def __init__(self, settings: Settings | None = None) -> None:
        options = Options(self.name, settings, _DEFAULTS, families=_FAMILIES)
        names = [o.removesuffix("Cut") for o in options.values if o.endswith("Cut")]
        self._cuts = [(name, options.number(f"{name}Cut")) for name in names]
        self._known = {name: _known(options, f"Known{name}") for name in ("Dead", *names)}
        self._limits = {f"N{name}": _limits(options, f"N{name}") for name in (*_SPECIAL, *names)}
        allowed = {*_DEFAULTS, *self._limits, *(f"Known{n}" for n in self._known), *(f"{n}Cut" for n in names)}
        stray = sorted(set(options.values) - allowed)
        if stray or set(names) & set(_SPECIAL):
            raise ValueError(
                f"detector '{self.name}' has no {stray or sorted(set(names) & set(_SPECIAL))}: every class needs its "
                f"<Name>Cut; classes are {', '.join(n for n in names if n not in _SPECIAL)}"
            )
        self._minimum, self._least = options.number("MinStat"), options.number("IgnoreBelow")
        self._probability = options.number("ProbThreshold", 0.0, 1.0)
        self._rows = options.whole("NBinsY")
        self._time_axis = 0 if options.choice("TimeAxis", ("x", "y")) == "x" else 1
        self._duration, self._live = options.whole("MinDuration", 1), options.flag("LiveMode")
        self._part = Part.of(options)

    def judge(self, intervals: Sequence[Interval], expected: Sequence[Expected]) -> list[Finding]:
        """Judge intervals by themselves; what is expected is not asked."""
        return [self._judge(interval) for interval, _ in zip(intervals, expected, strict=True)]

    def bin_scores(self, interval: Interval, expected: Expected) -> FloatArray:  # noqa: ARG002 - strips judge themselves
        """Return |residual| of every bin. Shape: the histogram's."""
        layout = self._layout(interval)
        return np.abs(layout.put(Widths.of(layout.cut(interval.contents), self._least).residual))

    def examine(self, interval: Interval) -> L1CaloResult:
        """Return all that the algorithm says of one histogram, however few its entries.

        Raises
        ------
        ValueError
            If no bin is in the range, a content is NaN or infinite, a known bin is not in the histogram, or the
            histogram does not have the axis of time.
        """
        layout = self._layout(interval)
        widths = Widths.of(layout.cut(interval.contents), self._least)
        known = {name: layout.known(bins, name) for name, bins in self._known.items() if bins}
        found = classify_bins(widths, self._cuts, known, self._minimum)
        dead, beside = dead_strips(widths, self._minimum)
        found["DeadStrip"] = np.broadcast_to(dead[..., None], widths.values.shape)
        counts = {f"N{name}": int(bins.sum()) for name, bins in found.items() if f"N{name}" in self._limits}
        filled = widths.filled_rows
        counts["NDeadStrip"] = int(dead.sum()) if filled.all() else -1
        wrong = [name for name in found if name.startswith("Un")]
        counts["NWrongKnown"] = sum(int(found[name].sum()) for name in wrong)
        if layout.timed:
            self._keep_lasting(found, counts, np.flatnonzero(filled.any(axis=1)), dead)
            counts["NWrongKnown"] = sum(counts.pop(f"N{name}") for name in wrong)
        else:
            unlikely = strip_probabilities(widths, self._least) < self._probability
            found["UnlikelyStrip"] = np.broadcast_to(unlikely[None, :, None], widths.values.shape)
            counts["NConsecUnlikelyStrip"] = int(run_lengths(unlikely).max(initial=0))
        level = np.where(dead, beside, widths.median)[..., None]
        variance = np.where(dead, beside, widths.sigma**2)[..., None]
        return L1CaloResult(
            colour=self._colour(counts),
            counts=counts,
            anomalies={name: layout.put(bins) for name, bins in found.items()},
            residuals=layout.put(widths.residual),
            judged=layout.put(widths.accepted),
            level=layout.put(np.broadcast_to(level, widths.values.shape)),
            variance=layout.put(np.broadcast_to(variance, widths.values.shape)),
        )

    def _layout(self, interval: Interval) -> Layout:
        return Layout.of(interval, self._part, self._rows, self._time_axis)

    def _keep_lasting(
        self, found: dict[str, BoolArray], counts: dict[str, int], filled: IntArray, dead: BoolArray
    ) -> None:
        """Keep what lasts, in place. `filled`: slices that hold something; `dead`: see `dead_strips`."""
        until = None
        if self._live:
            filled = filled[:-1]
            until = int(filled[-1]) if filled.size else -1
        counted = np.zeros(len(dead), dtype=bool)
        counted[filled] = True
        for name, bins in found.items():
            marked = (dead[..., None] if name == "DeadStrip" else bins) & counted[:, None, None]
            kept, counts[f"N{name}"] = lasting(marked, self._duration, until)
            found[name] = np.broadcast_to(kept, bins.shape)

    def _colour(self, counts: Mapping[str, int]) -> Colour:
        limits = [(counts[name], limit) for name, limit in self._limits.items() if limit and name in counts]
        if any(count > red for count, (_, red) in limits):
            return Colour.RED
        if any(count > green for count, (green, _) in limits):
            return Colour.YELLOW
        return Colour.GREEN if limits else Colour.UNDEFINED

    def _judge(self, interval: Interval) -> Finding:
        found = self.examine(interval)
        score = float(np.abs(found.residuals).max(initial=0.0))
        if interval.total < self._minimum:
            few = f"only {interval.total:.6g} entries, MinStat is {self._minimum:g}"
            return Finding(bad=False, score=score, warning=few)
        limits = {name: limit for name, limit in self._limits.items() if limit}
        said = ", ".join(f"{name} {n}" for name, n in found.counts.items() if name in limits and n > limits[name][0])
        if found.colour is Colour.RED:
            shapes = self._shapes(interval, found)
            score = max(score, *(abs(shape.significance) for shape in shapes))
            return Finding(bad=True, score=score, shapes=shapes, note=said)
        if found.colour is Colour.YELLOW:
            return Finding(bad=False, score=score, warning=said)
        return Finding(bad=False, score=score, note="" if limits else "undefined: no limits")

    def _shapes(self, interval: Interval, found: L1CaloResult) -> tuple[Shape, ...]:
        contents, level = interval.contents, found.level
        nothing = np.zeros(contents.shape, dtype=bool)
        wrong = nothing
        for name, bins in found.anomalies.items():
            if name != "UnlikelyStrip":
                wrong = wrong | bins
        low = contents < level
        limit = self._limits["NConsecUnlikelyStrip"]
        if limit and found.counts.get("NConsecUnlikelyStrip", 0) > limit[0]:
            # A strip whose distribution is odd is one thing, whatever its single bins do.
            rest = found.anomalies["UnlikelyStrip"] & found.judged & ~wrong
            lows = as_strips(np.where(rest, contents - level, 0.0)).sum(axis=1, keepdims=True) < 0
            low = np.where(rest, np.broadcast_to(lows, as_strips(contents).shape).reshape(contents.shape), low)
            wrong = wrong | rest
        return connected(interval, wrong, found.judged, level, found.variance, low)


def _known(options: Options, name: str) -> tuple[tuple[int, ...], ...]:
    text = options.text(name).replace(" ", "")
    if text and not re.fullmatch(r"\d+(:\d+)?(,\d+(:\d+)?)*", text):
        raise ValueError(f"detector '{options.detector}': {name} '{text}', must be bins as in '3:7,3:8'")
    return tuple(tuple(int(i) for i in b.split(":")) for b in text.split(",")) if text else ()


def _limits(options: Options, name: str) -> tuple[int, int] | None:
    text = options.text(name).replace(" ", "")
    if text and not re.fullmatch(r"\d+,\d+", text):
        raise ValueError(f"detector '{options.detector}': {name} '{text}', must be two limits as in '0,2'")
    if not text:
        return None
    green, red = map(int, text.split(","))
    if green > red:
        raise ValueError(f"detector '{options.detector}': {name} '{text}', the first limit must not exceed the second")
    return green, red
