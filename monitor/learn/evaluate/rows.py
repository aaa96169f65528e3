"""What a suite finds: one row a detector, histogram type and experiment."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from monitor.learn.evaluate.roc import Area
from monitor.snapshot import FloatArray

Figure = float | int | str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One detector on one histogram type in one experiment of a suite."""

    suite: str
    what: str
    """The experiment, for instance ``3-4 spreads, 10 references``."""
    type: str
    detector: str
    """As in configuration, or a baseline."""
    unit: str
    """What is good or bad: ``bin`` or ``map``."""
    n_good: int
    n_bad: int
    area: Area | None = None
    """Under the ROC curve; None where there are not both good and bad ones."""
    figures: Mapping[str, Figure] = field(default_factory=dict)
    """What else this suite measures, by name."""
    peer: str = ""
    """Whose figure stands beside, and of what."""
    peer_value: float | None = None
    curve: tuple[FloatArray, FloatArray] | None = None
    """Share of the good and of the bad ones that are called bad, rising; for pictures."""

    @property
    def auc(self) -> float | None:
        """Area under the ROC curve."""
        return self.area.value if self.area else None

    def with_figures(self, figures: Mapping[str, Figure]) -> Row:
        """Return the row with more figures."""
        return replace(self, figures={**self.figures, **figures})

    def to_json(self) -> dict[str, Any]:
        """Return the row as JSON-ready values; what is not a finite number is null."""
        area = self.area
        record = {
            "suite": self.suite,
            "what": self.what,
            "type": self.type,
            "detector": self.detector,
            "unit": self.unit,
            "auc": area.value if area else None,
            "auc_low": area.low if area else None,
            "auc_high": area.high if area else None,
            "n_good": self.n_good,
            "n_bad": self.n_bad,
            **self.figures,
            "peer": self.peer,
            "peer_value": self.peer_value,
        }
        return {key: _finite(value) for key, value in record.items()}


def _finite(value: Figure) -> Figure:
    return None if isinstance(value, float) and not math.isfinite(value) else value
