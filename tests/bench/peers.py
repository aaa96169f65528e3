"""Plain NumPy or library code for the same purpose as a stage, to time beside it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import numpy as np
from scipy import ndimage
from sklearn.cluster import DBSCAN

from monitor.decode import histogram_pb2 as pb
from monitor.infer import windows_of
from tests.bench.workload import SHAPE


def parse_json(text: bytes) -> Any:
    """Parse JSON, and make an array of the bins of the one histogram in it."""
    return np.array(json.loads(text)["fArray"], dtype=np.float64).reshape(SHAPE[1] + 2, SHAPE[0] + 2).T[1:-1, 1:-1]


def parse_protobuf(value: bytes) -> np.ndarray:
    """Parse the native message and view its bins, without a check of anything."""
    return np.frombuffer(pb.Histogram.FromString(value).contents.data, dtype="<f4").reshape(SHAPE)


def differences(updates: Iterable[tuple[str, np.ndarray]]) -> float:
    """Subtract the last state of each map, look for a reset, add up."""
    last: dict[str, np.ndarray] = {}
    total = 0.0
    for path, contents in updates:
        now = contents.astype(np.float64)
        before = last.get(path)
        found = now if before is None else now - before
        if (found < 0).any():
            found = now
        total += float(found.sum())
        last[path] = now
    return total


def median_of_ratios(maps: np.ndarray, rate: np.ndarray) -> np.ndarray:
    """Scale of each map. Shapes: (maps, bins), (bins,)."""
    return np.median(maps / rate, axis=1)


def largest_pull(maps: np.ndarray, rate: np.ndarray, systematic: np.ndarray, exposure: np.ndarray) -> np.ndarray:
    """Largest |pull| of each map's bins. Shapes: (maps, bins), (bins,), (bins,), (maps,)."""
    mu = exposure[:, None] * rate
    return np.abs((maps - mu) / np.sqrt(mu + (systematic * mu) ** 2)).max(axis=1)


def filtered_pulls(maps: np.ndarray, rate: np.ndarray, systematic: np.ndarray, exposure: np.ndarray) -> np.ndarray:
    """Largest |pull| of the same windows in each map, as a user of SciPy would write it."""
    mu = exposure[:, None] * rate
    deviation = (maps - mu).reshape(-1, *SHAPE)
    variance = (mu + (systematic * mu) ** 2).reshape(-1, *SHAPE)
    best = np.abs(deviation / np.sqrt(variance)).max(axis=(1, 2))
    for size in ((1, *map(int, pair)) for pair in windows_of(SHAPE).sizes[1:]):
        area = size[1] * size[2]
        d, v = (ndimage.uniform_filter(plane, size, mode="constant") * area for plane in (deviation, variance))
        best = np.maximum(best, np.abs(d / np.sqrt(np.maximum(v, 1e-9))).max(axis=(1, 2)))
    return best


def cluster(occupancy: np.ndarray, error: np.ndarray, eps: float) -> np.ndarray:
    """Thesis B's clustering by scikit-learn alone; both inputs are scaled to 0..1."""
    points = np.stack([occupancy.ravel(), error.ravel()], axis=1)
    return DBSCAN(eps=eps, min_samples=1, algorithm="ball_tree").fit_predict(points)
