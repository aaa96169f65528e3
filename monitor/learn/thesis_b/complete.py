"""The calibration check of thesis B: a "complete" autoencoder must reproduce its input (ATLAS 2022, section 4.3).

It has as many neurons in the middle as inputs, so that nothing need be lost. Where its reconstruction is not near
identity, something is wrong with the data, the scaling or the training, and no other model should be trusted. The
thesis saw total errors of about 0.01 % on its training set and 0.31 % on its test set. What they are a percentage of
it does not say; here it is the root mean square error over the range of the map, of the occupancy scaled to 0..1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from monitor.learn.thesis_b.coordinate import COMPLETE, OnEpoch, train, training_maps
from monitor.learn.thesis_b.dataset import split_by_histogram
from monitor.window import Interval

THESIS_TRAIN_ERROR = 0.0001
THESIS_TEST_ERROR = 0.0031


@dataclass(frozen=True, slots=True, kw_only=True)
class CompleteCheck:
    """How well the complete autoencoder reproduces its input."""

    train_error: float
    """Root mean square error on the maps it was trained on, in units of a map's range."""
    test_error: float
    """The same on the maps that were kept apart."""

    @property
    def passed(self) -> bool:
        """Whether the test error is no larger than the thesis's."""
        return self.test_error <= THESIS_TEST_ERROR


def check_complete(intervals: Sequence[Interval], *, seed: int = 0, on_epoch: OnEpoch | None = None) -> CompleteCheck:
    """Train the complete autoencoder on two thirds of the histograms and try it on the rest.

    Parameters
    ----------
    intervals
        Good ones, of one type; at least two.
    seed, on_epoch
        See `monitor.learn.thesis_b.coordinate.train`.

    Raises
    ------
    HistwatchError
        If there are too few intervals, or `train` refuses them.
    """
    training_maps(intervals)
    training, test = split_by_histogram(len(intervals), seed)
    model = train([intervals[n] for n in training], COMPLETE, seed=seed, on_epoch=on_epoch)

    def error(chosen: Sequence[int]) -> float:
        return float(np.sqrt(model.error(np.stack([intervals[n].contents for n in chosen]))))

    return CompleteCheck(train_error=error(training.tolist()), test_error=error(test.tolist()))
