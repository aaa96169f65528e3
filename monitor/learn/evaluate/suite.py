"""The suites by name, and what each is given and must give."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from monitor.errors import HistwatchError
from monitor.learn.evaluate.rows import Row

Tell = Callable[[int, int, str], None]
"""Called with the number of steps done, of all, and what is done next."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a person may ask of a suite."""

    seed: int = 0
    scale: float = 1.0
    """Multiple of the number of maps."""
    types: str = "*"
    """Glob of histogram types."""
    detectors: tuple[str, ...] = ()
    """Globs of detectors and baselines; none: the suite's own choice."""
    data: Path | None = None
    """Folder of recorded detector data."""
    good: tuple[str, ...] = ()
    bad: tuple[str, ...] = ()
    """Recordings: files, folders or globs."""

    def count(self, number: int, least: int = 2) -> int:
        """Return a number of maps, scaled."""
        return max(least, round(number * self.scale))

    def chosen(self, names: Sequence[str], suite: str) -> list[str]:
        """Return the names of types that are asked for.

        Raises
        ------
        HistwatchError
            If there are none.
        """
        found = [name for name in names if fnmatchcase(name, self.types)]
        if not found:
            raise HistwatchError(f"--types {self.types}: suite {suite} has none; known are {', '.join(names)}")
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One section of a report."""

    title: str
    words: str = ""
    header: Sequence[str] = ()
    lines: Sequence[Sequence[str]] = ()
    """Of a table, which has a header."""
    paint: Callable[[Any], None] | None = None
    """Draws into an empty figure of matplotlib; None: no picture."""


class Suite(Protocol):
    """A benchmark."""

    name: str
    title: str
    words: str
    """What it is, for the report."""

    def run(self, options: Options, tell: Tell) -> Iterator[Row]:
        """Measure; rows come as they are found. Same options, same rows."""
        ...

    def parts(self, rows: Sequence[Row]) -> list[Part]:
        """Return what a report shows of the rows."""
        ...


@runtime_checkable
class Attaching(Protocol):
    """A suite that writes a further report of its own."""

    def attach(self, folder: Path) -> Path | None:
        """Write it into the folder and return its file; None if there is nothing to write."""
        ...


def _make(place: str) -> Suite:
    # JAX and scikit-learn take seconds to import: who asks for one suite must not wait for what others need.
    module, _, name = place.partition(":")
    suite: Suite = getattr(import_module(f"monitor.learn.evaluate.{module}"), name)()
    return suite


SUITES: Mapping[str, Callable[[], Suite]] = {
    name: partial(_make, place)
    for name, place in {
        "thesis-a": "thesis_a:ThesisA",
        "thesis-b": "thesis_b:ThesisB",
        "ecal-recipe": "ecal:EcalRecipe",
        "real-maps": "real_maps:RealMaps",
        "certified-1d": "certified:Certified",
        "simultaneous": "simultaneous:Simultaneous",
        "false-alarms": "false_alarms:FalseAlarms",
        "bring-your-own": "own:BringYourOwn",
    }.items()
}


def suite_named(name: str) -> Suite:
    """Return a suite.

    Raises
    ------
    HistwatchError
        If there is no such suite.
    """
    if name not in SUITES:
        raise HistwatchError(f"no suite '{name}'; known are {', '.join(SUITES)}")
    return SUITES[name]()


def data_folder(options: Options, suite: str, folder: str) -> Path:
    """Return a folder of the recorded data.

    Raises
    ------
    HistwatchError
        If it was not named or is not there.
    """
    if options.data is None:
        raise HistwatchError(f"suite {suite} needs recorded data: say where it is with --data DIR")
    path = options.data / folder
    if not path.is_dir():
        raise HistwatchError(f"--data {options.data}: has no folder {folder}, which suite {suite} reads")
    return path
