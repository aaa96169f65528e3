"""Reading good recorded histograms: what is in them, in which order and at what time."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import uproot
from root_samples import EMPTY, X, Y, labelled, profile, read, th1, th2, write, write_two_runs
from uproot.models.TArray import Model_TArrayL64
from uproot.writing.identify import to_TAxis, to_TH3x
from uproot.writing.identify import to_TProfile2D as to_profile2d

from monitor.snapshot import Kind
from monitor.source import recording as recording_module
from monitor.source import root
from monitor.source.recorded_file import RecordedFile
from monitor.source.recording import LUMISECTION_S, Recording


@pytest.fixture
def two_runs(tmp_path: Path) -> Path:
    return write_two_runs(tmp_path)


@pytest.mark.parametrize(
    ("dtype", "stored"), [("i1", "|i1"), ("<i2", "<i2"), ("<i4", "<i4"), ("<f4", "<f4"), ("<f8", "<f8")]
)
def test_storage_types_keep_their_dtype_and_x_comes_first(tmp_path: Path, dtype: str, stored: str) -> None:
    # ROOT's order, x fastest, flow bins of 100 around the bins 1 to 6.
    flat = np.full((4, 5), 100, dtype)
    flat[1:-1, 1:-1] = [[1, 2, 3], [4, 5, 6]]
    one = np.array([100, 1, 2, 3, 100], dtype)
    (h1, h2), skips = read(write(tmp_path / "run5.root", h1=th1(one), h2=th2(flat.ravel())))
    assert not skips
    assert (h1.kind, h2.kind) == (Kind.TH1, Kind.TH2)
    assert h1.contents.dtype.str == h2.contents.dtype.str == stored
    assert h1.contents.tolist() == [1, 2, 3]
    assert h2.contents.tolist() == [[1, 4], [2, 5], [3, 6]]
    assert h2.contents.flags.c_contiguous
    assert h1.variances is h2.variances is h1.entries is None
    assert h1.total_entries == 7.0
    assert (h1.axes[0].bins, h1.axes[0].low, h1.axes[0].high, h1.axes[0].title) == (3, 0.0, 3.0, "x title")
    assert h1.axes[0].edges is None
    assert (h2.axes[1].low, h2.axes[1].high) == (-1.0, 1.0)
    assert (h1.run, h1.lumisection, h1.path, h1.stream) == (5, 0, "h1", tmp_path.name)


def test_64_bit_integers() -> None:
    # uproot writes no TH1L, so the array of another histogram is exchanged.
    histogram = th1(np.zeros(5, np.int32))
    array = Model_TArrayL64.empty()
    array._data = np.array([0, 1, 2**40, 3, 0], ">i8")
    histogram._bases[-1] = array
    content = root._content(histogram, Kind.TH1)
    assert content.contents.dtype.str == "<i8"
    assert content.contents.tolist() == [1, 2**40, 3]
    assert root._kind("TH1L") is Kind.TH1
    assert root._kind("TH2L") is Kind.TH2


def test_errors_of_counts_are_no_variances_and_those_of_weights_are(tmp_path: Path) -> None:
    counts = np.array([0, 1, 2, 3, 0], np.float32)
    path = write(tmp_path / "run5.root", counts=th1(counts, counts), weights=th1(counts, counts * 2))
    (of_counts, of_weights), _ = read(path)
    assert of_counts.variances is None
    assert of_weights.variances is not None
    assert of_weights.variances.tolist() == [2, 4, 6]


def test_profile(tmp_path: Path) -> None:
    # Bins: values 1 and 3; empty; value 5 three times.
    path = write(tmp_path / "run5.root", p=profile([9, 4, 0, 15, 9], [9, 10, 0, 75, 9], [9, 2, 0, 3, 9]))
    ((snapshot,), skips) = read(path)
    assert not skips
    assert snapshot.kind is Kind.TPROFILE
    assert snapshot.contents.tolist() == [2, 0, 5]
    assert snapshot.variances is not None
    assert snapshot.entries is not None
    assert snapshot.variances.tolist() == [0.5, 0, 0]
    assert snapshot.entries.tolist() == [2, 0, 3]
    assert snapshot.total_entries == 9.0


def test_weighted_profile_has_effective_entries(tmp_path: Path) -> None:
    # Bin 1: value 1 with weight 1, value 3 with weight 3: mean 2.5, spread^2 0.75, 16/10 effective entries.
    path = write(
        tmp_path / "run5.root", p=profile([0, 10, 0, 0, 0], [0, 28, 0, 0, 0], [0, 4, 0, 0, 0], [0, 10, 0, 0, 0])
    )
    ((snapshot,), _) = read(path)
    assert snapshot.entries is not None
    assert snapshot.variances is not None
    assert snapshot.contents[0] == 2.5
    assert snapshot.entries[0] == pytest.approx(1.6)
    assert snapshot.variances[0] == pytest.approx(0.75 / 1.6)


def test_profile_in_two_dimensions(tmp_path: Path) -> None:
    entries = np.zeros((4, 5))
    entries[1, 1:4] = [1, 2, 4]
    sums = entries * [0, 1, 10, 100, 0]
    thing = to_profile2d("p", "", sums.ravel(), 7.0, *[0.0] * 9, (sums**2).ravel(), entries.ravel(), EMPTY, X, Y)
    ((snapshot,), _) = read(write(tmp_path / "run5.root", p=thing))
    assert snapshot.kind is Kind.TPROFILE2D
    assert snapshot.contents.tolist() == [[1, 0], [10, 0], [100, 0]]
    assert snapshot.entries is not None
    assert snapshot.entries.tolist() == [[1, 0], [2, 0], [4, 0]]


def test_axes(tmp_path: Path) -> None:
    data = np.ones(5)
    path = write(
        tmp_path / "run5.root",
        a_edges=th1(data, axis=to_TAxis("xaxis", "", 3, 0.0, 9.0, fXbins=np.array([0.0, 1.0, 4.0, 9.0]))),
        b_all=th1(data, axis=labelled((3, "c"), (1, "a"), (2, "b"))),
        c_some=th1(data, axis=labelled((1, "a"), (2, "b"))),
        d_twice=th1(data, axis=labelled((1, "a"), (1, "b"), (2, "c"))),
    )
    (edges, every, some, twice), skips = read(path)
    assert not skips
    assert edges.axes[0].edges is not None
    assert edges.axes[0].edges.tolist() == [0, 1, 4, 9]
    assert every.axes[0].labels == ("a", "b", "c")
    assert some.axes[0].labels == twice.axes[0].labels == ()


def test_only_the_newest_cycle(tmp_path: Path) -> None:
    with uproot.recreate(tmp_path / "run5.root") as file:
        for value in (1, 2, 3):
            file["d/h"] = th1(np.full(5, float(value)))
    with uproot.open(tmp_path / "run5.root") as file:
        assert "d/h;3" in file.keys()  # noqa: SIM118 - `in` alone ignores the cycle
    ((snapshot,), skips) = read(tmp_path / "run5.root")
    assert snapshot.contents.tolist() == [3, 3, 3]
    assert not skips


def test_other_classes_are_named_by_reason(tmp_path: Path) -> None:
    z = to_TAxis("zaxis", "", 1, 0.0, 1.0)
    cube = to_TH3x("c", "", np.ones(60, np.float32), 1.0, *[0.0] * 11, EMPTY, X, Y, z)
    with uproot.recreate(tmp_path / "run5.root") as file:
        file["good"] = th1(np.ones(5))
        file["d/cube"] = cube
        file["note"] = "text"
        file.mktree("tree", {"x": np.float64})
    (_, skips) = read(tmp_path / "run5.root")
    assert {(skip.reason, skip.name) for skip in skips} == {
        ("three_dimensional", "d/cube"),
        ("tree", "tree"),
        ("other_class", "note"),
    }
    assert [root._kind(name) for name in ("TGraphErrors", "TMultiGraph", "TNtupleD", "TH2Poly", "TProfile3D")] == [
        "graph",
        "graph",
        "tree",
        "other_class",
        "three_dimensional",
    ]


def test_impossible_histograms_are_skipped_by_name(tmp_path: Path) -> None:
    path = write(
        tmp_path / "run5.root",
        good=th1(np.ones(5)),
        negative=th1([0, -1, 2, 3, 0.0]),
        nan=th1([0, np.nan, 2, 3, 0.0]),
        weighted=th1([0, -1, 2, 3, 0.0], np.full(5, 9)),
        flat=th1(np.ones(5), axis=to_TAxis("xaxis", "", 3, 1.0, 1.0)),
        size=th1(np.ones(7)),
    )
    snapshots, skips = read(path)
    assert [snapshot.path for snapshot in snapshots] == ["good", "weighted"]
    assert {(skip.reason, skip.name) for skip in skips} == {
        ("negative_counts", "negative"),
        ("not_finite", "nan"),
        ("bad_axis", "flat"),
        ("wrong_size", "size"),
    }


@pytest.mark.parametrize("entries", [-3.0, np.nan, np.inf, 1e300])
def test_impossible_entries_are_not_said(tmp_path: Path, entries: float) -> None:
    ((snapshot,), skips) = read(write(tmp_path / "run5.root", h=th1(np.ones(5), entries=entries)))
    assert snapshot.total_entries == 0
    assert not skips


def test_order_time_and_sequence(two_runs: Path) -> None:
    recording = Recording([two_runs])
    snapshots = list(recording)
    assert len(recording) == len(snapshots) == 40
    assert recording.runs == (100001, 100002)
    order = [(s.run, s.lumisection, s.path) for s in snapshots]
    assert order == sorted(order)
    assert {s.path for s in snapshots} == {"a/one", "b/two"}
    first = [s for s in snapshots if s.run == 100001 and s.path == "a/one"]
    assert np.diff([s.time_ns for s in first]).tolist() == [round(LUMISECTION_S * 1e9)] * 9
    assert [s.sequence for s in snapshots if s.path == "a/one"] == list(range(20))
    assert [s.time_ns for s in recording] == [s.time_ns for s in snapshots]


def test_files_of_a_run_share_a_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Written in the wrong order: time must follow the lumisections all the same.
    for ls in (3, 1, 2):
        write(tmp_path / f"run100001_ls{ls:03d}.root", h=th1(np.ones(5)))
    dates = {1: 2_000, 2: 1_000, 3: 5_000}
    monkeypatch.setattr(root.RootFile, "_created", lambda self: dates[int(self._path.stem[-3:])] * 10**9)
    snapshots, _ = read(tmp_path)
    assert [s.lumisection for s in snapshots] == [1, 2, 3]
    assert [s.time_ns / 1e9 for s in snapshots] == pytest.approx([1_000 + LUMISECTION_S * n for n in (1, 2, 3)])


def test_time_comes_from_the_file_or_from_a_note_beside_it(tmp_path: Path) -> None:
    path = write(tmp_path / "run5_ls2.root", h=th1(np.ones(5)))
    ((snapshot,), _) = read(path)
    created = uproot.open(path).created_on
    assert snapshot.time_ns == np.datetime64(created, "ns").astype(int) + round(2 * LUMISECTION_S * 1e9)
    for note in (tmp_path / "run5_ls2.json", tmp_path / "run5_ls2.root.json"):
        note.write_text(json.dumps({"start_ns": 10**18, "lumisection_seconds": 10, "faults": []}))
        ((snapshot,), skips) = read(tmp_path)
        assert snapshot.time_ns == 10**18 + 20 * 10**9
        assert not skips
        note.write_text('{"start_ns": "soon"}')
        assert read(tmp_path)[0][0].time_ns != snapshot.time_ns


def test_selection_and_interval_or_cumulative(two_runs: Path) -> None:
    assert {s.path for s in read(two_runs, select=["two"])[0]} == {"b/two"}
    assert {s.path for s in read(two_runs, select=["a/*"])[0]} == {"a/one"}
    assert not any(s.cumulative for s in read(two_runs)[0])
    assert all(s.cumulative for s in read(two_runs, cumulative=True)[0])


def test_a_file_without_a_run_is_run_0_and_said_once(tmp_path: Path) -> None:
    path = write(tmp_path / "monday.root", a=th1(np.ones(5)), b=th1(np.ones(5)))
    recording = Recording([path])
    assert [s.run for s in recording] == [0, 0]
    assert recording.without_run == [path]


def test_few_files_are_open_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for file in range(20):
        write(
            tmp_path / f"run100001_{file:02d}.root", **{f"run100001_ls{ls}_h{file}": th1(np.ones(5)) for ls in (1, 2)}
        )
    open_now: set[int] = set()
    most = 0

    def opened(path: Path, original: Callable[[Path], RecordedFile] = recording_module.open_file) -> RecordedFile:
        nonlocal most
        file = original(path)
        close = file.close
        open_now.add(id(file))
        most = max(most, len(open_now))
        monkeypatch.setattr(file, "close", lambda: (open_now.discard(id(file)), close()))
        return file

    monkeypatch.setattr(recording_module, "open_file", opened)
    assert len(read(tmp_path)[0]) == 40
    assert most == recording_module.MAX_OPEN
    assert not open_now
