"""What the study of thesis A spends, and what it finds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from monitor.learn.thesis_a.data import Labels, Place
from monitor.learn.thesis_a.figures import Stated
from monitor.learn.thesis_a.training import BATCH, Epoch, Singles
from monitor.snapshot import FloatArray

Recipe = Literal["thesis", "ours"]
_BOOTSTRAP = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """How much is spent."""

    train: int = 600
    """Maps of each class."""
    validate: int = 100
    test: int = 400
    epochs: int = 20
    epochs_ours: int = 30
    autoencoder: int = 200
    """Good maps."""
    epochs_autoencoder: int = 16

    def scaled(self, scale: float) -> Budget:
        """Return the budget with as many times the maps; below 1 with fewer epochs too."""
        less = min(1.0, scale)
        return Budget(
            train=max(BATCH, round(self.train * scale)),
            validate=max(10, round(self.validate * scale)),
            test=max(30, round(self.test * scale)),
            epochs=max(2, round(self.epochs * less)),
            epochs_ours=max(2, round(self.epochs_ours * less)),
            autoencoder=max(BATCH, round(self.autoencoder * scale)),
            epochs_autoencoder=max(2, round(self.epochs_autoencoder * less)),
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Row:
    """One model on one fault, measured on held-out maps."""

    model: str
    recipe: Recipe
    size: int
    """Bins that the fault is wide and high."""
    place: Place
    labels: tuple[str, ...]
    truth: Labels
    """Class of each map. Shape: (maps,)."""
    found: FloatArray
    """Probability of each class. Shape: (maps, classes)."""
    history: tuple[Epoch, ...] = ()
    """Learning curves; empty of the models of scikit-learn."""
    stated: Stated | None = None
    """What the thesis says of it."""

    @property
    def fault(self) -> str:
        """Size of the fault, as the thesis writes it."""
        return f"{self.size} x {self.size}"

    @property
    def accuracy(self) -> float:
        """Share of the maps named right."""
        return float((self.found.argmax(axis=1) == self.truth).mean())

    def accuracy_interval(self, seed: int = 0) -> tuple[float, float]:
        """Return the central 95 % of the accuracy, by bootstrap over the maps."""
        right = self.found.argmax(axis=1) == self.truth
        drawn = np.random.default_rng(seed).binomial(len(right), right.mean(), _BOOTSTRAP) / len(right)
        return float(np.quantile(drawn, 0.025)), float(np.quantile(drawn, 0.975))

    @property
    def confusion(self) -> NDArray[np.int64]:
        """Number of maps by true class (rows) and by class they were given."""
        classes = len(self.labels)
        return np.bincount(classes * self.truth + self.found.argmax(axis=1), minlength=classes**2).reshape(
            classes, classes
        )

    @property
    def auc_by_label(self) -> dict[str, float]:
        """Area under each class's ROC curve, that class against the rest."""
        from sklearn.metrics import roc_auc_score

        return {name: float(roc_auc_score(self.truth == n, self.found[:, n])) for n, name in enumerate(self.labels)}

    @property
    def auc(self) -> float:
        """Area under the curve of bad against good maps."""
        return self.auc_by_label["good"]

    @property
    def n_good(self) -> int:
        """Good maps that were judged."""
        return int((self.truth == 0).sum())

    @property
    def n_bad(self) -> int:
        """Maps with a fault that were judged."""
        return int((self.truth != 0).sum())

    def curve(self, label: int) -> tuple[FloatArray, FloatArray]:
        """Return false and true positive rate of a class against the rest."""
        from sklearn.metrics import roc_curve

        false, true, _ = roc_curve(self.truth == label, self.found[:, label])
        return false, true


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reconstruction:
    """The autoencoder on maps with a fault of one size, at random places."""

    size: int
    errors: Mapping[str, FloatArray]
    """Mean squared error of each held-out map, by class."""
    examples: Mapping[str, tuple[Singles, FloatArray]]
    """A map of each class and its reconstruction. Shape: (x, y)."""
    history: tuple[Epoch, ...]

    def auc(self, label: str) -> float:
        """Return how well the error tells a class from good maps: 1 is always, 0.5 is not at all."""
        from sklearn.metrics import roc_auc_score

        good, bad = self.errors["good"], self.errors[label]
        truth = np.repeat([0, 1], [len(good), len(bad)])
        return float(roc_auc_score(truth, np.concatenate([good, bad])))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StudyResult:
    """Everything that was measured."""

    seed: int
    scale: float
    budget: Budget
    rows: tuple[Row, ...]
    reconstructions: tuple[Reconstruction, ...]
    examples: Mapping[int, Mapping[str, FloatArray]] = field(default_factory=dict)
    """A map of each class, by size of the fault. Shape: (x, y)."""
