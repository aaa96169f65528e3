"""The report of the study: each figure and number of thesis A beside ours, in Markdown with pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from monitor.errors import HistwatchError
from monitor.learn.files import write_bytes
from monitor.learn.thesis_a.figures import AUTOENCODER, BEST_STATED
from monitor.learn.thesis_a.pictures import PICTURES
from monitor.learn.thesis_a.results import Reconstruction, Row, StudyResult

NAME = "thesis-a-report.md"


def write_report(result: StudyResult, folder: Path) -> Path:
    """Write the report and its pictures, all of simulated maps; return the Markdown file.

    The pictures come first: a folder with the Markdown file has all of them.

    Raises
    ------
    HistwatchError
        If matplotlib is missing or the folder cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, (_, paint) in PICTURES.items():
            paint(result, folder / name)
        path = folder / NAME
    except OSError as error:
        raise HistwatchError(f"{folder}: the report cannot be written, {error.strerror}") from error
    write_bytes(path, text_of(result).encode())
    return path


def text_of(result: StudyResult) -> str:
    """Return the report as Markdown; its pictures are named beside it."""
    budget = result.budget
    best = max(r.accuracy for r in result.rows if r.recipe == "ours" and (r.size, r.place) == (1, "random"))
    lines = [
        "# Thesis A: classifiers and autoencoder, on simulated maps",
        "",
        f"`run_study(seed={result.seed}, scale={result.scale:g})`: {budget.train} maps of each "
        f"class to train, {budget.test} to test, {budget.epochs} epochs; everything below is measured on maps that "
        "were not trained on. The thesis used recorded maps; ours are simulated. Numbers that the thesis shows in a "
        "picture only are not in its text, and are given here as the words that it has for them.",
        "",
        f"**1 x 1 faults at random places, three classes: best accuracy stated {BEST_STATED:.3f}, ours {best:.3f}.**",
        "",
        "## Classifiers",
        "",
        "`good`, `hot`, `dead`: area under the ROC curve, that class against the rest. The accuracy has its 95 % "
        "interval (bootstrap over the maps). A guess is right in a third of the cases, of two classes in half.",
        "",
        *_table(result.rows, result.seed),
        "",
        "## Confusion matrices, 1 x 1 at random places",
        "",
        *_confusions([r for r in result.rows if (r.size, r.place, len(r.labels)) == (1, "random", 3)]),
        "",
        "## Autoencoder",
        "",
        f"The thesis: {AUTOENCODER.words} ({AUTOENCODER.source}; 5 x 5). Mean squared error of a map of each class, "
        "and how well it tells the class from good maps (area under the ROC curve).",
        "",
        *_reconstructions(result.reconstructions),
        "",
    ]
    for name, (title, _) in PICTURES.items():
        lines += [f"## {title}", "", f"![{title}]({name})", ""]
    return "\n".join(lines)


def _table(rows: Sequence[Row], seed: int) -> list[str]:
    lines = [
        "| fault | place | model | recipe | the thesis says | accuracy here | good | hot | dead | good + bad maps |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        low, high = row.accuracy_interval(seed)
        auc = row.auc_by_label
        areas = " | ".join(f"{auc[name]:.4f}" if name in auc else "" for name in ("good", "hot", "dead"))
        lines.append(
            f"| {row.fault} | {row.place} | {row.model} | {row.recipe} | {_stated(row)} | "
            f"{row.accuracy:.3f} ({low:.3f}-{high:.3f}) | {areas} | {row.n_good} + {row.n_bad} |"
        )
    return lines


def _stated(row: Row) -> str:
    if row.stated is None:
        return ""
    value = "" if row.stated.accuracy is None else f"{row.stated.accuracy:.2f}, "
    return f"{value}{row.stated.words} ({row.stated.source})"


def _confusions(rows: Sequence[Row]) -> list[str]:
    lines = ["| model | recipe | true class | given: good | hot | dead |", "|---|---|---|---|---|---|"]
    for row in rows:
        for label, counts in zip(row.labels, row.confusion, strict=True):
            lines.append(f"| {row.model} | {row.recipe} | {label} | {' | '.join(map(str, counts))} |")
    return lines


def _reconstructions(found: Sequence[Reconstruction]) -> list[str]:
    lines = ["| fault | class | mean error | area under the curve |", "|---|---|---|---|"]
    for one in found:
        for name, errors in one.errors.items():
            area = "" if name == "good" else f"{one.auc(name):.4f}"
            lines.append(f"| {one.size} x {one.size} | {name} | {errors.mean():.3g} | {area} |")
    return lines
