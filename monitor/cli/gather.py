"""What the commands that learn have in common: good intervals of recorded runs, of a topic or of a dataset."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

if TYPE_CHECKING:
    from rich.progress import Progress

    from monitor.config import Settings
    from monitor.learn.dataset import Dataset, Provenance
    from monitor.learn.splits import Split
    from monitor.window import Interval, Minimum

T = TypeVar("T")

Select = Annotated[
    list[str] | None,
    typer.Option("--select", metavar="GLOB", help="Only histograms whose path, or its last part, matches."),
]
Pattern = Annotated[
    list[str] | None,
    typer.Option("--pattern", metavar="REGEX", help="How to find run, lumisection and path; see replay --help."),
]
Config = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Configuration: least entries, derived histograms; default: the shipped one."),
]
Seed = Annotated[int, typer.Option(min=0, help="Deals out the runs. Same seed and input, same bytes.")]
Rank = Annotated[int | None, typer.Option(min=0, max=16, help="Modes of the autoencoder; default: as many as pay.")]
Least = Annotated[
    int,
    typer.Option("--minimum", min=3, help="Least number of good intervals a histogram needs for a model."),
]
Version = Annotated[
    str | None, typer.Option(metavar="NAME", help="Name of the version; default: the next number.", show_default=False)
]
Flat = Annotated[bool, typer.Option("--flat", help="Write into DIR itself, over what is there, not a version in it.")]
Classify = Annotated[
    list[str] | None,
    typer.Option(
        metavar="GLOB",
        help="For histograms whose path, or its last part, matches: train a classifier too, which says whether what"
        " alarms is dead or hot, and how surely. 2-D counts only; a minute or two each.",
        show_default=False,
    ),
]
Shadow = Annotated[bool, typer.Option("--shadow", help="Put the version in shadow: judged, counted, never alarming.")]

ENOUGH_RUNS = 40
"""Runs from which on a quarter of them, held out, can show how runs differ; with fewer, calibration goes crosswise,
which takes longer and shows four times the maps."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What to gather, as it was asked for."""

    paths: Sequence[str]
    select: Sequence[str] = ()
    pattern: Sequence[str] = ()
    cumulative: bool | None = None
    config: Path | None = None
    seed: int = 0
    topic: str = ""
    bootstrap_servers: str = ""
    wait_s: float = 10.0


@dataclass(frozen=True, slots=True)
class Work:
    """The progress bar of a command that takes long, and its Ctrl-C."""

    bar: Progress
    check: Callable[[], None]
    """Raises KeyboardInterrupt if there was one that a finaliser swallowed."""

    def track(self, things: Iterable[T], total: int, description: str) -> Iterator[T]:
        """Yield things, and show how many there were."""
        for thing in self.bar.track(things, total=total, description=description):
            self.check()
            yield thing


@contextmanager
def work(quiet: bool) -> Iterator[Work]:
    """Show progress, on a terminal and if not quiet, until the end or Ctrl-C."""
    from monitor.cli.interrupt import surely_interrupted
    from monitor.cli.terminal import progress

    with progress(quiet) as bar, surely_interrupted() as check:
        yield Work(bar, check)


def dataset_at(asked: Asked, shares: Callable[[int], dict[Split, float]], work: Work) -> Dataset:
    """Return the dataset in a Parquet file, or one made of recorded runs or of a topic; says what is skipped.

    Parameters
    ----------
    shares
        Shares of the splits for a number of runs, where the input is not split yet.

    Raises
    ------
    HistwatchError
        For what cannot be read, and where nothing is left to learn from.
    """
    from monitor.cli.terminal import say
    from monitor.errors import SourceError
    from monitor.learn.dataset import dataset_of
    from monitor.learn.parquet import is_parquet, read_dataset
    from monitor.learn.splits import split_runs

    files = [Path(path) for path in asked.paths if is_parquet(Path(path))]
    if files:
        if len(files) > 1 or len(asked.paths) > 1:
            raise SourceError(f"{files[0]}: a dataset stands alone; make one of everything with: histwatch dataset")
        given = {
            "--select": asked.select,
            "--pattern": asked.pattern,
            "--cumulative": asked.cumulative is not None,
            "--config": asked.config,
        }
        for option, value in given.items():
            if value:
                raise SourceError(
                    f"{option}: {files[0]} is a dataset, made already; give the option to: histwatch dataset"
                )
        task = work.bar.add_task("reading dataset", total=None)

        def tell(rows: int, total: int) -> None:
            work.check()
            work.bar.update(task, completed=rows, total=total)

        read = read_dataset(files[0], tell)
        work.bar.remove_task(task)
        return read
    gather = _of_topic if asked.topic else _of_recording
    intervals, provenance = gather(asked, work)
    runs = sorted({i.run for own in intervals.values() for i in own})
    if not runs:
        why = ", ".join(f"{reason} {n}" for reason, n in provenance.skipped.items())
        raise SourceError(
            f"{asked.topic or ', '.join(asked.paths)}: no interval to learn from" + (f"; skipped: {why}" if why else "")
        )
    wanted = shares(len(runs))
    splits, note = split_runs(runs, wanted, asked.seed)
    if note:
        say(note)
    arguments = {**provenance.arguments, "seed": asked.seed, "splits": dict(wanted)}
    return dataset_of(intervals, splits, provenance.model_copy(update={"note": note, "arguments": arguments}))


def _of_recording(asked: Asked, work: Work) -> tuple[dict[str, list[Interval]], Provenance]:
    from monitor.cli import common
    from monitor.cli.replay import say_without_run
    from monitor.cli.terminal import say
    from monitor.learn.dataset import source_files
    from monitor.learn.recorded import gather_intervals
    from monitor.service.build import build_derivations
    from monitor.source.naming import Naming
    from monitor.source.recording import Recording
    from monitor.source.table import marks_of
    from producers.replay import Skips

    settings, source = common.settings_at(asked.config)
    skips = Skips()
    recording = Recording(
        asked.paths,
        naming=Naming(asked.pattern),
        select=asked.select,
        cumulative=asked.cumulative,
        on_skip=skips,
    )
    common.require_histograms(recording, asked.paths, asked.select, skips)
    say_without_run([str(path) for path in recording.without_run])
    intervals = gather_intervals(
        work.track(recording, len(recording), "reading"),
        minimum_of(settings),
        build_derivations(settings, str(source)),
    )
    common.say_skips(skips)
    for file in recording.files:
        for mark in marks_of(file):
            say(f"{file.name}: its column '{mark}' is not looked at, every line is taken for good; keep only good ones")
    files = source_files(recording.files)
    return intervals, _provenance(asked, settings, dict(sorted(skips.counts.items()))).model_copy(
        update={"files": files}
    )


def _of_topic(asked: Asked, work: Work) -> tuple[dict[str, list[Interval]], Provenance]:
    from monitor.cli import common
    from monitor.cli.terminal import say
    from monitor.learn.dataset import SourceTopic
    from monitor.learn.recorded import gather_intervals
    from monitor.service.build import build_derivations
    from monitor.source.naming import matches
    from monitor.source.topic import TopicRecording

    settings, source = common.settings_at(asked.config)
    topic = TopicRecording(asked.bootstrap_servers, asked.topic, asked.wait_s)
    snapshots = work.track(topic, len(topic), f"reading {asked.topic}")
    intervals = gather_intervals(
        (s for s in snapshots if matches(s.path, asked.select)),
        minimum_of(settings),
        build_derivations(settings, str(source)),
    )
    if topic.rejected:
        say(f"skipped {topic.rejected.total()}: {common.count_words((k, n) for k, n in topic.rejected.items())}")
    where = SourceTopic(topic=asked.topic, offsets=topic.offsets)
    return intervals, _provenance(asked, settings, dict(sorted(topic.rejected.items()))).model_copy(
        update={"topic": where}
    )


def _provenance(asked: Asked, settings: Settings, skipped: dict[str, int]) -> Provenance:
    from monitor.learn.dataset import Provenance

    arguments = {
        "select": list(asked.select),
        "pattern": list(asked.pattern),
        "cumulative": asked.cumulative,
        "derive": [one.model_dump(mode="json") for one in settings.derive],
        "minimum": [
            {"match": list(t.match), "entries": t.minimum_entries, "lumisections": t.minimum_lumisections}
            for t in settings.types
        ],
    }
    return Provenance(arguments=arguments, skipped=skipped)


def minimum_of(settings: Settings) -> Callable[[str], Minimum]:
    """Return what an interval must hold to be judged, and so to be learned from, by ``stream/path``."""
    from fnmatch import fnmatchcase
    from functools import cache

    from monitor.window import Minimum

    @cache
    def minimum(key: str) -> Minimum:
        one = next((t for t in settings.types if any(fnmatchcase(key, glob) for glob in t.match)), None)
        return Minimum(one.minimum_entries, one.minimum_lumisections) if one else Minimum()

    return minimum
