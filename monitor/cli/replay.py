"""``histwatch replay``: recorded runs to Kafka, as if they were taken now."""

from __future__ import annotations

import math
import time
from enum import StrEnum
from typing import Annotated

import typer

from monitor.cli.interrupt import interruptible
from monitor.cli.options import Cumulative
from monitor.cli.terminal import emit, progress, say
from monitor.errors import HistwatchError, SourceError

FLUSH_S = 0.4
"""How long an interrupted replay waits for what is under way."""


class Compression(StrEnum):
    """Compression of the records."""

    NONE = "none"
    GZIP = "gzip"
    LZ4 = "lz4"
    ZSTD = "zstd"


def _speed(text: str) -> float:
    if text.strip().lower() == "max":
        return 0.0
    try:
        speed = float(text)
    except ValueError:
        speed = math.nan
    if not 0 <= speed < math.inf:
        raise typer.BadParameter(f"{text!r} is neither a number such as 1 or 10 nor 'max'")
    return speed


def replay(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH...", help="ROOT files, tables (.csv), folders of them, globs.", show_default=False
        ),
    ],
    bootstrap_servers: Annotated[
        str, typer.Option(envvar="HISTWATCH_BOOTSTRAP", help="Kafka broker, host:port; several with commas.")
    ] = "127.0.0.1:9092",
    topic: Annotated[str, typer.Option(help="Where to publish.")] = "dqm.histograms",
    create_topic: Annotated[
        bool | None,
        typer.Option(
            "--create-topic/--no-create-topic",
            help="Create a topic that does not exist. Default: on this machine only.",
            show_default=False,
        ),
    ] = None,
    speed: Annotated[
        float,
        typer.Option(
            parser=_speed,
            metavar="FACTOR",
            help="1 = real time, N = N times as fast, max = as fast as possible. Gaps between runs are cut short.",
        ),
    ] = "10",  # type: ignore[assignment]  # parsed by _speed
    cumulative: Cumulative = None,
    loop: Annotated[bool, typer.Option("--loop", help="Begin again at the end, until interrupted.")] = False,
    select: Annotated[
        list[str] | None,
        typer.Option(metavar="GLOB", help="Only histograms whose path, or its last part, matches. Repeatable."),
    ] = None,
    pattern: Annotated[
        list[str] | None,
        typer.Option(
            metavar="REGEX",
            help="Tells run, ls, path or stream by named groups, as in 'r(?P<run>[0-9]+)_(?P<ls>[0-9]+)', from a"
            " histogram's name or its file's path, before the built-in patterns do. Repeatable.",
        ),
    ] = None,
    stream: Annotated[
        str | None, typer.Option(help="Name of the stream.", show_default="the folder of the file")
    ] = None,
    compression: Annotated[Compression, typer.Option(help="Compression of the records.")] = Compression.NONE,
    wait: Annotated[float, typer.Option(min=0, metavar="SECONDS", help="How long to wait for the broker.")] = 10.0,
    json: Annotated[bool, typer.Option("--json", help="The summary as one JSON line on stdout.")] = False,
) -> int:
    """Publish recorded runs to Kafka, as if they were taken now.

    Run, lumisection and time of the recording stay in the payload. What cannot be sent is counted and named.
    """
    from monitor.source.naming import Naming
    from monitor.source.recording import Recording
    from producers.publish import Publisher
    from producers.replay import Outcome, Pace, Skips
    from producers.replay import replay as send_all

    skips = Skips()
    recording = Recording(
        paths, naming=Naming(pattern or (), stream), select=select or (), cumulative=cumulative, on_skip=skips
    )
    if not len(recording):
        why = [f"no path matches {' or '.join(select)}"] if select else []
        why += [f"skipped: {skips.words()}"] if skips.counts else []
        raise SourceError(f"nothing to replay in {', '.join(paths)}: {'; '.join(why) or 'no ROOT file, no table'}")
    say_without_run([str(path) for path in recording.without_run])
    started = time.monotonic()
    with interruptible() as stop:
        try:
            with (
                Publisher(
                    bootstrap_servers,
                    topic,
                    create_topic=create_topic,
                    compression=compression.value,
                    wait_s=wait,
                    stop=stop,
                ) as publisher,
                progress(quiet=json) as bar,
            ):
                task = bar.add_task(f"replay to {topic}", total=None if loop else len(recording))

                def tell(outcome: Outcome) -> None:
                    bar.update(task, completed=outcome.sent)

                outcome = send_all(
                    recording, publisher, Pace(speed or None), skips=skips, stop=stop, loop=loop, tell=tell
                )
                # Interrupted now or while this waits: a last short one.
                if not publisher.flush():
                    publisher.flush(FLUSH_S)
        except HistwatchError:
            if stop.is_set():
                raise KeyboardInterrupt from None
            raise
    seconds = time.monotonic() - started
    lost = outcome.sent - publisher.delivered
    if json:
        emit(
            {
                "event": "replayed",
                "topic": topic,
                "bootstrap_servers": bootstrap_servers,
                "sent": publisher.delivered,
                "unacknowledged": lost,
                "by_kind": dict(sorted(outcome.by_kind.items())),
                "runs": sorted(outcome.runs),
                "passes": outcome.passes,
                "skipped": skips.record(),
                "seconds": round(seconds, 3),
                "interrupted": outcome.interrupted,
            }
        )
    else:
        kinds = ", ".join(f"{kind} {n}" for kind, n in sorted(outcome.by_kind.items())) or "none"
        say(
            f"sent {publisher.delivered} snapshots ({kinds}) of {len(outcome.runs)} runs to {topic} at"
            f" {bootstrap_servers} in {seconds:.1f} s" + (f"; {lost} not acknowledged" if lost else "")
        )
        if skips.counts:
            say(f"skipped {skips.counts.total()}: {skips.words()}")
    if outcome.interrupted:
        return 130
    if not outcome.sent:
        raise SourceError(f"nothing in {', '.join(paths)} could be sent: {skips.words()}")
    return 0


def say_without_run(files: list[str]) -> None:
    """Tell a person which files are in run 0 for want of a number, if any."""
    if files:
        more = f" (and {len(files) - 1} more files)" if len(files) > 1 else ""
        say(f"{files[0]}{more}: no run number in the names, taken as run 0; tell it with --pattern '(?P<run>[0-9]+)'")
