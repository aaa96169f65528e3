"""Thesis B's method on one simulated type with its own faults: train, calibrate, measure (ATLAS 2022, section 4.4).

The thesis reports the area under the ROC curve over ``minpts`` of one histogram of each type, calibrated on that very
histogram: `THESIS_AUC`. Here maps and faults are new ones after the calibration.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from monitor.detect.base import Expected
from monitor.detect.dbscan import MODES
from monitor.detect.geometry import BoolArray
from monitor.infer import load_model
from monitor.learn.faults import SHARE, SIGMAS
from monitor.learn.reference import learn_reference
from monitor.learn.thesis_b.calibrate import Calibration, calibrate_type, make_faulty, pooled, scorer_of
from monitor.learn.thesis_b.coordinate import OnEpoch, Recipe, train
from monitor.learn.thesis_b.export import card_of, to_onnx
from monitor.learn.thesis_b.roc import roc
from monitor.learn.toys import Toy
from monitor.snapshot import FloatArray
from monitor.window import Interval

THESIS_AUC = (
    0.879, 0.841, 0.88, 0.885, 0.94, 0.9, 0.937, 0.945, 0.899, 0.932, 0.961, 0.927, 0.972, 0.982, 0.978, 0.864, 0.968,
    0.968,
)  # fmt: skip
"""Of histogram types 0 to 17 (figures 58 to 75; the second "type 15", figure 74, is taken to be type 16)."""
SPREADS = ("map", "bin")
EXPECTATIONS = ("coordinate", "reference")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ThesisBResult:
    """What thesis B's method reaches on one type."""

    auc: float
    """Mean over the faulty maps, each with a curve of its own as in the thesis."""
    eps_threshold: float
    minpts: int
    mode: str
    found: float
    """Share of faulty bins that are called so at the calibrated minpts."""
    false: float
    """Share of the good bins of faulty maps that are called faulty at the calibrated minpts."""
    false_in_good: float
    """The same in maps without faults."""
    train_seconds: float
    """Training and export."""
    calibrate_seconds: float
    scores: tuple[FloatArray, ...]
    """Of the bins of each faulty map. Shape: the histogram's."""
    truths: tuple[BoolArray, ...]
    """Faulty bins of each faulty map. Shape: the histogram's."""
    good_scores: tuple[FloatArray, ...]
    """Of the bins of each good map. Shape: the histogram's."""
    calibration: Calibration

    @property
    def seconds(self) -> float:
        """Training, export and calibration."""
        return self.train_seconds + self.calibrate_seconds

    @property
    def auc_of_maps(self) -> tuple[float, ...]:
        """Of each faulty map."""
        return tuple(roc(s, t).auc for s, t in zip(self.scores, self.truths, strict=True))

    @property
    def auc_with_good_maps(self) -> float:
        """Of all bins of faulty and good maps in one curve: what one threshold for all of them can do."""
        none = [np.zeros(s.shape, dtype=np.bool_) for s in self.good_scores]
        return pooled([*self.scores, *self.good_scores], [*self.truths, *none]).auc


def evaluate_thesis_b(
    toy: Toy,
    *,
    train_seed: int,
    references: int,
    n_good: int,
    n_bad: int,
    sigmas: tuple[float, float] = SIGMAS,
    share: float = SHARE,
    spread: str = "map",
    expectation: str = "coordinate",
    recipe: Recipe | None = None,
    modes: Sequence[str] = MODES,
    on_epoch: OnEpoch | None = None,
) -> ThesisBResult:
    """Train, calibrate and measure; everything but the seconds follows from the arguments.

    Parameters
    ----------
    toy
        The type.
    train_seed
        Of references, training and faults. Maps to measure on come from `train_seed` + 1.
    references
        Good intervals to train and calibrate on.
    n_good, n_bad
        Other good intervals to measure on, as they are and with faults.
    sigmas, share
        Of the faults, see `monitor.learn.faults.inject`.
    spread
        What sigma is: ``map``, the spread of all bins of the map, as in the thesis, or ``bin``, the spread of good
        contents of each bin.
    expectation
        What contents are compared with: ``coordinate``, the thesis's autoencoder, by way of its ONNX file; or
        ``reference``, the learned reference, as the monitor uses the detector where there is no model.
    recipe, on_epoch
        Of the training, see `monitor.learn.thesis_b.coordinate.train`.
    modes
        Which to try.

    Raises
    ------
    HistwatchError
        If there is nothing to learn from or a package is missing.
    """
    if spread not in SPREADS or expectation not in EXPECTATIONS or n_bad < 1:
        raise ValueError(
            f"spread '{spread}' must be one of {', '.join(SPREADS)}; expectation '{expectation}' one of "
            f"{', '.join(EXPECTATIONS)}; n_bad {n_bad} at least 1"
        )
    sigma = toy.spread if spread == "bin" else None
    good = toy.draw_many(references, train_seed)
    started = time.perf_counter()
    expected = _expected(good, expectation, recipe, train_seed, on_epoch)
    trained = time.perf_counter()
    calibration = calibrate_type(
        good, expected, seed=train_seed, sigma=sigma, sigmas=sigmas, share=share, modes=modes, outlier_share=share
    )
    calibrated = time.perf_counter()
    others = toy.draw_many(n_bad + n_good, train_seed + 1)
    faulty = make_faulty(others[:n_bad], train_seed + 1, sigma=sigma, sigmas=sigmas, share=share)
    scorer = scorer_of(calibration.options, expected)
    scores = tuple(scorer(interval) for interval, _ in faulty)
    truths = tuple(truth for _, truth in faulty)
    good_scores = tuple(scorer(interval) for interval in others[n_bad:])
    return ThesisBResult(
        auc=float(np.mean([roc(s, t).auc for s, t in zip(scores, truths, strict=True)])),
        eps_threshold=calibration.eps_threshold,
        minpts=calibration.minpts,
        mode=calibration.mode,
        found=_share_called(scores, truths, calibration.minpts),
        false=_share_called(scores, tuple(~t for t in truths), calibration.minpts),
        false_in_good=_share_called(
            good_scores, tuple(np.ones(s.shape, dtype=np.bool_) for s in good_scores), calibration.minpts
        ),
        train_seconds=trained - started,
        calibrate_seconds=calibrated - trained,
        scores=scores,
        truths=truths,
        good_scores=good_scores,
        calibration=calibration,
    )


def _expected(
    good: Sequence[Interval], expectation: str, recipe: Recipe | None, seed: int, on_epoch: OnEpoch | None
) -> Expected:
    name = good[0].key
    if expectation == "reference":
        return Expected(learn_reference(good, name).reference)
    trained = train(good, recipe, seed=seed, on_epoch=on_epoch)
    model = load_model(to_onnx(trained, card_of(trained, name="coordinate", version="1")), name)
    return Expected(model.reference, model, model.card.normalisation)


def _share_called(scores: tuple[FloatArray, ...], bins: tuple[BoolArray, ...], minpts: int) -> float:
    """Return the share of the marked bins that are anomalous at minpts; 0 without any bins."""
    called = [s[b] >= (1.0 / minpts if minpts else np.nextafter(1.0, 2.0)) for s, b in zip(scores, bins, strict=True)]
    joined = np.concatenate(called) if called else np.zeros(0, dtype=np.bool_)
    return float(joined.mean()) if joined.size else 0.0
