"""The learned expectation of one histogram, whoever made it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from monitor.infer.calibration import Pool
from monitor.infer.windows import WindowSet, windows_of
from monitor.kernel import address_of
from monitor.normalise import BlockGrid, block_grid, count_events, exposures, saturated_bins
from monitor.snapshot import AnyArray, FloatArray

ALONE_DEGREES = 30.0
"""Degrees of freedom of a systematic that is taken from the judged map itself."""
_SHARE_ALONE = 0.25
MOVES = 0.03
"""Relative size of deviations that a model of a profile should take seriously."""


class Predictor(Protocol):
    """A model that reconstructs maps."""

    def predict(self, maps: AnyArray) -> AnyArray:
        """Reconstruct maps in the scale of the model's normalisation, float32. Shape: (maps, *shape), in and out."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """A reference as kernels see it, see `monitor.detect.kernels.judge_counts`."""

    addresses: NDArray[np.uint64]
    """Of rate, live, block, block rate, sample, window statistics, window systematics, window degrees of freedom; then
    the sizes of block, block rate and sample. Shape: (11,)."""
    numbers: FloatArray
    """Dispersion, sum of the references' exposures, 1 for counts, 2 for the log domain, number of live bins.
    Shape: (4,)."""
    kept: tuple[AnyArray, ...]
    """The arrays at those addresses, alive as long as the table is."""


@dataclass(frozen=True, slots=True, eq=False)
class Windows:
    """What is known of every window of a map, see `monitor.infer.windows`, at unit exposure."""

    statistical: NDArray[np.float32]
    """Statistical variance of a window's sum; infinity for windows without a live bin. Shape: (windows,)."""
    systematic: NDArray[np.float32]
    """Variance that is not statistics, of a new map against the references. Shape: (windows,)."""
    degrees_of_freedom: FloatArray
    """How well the systematic of each scale is known. Shape: (scales,)."""
    visible: FloatArray
    """Relative variance of a typical window of each scale: statistical, and systematic. Shape: (scales, 2)."""


@dataclass(frozen=True, slots=True, eq=False)
class WindowScatter:
    """Relative scatter of windows that is not statistics, as it was learned."""

    relative: NDArray[np.float32]
    """Of sums. Shape: (windows,); empty for profiles."""
    shared: tuple[float, ...]
    """What a typical window's bins share beyond their own scatter, one a scale; profiles are judged by it."""
    degrees_of_freedom: tuple[float, ...]
    """One a scale."""


Statistics = Literal["counts", "binomial", "exact", "sums", "rates", "profile"]
"""Kinds of statistics: counts; channels that fire at most once an event; the same number every time; sums of weights;
positive numbers of unknown statistics, compared in the log domain; means with their own errors."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Reference:
    """What a histogram shows when all is well, per unit exposure.

    One unit of exposure is an average lumisection of the references.
    """

    name: str
    """What it was made of, for the evidence: a model's name and version, or the reference runs."""
    profile: bool
    rate: FloatArray
    """Expected content per unit exposure (profiles: expected mean). Shape: the histogram's. 0: empty by design."""
    systematic: FloatArray
    """Relative scatter of each bin that is not statistics. Shape: the histogram's."""
    spread: FloatArray | None = None
    """Profiles: standard deviation of one entry in each bin; None where it is not known. Shape: the histogram's."""
    occupancy: FloatArray | None = None
    """Profiles: expected entries per unit exposure of each bin; None where they are not known. Shape: the
    histogram's."""
    live: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]
    """Bins that were filled in the references. Shape: the histogram's."""
    ranges: tuple[tuple[float, float], ...] = ()
    """First and last edge of every axis; empty where they are not known, and any will do."""
    coherent: float
    """Relative scatter that the bins of a strip or larger part share."""
    scatter: WindowScatter | None = None
    """Scatter of every window; None: what `systematic` and `coherent` make of it."""
    statistics: Statistics = "counts"
    dispersion: float = 1.0
    """Variance over mean of pure statistics: 1 for counts, fitted for sums of weights without errors."""
    zeros: float = 1.0
    """Share of live bins that a good map shows at zero, an upper bound."""
    pool: Pool | None = None
    """What good maps of its kind showed in calibration; None: not calibrated."""
    degrees_of_freedom: float = 1e9
    """How well the systematic is known; few references leave few degrees of freedom."""
    thresholds: Mapping[str, float] = field(default_factory=dict)
    """What its maker says a detector should use, in standard deviations; configuration goes before it."""
    references: int = 1
    """Number of reference intervals."""
    exposure: float = 1.0
    """Sum of the references' exposures."""

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """Shape of the histogram."""
        return tuple(self.rate.shape)

    @cached_property
    def total(self) -> float:
        """Expected content of the whole histogram per unit exposure."""
        return float(self.rate.sum())

    @property
    def counts(self) -> bool:
        """Whether contents are whole numbers of entries."""
        return self.statistics in ("counts", "binomial", "exact")

    @property
    def constant(self) -> bool:
        """Whether good intervals show the same numbers, as of a pulser: then a repetition says nothing."""
        return self.statistics == "exact"

    @property
    def logarithmic(self) -> bool:
        """Whether bins are compared by the logarithm of their ratio to the expectation."""
        return self.statistics == "rates"

    @cached_property
    def statistical(self) -> FloatArray:
        """Statistical variance of each bin at unit exposure. Shape: the histogram's.

        A channel that fires with chance f an event scatters by 1 - f of a count's variance; of a number that never
        changes, half a count is open.
        """
        if self.statistics == "exact":
            return np.where(self.live, 0.25, 0.0)
        if self.statistics == "binomial" and self.live.any():
            return np.where(self.live, self.rate * (1.0 - self.rate / self.rate.max()) + 0.25, 0.0)
        return self.dispersion * self.rate

    def trusted(self, contents: AnyArray, variances: AnyArray, entries: AnyArray) -> FloatArray:
        """Draw the means of a profile towards the expectation as far as statistics leave them open.

        A model sees every bin alike: means of few entries are noise to it, and bins without any are no zeros. A
        deviation keeps the share S^2 / (S^2 + statistical variance), S being `MOVES` of the expected mean. Shape of
        all: the histogram's, or with maps in front.
        """
        one = variances * entries if self.spread is None else self.spread**2
        statistical = one / np.maximum(entries, 1.0)
        own = (MOVES * self.rate) ** 2
        share = np.where((entries > 0) & (own > 0), own / np.maximum(own + statistical, 1e-300), 0.0)
        trusted: FloatArray = self.rate + share * (contents - self.rate)
        return trusted

    @cached_property
    def skewed(self) -> bool:
        """Whether entries of a profile are positive and scatter about as much as they are: few of them have a tail.

        Residuals and times, whose means are about 0, have none.
        """
        mean = self.rate[self.live]
        if not self.profile or mean.size == 0 or float(mean.min()) < 0.0:
            return False
        return self.spread is None or float(np.median(self.spread[self.live])) <= 1.5 * float(np.median(mean))

    @cached_property
    def unit(self) -> float:
        """What one entry adds to a content; a hundredth of a typical bin where statistics are not known."""
        if self.dispersion > 0 or not self.live.any():
            return self.dispersion or 1.0
        return 0.01 * float(np.median(np.abs(self.rate[self.live]))) or 1.0

    @cached_property
    def unsteadiness(self) -> float:
        """Relative systematic that all but the least steady hundredth of the live bins stay below; 0 without any."""
        return float(np.quantile(self.systematic[self.live], 0.99)) if self.live.any() else 0.0

    @cached_property
    def window_set(self) -> WindowSet:
        """The windows its maps are scanned with."""
        return windows_of(self.shape)

    @cached_property
    def windows(self) -> Windows:
        """Variances of all windows; not for profiles, whose errors every map brings along."""
        every = self.window_set
        live = self.live.ravel()
        rate = np.where(live, self.rate.ravel(), 0.0)
        statistical = np.where(live, self.statistical.ravel(), 0.0)
        own = (self.systematic.ravel() * rate) ** 2
        total = int(every.offsets[-1])
        p, q = np.empty(total, dtype=np.float32), np.empty(total, dtype=np.float32)
        visible = np.zeros((len(every.names), 2))
        more = 1.0 + 1.0 / max(1, self.references)
        for k in range(len(every.names)):
            part = slice(int(every.offsets[k]), int(every.offsets[k + 1]))
            expected = every.sums(rate, k)
            filled = expected > 1e-12 * max(float(rate.max(initial=0.0)), 1e-300)
            if self.scatter is not None and self.scatter.relative.size:
                square = (self.scatter.relative[part].astype(np.float64) * expected) ** 2
            else:
                square = every.sums(own, k) + (0.0 if k == 0 else (self.coherent * expected) ** 2)
            square *= more
            if self.dispersion > 0 and self.statistics != "exact":
                # n entries in the references stand for n + 1 give or take their root: few are known badly.
                square += np.where(filled, (self.dispersion / self.exposure) ** 2, 0.0)
            of_counts = np.maximum(every.sums(statistical, k), 0.0)
            with np.errstate(over="ignore"):
                p[part] = np.where(filled, of_counts, np.inf)
                q[part] = np.where(filled, square, 0.0)
            if filled.any():
                typical = expected[filled] ** 2
                visible[k] = np.median(of_counts[filled] / typical), np.median(square[filled] / typical)
        return Windows(p, q, self.freedoms, visible)

    @cached_property
    def window_rates(self) -> NDArray[np.float32]:
        """Expected content of every window at unit exposure. Shape: (windows,)."""
        every = self.window_set
        rate = np.where(self.live, self.rate, 0.0).ravel()
        return np.concatenate([every.sums(rate, k) for k in range(len(every.names))]).astype(np.float32)

    @cached_property
    def freedoms(self) -> FloatArray:
        """Degrees of freedom of the systematic of each scale. Shape: (scales,)."""
        if self.scatter is not None:
            return np.array(self.scatter.degrees_of_freedom, dtype=np.float64)
        every = self.window_set
        if self.references == 1 and not self.profile:
            # The judged map's own windows tell the scatter: bins are many, but not all alike; strips are few.
            independent = np.array([every.independent(k) for k in range(len(every.names))])
            return np.clip(_SHARE_ALONE * independent, self.degrees_of_freedom, ALONE_DEGREES)
        return np.full(len(every.names), self.degrees_of_freedom)

    @cached_property
    def shared(self) -> FloatArray:
        """Relative scatter that a window's bins share, of each scale. Shape: (scales,)."""
        if self.scatter is not None:
            return np.array(self.scatter.shared, dtype=np.float64)
        every = np.full(len(self.window_set.names), self.coherent)
        every[0] = 0.0
        return every

    @cached_property
    def table(self) -> Table:
        """Arrays and numbers in the form that kernels take for many references at once."""
        rate = np.ascontiguousarray(self.rate, dtype=np.float64).ravel()
        live = np.ascontiguousarray(self.live, dtype=np.bool_).ravel()
        grid, windows = self.blocks, self.windows
        kept: tuple[AnyArray, ...] = (
            rate,
            live,
            grid.block,
            grid.rate,
            grid.sample,
            windows.statistical,
            windows.systematic,
            windows.degrees_of_freedom,
        )
        dtypes = (np.float64, np.bool_, np.int32, np.float64, np.int32, np.float32, np.float32, np.float64)
        addresses = [address_of(a, d) for a, d in zip(kept, dtypes, strict=True)]
        numbers = (self.compared_dispersion, self.exposure, 2.0 if self.logarithmic else 1.0, float(live.sum()))
        return Table(
            np.array([*addresses, grid.block.size, grid.rate.size, grid.sample.size], dtype=np.uint64),
            np.array(numbers, dtype=np.float64),
            kept,
        )

    @cached_property
    def entry_blocks(self) -> BlockGrid:
        """Blocks for the estimate of the exposure of a profile from its entries."""
        return block_grid(np.zeros(self.shape) if self.occupancy is None else self.occupancy)

    @cached_property
    def saturated(self) -> NDArray[np.bool_] | None:
        """Channels that count events, where there are enough of them. Shape: the histogram's."""
        return saturated_bins(self.rate) if self.statistics in ("binomial", "exact") else None

    def exposure_of(self, contents: FloatArray, without: NDArray[np.bool_] | None = None) -> float:
        """Return the exposure of one map of sums, relative to this reference.

        Parameters
        ----------
        contents
            Shape: (bins,).
        without
            Bins to leave out. Shape: (bins,).
        """
        leave = without is not None and bool(without.any())
        kept = self.live.ravel() & ~without if leave and without is not None else self.live.ravel()
        if self.saturated is not None:
            full = self.saturated.ravel() & kept
            if full.any() and (counted := count_events(contents, self.rate.ravel(), full)) > 0:
                return counted
        grid = block_grid(np.where(kept, self.rate.ravel(), 0.0).reshape(self.shape)) if leave else self.blocks
        return float(exposures(contents[None], grid, self.compared_dispersion)[0])

    @property
    def compared_dispersion(self) -> float:
        """Variance over mean of what a map of exposure 1 and this reference differ by.

        Of few references the rates scatter as much as the map: cut off at three standard deviations of the map alone,
        bins that are full beside low rates go more often than others, and the exposure comes out too small.
        """
        return self.dispersion * (1.0 + 1.0 / max(self.exposure, 1.0))

    @cached_property
    def blocks(self) -> BlockGrid:
        """Blocks for the estimate of the exposure."""
        return block_grid(np.where(self.live, self.rate, 0.0))
