"""Pictures of the study of thesis A, one for each kind of figure that the thesis has. Simulated maps only."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from monitor.errors import HistwatchError
from monitor.learn.thesis_a.results import Row, StudyResult

_DPI = 80


def maps(result: StudyResult, path: Path) -> None:
    """Good, hot and dead maps (figures 4.1 and 5.1)."""
    figure, axes = _canvas(len(result.examples), 3)
    for row, (size, examples) in zip(axes, result.examples.items(), strict=True):
        for one, (name, contents) in zip(row, examples.items(), strict=True):
            _map(figure, one, contents, f"{name}, {size} x {size}")
    _save(figure, path)


def curves(result: StudyResult, path: Path) -> None:
    """Learning curves of all networks (figures 5.3 to 5.6, 5.8, 5.10)."""
    rows = _networks(result)
    figure, axes = _canvas(-(-len(rows) // 4), 4)
    for one, row in zip(axes.flat, rows, strict=False):
        numbers = [epoch.number for epoch in row.history]
        one.plot(numbers, [epoch.accuracy for epoch in row.history], label="training")
        one.plot(numbers, [epoch.validation_accuracy for epoch in row.history], label="validation")
        title = _title(row) if row.recipe == "thesis" else f"{row.model} ({row.recipe})\nall faults"
        one.set(title=title, xlabel="epoch", ylabel="accuracy", ylim=(0, 1.02))
        one.legend()
    _hide(axes, len(rows))
    _save(figure, path)


def roc(result: StudyResult, path: Path) -> None:
    """ROC curves of three classes, 1 x 1 at random places (figures 5.8 and 5.10)."""
    rows = [r for r in result.rows if (r.size, r.place) == (1, "random")]
    figure, axes = _canvas(-(-len(rows) // 3), 3)
    for one, row in zip(axes.flat, rows, strict=False):
        for label, name in enumerate(row.labels):
            false, true = row.curve(label)
            one.plot(false, true, label=f"{name}, {row.auc_by_label[name]:.4f}")
        one.set(title=_title(row), xlabel="false positive rate", ylabel="true positive rate")
        one.legend(title="area under the curve")
    _hide(axes, len(rows))
    _save(figure, path)


def confusions(result: StudyResult, path: Path) -> None:
    """Confusion matrices of all networks (figures 5.3 to 5.6, 5.8, 5.10)."""
    rows = [r for r in result.rows if r.history]
    figure, axes = _canvas(-(-len(rows) // 4), 4)
    for one, row in zip(axes.flat, rows, strict=False):
        counts = row.confusion
        one.imshow(counts, cmap="Blues", vmin=0)
        for (truth, given), count in np.ndenumerate(counts):
            one.text(given, truth, str(count), ha="center", va="center", color="black")
        ticks = range(len(row.labels))
        one.set(title=_title(row), xlabel="given", ylabel="true")
        one.set_xticks(ticks, row.labels)
        one.set_yticks(ticks, row.labels)
    _hide(axes, len(rows))
    _save(figure, path)


def reconstructions(result: StudyResult, path: Path) -> None:
    """Map, reconstruction and distance of each class (figure 5.12)."""
    figure, axes = _canvas(3 * len(result.reconstructions), 3)
    wanted = [(found.size, name, pair) for found in result.reconstructions for name, pair in found.examples.items()]
    for row, (size, name, (shown, given)) in zip(axes, wanted, strict=True):
        _map(figure, row[0], shown, f"{name}, {size} x {size}: map")
        _map(figure, row[1], given, "reconstruction")
        _map(figure, row[2], np.abs(given - shown), "distance")
    _save(figure, path)


def errors(result: StudyResult, path: Path) -> None:
    """Histograms of the error, and the error of each map (figure 5.13)."""
    figure, axes = _canvas(len(result.reconstructions), 2)
    for (left, right), found in zip(axes, result.reconstructions, strict=True):
        every = np.concatenate(list(found.errors.values()))
        edges = np.geomspace(every.min(), every.max() * 1.001, 40)
        for name, own in found.errors.items():
            left.hist(own, bins=edges, alpha=0.6, label=name)
            right.plot(own, ".", label=name)
        left.set(title=f"{found.size} x {found.size}", xlabel="mean squared error", ylabel="maps", xscale="log")
        right.set(xlabel="map", ylabel="mean squared error", yscale="log")
        left.legend()
        right.legend()
    _save(figure, path)


PICTURES: dict[str, tuple[str, Callable[[StudyResult, Path], None]]] = {
    "thesis-a-maps.png": ("Maps (figures 4.1, 5.1)", maps),
    "thesis-a-curves.png": ("Learning curves (figures 5.3-5.6, 5.8, 5.10)", curves),
    "thesis-a-confusions.png": ("Confusion matrices (figures 5.3-5.6, 5.8, 5.10)", confusions),
    "thesis-a-roc.png": ("ROC, 1 x 1 at random places (figures 5.8, 5.10)", roc),
    "thesis-a-reconstructions.png": ("Autoencoder: error maps (figure 5.12)", reconstructions),
    "thesis-a-errors.png": ("Autoencoder: separation by error (figure 5.13)", errors),
}
"""File name to title and painter."""


def _networks(result: StudyResult) -> list[Row]:
    """Return a row of each training of a network: the one of our recipe is measured on every fault."""
    rows: list[Row] = []
    for row in result.rows:
        if row.history and not any(row.history is r.history for r in rows):
            rows.append(row)
    return rows


def _title(row: Row) -> str:
    return f"{row.model} ({row.recipe})\n{row.fault} {row.place}, {len(row.labels)} classes"


def _canvas(rows: int, columns: int) -> tuple[Any, Any]:
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise HistwatchError("reports need the matplotlib package: pip install 'histwatch[train]'") from error
    figure = Figure(figsize=(4.0 * columns, 3.4 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns, squeeze=False)


def _map(figure: Any, axes: Any, contents: Any, title: str) -> None:
    image = axes.imshow(contents.T, origin="lower", aspect="auto", interpolation="nearest")
    axes.set(title=title, xlabel="ieta bin", ylabel="iphi bin")
    figure.colorbar(image, ax=axes)


def _hide(axes: Any, used: int) -> None:
    for one in axes.flat[used:]:
        one.set_axis_off()


def _save(figure: Any, path: Path) -> None:
    # Without a date and version in it the same result gives the same file.
    figure.savefig(path, dpi=_DPI, metadata={"Software": None})
