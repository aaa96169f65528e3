"""A model's card: what it is for, what made it and how it wants its input. It travels in the ONNX metadata."""

from __future__ import annotations

import json
import math
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from monitor.infer.reference import Statistics
from monitor.snapshot import Kind

METADATA_KEY = "histwatch.card"
"""Key of the card, a JSON object, in the metadata properties of the ONNX file."""

MAX_BINS = 4_000_000
"""Largest accepted number of bins: what the decoder accepts of a histogram."""

AnyCard = TypeVar("AnyCard", bound=BaseModel)


class Card(BaseModel):
    """The contract between a model and the monitor, version 1.

    The graph takes `input`, float32 of shape (maps, *shape), and gives `output` of the same shape: the map that it
    expects when all is well, in the scale of its input. Models of normalisation ``exposure`` also give two constant
    outputs of shape `shape`: ``rate``, the expected content per average lumisection, and ``systematic``, the
    relative scatter of each bin. Of a profile they should also give ``spread``, the standard deviation of one entry:
    a bin's own error is a poor guide where it has few entries.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    contract: Literal[1] = 1
    name: Annotated[str, Field(min_length=1, max_length=128)]
    version: Annotated[str, Field(min_length=1, max_length=64)]
    histogram_types: Annotated[tuple[str, ...], Field(min_length=1)]
    """Globs of ``stream/path`` that the model may judge."""
    kind: Literal["TH1", "TH2", "TProfile", "TProfile2D"]
    shape: Annotated[tuple[Annotated[int, Field(gt=0)], ...], Field(min_length=1, max_length=2)]
    """(bins_x,) or (bins_x, bins_y)."""
    ranges: Annotated[tuple[tuple[float, float], ...], Field(max_length=2)] = ()
    """First and last edge of every axis; empty: not known, and any will do."""
    normalisation: Literal["exposure", "minmax", "robust", "zscore"]
    input: str = "maps"
    output: str = "expected"
    coherent: Annotated[float, Field(ge=0)] = 0.01
    """Relative scatter that the bins of a strip share."""
    dispersion: Annotated[float, Field(ge=0)] = 1.0
    """Variance over mean of pure statistics; 1 for counts, 0 where all scatter is relative."""
    statistics: Statistics = "counts"
    zeros: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Share of live bins that a good map shows at zero, an upper bound."""
    shared: tuple[Annotated[float, Field(ge=0)], ...] = ()
    """Relative scatter that the bins of a window share, one a scale; empty: `coherent` for all."""
    window_degrees: tuple[Annotated[float, Field(gt=0)], ...] = ()
    """Degrees of freedom of the systematic, one a scale; empty: `degrees_of_freedom` for all."""
    degrees_of_freedom: Annotated[float, Field(gt=0)] = 1e9
    references: Annotated[int, Field(ge=0)] = 0
    """Number of good intervals it was made of."""
    exposure: Annotated[float, Field(gt=0)] = 1.0
    """Sum of their exposures in average lumisections."""
    training_runs: tuple[int, ...] = ()
    """Runs it was given, those of `left_out_runs` among them."""
    left_out: Annotated[int, Field(ge=0)] = 0
    """Number of good intervals that nothing was learned of, because they differ from the others."""
    left_out_runs: tuple[int, ...] = ()
    """Runs of which at least one interval was left out."""
    data: Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")] = ""
    """SHA-256 of the intervals it was given, see `monitor.learn.dataset.rows_digest`; empty: not known."""
    rank: Annotated[int, Field(ge=0)] | None = None
    """Modes of the autoencoder; None: not known, or not such a model."""
    rank_asked: Annotated[int, Field(ge=0)] | None = None
    """Modes that were asked for; None: as many as pay."""
    thresholds: dict[str, float] = Field(default_factory=dict)
    """Thresholds in standard deviations by shape (``bin``, ``strip``); configuration goes before them."""
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


def parse_card(text: str) -> Card:
    """Return the card in a JSON text; raises as `parse_as` does."""
    return parse_as(Card, text)


def parse_as(kind: type[AnyCard], text: str) -> AnyCard:
    """Return a card of any kind in a JSON text.

    Raises
    ------
    ValueError
        With one line that names the first wrong field.
    """
    try:
        return kind.model_validate(json.loads(text))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "card"
        raise ValueError(f"{where}: {first['msg']}") from error
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not JSON: {error}") from error
