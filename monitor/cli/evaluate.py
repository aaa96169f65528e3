"""``histwatch evaluate``: detectors and baselines on good and faulty histograms."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def evaluate(
    suite: Annotated[
        str,
        typer.Argument(
            help="thesis-a, thesis-b, ecal-recipe, simultaneous, false-alarms (simulated); real-maps, certified-1d "
            "(need --data); bring-your-own (needs --good and --bad).",
            metavar="SUITE",
        ),
    ],
    data: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of recorded detector data, for real-maps, certified-1d.")
    ] = None,
    good: Annotated[
        list[str] | None,
        typer.Option(metavar="PATH", help="Good recordings, for bring-your-own: files, folders or globs; repeatable."),
    ] = None,
    bad: Annotated[
        list[str] | None, typer.Option(metavar="PATH", help="Bad recordings, for bring-your-own; repeatable.")
    ] = None,
    types: Annotated[str, typer.Option(metavar="GLOB", help="Only histogram types whose name matches.")] = "*",
    detectors: Annotated[
        list[str] | None,
        typer.Option(metavar="NAMES", help="Names or globs of detectors and baselines, by commas; repeatable."),
    ] = None,
    scale: Annotated[float, typer.Option(help="Multiple of the number of maps.")] = 1.0,
    seed: Annotated[int, typer.Option(min=0, help="Of everything random.")] = 0,
    report: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write a README.md with tables and pictures there.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One row a line on stdout, as JSON.")] = False,
) -> int:
    """Measure every detector on the same good and faulty histograms; exit 0 when done."""
    from monitor.cli.terminal import emit, printable, progress, say
    from monitor.errors import HistwatchError
    from monitor.learn.evaluate.report import write_report
    from monitor.learn.evaluate.suite import Options, suite_named

    if not 0.0 < scale <= 1000.0:
        raise HistwatchError(f"--scale {scale:g}: must be above 0, 1000 at most")
    chosen = suite_named(suite)
    names = tuple(name.strip() for text in detectors or () for name in text.split(",") if name.strip())
    options = Options(
        seed=seed,
        scale=scale,
        types=types,
        detectors=names,
        data=data,
        good=tuple(good or ()),
        bad=tuple(bad or ()),
    )
    rows = []
    with progress() as bar:
        task = bar.add_task(suite, total=None)

        def tell(done: int, of: int, what: str) -> None:
            bar.update(task, completed=done, total=of, description=f"{suite}: {printable(what)}")

        for row in chosen.run(options, tell):
            rows.append(row)
            if json:
                emit(row.to_json())
            else:
                area = "" if row.area is None else f"{row.area.value:.4f}"
                typer.echo(printable(f"{area:6s}  {row.detector}  {row.unit}  {row.type}  {row.what}{_more(row)}"))
    if report is not None:
        say(f"report written to {write_report(chosen, rows, options, report)}")
    say(f"{len(rows)} rows measured")
    return 0


def _more(row: object) -> str:
    from monitor.learn.evaluate.rows import Row
    from monitor.learn.evaluate.tables import number

    assert isinstance(row, Row)
    words = [f"{name} {text}" for name, value in row.figures.items() if (text := number(value))]
    return f"  ({', '.join(words)})" if words else ""
