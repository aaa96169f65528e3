"""From the chance of a false alarm to thresholds: what the expectation detector asks of a reference."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from scipy import special, stats

from monitor.detect.alone import MUCH, relative_alone, words_alone
from monitor.detect.geometry import BoolArray
from monitor.detect.planes import log_new_life
from monitor.infer import Reference
from monitor.infer.calibration import promise_of, tails_of, thresholds_of
from monitor.snapshot import AnyArray, FloatArray

NEW_LIFE_ENTRIES = 5.0
"""Least content of a bin that was always empty."""
_NEVER = np.iinfo(np.int64).max
_LEAST = 1e-300
_SHOWN = ("bin", "strip_x", "strip_y")


class Limits:
    """Thresholds for maps of one reference.

    Parameters
    ----------
    thresholds
        Fixed thresholds in standard deviations, ``bin`` and ``strip``; those of the reference's maker come next.
    chance
        Chance of a false alarm that one judgement may have, for what has no fixed threshold.
    """

    def __init__(self, reference: Reference, thresholds: Mapping[str, float], chance: float) -> None:
        windows = reference.window_set
        self._reference = reference
        self.sigmas = thresholds_of(windows, reference.pool, chance)
        """Of every scale. Shape: (scales,)."""
        self.tails = tails_of(windows, reference.pool)
        """See `monitor.infer.calibration.chances_of`. Shape: (scales, 3)."""
        fixed = {**reference.thresholds, **thresholds}
        for name, members in (("bin", ~windows.strips), ("strip", windows.strips)):
            if name in fixed:
                self.sigmas[members] = fixed[name]
        self.promise = "fixed thresholds" if fixed else promise_of(reference.pool, chance)
        """What stands behind the thresholds, for a person."""
        # What is at zero or alive is no matter of tails: its chance is counted.
        self.single = float(special.ndtr(-fixed["bin"])) if "bin" in fixed else chance / windows.counts[0] / 2.0
        """Chance of a false alarm that a bin at zero or newly alive may have."""
        self._sigma_of_single = float(stats.norm.isf(self.single))
        self.new_life = NEW_LIFE_ENTRIES * reference.unit
        """Content from which on a bin that was never filled is looked at."""
        self.silent_bins = self._silent_bins(chance)
        """Number of bins at zero that no good map shows."""
        self._lonely = not reference.profile and int(reference.live.sum()) == 1
        self.note = _note(reference, self._lonely)
        """What limits every judgement, for a person; empty if nothing."""

    def silent_from(self, width: float) -> float:
        """Return the expected content from which on a live bin at zero is dead, infinity if there is none.

        With few references the t distribution forbids any alarm on a systematic. A bin at zero is one all the same,
        if even the map's least steady bins could not fall that far.
        """
        reference = self._reference
        if reference.profile:
            return math.inf
        spread = reference.unsteadiness * math.sqrt(1.0 + 1.0 / max(1, reference.references)) * max(width, 1.0)
        if spread * self._sigma_of_single >= 1.0:
            return math.inf
        # Nothing is seen where mu is expected with the chance exp(-mu).
        return max(-math.log(self.single) * reference.dispersion, _LEAST)

    def _silent_bins(self, chance: float) -> int:
        """Return how many bins at zero good maps never show, where the statistics do not tell."""
        reference = self._reference
        if reference.counts or reference.profile or reference.zeros >= 1.0:
            return int(_NEVER)
        wanted = float(reference.live.sum()) * reference.zeros
        return int(stats.poisson.isf(chance, wanted)) + 1

    def unexpected(self, contents: FloatArray, exposure: float) -> BoolArray:
        """Return the bins that are alive where nothing ever was (new life). Shape: (bins,), in and out."""
        reference = self._reference
        candidates: BoolArray = ~reference.live.ravel() & (contents >= self.new_life)
        if reference.profile or not candidates.any():
            return np.zeros_like(candidates)
        entries = contents[candidates] / reference.unit
        candidates[candidates] = log_new_life(entries, exposure, reference.exposure) < math.log(self.single)
        return candidates

    def reach(self, exposure: float, alone: AnyArray | None = None) -> tuple[dict[str, float], str]:
        """Return what a judgement is worth: the smallest visible changes, see `visible`, and a warning or nothing.

        Parameters
        ----------
        alone
            Systematic variances of windows, if the judged map itself showed them. Shape: (windows,).
        """
        if alone is None:
            return self.visible(exposure), ""
        relative = relative_alone(self._reference, alone)
        statistical = float(self._reference.windows.visible[0][0]) * self._more(exposure)
        return self.visible(exposure, relative), words_alone(relative, statistical)

    def _more(self, exposure: float) -> float:
        """Return the relative statistical variance of a map and its reference over that at exposure 1; 0 of none."""
        return (1.0 + exposure / self._reference.exposure) / exposure if exposure > 0 else 0.0

    def visible(self, exposure: float, alone: FloatArray | None = None) -> dict[str, float]:
        """Return the smallest relative change of a typical bin, and of a typical strip, that would be an alarm.

        Parameters
        ----------
        alone
            Relative systematic variance of each scale, if the judged map itself showed it. Shape: (scales,).
        """
        reference = self._reference
        if reference.profile or self._lonely or not exposure > 0:
            return {}
        more = self._more(exposure)
        found: dict[str, float] = {}
        for k, name in enumerate(reference.window_set.names):
            if name not in _SHOWN:
                continue
            statistical, systematic = reference.windows.visible[k].tolist()
            if alone is not None:
                systematic = float(alone[k])
            change = float(self.sigmas[k]) * math.sqrt(max(0.0, statistical * more + systematic))
            kind = name.partition("_")[0]
            found[kind] = min(change, found.get(kind, math.inf))
        return found


def _note(reference: Reference, lonely: bool) -> str:
    if lonely:
        return "its one bin has no other to be compared with: only its rate is watched"
    if reference.references > 2:
        return ""
    words = f"few references ({reference.references}): small effects are missed"
    scatter = float(np.median(reference.systematic[reference.live])) if reference.references == 2 else 0.0
    if not reference.profile and scatter > MUCH:
        words += f"; they differ by {scatter:.0%} in a typical bin"
    return words
