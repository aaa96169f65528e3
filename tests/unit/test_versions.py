"""Versions of the models: one active, others in shadow, and a flat folder as before."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import SHAPE, Trained, expect, make_snapshot, poisson_map, smooth_rate
from prometheus_client import CollectorRegistry

from monitor.alarm import Policy
from monitor.config import Settings
from monitor.decode import Envelope
from monitor.decode.native import encode
from monitor.detect.expectation import ExpectationDetector
from monitor.errors import ConfigurationError, ModelError
from monitor.infer import Calibration, Card, Pool, parse_card
from monitor.infer.calibration import Tail, promise_of
from monitor.judge import Catalogue, Rule
from monitor.learn import versions
from monitor.learn.autoencoder import train
from monitor.learn.versions import FLAT, VersionState, versions_of
from monitor.service.build import build_catalogue, build_shadows, load_version
from monitor.service.daemon import Daemon
from monitor.service.pipeline import Pipeline
from monitor.sinks.base import Outcome
from monitor.sinks.metrics import Metrics
from monitor.source.record import Batch, Record

RATE = smooth_rate()
TAIL = Tail(share=0.05, start=3.0, slope=1.2)
CALIBRATION = Calibration(pools={"counts": Pool(maps=1000, histograms=3, tails={"bin": TAIL})})


def put(folder: Path, trained: Trained, name: str = "m") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.onnx").write_bytes(trained.content)


@pytest.fixture
def directory(tmp_path: Path, trained: Trained) -> Path:
    for version in ("1", "2", "10"):
        put(tmp_path / "models" / version, trained)
    return tmp_path / "models"


def settings(**types: Any) -> Settings:
    return Settings.model_validate({"types": [{"name": "all", "match": ["*"], **types}]})


# The folder


def test_a_flat_folder_is_its_own_version(tmp_path: Path, trained: Trained) -> None:
    put(tmp_path, trained)
    assert versions_of(tmp_path) == (FLAT,)
    assert versions.active_folder(tmp_path) == tmp_path
    assert versions.read_state(tmp_path) == VersionState()


def test_an_empty_folder_has_no_models(tmp_path: Path) -> None:
    assert versions.active_folder(tmp_path) == tmp_path
    assert versions_of(tmp_path) == ()
    assert versions_of(tmp_path / "nowhere") == ()
    assert versions.next_version(tmp_path / "nowhere") == "1"


def test_versions_are_in_the_order_of_their_numbers(directory: Path, trained: Trained) -> None:
    for name in ("notes", ".2.part", "v2-rc1", "v10"):
        (directory / name).mkdir()
    for name in ("v2-rc1", "v10"):
        put(directory / name, trained)
    assert versions_of(directory) == ("1", "2", "10", "v2-rc1", "v10")
    assert versions.next_version(directory) == "11"


def test_one_version_is_active_and_any_number_in_shadow(directory: Path) -> None:
    assert versions.activate(directory, "1") == VersionState()
    versions.shadow(directory, "10")
    versions.shadow(directory, "2")
    versions.shadow(directory, "2")
    assert versions.read_state(directory) == VersionState(active="1", shadow=("2", "10"))
    assert versions.activate(directory, "2").active == "1"
    assert versions.read_state(directory) == VersionState(active="2", shadow=("10",))
    assert versions.active_folder(directory) == directory / "2"
    versions.unshadow(directory, "10")
    assert json.loads((directory / "versions.json").read_text()) == {"contract": 1, "active": "2", "shadow": []}


def test_back_to_the_files_of_the_folder_itself(directory: Path, trained: Trained) -> None:
    versions.activate(directory, "1")
    with pytest.raises(ConfigurationError, match="holds no models of its own, only versions"):
        versions.activate(directory, FLAT)
    put(directory, trained)
    versions.activate(directory, FLAT)
    assert versions.active_folder(directory) == directory


def test_what_is_not_there_cannot_be_used(directory: Path) -> None:
    for use in (versions.activate, versions.shadow):
        with pytest.raises(ConfigurationError, match="there is no version '3'; known are 1, 2, 10"):
            use(directory, "3")
    with pytest.raises(ConfigurationError, match="version '2' is not in shadow; those are none"):
        versions.unshadow(directory, "2")
    versions.activate(directory, "1")
    with pytest.raises(ConfigurationError, match="version 1 is active; activate another before"):
        versions.shadow(directory, "1")
    with pytest.raises(ConfigurationError, match="only a version in a folder of its own"):
        versions.shadow(directory, FLAT)
    assert versions.read_state(directory) == VersionState(active="1")


def test_versions_of_which_none_is_chosen_are_no_models(directory: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"holds the versions 1, 2, 10 and none is active; choose one: .*10"):
        build_catalogue(settings(), directory.parent, "x.yaml")


@pytest.mark.parametrize("name", ["", "..", ".", "a/b", "../2", "/etc", "a b", "-x", ".hidden", "x" * 65, "2\n", "µ"])
def test_names_that_are_no_folder_of_ours_are_refused(directory: Path, name: str) -> None:
    with pytest.raises(ValueError, match="letters, digits and"):
        versions.check_name(name)
    (directory / "versions.json").write_text(json.dumps({"active": "1", "shadow": [name]}))
    with pytest.raises(ConfigurationError, match=r"versions.json: shadow"):
        versions.read_state(directory)


def test_a_version_that_leads_out_of_the_folder_is_refused(directory: Path, tmp_path: Path, trained: Trained) -> None:
    put(tmp_path / "elsewhere", trained)
    (directory / "4").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigurationError, match="a link that leads out of"):
        versions.activate(directory, "4")


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"active": 1}', '{"active": "1", "more": 2}', '{"contract": 2}', "[" * 100_000, "\udcff"]
)
def test_a_state_that_cannot_be_read_is_named(directory: Path, text: str) -> None:
    (directory / "versions.json").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(ConfigurationError, match=r"versions.json: "):
        versions.active_folder(directory)


def test_a_state_of_a_version_that_is_gone_is_named(directory: Path) -> None:
    versions.activate(directory, "1")
    versions.shadow(directory, "2")
    for version in ("1", "2"):
        (directory / version / "m.onnx").unlink()
    with pytest.raises(ConfigurationError, match="there is no version '1'; known are 10"):
        build_catalogue(settings(), directory.parent, "x.yaml")
    with pytest.raises(
        ModelError, match=r"there is no version '2'; known are 10; end it with: .* models unshadow 2 -d"
    ):
        build_shadows(settings(), directory.parent, "x.yaml")
    # What is only tried out does not keep the monitor from its work.
    said: list[str] = []
    assert build_shadows(settings(), directory.parent, "x.yaml", said.append) == {}
    assert len(said) == 1


# Calibration


def test_a_calibration_beside_models_is_theirs(directory: Path, trained: Trained) -> None:
    versions.write_calibration(directory / "2", CALIBRATION)
    assert versions.read_calibration(directory / "2") == CALIBRATION
    assert versions.read_calibration(directory / "1") is None
    assert [m.reference.pool for m in load_version(directory / "1")] == [None]
    (model,) = load_version(directory / "2")
    assert model.reference.pool == CALIBRATION.pools["counts"]
    versions.activate(directory, "2")
    catalogue, _ = build_catalogue(settings(), directory.parent, "x.yaml")
    (promise,) = catalogue.promises()
    assert promise == promise_of(CALIBRATION.pools["counts"], catalogue.rules[0].chance)
    assert "1000 held-out good maps" in promise


def test_a_flat_folder_may_be_calibrated(tmp_path: Path, trained: Trained) -> None:
    put(tmp_path / "models", trained)
    versions.write_calibration(tmp_path / "models", CALIBRATION)
    catalogue, _ = build_catalogue(settings(), tmp_path, "x.yaml")
    assert "1000 held-out good maps" in next(iter(catalogue.promises()))


@pytest.mark.parametrize(
    "text", ["", "{}", '{"pools": {"counts": {"maps": -1, "histograms": 1, "tails": {}}}}', '{"pools": NaN}']
)
def test_a_calibration_that_cannot_be_read_is_refused(directory: Path, text: str) -> None:
    (directory / "1" / "calibration.json").write_text(text)
    with pytest.raises(ModelError, match=r"1/calibration.json: .*; make it anew: histwatch calibrate"):
        load_version(directory / "1")


# Cards


def test_cards_from_before_still_load() -> None:
    before = {"name": "m", "version": "1", "histogram_types": ["*"], "kind": "TH1", "shape": [3]}
    card = parse_card(json.dumps({**before, "normalisation": "exposure"}))
    assert (card.data, card.left_out, card.left_out_runs, card.rank, card.rank_asked) == ("", 0, (), None, None)


def test_a_card_says_what_was_left_out_and_what_was_asked() -> None:
    from helpers import good_intervals, make_interval

    good = good_intervals(RATE, 10)
    bad = good[4].contents.copy()
    bad[6:12] = 0.0
    _, card = train([*good[:4], make_interval(bad, run=5), *good[5:]], name="m", version="1", rank=3, seed=2)
    assert (card.left_out, card.left_out_runs, card.references) == (1, (5,), 9)
    assert card.training_runs == tuple(range(1, 11))
    assert (card.rank, card.rank_asked, card.seed) == (3, 3, 2)
    _, card = train(good, name="m", version="1")
    assert (card.left_out, card.left_out_runs, card.rank_asked) == (0, (), None)
    # Poisson maps of one rate have no modes that pay.
    assert card.rank == 0
    assert len(card.data) == 64
    assert Card.model_validate_json(card.model_dump_json()) == card


# Shadow


def record(contents: Any, lumisection: int, offset: int, path: str = "a") -> Record:
    sent = encode(make_snapshot(contents, lumisection, path=path))
    return Record(("t", 0), offset, Envelope(sent, received_ns=1_700_000_000_000_000_000))


def catalogue_of(rate: Any, *paths: str, detector: Any = None) -> Catalogue:
    rule = Rule(name="all", match=("*",), subsystem="calo", detector=detector or ExpectationDetector())
    return Catalogue([rule], references={f"cal/{path}": expect(rate) for path in paths})


def batch(number: int = 4) -> Batch:
    """Good maps of two histograms."""
    return Batch([record(poisson_map(RATE, n), n, 2 * n + ("ab".index(p)), p) for n in range(1, number) for p in "ab"])


def test_a_version_in_shadow_is_counted_and_never_alarms() -> None:
    with_a_hot_strip = np.where(np.arange(SHAPE[0])[:, None] == 5, 3.0 * RATE, RATE)
    pipeline = Pipeline(
        catalogue_of(RATE, "a", "b"),
        Policy(),
        shadows={"9": catalogue_of(with_a_hot_strip, "a"), "10": catalogue_of(RATE, "a", "b")},
    )
    outcome = pipeline.process(batch())
    assert outcome.shadows == {("9", "BAD", "GOOD"): 3, ("10", "GOOD", "GOOD"): 6}
    assert outcome.events == []
    assert [j.verdict.value for j in outcome.judgements] == ["GOOD"] * 6
    assert pipeline.open_alarms() == []


def test_without_a_shadow_nothing_is_different() -> None:
    plain, shadowed = (
        Pipeline(catalogue_of(RATE, "a", "b"), shadows=shadows).process(batch())
        for shadows in (None, {"9": catalogue_of(RATE * 3, "a")})
    )
    assert plain.shadows == {}
    assert [j.to_json() for j in plain.judgements] == [j.to_json() for j in shadowed.judgements]


class Broken(ExpectationDetector):
    """Fails on every map."""

    def judge(self, *_: Any) -> Any:
        raise RuntimeError("broken")


def test_a_shadow_that_fails_costs_no_verdict() -> None:
    failed: list[str] = []
    pipeline = Pipeline(
        catalogue_of(RATE, "a", "b"),
        on_error=lambda stage, _error: failed.append(stage),
        shadows={"9": catalogue_of(RATE, "a", detector=Broken())},
    )
    outcome = pipeline.process(batch())
    assert outcome.shadows == {("9", "ERROR", "GOOD"): 3}
    assert [j.verdict.value for j in outcome.judgements] == ["GOOD"] * 6
    assert failed == ["shadow"] * 3


def test_a_defect_of_a_shadow_is_reported_and_the_batch_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    failed: list[str] = []
    pipeline = Pipeline(
        catalogue_of(RATE, "a", "b"),
        on_error=lambda stage, _error: failed.append(stage),
        shadows={"9": catalogue_of(RATE, "a")},
    )

    def broken(*_: Any) -> Any:
        raise RuntimeError("broken")

    monkeypatch.setattr(pipeline._shadows[0]._judge, "judge", broken)
    outcome = pipeline.process(batch())
    assert (outcome.shadows, failed) == ({}, ["shadow"])
    assert len(outcome.judgements) == 6


def test_a_shadow_forgets_what_goes_to_another_worker() -> None:
    pipeline = Pipeline(catalogue_of(RATE, "a"), shadows={"9": catalogue_of(RATE, "a")})
    pipeline.process(Batch([record(poisson_map(RATE, n), n, n) for n in range(1, 4)]))
    watch = pipeline._shadows[0]._judge._rates
    assert set(watch._own) == {"cal/a"}
    assert pipeline.forget([("t", 0)]) == {"cal/a"}
    assert set(watch._own) == set()


def test_metrics_count_what_a_shadow_says_beside_the_active_verdict() -> None:
    metrics = Metrics(CollectorRegistry())
    metrics.see_shadow("9")

    def count(*labels: str) -> float | None:
        names = ("version", "verdict", "active_verdict")
        return metrics.registry.get_sample_value("dqm_shadow_judgements_total", dict(zip(names, labels, strict=True)))

    assert count("9", "BAD", "GOOD") == 0.0
    outcome = Outcome()
    outcome.shadows[("9", "BAD", "GOOD")] = 3
    metrics.see_batch(outcome, 0.0, 0.0)
    metrics.see_batch(outcome, 0.0, 0.0)
    assert count("9", "BAD", "GOOD") == 6.0
    assert count("8", "BAD", "GOOD") is None


def test_the_daemon_builds_what_is_in_shadow(directory: Path) -> None:
    versions.activate(directory, "1")
    versions.shadow(directory, "2")
    daemon = Daemon(settings(), directory.parent / "x.yaml")
    assert list(daemon.shadows) == ["2"]
    assert [m.file for m in daemon.models] == ["m.onnx"]
    assert (
        daemon.metrics.registry.get_sample_value(
            "dqm_shadow_judgements_total", {"version": "2", "verdict": "GOOD", "active_verdict": "BAD"}
        )
        == 0.0
    )


def test_adaptive_types_are_not_judged_in_shadow(directory: Path) -> None:
    versions.activate(directory, "1")
    versions.shadow(directory, "2")
    (built,) = build_shadows(settings(reference="adaptive"), directory.parent, "x.yaml").values()
    assert built["cal/Ecal/Occupancy"].expected is None
    assert build_shadows(Settings.model_validate({"models": {"directory": None}}), directory.parent, "x") == {}


def test_a_broken_version_in_shadow_is_refused_at_the_start(directory: Path) -> None:
    versions.activate(directory, "1")
    versions.shadow(directory, "2")
    (directory / "2" / "m.onnx").write_bytes(b"no model")
    with pytest.raises(ModelError, match=r"version 2 in shadow: model m.onnx: not an ONNX file"):
        build_shadows(settings(), directory.parent, "x.yaml")


# The running monitor


def test_the_running_monitor_needs_nothing_of_the_train_extra(directory: Path) -> None:
    versions.activate(directory, "1")
    versions.shadow(directory, "2")
    versions.write_calibration(directory / "1", CALIBRATION)
    config = directory.parent / "x.yaml"
    config.write_text("types: [{name: all, match: ['*']}]\n")
    blocked = ("jax", "jaxlib", "flax", "optax", "pyarrow", "matplotlib", "onnx")
    program = (
        f"import sys\nfor name in {blocked}: sys.modules[name] = None\n"
        f"from monitor.cli import main\nmain(['monitor', '--check', '--config', {str(config)!r}])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert "1 types, 1 models" in done.stderr
    assert "in shadow: version 2, 1 models" in done.stderr
    assert "1000 held-out good maps" in done.stderr
