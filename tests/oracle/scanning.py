"""Random maps with random references, and the slow scan of every window that the kernels are held against."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from monitor.detect import kernels
from monitor.detect.significance import significance
from monitor.infer import Reference, WindowScatter, windows_of
from monitor.snapshot import FloatArray

SHAPES = [(13, 10), (24, 9), (1, 14), (14, 1), (30,), (2, 2), (1,)]
SURE_DOF = 1e9


@dataclass(frozen=True)
class Case:
    """A random map, its reference, and what a model expects of it."""

    reference: Reference
    contents: FloatArray
    """Flat."""
    rate: FloatArray
    """Of the model, not of the reference. Flat."""
    exposure: float

    @property
    def deviation(self) -> FloatArray:
        mu = self.exposure * self.rate
        live = self.reference.live.ravel()
        if not self.reference.logarithmic:
            return np.where(live, self.contents - mu, 0.0)
        ratio = np.maximum(self.contents / np.where(live, mu, 1.0), kernels.LOG_FLOOR)
        return np.where(live, mu * np.log(ratio), 0.0)


def random_case(shape: tuple[int, ...], seed: int, mean: float = 30.0, statistics: str = "counts") -> Case:
    """Bins that are empty by design, some scatter in every window, few degrees of freedom, a fault or two."""
    rng = np.random.default_rng([seed, *shape])
    windows = windows_of(shape)
    rate = rng.gamma(4.0, mean / 4.0, shape) * (rng.random(shape) < 0.85)
    dof = rng.choice([2.5, 8.0, SURE_DOF], len(windows.names))
    reference = Reference(
        name="random",
        profile=False,
        rate=rate,
        systematic=rng.uniform(0.0, 0.05, shape),
        live=rate > 0,
        coherent=0.0,
        scatter=WindowScatter(
            rng.uniform(0.0, 0.05, int(windows.offsets[-1])).astype(np.float32),
            (0.0,) * len(windows.names),
            tuple(dof.tolist()),
        ),
        statistics=statistics,  # type: ignore[arg-type]
        dispersion=float(rng.choice([1.0, 2.75])) if statistics == "sums" else 1.0,
        references=int(rng.integers(2, 30)),
        exposure=float(rng.uniform(1.0, 30.0)),
    )
    exposure = float(rng.uniform(0.1, 4.0))
    contents = rng.poisson(exposure * rate).astype(float)
    contents.flat[rng.integers(contents.size)] *= 3.0
    if seed % 2:
        contents[rng.integers(shape[0])] *= 0.5
    model = np.where(rate > 0, rate * rng.uniform(0.9, 1.1, shape), 0.0)
    return Case(reference, np.round(contents).ravel(), model.ravel(), exposure)


def slow_scan(
    case: Case, close: float, wrong: np.ndarray | None = None, smallest: float = 0.0, raw: bool = False
) -> list[FloatArray]:
    """The significance of every window of every scale, each summed on its own; 0 where it is not looked at.

    `raw`: as if the systematic were known well.
    """
    reference = case.reference
    every, tables = reference.window_set, reference.windows
    wrong = np.zeros(case.contents.size, dtype=bool) if wrong is None else wrong
    a = case.exposure * (1.0 + case.exposure / reference.exposure)
    found = []
    for k in range(len(every.names)):
        nx, ny = every.shape
        wx, wy = every.sizes[k].tolist()
        z = np.zeros((nx - wx + 1, ny - wy + 1))
        for i in range(nx - wx + 1):
            for j in range(ny - wy + 1):
                own = every.bins(k, (i, j))
                left, whole = case.rate[own & ~wrong].sum(), case.rate[own].sum()
                window = int(every.offsets[k]) + i * (ny - wy + 1) + j
                if whole <= 0.0 or left < smallest * whole:
                    continue
                share = left / whole
                systematic = case.exposure**2 * float(tables.systematic[window]) * share**2
                variance = a * float(tables.statistical[window]) * share + systematic
                d = case.deviation[own & ~wrong].sum()
                if d * d > close * close * variance:
                    mu = case.exposure * left
                    known = (0.0, 1.0) if raw else (systematic, float(tables.degrees_of_freedom[k]))
                    z[i, j] = significance(d, variance, mu, not reference.logarithmic, *known)
        found.append(z)
    return found


def scanned(case: Case, close: float) -> tuple[FloatArray, np.ndarray]:
    """Call `scan_counts`; returns best and place."""
    reference = case.reference
    every, tables = reference.window_set, reference.windows
    sums = np.empty((every.shape[0] + 1, every.shape[1] + 1))
    deviation = case.deviation
    kernels.running_sums(deviation, *every.shape, sums)
    best, place = np.full(len(every.names), np.nan), np.full((len(every.names), 2), -1)
    kernels.scan_counts(
        deviation,
        sums,
        case.rate,
        case.exposure,
        *every.shape,
        every.sizes,
        every.offsets,
        tables.statistical,
        tables.systematic,
        tables.degrees_of_freedom,
        reference.exposure,
        not reference.logarithmic,
        close,
        best,
        place,
    )
    return best, place


def scanned_without(case: Case, wrong: np.ndarray) -> tuple[FloatArray, FloatArray, np.ndarray]:
    """Call `scan_without`; returns best, raw and place."""
    reference = case.reference
    every, tables = reference.window_set, reference.windows
    planes = (np.where(wrong, 0.0, case.deviation), np.where(wrong, 0.0, case.rate), case.rate)
    sums = [np.empty((every.shape[0] + 1, every.shape[1] + 1)) for _ in planes]
    for plane, out in zip(planes, sums, strict=True):
        kernels.running_sums(np.ascontiguousarray(plane), *every.shape, out)
    best, raw = np.full((2, len(every.names)), np.nan)
    place = np.full((len(every.names), 2), -1)
    kernels.scan_without(
        *sums,
        case.exposure,
        *every.shape,
        every.sizes,
        every.offsets,
        tables.statistical,
        tables.systematic,
        tables.degrees_of_freedom,
        reference.exposure,
        not reference.logarithmic,
        best,
        raw,
        place,
    )
    return best, raw, place


def assert_finds(best: FloatArray, place: np.ndarray, every: list[FloatArray]) -> None:
    for z, (x, y), wanted in zip(best, place, every, strict=True):
        assert abs(z) == pytest.approx(np.abs(wanted).max(), rel=1e-6)
        assert z == pytest.approx(wanted[x, y], rel=1e-6)
