"""Whether an autoencoder pays: how much better modes predict maps that they were not learned from.

A map that moves as a whole, with the luminosity or the beam spot, moves along a few smooth modes. Modes that were
learned from noise, or tested on what they were learned from, make good maps alarm; so everything here is said of
held-out maps, and a rank is taken only where it removes a fair share of their residual variance.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from monitor.learn.blas import one_thread
from monitor.snapshot import AnyArray, FloatArray

BOX = 9
"""Side of the smoothing box of the modes, bins: a fault is smaller, or sharper."""
FOLDS = 6
MOST = 4
"""Largest rank that is tried: more was never better."""
FEWEST_MAPS = 10
PAYS = 0.05
"""Least share of the residual variance that a rank must remove."""


def fit_modes(maps: FloatArray, rate: FloatArray, live: np.ndarray, rank: int) -> tuple[FloatArray, FloatArray]:
    """Return (modes, scale): orthonormal smoothed modes, and the scale that maps are divided by.

    Parameters
    ----------
    maps
        Contents per unit exposure. Shape: (maps, *shape).
    rate
        Their expectation. Shape: `shape`. `live` marks the bins to use.
    rank
        Number of modes.

    Returns
    -------
    Shapes: (rank, bins) and (bins,); one mode of zeros where there is none to be found.
    """
    shape = rate.shape
    magnitude = np.abs(rate.ravel())
    use = live.ravel() & (magnitude > 0)
    scale = np.where(use, np.sqrt(np.where(use, magnitude, 1.0)), 1.0)
    centred = np.where(use, (maps.reshape(len(maps), -1) - rate.ravel()) / scale, 0.0)
    rank = min(rank, len(maps) - 1)
    if rank < 1:
        return np.zeros((1, use.size)), scale
    with one_thread():
        _, strengths, vectors = np.linalg.svd(centred, full_matrices=False)
    # Maps that do not differ have no modes: their singular vectors are any.
    rank = min(rank, int((strengths > 1e-7 * np.sqrt(magnitude[use].sum())).sum()))
    if rank < 1:
        return np.zeros((1, use.size)), scale
    box = BOX if len(shape) == 1 else (BOX, BOX)
    coverage = ndimage.uniform_filter(use.reshape(shape).astype(np.float64), box, mode="constant")
    # Smooth the relative change, not the contents: those fall off at the edges of what is filled.
    weight = np.where(use, scale / np.where(use, magnitude, 1.0), 0.0)
    smooth = []
    for vector in vectors[:rank]:
        relative = ndimage.uniform_filter((vector * weight).reshape(shape), box, mode="constant")
        relative = relative / np.maximum(coverage, 1e-9)
        smooth.append(np.where(use, relative.ravel() / np.where(weight > 0, weight, 1.0), 0.0))
    with one_thread():
        modes, _ = np.linalg.qr(np.array(smooth).T)
    modes = modes.T
    # The sign of a singular vector is arbitrary: fix it, so that the same input gives the same file.
    modes *= np.sign(modes[np.arange(len(modes)), np.abs(modes).argmax(axis=1)])[:, None]
    return np.ascontiguousarray(modes), scale


class LowRank:
    """A linear autoencoder in numpy: what `monitor.learn.autoencoder` writes as ONNX.

    Parameters
    ----------
    rate
        Expected content per unit exposure. Shape: the histogram's.
    modes, scale
        See `fit_modes`.
    """

    def __init__(self, rate: FloatArray, modes: FloatArray, scale: FloatArray) -> None:
        self._rate, self._modes, self._scale = rate, modes, scale

    def predict(self, maps: AnyArray) -> AnyArray:
        """Reconstruct maps per unit exposure, float32 as of a model. Shape: (maps, *shape), in and out."""
        return self.reconstruct(maps).astype(np.float32)

    def reconstruct(self, maps: AnyArray) -> FloatArray:
        """Reconstruct maps per unit exposure, float64. Shape: (maps, *shape), in and out."""
        centred = ((maps - self._rate) / self._scale.reshape(self._rate.shape)).reshape(len(maps), -1)
        with one_thread():
            decoded = (centred @ self._modes.T @ self._modes) * self._scale
        reconstructed: FloatArray = self._rate + decoded.reshape(maps.shape)
        return reconstructed


def folds_of(groups: Sequence[int]) -> np.ndarray:
    """Return the fold of every map; maps of one group, a run, are in one fold. Shape: (maps,)."""
    known = {group: n % FOLDS for n, group in enumerate(dict.fromkeys(groups))}
    return np.array([known[group] for group in groups])


def held_out(maps: FloatArray, rate: FloatArray, live: np.ndarray, rank: int, folds: np.ndarray) -> FloatArray:
    """Predict every map by modes of the other folds. Shapes of `maps` and the result: (maps, *shape)."""
    predicted = np.repeat(rate[None], len(maps), axis=0).astype(np.float64)
    if rank < 1 or np.unique(folds).size < 2:
        return predicted
    for fold in np.unique(folds):
        out = folds == fold
        predicted[out] = LowRank(rate, *fit_modes(maps[~out], rate, live, rank)).reconstruct(maps[out])
    return predicted


def choose_rank(maps: FloatArray, rate: FloatArray, live: np.ndarray, folds: np.ndarray) -> int:
    """Return the smallest rank that removes nearly all that any removes; 0 where none pays.

    Arguments as in `held_out`.
    """
    if len(maps) < FEWEST_MAPS or np.unique(folds).size < 3 or not live.any():
        return 0
    scale = np.sqrt(np.where(live, np.maximum(np.abs(rate), 1e-300), 1.0))
    residuals = []
    for rank in range(min(MOST, len(maps) // 5) + 1):
        left = np.where(live, (maps - held_out(maps, rate, live, rank, folds)) / scale, 0.0)
        residuals.append(float((left**2).mean()))
    if residuals[0] <= 0 or min(residuals) > (1.0 - PAYS) * residuals[0]:
        return 0
    # One mode more must remove another share, or it models noise.
    best = 0
    for rank in range(1, len(residuals)):
        if residuals[rank] < residuals[best] - PAYS * residuals[0] * 0.2:
            best = rank
    return best
