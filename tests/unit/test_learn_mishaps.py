"""What goes wrong around learning costs nothing that was there, and is told with what to do."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from monitor.cli import main
from monitor.infer.calibration import Pool, Tail
from monitor.learn.files import claimed
from monitor.learn.versions import read_calibration, read_record, read_state, versions_of

HISTWATCH = [sys.executable, "-m", "monitor.cli"]


def histwatch(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(a) for a in arguments])
    return int(ended.value.code or 0)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recorded") / "good"
    select = ["--select", "hits_per_track", "--select", "hit_time"]
    runs = ["--run", 1, "--runs", 10, "--lumisections", 2, "--seed", 7]
    assert histwatch("simulate", "--to-root", folder, *runs, *select) == 0
    return folder


def dataset(good: Path, file: Path, *options: object) -> Path:
    assert histwatch("dataset", good, "-o", file, *options) == 0
    return file


def models_of(folder: Path) -> set[str]:
    return {file.name for file in folder.glob("*.onnx")}


def test_two_trainings_at_once_make_two_versions(good: Path, tmp_path: Path) -> None:
    command = [*HISTWATCH, "learn", str(good), "-o", str(tmp_path / "models")]
    both = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate(timeout=300)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert versions_of(tmp_path / "models") == ("1", "2")
    for version in ("1", "2"):
        folder = tmp_path / "models" / version
        record = read_record(folder)
        assert record is not None
        assert set(record.files) == models_of(folder)
        assert read_calibration(folder) is not None


def test_a_folder_that_is_being_written_to_is_refused(
    good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with claimed(tmp_path):
        assert histwatch("train", good, "-o", tmp_path, "--flat") == 2
    assert "another command is writing to it" in capsys.readouterr().err
    assert histwatch("train", good, "-o", tmp_path, "--flat") == 0


def test_what_an_earlier_training_left_is_gone_and_what_others_put_there_is_not(good: Path, tmp_path: Path) -> None:
    assert histwatch("learn", good, "-o", tmp_path, "--flat") == 0
    (tmp_path / "by_hand.onnx").write_bytes(b"mine")
    one = dataset(good, tmp_path / "one.parquet", "--select", "hit_time")
    assert histwatch("train", one, "-o", tmp_path, "--flat") == 0
    assert models_of(tmp_path) == {"by_hand.onnx", "tracker_Timing_hit_time.onnx"}
    assert read_calibration(tmp_path) is None
    (tmp_path / "models" / "1").mkdir(parents=True)
    (tmp_path / "models" / "1" / "left.onnx").write_bytes(b"of an interrupted training")
    assert histwatch("train", one, "-o", tmp_path / "models", "--version", "1") == 0
    assert models_of(tmp_path / "models" / "1") == {"tracker_Timing_hit_time.onnx"}


def test_an_interrupted_training_leaves_no_promise_of_other_models(
    good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert histwatch("learn", good, "-o", tmp_path, "--flat") == 0

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("monitor.learn.training.train", interrupted)
    assert histwatch("train", good, "-o", tmp_path, "--flat") == 130
    assert read_calibration(tmp_path) is None
    assert read_record(tmp_path) is None


def test_after_an_interrupted_first_training_the_next_is_in_use(
    good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "half.onnx").write_bytes(b"")
    assert histwatch("train", good, "-o", tmp_path) == 0
    assert read_state(tmp_path).active == "2"
    assert "version 2 is active" in capsys.readouterr().err


def test_nothing_is_active_after_a_first_version_in_shadow_and_that_is_said(
    good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert histwatch("train", good, "-o", tmp_path, "--shadow") == 0
    assert "no version is active" in capsys.readouterr().err
    assert histwatch("train", good, "-o", tmp_path) == 0
    assert read_state(tmp_path).active == "2"


def test_an_output_that_is_no_dataset_is_not_overwritten(
    good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for file in (next(good.rglob("*.root")), tmp_path / "notes.txt"):
        if not file.exists():
            file.write_text("mine")
        before = file.read_bytes()
        assert histwatch("dataset", good, "-o", file) == 2
        assert "is there and no dataset" in capsys.readouterr().err
        assert file.read_bytes() == before


@pytest.mark.parametrize(
    "option", [["--select", "hit*"], ["--pattern", "("], ["--cumulative"], ["--config", "nowhere.yaml"]]
)
def test_options_that_a_dataset_cannot_follow_are_refused(
    good: Path, tmp_path: Path, option: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    made = dataset(good, tmp_path / "d.parquet")
    capsys.readouterr()
    assert histwatch("train", made, "-o", tmp_path / "m", *option) == 2
    assert f"{option[0]}: {made} is a dataset, made already" in capsys.readouterr().err
    assert not (tmp_path / "m").exists()


def test_runs_that_the_models_never_saw_calibrate_nothing_crosswise(
    good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models = tmp_path / "models"
    assert histwatch("learn", good, "-o", models) == 0
    before = (models / "1" / "calibration.json").read_bytes()
    other = tmp_path / "other"
    select = ["--select", "hits_per_track", "--select", "hit_time"]
    assert histwatch("simulate", "--to-root", other, "--run", 500, "--runs", 6, "--lumisections", 2, *select) == 0
    assert histwatch("calibrate", other, "-m", models, "--version", "1", "--cross") == 2
    assert "none of these runs is one" in capsys.readouterr().err
    assert (models / "1" / "calibration.json").read_bytes() == before
    assert histwatch("calibrate", other, "-m", models, "--version", "1") == 0


def test_a_calibration_and_a_record_say_what_they_were_made_of(good: Path, tmp_path: Path) -> None:
    assert histwatch("learn", good, "-o", tmp_path) == 0
    record, calibration = read_record(tmp_path / "1"), read_calibration(tmp_path / "1")
    assert record is not None
    assert calibration is not None
    assert calibration.dataset == record.dataset
    assert (calibration.crosswise, calibration.runs) == (True, tuple(range(1, 11)))
    assert record.provenance is not None
    assert len(record.provenance.files) == len(list(good.rglob("*.root")))
    assert record.runs["train"] == tuple(range(1, 11))
    assert {"numpy", "onnx", "scipy"} <= set(record.packages) == set(calibration.packages)


def test_a_broken_state_is_told_before_the_work_and_mended_by_activate(
    good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert histwatch("train", good, "-o", tmp_path) == 0
    (tmp_path / "versions.json").write_text("{")
    assert histwatch("train", good, "-o", tmp_path) == 2
    assert versions_of(tmp_path) == ("1",)
    assert histwatch("models", "activate", "1", "-d", tmp_path) == 0
    assert read_state(tmp_path).active == "1"


def test_versions_that_are_gone_are_listed_and_what_was_made_is_shown(
    good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert histwatch("train", good, "-o", tmp_path) == 0
    (tmp_path / "versions.json").write_text('{"active": "9", "shadow": ["7"]}')
    capsys.readouterr()
    assert histwatch("models", "list", "-d", tmp_path) == 2
    table = [line.split()[:3] for line in capsys.readouterr().out.splitlines()]
    assert table[1:] == [["9", "active", "MISSING;"], ["7", "shadow", "MISSING;"]]
    assert histwatch("models", "show", "1", "-d", tmp_path) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[0].startswith("tracker/Timing/hit_time: 20 good intervals of 10 runs")
    assert histwatch("models", "show", "1", "-d", tmp_path, "--json") == 0
    assert json.loads(capsys.readouterr().out.splitlines()[0])["references"] == 20


def test_a_version_that_was_interrupted_is_activated_with_a_word(
    good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert histwatch("train", good, "-o", tmp_path) == 0
    (tmp_path / "1" / "version.json").unlink()
    assert histwatch("models", "activate", "1", "-d", tmp_path) == 0
    assert "made by hand, or by a training that was interrupted" in capsys.readouterr().err


@pytest.mark.parametrize(
    "broken", [{"slope": 1e300}, {"start": 1e300}, {"share": 1e-320}, {"slope": "2"}, {"slope": 0.5}], ids=str
)
def test_a_calibration_that_was_edited_beyond_reason_is_refused(broken: dict[str, object]) -> None:
    tail = {"share": 0.05, "start": 3.0, "slope": 1.2}
    Tail.model_validate_json(json.dumps(tail))
    with pytest.raises(ValueError, match=next(iter(broken))):
        Tail.model_validate_json(json.dumps(tail | broken))
    with pytest.raises(ValueError, match="maps"):
        Pool.model_validate_json(json.dumps({"maps": "300", "histograms": 3, "tails": {}}))


def test_columns_that_say_what_is_good_are_told_not_to_be_looked_at(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [f"{run},{ls},h,0,3,3,{int(run > 1)},5,6,7" for run in (1, 2, 3) for ls in (1, 2)]
    table = tmp_path / "charge.csv"
    table.write_text("\n".join(["run,lumi,hname,xmin,xmax,xbins,good,bin_0,bin_1,bin_2", *lines]) + "\n")
    assert histwatch("dataset", table, "-o", tmp_path / "d.parquet") == 0
    assert "charge.csv: its column 'good' is not looked at, every line is taken for good" in capsys.readouterr().err
