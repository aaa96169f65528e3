"""Calibration of thesis B's clustering for one histogram type (ATLAS 2022, section 4.4; there about six hours).

Generated faults are put into good maps; ``eps_threshold`` is scanned, the area under the ROC curve over ``minpts`` is
the figure of merit, and ``minpts`` follows from the Bayes decision rule. The thesis searches at random in "well
performing" ranges that it does not give; here a grid over five decades, the same for every type, is refined around
its best point. All three modes are tried unless one is asked for. The thesis calibrates and reports on the same
histogram; here the calibrated values can be tried on other runs (`auc_by_run`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from monitor.detect.base import Expected, Settings
from monitor.detect.dbscan import MODES, DbscanDetector
from monitor.detect.geometry import BoolArray
from monitor.errors import HistwatchError
from monitor.infer import Predictor
from monitor.learn.faults import SHARE, SIGMAS, inject_into, map_sigma
from monitor.learn.reference import learn_reference
from monitor.learn.thesis_b.roc import Costs, Roc, choose_minpts, roc
from monitor.snapshot import AnyArray, FloatArray
from monitor.window import Interval

EPS_GRID = tuple(float(e) for e in np.geomspace(1e-5, 0.3, 19))
"""First values of eps_threshold that are tried, in units of the scaled range."""
REFINEMENTS = 2
"""Rounds that halve the (logarithmic) step around the best value."""
AS_GOOD = 0.002
"""Differences of the AUC that do not count."""

FaultyInterval = tuple[Interval, BoolArray]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Calibration:
    """What the `dbscan` detector should use for one type."""

    eps_threshold: float
    minpts: int
    mode: str
    auc: float
    """Mean over the maps that it was calibrated on."""
    curve: Roc
    """Of all bins of those maps."""
    scanned: tuple[tuple[str, float, float], ...]
    """Mode, eps_threshold and AUC of every point that was tried."""

    @property
    def options(self) -> dict[str, object]:
        """The detector's options, as configuration takes them."""
        return {"mode": self.mode, "eps_threshold": self.eps_threshold, "minpts": self.minpts}


def calibrate_type(
    intervals: Sequence[Interval],
    expected: Expected | None = None,
    *,
    seed: int = 0,
    sigma: FloatArray | None = None,
    sigmas: tuple[float, float] = SIGMAS,
    share: float = SHARE,
    modes: Sequence[str] = MODES,
    eps_grid: Sequence[float] = EPS_GRID,
    maps: int = 12,
    costs: Costs | None = None,
    outlier_share: float = SHARE,
) -> Calibration:
    """Return the calibrated eps_threshold, minpts and mode for good intervals of one type.

    The same arguments give the same calibration.

    Parameters
    ----------
    intervals
        Good ones, of one type.
    expected
        What the detector compares with; default: the reference learned of the intervals.
    seed
        Of the generated faults.
    sigma
        What a fault's intensity of 1 adds. Shape: the histogram's. Default: the spread of each map (`map_sigma`), as
        in the thesis.
    sigmas, share
        Of the faults, see `monitor.learn.faults.inject`.
    modes
        Which to try.
    eps_grid
        Values to start from, rising.
    maps
        How many maps with faults to make; intervals are used in turn.
    costs, outlier_share
        What minpts is chosen for, see `choose_minpts`; by default as many faults as are generated.

    Raises
    ------
    HistwatchError
        If there are no intervals with content or faults cannot be put into them.
    """
    filled = [i for i in intervals if i.contents.any()]
    if not filled:
        raise HistwatchError("no intervals with content to calibrate on")
    if expected is None:
        expected = Expected(learn_reference(filled, filled[0].key).reference)
    faulty = make_faulty([filled[n % len(filled)] for n in range(maps)], seed, sigma=sigma, sigmas=sigmas, share=share)
    return scan(faulty, expected, modes=modes, eps_grid=eps_grid, costs=costs, outlier_share=outlier_share)


def make_faulty(
    intervals: Sequence[Interval],
    seed: int,
    *,
    sigma: FloatArray | None = None,
    sigmas: tuple[float, float] = SIGMAS,
    share: float = SHARE,
) -> list[FaultyInterval]:
    """Put faults into intervals, each with its own chance; arguments: see `calibrate_type`."""
    return [
        inject_into(
            interval,
            map_sigma(interval.contents) if sigma is None else sigma,
            np.random.default_rng([seed, n]),
            sigmas=sigmas,
            share=share,
        )
        for n, interval in enumerate(intervals)
    ]


def scan(
    faulty: Sequence[FaultyInterval],
    expected: Expected,
    *,
    modes: Sequence[str] = MODES,
    eps_grid: Sequence[float] = EPS_GRID,
    costs: Costs | None = None,
    outlier_share: float = SHARE,
) -> Calibration:
    """Return the best mode and eps_threshold on faulty intervals; arguments: see `calibrate_type`."""
    if not modes or not eps_grid:
        raise ValueError("nothing to scan: give at least one mode and one eps_threshold")
    if expected.predictor is not None:
        expected = replace(expected, predictor=_Remembered(expected.predictor))
    tried: dict[tuple[str, float], float] = {}

    def merit(mode: str, eps: float) -> float:
        if (mode, eps) not in tried:
            scorer = scorer_of({"mode": mode, "eps_threshold": eps}, expected)
            tried[mode, eps] = float(np.mean([roc(scorer(interval), truth).auc for interval, truth in faulty]))
        return tried[mode, eps]

    for mode in modes:
        best = max(eps_grid, key=lambda eps: merit(mode, eps))
        step = (eps_grid[-1] / eps_grid[0]) ** (1.0 / max(1, len(eps_grid) - 1))
        for _ in range(REFINEMENTS if step > 1.0 else 0):
            step = float(np.sqrt(step))
            best = max((best, best / step, best * step), key=lambda eps: merit(mode, eps))
    mode, eps = _middle_of_the_best(tried)
    scorer = scorer_of({"mode": mode, "eps_threshold": eps}, expected)
    curve = pooled([scorer(interval) for interval, _ in faulty], [truth for _, truth in faulty])
    return Calibration(
        eps_threshold=eps,
        minpts=choose_minpts(curve, outlier_share, costs),
        mode=mode,
        auc=tried[mode, eps],
        curve=curve,
        scanned=tuple((m, e, a) for (m, e), a in tried.items()),
    )


def _middle_of_the_best(tried: Mapping[tuple[str, float], float]) -> tuple[str, float]:
    """Return the mode that reaches most, and the eps_threshold amid those that reach as much to all intents.

    Where many do, those at the edge are a step away from clusters that fall apart, or into one, on the next map.
    """
    mode, _ = max(tried, key=lambda point: tried[point])
    best = max(tried.values())
    as_good = [eps for (own, eps), auc in tried.items() if own == mode and auc >= best - AS_GOOD]
    middle = np.sqrt(min(as_good) * max(as_good))
    return mode, min(as_good, key=lambda eps: abs(float(np.log(eps / middle))))


class _Remembered:
    """A predictor that reconstructs each map once: the scan shows it the same maps again and again."""

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor
        self._known: dict[bytes, AnyArray] = {}

    def predict(self, maps: AnyArray) -> AnyArray:
        key = hashlib.sha256(maps.tobytes()).digest()
        if key not in self._known:
            self._known[key] = self._predictor.predict(maps)
        return self._known[key]


def scorer_of(options: dict[str, object], expected: Expected) -> Callable[[Interval], FloatArray]:
    """Return what scores the bins of an interval with these options of the `dbscan` detector."""
    detector = DbscanDetector(Settings(options=options))
    return lambda interval: detector.bin_scores(interval, expected)


def pooled(scores: Sequence[FloatArray], truths: Sequence[BoolArray]) -> Roc:
    """Return one curve of the bins of several maps."""
    return roc(np.concatenate([s.ravel() for s in scores]), np.concatenate([t.ravel() for t in truths]))


def auc_by_run(calibration: Calibration, faulty: Sequence[FaultyInterval], expected: Expected) -> dict[int, float]:
    """Return the AUC of each run at the calibrated values (the thesis's figures 76 to 78): its bins pooled."""
    scorer = scorer_of(calibration.options, expected)
    runs: dict[int, list[FaultyInterval]] = {}
    for interval, truth in faulty:
        runs.setdefault(interval.run, []).append((interval, truth))
    return {run: pooled([scorer(i) for i, _ in own], [t for _, t in own]).auc for run, own in runs.items()}
