"""Options and thresholds as configuration gives them: known by name, checked before the first histogram comes."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

from monitor.detect.base import Settings

ON_OFF = (0, 1)


class Options:
    """What configuration says to one detector, or else its defaults.

    Parameters
    ----------
    detector
        Its name, for messages.
    settings
        As configured; None for the defaults.
    defaults
        Every option with its default; None where it has none.
    thresholds
        Every threshold with its default; None where it has none.
    families
        Options whose names the user may choose: how they are written for a person, and the pattern they follow.

    Raises
    ------
    ValueError
        For a name that is none of these; it names the allowed ones.
    """

    def __init__(
        self,
        detector: str,
        settings: Settings | None,
        defaults: Mapping[str, object],
        thresholds: Mapping[str, float | None] | None = None,
        families: Mapping[str, str] | None = None,
    ) -> None:
        given = settings or Settings()
        known = thresholds or {}
        patterns = (families or {}).values()
        unknown = {o for o in given.options if o not in defaults and not any(re.fullmatch(p, o) for p in patterns)}
        unknown |= set(given.thresholds) - set(known)
        if unknown:
            allowed = f"options are {', '.join([*sorted(defaults), *(families or {})])}"
            if known:
                allowed += f"; thresholds are {', '.join(sorted(known))}"
            raise ValueError(f"detector '{detector}' has no {sorted(unknown)}; {allowed}")
        self.detector = detector
        self.values: dict[str, object] = {**defaults, **given.options}
        self._thresholds: dict[str, float | None] = {**known, **given.thresholds}

    def number(self, name: str, least: float = -math.inf, most: float = math.inf) -> float:
        """Return an option that is a finite number from `least` to `most`."""
        value = self.values[name]
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            raise self._wrong(name, value, "a number")
        if not least <= value <= most:
            raise self._wrong(name, value, f"from {least:g} to {most:g}")
        return float(value)

    def optional(self, name: str) -> float | None:
        """Return an option that is a finite number, or None where it has none."""
        return None if self.values[name] is None else self.number(name)

    def whole(self, name: str, least: int = 0) -> int:
        """Return an option that is a whole number from `least`."""
        value = self.values[name]
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise self._wrong(name, value, f"a whole number from {least}")
        return value

    def flag(self, name: str) -> bool:
        """Return an option that is 0 or 1."""
        if self.values[name] not in ON_OFF:
            raise self._wrong(name, self.values[name], "0 or 1")
        return bool(self.values[name])

    def choice(self, name: str, allowed: Sequence[str]) -> str:
        """Return an option that is one of some words."""
        if self.values[name] not in allowed:
            raise self._wrong(name, self.values[name], f"one of {', '.join(allowed)}")
        return str(self.values[name])

    def text(self, name: str) -> str:
        """Return an option that is text, empty where it has none."""
        value = self.values.get(name, "")
        if not isinstance(value, str):
            raise self._wrong(name, value, "text in quotes")
        return value

    def threshold(self, name: str) -> float | None:
        """Return a threshold, a positive finite number, or None where it has none."""
        value = self._thresholds[name]
        if value is not None and not 0.0 < value < math.inf:
            raise self._wrong(name, value, "a positive number")
        return value

    def _wrong(self, name: str, value: object, wanted: str) -> ValueError:
        return ValueError(f"detector '{self.detector}': {name} '{value}', must be {wanted}")
