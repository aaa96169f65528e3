"""A suite's report: Markdown with tables and pictures in one folder."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from monitor.errors import HistwatchError
from monitor.learn.evaluate.rows import Row
from monitor.learn.evaluate.suite import Attaching, Options, Part, Suite

NAME = "README.md"
_DPI = 90


def write_report(suite: Suite, rows: Sequence[Row], options: Options, folder: Path) -> Path:
    """Write the report and its pictures; return the Markdown file.

    The pictures come first: a folder with the Markdown file has all of them.

    Raises
    ------
    HistwatchError
        If matplotlib is missing or the folder cannot be written to.
    """
    lines = [f"# {suite.title}", "", f"Made by `{command(suite.name, options)}`.", "", suite.words, ""]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if isinstance(suite, Attaching):
            suite.attach(folder)
        for number, part in enumerate(suite.parts(rows), start=1):
            lines += [f"## {part.title}", ""]
            if part.words:
                lines += [part.words, ""]
            if part.header:
                lines += [*_table(part), ""]
            if part.paint is not None:
                name = f"{number:02d}-{_slug(part.title)}.png"
                _paint(part, folder / name)
                lines += [f"![{part.title}]({name})", ""]
        path = folder / NAME
        whole = path.with_name(f".{NAME}.part")
        whole.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")
        whole.replace(path)
    except OSError as error:
        raise HistwatchError(f"--report {folder}: cannot be written to, {error.strerror}") from error
    return path


def command(name: str, options: Options) -> str:
    """Return the command that gives the same rows; folders are left for the reader to fill in."""
    words = ["histwatch evaluate", name, f"--seed {options.seed}"]
    if options.scale != 1.0:
        words.append(f"--scale {options.scale:g}")
    if options.types != "*":
        words.append(f"--types '{options.types}'")
    words += [f"--detectors '{d}'" for d in options.detectors]
    words += ["--data DIR"] if options.data else []
    words += ["--good PATH"] if options.good else []
    words += ["--bad PATH"] if options.bad else []
    return " ".join(words)


def _table(part: Part) -> list[str]:
    rows = [part.header, ["---"] * len(part.header), *part.lines]
    return ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]


def _paint(part: Part, path: Path) -> None:
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise HistwatchError("reports need the matplotlib package: pip install 'histwatch[train]'") from error
    figure: Any = Figure(figsize=(9.0, 6.0), layout="constrained")
    FigureCanvasAgg(figure)
    assert part.paint is not None
    part.paint(figure)
    # Without a date and version in it the same rows give the same file.
    figure.savefig(path, dpi=_DPI, metadata={"Software": None})


def _slug(title: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:60]
