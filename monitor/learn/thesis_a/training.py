"""Training of thesis A's networks: Adam and cross-entropy, or Adadelta and mean squared error.

As the thesis says (figures 5.9 and 5.11): ``categorical_crossentropy`` with Adam at its defaults, ``mse`` with
Adadelta. Keras 2 defaults: Adam 0.001, 0.9, 0.999, epsilon 1e-7; Adadelta 1.0, 0.95, epsilon 1e-7; batches of 32.
Silent are the number of epochs and of maps; see `monitor.learn.thesis_a.study`.

One thing is added. The running averages of BatchNorm, by which a network is judged, forget their start in about 1000
steps and lag behind weights that still move by some 100; Keras users wait until both have passed. Trainings here are
short, so the averages are taken anew over maps that were trained on before a network is judged. Weights do not change.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from monitor.errors import HistwatchError
from monitor.learn.framework import framework
from monitor.learn.thesis_a.data import Labels
from monitor.snapshot import FloatArray

Singles = NDArray[np.float32]
Sample = tuple[Singles, Labels | None]
"""Scaled maps, shape (maps, x, y), and the class of each, shape (maps,)."""
Task = Literal["classify", "reconstruct"]
BATCH = 32
_EPSILON = 1e-7
_CHUNK = 256
_QUICK = 0.9
"""Momentum with which running averages catch up."""
_SETTLING = 40
"""Batches that they catch up in."""


@dataclass(frozen=True, slots=True)
class Epoch:
    """One point of the learning curves."""

    number: int
    """From 1."""
    loss: float
    accuracy: float
    """Share named right while training, with dropout; NaN of an autoencoder."""
    validation_loss: float
    validation_accuracy: float


OnEpoch = Callable[[Epoch], None]


def train(
    network: Any,
    maps: Callable[[int], Sample],
    *,
    validation: Sample,
    epochs: int,
    seed: int,
    batch: int = BATCH,
    on_epoch: OnEpoch | None = None,
) -> tuple[Epoch, ...]:
    """Train a network in place and leave it in evaluation mode; return its learning curves.

    The same network, maps and seed give the same weights. Everything happens in memory: interrupting it leaves nothing
    behind.

    Parameters
    ----------
    network
        From `monitor.learn.thesis_a.networks.build`.
    maps
        Gives the maps of an epoch, by its number from 1, and their labels; always as many. Without labels the network
        is an autoencoder, trained to give its maps back.
    validation
        Maps and labels that are not trained on.
    epochs
        The rest of the last batch of an epoch is left out, another one each time.
    seed
        Of the order of the maps.
    batch
        Maps of a step.
    on_epoch
        Called after each epoch.

    Raises
    ------
    HistwatchError
        If JAX is missing, there is less than a batch of maps, or training diverges.
    """
    _, nnx, _ = framework()
    task: Task = "reconstruct" if validation[1] is None else "classify"
    steps = _steps(task)
    network.train()
    graph, weights, rest = nnx.split(network, nnx.Param, ...)
    memory = steps.optimiser.init(weights)
    rng = np.random.default_rng(seed)
    history: list[Epoch] = []
    for number in range(1, epochs + 1):
        own, labels = maps(number)
        if len(own) < batch or not len(validation[0]):
            raise HistwatchError(f"{len(own)} maps and {len(validation[0])} for validation; needed are {batch} and 1")
        wanted = own if labels is None else labels
        order = rng.permutation(len(own))[: len(own) // batch * batch].reshape(-1, batch)
        seen = []
        for chosen in order:
            weights, rest, memory, figures = steps.advance(graph, weights, rest, memory, own[chosen], wanted[chosen])
            seen.append(figures)
        nnx.update(network, weights, rest)
        _settle(network, [own[chosen] for chosen in order[:_SETTLING]])
        loss, accuracy = np.mean(np.array(seen, dtype=np.float64), axis=0)
        judged = _judge(network, *validation)
        network.train()
        _, _, rest = nnx.split(network, nnx.Param, ...)
        if not np.isfinite(loss):
            raise HistwatchError(f"training diverged in epoch {number}: its loss is {loss}")
        history.append(Epoch(number, float(loss), float(accuracy), *judged))
        if on_epoch is not None:
            on_epoch(history[-1])
    network.eval()
    return tuple(history)


def _settle(network: Any, batches: Sequence[Singles]) -> None:
    """Let the running averages of BatchNorm catch up with the weights as they are, and leave it in evaluation mode."""
    _, nnx, _ = framework()
    norms = [part for part in network.parts if isinstance(part, nnx.BatchNorm)]
    momenta = [part.momentum for part in norms]
    # The first batch alone lets the past be forgotten.
    for momentum, own in ((0.0, batches[:1]), (_QUICK, batches[1:])) if norms else ():
        for part in norms:
            part.momentum = momentum
        graph, state = nnx.split(network)
        for batch in own:
            state = _observe()(graph, state, batch)
        nnx.update(network, state)
    for part, momentum in zip(norms, momenta, strict=True):
        part.momentum = momentum
    network.eval()


def probabilities(network: Any, maps: Singles) -> FloatArray:
    """Return the softmax of a classifier in evaluation mode. Shape: (maps, x, y) to (maps, classes)."""
    logits = outputs(network, maps)
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    found: FloatArray = shifted / shifted.sum(axis=1, keepdims=True)
    return found


def outputs(network: Any, maps: Singles) -> FloatArray:
    """Return what a network in evaluation mode gives: logits, or reconstructed maps. Shape: (maps, ...)."""
    _, nnx, _ = framework()
    graph, state = nnx.split(network)
    parts = [np.asarray(_forward()(graph, state, maps[n : n + _CHUNK])) for n in range(0, len(maps), _CHUNK)]
    return np.concatenate(parts).astype(np.float64)


def _judge(network: Any, maps: Singles, labels: Labels | None) -> tuple[float, float]:
    """Return loss and accuracy; the accuracy of an autoencoder is NaN."""
    if labels is None:
        return float(np.mean((outputs(network, maps) - maps) ** 2)), float("nan")
    found = probabilities(network, maps)
    of_truth = np.maximum(found[np.arange(len(labels)), labels], _EPSILON)
    return float(-np.log(of_truth).mean()), float((found.argmax(axis=1) == labels).mean())


@dataclass(frozen=True, slots=True)
class _Steps:
    optimiser: Any
    advance: Any


@lru_cache(maxsize=2)
def _steps(task: Task) -> _Steps:
    """Return the compiled training step; one for all networks of a task, so that none compiles twice."""
    jax, nnx, optax = framework()
    optimiser = optax.adam(1e-3, eps=_EPSILON) if task == "classify" else optax.adadelta(1.0, rho=0.95, eps=_EPSILON)

    def loss_of(weights: Any, graph: Any, rest: Any, maps: Any, wanted: Any) -> Any:
        network = nnx.merge(graph, weights, rest, copy=True)
        given = network(maps)
        if task == "reconstruct":
            loss, accuracy = jax.numpy.mean((given - wanted) ** 2), jax.numpy.nan
        else:
            loss = optax.softmax_cross_entropy_with_integer_labels(given, wanted).mean()
            accuracy = (given.argmax(axis=1) == wanted).mean()
        _, _, left = nnx.split(network, nnx.Param, ...)
        return loss, (left, accuracy)

    def advance(graph: Any, weights: Any, rest: Any, memory: Any, maps: Any, wanted: Any) -> Any:
        (loss, (rest, accuracy)), slope = jax.value_and_grad(loss_of, has_aux=True)(weights, graph, rest, maps, wanted)
        step, memory = optimiser.update(slope, memory, weights)
        return optax.apply_updates(weights, step), rest, memory, jax.numpy.stack([loss, accuracy])

    return _Steps(optimiser, jax.jit(advance, static_argnums=0))


@lru_cache(maxsize=1)
def _observe() -> Any:
    """Return the compiled pass that changes the running averages and nothing else."""
    jax, nnx, _ = framework()

    def observe(graph: Any, state: Any, maps: Any) -> Any:
        network = nnx.merge(graph, state, copy=True)
        network(maps)
        return nnx.split(network)[1]

    return jax.jit(observe, static_argnums=0)


@lru_cache(maxsize=1)
def _forward() -> Any:
    jax, nnx, _ = framework()
    return jax.jit(lambda graph, state, maps: nnx.merge(graph, state)(maps), static_argnums=0)
