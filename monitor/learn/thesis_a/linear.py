"""The two models of scikit-learn that thesis A begins with (page 15): every bin is a feature.

The thesis names no options, so scikit-learn's defaults of 2018 are taken: logistic regression with liblinear, one class
against the rest; a multilayer perceptron of one hidden layer of 100 units with ReLU and Adam. It ends after 60 epochs
here, not 200, where its loss has not come to rest before.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from monitor.learn.thesis_a.data import Labels
from monitor.learn.thesis_a.training import Singles
from monitor.snapshot import FloatArray

LINEAR = ("logistic_regression", "multilayer_perceptron")
_EPOCHS = 60


def fit_linear(name: str, maps: Singles, labels: Labels, seed: int) -> Any:
    """Fit one of `LINEAR` to scaled maps, shape (maps, x, y); the same seed gives the same model.

    Raises
    ------
    ValueError
        If there is no such model.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier
    from sklearn.neural_network import MLPClassifier

    if name == "logistic_regression":
        model = OneVsRestClassifier(LogisticRegression(solver="liblinear", random_state=seed))
    elif name == "multilayer_perceptron":
        model = MLPClassifier(max_iter=_EPOCHS, random_state=seed)
    else:
        raise ValueError(f"no model '{name}'; known are {', '.join(LINEAR)}")
    with warnings.catch_warnings():
        # Stopping before it converged is part of the recipe, as it is of the defaults.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(maps.reshape(len(maps), -1), labels)
    return model


def linear_probabilities(model: Any, maps: Singles) -> FloatArray:
    """Return the probability of each class. Shape: (maps, x, y) to (maps, classes)."""
    return np.asarray(model.predict_proba(maps.reshape(len(maps), -1)), dtype=np.float64)
