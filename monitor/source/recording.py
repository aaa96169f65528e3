"""Recorded runs as the snapshots they would have been: found first, then read in the order they were taken.

Clock policy: no clock is read. Data time comes from the file: the time ROOT wrote into it when it was created
(``fDatimeC``, local time without a zone, taken as UTC; the earliest of all files of the same run), else the time it
was last modified, plus a nominal `LUMISECTION_S` for each lumisection. A file ``NAME.json`` or ``NAME.root.json``
beside ``NAME.root`` that says ``{"start_ns": ..., "lumisection_seconds": ...}`` knows better; with ``"cumulative":
true`` it also says that contents are totals since the start of the run.
"""

from __future__ import annotations

import json
from collections import Counter, OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from monitor.decode.validate import MAX_TIME_NS, check
from monitor.errors import Reject
from monitor.snapshot import Snapshot
from monitor.source.files import find_files, open_file
from monitor.source.naming import Identity, Naming, matches
from monitor.source.recorded_file import Item, OnSkip, RecordedFile, Skip, ignore

LUMISECTION_S = 23.3
"""Nominal length of a lumisection, seconds: that of CMS."""
MAX_OPEN = 8
"""Files kept open at once."""


@dataclass(frozen=True, slots=True)
class _Clock:
    start_ns: int
    lumisection_ns: int
    from_sidecar: bool
    cumulative: bool = False

    def at(self, lumisection: int) -> int:
        return min(self.start_ns + lumisection * self.lumisection_ns, MAX_TIME_NS)


@dataclass(frozen=True, slots=True)
class _Entry:
    run: int
    lumisection: int
    identity: Identity
    file: int
    item: Item


class Recording:
    """The histograms in recorded files: its length is known at once, iterating over it reads them.

    In the order of run, lumisection, stream and path. Iterate as often as you like.

    Parameters
    ----------
    paths
        Files, folders and globs.
    naming
        How to tell run, lumisection, stream and path; None for the built-in patterns.
    select
        Globs of the paths wanted, see `monitor.source.naming.matches`; none for all.
    cumulative
        Whether the files hold totals since the start of the run rather than intervals; None: as the file beside
        them says, else intervals.
    on_skip
        Told about everything that is not read, by name and reason: files and objects of other classes now, damaged
        and impossible histograms when they are read. Besides the reasons of the readers these are those of
        `monitor.decode.validate.check`.

    Raises
    ------
    SourceError
        For a path that does not exist and a glob that matches nothing.
    """

    def __init__(
        self,
        paths: Sequence[str | Path],
        *,
        naming: Naming | None = None,
        select: Sequence[str] = (),
        cumulative: bool | None = None,
        on_skip: OnSkip = ignore,
    ) -> None:
        self._cumulative = cumulative
        self._on_skip = on_skip
        self.files = tuple(find_files(paths, on_skip))
        """The files looked into, absolute paths."""
        self.without_run: list[Path] = []
        """Files with histograms that no pattern found a run for: these are in run 0."""
        self._entries: list[_Entry] = []
        clocks = [self._index(number, naming or Naming(), select) for number in range(len(self.files))]
        self._entries.sort(key=lambda e: (e.run, e.lumisection, e.identity.stream, e.identity.path, e.file))
        self._clocks = _by_run(self._entries, clocks)

    def _index(self, number: int, naming: Naming, select: Sequence[str]) -> _Clock:
        path = self.files[number]
        try:
            file = open_file(path)
        except Reject as reject:
            self._on_skip(Skip(reject.reason, path, detail=reject.detail))
            return _Clock(0, 0, False)
        try:
            for item in file.items(self._on_skip):
                identity = naming.identify(path, item.name)
                if not matches(identity.path, select):
                    continue
                run = identity.run if item.run is None else item.run
                lumisection = identity.lumisection if item.lumisection is None else item.lumisection
                if run is None and path not in self.without_run[-1:]:
                    self.without_run.append(path)
                self._entries.append(_Entry(run or 0, lumisection or 0, identity, number, item))
        except OSError as error:
            self._on_skip(Skip("unreadable_file", path, detail=error.strerror or str(error)))
        finally:
            file.close()
        return _clock(path, file.created_ns)

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def runs(self) -> tuple[int, ...]:
        """The runs found, in order."""
        return tuple(dict.fromkeys(entry.run for entry in self._entries))

    @property
    def lumisections(self) -> tuple[int, ...]:
        """The lumisections found, of any run, in order."""
        return tuple(sorted({entry.lumisection for entry in self._entries}))

    @property
    def streams(self) -> tuple[str, ...]:
        """The streams found, in order."""
        return tuple(sorted({entry.identity.stream for entry in self._entries}))

    def __iter__(self) -> Iterator[Snapshot]:
        sequence: Counter[tuple[str, str]] = Counter()
        with _OpenFiles(self.files) as files:
            for entry in self._entries:
                key = entry.identity.stream, entry.identity.path
                try:
                    snapshot = self._snapshot(entry, files, sequence[key])
                except Reject as reject:
                    self._on_skip(Skip(reject.reason, self.files[entry.file], entry.item.name, reject.detail))
                    continue
                except OSError as error:
                    detail = error.strerror or str(error)
                    self._on_skip(Skip("unreadable_file", self.files[entry.file], entry.item.name, detail))
                    continue
                sequence[key] += 1
                yield snapshot

    def _snapshot(self, entry: _Entry, files: _OpenFiles, sequence: int) -> Snapshot:
        content = files.get(entry.file).read(entry.item)
        return check(
            Snapshot(
                stream=entry.identity.stream,
                path=entry.identity.path,
                run=entry.run,
                lumisection=entry.lumisection,
                time_ns=self._clocks[entry.run, entry.file].at(entry.lumisection),
                kind=entry.item.kind,
                axes=content.axes,
                contents=content.contents,
                variances=content.variances,
                entries=content.entries,
                total_entries=content.total_entries,
                cumulative=self._clocks[entry.run, entry.file].cumulative
                if self._cumulative is None
                else self._cumulative,
                producer="recording",
                sequence=sequence,
            )
        )


class _OpenFiles:
    """The files that were read last."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths
        self._open: OrderedDict[int, RecordedFile] = OrderedDict()

    def __enter__(self) -> _OpenFiles:
        return self

    def __exit__(self, *_: object) -> None:
        while self._open:
            self._open.popitem()[1].close()

    def get(self, number: int) -> RecordedFile:
        file = self._open.get(number)
        if file is None:
            if len(self._open) >= MAX_OPEN:
                self._open.popitem(last=False)[1].close()
            file = self._open[number] = open_file(self._paths[number])
        self._open.move_to_end(number)
        return file


def _by_run(entries: Sequence[_Entry], clocks: Sequence[_Clock]) -> dict[tuple[int, int], _Clock]:
    """Return the clock of each run and file. Files of one run share one, so that time follows its lumisections."""
    earliest: dict[int, _Clock] = {}
    pairs = {(entry.run, entry.file) for entry in entries}
    for run, file in sorted(pairs):
        clock = clocks[file]
        if not clock.from_sidecar and (run not in earliest or clock.start_ns < earliest[run].start_ns):
            earliest[run] = clock
    # Files without a run have nothing in common.
    return {
        (run, file): clocks[file] if clocks[file].from_sidecar or run == 0 else earliest[run] for run, file in pairs
    }


def _clock(path: Path, created_ns: int | None) -> _Clock:
    for beside in (path.with_suffix(path.suffix + ".json"), path.with_suffix(".json")):
        try:
            said = json.loads(beside.read_text(encoding="utf-8"))
            start_ns, seconds = int(said["start_ns"]), float(said["lumisection_seconds"])
        except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
            # No such file, or one about something else.
            continue
        if 0 <= start_ns <= MAX_TIME_NS and 0 < seconds < 1e6:
            return _Clock(start_ns, round(seconds * 1e9), True, said.get("cumulative") is True)
    try:
        start_ns = path.stat().st_mtime_ns if created_ns is None else created_ns
    except OSError:
        start_ns = 0
    return _Clock(max(0, start_ns), round(LUMISECTION_S * 1e9), False)
