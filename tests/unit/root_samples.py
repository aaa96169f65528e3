"""ROOT files made for tests, and short ways to read them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import uproot
from uproot.writing.identify import to_TAxis, to_TH1x, to_TH2x, to_THashList, to_TObjString, to_TProfile

from monitor.snapshot import Snapshot
from monitor.source.recorded_file import Skip
from monitor.source.recording import Recording

X = to_TAxis("xaxis", "x title", 3, 0.0, 3.0)
Y = to_TAxis("yaxis", "", 2, -1.0, 1.0)
EMPTY = np.array([], dtype=np.float64)


def th1(data: Any, sumw2: Any = EMPTY, axis: Any = X, entries: float = 7.0) -> Any:
    return to_TH1x("h", "title", np.asarray(data), entries, 0.0, 0.0, 0.0, 0.0, np.asarray(sumw2, float), axis)


def th2(data: Any, axes: tuple[Any, Any] = (X, Y)) -> Any:
    return to_TH2x("h", "", np.asarray(data), 7.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, EMPTY, *axes)


def write(path: Path, **objects: Any) -> Path:
    with uproot.recreate(path) as file:
        for name, thing in objects.items():
            file[name] = thing
    return path


def read(*paths: Path | str, **options: Any) -> tuple[list[Snapshot], list[Skip]]:
    skips: list[Skip] = []
    return list(Recording([*paths], on_skip=skips.append, **options)), skips


def reasons(skips: list[Skip]) -> list[str]:
    return sorted(skip.reason for skip in skips)


def profile(sums: Any, sums2: Any, entries: Any, weights2: Any = EMPTY, mode: int = 0) -> Any:
    arrays = [np.asarray(a, float) for a in (sums2, entries, weights2)]
    return to_TProfile("p", "", np.asarray(sums, float), 9.0, *[0.0] * 6, *arrays, X, fErrorMode=mode)


def labelled(*labels: tuple[int, str]) -> Any:
    strings = []
    for number, text in labels:
        string = to_TObjString(text)
        string._bases[0]._members["@fUniqueID"] = number
        strings.append(string)
    return to_TAxis("xaxis", "", 3, 0.0, 3.0, fLabels=to_THashList(strings))


def write_two_runs(folder: Path) -> Path:
    """Ten lumisections of two maps in each of two files."""
    for run in (100001, 100002):
        with uproot.recreate(folder / f"run{run}.root") as file:
            for ls in range(1, 11):
                for name in ("a/one", "b/two"):
                    values = np.arange(20.0) + ls
                    file[f"run_{run}/ls_{ls:04d}/{name}"] = np.histogram(np.arange(20), bins=20, weights=values)
    return folder
