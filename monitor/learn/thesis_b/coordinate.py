"""The coordinate autoencoder of thesis B: (eta, phi, occupancy) of a bin in, the same three out.

As the thesis says (ATLAS 2022, sections 3.7.1, 3.7.2 and 4.3): three input and three output neurons, MSE as loss,
Adam, LeakyReLU "with default settings" (after its ReLU died, section 5), a linear output, 10 epochs, batches of 32, ten
trainings of which the one with the lowest reconstruction error is taken, Keras. Training takes maps without generated
faults.

Where it is silent, and what was chosen: the hidden widths ("various encoder, latent, and decoder layer nodes will be
tested"), 64, 64, 2, 64, 64; learning rate 0.001, slope 0.3, Glorot's uniform start and biases of 0, the defaults of
Keras 2.4; the occupancy as z-score (equation 14), "no advantage" having been seen of one normalisation over the
others; bin numbers scaled to 0..6 over each axis. So the coordinates weigh more in the loss than the occupancy, and
the two latent neurons keep the place: what is reconstructed of it is what good maps show there. A network without such
a neck, or with a weak say of the coordinates, hands any content through. The best of 3 trainings is kept, not of 10.
The rest of the last batch of an epoch is left out. Of a histogram with one axis the points are (x, occupancy).

`COMPLETE` is the "complete" autoencoder, with which the thesis checks its setup: see `monitor.learn.thesis_b.complete`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.errors import HistwatchError
from monitor.learn.framework import framework
from monitor.normalise import SCALES
from monitor.snapshot import AnyArray, FloatArray
from monitor.window import Interval

Singles = NDArray[np.float32]
OnEpoch = Callable[[int, float], None]

_FEWEST_BATCHES = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How an autoencoder is built and trained; the defaults are thesis B's where it states them."""

    hidden: tuple[int, ...] = (64, 64, 2, 64, 64)
    """Widths of the layers between input and output."""
    normalisation: str = "zscore"
    """Of the occupancy, each map on its own: ``minmax``, ``robust`` or ``zscore``."""
    epochs: int = 10
    batch: int = 32
    learning_rate: float = 1e-3
    slope: float = 0.3
    """Of LeakyReLU below 0."""
    runs: int = 3
    """Trainings from different starts; the best is kept."""
    span: float = 6.0
    """Coordinates run from 0 to this."""

    def __post_init__(self) -> None:
        if self.normalisation not in SCALES:
            raise ValueError(f"normalisation '{self.normalisation}', must be one of {', '.join(SCALES)}")
        if not self.hidden or min(*self.hidden, self.epochs, self.batch, self.runs) < 1:
            raise ValueError("hidden widths, epochs, batch and runs must be whole numbers from 1")
        if not (self.learning_rate > 0 and self.slope >= 0 and self.span > 0):
            raise ValueError("learning_rate and span must be positive, slope not negative")


COMPLETE = Recipe(hidden=(3,), normalisation="minmax", runs=10, span=1.0)
"""As many neurons in the middle as inputs: it learns to hand everything through."""


@dataclass(frozen=True, slots=True, eq=False)
class CoordinateAutoencoder:
    """A trained one. Serves as a detector's predictor (`monitor.infer.Predictor`)."""

    shape: tuple[int, ...]
    recipe: Recipe
    layers: tuple[tuple[Singles, Singles], ...]
    """Kernel, shape (in, out), and bias, shape (out,), of each layer."""
    losses: tuple[float, ...]
    """Mean squared error over all three outputs, one number an epoch, of the run that was kept."""
    run_losses: tuple[float, ...]
    """The last epoch's, of every run."""
    seed: int
    training_runs: tuple[int, ...]
    histogram_type: str
    kind: str
    references: int

    def predict(self, maps: AnyArray) -> Singles:
        """Reconstruct maps in the recipe's scale. Shape: (maps, *shape), in and out, float32."""
        values = points(np.asarray(maps), self.recipe.span)
        for n, (kernel, bias) in enumerate(self.layers):
            values = values @ kernel + bias
            if n < len(self.layers) - 1:
                values = np.where(values >= 0, values, np.float32(self.recipe.slope) * values)
        found: Singles = np.ascontiguousarray(values[:, -1]).reshape(-1, *self.shape)
        return found

    def scale(self, contents: FloatArray) -> FloatArray:
        """Normalise maps as the recipe says. Shape: (maps, *shape)."""
        return SCALES[self.recipe.normalisation](contents.reshape(len(contents), -1)).reshape(contents.shape)

    def error(self, contents: FloatArray) -> float:
        """Return the mean squared error of the reconstructed occupancy of raw maps. Shape: (maps, *shape)."""
        scaled = self.scale(contents)
        return float(np.mean((self.predict(scaled) - scaled) ** 2))


def coordinates(shape: tuple[int, ...], span: float = 1.0) -> Singles:
    """Return each bin's place along each axis, 0 to `span`. Shape: (bins, axes)."""
    grid = np.meshgrid(*(np.linspace(0.0, span, n, dtype=np.float32) for n in shape), indexing="ij")
    return np.stack([axis.ravel() for axis in grid], axis=1)


def points(maps: AnyArray, span: float = 1.0) -> Singles:
    """Return (x, y, occupancy) of every bin of every map. Shape: (maps, *shape) to (maps * bins, axes + 1)."""
    where = coordinates(maps.shape[1:], span)
    occupancy = maps.reshape(-1, 1).astype(np.float32)
    return np.concatenate([np.tile(where, (len(maps), 1)), occupancy], axis=1)


def train(
    intervals: Sequence[Interval], recipe: Recipe | None = None, *, seed: int = 0, on_epoch: OnEpoch | None = None
) -> CoordinateAutoencoder:
    """Train on good intervals of one histogram.

    The same intervals, recipe and seed give the same weights. Everything happens in memory: interrupting it leaves
    nothing behind.

    Parameters
    ----------
    intervals
        Good ones, of one type and shape; one is enough, as in the thesis.
    recipe
        Default: thesis B's.
    seed
        Of the starting weights and of the order of the points.
    on_epoch
        Called after each epoch with its number, from 1, and the lowest loss of the runs.

    Raises
    ------
    HistwatchError
        If JAX is missing, the intervals do not fit together, hold too little, or the training diverges.
    """
    recipe = recipe or Recipe()
    maps = training_maps(intervals)
    name = intervals[0].key
    scaled = SCALES[recipe.normalisation](maps.reshape(len(maps), -1)).reshape(maps.shape)
    samples = points(scaled, recipe.span)
    fewest = _FEWEST_BATCHES * recipe.batch
    if len(samples) < fewest:
        raise HistwatchError(
            f"{name}: {len(maps)} maps have {len(samples)} bins, training needs {fewest} ({_FEWEST_BATCHES} batches)"
        )
    losses, layers = _descend(samples, recipe, seed, on_epoch)
    last = losses[-1]
    if not np.isfinite(last).any():
        raise HistwatchError(f"{name}: training diverged; try a learning rate below {recipe.learning_rate:g}")
    best = int(np.nanargmin(last))
    return CoordinateAutoencoder(
        shape=maps.shape[1:],
        recipe=recipe,
        layers=tuple((kernel[best], bias[best]) for kernel, bias in layers),
        losses=tuple(float(epoch[best]) for epoch in losses),
        run_losses=tuple(float(loss) for loss in last),
        seed=seed,
        training_runs=tuple(sorted({i.run for i in intervals})),
        histogram_type=name,
        kind=intervals[0].kind.value,
        references=len(maps),
    )


def training_maps(intervals: Sequence[Interval]) -> FloatArray:
    """Return the contents of intervals that can be trained on. Shape: (maps, *shape).

    Raises
    ------
    HistwatchError
        If there are none, they differ in type or shape, or all bins of a map are equal.
    """
    if not intervals:
        raise HistwatchError("no intervals to train on")
    first = intervals[0]
    for interval in intervals:
        if interval.key != first.key or interval.contents.shape != first.contents.shape:
            raise HistwatchError(
                f"cannot train on {first.key}, {first.contents.shape}, and {interval.key}, {interval.contents.shape}"
            )
        if not np.isfinite(interval.contents).all():
            raise HistwatchError(f"{first.key}, run {interval.run}: contents that are not finite")
        if (interval.contents == interval.contents.flat[0]).all():
            raise HistwatchError(f"{first.key}, run {interval.run}: all bins are equal; leave it out")
    return np.stack([i.contents for i in intervals])


def _descend(
    samples: Singles, recipe: Recipe, seed: int, on_epoch: OnEpoch | None
) -> tuple[list[FloatArray], list[tuple[Singles, Singles]]]:
    """Train all runs at once; shapes: (runs,) a loss, (runs, in, out) a kernel, (runs, out) a bias."""
    jax, nnx, optax = framework()
    widths = (samples.shape[1], *recipe.hidden, samples.shape[1])
    starts = [nnx.split(build(widths, recipe.slope, seed + n)) for n in range(recipe.runs)]
    graph = starts[0][0]
    state = jax.tree.map(lambda *leaves: jax.numpy.stack(leaves), *(own for _, own in starts))
    optimizer = optax.adam(recipe.learning_rate)

    def update(weights: Any, memory: Any, batch: Any) -> Any:
        def loss_of(own: Any) -> Any:
            return jax.numpy.mean((nnx.merge(graph, own)(batch) - batch) ** 2)

        loss, gradient = jax.value_and_grad(loss_of)(weights)
        step, memory = optimizer.update(gradient, memory, weights)
        return optax.apply_updates(weights, step), memory, loss

    def advance(carried: Any, batch: Any) -> Any:
        weights, memory, loss = jax.vmap(update, in_axes=(0, 0, None))(*carried, batch)
        return (weights, memory), loss

    epoch = jax.jit(lambda carried, batches: jax.lax.scan(advance, carried, batches))
    carried = (state, jax.vmap(optimizer.init)(state))
    rng = np.random.default_rng(seed)
    whole = len(samples) // recipe.batch * recipe.batch
    losses: list[FloatArray] = []
    for number in range(1, recipe.epochs + 1):
        order = rng.permutation(len(samples))[:whole]
        carried, steps = epoch(carried, samples[order].reshape(-1, recipe.batch, samples.shape[1]))
        losses.append(np.asarray(steps, dtype=np.float64).mean(axis=0))
        if on_epoch is not None:
            on_epoch(number, float(losses[-1].min()))
    trained = nnx.merge(graph, carried[0])
    return losses, [(np.asarray(layer.kernel[...]), np.asarray(layer.bias[...])) for layer in trained.layers]


def build(widths: Sequence[int], slope: float, seed: int) -> Any:
    """Return the untrained Flax NNX module: dense layers with LeakyReLU between them. (points, 3) in and out."""
    _, nnx, _ = framework()
    linear = nnx.Linear
    start = nnx.initializers.glorot_uniform()

    class Dense(nnx.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            rngs = nnx.Rngs(seed)
            self.layers = nnx.List([linear(a, b, kernel_init=start, rngs=rngs) for a, b in pairwise(widths)])

        def __call__(self, values: Any) -> Any:
            for layer in self.layers[:-1]:
                values = nnx.leaky_relu(layer(values), slope)
            return self.layers[-1](values)

    return Dense()
