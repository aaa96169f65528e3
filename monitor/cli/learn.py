"""``histwatch learn``: models from recorded good runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from monitor.cli.options import Cumulative


def learn(
    paths: Annotated[list[str], typer.Argument(help="Recorded good runs: files, folders or globs.", metavar="PATH...")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Where to write the *.onnx files.")],
    select: Annotated[
        list[str] | None,
        typer.Option("--select", metavar="GLOB", help="Only histograms whose path, or its last part, matches."),
    ] = None,
    pattern: Annotated[
        list[str] | None,
        typer.Option("--pattern", metavar="REGEX", help="How to find run, lumisection and path; see replay --help."),
    ] = None,
    cumulative: Cumulative = None,
    rank: Annotated[
        int | None, typer.Option(min=0, max=16, help="Modes of the autoencoder; default: as many as pay.")
    ] = None,
    version: Annotated[str, typer.Option(help="Version to write into the cards.")] = "1",
    minimum: Annotated[
        int, typer.Option(min=3, help="Least number of good intervals a histogram needs for a model.")
    ] = 6,
    config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Configuration; default: the shipped one.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One model a line on stdout, as JSON.")] = False,
) -> int:
    """Train one autoencoder per histogram and write it as ONNX with its card; exit 1 if some could not be made."""
    from monitor.cli import common
    from monitor.cli.terminal import complain, emit, progress, say
    from monitor.errors import HistwatchError
    from monitor.learn.autoencoder import train
    from monitor.learn.models import model_file_name
    from monitor.learn.recorded import gather_intervals
    from monitor.service.build import build_catalogue, build_derivations
    from monitor.source.naming import Naming
    from monitor.source.recording import Recording
    from monitor.window import Minimum
    from producers.replay import Skips

    settings, source = common.settings_at(config)
    rules, _ = build_catalogue(
        settings.model_copy(update={"models": settings.models.model_copy(update={"directory": None})}),
        source.parent,
        str(source),
    )

    def minimum_of(key: str) -> Minimum:
        rule = rules[key].rule
        return rule.minimum if rule else Minimum()

    skips = Skips()
    recording = Recording(
        paths, naming=Naming(pattern or ()), select=select or (), cumulative=cumulative, on_skip=skips
    )
    refused: list[str] = []
    written = 0
    with progress(json) as bar:
        intervals = gather_intervals(
            bar.track(recording, total=len(recording), description="reading"),
            minimum_of,
            build_derivations(settings, str(source)),
        )
        try:
            output.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise HistwatchError(f"--output {output}: cannot be made, {error.strerror}") from error
        for key, own in bar.track(sorted(intervals.items()), total=len(intervals), description="training"):
            filled = [i for i in own if i.total > 0]
            if len(filled) < minimum:
                refused.append(f"{key}: {len(filled)} good intervals with content, {minimum} needed")
                continue
            try:
                content, card = train(filled, name=model_file_name(key), version=version, rank=rank)
            except HistwatchError as error:
                refused.append(str(error))
                continue
            # Written whole or not at all: an interrupted run leaves no half model.
            part = output / f".{card.name}.part"
            try:
                part.write_bytes(content)
                part.replace(output / f"{card.name}.onnx")
            except OSError as error:
                raise HistwatchError(f"--output {output}: cannot be written to, {error.strerror}") from error
            written += 1
            if json:
                emit({"model": card.name, "histograms": list(card.histogram_types), "references": card.references})
    common.say_skips(skips)
    for reason in refused:
        complain(reason)
    say(f"{written} models written to {output}")
    return 1 if refused else 0
