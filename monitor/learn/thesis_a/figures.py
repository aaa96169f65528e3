"""What thesis A states of its results, as far as its text says it; numbers that stand in pictures only are not here.

Its text on figure 5.6 contradicts itself: the numbers on the diagonal of the confusion matrix, 377 + 398 + 36, divided
by the sum of all are said to be 1/3, and so the model to be wrong "approximately 33 %" of the time. With about as many
maps of each class the second is what fits: 811 of about 1217 maps are right, two thirds, and of one class nearly none.
"""

from __future__ import annotations

from dataclasses import dataclass

from monitor.learn.thesis_a.data import Place


@dataclass(frozen=True, slots=True)
class Stated:
    """What the thesis says of one experiment."""

    source: str
    """Figure or section, and page."""
    accuracy: float | None
    """None: in words, or in a picture, only."""
    words: str


_BEGINNING = "chapter 5, page 15"
_LOGISTIC_LARGE = Stated(_BEGINNING, None, "almost perfect")
_LOGISTIC_SMALL = Stated(_BEGINNING, 0.20, "performs poorly")
_PERCEPTRON = Stated(_BEGINNING, 0.40, "always performs poorly")

STATED: dict[tuple[str, int, Place, int], Stated] = {
    **{("logistic_regression", 5, place, 3): _LOGISTIC_LARGE for place in ("fixed", "random")},
    **{("logistic_regression", 1, place, 3): _LOGISTIC_SMALL for place in ("fixed", "random")},
    **{("multilayer_perceptron", size, place, 3): _PERCEPTRON for size in (5, 1) for place in ("fixed", "random")},
    ("cnn_two_layers", 5, "fixed", 2): Stated("figure 5.3, page 17", None, "picture"),
    ("cnn_two_layers", 5, "random", 2): Stated("figure 5.4, page 18", None, "picture"),
    ("cnn_two_layers", 5, "random", 3): Stated("figure 5.5, page 18", None, "picture"),
    ("cnn_two_layers", 1, "random", 3): Stated(
        "figure 5.6, page 19", 2.0 / 3.0, "377 + 398 + 36 right, about a third wrong, overfits"
    ),
    ("cnn_three_layers", 1, "random", 3): Stated("figure 5.8, page 21", None, "more diagonal than 5.6"),
    ("cnn_three_layers_norm", 1, "random", 3): Stated(
        "figure 5.10, page 22", None, "more diagonal than 5.8, areas under the curves closer to 1"
    ),
}
"""By model, size of the fault, its place and the number of classes."""

BEST_STATED = max(
    s.accuracy for (_, size, place, _), s in STATED.items() if (size, place) == (1, "random") and s.accuracy
)
"""Best accuracy that the text states for faults of 1 x 1 at random places."""

AUTOENCODER = Stated("figures 5.12 and 5.13, pages 24 and 25", None, "separates good, dead and hot very well")
"""Of 5 x 5 regions."""
