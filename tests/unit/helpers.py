"""Small things that many tests need: snapshots, intervals, references, maps, models."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from monitor.detect.base import Expected, Finding
from monitor.infer import Model, Reference, load_model
from monitor.learn.autoencoder import train
from monitor.snapshot import AnyArray, Axis, FloatArray, Kind, Snapshot
from monitor.verdict import Shape
from monitor.window import Interval, State

SHAPE = (24, 16)
"""Of most maps: small, and large enough for every window of the detector."""


def axes_of(shape: tuple[int, ...]) -> tuple[Axis, ...]:
    return tuple(Axis(bins, 0.0, float(bins)) for bins in shape)


def kind_of(shape: tuple[int, ...]) -> Kind:
    return Kind.TH2 if len(shape) == 2 else Kind.TH1


def make_snapshot(contents: Any, lumisection: int = 1, **changes: Any) -> Snapshot:
    """A snapshot of counts; data time follows the lumisection."""
    array = np.asarray(contents)
    fields: dict[str, Any] = {
        "stream": "cal",
        "path": "Ecal/Occupancy",
        "run": 1,
        "lumisection": lumisection,
        "time_ns": lumisection * 1_000_000_000,
        "kind": kind_of(array.shape),
        "axes": axes_of(array.shape),
        "contents": array,
        "sequence": lumisection,
    }
    return Snapshot(**(fields | changes))


def make_profile(
    fills: Sequence[tuple[int, float]] | AnyArray, bins: int, lumisection: int = 1, **changes: Any
) -> Snapshot:
    """A one-dimensional profile of raw fills (bin, value), as ROOT makes it."""
    mean, variance, entries = profile_of(fills, bins)
    return make_snapshot(mean, lumisection, kind=Kind.TPROFILE, variances=variance, entries=entries, **changes)


def profile_of(fills: Sequence[tuple[int, float]] | AnyArray, bins: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Mean, variance of the mean and entries of each bin."""
    mean, variance, entries = np.zeros((3, bins))
    for i in range(bins):
        values = np.array([value for where, value in fills if where == i])
        if values.size:
            mean[i], variance[i], entries[i] = values.mean(), values.var() / values.size, values.size
    return mean, variance, entries


def make_interval(contents: Any, lumisection: int = 1, **changes: Any) -> Interval:
    """An interval that is ready to be judged."""
    array = np.ascontiguousarray(contents, dtype=np.float64)
    entries = changes.get("entries")
    fields: dict[str, Any] = {
        "stream": "cal",
        "path": "Ecal/Occupancy",
        "kind": kind_of(array.shape),
        "axes": axes_of(array.shape),
        "run": 1,
        "first_lumisection": lumisection,
        "lumisection": lumisection,
        "time_ns": lumisection * 1_000_000_000,
        "contents": array,
        "variances": None,
        "entries": None,
        "total": float(array.sum() if entries is None else entries.sum()),
        "state": State.READY,
    }
    return Interval(**(fields | changes))


def profile_interval(mean: FloatArray, spread: float, entries: FloatArray, lumisection: int = 1, **changes: Any) -> Any:
    """An interval of a profile whose bins' entries scatter by `spread`."""
    kind = Kind.TPROFILE2D if mean.ndim == 2 else Kind.TPROFILE
    filled = entries > 0
    variances = np.where(filled, spread**2 / np.where(filled, entries, 1.0), 0.0)
    return make_interval(
        np.where(filled, mean, 0.0), lumisection, kind=kind, variances=variances, entries=entries, **changes
    )


def make_reference(rate: Any, **changes: Any) -> Reference:
    """A well known expectation of counts."""
    array = np.ascontiguousarray(rate, dtype=np.float64)
    fields: dict[str, Any] = {
        "name": "reference of the test",
        "profile": False,
        "rate": array,
        "systematic": np.zeros(array.shape),
        "live": array > 0,
        "coherent": 0.0,
        "references": 20,
        "exposure": 20.0,
    }
    return Reference(**(fields | changes))


def smooth_rate(shape: tuple[int, ...] = SHAPE, mean: float = 400.0) -> FloatArray:
    """A detector-like expectation: more in the middle, everywhere something."""
    rate = np.ones(shape)
    for axis, bins in enumerate(shape):
        along = 1.0 + 0.5 * np.cos(np.linspace(-2.0, 2.0, bins))
        rate *= along.reshape([-1 if a == axis else 1 for a in range(len(shape))])
    return rate * mean / rate.mean()


def poisson_map(rate: FloatArray, seed: int, exposure: float = 1.0) -> FloatArray:
    return np.random.default_rng(seed).poisson(rate * exposure).astype(np.float64)


def good_intervals(rate: FloatArray, number: int, seed: int = 0, **changes: Any) -> list[Interval]:
    """Intervals of runs that differ in exposure and by chance only."""
    rng = np.random.default_rng(seed)
    return [
        make_interval(rng.poisson(rate * rng.uniform(0.7, 1.3)), run=run, **changes) for run in range(1, number + 1)
    ]


def expect(rate: Any, **changes: Any) -> Expected:
    return Expected(make_reference(rate, **changes))


def bins_of(finding: Finding) -> set[tuple[int, ...]]:
    return {b for shape in finding.shapes for b in shape.bins}


def make_shape(*bins: tuple[int, ...], sign: str = "dead", **changes: Any) -> Shape:
    fields: dict[str, Any] = {
        "kind": "bin" if len(bins) == 1 else "spot",
        "sign": sign,
        "axis": None,
        "index": None,
        "bins": bins,
        "significance": -10.0 if sign in ("dead", "low") else 10.0,
        "observed": 0.0,
        "expected": 100.0,
    }
    return Shape(**(fields | changes))


# Trained models

SHAPES = {Kind.TH1: (60,), Kind.TH2: (48, 32), Kind.TPROFILE: (60,), Kind.TPROFILE2D: (30, 20)}
SPREAD = 5.0
"""Standard deviation of one entry of the profiles."""
ENTRIES = 400.0
"""Mean entries of their bins."""


@dataclass(frozen=True)
class Trained:
    """A model made of good intervals, with the truth they were drawn from."""

    kind: Kind
    rate: FloatArray
    """Expected counts per bin, or for a profile the mean of each bin."""
    content: bytes
    """The ONNX file."""
    model: Model

    @property
    def expected(self) -> Expected:
        return Expected(self.model.reference, self.model, "exposure")

    def sample(self, seed: int, fault: Callable[[FloatArray], FloatArray] | None = None) -> Interval:
        """A new interval, with a fault in its expected counts (or means) if one is given."""
        return sample(self.kind, self.rate if fault is None else fault(self.rate.copy()), seed)


def sample(kind: Kind, rate: FloatArray, seed: int, exposure: float = 1.0) -> Interval:
    rng = np.random.default_rng(seed)
    if not kind.is_profile:
        return make_interval(rng.poisson(rate * exposure), kind=kind, run=seed)
    entries = rng.poisson(ENTRIES * exposure, rate.shape).astype(float)
    mean = rate + rng.normal(0.0, SPREAD, rate.shape) / np.sqrt(np.maximum(entries, 1.0))
    return profile_interval(mean, SPREAD, entries, run=seed)


def trained_on(kind: Kind, number: int = 12, rank: int = 2) -> Trained:
    rate = smooth_rate(SHAPES[kind], 50.0 if kind.is_profile else 400.0)
    exposures = np.random.default_rng(0).uniform(0.7, 1.3, number)
    intervals = [sample(kind, rate, 1000 + n, exposure) for n, exposure in enumerate(exposures)]
    content, _ = train(intervals, name=f"model of {kind.value}", version="1", rank=rank, seed=0)
    return Trained(kind, rate, content, load_model(content, f"{kind.value}.onnx"))
