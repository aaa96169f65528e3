"""How detectors look in pictures: each with a colour, marker and line of its own, and a legend that hides nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

OURS = "expectation"
_COLOURS = (
    "#1f77b4",
    "#2ca02c",
    "#9467bd",
    "#ff7f0e",
    "#17becf",
    "#8c564b",
    "#e377c2",
    "#7f7f7f",
    "#bcbd22",
    "#000000",
    "#004d00",
    "#b8860b",
    "#3b0f9e",
)
"""None is near the red of the expectation."""
_MARKERS = ("s", "^", "D", "P", "X", "<", ">", "h", "*", "p", "d")
_LINES = ("-", "--", ":", "-.")

Look = Mapping[str, Any]
"""Of a line of matplotlib."""


def looks_of(names: Sequence[str]) -> dict[str, Look]:
    """Return the look of each detector, no two alike; the expectation has the same one in every picture."""
    others = [name for name in names if name != OURS]
    looks: dict[str, Look] = {}
    for name in names:
        number = others.index(name) if name != OURS else 0
        looks[name] = (
            {"color": "#d62728", "marker": "o", "linestyle": "-", "linewidth": 2.2, "markersize": 6, "zorder": 5}
            if name == OURS
            else {
                # The numbers of colours, markers and lines share no pattern that comes again soon.
                "color": _COLOURS[number % len(_COLOURS)],
                "marker": _MARKERS[number % len(_MARKERS)],
                "linestyle": _LINES[(number // 3) % len(_LINES)],
                "linewidth": 1.2,
                "markersize": 4.5,
            }
        )
    return looks


def legend_below(figure: Any, panels: Sequence[Any], order: Sequence[str] = ()) -> None:
    """Draw one legend of all panels under them, each name once.

    Parameters
    ----------
    figure
        With matplotlib's constrained layout, which makes room.
    panels
        Axes.
    order
        Names that come first; the others follow as they were drawn.
    """
    known: dict[str, Any] = {}
    for axes in panels:
        for handle, name in zip(*axes.get_legend_handles_labels(), strict=True):
            known.setdefault(name, handle)
    names = [*(n for n in order if n in known), *(n for n in known if n not in order)]
    if names:
        figure.legend([known[n] for n in names], names, loc="outside lower center", ncols=4, fontsize="small")
