"""What several commands share: the shipped files, and settings with their folder."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from monitor.cli.terminal import progress, say
from monitor.config import Settings, load_settings
from monitor.detect.base import Expected
from monitor.errors import ConfigurationError, SourceError
from monitor.learn.recorded import gather_intervals, learn_expectations
from monitor.snapshot import Snapshot
from monitor.source.naming import Naming
from monitor.source.recording import Recording
from monitor.window import Derivation
from producers.replay import Skips

SHIPPED = "monitor.yaml"
_NAMED = 5


def shipped_config() -> Path:
    """Return the configuration that comes with histwatch: beside the source, or where it was installed.

    Raises
    ------
    ConfigurationError
        If the installation lacks it.
    """
    for folder in (Path(__file__).parents[2] / "config", Path(sys.prefix) / "share" / "histwatch" / "config"):
        if (folder / SHIPPED).is_file():
            return folder / SHIPPED
    raise ConfigurationError(f"the shipped {SHIPPED} is not installed; name a configuration with --config")


def settings_at(config: Path | None) -> tuple[Settings, Path]:
    """Return settings and their file; None means the shipped ones."""
    path = config or shipped_config()
    return load_settings(path), path


def say_skips(skips: Skips) -> None:
    """Tell a person what was not read, if anything."""
    if skips.counts:
        say(f"skipped {skips.counts.total()}: {skips.words()}")


def require_histograms(recording: Recording, paths: Sequence[str], select: Sequence[str], skips: Skips) -> None:
    """Raise `SourceError`, saying why, if a recording holds nothing."""
    if not len(recording):
        why = [f"no path matches {' or '.join(select)}"] if select else []
        why += [f"skipped: {skips.words()}"] if skips.counts else []
        raise SourceError(f"no histogram in {', '.join(paths)}: {'; '.join(why) or 'no ROOT file, no table'}")


def learn_references(
    paths: Sequence[str],
    select: Sequence[str],
    quiet: bool,
    naming: Naming | None = None,
    derivations: Sequence[Derivation] = (),
) -> dict[str, Expected]:
    """Learn what the histograms of recorded good runs show, and what is derived of them; says what it skips."""
    skips = Skips()
    recording = Recording(paths, naming=naming, select=select, on_skip=skips)
    require_histograms(recording, paths, select, skips)
    with progress(quiet) as bar:
        intervals = gather_intervals(
            bar.track(recording, total=len(recording), description="reading references"), derivations=derivations
        )
        refused: list[str] = []
        left_out: list[str] = []
        expected = learn_expectations(
            dict(bar.track(intervals.items(), total=len(intervals), description="learning")),
            lambda _key, reason: refused.append(reason),
            lambda key, words: left_out.append(f"{key}: {words}"),
        )
    say_skips(skips)
    for reason in refused[:_NAMED]:
        say(f"no reference: {reason}")
    for words in left_out[:_NAMED]:
        say(words)
    if len(left_out) > _NAMED:
        say(f"and {len(left_out) - _NAMED} more histograms with references left out")
    runs = ", ".join(map(str, recording.runs))
    say(f"learned {len(expected)} histograms from run{'s' if len(recording.runs) != 1 else ''} {runs}")
    return expected


def count_words(counts: Iterable[tuple[str, int]]) -> str:
    """Return ``3 GOOD, 1 BAD``."""
    return ", ".join(f"{number} {name}" for name, number in counts if number)


def learn_own_references(
    recording: Recording,
    runs: Sequence[int],
    last_lumisection: int,
    quiet: bool,
    derivations: Sequence[Derivation] = (),
) -> dict[str, Expected]:
    """Learn from the first runs of a recording, or (`last_lumisection` not -1) from the beginning of its only run."""

    def beginning() -> Iterator[Snapshot]:
        for snapshot in recording:
            if snapshot.run not in runs or (last_lumisection >= 0 and snapshot.lumisection > last_lumisection):
                return
            yield snapshot

    with progress(quiet) as bar:
        task = bar.add_task("learning from the first runs", total=None)
        expected = learn_expectations(gather_intervals(beginning(), derivations=derivations))
        bar.remove_task(task)
    if not quiet:
        part = f", lumisections to {last_lumisection}" if last_lumisection >= 0 else ""
        say(f"learned {len(expected)} histograms from run {', '.join(map(str, runs))}{part}; compared with that")
    return expected


def free_or_any(port: int) -> int:
    """Return a port if it is free on the loopback interface, else 0 for any."""
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return 0
    return port
