"""Learning as commands: what they write, what they refuse, and what Ctrl-C leaves behind."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import uproot
from helpers import good_intervals, smooth_rate

from monitor.cli import main
from monitor.cli.gather import work
from monitor.infer import Card, load_model
from monitor.infer.card import METADATA_KEY, parse_card
from monitor.learn.autoencoder import train, write_onnx
from monitor.learn.dataset import dataset_of, rows_digest
from monitor.learn.models import model_file_name
from monitor.learn.parquet import read_dataset
from monitor.learn.reference import learn_reference
from monitor.learn.training import Recipe, train_version
from monitor.learn.versions import VersionState, read_calibration, read_record, read_state, versions_of
from monitor.service.build import load_folder, load_version

HISTWATCH = [sys.executable, "-m", "monitor.cli"]
PAGE = Path(__file__).parents[2] / "docs" / "learning.md"
SMALL = ("hits_per_track", "hit_time", "mean_charge_phi")
"""Histograms of one dimension, one of them a profile."""


@pytest.fixture(scope="session")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 good runs of a small detector."""
    folder = tmp_path_factory.mktemp("recorded") / "good"
    simulate(folder, 24)
    return folder


def simulate(folder: Path, runs: int) -> None:
    select = [word for name in SMALL for word in ("--select", name)]
    options = ["--run", "1", "--runs", str(runs), "--lumisections", "4", "--seed", "7"]
    assert histwatch("simulate", "--to-root", folder, *options, *select) == 0


@pytest.fixture(scope="session")
def parquet(good: Path) -> Path:
    path = good.parent / "good.parquet"
    assert histwatch("dataset", good, "--output", path) == 0
    return path


def histwatch(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(a) for a in arguments])
    return int(ended.value.code or 0)


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def card_of(file: Path) -> Card:
    properties = {p.key: p.value for p in onnx.load(str(file)).metadata_props}
    return parse_card(properties[METADATA_KEY])


def content_of(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}


# The page


def test_the_commands_of_the_page_work_in_their_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    commands = [
        line
        for block in re.findall(r"```sh\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
        for line in block.splitlines()
    ]
    words = [shlex.split(command) for command in commands]
    assert all(w[0] == "histwatch" for w in words)
    # The page begins with the short way; that has its own test.
    for one in words[1:]:
        assert histwatch(*one[1:]) == 0, one
    assert len(words) == 14
    assert versions_of(Path("models")) == ("1", "2")
    assert read_state(Path("models")) == VersionState(active="1")


# Datasets


def test_a_dataset_is_what_was_recorded(good: Path, parquet: Path, capsys: pytest.CaptureFixture[str]) -> None:
    again = parquet.with_name("again.parquet")
    capsys.readouterr()
    assert histwatch("dataset", good, "--output", again, "--json") == 0
    (said,) = lines(capsys)
    assert again.read_bytes() == parquet.read_bytes()
    made = read_dataset(parquet)
    assert (said["rows"], said["histograms"], said["sha256_of_rows"]) == (24 * 4 * 3, 3, made.digest)
    assert sorted(run for runs in said["runs"].values() for run in runs) == list(range(1, 25))
    assert {split: len(runs) > 0 for split, runs in said["runs"].items()} == dict.fromkeys(said["runs"], True)
    files = {f.name: f for f in made.provenance.files}
    assert len(files) == 24
    file = good / "tracker" / "run1.root"
    assert files["run1.root"].size == file.stat().st_size
    assert made.provenance.arguments["splits"] == {"train": 0.6, "calibrate": 0.2, "test": 0.2}


def test_another_seed_is_another_split(good: Path, parquet: Path, tmp_path: Path) -> None:
    assert histwatch("dataset", good, "-o", tmp_path / "d.parquet", "--seed", 1, "--select", "hit_time") == 0
    one, other = read_dataset(parquet), read_dataset(tmp_path / "d.parquet")
    assert one.splits != other.splits
    assert list(other.intervals) == ["tracker/Timing/hit_time"]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["dataset", "-o", "x.parquet"], "name either recorded good runs, PATH..., or a topic"),
        (["dataset", "GOOD", "--from-topic", "t", "-o", "x.parquet"], "name either recorded good runs"),
        (["dataset", "PARQUET", "-o", "x.parquet"], "is a dataset already; name recorded runs"),
        (["dataset", "GOOD", "-o", "x.parquet", "--train", "0.9"], "splits train 0.9, calibrate 0.2, test 0.2"),
        (["dataset", "GOOD", "-o", "x.parquet", "--select", "none"], "no path matches none"),
        (["train", "PARQUET", "GOOD", "-o", "models"], "a dataset stands alone"),
        (["train", "nowhere", "-o", "models"], "nowhere: no such file or folder"),
        (["train", "PARQUET", "-o", "models", "--version", "../x"], "--version: version '../x': letters, digits"),
        (["train", "PARQUET", "-o", "models", "--flat", "--shadow"], "--flat and --shadow"),
        (["train", "PARQUET", "-o", "models", "--minimum", "500"], "no model could be made of 3 histograms: "),
        (["calibrate", "PARQUET", "-m", "models"], "--models models: holds no models"),
        (["models", "list", "-d", "nowhere"], "--directory nowhere: is no folder"),
    ],
)
def test_wrong_use_is_refused_with_a_reason(
    good: Path,
    parquet: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    reason: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()
    assert histwatch(*({"GOOD": good, "PARQUET": parquet}.get(a, a) for a in arguments)) == 2
    said = capsys.readouterr()
    assert reason in said.err
    assert said.out == ""
    assert [*tmp_path.iterdir()] == []


def test_runs_without_a_number_are_said_to_be_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in").mkdir()
    for name in ("monday", "tuesday"):
        with uproot.recreate(tmp_path / "in" / f"{name}.root") as file:
            file["a"] = np.full(10, 900.0), np.linspace(0, 1, 11)
    assert histwatch("dataset", tmp_path / "in", "-o", tmp_path / "d.parquet") == 0
    said = capsys.readouterr().err
    assert "monday.root (and 1 more files): no run number in the names, taken as run 0" in said
    assert "1 run cannot be split into train, calibrate, test: all are for training" in said
    assert read_dataset(tmp_path / "d.parquet").splits == {0: "train"}


def test_the_configuration_says_what_an_interval_needs(good: Path, tmp_path: Path) -> None:
    config = tmp_path / "m.yaml"
    one = {"name": "two", "match": ["*hit_time"], "minimum_lumisections": 2, "model": "one that is not made yet"}
    config.write_text(json.dumps({"types": [one]}))
    assert histwatch("dataset", good, "-o", tmp_path / "d.parquet", "--config", config) == 0
    made = read_dataset(tmp_path / "d.parquet").intervals
    assert {key: len(own) for key, own in made.items() if key.endswith("hit_time")} == {"tracker/Timing/hit_time": 48}
    assert len(made["tracker/Tracks/hits_per_track"]) == 96


@pytest.mark.parametrize(
    ("package", "command", "reason"),
    [
        ("pyarrow", "dataset", "Parquet files need the pyarrow package: pip install 'histwatch[train]'"),
        ("onnx", "train", "writing models needs the onnx package: pip install 'histwatch[train]'"),
    ],
)
def test_what_is_not_installed_is_named(good: Path, tmp_path: Path, package: str, command: str, reason: str) -> None:
    arguments = [command, str(good), "--select", "hit_time", "--output", str(tmp_path / "out")]
    program = f"import sys\nsys.modules[{package!r}] = None\nfrom monitor.cli import main\nmain({arguments!r})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2
    assert reason in done.stderr
    assert "Traceback" not in done.stderr
    assert [*tmp_path.iterdir()] == []


# Training


def test_versions_follow_each_other_and_are_alike(parquet: Path, tmp_path: Path) -> None:
    models = tmp_path / "models"
    assert histwatch("train", parquet, "-o", models, "--seed", 5) == 0
    assert read_state(models).active == "1"
    before = content_of(models / "1")
    assert histwatch("train", parquet, "-o", models, "--seed", 5) == 0
    assert (versions_of(models), read_state(models).active) == (("1", "2"), "1")
    assert content_of(models / "1") == before
    assert histwatch("train", parquet, "-o", models, "--version", "1") == 2
    # Byte for byte the same, but for the version.
    assert histwatch("train", parquet, "-o", tmp_path / "others", "--seed", 5) == 0
    assert content_of(tmp_path / "others" / "1") == before
    assert histwatch("train", parquet, "-o", tmp_path / "seeds", "--seed", 6) == 0
    assert content_of(tmp_path / "seeds" / "1").keys() == before.keys()
    assert content_of(tmp_path / "seeds" / "1") != before


def test_cards_are_complete(parquet: Path, tmp_path: Path) -> None:
    assert histwatch("train", parquet, "-o", tmp_path, "--seed", 5, "--rank", 1) == 0
    made = read_dataset(parquet)
    for key, own in made.part("train").items():
        card = card_of(tmp_path / "1" / f"{model_file_name(key)}.onnx")
        assert card.histogram_types == (key,)
        assert (card.version, card.seed, card.rank, card.rank_asked) == ("1", 5, 1, 1)
        assert card.training_runs == made.runs("train")
        assert card.data == rows_digest(own)
        assert card.references + card.left_out == len(own)
        assert set(card.left_out_runs) <= set(card.training_runs)
        assert card.normalisation == "exposure"
        assert card.software.startswith("histwatch ")
    record = read_record(tmp_path / "1")
    assert record is not None
    assert (record.dataset, record.models, record.refused, record.rank) == (made.digest, 3, {}, 1)


def test_a_version_in_shadow(parquet: Path, tmp_path: Path) -> None:
    for _ in range(2):
        assert histwatch("train", parquet, "-o", tmp_path, "--shadow") == 0
    assert read_state(tmp_path) == VersionState(shadow=("1", "2"))


def bad_recording(folder: Path) -> None:
    """Good runs of `a`; `b` is empty, `c` is binned anew in the middle, and `d` came with the last runs."""
    rng = np.random.default_rng(3)
    for run in range(1, 9):
        with uproot.recreate(folder / f"run{run}.root") as file:
            for path, bins in (("a", 10), ("b", 10), ("c", 10 if run < 5 else 12)):
                counts = rng.poisson(900.0 * (path != "b"), bins).astype(float)
                file[f"ls_1/{path}"] = counts, np.linspace(0, 1, bins + 1)
            if run > 5:
                file["ls_1/d"] = rng.poisson(900.0, 10).astype(float), np.linspace(0, 1, 11)


def test_what_cannot_be_learned_from_is_refused_each_with_its_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "runs").mkdir()
    bad_recording(tmp_path / "runs")
    capsys.readouterr()
    assert histwatch("train", tmp_path / "runs", "-o", tmp_path / "models", "--json") == 1
    said = lines(capsys)
    assert [line["histograms"] for line in said if "model" in line] == [["runs/a"]]
    reasons = {line["refused"]: line["reason"] for line in said if "refused" in line}
    assert reasons == {
        "runs/b": "runs/b: 0 good intervals with content to train on, 6 needed",
        "runs/c": reasons["runs/c"],
        "runs/d": "runs/d: 3 good intervals with content to train on, 6 needed",
    }
    assert re.match(r"runs/c: references of different binning: \d+ bins from .* in run \d+, ", reasons["runs/c"])
    record = read_record(tmp_path / "models" / "1")
    assert record is not None
    assert record.refused == reasons
    assert histwatch("train", tmp_path / "runs", "-o", tmp_path / "more") == 1
    assert "histwatch: runs/b: 0 good intervals with content to train on, 6 needed" in capsys.readouterr().err


def test_flat_models_are_used_until_a_version_is_chosen(parquet: Path, tmp_path: Path) -> None:
    assert histwatch("train", parquet, "-o", tmp_path, "--flat") == 0
    assert versions_of(tmp_path) == (".",)
    assert histwatch("calibrate", parquet, "-m", tmp_path) == 0
    assert read_calibration(tmp_path) is not None
    assert histwatch("train", parquet, "-o", tmp_path) == 0
    assert read_state(tmp_path).active == "."
    assert histwatch("models", "activate", "1", "-d", tmp_path) == 0
    assert histwatch("models", "activate", ".", "-d", tmp_path) == 0
    # Models that are trained anew are not those that were calibrated.
    assert histwatch("train", parquet, "-o", tmp_path, "--flat", "--rank", 1) == 0
    assert read_calibration(tmp_path) is None


def test_scatter_beyond_half_precision_makes_no_broken_model() -> None:
    reference = learn_reference(good_intervals(smooth_rate(), 6), "m").reference
    assert reference.scatter is not None
    relative = reference.scatter.relative.copy()
    relative[::7] = 1e9
    wild = replace(reference, scatter=replace(reference.scatter, relative=relative))
    _, card = train(good_intervals(smooth_rate(), 6), name="m", version="1", rank=0)
    modes, scale = np.zeros((1, smooth_rate().size)), np.ones(smooth_rate().size)
    model = load_model(write_onnx(wild, modes, scale, card), "m.onnx")
    assert model.reference.scatter is not None
    np.testing.assert_allclose(model.reference.scatter.relative, np.minimum(relative, 65504.0), rtol=1e-3, atol=1e-6)


# Calibration


def test_only_held_out_runs_calibrate(parquet: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert histwatch("train", parquet, "-o", tmp_path) == 0
    capsys.readouterr()
    assert histwatch("calibrate", parquet, "-m", tmp_path, "--seed", 3, "--json") == 0
    (said,) = lines(capsys)
    held = len(read_dataset(parquet).runs("calibrate")) * 4
    assert (said["version"], said["crosswise"], said["left_out_runs"]) == ("1", False, [])
    assert said["pools"] == {"counts": {"maps": 2 * held, "histograms": 2}, "profile": {"maps": held, "histograms": 1}}
    calibration = read_calibration(tmp_path / "1")
    assert calibration is not None
    assert calibration.seed == 3
    before = content_of(tmp_path / "1")
    assert histwatch("calibrate", parquet, "-m", tmp_path, "--seed", 3) == 0
    assert content_of(tmp_path / "1") == before
    for model in load_version(tmp_path / "1"):
        assert model.reference.pool == calibration.pools[model.reference.statistics]


def test_runs_that_a_model_was_trained_on_are_left_out(
    good: Path, parquet: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert histwatch("train", parquet, "-o", tmp_path / "models") == 0
    capsys.readouterr()
    assert histwatch("calibrate", good, "-m", tmp_path / "models", "--json") == 0
    (said,) = lines(capsys)
    made = read_dataset(parquet)
    assert tuple(said["left_out_runs"]) == made.runs("train")
    assert said["pools"]["profile"]["maps"] == 4 * len(made.runs("calibrate") + made.runs("test"))
    assert histwatch("train", good, "-o", tmp_path / "all") == 0
    capsys.readouterr()
    assert histwatch("calibrate", good, "-m", tmp_path / "all", "--held-out") == 2
    assert "no held-out interval with content fits a model; the models were trained on runs 1, 2" in (
        capsys.readouterr().err
    )


def test_crosswise_where_it_is_asked_for(parquet: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert histwatch("train", parquet, "-o", tmp_path) == 0
    capsys.readouterr()
    assert histwatch("calibrate", parquet, "-m", tmp_path, "--cross", "--json") == 0
    (said,) = lines(capsys)
    assert said["crosswise"]
    assert said["pools"]["profile"]["maps"] == 4 * len(read_dataset(parquet).runs("train"))


def test_which_version_is_meant_must_be_clear(
    good: Path, parquet: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.parquet"
    assert histwatch("dataset", good, "-o", other, "--seed", 9) == 0
    models = tmp_path / "models"
    for source in (parquet, other, other):
        assert histwatch("train", source, "-o", models) == 0
    assert histwatch("calibrate", parquet, "-m", models) == 0
    assert [read_calibration(models / v) is not None for v in "123"] == [True, False, False]
    capsys.readouterr()
    assert histwatch("calibrate", other, "-m", models) == 2
    assert (
        "trained of this dataset are the versions 2, 3; name one of 1, 2, 3 with --version" in capsys.readouterr().err
    )
    assert histwatch("calibrate", other, "-m", models, "--version", "3") == 0
    assert histwatch("calibrate", good, "-m", models) == 2
    assert "none was trained of this dataset" in capsys.readouterr().err


def test_models_of_other_histograms_cannot_be_calibrated(
    good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, select in (("one", "hit_time"), ("other", "hits_per_track")):
        assert histwatch("dataset", good, "-o", tmp_path / name, "--select", select) == 0
    assert histwatch("train", tmp_path / "one", "-o", tmp_path / "models") == 0
    capsys.readouterr()
    assert histwatch("calibrate", tmp_path / "other", "-m", tmp_path / "models") == 2
    assert "none of its 1 histograms has a model" in capsys.readouterr().err
    assert read_calibration(tmp_path / "models" / "1") is None


# All in one


def test_learn_is_all_of_it(good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert histwatch("learn", good, "-o", tmp_path / "models", "--json") == 0
    *models, summary = lines(capsys)
    assert len(models) == 3
    assert (summary["event"], summary["version"], summary["crosswise"]) == ("calibrated", "1", True)
    assert card_of(next((tmp_path / "models" / "1").glob("*.onnx"))).training_runs == tuple(range(1, 25))
    assert summary["pools"]["profile"]["maps"] == 4 * 24
    assert histwatch("learn", good, "-o", tmp_path / "models") == 0
    assert read_state(tmp_path / "models") == VersionState(active="2")
    assert histwatch("learn", good, "-o", tmp_path / "models", "--shadow") == 0
    assert read_state(tmp_path / "models") == VersionState(active="2", shadow=("3",))


def test_classifiers_are_made_of_what_is_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flat = [replace(i, path="Ecal/Rates") for i in good_intervals(smooth_rate((40,), 300.0), 8)]
    maps = good_intervals(smooth_rate((24, 16), 300.0), 8)
    intervals = {own[0].key: own for own in (maps, flat, [replace(i, path="Ecal/Other") for i in maps])}
    dataset = dataset_of(intervals, dict.fromkeys(range(1, 9), "train"))
    recipe = Recipe(version="1", classify=("Occupancy", "cal/Ecal/Rates"), classifier_scale=0.05)
    told: list[str] = []
    trained = train_version(dataset, tmp_path / "1", recipe, on_epoch=told.append)
    assert len(trained.models) == 3
    assert trained.classifiers.keys() == set(told) == {"cal/Ecal/Occupancy"}
    assert "two-dimensional maps of counts" in trained.refused.pop("classifier of cal/Ecal/Rates")
    assert not trained.refused
    models, (classifier,) = load_folder(tmp_path / "1")
    assert len(models) == 3
    assert classifier.card == trained.classifiers["cal/Ecal/Occupancy"]
    assert histwatch("models", "list", "-d", tmp_path) == 0
    assert "3 models, 1 classifiers, not calibrated" in capsys.readouterr().out
    next((tmp_path / "1").glob("*.kinds.onnx")).write_bytes(b"damaged")
    assert histwatch("models", "activate", "1", "-d", tmp_path) == 2
    assert ".kinds.onnx" in capsys.readouterr().err


def test_of_many_runs_a_quarter_is_held_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ("--runs", 40, "--lumisections", 2, "--select", "hit_time")
    assert histwatch("simulate", "--to-root", tmp_path / "many", *asked) == 0
    capsys.readouterr()
    assert histwatch("learn", tmp_path / "many", "-o", tmp_path / "models", "--json") == 0
    summary = lines(capsys)[-1]
    assert not summary["crosswise"]
    trained_on = set(card_of(next((tmp_path / "models" / "1").glob("*.onnx"))).training_runs)
    assert 20 <= len(trained_on) < 40
    assert summary["pools"]["counts"]["maps"] == 2 * (40 - len(trained_on))


def test_few_runs_serve_for_both(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    simulate(tmp_path / "few", 6)
    capsys.readouterr()
    assert histwatch("learn", tmp_path / "few", "-o", tmp_path / "models", "--json") == 0
    summary = lines(capsys)[-1]
    assert summary["crosswise"]
    assert summary["pools"]["profile"]["maps"] == 24
    assert card_of(next((tmp_path / "models" / "1").glob("*.onnx"))).training_runs == (1, 2, 3, 4, 5, 6)


def test_one_run_makes_models_without_a_promise(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert histwatch("simulate", "--to-root", tmp_path / "one", "--lumisections", 8, "--select", "hit_time") == 0
    capsys.readouterr()
    assert histwatch("learn", tmp_path / "one", "-o", tmp_path / "models") == 1
    said = capsys.readouterr().err
    assert "not calibrated: nothing to calibrate with: crosswise needs good intervals of two runs" in said
    assert read_state(tmp_path / "models").active == "1"


def test_learn_of_a_dataset_is_learn_of_its_runs(good: Path, tmp_path: Path) -> None:
    shares = ["--train", 1, "--calibrate", 0, "--test", 0]
    assert histwatch("dataset", good, "-o", tmp_path / "d.parquet", *shares) == 0
    for source, where in ((good, "a"), (tmp_path / "d.parquet", "b")):
        assert histwatch("learn", source, "-o", tmp_path / where) == 0
    first, second = (content_of(tmp_path / one / "1") for one in "ab")
    # How the splits were asked for is another matter, and said.
    records = [json.loads(one.pop("version.json")) for one in (first, second)]
    assert first == second
    assert [r.pop("provenance") is not None for r in records] == [True, True]
    assert records[0] == records[1]
    assert set(records[0]["files"]) == {name for name in first if name.endswith(".onnx")}
    assert {"calibration.json"} < first.keys()


def test_versions_are_listed(parquet: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert histwatch("learn", parquet, "-o", tmp_path) == 0
    assert histwatch("train", parquet, "-o", tmp_path, "--shadow") == 0
    capsys.readouterr()
    assert histwatch("models", "list", "-d", tmp_path, "--json") == 0
    first, second = lines(capsys)
    assert (first["version"], first["use"], first["models"]) == ("1", "active", 3)
    assert first["calibrated_with_maps"] > 0
    assert (second["version"], second["use"], second["calibrated_with_maps"]) == ("2", "shadow", 0)
    assert second["record"]["dataset"] == read_dataset(parquet).digest
    assert histwatch("models", "list", "-d", tmp_path) == 0
    table = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in table] == [["1", "active"], ["2", "shadow"]]


def test_a_version_that_cannot_be_used_is_not_activated(
    parquet: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        assert histwatch("train", parquet, "-o", tmp_path) == 0
    next((tmp_path / "2").glob("*.onnx")).write_bytes(b"damaged")
    for use in ("activate", "shadow"):
        capsys.readouterr()
        assert histwatch("models", use, "2", "-d", tmp_path) == 2
        assert "not an ONNX file" in capsys.readouterr().err
    assert read_state(tmp_path) == VersionState(active="1")


# Ctrl-C


def interrupted(arguments: list[object], seen: Callable[[str], bool]) -> subprocess.CompletedProcess[str]:
    """Run a command, and interrupt it once a line of its output is seen."""
    with subprocess.Popen(
        [*HISTWATCH, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    ) as process:
        assert process.stdout is not None
        first = ""
        while not seen(first):
            first = process.stdout.readline()
            assert first, "it ended before it could be interrupted"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=120)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


class Dying:
    """Is interrupted while it is finalised, where Python prints and ignores exceptions."""

    def __del__(self) -> None:
        signal.raise_signal(signal.SIGINT)


@pytest.mark.filterwarnings("ignore:Exception ignored in:pytest.PytestUnraisableExceptionWarning")
def test_an_interrupt_that_a_finaliser_swallows_is_not_lost() -> None:
    seen = []

    def count_to_the_interrupt() -> None:
        with work(quiet=True) as at_work:
            for number in at_work.track(range(5), 5, "counting"):
                seen.append(number)
                if number == 2:
                    Dying()

    with pytest.raises(KeyboardInterrupt):
        count_to_the_interrupt()
    assert seen == [0, 1, 2]
    with pytest.raises(KeyboardInterrupt), work(quiet=True):
        Dying()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_what_runs_in_the_background_goes_on() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with work(quiet=True) as at_work:
            signal.raise_signal(signal.SIGINT)
            at_work.check()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_an_interrupted_training_leaves_whole_models_and_what_was_in_use(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    (tmp_path / "runs").mkdir()
    for run in range(1, 9):
        with uproot.recreate(tmp_path / "runs" / f"run{run}.root") as file:
            for number in range(60):
                file[f"ls_1/h{number:02d}"] = rng.poisson(900.0, 400).astype(float), np.linspace(0, 1, 401)
    assert histwatch("train", tmp_path / "runs", "-o", tmp_path / "models", "--select", "h00") == 0
    done = interrupted(["train", tmp_path / "runs", "-o", tmp_path / "models", "--json"], lambda line: "model" in line)
    assert done.returncode == 130, done.stderr
    written = [*(tmp_path / "models" / "2").iterdir()]
    assert 1 <= len(written) < 60
    assert {file.suffix for file in written} == {".onnx"}
    assert len(load_version(tmp_path / "models" / "2")) == len(written)
    assert read_state(tmp_path / "models").active == "1"
    assert f"{len(written)} of 60 models are written to {tmp_path / 'models' / '2'}, each of them whole" in done.stderr
    # What is there of it does not stand in the way of going on.
    assert histwatch("train", tmp_path / "runs", "-o", tmp_path / "models", "--version", "2") == 0
    assert len(load_version(tmp_path / "models" / "2")) == 60
