"""ATLAS's BinsDiffFromStripMedian: bins that differ from the median of their strip.

Strips are bins of one x (eta), which a detector symmetric in y (phi) fills alike. Sorted contents s of a strip with n
bins, M = (s[n//4] + s[n//2] + s[3n//4]) / 3 (the strip's mean where that is 0), and a bin of content v has

    rho = (v - M) / sqrt(|M|)

|rho| beyond ``red`` is red, beyond ``green`` yellow (ATLAS thesis of 2022, equations 1 and 2, where rho is O and M is
S_med; parameters and order of the steps as in athena, DataQuality/dqm_algorithms, commit 22979c1d). Exact for counts:
athena takes medians in single precision.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy import ndimage

from monitor.detect.base import Expected, Finding, Settings
from monitor.detect.geometry import BoolArray
from monitor.detect.options import Options
from monitor.detect.strips import RANGE, Colour, IntArray, Part, as_strips, at_rank, average, connected, sorted_strips
from monitor.snapshot import FloatArray
from monitor.window import Interval

_NOTHING = float(np.nextafter(0.0, 1.0))
_DEFAULTS: dict[str, object] = {
    "MinStat": -1,
    "VisualMode": 1,
    "SuppressFactor": 0.05,
    "SuppressRedFactor": 0.01,
    "ClusterResult": 0,
    "PublishBins": 1,
    "MaxPublish": 20,
    "PublishRedBins": 0,
    **RANGE,
}
_THRESHOLDS = {"green": 6.0, "red": 10.0}
_LEADING = 5
_AROUND = np.ones((3, 3), dtype=bool)

Bin = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """Neighbouring bins that are red or yellow, at least two."""

    red: bool
    """Whether any of them is."""
    bins: tuple[Bin, ...]
    value: float
    """Sum of their contents."""
    x: float
    """Centre weighted by content, in units of the axis; -99 where the contents sum up to 0."""
    y: float
    radius: float
    """Largest distance of a bin's centre from it."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StripResult:
    """What the algorithm says of one histogram, in its own words. Planes have the histogram's shape."""

    colour: Colour
    ratios: FloatArray
    """rho, 0 where a bin is not judged."""
    judged: BoolArray
    level: FloatArray
    """M of each bin's strip."""
    red: tuple[Bin, ...]
    """Single red bins, the highest content first, as many as count (`PublishRedBins`)."""
    yellow: tuple[Bin, ...]
    """Single yellow bins, the highest content first."""
    clusters: tuple[Cluster, ...]
    leading: tuple[Bin, ...]
    """Where nothing is red or yellow: the five bins of largest rho."""
    score: float
    """Largest |rho| of the bins that can be red."""


class StripMedianDetector:
    """BinsDiffFromStripMedian. It needs no reference; strips as a whole and layers it cannot see.

    Thresholds
    ----------
    green, red
        ``MaxDeviation``: |rho| beyond which a bin is yellow, red. ATLAS has no defaults; here 6 and 10.

    Options
    -------
    MinStat
        Entries below which the histogram is undefined; default -1.
    ignoreval
        Content that marks a bin as not there; default -99999.
    xmin, xmax, ymin, ymax
        The part that is judged, in units of the axes; default all. An upper limit on the edge of a bin leaves it out.
    VisualMode
        1 (default): red bins below ``SuppressRedFactor`` (0.01) and yellow ones below ``SuppressFactor`` (0.05) of the
        largest content are passed over, dead bins among them. 0: none is.
    ClusterResult
        1: neighbouring red and yellow bins count as clusters; default 0.
    PublishBins, MaxPublish
        Whether yellow bins are named, and how many at most; default 1 and 20.
    PublishRedBins
        N: only the N + 1 red bins of highest content are counted; default 0, all.
    """

    name = "strip_median"
    needs_rates = False
    _own_options: ClassVar[dict[str, object]] = {"ignoreval": -99999}
    # The smallest number in place of 0 makes "below" mean "is 0".
    _nothing, _floor = _NOTHING, 1e-5

    def __init__(self, settings: Settings | None = None) -> None:
        options = Options(self.name, settings, _DEFAULTS | self._own_options, _THRESHOLDS)
        self._minimum = options.number("MinStat")
        self._part = Part.of(options)
        self._visual, self._clusters = options.flag("VisualMode"), options.flag("ClusterResult")
        self._suppress_red = options.number("SuppressRedFactor", 0.0, 1.0)
        self._suppress = options.number("SuppressFactor", 0.0, 1.0)
        self._publish = options.whole("MaxPublish") if options.flag("PublishBins") else 0
        self._publish_red = options.whole("PublishRedBins")
        self._green, self._red = options.threshold("green") or 0.0, options.threshold("red") or 0.0
        if self._green > self._red:
            raise ValueError(
                f"detector '{self.name}': green {self._green:g} is above red {self._red:g}; yellow is less"
            )
        self._read(options)

    def _read(self, options: Options) -> None:
        self._ignored = options.number("ignoreval")

    def judge(self, intervals: Sequence[Interval], expected: Sequence[Expected]) -> list[Finding]:
        """Judge intervals by themselves; what is expected is not asked."""
        return [self._judge(interval) for interval, _ in zip(intervals, expected, strict=True)]

    def bin_scores(self, interval: Interval, expected: Expected) -> FloatArray:  # noqa: ARG002 - strips judge themselves
        """Return |rho| of every bin, also of those that ``VisualMode`` passes over. Shape: the histogram's."""
        _, ratios, _, _ = self._ratios(interval)
        return np.abs(ratios)

    def examine(self, interval: Interval) -> StripResult:
        """Return all that the algorithm says of one histogram.

        Raises
        ------
        ValueError
            If no bin is in the range, or a content is NaN or infinite.
        """
        judged, ratios, level, greatest = self._ratios(interval)
        contents = interval.contents
        # Sums may be negative; numbers of entries are not.
        if max(interval.total, 0.0) < self._minimum:
            return StripResult(
                colour=Colour.UNDEFINED,
                ratios=ratios,
                judged=judged,
                level=level,
                red=(),
                yellow=(),
                clusters=(),
                leading=(),
                score=0.0,
            )
        away = np.abs(ratios)
        red, yellow = away > self._red, (away > self._green) & (away <= self._red)
        shown = judged
        if self._visual:
            with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
                share = contents / greatest
            shown = judged & ~(share < self._suppress_red)
            red, yellow = red & shown, yellow & ~(share < self._suppress)
        clusters: tuple[Cluster, ...] = ()
        if self._clusters:
            clusters, clustered = _clusters(interval, red, yellow)
            red, yellow = red & ~clustered, yellow & ~clustered
        reds, yellows = _by_content(contents, red), _by_content(contents, yellow)
        if self._publish_red:
            reds = reds[: self._publish_red + 1]
        quiet = not reds and not yellows and int(judged.sum()) >= _LEADING
        return StripResult(
            colour=self._colour(reds, yellows, clusters),
            ratios=ratios,
            judged=judged,
            level=level,
            red=reds,
            yellow=yellows,
            clusters=clusters,
            leading=_by_content(ratios, judged, _LEADING) if quiet else (),
            score=float(away[shown].max(initial=0.0)),
        )

    def _accepted(self, values: FloatArray) -> BoolArray:
        accepted: BoolArray = values != self._ignored
        return accepted

    def _strip_counts(self, number: IntArray) -> BoolArray:
        """Tell which strips are judged, by the number of their accepted bins."""
        counts: BoolArray = number > 0
        return counts

    def _colour(self, red: Sequence[Bin], yellow: Sequence[Bin], clusters: Sequence[Cluster]) -> Colour:
        if red or any(c.red for c in clusters):
            return Colour.RED
        return Colour.YELLOW if yellow or clusters else Colour.GREEN

    def _ratios(self, interval: Interval) -> tuple[BoolArray, FloatArray, FloatArray, float]:
        """Return which bins are judged, rho, M of their strips, and the largest accepted content."""
        where = self._part.bins(interval)
        values = as_strips(interval.contents[where])
        accepted = self._accepted(values)
        ordered, number = sorted_strips(values, accepted)
        quartiles = [at_rank(ordered, number, rank) for rank in (number // 4, number // 2, 3 * number // 4)]
        median = (quartiles[0] + quartiles[1] + quartiles[2]) / 3.0
        mean = average(values, accepted, number)
        variance = average((values - mean[:, None]) ** 2, accepted, number)
        empty = np.abs(median) < self._nothing
        use_mean = empty & (variance >= self._nothing) & (np.abs(mean) >= self._nothing)
        level = np.where(use_mean, mean, np.where(empty, 0.0, median))
        counts = self._strip_counts(number) & (np.abs(level) > self._floor)
        root = np.sqrt(np.where(counts, np.abs(level), 1.0))
        shape = interval.contents.shape
        judged, ratios, levels = np.zeros(shape, dtype=bool), np.zeros(shape), np.zeros(shape)
        own = accepted & counts[:, None]
        inner = interval.contents[where].shape
        judged[where] = own.reshape(inner)
        ratios[where] = np.where(own, (values - level[:, None]) / root[:, None], 0.0).reshape(inner)
        levels[where] = np.broadcast_to(level[:, None], values.shape).reshape(inner)
        return judged, ratios, levels, float(values[accepted].max(initial=0.0))

    def _judge(self, interval: Interval) -> Finding:
        found = self.examine(interval)
        if found.colour is Colour.UNDEFINED:
            few = f"undefined: {interval.total:.6g} entries, MinStat is {self._minimum:g}"
            return Finding(bad=False, score=0.0, note=few)
        clustered = sum(len(c.bins) for c in found.clusters)
        said = f"{len(found.red)} red and {len(found.yellow)} yellow bins"
        if self._clusters:
            said += f", {clustered} in {len(found.clusters)} clusters"
        if found.colour is Colour.GREEN:
            return Finding(bad=False, score=found.score, note=said if found.red or found.yellow else "")
        if found.colour is Colour.YELLOW:
            named = "".join(f", {b} rho {found.ratios[b]:+.1f}" for b in found.yellow[: self._publish])
            return Finding(bad=False, score=found.score, warning=said + named)
        wrong = np.zeros(interval.contents.shape, dtype=bool)
        for where in (*found.red, *(b for c in found.clusters if c.red for b in c.bins)):
            wrong[where] = True
        shapes = connected(interval, wrong, found.judged, found.level, np.abs(found.level))
        return Finding(bad=True, score=found.score, shapes=shapes, note=said)


def _by_content(values: FloatArray, bins: BoolArray, most: int | None = None) -> tuple[Bin, ...]:
    """Return bins, the largest value first, at most `most`; ties in the order of the bins."""
    where = np.argwhere(bins)
    order = np.argsort(-values[bins], kind="stable")[:most]
    return tuple(tuple(int(i) for i in b) for b in where[order])


def _clusters(interval: Interval, red: BoolArray, yellow: BoolArray) -> tuple[tuple[Cluster, ...], BoolArray]:
    """Return clusters of red and yellow bins, those that touch in any of eight directions, and the bins in them."""
    contents = interval.contents
    either = red | yellow
    labels, count = ndimage.label(either.reshape(-1, contents.shape[-1]), structure=_AROUND)
    labels = labels.reshape(contents.shape)
    centres = [0.5 * (edges[1:] + edges[:-1]) for edges in (axis.bin_edges() for axis in interval.axes)]
    clustered = np.zeros(contents.shape, dtype=bool)
    found = []
    for number in range(1, count + 1):
        own = labels == number
        where = np.argwhere(own)
        if len(where) < 2:
            continue
        clustered |= own
        value = float(contents[own].sum())
        places = np.stack([centres[axis][where[:, axis]] for axis in range(where.shape[1])], axis=1)
        centre = contents[own] @ places / value if value != 0 else np.full(places.shape[1], -99.0)
        found.append(
            Cluster(
                red=bool(red[own].any()),
                bins=tuple(tuple(int(i) for i in b) for b in where),
                value=value,
                x=float(centre[0]),
                y=float(centre[1]) if len(centre) > 1 else 0.0,
                radius=float(np.sqrt(((places - centre) ** 2).sum(axis=1)).max()),
            )
        )
    return tuple(sorted(found, key=lambda c: not c.red)), clustered
