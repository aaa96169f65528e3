"""DBSCAN beside scikit-learn: the detector's three modes on maps like thesis B's, and a million points."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from rich.table import Table
from sklearn.cluster import DBSCAN

from monitor.detect.base import Settings
from monitor.detect.clusters import cluster
from monitor.detect.dbscan import MODES, DbscanDetector
from monitor.learn.toys import Toy, thesis_types
from monitor.service.allocator import keep_buffers
from tests.bench.plan import Plan
from tests.bench.processes import measure

EPS = (0.0044, 0.1)
"""The thesis's calibrated example, and that of its figures 50 to 57."""
MIN_SAMPLES = (1, 5)
_TYPES = ("counts_00256", "counts_06729", "profile_2")
_FAULTY = 0.22
_SPREADS = 3.5
"""Share of wrong bins and by how much, as in the thesis."""
_MB = 1e6
_REPEATS = 5

Planes = tuple[np.ndarray, np.ndarray]


def measured(plan: Plan, log: Path) -> dict[str, Any]:
    """Return ``{"maps": ..., "number": ..., "points": {cloud: {library: ...}}}``.

    Every large set of points has a process of its own, for its memory.
    """
    spec = {"seconds": plan.stage_seconds, "types": plan.clustered_types}
    found: dict[str, Any] = {"maps": measure("maps", spec, log), "number": plan.clustered_points, "points": {}}
    for cloud in CLOUDS:
        found["points"][cloud] = {
            by: measure("points", {"cloud": cloud, "by": by, "points": plan.clustered_points}, log)
            for by in ("numba", "sklearn")
            if by == "numba" or cloud not in QUADRATIC
        }
    return found


def maps(spec: dict[str, Any]) -> dict[str, Any]:
    """Time one map of each type in all modes; us of each, and how many times faster their sum is."""
    keep_buffers()
    toys = [toy for toy in thesis_types() if toy.name in _TYPES]
    return {
        f"{toy.name}, eps {eps:g}, min_samples {min_samples}": _one(_planes(toy), eps, min_samples, spec["seconds"])
        for toy in toys[: spec["types"]]
        for eps in EPS
        for min_samples in MIN_SAMPLES
    }


def _one(planes: Planes, eps: float, min_samples: int, seconds: float) -> dict[str, Any]:
    found: dict[str, Any] = {"numba_us": {}, "sklearn_us": {}}
    for mode in MODES:
        options = {"mode": mode, "eps_threshold": eps, "min_samples": min_samples}
        ours = partial(DbscanDetector(Settings(options=options)).members, *planes)
        theirs = partial(members_by_sklearn, mode, *planes, eps, min_samples)
        np.testing.assert_array_equal(ours(), theirs())
        found["numba_us"][mode] = _cpu_us(ours, seconds)
        found["sklearn_us"][mode] = _cpu_us(theirs, seconds)
    found["ratio"] = sum(found["sklearn_us"].values()) / sum(found["numba_us"].values())
    return found


def _cpu_us(call: Callable[[], object], seconds: float) -> float:
    """Return the least processor time of several calls, in us: on a busy machine the longer one waits more often."""
    call()
    best, until, turns = float("inf"), time.perf_counter() + seconds, 0
    while turns < _REPEATS or time.perf_counter() < until:
        started = time.process_time_ns()
        call()
        best = min(best, time.process_time_ns() - started)
        turns += 1
    return best / 1e3


def _planes(toy: Toy) -> Planes:
    """Occupancy and squared error of a map with wrong bins, beside what it should be."""
    rng = np.random.default_rng(1)
    contents = toy.draw(rng, exposure=1.0).contents.copy()
    wrong = rng.random(contents.shape) < _FAULTY
    contents[wrong] += rng.choice([-_SPREADS, _SPREADS], contents.shape)[wrong] * toy.spread[wrong]
    occupancy = contents / contents.max()
    return occupancy, (occupancy - toy.rate / contents.max()) ** 2


def members_by_sklearn(mode: str, occupancy: np.ndarray, error: np.ndarray, eps: float, min_samples: int) -> np.ndarray:
    """Members of each bin's cluster as a user of scikit-learn would count them: one fit for each strip."""
    if mode == "global":
        return _count(occupancy, error, eps, min_samples)
    members = np.zeros(occupancy.shape, dtype=int)
    reach = 1 if mode == "zonewise" else 0
    for x in range(len(occupancy)):
        if occupancy[x].any():
            first = max(0, x - reach)
            zone = slice(first, x + reach + 1)
            members[x] = _count(occupancy[zone], error[zone], eps, min_samples)[x - first]
    return members


def _count(occupancy: np.ndarray, error: np.ndarray, eps: float, min_samples: int) -> np.ndarray:
    points = np.stack([_scaled(occupancy), _scaled(error)], axis=1)
    labels = DBSCAN(eps=eps, min_samples=min_samples, algorithm="kd_tree").fit(points).labels_
    sizes = np.bincount(labels + 1)
    if sizes[0] == 0 and len(sizes) == 2:
        return np.zeros(occupancy.shape, dtype=int)
    return np.where(labels < 0, -1, sizes[labels + 1]).reshape(occupancy.shape)


def _scaled(values: np.ndarray) -> np.ndarray:
    flat = values.ravel()
    span = np.ptp(flat)
    return (flat - flat.min()) / span if span > 0 else flat


CLOUDS: dict[str, tuple[Callable[[np.random.Generator, int], np.ndarray], float, int]] = {
    "uniform, eps 0.001, min_samples 5": (lambda rng, n: rng.random((n, 2)), 0.001, 5),
    "ten blobs, eps 0.01, min_samples 10": (
        lambda rng, n: rng.normal(rng.integers(0, 10, (n, 1)), 0.3, (n, 2)),
        0.01,
        10,
    ),
    "all in one place, min_samples 5": (lambda rng, n: np.zeros((n, 2)), 0.1, 5),
}
"""Points, eps and min_samples."""
QUADRATIC = {"all in one place, min_samples 5"}
"""Where scikit-learn would list every pair."""


def points(spec: dict[str, Any]) -> dict[str, Any]:
    """Cluster one cloud by one library; processor time in s, and by how much resident memory rose at most, MB."""
    make, eps, min_samples = CLOUDS[spec["cloud"]]
    cloud = make(np.random.default_rng(1), int(spec["points"]))
    by: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "numba": lambda some: cluster(some, eps, min_samples),
        "sklearn": lambda some: DBSCAN(eps=eps, min_samples=min_samples, algorithm="kd_tree").fit(some).labels_,
    }
    run = by[spec["by"]]
    run(cloud[:100])
    before = psutil.Process().memory_info().rss
    started = time.process_time()
    labels = run(cloud)
    took = time.process_time() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {
        "s": took,
        "peak_mb": max(0.0, peak - before) / _MB,
        "clusters": int(labels.max()) + 1,
        "noise": int((labels < 0).sum()),
    }


def tables(found: dict[str, Any]) -> list[Table]:
    """Return the tables of `maps` and `points`, as `measured` gathers them."""
    modes = Table(title="DBSCAN of one 99 x 65 map, processor time, best of several", title_justify="left")
    modes.add_column("")
    for name in (*(f"{mode}, us" for mode in MODES), "all, us", "scikit-learn, ms", "ratio"):
        modes.add_column(name, justify="right")
    for name, one in found["maps"].items():
        ours, theirs = one["numba_us"], one["sklearn_us"]
        modes.add_row(
            name,
            *(f"{ours[mode]:.0f}" for mode in MODES),
            f"{sum(ours.values()):.0f}",
            f"{sum(theirs.values()) / 1000:.1f}",
            f"{one['ratio']:.0f}",
        )
    clouds = Table(title=f"DBSCAN of {found['number']:,} points, processor time", title_justify="left")
    clouds.add_column("")
    for name in ("s", "peak MB", "scikit-learn, s", "its peak MB", "ratio", "clusters", "noise"):
        clouds.add_column(name, justify="right")
    for name, by in found["points"].items():
        ours, other = by["numba"], by.get("sklearn")
        clouds.add_row(
            name,
            f"{ours['s']:.2f}",
            f"{ours['peak_mb']:.0f}",
            *(
                (f"{other['s']:.1f}", f"{other['peak_mb']:.0f}", f"{other['s'] / ours['s']:.0f}")
                if other
                else ["-"] * 3
            ),
            f"{ours['clusters']:,}",
            f"{ours['noise']:,}",
        )
    return [modes, clouds]
