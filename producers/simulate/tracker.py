"""Stream ``tracker``: distributions in one dimension, and a profile."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np

from monitor.snapshot import Axis, FloatArray, Kind
from producers.simulate.histogram import SimulatedHistogram, centres, scaled

STREAM = "tracker"
CHARGE = Axis(100, 0.0, 100.0, title="cluster charge (ke)")
HITS = Axis(40, -0.5, 39.5, title="hits per track")
TIME = Axis(120, -30.0, 30.0, title="time (ns)")
PHI = Axis(72, -3.15, 3.15, title="#phi")
LAYERS = 4
MODULES = 24
_NAMES = tuple(f"L{layer}_M{module:02d}" for layer in range(1, LAYERS + 1) for module in range(1, MODULES + 1))
MODULE = Axis(len(_NAMES), 0.0, float(len(_NAMES)), labels=_NAMES, title="module")
_NOT_CABLED = ("L1_M07", "L3_M18", "L3_M19")
_LOWEST = 1e-3
"""Below this rate per unit exposure a bin of a distribution stays empty."""


def tracker_histograms() -> tuple[SimulatedHistogram, ...]:
    """Return charge, hits, time, modules and the profile of charge."""
    return (
        _distribution_of("Clusters/charge_layer1", CHARGE, charge_rate),
        _distribution_of("Tracks/hits_per_track", HITS, hits_rate),
        _distribution_of("Timing/hit_time", TIME, time_rate, dtype="i4"),
        SimulatedHistogram(stream=STREAM, path="Modules/occupancy", kind=Kind.TH1, axes=(MODULE,), rate=module_rate),
        SimulatedHistogram(
            stream=STREAM,
            path="Clusters/mean_charge_phi",
            kind=Kind.TPROFILE,
            axes=(PHI,),
            rate=track_rate,
            dtype="f8",
            mean=mean_charge,
            value_spread=0.35,
        ),
    )


def _distribution_of(path: str, axis: Axis, rate: Callable[[], FloatArray], dtype: str = "f4") -> SimulatedHistogram:
    # Bins of a distribution are not channels: what one does nearly all do.
    return SimulatedHistogram(
        stream=STREAM,
        path=path,
        kind=Kind.TH1,
        axes=(axis,),
        rate=rate,
        dtype=dtype,
        stable_spread=0.01,
        run_spread=0.005,
    )


@cache
def charge_rate() -> FloatArray:
    """Return clusters by charge per unit exposure: Moyal's form of the Landau distribution. Shape: (100,)."""
    z = (centres(CHARGE) - 22.0) / 4.0
    return _distribution(np.exp(-0.5 * (z + np.exp(-z))), 300_000.0)


@cache
def hits_rate() -> FloatArray:
    """Return tracks by number of hits per unit exposure: short and long tracks. Shape: (40,)."""
    hits = centres(HITS)
    short = 0.3 * np.exp(-0.5 * ((hits - 8.0) / 2.0) ** 2)
    long = np.exp(-0.5 * ((hits - 15.0) / 3.5) ** 2)
    return _distribution(np.where(hits >= 3, short + long, 0.0), 120_000.0)


@cache
def time_rate() -> FloatArray:
    """Return hits by time per unit exposure: a peak on a flat background. Shape: (120,)."""
    return _distribution(np.exp(-0.5 * (centres(TIME) / 3.0) ** 2) + 0.004, 150_000.0)


@cache
def module_rate() -> FloatArray:
    """Return hits by module per unit exposure. Shape: (96,)."""
    number = np.arange(MODULE.bins)
    pattern = 1.0 / (1.0 + 0.5 * (number // MODULES)) * (1.0 + 0.05 * np.cos(2 * np.pi * number / MODULES))
    pattern[[_NAMES.index(name) for name in _NOT_CABLED]] = 0.0
    return scaled(pattern, 2500.0)


@cache
def track_rate() -> FloatArray:
    """Return clusters by phi per unit exposure. Shape: (72,)."""
    return scaled(1.0 + 0.05 * np.cos(centres(PHI) - 0.6), 4000.0)


@cache
def mean_charge() -> FloatArray:
    """Return the mean charge of a cluster by phi, ke. Shape: (72,)."""
    return scaled(1.0 + 0.02 * np.sin(centres(PHI)), 26.0)


def _distribution(density: FloatArray, entries: float) -> FloatArray:
    rate = density * (entries / density.sum())
    rate[rate < _LOWEST] = 0.0
    rate.setflags(write=False)
    return np.asarray(rate, dtype=np.float64)
