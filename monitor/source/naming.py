"""Which run, lumisection, stream and path a recorded histogram has, told from the names around it.

For each of them the first source that says something wins:

1. the user's patterns, in their order, on the histogram's name in its file and then on the file's path,
2. the built-in patterns on the histogram's name, on the directories in the file, on the name of the file and on the
   folders around it.

What a pattern recognised in the histogram's name is cut out of the path, so that all lumisections of one histogram
share one path.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import PurePath

from monitor.decode.validate import MAX_LUMISECTION, MAX_RUN
from monitor.errors import ConfigurationError

FOLDERS = 3
"""Number of folders above a file that are searched for a run."""
DEFAULT_STREAM = "files"
"""Stream of a file whose folder has no name that could serve."""

_GROUPS = {
    "run": "run",
    "lumisection": "lumisection",
    "ls": "lumisection",
    "path": "path",
    "histogram": "path",
    "stream": "stream",
}

_NAME = re.compile(
    r"^run[ _-]?(?P<run>[0-9]+)(?:[ _-](?:ls|lb|lumi)[ _-]?(?P<lumisection>[0-9]+))?[ _-](?=.)", re.IGNORECASE
)
"""Start of a histogram's own name: ``run306138_ls1_Hcal_DigiTask``."""
_DIRECTORY = re.compile(
    r"run[ _-]?(?P<run>[0-9]+)"
    r"|(?:ls|lb|lumi[ _-]?(?:section|block)?)[ _-]?(?P<lumisection>[0-9]+)"
    r"|by lumi section (?P<range>[0-9]+)-[0-9]+"
    r"|dqmdata|run summary",
    re.IGNORECASE,
)
"""A directory in a file that is no part of the path: ``run_366142``, ``ls_0012``, ``Run 123456``, ``Run summary``."""
_FILE_RUNS = (
    re.compile(r"(?<![a-z0-9])run[ _-]?(?P<run>[0-9]{4,18})(?![a-z0-9])", re.IGNORECASE),
    # DQM_V0001_Hcal_R000306138.root
    re.compile(r"_R(?P<run>[0-9]{9})(?![0-9])"),
    # LEDtest295401, IHCALMON_cosmic_45022_1000ADC, hist_sum_30730_30788: the first number of five to seven digits.
    re.compile(r"(?<![0-9])(?P<run>[0-9]{5,7})(?![0-9])"),
    re.compile(r"(?<![a-z0-9])run[ _-]?(?P<run>[0-9]+)(?![a-z0-9])", re.IGNORECASE),
)
# A range of lumisections, ls1-10, says nothing about one histogram.
_FILE_LUMISECTION = re.compile(
    r"(?<![a-z0-9])(?:ls|lb|lumi(?:section|block)?)[ _-]?(?P<lumisection>[0-9]+)(?![a-z0-9]|-[0-9])", re.IGNORECASE
)
# "Run2" is a period of the LHC, "run_2" and "run2017" are runs.
_FOLDER_RUN = re.compile(r"run(?:[ _-](?P<run>[0-9]+)|(?P<long>[0-9]{4,18}))", re.IGNORECASE)
_FOLDER_LUMISECTION = re.compile(r"(?:ls|lb|lumi(?:section|block)?)[ _-]?(?P<lumisection>[0-9]+)", re.IGNORECASE)


def matches(path: str, globs: Sequence[str]) -> bool:
    """Tell whether a histogram is selected: whether a glob matches its whole path or its last part.

    Case counts; ``*`` also matches ``/``. No globs at all select everything.
    """
    if not globs:
        return True
    last = path.rsplit("/", 1)[-1]
    return any(fnmatchcase(path, glob) or fnmatchcase(last, glob) for glob in globs)


@dataclass(frozen=True, slots=True)
class Identity:
    """What the names say about a histogram; None where they say nothing."""

    stream: str
    path: str
    run: int | None
    lumisection: int | None


class Naming:
    r"""Tells the `Identity` of recorded histograms.

    Parameters
    ----------
    patterns
        Regular expressions with at least one of the named groups ``run``, ``lumisection`` (or ``ls``), ``path`` (or
        ``histogram``) and ``stream``, for instance ``r(?P<run>\d+)_lb(?P<ls>\d+)``. Each is searched in the
        histogram's name and in the file's path. A ``path`` found in the name is the histogram's path; one found in
        the file's path is put before it.
    stream
        Stream of everything; None for the name of the folder a file lies in, unless a pattern says otherwise.

    Raises
    ------
    ConfigurationError
        For a pattern that is no regular expression or has none of the groups, or other ones.
    """

    def __init__(self, patterns: Sequence[str] = (), stream: str | None = None) -> None:
        self._patterns = tuple(_compiled(pattern) for pattern in patterns)
        self._stream = None if stream is None else _stream_name(stream)
        if stream is not None and (not stream or self._stream != stream):
            raise ConfigurationError(f"stream {stream!r}: a stream's name is not empty, printable and holds no '/'")
        self._of_file = lru_cache(maxsize=256)(self._find_in_file)

    def identify(self, file: PurePath, name: str) -> Identity:
        """Return the identity of a histogram.

        Parameters
        ----------
        file
            Absolute path of its file.
        name
            Its name in the file, with the directories there: ``run_1/ls_2/Ecal/occupancy``.
        """
        found: dict[str, str] = {}
        rest = name
        for pattern in self._patterns:
            match = pattern.search(rest)
            if match is not None:
                _add(found, match)
                rest = _without(rest, match)
        path, numbers = _in_name(rest)
        user, built_in, stream = self._of_file(file)
        # What was found in the name comes first, and the user's patterns before the built-in ones.
        run = _first_number("run", found, user, numbers, built_in)
        lumisection = _first_number("lumisection", found, user, numbers, built_in)
        if "path" in found:
            path = found["path"]
        if "path" in user:
            path = f"{user['path']}/{path}"
        stream = self._stream or _stream_name(found.get("stream", user.get("stream", ""))) or stream
        return Identity(stream, path, run, lumisection)

    def _find_in_file(self, file: PurePath) -> tuple[dict[str, str], dict[str, str], str]:
        user: dict[str, str] = {}
        for pattern in self._patterns:
            match = pattern.search(file.as_posix())
            if match is not None:
                _add(user, match)
        built_in: dict[str, str] = {}
        for pattern in (*_FILE_RUNS, _FILE_LUMISECTION):
            match = pattern.search(file.stem)
            if match is not None:
                _add(built_in, match)
        stream = ""
        for folder in (parent.name for parent in list(file.parents)[:FOLDERS]):
            run, lumisection = _FOLDER_RUN.fullmatch(folder), _FOLDER_LUMISECTION.fullmatch(folder)
            if run is not None:
                built_in.setdefault("run", run["run"] or run["long"])
            elif lumisection is not None:
                built_in.setdefault("lumisection", lumisection["lumisection"])
            else:
                stream = stream or _stream_name(folder)
        return user, built_in, stream or DEFAULT_STREAM


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ConfigurationError(f"pattern {pattern!r}: no regular expression: {error}") from error
    groups = set(compiled.groupindex)
    if not groups or groups - set(_GROUPS):
        raise ConfigurationError(
            f"pattern {pattern!r}: name what it finds with groups such as (?P<run>[0-9]+); possible are "
            + ", ".join(_GROUPS)
        )
    return compiled


def _add(found: dict[str, str], match: re.Match[str]) -> None:
    for group, text in match.groupdict().items():
        if text:
            found.setdefault(_GROUPS[group], text)


def _without(name: str, match: re.Match[str]) -> str:
    if any(_GROUPS[group] == "path" and text for group, text in match.groupdict().items()):
        return name
    rest = "/".join(part for part in (name[: match.start()] + name[match.end() :]).split("/") if part)
    return rest or name


def _in_name(name: str) -> tuple[str, dict[str, str]]:
    """Return the path in a name, and the numbers that stood before it."""
    *directories, last = name.split("/")
    found: dict[str, str] = {}
    match = _NAME.match(last)
    if match is not None and _are_numbers(match):
        found.update({group: text for group, text in match.groupdict().items() if text})
        last = last[match.end() :]
    kept = []
    # The innermost directory knows best.
    for directory in reversed(directories):
        match = _DIRECTORY.fullmatch(directory)
        if match is None or not _are_numbers(match):
            kept.append(directory)
            continue
        for group, text in match.groupdict().items():
            if text:
                found.setdefault("lumisection" if group == "range" else group, text)
    return "/".join([*reversed(kept), last]), found


def _are_numbers(match: re.Match[str]) -> bool:
    return all(
        _number("run" if group == "run" else "lumisection", text) is not None
        for group, text in match.groupdict().items()
        if text
    )


def _number(what: str, text: str) -> int | None:
    """Return a number that the wire can carry; None for anything else that a pattern may have matched."""
    if not text.isdecimal() or len(text) > 40:
        return None
    number = int(text)
    return number if number <= (MAX_RUN if what == "run" else MAX_LUMISECTION) else None


def _first_number(what: str, *sources: dict[str, str]) -> int | None:
    for source in sources:
        number = _number(what, source.get(what, ""))
        if number is not None:
            return number
    return None


def _stream_name(text: str) -> str:
    """Return a text as a stream's name: no '/', nothing that does not print."""
    return "".join(c if c.isprintable() and c != "/" else "_" for c in text.strip())[:200]
