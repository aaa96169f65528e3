"""Classifiers: ONNX models that name what is wrong with a map, after something else has found that it is wrong.

They are told from models that expect maps (`monitor.infer.model`) by the metadata key of their card.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from monitor.errors import ModelError
from monitor.infer.card import MAX_BINS, METADATA_KEY, parse_as
from monitor.infer.reference import Reference
from monitor.infer.session import Opened, check_input, open_session
from monitor.snapshot import AnyArray, FloatArray, Kind

CLASSIFIER_KEY = "histwatch.classifier"
"""Key of a classifier's card, a JSON object, in the metadata properties of the ONNX file."""

LARGEST_PULL = 10.0
"""Pulls are cut here: how far beyond doubt a bin is says nothing of its kind."""
_PROBABILITY_SLACK = 1e-3


class ClassifierCard(BaseModel):
    """The contract between a classifier and the monitor, version 1.

    The graph takes `input`, float32 of shape (maps, *shape), in the scale of `normalisation`, and gives `output`,
    float32 of shape (maps, labels): probabilities that sum to 1.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    contract: Literal[1] = 1
    name: Annotated[str, Field(min_length=1, max_length=128)]
    version: Annotated[str, Field(min_length=1, max_length=64)]
    histogram_types: Annotated[tuple[str, ...], Field(min_length=1)]
    """Globs of ``stream/path`` that the classifier may name faults of."""
    kind: Literal["TH1", "TH2"]
    """Sums only: of a profile's mean neither dead nor hot is what it is of a count."""
    shape: Annotated[tuple[Annotated[int, Field(gt=0)], ...], Field(min_length=1, max_length=2)]
    """(bins_x,) or (bins_x, bins_y)."""
    normalisation: Literal["maximum", "significance"]
    """Scale of its maps: see `scaled`."""
    labels: Annotated[tuple[Annotated[str, Field(min_length=1, max_length=32)], ...], Field(min_length=2)]
    """What the outputs stand for, in their order."""
    good: str = "good"
    """The label that means that nothing is wrong."""
    input: str = "maps"
    output: str = "probabilities"
    network: str = ""
    """Name of its architecture."""
    references: Annotated[int, Field(ge=0)] = 0
    """Number of good maps that it was trained on."""
    training_runs: tuple[int, ...] = ()
    accuracy: Annotated[float, Field(ge=0, le=1)] | None = None
    """Share of held-out maps that it named right; None: not measured."""
    seed: int | None = None
    software: str = ""
    """Name and version of what made it."""

    @field_validator("shape")
    @classmethod
    def _is_of_kind(cls, shape: tuple[int, ...], info: ValidationInfo) -> tuple[int, ...]:
        kind = info.data.get("kind")
        if kind is not None and len(shape) != Kind(kind).dimension:
            raise ValueError(f"{len(shape)} axes for a {kind}")
        if math.prod(shape) > MAX_BINS:
            raise ValueError(f"{math.prod(shape)} bins, at most {MAX_BINS}")
        return shape

    @field_validator("labels")
    @classmethod
    def _are_different(cls, labels: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(labels)) != len(labels):
            raise ValueError("a label stands twice")
        return labels


class Classifier:
    """One ONNX Runtime session with its card. Use `load_classifier`. Not safe for use by several threads at once."""

    def __init__(self, opened: Opened, card: ClassifierCard) -> None:
        self.file = opened.file
        self.card = card
        self._session = opened.session

    def takes(self, kind: Kind, shape: tuple[int, ...]) -> bool:
        """Whether it was made for such histograms."""
        return self.card.kind == kind.value and self.card.shape == shape

    def probabilities(self, maps: AnyArray) -> FloatArray:
        """Classify maps in the scale of its card. Shape: (maps, *shape) to (maps, labels).

        Raises
        ------
        ModelError
            If what it answers is no probability.
        """
        single = np.ascontiguousarray(maps, dtype=np.float32)
        (found,) = self._session.run([self.card.output], {self.card.input: single})
        answer = np.asarray(found, dtype=np.float64)
        if answer.shape != (len(single), len(self.card.labels)):
            raise ModelError(
                f"model {self.file}: {len(single)} maps in, shape {answer.shape} out; the card names "
                f"{len(self.card.labels)} labels"
            )
        total = answer.sum(axis=1)
        # NaN fails every comparison.
        if not (answer >= -_PROBABILITY_SLACK).all() or not (np.abs(total - 1.0) <= _PROBABILITY_SLACK).all():
            raise ModelError(f"model {self.file}: its answer is no probability, it needs a softmax at its end")
        clean: FloatArray = np.clip(answer, 0.0, 1.0)
        return clean

    def classify(self, contents: FloatArray, exposure: float | None, reference: Reference | None) -> dict[str, float]:
        """Return the probability of each label for one map; empty if its scale needs a rate that is not known.

        Parameters
        ----------
        contents
            Shape: the card's.
        exposure
            Relative to the reference; None: not known.
        reference
            What the map is expected to show; None: not known.

        Raises
        ------
        ModelError
            If what it answers is no probability.
        """
        if self.card.normalisation == "significance":
            if not exposure or reference is None or reference.shape != self.card.shape or not reference.live.any():
                return {}
            maps = significances(contents[None], np.array([exposure]), reference)
        else:
            maps = shares(contents[None])
        (found,) = self.probabilities(maps)
        return {label: float(p) for label, p in zip(self.card.labels, found, strict=True)}


def shares(contents: FloatArray) -> FloatArray:
    """Divide each map by its largest content: the scale ``maximum``. Shape: (maps, *shape), in and out."""
    largest = contents.reshape(len(contents), -1).max(axis=1)
    divisor = np.where(largest > 0, largest, 1.0)
    return contents / divisor.reshape(-1, *([1] * (contents.ndim - 1)))


def significances(contents: FloatArray, exposures: FloatArray, reference: Reference) -> FloatArray:
    """Compare maps with what is expected at their exposure: the scale ``significance``, -1 to 1.

    Of each bin the pull ``p = (n - mu) / sqrt(max(statistical, 1) + (systematic mu)^2)``, mu being exposure times
    rate, cut at +-`LARGEST_PULL`, and of that ``p |p| / LARGEST_PULL^2``: squared, what chance does in thousands of
    bins does not drown what is wrong in one. Where nothing is expected the one stands for the variance.

    Parameters
    ----------
    contents
        Shape: (maps, *shape).
    exposures
        Relative to the reference. Shape: (maps,).
    reference
        What good maps show per unit exposure. Shape: *shape.
    """
    scale = exposures.reshape(-1, *([1] * (contents.ndim - 1)))
    expected = scale * np.where(reference.live, reference.rate, 0.0)
    variance = np.maximum(scale * reference.statistical, 1.0) + (reference.systematic * expected) ** 2
    share = np.clip((contents - expected) / np.sqrt(variance) / LARGEST_PULL, -1.0, 1.0)
    return share * np.abs(share)


def load_classifier(content: bytes, file: str, threads: int = 1) -> Classifier:
    """Check an ONNX file against the contract and return it warm.

    Parameters
    ----------
    content
        The whole file.
    file
        Its name, for messages.
    threads
        Threads of the session.

    Raises
    ------
    ModelError
        Naming the file and the reason: what `monitor.infer.session.open_session` refuses, no or a wrong card, inputs or
        outputs that differ from it, answers that are no probabilities.
    """
    return classifier_of(open_session(content, file, threads))


def classifier_of(opened: Opened) -> Classifier:
    """Check an opened file against the contract and return it warm; raises as `load_classifier` does."""
    file, text = opened.file, opened.metadata.get(CLASSIFIER_KEY)
    if text is None:
        raise ModelError(f"model {file}: no classifier; store its card as JSON under the key '{CLASSIFIER_KEY}'")
    if METADATA_KEY in opened.metadata:
        raise ModelError(f"model {file}: has both cards, '{METADATA_KEY}' and '{CLASSIFIER_KEY}'; a file is one thing")
    try:
        card = parse_as(ClassifierCard, text)
    except ValueError as error:
        raise ModelError(f"model {file}: bad card, {error}") from error
    if card.good not in card.labels:
        raise ModelError(f"model {file}: bad card, good: '{card.good}' is none of its labels")
    check_input(opened, card.input, card.shape)
    outputs = {o.name: o.type for o in opened.session.get_outputs()}
    if outputs.get(card.output) != "tensor(float)":
        raise ModelError(f"model {file}: no output {card.output} of type float32")
    classifier = Classifier(opened, card)
    # Two sizes of batch prove the shape and warm the session before the first message.
    for maps in (1, 2):
        try:
            classifier.probabilities(np.zeros((maps, *card.shape), dtype=np.float32))
        except ModelError:
            raise
        except Exception as error:  # onnxruntime raises a dozen unrelated classes; all mean "this file cannot be used"
            raise ModelError(f"model {file}: does not run, {' '.join(str(error).split())[:200]}") from error
    return classifier
