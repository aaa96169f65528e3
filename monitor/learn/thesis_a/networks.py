"""The networks of thesis A, layer by layer as its code snippets have them, built with Flax NNX.

Keras 2 defaults that matter, mapped one to one: Glorot's uniform start and biases of 0, ``valid`` padding unless said
otherwise, strides of a pooling equal to its size, BatchNormalization with momentum 0.99 and epsilon 0.001 over the
channels, Dropout that scales what is kept.

The last ``softmax`` is left to the loss and to the export: what a `Network` of classes gives are logits.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from monitor.learn.framework import framework

_BATCH_MOMENTUM = 0.99
_BATCH_EPSILON = 1e-3


@dataclass(frozen=True, slots=True)
class Conv:
    """Convolution over x and y."""

    units: int
    size: int
    stride: int = 1
    same: bool = False


@dataclass(frozen=True, slots=True)
class Pool:
    """Maximum of 2 x 2 bins; an odd last row or column is left out.

    Of the autoencoder, whose snippet pads instead, all sides are even.
    """


@dataclass(frozen=True, slots=True)
class Dense:
    """Every input to every unit."""

    units: int


@dataclass(frozen=True, slots=True)
class Plain:
    """A layer without numbers of its own choice: ``norm``, ``relu``, ``sigmoid``, ``flatten``, ``up``."""

    what: str


@dataclass(frozen=True, slots=True)
class Dropout:
    """A share of the values set to 0 in training."""

    share: float = 0.25


@dataclass(frozen=True, slots=True)
class Pad:
    """Zeros around the map."""

    width: int


Layer = Conv | Pool | Dense | Plain | Dropout | Pad
_NORM, _RELU, _SIGMOID, _FLATTEN, _UP = (Plain(w) for w in ("norm", "relu", "sigmoid", "flatten", "up"))


def two_layers(classes: int) -> tuple[Layer, ...]:
    """Return two convolutional layers (figure 5.2, page 16)."""
    return (
        _NORM,
        Conv(8, 3, 2),
        _RELU,
        Conv(8, 3, 2),
        _RELU,
        Dropout(),
        _FLATTEN,
        Dense(classes),
    )


def three_layers(classes: int) -> tuple[Layer, ...]:
    """Return three convolutional layers (figure 5.7, page 20)."""
    return (
        Conv(10, 2),
        _RELU,
        Pool(),
        _NORM,
        Conv(8, 3),
        _RELU,
        Pool(),
        Conv(8, 1),
        _RELU,
        Dropout(),
        _FLATTEN,
        Dense(8),
        _RELU,
        Dense(classes),
    )


def three_layers_norm(classes: int) -> tuple[Layer, ...]:
    """Return three convolutional layers with BatchNorm before every activation (figure 5.9, page 21)."""
    return (
        Conv(10, 2),
        _NORM,
        _RELU,
        Pool(),
        Conv(8, 3),
        _NORM,
        _RELU,
        Pool(),
        Conv(8, 1),
        _NORM,
        _RELU,
        Dropout(),
        _FLATTEN,
        Dense(8),
        _NORM,
        _RELU,
        Dense(classes),
    )


def autoencoder() -> tuple[Layer, ...]:
    """Return the convolutional autoencoder, 86-64-32 and back (figure 5.11, page 23)."""
    encoder = tuple(layer for units in (86, 64, 32) for layer in (Conv(units, 3, same=True), _NORM, _RELU, Pool()))
    decoder = tuple(layer for units in (32, 64, 86) for layer in (Conv(units, 3, same=True), _NORM, _RELU, _UP))
    return (*encoder, *decoder, Conv(1, 3, same=True), _SIGMOID)


def three_layers_padded(classes: int) -> tuple[Layer, ...]:
    """Return `three_layers_norm` that sees every bin.

    The thesis's network leaves out what is left over at each pooling: of 64 x 72 bins, those of the last three columns
    have no way to its output.
    """
    return (Pad(4), *three_layers_norm(classes))


CLASSIFIERS = {
    "cnn_two_layers": two_layers,
    "cnn_three_layers": three_layers,
    "cnn_three_layers_norm": three_layers_norm,
}
"""The thesis's convolutional classifiers by name."""
LAST = "cnn_three_layers_norm"
"""The last and best of them."""
OURS = "cnn_three_layers_padded"
NETWORKS = CLASSIFIERS | {OURS: three_layers_padded}
"""All classifiers by name: what gives the layers for a number of classes."""
REDUCTION = 8
"""Both sides of an autoencoder's maps must be multiples of this: three poolings, and upsamplings back."""


def build(layers: tuple[Layer, ...], shape: tuple[int, int], seed: int) -> Any:
    """Return an untrained Flax NNX module. It takes (maps, x, y) float32.

    It gives (maps, classes) if the last layer is dense, otherwise (maps, x, y).

    Raises
    ------
    ValueError
        If a layer leaves nothing of maps of that shape, or an autoencoder cannot give them back.
    HistwatchError
        If JAX is missing.
    """
    if _UP in layers and (shape[0] % REDUCTION or shape[1] % REDUCTION):
        raise ValueError(f"maps of {shape[0]} x {shape[1]} bins, both must be multiples of {REDUCTION}")
    _, nnx, _ = framework()
    return _module()(layers, sizes(layers, shape), nnx.Rngs(params=seed, dropout=seed + 1))


def sizes(layers: tuple[Layer, ...], shape: tuple[int, int]) -> tuple[tuple[int, ...], ...]:
    """Return the shape of what goes into each layer, and last of what comes out: (x, y, channels) or (values,).

    Raises
    ------
    ValueError
        If a layer leaves nothing of maps of that shape.
    """
    current: tuple[int, ...] = (*shape, 1)
    found = [current]
    for layer in layers:
        match layer:
            case Conv(units, size, stride, same):
                sides = [-(-n // stride) if same else (n - size) // stride + 1 for n in current[:2]]
                current = (*sides, units)
            case Pool():
                current = (current[0] // 2, current[1] // 2, current[2])
            case Pad(width):
                current = (current[0] + 2 * width, current[1] + 2 * width, current[2])
            case Dense(units):
                current = (units,)
            case Plain("flatten"):
                current = (current[0] * current[1] * current[2],)
            case Plain("up"):
                current = (2 * current[0], 2 * current[1], current[2])
        if min(current) < 1:
            raise ValueError(f"maps of {shape[0]} x {shape[1]} bins are too small for the network")
        found.append(current)
    return tuple(found)


@lru_cache(maxsize=1)
def _module() -> Any:
    """Return the module's class; always the same one, so that compiled training steps are used again."""
    jax, nnx, _ = framework()
    glorot = nnx.initializers.glorot_uniform()

    class Network(nnx.Module):  # type: ignore[misc, name-defined]
        def __init__(self, layers: tuple[Layer, ...], shapes: tuple[tuple[int, ...], ...], rngs: Any) -> None:
            self.layers = layers
            made = (_part(nnx, glorot, layer, shapes[n], rngs) for n, layer in enumerate(layers))
            self.parts = nnx.List([part for part in made if part is not None])

        def __call__(self, maps: Any) -> Any:
            values = maps[..., None]
            parts = iter(self.parts)
            for layer in self.layers:
                values = _apply(jax, nnx, layer, parts, values)
            return values[..., 0] if values.ndim == 4 else values

    return Network


def _part(nnx: Any, glorot: Any, layer: Layer, shape: tuple[int, ...], rngs: Any) -> Any:
    """Return what holds a layer's weights or state, None if it has none."""
    match layer:
        case Conv(units, size, stride, same):
            return nnx.Conv(
                shape[2],
                units,
                (size, size),
                strides=stride,
                padding="SAME" if same else "VALID",
                kernel_init=glorot,
                rngs=rngs,
            )
        case Dense(units):
            return nnx.Linear(shape[0], units, kernel_init=glorot, rngs=rngs)
        case Dropout(share):
            return nnx.Dropout(share, rngs=rngs)
        case Plain("norm"):
            return nnx.BatchNorm(shape[-1], momentum=_BATCH_MOMENTUM, epsilon=_BATCH_EPSILON, rngs=rngs)
    return None


def _apply(jax: Any, nnx: Any, layer: Layer, parts: Iterator[Any], values: Any) -> Any:
    match layer:
        case Pool():
            # The same as nnx.max_pool, whose gradient takes three times as long on a CPU.
            n, x, y, channels = values.shape
            even = values[:, : x // 2 * 2, : y // 2 * 2]
            return even.reshape(n, x // 2, 2, y // 2, 2, channels).max(axis=(2, 4))
        case Pad(width):
            return jax.numpy.pad(values, ((0, 0), (width, width), (width, width), (0, 0)))
        case Plain("relu"):
            return nnx.relu(values)
        case Plain("sigmoid"):
            return nnx.sigmoid(values)
        case Plain("flatten"):
            return values.reshape(values.shape[0], -1)
        case Plain("up"):
            return jax.numpy.repeat(jax.numpy.repeat(values, 2, axis=1), 2, axis=2)
    return next(parts)(values)
