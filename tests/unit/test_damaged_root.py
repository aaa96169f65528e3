"""Reading damaged ROOT files: nothing good is lost, and what is bad is named."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import uproot
from root_samples import read, reasons, write_two_runs

from monitor.source.recorded_file import Skip
from monitor.source.recording import Recording


@pytest.fixture
def two_runs(tmp_path: Path) -> Path:
    return write_two_runs(tmp_path)


def test_bad_files_are_named_and_the_good_ones_beside_them_read(two_runs: Path) -> None:
    (two_runs / "empty.root").write_bytes(b"")
    (two_runs / "random.root").write_bytes(random.Random(1).randbytes(5000))
    (two_runs / "magic.root").write_bytes(b"root" + random.Random(2).randbytes(5000))
    (two_runs / "stub.root").write_bytes(b"root\0\0")
    uproot.recreate(two_runs / "nothing.root").close()
    snapshots, skips = read(two_runs)
    assert len(snapshots) == 40
    found = {(skip.file.name, skip.reason) for skip in skips}
    assert found >= {("empty.root", "empty_file"), ("random.root", "not_root"), ("nothing.root", "no_histograms")}
    assert {name for name, _ in found} == {"empty.root", "random.root", "magic.root", "stub.root", "nothing.root"}
    assert all("Traceback" not in str(skip) and "\n" not in str(skip) for skip in skips)


@pytest.mark.parametrize("part", [0.2, 0.5, 0.9, 0.999])
def test_a_cut_file_gives_what_lies_before_the_cut(two_runs: Path, part: float) -> None:
    path = two_runs / "run100001.root"
    whole = {(s.lumisection, s.path): s for s in read(path)[0]}
    data = path.read_bytes()
    cut = int(part * len(data))
    with uproot.open(path) as file:
        keys = [file.key(name) for name, kind in file.classnames().items() if kind.startswith("TH")]
        before = sum(key.fSeekKey + key.fNbytes <= cut for key in keys)
    path.write_bytes(data[:cut])
    snapshots, skips = read(two_runs)
    saved = [s for s in snapshots if s.run == 100001]
    # uproot fills gaps: a histogram may lie before its directory, and then nothing says where it belongs.
    assert len(saved) == before - reasons(skips).count("lost_directory")
    assert all(np.array_equal(s.contents, whole[s.lumisection, s.path].contents) for s in saved)
    assert len([s for s in snapshots if s.run == 100002]) == 20
    assert {skip.file for skip in skips} == {path}
    assert "truncated_file" in reasons(skips)
    assert len(saved) > 10 or part < 0.9


def test_a_damaged_object_loses_itself_only(two_runs: Path) -> None:
    path = two_runs / "run100001.root"
    with uproot.open(path) as file:
        key = file.key("run_100001/ls_0004/a/one")
    data = bytearray(path.read_bytes())
    data[key.fSeekKey + key.fKeylen : key.fSeekKey + key.fNbytes] = b"\xff" * (key.fNbytes - key.fKeylen)
    path.write_bytes(data)
    snapshots, skips = read(path)
    assert len(snapshots) == 19
    assert [(skip.reason, skip.name) for skip in skips] == [("unreadable_object", "run_100001/ls_0004/a/one")]


def test_a_damaged_directory_loses_nothing(two_runs: Path) -> None:
    path = two_runs / "run100001.root"
    with uproot.open(path) as file:
        directory = file["run_100001/ls_0004"]
    data = bytearray(path.read_bytes())
    data[directory.fSeekKeys + 8 : directory.fSeekKeys + directory.fNbytesKeys] = b"\xff" * (directory.fNbytesKeys - 8)
    path.write_bytes(data)
    snapshots, skips = read(path)
    assert len(snapshots) == 20, skips
    assert reasons(skips) == ["unreadable_directory"]


def test_a_directory_that_holds_itself_ends(two_runs: Path) -> None:
    path = two_runs / "run100001.root"
    with uproot.open(path) as file:
        outer, inner = (file[name] for name in ("run_100001", "run_100001/ls_0004"))
    data = bytearray(path.read_bytes())
    # The inner directory's list of keys becomes that of the outer one.
    at = inner.cursor.index
    width = 8 if inner.is_64bit else 4
    last = at + 2 + 4 * 4 + 2 * width
    assert int.from_bytes(data[last : last + width], "big") == inner.fSeekKeys
    data[last : last + width] = outer.fSeekKeys.to_bytes(width, "big")
    data[at + 10 : at + 14] = outer.fNbytesKeys.to_bytes(4, "big")
    path.write_bytes(data)
    snapshots, skips = read(path)
    assert {(s.lumisection, s.path) for s in snapshots} >= {(n, "a/one") for n in range(1, 11)}
    assert "unreadable_directory" in reasons(skips)


def test_damage_anywhere_never_raises(two_runs: Path) -> None:
    path = two_runs / "run100001.root"
    data = path.read_bytes()
    chance = random.Random(7)
    lost = 0
    for _ in range(60):
        bad = bytearray(data)
        for _ in range(chance.choice([1, 5, 40])):
            bad[chance.randrange(len(bad))] = chance.randrange(256)
        path.write_bytes(bad)
        snapshots, _ = read(path)
        lost += 20 - len(snapshots)
    assert lost > 0


def test_a_file_that_vanishes_is_named(two_runs: Path) -> None:
    skips: list[Skip] = []
    recording = Recording([two_runs], on_skip=skips.append)
    (two_runs / "run100001.root").unlink()
    assert len(list(recording)) == 20
    assert set(reasons(skips)) == {"unreadable_file"}
