"""The closer look: which shapes are wrong, one after the other, each judged without those found before."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage, special

from monitor.detect import kernels
from monitor.detect.base import Expected, Finding
from monitor.detect.geometry import DEAD, BoolArray, shapes_of, whole_strips
from monitor.detect.limits import Limits
from monitor.detect.missing import missing_entries
from monitor.detect.moved import moved_means
from monitor.detect.planes import Planes
from monitor.detect.rates import modelled_rates, shown
from monitor.infer.calibration import chances_of
from monitor.snapshot import AnyArray, FloatArray
from monitor.verdict import Shape
from monitor.window import Interval

WIDE = 1.5
"""Width of all bins' significances beyond which the whole map is doubted."""
MAX_WINDOWS = 24
MANY_SHAPES, MANY_BINS = 12, 0.05
"""Shapes, or share of bins, beyond which a map that is too wide has another pattern rather than faults."""
LEAST_LEFT = 4
"""Bins that must not be wrong for the exposure to be fitted to them."""
HARDLY = 3.0
"""Entries expected of a bin that is silent by chance once in twenty times."""
_ROUNDS = 8
_NEARLY = 0.7
_NARROW, _NARROWEST = 0.7, 0.05


class Closer:
    """The closer look at one map.

    The window with the largest z^2 - 2 log N of its scale is taken out, trimmed to the bins that are not plainly
    good; exposure and model are fitted again without it, and the map is scanned again until nothing is beyond its
    threshold. Touching windows of one sign are one shape. Every significance is divided by the width of the bins'
    significances where that is above 1, so that a reference that has aged as a whole does not name bins.

    Parameters
    ----------
    rate
        Expected content per unit exposure, at first sight. Shape: (bins,).
    alone
        Systematic variances of windows where there is one reference, see `expectation`. Shape: (windows,).
    """

    def __init__(
        self,
        interval: Interval,
        rate: FloatArray,
        expected: Expected,
        limits: Limits,
        alone: AnyArray | None = None,
    ) -> None:
        self._interval, self._expected, self._limits, self._alone = interval, expected, limits, alone
        self._reference = expected.reference
        self._rate = rate
        self._contents = interval.contents.ravel()
        self._windows = self._reference.window_set
        bins = self._contents.size
        self._bin_systematic = None if alone is None else alone[:bins].astype(np.float64)
        self._low, self._high = np.zeros((2, bins), dtype=bool)
        self._low_area, self._high_area = np.zeros((2, bins), dtype=bool)
        """Where low and high bins are one shape if they touch."""
        self._scatter = 1.0
        self._exposure = 1.0
        self._found = np.zeros(bins)
        """Significance of the window that found each bin."""

    def finding(self) -> Finding:
        """Return what is wrong with the map."""
        limits = self._limits
        planes = self._fit()
        self._high |= limits.unexpected(self._contents, planes.exposure)
        missing = missing_entries(self._reference, self._interval, limits.single)
        self._low |= missing < 0
        self._found += missing
        # Dead bins are certain, and taken out first: they would make the rest look wide, or hot, or low beside them.
        silent = self._silent(planes, 1.0) & ~self._high
        self._low |= silent
        # Bins that are not live do not cut a strip in two.
        strips = whole_strips(silent.reshape(self._reference.shape), self._reference.live)
        self._low_area |= strips.ravel() & ~planes.judged
        penalty = 2.0 * np.log(self._windows.counts)
        width, first = 1.0, np.zeros(len(self._windows.names))
        if self._high.any() or self._low.any():
            planes = self._fit()
        for attempt in range(MAX_WINDOWS):
            wrong = self._low | self._high
            # What is found already must not make the rest look wide.
            width = self._width(planes, wrong)
            if attempt == 0:
                planes = self._fit()
            best, raw, place = self._scan(planes, wrong)
            z = best / width
            if attempt == 0:
                first = z
            above = np.abs(z) >= limits.sigmas
            if not above.any():
                break
            pick = self._pick(np.abs(z) / limits.sigmas, (raw / width) ** 2 - penalty, place)
            # A bin belongs to what was found first: the rest of a window that crosses it is another matter.
            window = self._windows.bins(pick, (int(place[pick, 0]), int(place[pick, 1]))) & planes.judged & ~wrong
            if not window.any():
                break
            trimmed = planes.trim(window)
            area, bins = (self._low_area, self._low) if z[pick] < 0 else (self._high_area, self._high)
            # Bins that are not live, or look good, or are another shape's, do not cut a strip in two.
            whole = self._windows.bins(pick, (int(place[pick, 0]), int(place[pick, 1])))
            area |= whole if self._windows.strips[pick] else trimmed | (whole & ~planes.judged)
            bins |= trimmed
            window = trimmed
            self._found[window] = z[pick]
            planes = self._fit()
        self._low |= self._silent(planes, width) & ~self._high
        shapes = self._shapes(planes, width)
        warning = ""
        if width > WIDE:
            warning = (
                f"the whole map differs from its reference: its bins scatter {width:.1f} times as much as expected; "
                "bins are judged relative to that"
            )
            changed = int((self._low | self._high).sum())
            if len(shapes) > MANY_SHAPES or changed > MANY_BINS * int(planes.judged.sum()):
                # No fault of a detector: another pattern of light, another trigger, a reference of another time.
                warning += f", and {changed} of them differ in {len(shapes)} places: its pattern has changed"
                shapes = [s for s in shapes if s.sign == "dead" or s.expected == 0.0]
            moved = moved_means(planes, float(limits.sigmas[-1])) if self._reference.profile else None
            if moved is not None:
                warning = f"all of its means are {moved.observed / moved.expected:.2g} times what is expected"
                # Bins without entries have no mean that could have moved.
                own = set(moved.bins)
                shapes = [moved, *(s for s in shapes if own.isdisjoint(s.bins))]
        score = float(np.abs(first).max(initial=0.0))
        if not shapes and not warning and bool((np.abs(first) >= limits.sigmas).any()):
            warning = (
                f"the map differs from its reference by {score:.1f} standard deviations, but not in a part that can be "
                "named: too little of it agrees on an exposure"
            )
        visible, doubt = limits.reach(planes.exposure, self._alone)
        return Finding(
            bad=bool(shapes),
            score=max([score, *(abs(s.significance) for s in shapes)]),
            shapes=tuple(shapes),
            p_value=self._chance(first, shapes),
            exposure=float(planes.exposure),
            warning="; ".join(filter(None, (warning, doubt))),
            visible=visible,
            note=limits.note,
        )

    def _chance(self, first: FloatArray, shapes: Sequence[Shape]) -> float:
        """Return the chance that a good map shows what this one does: in a window, or as what the rules name."""
        by_windows = float(chances_of(self._windows, self._limits.tails[None], first[None])[0])
        most = max((abs(s.significance) for s in shapes), default=0.0)
        by_rules = 2.0 * float(self._windows.counts[0]) * float(special.ndtr(-most))
        return min(by_windows, by_rules)

    def _pick(self, excess: FloatArray, merit: FloatArray, place: AnyArray) -> int:
        """Return the scale whose window says best what is wrong.

        Parameters
        ----------
        excess
            Significance of each scale over its threshold. Shape: (scales,).
        merit
            How well each describes, as if all systematics were known well: few degrees of freedom shrink the
            significances of each scale by another measure.
        place
            First bins of the windows. Shape: (scales, 2).
        """
        pick = int(np.argmax(np.where(excess >= 1.0, merit, -np.inf)))
        found = self._windows.bins(pick, (int(place[pick, 0]), int(place[pick, 1])))
        for k in np.argsort(-merit).tolist():
            # What nearly is an alarm of its own, and holds what is one, may say better what it is.
            if merit[k] <= merit[pick] or excess[k] < _NEARLY:
                continue
            window = self._windows.bins(k, (int(place[k, 0]), int(place[k, 1])))
            if 2 * int((window & found).sum()) >= int(found.sum()):
                return int(k)
        return pick

    def _width(self, planes: Planes, wrong: BoolArray) -> float:
        """Return by how much all bins scatter more than expected, at least 1.

        Where the variance of sums was fitted, it need not hold at another scale: if all bins scatter far less, it is
        made smaller.
        """
        if self._reference.statistics == "exact":
            # Every deviation of an exact counter is one, however many there are.
            return 1.0
        width = planes.width(wrong)
        if self._reference.statistics == "sums" and width < _NARROW:
            self._scatter = max(width, _NARROWEST)
        return max(1.0, width)

    def _fit(self) -> Planes:
        """Fit exposure and expected map without the bins that are wrong."""
        reference, wrong = self._reference, self._low | self._high
        if not reference.profile:
            exposure = reference.exposure_of(self._contents, wrong)
            # A few bins, or silent ones, cannot say how much there should be.
            left = int((reference.live.ravel() & ~wrong).sum())
            if not wrong.any() or (left >= LEAST_LEFT and exposure > 0):
                self._exposure = exposure
        exposure = self._exposure
        if self._expected.predictor is not None and exposure > 0:
            # What is wrong must not teach the model: show it what it expects there, until that stands still.
            for _ in range(_ROUNDS if wrong.any() else 1):
                seen = np.where(wrong, self._rate * exposure, shown(reference, self._interval))
                previous = self._rate
                self._rate = modelled_rates(seen[None], np.array([exposure]), self._expected)[0]
                if np.abs(self._rate - previous).max() <= 1e-4 * np.abs(self._rate).max():
                    break
        return Planes(reference, self._interval, self._rate, exposure, self._bin_systematic, self._scatter)

    def _scan(self, planes: Planes, wrong: BoolArray) -> tuple[FloatArray, FloatArray, AnyArray]:
        """Return the best significance of every scale, and as if the systematic were known well; shape (scales,).

        And its window's first bin, shape (scales, 2).
        """
        reference, windows = self._reference, self._windows
        best, raw = np.zeros((2, len(windows.names)))
        place = np.zeros((len(windows.names), 2), dtype=np.int64)
        if reference.profile:
            systematic = np.ascontiguousarray(reference.systematic.ravel())
            kernels.scan_means(
                *planes.weighted(wrong),
                systematic,
                *windows.shape,
                windows.sizes,
                reference.shared,
                reference.freedoms,
                reference.skewed,
                best,
                place,
            )
            return best, best, place
        corners = (windows.shape[0] + 1, windows.shape[1] + 1)
        sums, left, whole = np.empty((3, *corners))
        live = reference.live.ravel()
        kernels.running_sums(np.where(wrong, 0.0, planes.deviation), *windows.shape, sums)
        kernels.running_sums(np.where(live & ~wrong, planes.rate, 0.0), *windows.shape, left)
        kernels.running_sums(np.where(live, planes.rate, 0.0), *windows.shape, whole)
        tables = reference.windows
        kernels.scan_without(
            sums,
            left,
            whole,
            planes.exposure,
            *windows.shape,
            windows.sizes,
            windows.offsets,
            tables.statistical,
            tables.systematic if self._alone is None else self._alone,
            tables.degrees_of_freedom,
            reference.exposure,
            not reference.logarithmic,
            best,
            raw,
            place,
        )
        return best, raw, place

    def _silent(self, planes: Planes, width: float) -> BoolArray:
        """Return bins at zero that no window showed, because few references leave a systematic open."""
        at_zero: BoolArray = (self._contents == 0) & self._reference.live.ravel() & (planes.mu > 0)
        if self._reference.profile:
            return np.zeros_like(at_zero)
        if int(at_zero.sum()) >= self._limits.silent_bins:
            return at_zero
        certain: BoolArray = at_zero & (planes.mu >= self._limits.silent_from(width))
        if not certain.any():
            return certain
        # Beside what is dead, what hardly is silent by chance is dead too, though it alone would not be certain.
        return _holding(at_zero & (planes.mu >= HARDLY * self._reference.dispersion), certain, self._windows.shape)

    def _dead(self, planes: Planes) -> BoolArray:
        """Return the low bins that are dead for certain, and the next to empty ones that touch them."""
        empty = self._low & (self._contents <= DEAD * planes.mu)
        certain = self._silent(planes, 1.0) & empty
        if self._reference.profile or not certain.any() or (self._contents[self._low] <= 0).all():
            return empty if not self._reference.profile else np.zeros_like(empty)
        return _holding(empty, certain, self._windows.shape)

    def _shapes(self, planes: Planes, width: float) -> list[Shape]:
        reference = self._reference
        shape = reference.shape
        known = planes.judged | self._low | self._limits.unexpected(self._contents, planes.exposure)

        def significance(own: BoolArray) -> float:
            """Return that of the whole, or of its most significant part: what bins share may hide what one shows."""
            whole = planes.significance(own.ravel())
            if (own.ravel() & ~reference.live.ravel()).any():
                return whole
            whole /= width
            found = self._found[own.ravel()]
            part = float(found[np.argmax(np.abs(found))])
            return part if abs(part) > abs(whole) or part * whole < 0 else whole

        shapes: list[Shape] = []
        dead = self._dead(planes)
        for bins, area, is_low in (
            # What is dead is no part of what is low around it.
            (dead, self._low_area & (dead | ~self._low), True),
            (self._low & ~dead, self._low_area, True),
            (self._high, self._high_area, False),
        ):
            found = shapes_of(
                (bins | area).reshape(shape),
                (bins & known).reshape(shape),
                known.reshape(shape),
                self._contents.reshape(shape),
                planes.mu.reshape(shape),
                significance,
                is_low,
                reference.profile,
            )
            # What looked wrong while the exposure was, and no more now that it is not, is not told.
            shapes += [s for s in found if s.sign == "dead" or (s.observed < s.expected) == is_low]
        return sorted(shapes, key=lambda s: -abs(s.significance))


def _holding(bins: BoolArray, some: BoolArray, shape: tuple[int, int]) -> BoolArray:
    """Return the bins that touch, over others of them, one of `some`. Shape of all: (bins,)."""
    labels, _ = ndimage.label((bins | some).reshape(shape), structure=np.ones((3, 3), dtype=bool))
    held = np.unique(labels.ravel()[some])
    return np.isin(labels.ravel(), held[held > 0])
