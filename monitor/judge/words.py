"""Findings in words: one line that a tired person understands."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

from monitor.detect.base import Finding
from monitor.verdict import Shape

_NAMED = 3
_LIKELY = 0.5
"""Probability from which on a kind of fault is worth a word."""
_FILLED = 0.5
"""Share of the bins between the first and the last of a region below which they are counted rather than spanned."""
_ROUNDED, _LONG = 100.0, 1e12
"""Numbers from the first up to the second are written as whole ones."""
_NO_CHANGE = 3.0
"""Relative change beyond which nothing but a storm would show."""


def describe(finding: Finding) -> str:
    """Return one line on a finding: the worst shapes first, then doubts about the map as a whole."""
    if finding.headline:
        parts = [finding.headline]
    else:
        parts = [describe_shape(s) for s in finding.shapes[:_NAMED]]
        if len(finding.shapes) > _NAMED:
            parts.append(f"and {len(finding.shapes) - _NAMED} more")
    if finding.warning:
        parts.append(finding.warning)
    if not parts:
        parts.append(f"as expected, largest deviation {finding.score:.1f} sigma")
        if finding.visible:
            seen = ", ".join(f"{name} {_percent(change)}" for name, change in finding.visible.items())
            parts.append(f"would show a change of: {seen}")
    if finding.note:
        parts.append(finding.note)
    return "; ".join(parts)


def place_of(shape: Shape) -> str:
    """Return where a shape is, in 0-based bins: ``strip x=34``, ``bin (3, 7)``, ``spot x=30..34 y=20..24``."""
    if shape.kind == "map":
        return "whole map"
    if shape.kind == "bin":
        return f"bin ({', '.join(map(str, shape.bins[0]))})"
    if shape.axis is not None:
        fixed = 0 if shape.axis == "x" else 1
        indices = sorted({b[fixed] for b in shape.bins})
        return f"{shape.kind} {shape.axis}={_span(indices[0], indices[-1])}"
    ranges = [(min(c), max(c)) for c in zip(*shape.bins, strict=True)]
    what = shape.kind
    if len(shape.bins) < _FILLED * prod(high - low + 1 for low, high in ranges):
        what = f"{len(shape.bins)} bins within"
    return f"{what} " + " ".join(f"{a}={_span(*r)}" for a, r in zip("xy", ranges, strict=False))


def describe_shape(shape: Shape) -> str:
    """Return a shape as ``strip x=34 dead: 0 seen, 5210 expected (-72 sigma)``."""
    if shape.expected == 0:
        return f"{place_of(shape)} alive: {_number(shape.observed)} seen where nothing ever was filled"
    return (
        f"{place_of(shape)} {shape.sign}: {_number(shape.observed)} seen, {_number(shape.expected)} expected "
        f"({shape.significance:+.1f} sigma)"
    )


def describe_kind(classification: Mapping[str, float], good: str) -> str:
    """Return what a classifier says as ``classifier: dead 98 %``; empty where it names no fault beyond doubt."""
    label = max(classification, key=lambda name: classification[name], default=good)
    if label == good or classification[label] < _LIKELY:
        return ""
    percent = round(100 * classification[label])
    return f"classifier: {label} {'above 99' if percent > 99 else percent} %"


def _span(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}..{last}"


def _percent(change: float) -> str:
    if change > _NO_CHANGE:
        return "none, too few entries"
    if change >= 1.0:
        return f"{100 * change:.0f} %, not even a dead one"
    return f"{100 * change:.2g} %"


def _number(value: float) -> str:
    return f"{value:.0f}" if _ROUNDED <= abs(value) < _LONG else f"{value:.3g}"
