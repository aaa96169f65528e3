"""Good intervals as Parquet: the same input gives the same bytes, and a run is in one split only."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers import SHAPE, good_intervals, make_interval, profile_interval, smooth_rate
from hypothesis import given
from hypothesis import strategies as st

from monitor.errors import ConfigurationError, HistwatchError, SourceError
from monitor.learn.autoencoder import train
from monitor.learn.dataset import Dataset, Provenance, SourceTopic, dataset_of, rows_digest, source_files
from monitor.learn.parquet import METADATA_KEY, is_parquet, read_dataset, write_dataset
from monitor.learn.splits import SPLITS, Split, parse_fractions, split_runs
from monitor.snapshot import Axis, Kind
from monitor.window import Interval, State

THIRDS = parse_fractions(0.5, 0.3, 0.2)
RUNS = st.sets(st.integers(0, 2**63), max_size=60)
RATE = smooth_rate()


# Splits


@given(RUNS, st.integers(0, 1000))
def test_every_run_is_dealt_out_once_and_always_alike(runs: set[int], seed: int) -> None:
    dealt, note = split_runs(runs, THIRDS, seed)
    assert set(dealt) == runs
    assert (dealt, note) == split_runs(sorted(runs, reverse=True), THIRDS, seed)
    if len(runs) >= len(SPLITS):
        assert set(dealt.values()) == set(SPLITS)
    else:
        assert set(dealt.values()) <= {"train"}
        assert "all are for training" in note


@given(RUNS, RUNS, st.integers(0, 1000))
def test_a_run_stays_where_it_is_when_others_come(runs: set[int], others: set[int], seed: int) -> None:
    before, few = split_runs(runs, THIRDS, seed)
    after, still_few = split_runs(runs | others, THIRDS, seed)
    if not few and not still_few:
        assert {run: after[run] for run in runs} == before


def test_the_shares_are_those_asked_for() -> None:
    dealt, note = split_runs(range(20_000), THIRDS, 3)
    assert note == ""
    for split, share in THIRDS.items():
        assert list(dealt.values()).count(split) / 20_000 == pytest.approx(share, abs=0.015)


def test_another_seed_deals_otherwise() -> None:
    assert len({tuple(split_runs(range(50), THIRDS, seed)[0].values()) for seed in range(10)}) == 10


def test_splits_that_are_not_wanted_stay_empty() -> None:
    assert set(split_runs(range(200), parse_fractions(0.7, 0.3, 0.0), 0)[0].values()) == {"train", "calibrate"}


@pytest.mark.parametrize("number", [3, 4, 5, 7])
def test_few_runs_are_cut_by_number(number: int) -> None:
    notes = set()
    for seed in range(60):
        dealt, note = split_runs(range(number), THIRDS, seed)
        assert set(dealt.values()) == set(SPLITS)
        notes.add(note.partition(":")[0])
    assert f"{number} runs are few" in notes


@pytest.mark.parametrize("shares", [(0.0, 0.5, 0.5), (0.5, 0.3, 0.3), (0.9, -0.1, 0.2), (0.5, 0.2, 0.2)])
def test_shares_that_make_no_sense_are_refused(shares: tuple[float, float, float]) -> None:
    with pytest.raises(ConfigurationError, match=r"splits train .*: shares must not be negative, train above 0, and"):
        parse_fractions(*shares)


# Parquet


def every_kind() -> list[Interval]:
    rng = np.random.default_rng(1)
    edges = np.array([0.0, 1.0, 10.0, 100.0, 1e3])
    odd = Axis(4, 0.0, 1e3, edges, ("a", "b", "\u00b5", ""), "energy [GeV]")
    entries = rng.poisson(3.0, SHAPE).astype(float)
    return [
        *good_intervals(RATE, 5),
        make_interval(rng.random(4) - 0.5, run=2**63 + 5, path="weights", axes=(odd,), variances=rng.random(4)),
        profile_interval(RATE, 3.0, entries, run=3, path="profile"),
        make_interval(np.zeros(7), run=4, path="empty", state=State.EMPTY, silent=3),
        make_interval(np.full(7, 1 / 3), 9, first_lumisection=5, run=4, path="stuck", state=State.STUCK),
    ]


def dataset(*intervals: Interval) -> Dataset:
    by_key: dict[str, list[Interval]] = {}
    for interval in intervals:
        by_key.setdefault(interval.key, []).append(interval)
    splits = {i.run: SPLITS[i.run % 3] for i in intervals}
    where = SourceTopic(topic="t", offsets={0: (3, 9), 1: (0, 0)})
    return dataset_of(by_key, splits, Provenance(topic=where, skipped={"truncated": 2}, arguments={"seed": 7}))


def same(one: Interval, other: Interval) -> None:
    for name in ("stream", "path", "kind", "run", "first_lumisection", "lumisection", "time_ns", "total", "state"):
        assert getattr(one, name) == getattr(other, name), name
    assert (one.silent, one.axes) == (other.silent, other.axes)
    assert [(a.labels, a.title) for a in one.axes] == [(a.labels, a.title) for a in other.axes]
    for name in ("contents", "variances", "entries"):
        before, after = getattr(one, name), getattr(other, name)
        assert (before is None) == (after is None), name
        if before is not None:
            np.testing.assert_array_equal(before, after, strict=True)


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    made = dataset(*every_kind())
    seen: list[int] = []
    write_dataset(made, tmp_path / "d.parquet", seen.append)
    assert sum(seen) == len(made) == 9
    assert is_parquet(tmp_path / "d.parquet")
    told: list[tuple[int, int]] = []
    read = read_dataset(tmp_path / "d.parquet", lambda rows, total: told.append((rows, total)))
    assert told[-1] == (9, 9)
    assert (read.splits, read.provenance, read.digest) == (made.splits, made.provenance, made.digest)
    assert list(read.intervals) == list(made.intervals) == sorted(made.intervals)
    for key, own in made.intervals.items():
        for one, other in zip(own, read.intervals[key], strict=True):
            same(one, other)


def test_the_same_intervals_in_any_order_give_the_same_bytes(tmp_path: Path) -> None:
    intervals = every_kind()
    for name, order in (("a", intervals), ("b", intervals[::-1])):
        write_dataset(dataset(*order), tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_model_is_the_same_from_a_file_as_from_memory(tmp_path: Path) -> None:
    intervals = good_intervals(RATE, 8)
    write_dataset(dataset(*intervals), tmp_path / "d.parquet")
    (own,) = read_dataset(tmp_path / "d.parquet").intervals.values()
    first, second = (train(of, name="m", version="1", seed=4) for of in (intervals, own))
    assert first[0] == second[0]
    assert first[1].data == rows_digest(own)


def test_many_bins_are_cut_into_row_groups(tmp_path: Path) -> None:
    contents = np.arange(1_500_000.0)
    write_dataset(dataset(*(make_interval(contents + n, run=n) for n in range(4))), tmp_path / "d.parquet")
    assert pq.ParquetFile(tmp_path / "d.parquet").num_row_groups == 2
    assert [i.contents[1] for i in read_dataset(tmp_path / "d.parquet").intervals["cal/Ecal/Occupancy"]] == [1, 2, 3, 4]


def test_other_tools_find_columns_and_provenance(tmp_path: Path) -> None:
    write_dataset(dataset(*every_kind()), tmp_path / "d.parquet")
    table = pq.read_table(tmp_path / "d.parquet")
    rows = table.filter(pa.compute.equal(table["path"], "stuck")).to_pylist()
    assert [(r["run"], r["split"], r["first_lumisection"], r["lumisection"]) for r in rows] == [(4, "calibrate", 5, 9)]
    assert (rows[0]["contents"], rows[0]["shape"], rows[0]["variances"]) == ([1 / 3] * 7, [7], None)
    said = json.loads(table.schema.metadata[METADATA_KEY])
    assert said["topic"] == {"topic": "t", "offsets": {"0": [3, 9], "1": [0, 0]}}
    assert said["skipped"] == {"truncated": 2}
    assert said["software"].startswith("histwatch ")


def test_a_split_holds_whole_runs() -> None:
    made = dataset(*every_kind())
    parts = {split: made.part(split) for split in SPLITS}
    assert sum(len(own) for part in parts.values() for own in part.values()) == len(made)
    runs = {split: {i.run for own in part.values() for i in own} for split, part in parts.items()}
    assert {split: tuple(sorted(found)) for split, found in runs.items()} == {s: made.runs(s) for s in SPLITS}
    assert not runs["train"] & runs["calibrate"] | runs["train"] & runs["test"] | runs["calibrate"] & runs["test"]


CHANGES: list[Callable[[Interval], Interval]] = [
    lambda i: replace(i, contents=i.contents + np.eye(*SHAPE)),
    lambda i: replace(i, run=i.run + 1),
    lambda i: replace(i, first_lumisection=0),
    lambda i: replace(i, variances=i.contents),
    lambda i: replace(i, entries=i.contents),
    lambda i: replace(i, path="other"),
    lambda i: replace(i, contents=i.contents.T.copy()),
    lambda i: replace(i, state=State.STUCK),
]


@pytest.mark.parametrize("change", CHANGES)
def test_checksums_tell_what_models_would_see(change: Callable[[Interval], Interval]) -> None:
    first, *rest = good_intervals(RATE, 3)
    assert rows_digest([change(first), *rest]) != rows_digest([first, *rest])


def test_checksums_do_not_depend_on_times_and_titles() -> None:
    interval = make_interval(RATE)
    titled = replace(interval, time_ns=5, axes=tuple(replace(a, title="x") for a in interval.axes))
    assert rows_digest([interval]) == rows_digest([titled])


def test_a_dataset_is_another_when_its_splits_are() -> None:
    intervals = good_intervals(RATE, 3)
    split: list[Split] = ["train", "test"]
    one, other = (dataset_of({"k": intervals}, dict.fromkeys((1, 2, 3), s)).digest for s in split)
    assert one != other


def test_files_are_named_from_the_folder_they_share(tmp_path: Path) -> None:
    for name, content in (("a/x.root", b"12"), ("b/c/y.root", b"")):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_bytes(content)
    found = source_files([tmp_path / "b/c/y.root", tmp_path / "a/x.root"])
    assert [(f.name, f.size) for f in found] == [("a/x.root", 2), ("b/c/y.root", 0)]
    assert found[0].sha256 == "6b51d431df5d7f141cbececcf79edf3dd861c3b4069f0b11661a3eefacbba918"
    assert source_files([]) == ()
    with pytest.raises(SourceError, match="gone: cannot be read, No such file"):
        source_files([tmp_path / "gone"])


# Files that are no dataset


def damaged(path: Path, **columns: Any) -> Path:
    """Write the dataset of one good map with columns replaced; None leaves one out."""
    write_dataset(dataset(make_interval(RATE, run=1), make_interval(RATE, run=1, path="b")), path)
    table = pq.read_table(path)
    for name, values in columns.items():
        where = table.schema.get_field_index(name)
        kind = table.schema.field(name).type
        table = table.remove_column(where)
        if values is not None:
            table = table.add_column(where, name, values if isinstance(values, pa.Array) else pa.array(values, kind))
    pq.write_table(table, path)
    return path


BAD_ROWS: list[tuple[dict[str, Any], str]] = [
    ({"contents": None}, r"column 'contents' must be list<.*>, there is none; make it anew: histwatch dataset"),
    ({"run": pa.array(["1", "1"])}, "column 'run' must be uint64, it is string"),
    ({"contents": [[1.0], [1.0]]}, "row 0 is no interval: cannot reshape"),
    ({"contents": [None, None]}, "row 0 is no interval: no contents"),
    ({"contents": [[np.nan] * RATE.size] * 2}, "row 0 is no interval: not_finite: NaN or infinity in the contents"),
    ({"contents": [[-1.0] * RATE.size] * 2}, "row 0 is no interval: negative_counts"),
    ({"shape": [list(SHAPE), [2**20, 2**20]]}, "row 1 is no interval: cannot reshape"),
    ({"shape": [list(SHAPE), None]}, "row 1 is no interval"),
    ({"kind": ["TH2", "TH3"]}, "row 1 is no interval: 'TH3' is not a valid Kind"),
    ({"kind": ["TH2", "TH1"]}, "row 1 is no interval: bad_axis: 2 axes for a TH1"),
    ({"kind": ["TProfile2D", "TH2"]}, "row 0 is no interval: incomplete"),
    ({"state": ["ready", "fine"]}, "row 1 is no interval: 'fine' is not a valid State"),
    ({"stream": ["a/b", "b"]}, "row 0 is no interval: bad_identity"),
    ({"lumisection": [-1, 1]}, "row 0 is no interval: bad_identity"),
    ({"first_lumisection": [5, 1]}, "row 0 is no interval: lumisections or total that no interval can have"),
    ({"total": [np.inf, 1.0]}, "row 0 is no interval: lumisections or total"),
    ({"axes": ["[", "[]"]}, "row 0 is no interval: Expecting value"),
    ({"axes": ["[]", "[]"]}, "row 0 is no interval: bad_axis: 0 axes"),
    ({"axes": ['[{"bins": 24, "low": 1, "high": 0}]'] * 2}, "row 0 is no interval: bad_axis"),
    ({"axes": ["[1, 2]"] * 2}, "row 0 is no interval"),
    ({"split": ["train", "holiday"]}, "row 1: there is no split 'holiday'"),
    ({"split": ["train", "test"]}, "run 1 is in two splits"),
]


@pytest.mark.parametrize(("columns", "reason"), BAD_ROWS, ids=[reason[:60] for _, reason in BAD_ROWS])
def test_a_row_that_no_histogram_makes_is_refused_by_name(tmp_path: Path, columns: dict[str, Any], reason: str) -> None:
    with pytest.raises(SourceError, match=f"d.parquet: {reason}"):
        read_dataset(damaged(tmp_path / "d.parquet", **columns))


def test_what_is_no_dataset_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "d.parquet"
    with pytest.raises(SourceError, match="cannot be read as Parquet"):
        read_dataset(path)
    path.write_bytes(b"PAR1 and nothing more")
    assert is_parquet(path)
    with pytest.raises(SourceError, match="cannot be read as Parquet"):
        read_dataset(path)
    pq.write_table(pa.table({"x": [1]}), path)
    with pytest.raises(SourceError, match="Parquet, but no dataset of histwatch; make one with: histwatch dataset"):
        read_dataset(path)
    pq.write_table(pa.table({"x": [1]}).replace_schema_metadata({METADATA_KEY: b"{}x"}), path)
    with pytest.raises(SourceError, match="its provenance cannot be read"):
        read_dataset(path)


def test_a_file_that_is_cut_or_flipped_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "d.parquet"
    good = dataset(*good_intervals(RATE, 20))
    write_dataset(good, path)
    whole, rng = path.read_bytes(), np.random.default_rng(5)
    for cut in (5, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:cut])
        with pytest.raises(SourceError):
            read_dataset(path)
    for at in rng.integers(4, len(whole), 200):
        flipped = bytearray(whole)
        flipped[at] ^= 0xFF
        path.write_bytes(flipped)
        try:
            read = read_dataset(path)
        except SourceError:
            continue
        assert read.digest == good.digest


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(HistwatchError, match=r"file/d.parquet: cannot be written"):
        write_dataset(dataset(make_interval(RATE)), tmp_path / "file" / "d.parquet")


def test_an_interrupted_file_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "d.parquet"
    path.write_text("before")

    def interrupt(_rows: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_dataset(dataset(make_interval(RATE)), path, interrupt)
    assert [p.name for p in tmp_path.iterdir()] == ["d.parquet"]
    assert path.read_text() == "before"


def test_kinds_survive(tmp_path: Path) -> None:
    write_dataset(dataset(*every_kind()), tmp_path / "d")
    found = {i.path: i.kind for own in read_dataset(tmp_path / "d").intervals.values() for i in own}
    assert found["profile"] is Kind.TPROFILE2D
    assert found["weights"] is Kind.TH1
