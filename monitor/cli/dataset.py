"""``histwatch dataset``: good intervals as Parquet."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from monitor.cli.gather import Config, Pattern, Seed, Select
from monitor.cli.options import Cumulative


def dataset(
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE.parquet", help="Where to write it.")],
    paths: Annotated[
        list[str] | None,
        typer.Argument(help="Recorded good runs: files, folders or globs.", metavar="PATH...", show_default=False),
    ] = None,
    from_topic: Annotated[
        str,
        typer.Option(metavar="TOPIC", help="Read a Kafka topic, from its beginning to its present end, instead."),
    ] = "",
    bootstrap_servers: Annotated[
        str, typer.Option(envvar="HISTWATCH_BOOTSTRAP", help="Kafka broker, host:port; several with commas.")
    ] = "127.0.0.1:9092",
    wait: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="How long to wait for the broker, and for what it holds.")
    ] = 10.0,
    train: Annotated[float, typer.Option(min=0, max=1, help="Share of the runs to train on.")] = 0.6,
    calibrate: Annotated[float, typer.Option(min=0, max=1, help="Share of the runs to calibrate with.")] = 0.2,
    test: Annotated[float, typer.Option(min=0, max=1, help="Share of the runs kept for tests.")] = 0.2,
    seed: Seed = 0,
    select: Select = None,
    pattern: Pattern = None,
    cumulative: Cumulative = None,
    config: Config = None,
    json: Annotated[bool, typer.Option("--json", help="The summary as one JSON line on stdout.")] = False,
) -> int:
    """Gather good intervals into a Parquet file, a row each, with where they came from and a split by run.

    The same input gives the same bytes.
    """
    from monitor.cli.gather import Asked, dataset_at, work
    from monitor.cli.terminal import emit, say
    from monitor.errors import ConfigurationError, SourceError
    from monitor.learn.parquet import is_parquet, write_dataset
    from monitor.learn.splits import SPLITS, parse_fractions

    if bool(paths) == bool(from_topic):
        raise ConfigurationError("name either recorded good runs, PATH..., or a topic, --from-topic TOPIC")
    if any(is_parquet(Path(path)) for path in paths or ()):
        raise SourceError("PATH...: is a dataset already; name recorded runs")
    if output.exists() and not is_parquet(output):
        raise SourceError(f"--output {output}: is there and no dataset; name another file")
    shares = parse_fractions(train, calibrate, test)
    asked = Asked(
        paths or (),
        select=select or (),
        pattern=pattern or (),
        cumulative=cumulative,
        config=config,
        seed=seed,
        topic=from_topic,
        bootstrap_servers=bootstrap_servers,
        wait_s=wait,
    )
    with work(json) as at_work:
        made = dataset_at(asked, lambda _runs: shares, at_work)
        task = at_work.bar.add_task("writing", total=len(made))

        def tell(rows: int) -> None:
            at_work.check()
            at_work.bar.advance(task, rows)

        write_dataset(made, output, tell)
    runs = {split: list(made.runs(split)) for split in SPLITS}
    if json:
        emit(
            {
                "event": "dataset",
                "file": str(output),
                "rows": len(made),
                "histograms": len(made.intervals),
                "runs": runs,
                "sha256_of_rows": made.digest,
                "skipped": made.provenance.skipped,
                "note": made.provenance.note,
            }
        )
    else:
        dealt = ", ".join(f"{len(of)} to {split}" for split, of in runs.items())
        say(f"{len(made)} intervals of {len(made.intervals)} histograms written to {output}; runs: {dealt}")
    return 0
