"""Exposure: by which factor a map must be divided to be compared with its reference.

The total will not do: a dead quarter of the map moves it by 25 %, a single hot bin by anything. The exposure is
the scale on which most of the expected content agrees. Five quantiles of the ratios of blocks of bins start it;
each is refined by likelihood ratio (sum of contents over sum of rates) over the blocks within three standard
deviations; the fixed point that holds the most expected content wins. The search runs on a fixed sample of the
blocks, the last rounds on all of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitor.kernel import REORDERED, kernel
from monitor.snapshot import FloatArray

MIN_BLOCK_CONTENT = 25.0
"""Median expected content that a block should reach, entries."""
BLOCK_SYSTEMATIC = 0.03
"""Relative scatter of a block that is not statistics."""
_SAMPLE = 1024
_SORTED = 256
_STARTS = np.array([0.5, 0.15, 0.35, 0.65, 0.85])
_SEARCH_ROUNDS = 12
_FINAL_ROUNDS = 2
_UNDISPUTED = 0.9
_LIVELY = 0.1
"""Share of the expected content that must agree on a scale for silent bins to be dead rather than the map sparse."""
_CLIP, _WIDE_CLIP = 3.0, 6.0
_CHANCE = 0.01
"""Share of the expected content that lies beyond `_CLIP` by chance."""
_SATURATED = 0.002
_MANY = 0.05


@dataclass(frozen=True, slots=True, eq=False)
class BlockGrid:
    """Which block each bin of a map belongs to, and what a block holds per unit exposure."""

    block: NDArray[np.int32]
    """Shape: (bins,). Index of the block; empty where every bin is a block of its own."""
    rate: FloatArray
    """Shape: (blocks,). Expected content per unit exposure; 0 for blocks without expectation."""
    sample: NDArray[np.int32]
    """A fair sample of the blocks with expectation. Shape: at most (1024,)."""


def block_grid(rate: FloatArray, typical_exposure: float = 1.0) -> BlockGrid:
    """Cut a map into blocks of b x b bins, b the smallest of 1, 3, 5, 7, 9 that gives enough content.

    Parameters
    ----------
    rate
        Expected content per unit exposure. Shape: (bins_x,) or (bins_x, bins_y). Bins of rate 0 are left out.
    typical_exposure
        Exposure at which blocks should hold `MIN_BLOCK_CONTENT`.
    """
    flat = rate if rate.ndim == 2 else rate.reshape(-1, 1)
    live = flat > 0
    ix, iy = np.indices(flat.shape)
    for b in (1, 3, 5, 7, 9):
        columns = -(-flat.shape[1] // b)
        index = (ix // b) * columns + iy // b
        sums = np.bincount(index.ravel(), weights=np.where(live, flat, 0.0).ravel()).astype(np.float64)
        filled = sums > 0
        if not filled.any() or b == 9 or np.median(sums[filled]) * typical_exposure >= MIN_BLOCK_CONTENT:
            break
    # The shuffle makes the sample fair. Its seed is part of the method.
    sample = np.random.default_rng(0).permutation(np.flatnonzero(filled))[:_SAMPLE].astype(np.int32)
    if b == 1:
        return BlockGrid(np.zeros(0, dtype=np.int32), sums, sample)
    # What is not expected must not count: its bins go to a block more, of rate 0.
    block = np.where(live, index, sums.size).astype(np.int32).ravel()
    return BlockGrid(block, np.append(sums, 0.0), sample)


@kernel("UniTuple(float64, 2)(float64[::1], float64[::1], float64, float64, float64)", fastmath=REORDERED)
def _agreeing(content, rate, scale, dispersion, sigmas):  # type: ignore[no-untyped-def]
    """Sum contents and rates over the blocks within some standard deviations of `scale` times their rate."""
    inside_content = 0.0
    inside_rate = 0.0
    relative = (BLOCK_SYSTEMATIC * scale) ** 2
    for b in range(rate.size):
        mu = scale * rate[b]
        deviation = content[b] - mu
        variance = dispersion * max(mu, 1.0) + relative * rate[b] * rate[b]
        weight = 1.0 if rate[b] > 0.0 and deviation * deviation <= sigmas * sigmas * variance else 0.0
        inside_content += weight * content[b]
        inside_rate += weight * rate[b]
    return inside_content, inside_rate


@kernel("float64(float64[::1], int32[::1], float64[::1], int32[::1], float64)")
def exposure_of(contents, block, rate, sample, dispersion):  # type: ignore[no-untyped-def]
    """Return the exposure of one map, see `exposures` and `BlockGrid`. Shape of `contents`: (bins,)."""
    size = sample.size
    if size == 0:
        return 0.0
    content = contents
    if block.size > 0:
        content = np.zeros(rate.size)
        for i in range(block.size):
            content[block[i]] += contents[i]
    sampled = np.empty(size)
    sampled_rate = np.empty(size)
    whole = 0.0
    for s in range(size):
        sampled[s] = content[sample[s]]
        sampled_rate[s] = rate[sample[s]]
        whole += sampled_rate[s]
    quick = min(size, _SORTED)
    ordered = np.sort(sampled[:quick] / sampled_rate[:quick])
    silent = np.searchsorted(ordered, 0.0, side="right")
    best = 0.0
    best_held = 0.0
    faint = 0.0
    faint_held = 0.0
    for number in range(_STARTS.size + 1):
        if number < _STARTS.size:
            scale = ordered[int(_STARTS[number] * (quick - 1) + 0.5)]
        elif best == 0.0 and silent < quick:
            # Most of the map is silent: dead, if what is not agrees on a scale; too sparse, if that scale falls.
            scale = ordered[(silent + quick) // 2]
        else:
            break
        held = 0.0
        for _ in range(_SEARCH_ROUNDS):
            inside_content, held = _agreeing(sampled, sampled_rate, scale, dispersion, _CLIP)
            if held == 0.0:
                break
            refined = inside_content / held
            done = abs(refined - scale) <= 1e-6 * scale
            scale = refined
            if done:
                break
        # The same fixed point from another start differs by rounding; the first one found stays.
        if scale * whole < size * dispersion:
            # Less than an entry a block: silent bins agree on that, be they dead or the map sparse.
            if scale > 0.0 and held > faint_held * (1.0 + 1e-9):
                faint_held = held
                faint = scale
        elif held > best_held * (1.0 + 1e-9):
            best_held = held
            best = scale
        # No other fixed point can hold more that matters: most maps are done here.
        if best_held >= _UNDISPUTED * whole:
            break
    if best_held < _LIVELY * whole and faint > 0.0:
        best = faint
    if best > 0.0:
        for _ in range(_FINAL_ROUNDS):
            inside_content, held = _agreeing(content, rate, best, dispersion, _CLIP)
            if held > 0.0 and inside_content > 0.0:
                best = inside_content / held
        every = 0.0
        for b in range(rate.size):
            every += rate[b]
        if held > (1.0 - _CHANCE) * every:
            # Nothing disagrees. Cutting off the tails of counts, which are not alike, would only bias the sum.
            inside_content, held = _agreeing(content, rate, best, dispersion, _WIDE_CLIP)
            best = inside_content / held
        return best
    # Its total is all there is to go by.
    inside_content = 0.0
    inside_rate = 0.0
    for b in range(rate.size):
        if rate[b] > 0.0:
            inside_content += content[b]
            inside_rate += rate[b]
    return max(0.0, inside_content / inside_rate)


def saturated_bins(rate: FloatArray) -> NDArray[np.bool_] | None:
    """Return the channels that fire in every event, if they are many enough to count events by. Shape: the rate's.

    Their content is the number of events, without any scatter: an exposure taken from all bins is no match for it.
    """
    live = rate > 0
    full: NDArray[np.bool_] = live & (rate >= (1.0 - _SATURATED) * rate.max(initial=0.0))
    return full if int(full.sum()) >= max(20.0, _MANY * int(live.sum())) else None


def count_events(contents: FloatArray, rate: FloatArray, full: NDArray[np.bool_]) -> float:
    """Return the exposure by which most saturated channels agree; 0 where most are silent. Shape of all: the map's."""
    return float(np.median(contents[full] / rate[full]))


def exposures(maps: FloatArray, grid: BlockGrid, dispersion: float = 1.0) -> FloatArray:
    """Return the exposure of every map relative to the rates of `grid`.

    Parameters
    ----------
    maps
        Contents. Shape: (maps, bins), float64.
    grid
        Blocks of the expected map.
    dispersion
        Variance over mean of the contents' pure statistics, 1 for counts.

    Returns
    -------
    Exposures, dimensionless. Shape: (maps,). That of the total where no scale finds agreement, as in a map most of
    which is empty; 0 for an empty map and where there are no rates.

    Raises
    ------
    ValueError
        If the maps do not have the grid's number of bins.
    """
    array = np.require(maps, dtype=np.float64, requirements=["C", "W"])
    bins = grid.block.size or grid.rate.size
    if array.ndim != 2 or array.shape[1] != bins:
        raise ValueError(f"expected (maps, {bins}), got shape {array.shape}")
    return np.array([exposure_of(row, grid.block, grid.rate, grid.sample, dispersion) for row in array])
