"""Classifiers of faults of all sizes at random places, of simulated or of recorded maps: ours and the thesis's own.

Ours is the one that is served: the thesis's last network with a margin, so that it sees all bins; maps are compared
with what the monitor expects of them (the scale ``significance``), faults are drawn anew in each epoch, and there is a
fourth class, ``noisy``.

The thesis's own, `train_thesis`, is its last network as in the study: maps divided by their largest content, faults
drawn once. In the thesis a network has faults of one size; this one has both, for it must do for any map.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import monitor
from monitor.infer.classifier import ClassifierCard
from monitor.learn.thesis_a.data import LABELS, SERVED, SIZES, Labels, Scale, good_maps, spoil, toy_like
from monitor.learn.thesis_a.export import to_onnx
from monitor.learn.thesis_a.networks import LAST, NETWORKS, OURS, build
from monitor.learn.thesis_a.results import Budget
from monitor.learn.thesis_a.training import Epoch, Singles, probabilities, train
from monitor.learn.toys import Toy
from monitor.snapshot import FloatArray
from monitor.window import Interval


def make_classifier(
    intervals: Sequence[Interval],
    *,
    name: str,
    version: str,
    seed: int = 0,
    scale: float = 1.0,
    histogram_types: Sequence[str] = (),
    on_epoch: Callable[[Epoch], None] | None = None,
) -> tuple[bytes, ClassifierCard]:
    """Train a classifier of one histogram's faults and return the ONNX file and its card.

    Good intervals are few: what they share is learned, and the maps to train with are drawn from that.

    Parameters
    ----------
    intervals
        Good ones, of one two-dimensional histogram of counts.
    name, version
        For the card.
    seed, scale
        As of `monitor.learn.thesis_a.study.run_study`.
    histogram_types
        Globs of ``stream/path`` that it may name faults of; none: the intervals' own.
    on_epoch
        Called after each epoch.

    Raises
    ------
    HistwatchError
        If the intervals cannot be learned from, or a package for training is missing.
    ValueError
        If their maps are too small for the network.
    """
    toy = toy_like(intervals)
    budget = Budget().scaled(scale)
    network, scaling, _ = train_ours(toy, budget, seed, labels=SERVED, on_epoch=on_epoch)
    rng = np.random.default_rng([seed, 42])
    good = good_maps(toy, len(SERVED) * budget.test, rng)
    held = spoil(good, toy.rate > 0, sizes=SIZES, window=None, rng=rng, classes=len(SERVED))
    found = probabilities(network, scaling(held.contents))
    card = ClassifierCard.model_validate(
        {
            "name": name,
            "version": version,
            "histogram_types": tuple(histogram_types) or (intervals[0].key,),
            "kind": intervals[0].kind.value,
            "shape": toy.shape,
            "normalisation": scaling.normalisation,
            "labels": SERVED,
            "network": OURS,
            "references": len(intervals),
            "training_runs": toy.runs,
            "accuracy": round(float((found.argmax(axis=1) == held.labels).mean()), 4),
            "seed": seed,
            "software": f"histwatch {monitor.__version__}",
        }
    )
    return to_onnx(network, card), card


def train_ours(
    toy: Toy,
    budget: Budget,
    seed: int,
    name: str = OURS,
    labels: Sequence[str] = LABELS,
    on_epoch: Callable[[Epoch], None] | None = None,
) -> tuple[Any, Scale, tuple[Epoch, ...]]:
    """Train a classifier of faults of all sizes at random places; return it with its scale and its learning curves.

    As many maps of each class are trained on, whatever the number of classes.

    Parameters
    ----------
    toy
        What good maps are drawn from.
    budget, seed
        As of `run_study`.
    name
        Its network, of `NETWORKS`.
    labels
        Its classes: the thesis's three, `LABELS`, or `SERVED`.
    on_epoch
        Called after each epoch.
    """
    rng = np.random.default_rng([seed, 41])
    live = toy.rate > 0
    scale = Scale(toy, "significance", seed)
    good = good_maps(toy, len(labels) * budget.train, rng)

    def spoiled(maps: FloatArray) -> tuple[Singles, Labels]:
        faulty = spoil(maps, live, sizes=SIZES, window=None, rng=rng, classes=len(labels))
        return scale(faulty.contents), faulty.labels

    held = spoiled(good_maps(toy, len(labels) * budget.validate, rng))
    network = build(NETWORKS[name](len(labels)), good.shape[1:], seed)
    history = train(
        network, lambda _: spoiled(good), validation=held, epochs=budget.epochs_ours, seed=seed, on_epoch=on_epoch
    )
    return network, scale, history


def train_thesis(toy: Toy, budget: Budget, seed: int) -> tuple[Any, Scale, tuple[Epoch, ...]]:
    """Train the thesis's last network on faults of both sizes at random places, as the study trains it.

    Parameters and results are those of `train_ours`, with the classes `LABELS`.

    Raises
    ------
    HistwatchError
        If a fault fits nowhere or JAX is missing.
    ValueError
        If maps are too small for the network.
    """
    rng = np.random.default_rng([seed, 43])
    scale = Scale(toy, "maximum", seed)

    def drawn(per_class: int) -> tuple[Singles, Labels]:
        good = good_maps(toy, per_class * len(LABELS), rng)
        faulty = spoil(good, toy.rate > 0, sizes=SIZES, window=None, rng=rng)
        return scale(faulty.contents), faulty.labels

    learned, held = drawn(budget.train), drawn(budget.validate)
    network = build(NETWORKS[LAST](len(LABELS)), learned[0].shape[1:], seed)
    history = train(network, lambda _: learned, validation=held, epochs=budget.epochs, seed=seed)
    return network, scale, history
