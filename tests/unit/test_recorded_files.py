"""Paths to files, and histograms in tables."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import uproot

from monitor.cli import main
from monitor.errors import SourceError
from monitor.snapshot import Snapshot
from monitor.source.files import find_files
from monitor.source.recorded_file import Skip, ignore
from monitor.source.recording import Recording


def read(path: Path) -> tuple[list[Snapshot], list[Skip]]:
    skips: list[Skip] = []
    return list(Recording([path], on_skip=skips.append)), skips


def test_folders_globs_and_files_each_file_once(tmp_path: Path) -> None:
    for name in ("a.root", "sub/b.root", "sub/deep/c.ROOT", "sub/.hidden.root", ".git/d.root", "notes.txt", "[x].root"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"root")

    def names(*paths: str) -> list[str]:
        return [str(file.relative_to(tmp_path)) for file in find_files([tmp_path / path for path in paths], ignore)]

    assert names("") == ["[x].root", "a.root", "sub/b.root", "sub/deep/c.ROOT"]
    assert names("sub/b.root", "", "sub") == ["sub/b.root", "[x].root", "a.root", "sub/deep/c.ROOT"]
    assert names("sub/*.root") == ["sub/b.root"]
    assert names("**/*.root") == ["[x].root", "a.root", "sub/b.root"]
    # A name with brackets in it is a name first.
    assert names("[x].root") == ["[x].root"]


@pytest.mark.parametrize("path", ["missing.root", "missing/*.root", ""])
def test_paths_that_do_not_exist_are_errors(path: str) -> None:
    with pytest.raises(SourceError) as error:
        find_files([path] if path else [""], ignore)
    assert path in str(error.value)


def test_data_that_is_not_read_is_named_and_notes_are_not(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    (tmp_path / "hist.json").write_text('{"hist": {"type": "TH2"}}')
    (tmp_path / "truth.json").write_text('{"faults": []}')
    (tmp_path / "README.md").write_text("words")
    (tmp_path / "gone.root").symlink_to(tmp_path / "nowhere")
    skips: list[Skip] = []
    assert find_files([tmp_path], skips.append) == []
    assert {(skip.file.name, skip.reason) for skip in skips} == {
        ("a.parquet", "unsupported_file"),
        ("hist.json", "unsupported_file"),
        ("gone.root", "unreadable_file"),
    }
    # Asked for by name, it is named.
    find_files([tmp_path / "README.md"], skips.append)
    assert skips[-1].file.name == "README.md"


HEADER = "run,lumi,hname,entries,xmin,xmax,xbins,bin_0,bin_1,bin_2,bin_3,bin_4"


def test_table_with_flow_bins(tmp_path: Path) -> None:
    path = tmp_path / "set.csv"
    path.write_text(f"{HEADER}\n297056,18,charge,60,0,30,3,9,10,20,30,9\n297056,17,charge,6,0,30,3,9,1,2,3,9\n")
    (first, second), skips = read(path)
    assert not skips
    assert (first.run, first.lumisection, first.path, first.stream) == (297056, 17, "charge", tmp_path.name)
    assert first.contents.tolist() == [1, 2, 3]
    assert second.contents.tolist() == [10, 20, 30]
    assert second.total_entries == 60
    assert (second.axes[0].low, second.axes[0].high, second.axes[0].bins) == (0, 30, 3)
    assert second.time_ns > first.time_ns


def test_table_without_flow_bins_and_other_columns(tmp_path: Path) -> None:
    path = tmp_path / "charge.csv"
    path.write_text('\ufeffbin_1,bin_0,ls,run,xbins,xmin,xmax,comment\r\n2,1,5.0,7,2,0,1,"a, b"\r\n\r\n')
    ((snapshot,), skips) = read(path)
    assert not skips
    assert (snapshot.run, snapshot.lumisection, snapshot.path) == (7, 5, "charge")
    assert snapshot.contents.tolist() == [1, 2]


def test_bad_rows_lose_themselves_only(tmp_path: Path) -> None:
    path = tmp_path / "set.csv"
    rows = [
        "1,1,good,0,0,3,3,0,1,2,3,0",
        "x,1,run,0,0,3,3,0,1,2,3,0",
        "1,1.5,lumi,0,0,3,3,0,1,2,3,0",
        "1,1,short,0,0,3",
        "1,1,words,0,0,3,3,0,1,two,3,0",
        "1,1,bins,0,0,3,4,0,1,2,3,0",
        "1,1,axis,0,3,3,3,0,1,2,3,0",
        "1,1,minus,0,0,3,3,0,-1,2,3,0",
        "1,1,nan,0,0,3,3,0,nan,2,3,0",
        "1,1,also good,nan,0,3,3,0,1,2,3,0",
        "1,1",
    ]
    path.write_text("\n".join([HEADER, *rows]))
    snapshots, skips = read(path)
    assert [snapshot.path for snapshot in snapshots] == ["also good", "good"]
    assert sorted((skip.reason, skip.name) for skip in skips) == [
        ("bad_axis", "axis"),
        ("bad_row", "line 12"),
        ("bad_row", "line 3"),
        ("bad_row", "line 4"),
        ("bad_row", "short"),
        ("bad_row", "words"),
        ("negative_counts", "minus"),
        ("not_finite", "nan"),
        ("wrong_size", "bins"),
    ]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", "empty_file"),
        (b"a,b,c\n1,2,3\n", "bad_table"),
        (b"\xff\xfe\0\0", "bad_table"),
        (HEADER.encode(), "no_histograms"),
    ],
)
def test_bad_tables_are_named(tmp_path: Path, text: bytes, reason: str) -> None:
    path = tmp_path / "set.csv"
    path.write_bytes(text)
    snapshots, skips = read(path)
    assert not snapshots
    assert [(skip.reason, skip.file) for skip in skips] == [(reason, path)]


def test_a_damaged_histogram_is_not_judged_and_not_passed_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, edges = np.arange(100.0, 200.0), np.arange(101.0)
    for run, contents in ((1, good), (2, np.where(good == 150.0, np.nan, good))):
        with uproot.recreate(tmp_path / f"Run{run}.root") as file:
            file["whole"] = (good, edges)
            file["torn"] = (contents, edges)
    first, second = (tmp_path / f"Run{run}.root" for run in (1, 2))
    codes = []
    for judged in (first, second):
        with pytest.raises(SystemExit) as ended:
            main(["judge", str(judged), "--reference", str(first), "--json"])
        codes.append(ended.value.code)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert codes == [0, 1]
    assert [line.get("path") for line in lines] == ["torn", "whole", "whole", None]
    assert lines[-1] == {"event": "skipped", "reasons": {"not_finite": {"count": 1, "names": ["Run2.root:torn"]}}}
