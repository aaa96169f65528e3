"""Writing simulated runs as recorded runs: ROOT files, with the truth beside them.

===============================  ================================================================================
``<stream>/run<RUN>.root``       each histogram as ``run_<RUN>/ls_<NNNN>/<path>``
``<stream>/run<RUN>.root.json``  start and length of a lumisection, for exact times
``run<RUN>.truth.json``          what was simulated, see `producers.simulate.truth`
===============================  ================================================================================

Same detector, run and faults, same bytes.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import uproot

from monitor.errors import SourceError
from monitor.snapshot import Snapshot
from producers.simulate.detector import START_NS, SimulatedDetector
from producers.simulate.faults import Fault
from producers.simulate.rootdates import set_dates
from producers.simulate.rootobject import root_object
from producers.simulate.truth import truth

_UNFINISHED = ".part"


def write_run(
    folder: Path,
    detector: SimulatedDetector,
    run: int,
    lumisections: int,
    faults: Sequence[Fault] = (),
    *,
    cumulative: bool = True,
    start_ns: int = START_NS,
    overwrite: bool = False,
    tell: Callable[[int], None] = lambda _written: None,
) -> dict[str, Any]:
    """Write one run.

    Parameters
    ----------
    folder
        Where to; made when it does not exist.
    detector, run, lumisections, faults, cumulative, start_ns
        See `producers.simulate.detector.SimulatedDetector.run`.
    overwrite
        Whether to replace a run that is there.
    tell
        Called with the number of snapshots written, after each lumisection.

    Returns
    -------
    dict
        The truth.

    Raises
    ------
    ConfigurationError
        For faults that the run cannot have.
    SourceError
        When the files exist, or cannot be written.
    """
    told = truth(detector, run, lumisections, faults, cumulative=cumulative, start_ns=start_ns)
    beside = folder / f"run{run}.truth.json"
    streams = sorted({histogram.stream for histogram in detector.histograms})
    files = {stream: folder / stream / f"run{run}.root" for stream in streams}
    for path in (beside, *files.values()):
        if path.exists() and not overwrite:
            raise SourceError(f"{path} exists; choose another folder or run, or overwrite it with --force")
    clock = {"start_ns": start_ns, "lumisection_seconds": detector.lumisection_s, "cumulative": cumulative}
    try:
        with ExitStack() as stack:
            writers = {stream: stack.enter_context(_RootWriter(path, start_ns)) for stream, path in files.items()}
            gathered: list[Snapshot] = []
            written = 0
            for snapshot in detector.run(run, lumisections, faults, cumulative=cumulative, start_ns=start_ns):
                gathered.append(snapshot)
                if len(gathered) == len(detector.histograms):
                    for stream, writer in writers.items():
                        writer.write([s for s in gathered if s.stream == stream])
                    written += len(gathered)
                    gathered.clear()
                    tell(written)
        for path in files.values():
            _write_json(path.with_suffix(".root.json"), clock)
        _write_json(beside, told)
    except OSError as error:
        raise SourceError(f"{error.filename or folder}: {error.strerror or error}") from error
    return told


class _RootWriter:
    """One ROOT file, under another name until it is finished."""

    def __init__(self, path: Path, start_ns: int) -> None:
        self._path = path
        self._start_ns = start_ns
        self._unfinished = path.with_name(path.name + _UNFINISHED)

    def __enter__(self) -> _RootWriter:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        identity = uuid.uuid5(uuid.NAMESPACE_URL, f"histwatch/{self._path.parent.name}/{self._path.name}")
        self._file = uproot.recreate(self._unfinished, uuid_function=lambda: identity)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._file.close()
        if kind is None:
            set_dates(self._unfinished, self._start_ns)
            os.replace(self._unfinished, self._path)
        else:
            self._unfinished.unlink(missing_ok=True)

    def write(self, snapshots: Sequence[Snapshot]) -> None:
        """Write the histograms of one lumisection."""
        self._file.update({f"run_{s.run}/ls_{s.lumisection:04d}/{s.path}": root_object(s) for s in snapshots})


def _write_json(path: Path, record: dict[str, Any]) -> None:
    path.write_text(json.dumps(record, separators=(",", ":"), allow_nan=False) + "\n", encoding="utf-8")
