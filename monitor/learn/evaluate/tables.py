"""Tables and pictures that suites share, made of rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from monitor.learn.evaluate.looks import legend_below, looks_of
from monitor.learn.evaluate.rows import Figure, Row
from monitor.learn.evaluate.suite import Part
from monitor.snapshot import FloatArray

_WORST = 6
"""Curves in one picture at most, of the types with the least area of the first detector."""
_TICKS = {"0": 1.0, "0.5": 0.5, "0.9": 0.1, "0.99": 1e-2, "0.999": 1e-3, "0.9999": 1e-4, "0.99999 or more": 1e-5}
"""What an axis of areas says, and what these lack to 1."""
_LEAST = min(_TICKS.values())


def experiments(rows: Sequence[Row]) -> list[str]:
    """Return the experiments of rows in the order they came."""
    return list(dict.fromkeys(r.what for r in rows))


def detectors(rows: Iterable[Row]) -> list[str]:
    """Return the detectors of rows in the order they came."""
    return list(dict.fromkeys(r.detector for r in rows))


def number(value: Figure, digits: int = 4) -> str:
    """Return a figure as a table shows it; nothing for None."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.{digits}g}" if abs(value) < 1e-3 else f"{value:.{digits}f}"
    return str(value)


def summary(title: str, rows: Sequence[Row], figure: str = "", beside: bool = False) -> Part:
    """Return least and median over the types, an experiment a line, a detector a column.

    Parameters
    ----------
    figure
        Name of the figure; empty: the area.
    beside
        Whether the peer's figure stands beside.
    """

    def cell(own: Sequence[Row]) -> str:
        values = [v for r in own if isinstance(v := r.figures.get(figure) if figure else r.auc, float)]
        return f"{min(values):.4f} / {np.median(values):.4f}" if values else ""

    return _grid(title, rows, cell, beside)


def rates(title: str, rows: Sequence[Row]) -> Part:
    """Return the shares of faulty and of good maps that are called bad, over all types."""

    def cell(own: Sequence[Row]) -> str:
        shares = []
        for name, count in (("found", "n_bad"), ("false", "n_good")):
            known = [(v, getattr(r, count)) for r in own if isinstance(v := r.figures.get(name), float)]
            shares.append(f"{sum(v * n for v, n in known) / sum(n for _, n in known):.3f}" if known else "")
        return " / ".join(shares) if any(shares) else ""

    return _grid(title, [r for r in rows if r.figures.get("found") is not None], cell)


def pivot(title: str, rows: Sequence[Row]) -> Part:
    """Return the area with its interval, a type a line, a detector a column."""
    names = detectors(rows)
    cells = {(r.type, r.detector): r for r in rows}
    lines = [
        [kind, *(_with_interval(cells.get((kind, name))) for name in names)]
        for kind in dict.fromkeys(r.type for r in rows)
    ]
    return Part(title=title, header=["type", *names], lines=lines)


def listing(title: str, rows: Sequence[Row], figures: Sequence[str], words: str = "") -> Part:
    """Return one line a row, with its area and figures, and the peer's figure beside."""
    lines = [
        [
            r.what,
            r.type,
            r.detector,
            _with_interval(r),
            f"{r.n_good} / {r.n_bad}",
            *(number(r.figures.get(f)) for f in figures),
            _peer(r),
        ]
        for r in rows
    ]
    header = ["experiment", "type", "detector", "area", "good / bad", *figures, "peer, thesis or prototype"]
    return Part(title=title, words=words, header=header, lines=lines)


def auc_by_type(title: str, rows: Sequence[Row]) -> Part:
    """Return a picture of the areas of all types, a look a detector, beside one another.

    Its axis is the logarithm of what an area lacks to 1: the best ones differ in the number of nines.
    """

    def paint(figure: Any) -> None:
        kinds = list(dict.fromkeys(r.type for r in rows))
        looks = looks_of(detectors(r for r in rows if r.area is not None))
        figure.set_size_inches(max(9.0, 2.0 + 0.08 * len(kinds) * (len(looks) + 2)), 7.0)
        axes = figure.subplots()
        for number, (name, look) in enumerate(looks.items()):
            areas = [(kinds.index(r.type), r.area) for r in rows if r.detector == name and r.area is not None]
            aside = 0.8 * ((number + 0.5) / len(looks) - 0.5)
            lacking = _lacking(np.array([(a.value, a.low, a.high) for _, a in areas]))
            errors = np.maximum(np.abs(lacking[:, 1:] - lacking[:, :1]), 0.0).T[::-1]
            places = [place + aside for place, _ in areas]
            axes.errorbar(places, lacking[:, 0], yerr=errors, **{**look, "linestyle": ""}, elinewidth=0.8, label=name)
        for edge in range(1, len(kinds)):
            axes.axvline(edge - 0.5, color="0.85", linewidth=0.8)
        axes.set_xticks(range(len(kinds)), kinds, rotation=60, ha="right")
        axes.set(xlim=(-0.5, len(kinds) - 0.5), yscale="log", ylim=(1.3, 0.7 * _LEAST))
        axes.set_yticks(list(_TICKS.values()), list(_TICKS), minor=False)
        axes.minorticks_off()
        axes.grid(axis="y", color="0.85", linewidth=0.8)
        axes.set(ylabel="area under the ROC curve, by what it lacks to 1")
        legend_below(figure, [axes])

    return Part(title=title, paint=paint)


def roc_curves(title: str, rows: Sequence[Row]) -> Part:
    """Return a picture of the ROC curves of the types on which the first detector does worst."""
    known = [r for r in rows if r.curve is not None]

    def paint(figure: Any) -> None:
        names = detectors(known)
        looks = looks_of(names)
        first = [r for r in known if r.detector == names[0]]
        kinds = [r.type for r in sorted(first, key=lambda r: r.auc or 0.0)][:_WORST]
        columns = min(3, len(kinds))
        down = -(-len(kinds) // columns)
        figure.set_size_inches(4.0 * max(2, columns), 3.2 * down + 1.0)
        every = figure.subplots(down, columns, squeeze=False)
        for axes, kind in zip(every.flat, kinds, strict=False):
            # The first detector last, so that no other lies on it.
            for row in reversed([r for r in known if r.type == kind]):
                if row.curve is not None:
                    axes.plot(*row.curve, **{**looks[row.detector], "marker": ""}, label=row.detector)
            axes.set(title=kind, xscale="log", xlim=(1e-5, 1.0), ylim=(0.0, 1.02))
            axes.set(xlabel="good, called bad", ylabel="bad, found")
        for axes in list(every.flat)[len(kinds) :]:
            axes.set_axis_off()
        legend_below(figure, list(every.flat), names)

    return Part(title=title, paint=paint)


def _lacking(areas: FloatArray) -> FloatArray:
    """Return 1 - area, not less than the axis shows."""
    return np.maximum(1.0 - areas, _LEAST)


def _grid(title: str, rows: Sequence[Row], cell: Callable[[Sequence[Row]], str], beside: bool = False) -> Part:
    names = detectors(rows)
    lines = []
    for what in experiments(rows):
        own = [r for r in rows if r.what == what]
        line = [what, *(cell([r for r in own if r.detector == name]) for name in names)]
        lines.append([*line, _peer(own[0])] if beside else line)
    header = ["experiment", *names, "peer, thesis or prototype"]
    return Part(title=title, header=header if beside else header[:-1], lines=lines)


def _with_interval(row: Row | None) -> str:
    if row is None or row.area is None:
        return ""
    return f"{row.area.value:.4f} ({row.area.low:.4f}-{row.area.high:.4f})"


def _peer(row: Row) -> str:
    value = "" if row.peer_value is None else f"{row.peer_value:.4g}"
    return ": ".join(p for p in (row.peer, value) if p)
