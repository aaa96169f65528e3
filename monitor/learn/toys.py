"""Simulated histogram types whose truth is known, for calibration studies and benchmarks.

Maps look like a detector's: a smooth eta-phi structure, strips and bins that move from run to run by their own
relative amounts, unfilled bins, and an exposure that differs from snapshot to snapshot. Every interval is a new run:
the response of bins and strips is drawn anew. `producers.simulate` makes recorded runs; these are bare intervals.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from monitor.snapshot import Axis, FloatArray, Kind
from monitor.window import Interval
from monitor.window.interval import State

_PROFILE_ENTRIES = 50.0
"""Mean entries of a profile's bin at exposure 1."""
_PROFILE_RESOLUTION = 0.3
"""Standard deviation of one entry over the mean."""


@dataclass(frozen=True, kw_only=True)
class Toy:
    """One simulated histogram type."""

    name: str
    shape: tuple[int, ...] = (99, 65)
    mean: float = 400.0
    """Counts: mean content of a filled bin at exposure 1. Profiles: mean of the means."""
    profile: bool = False
    bin_scatter: float = 0.025
    """Relative scatter of a bin from run to run."""
    strip_scatter: float = 0.005
    """Relative scatter from run to run that the bins of one x, and of one y, share."""
    heavy: bool = False
    """Scatter of each bin drawn from a lognormal of width 0.5, and 1 % of the bins with 10 to 15 %."""
    structure: float = 0.5
    """Relative depth of the smooth structure."""
    unfilled: float = 0.05
    """Share of bins that are never filled."""
    exposure_spread: float = 0.3
    """Relative spread of the exposure between snapshots."""
    seed: int = 0
    """Of what belongs to the type: structure, unfilled bins, each bin's scatter."""

    @cached_property
    def rate(self) -> FloatArray:
        """Expected content per unit exposure (profiles: expected mean). 0: never filled. Shape: the histogram's."""
        rng = np.random.default_rng([self.seed, 1])
        grid = np.meshgrid(*(np.linspace(-1.0, 1.0, n) for n in self.shape), indexing="ij")
        wave = np.zeros(self.shape)
        for axis in grid:
            k, phase, depth = rng.uniform(1.0, 4.0), rng.uniform(0.0, 2.0 * np.pi), rng.uniform(0.2, 1.0)
            wave += depth * np.cos(np.pi * k * axis + phase)
        values = np.exp(self.structure * wave)
        values *= self.mean / values.mean()
        values[rng.random(self.shape) < self.unfilled] = 0.0
        return values

    @cached_property
    def scatter(self) -> FloatArray:
        """Relative scatter of each bin from run to run. Shape: the histogram's."""
        rng = np.random.default_rng([self.seed, 2])
        if not self.heavy:
            return np.full(self.shape, self.bin_scatter)
        values: FloatArray = self.bin_scatter * np.exp(0.5 * rng.standard_normal(self.shape))
        noisy = rng.random(self.shape) < 0.01
        values[noisy] = rng.uniform(0.10, 0.15, int(noisy.sum()))
        return values

    @cached_property
    def spread(self) -> FloatArray:
        """Standard deviation of a good content about its expectation at exposure 1. Shape: the histogram's."""
        statistical = (_PROFILE_RESOLUTION * self.rate) ** 2 / _PROFILE_ENTRIES if self.profile else self.rate
        return np.sqrt(statistical + (self.rate**2) * (self.scatter**2 + 2.0 * self.strip_scatter**2))

    def draw(self, rng: np.random.Generator, exposure: float | None = None, run: int = 1) -> Interval:
        """Draw one good interval; `exposure` is drawn too where it is not given."""
        if exposure is None:
            exposure = float(max(0.1, 1.0 + self.exposure_spread * rng.standard_normal()))
        response = 1.0 + self.scatter * rng.standard_normal(self.shape)
        for axis, bins in enumerate(self.shape):
            along = 1.0 + self.strip_scatter * rng.standard_normal(bins)
            response *= along.reshape([-1 if a == axis else 1 for a in range(len(self.shape))])
        expected = self.rate * np.maximum(response, 0.0)
        if not self.profile:
            return interval_of(rng.poisson(exposure * expected).astype(np.float64), name=self.name, run=run)
        entries = np.where(self.rate > 0, rng.poisson(exposure * _PROFILE_ENTRIES, self.shape), 0).astype(np.float64)
        many = np.maximum(entries, 1.0)
        one = _PROFILE_RESOLUTION * self.rate
        means = np.where(entries > 0, expected + one / np.sqrt(many) * rng.standard_normal(self.shape), 0.0)
        # ROOT's error of a mean: biased variance of the entries over their number.
        chi2 = np.where(entries > 1, rng.chisquare(np.maximum(entries - 1.0, 1.0)), 0.0)
        return interval_of(means, name=self.name, run=run, variances=one**2 * chi2 / many**2, entries=entries)

    def draw_many(self, count: int, seed: int) -> list[Interval]:
        """Draw good intervals of `count` different runs."""
        rng = np.random.default_rng([self.seed, 3, seed])
        return [self.draw(rng, run=run + 1) for run in range(count)]


def interval_of(
    contents: FloatArray,
    *,
    name: str = "toy",
    run: int = 1,
    lumisection: int = 1,
    variances: FloatArray | None = None,
    entries: FloatArray | None = None,
) -> Interval:
    """Make a READY interval of bare contents; with `entries` (and `variances`) it is a profile's."""
    profile = entries is not None
    flat = contents.ndim == 1
    kind = (Kind.TPROFILE if flat else Kind.TPROFILE2D) if profile else (Kind.TH1 if flat else Kind.TH2)
    return Interval(
        stream="toy",
        path=name,
        kind=kind,
        axes=tuple(Axis(n, 0.0, float(n)) for n in contents.shape),
        run=run,
        first_lumisection=lumisection,
        lumisection=lumisection,
        time_ns=0,
        contents=np.ascontiguousarray(contents, dtype=np.float64),
        variances=variances,
        entries=entries,
        total=float(contents.sum() if entries is None else entries.sum()),
        state=State.READY,
    )


def thesis_types(heavy: bool = False) -> list[Toy]:
    """Return 18 types as thesis B's benchmark has: 12 of counts, 50 to 20 000 a bin, and 6 profiles."""
    means = np.geomspace(50.0, 20_000.0, 12)
    counts = [Toy(name=f"counts_{m:05.0f}", mean=float(m), heavy=heavy, seed=n) for n, m in enumerate(means)]
    profiles = [
        Toy(name=f"profile_{n + 1}", mean=m, profile=True, heavy=heavy, seed=100 + n)
        for n, m in enumerate((0.5, 2.0, 5.0, 20.0, 100.0, 1000.0))
    ]
    return counts + profiles
