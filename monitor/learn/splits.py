"""Runs dealt out to training, calibration and test: a run is in one of them only.

All lumisections of a run share its beam and its detector, so a split within runs would let a model see what it is
tested on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from typing import Literal, get_args

from monitor.errors import ConfigurationError

Split = Literal["train", "calibrate", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)


def parse_fractions(train: float, calibrate: float, test: float) -> dict[Split, float]:
    """Return the shares of the splits.

    Raises
    ------
    ConfigurationError
        If one is negative, nothing is left to train on, or they do not sum to 1.
    """
    shares: dict[Split, float] = {"train": train, "calibrate": calibrate, "test": test}
    said = ", ".join(f"{name} {share:g}" for name, share in shares.items())
    if min(shares.values()) < 0 or train <= 0 or abs(sum(shares.values()) - 1.0) > 1e-6:
        raise ConfigurationError(f"splits {said}: shares must not be negative, train above 0, and their sum 1")
    return shares


def split_runs(runs: Collection[int], shares: Mapping[Split, float], seed: int) -> tuple[dict[int, Split], str]:
    """Deal out runs by a hash of seed and number, so that a run stays where it is when others are added.

    Where that leaves a wanted split without a run, the runs in the order of their hashes are cut by number instead,
    each wanted split getting at least one; where there are fewer runs than wanted splits, all are for training.

    Parameters
    ----------
    shares
        See `parse_fractions`.

    Returns
    -------
    The split of every run, and what a person must know of it; empty if nothing.
    """
    wanted = [split for split in SPLITS if shares[split] > 0]
    places = {run: _place(run, seed) for run in sorted(set(runs))}
    if len(places) < len(wanted):
        return dict.fromkeys(places, "train"), (
            f"{len(places)} run{'s' if len(places) != 1 else ''} cannot be split into {', '.join(wanted)}: "
            "all are for training, and calibration must go crosswise"
        )
    bounds, total = [], 0.0
    for split in wanted:
        total += shares[split]
        bounds.append(total)
    # Shares that sum to 1 but for rounding must not leave a run out.
    bounds[-1] = 1.0
    dealt = {
        run: next(split for split, bound in zip(wanted, bounds, strict=True) if place < bound)
        for run, place in places.items()
    }
    if set(dealt.values()) == set(wanted):
        return dealt, ""
    ordered = sorted(places, key=lambda run: (places[run], run))
    cuts = [0]
    for number, bound in enumerate(bounds):
        still_to_come = len(wanted) - number - 1
        cuts.append(min(len(ordered) - still_to_come, max(cuts[-1] + 1, round(bound * len(ordered)))))
    dealt = {run: split for number, split in enumerate(wanted) for run in ordered[cuts[number] : cuts[number + 1]]}
    return dealt, f"{len(ordered)} runs are few: dealt out by number, so that every split has one"


def _place(run: int, seed: int) -> float:
    """Return a number in [0, 1) that depends on run and seed only."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{run}".encode()).digest()[:6]) / 2.0**48
