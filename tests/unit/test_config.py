"""The configuration file: what is wrong in it is named with file, key and what was meant."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import uproot
from pydantic import ValidationError

from monitor.config import Settings, load_settings, settings_from
from monitor.config.load import MAX_BYTES
from monitor.errors import ConfigurationError
from monitor.service.build import build_catalogue, build_derivations

CONFIG = Path(__file__).parents[2] / "config"


def load(tmp_path: Path, text: str | bytes) -> Settings:
    file = tmp_path / "some.yaml"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return load_settings(file)


def refusal(tmp_path: Path, text: str | bytes) -> str:
    """What is said of a file, after its name."""
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path, text)
    said = str(caught.value)
    assert said.startswith(f"{tmp_path / 'some.yaml'}: ")
    assert caught.value.exit_code == 2
    assert "\n" not in said
    return said.removeprefix(f"{tmp_path / 'some.yaml'}: ")


# What is accepted


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "{}", "\ufeff{}"])
def test_an_empty_file_is_all_defaults(tmp_path: Path, text: str) -> None:
    assert load(tmp_path, text) == Settings()


def test_values_are_those_of_the_file(tmp_path: Path) -> None:
    settings = load(
        tmp_path,
        """
        kafka: {topic: other, max_poll_records: 50}
        alarms:
          raise_after: 3
        types:
          - name: a
            match: ["x/*", "y"]
            thresholds: {bin: 7}
            options: {mode: stripwise, minpts: 4, eps_threshold: 0.1}
            guidance: "Call: the expert"
          - {name: b, match: ["*"], minimum_entries: 1.5}
        """,
    )
    assert (settings.kafka.topic, settings.kafka.max_poll_records) == ("other", 50)
    assert settings.alarms.raise_after == 3
    assert [t.name for t in settings.types] == ["a", "b"]
    assert settings.types[0].match == ("x/*", "y")
    assert settings.types[0].thresholds == {"bin": 7.0}
    assert settings.types[0].options == {"mode": "stripwise", "minpts": 4, "eps_threshold": 0.1}
    assert type(settings.types[0].options["minpts"]) is int
    assert settings.types[1].minimum_entries == 1.5
    assert settings.service == Settings().service


def test_settings_are_frozen(tmp_path: Path) -> None:
    settings = load(tmp_path, "types: [{name: a, match: ['*']}]")
    for part, key in ((settings, "types"), (settings.kafka, "topic"), (settings.types[0], "name")):
        with pytest.raises(ValidationError, match="frozen"):
            setattr(part, key, "x")


def test_the_shipped_configuration_loads_and_builds() -> None:
    settings = load_settings(CONFIG / "monitor.yaml")
    assert settings.types[-1].match == ("*",)
    _, models = build_catalogue(settings, CONFIG, "monitor.yaml")
    assert models


def test_the_schema_for_editors_is_that_of_the_settings() -> None:
    schema = json.dumps(Settings.model_json_schema(), indent=2) + "\n"
    written = (CONFIG / "monitor.schema.json").read_text(encoding="utf-8")
    assert written == schema, "write it anew: histwatch monitor --schema > config/monitor.schema.json"


def test_every_key_is_described() -> None:
    schema = Settings.model_json_schema()
    for name, model in [("Settings", schema), *schema["$defs"].items()]:
        for key, what in model["properties"].items():
            assert "description" in what or "$ref" in what, f"{name}.{key}"


# What is refused


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("kafak: {}", "kafak: unknown key, did you mean 'kafka'?"),
        ("kafka: {topc: x}", "kafka.topc: unknown key, did you mean 'topic'?"),
        ("service: {commit_interval: 1}", "service.commit_interval: unknown key, did you mean 'commit_interval_s'?"),
        ("types: [{name: a, match: ['*'], detectr: x}]", "types[0].detectr: unknown key, did you mean 'detector'?"),
        ("alarms: {zzz: 1}", "alarms.zzz: unknown key, known are raise_after, clear_after"),
    ],
)
def test_an_unknown_key_is_named_with_its_nearest(tmp_path: Path, text: str, said: str) -> None:
    assert refusal(tmp_path, text) == said


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("kafka: {max_poll_records: many}", "kafka.max_poll_records: "),
        ("kafka: {max_poll_records: 0}", "kafka.max_poll_records: "),
        ("kafka: {topic: 'a b'}", "kafka.topic: "),
        ("kafka: {topic: 5}", "kafka.topic: "),
        ("kafka: {bootstrap_servers: ''}", "kafka.bootstrap_servers: "),
        ("kafka: {start: yesterday}", "kafka.start: "),
        ("kafka: [1]", "kafka: "),
        ("kafka:", "kafka: "),
        ("service: {watchdog_s: .inf}", "service.watchdog_s: "),
        ("service: {watchdog_s: -1}", "service.watchdog_s: "),
        ("service: {metrics_port: 70000}", "service.metrics_port: "),
        ("service: {log_level: LOUD}", "service.log_level: "),
        ("types: {name: a}", "types: "),
        ("types: [a]", "types[0]: "),
        ("types: [{match: ['*']}]", "types[0].name: "),
        ("types: [{name: a}]", "types[0].match: "),
        ("types: [{name: a, match: []}]", "types[0].match: "),
        ("types: [{name: a, match: '*'}]", "types[0].match: "),
        ("types: [{name: 'a b', match: ['*']}]", "types[0].name: "),
        ("types: [{name: a, match: ['*'], minimum_entries: .nan}]", "types[0].minimum_entries: "),
        ("types: [{name: a, match: ['*'], minimum_entries: .inf}]", "types[0].minimum_entries: "),
        ("types: [{name: a, match: ['*'], thresholds: {bin: .nan}}]", "types[0].thresholds.bin: "),
        ("types: [{name: a, match: ['*'], thresholds: {bin: 0}}]", "types[0].thresholds.bin: "),
        ("types: [{name: a, match: ['*']}, {name: a, match: ['x']}]", "types: two types are named 'a'"),
        ("types: [{name: a, match: ['*']}, {name: b, match: ['x'], model: 3}]", "types[1].model: "),
    ],
)
def test_a_wrong_value_is_named_by_its_key(tmp_path: Path, text: str, where: str) -> None:
    said = refusal(tmp_path, text)
    assert said.startswith(where)
    assert len(said) > len(where.split(": ", 1)[0]) + 5


def test_several_problems_are_named_at_once(tmp_path: Path) -> None:
    said = refusal(tmp_path, "kafka: {topc: x}\nalarms: {raise_after: 0}")
    assert "kafka.topc: unknown key" in said
    assert "; alarms.raise_after: " in said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("kafka: {topic: a, topic: b}", "line 1, column 19: key 'topic' stands twice"),
        ("alarms: {}\nkafka: {}\nalarms: {}", "line 3, column 1: key 'alarms' stands twice"),
        ("kafka: &a {}\nmodels: *a", "line 2, column 9: aliases are not accepted"),
        ("1: x", "line 1, column 1: key 1 is not text"),
        ("? [a]\n: b", "line 1, column 3: key ['a'] is not text"),
        ("kafka: {topic: a", "line 1, column "),
        ("kafka:\n\ttopic: a", "line 2, column 1: found character '\\t' that cannot start any token"),
        ("a: b: c", "line 1, column 5: "),
        ("!!python/object/apply:os.system ['true']", "line 1, column 1: could not determine a constructor"),
        ("just text", "must hold keys and values, found str"),
        ("- a\n- b", "must hold keys and values, found list"),
        ("a: 1\n---\nb: 2", "line 2, column 1: "),
        ("kafka: {topic: 2020-13-45}", "holds a value that is not what it looks like"),
        ("a: !!int x", "holds a value that is not what it looks like"),
        ("a: !!bool x", "holds a value that is not what it looks like"),
        ("a: !!timestamp x", "holds a value that is not what it looks like"),
        ("a: " + "[" * 60 + "]" * 60, "line 1, column 53: nested deeper than 50"),
        ("[" * 20_000, "line 1, column "),
        (b"kafka: \x00", "not YAML"),
        (b"\xff\xfe\x00", "cannot be read"),
        (b"\x89PNG\r\n\x1a\n", "cannot be read"),
        ("#" * (MAX_BYTES + 1), f"larger than {MAX_BYTES} bytes"),
    ],
)
def test_what_is_no_configuration_is_named_by_its_place(tmp_path: Path, text: str | bytes, said: str) -> None:
    assert refusal(tmp_path, text).startswith(said)


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"missing.yaml: no such file; name one with --config"):
        load_settings(tmp_path / "missing.yaml")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load_settings(tmp_path)


@pytest.mark.parametrize("data", [None, 3, [], "x"])
def test_settings_are_made_of_keys_and_values(data: object) -> None:
    with pytest.raises(ConfigurationError, match=r"^test: must hold keys and values"):
        settings_from(data, "test")


# What is built of it


@pytest.mark.parametrize(
    ("one", "said"),
    [
        ({"detector": "magic"}, r"types\[0\] \(a\): there is no detector 'magic'; known are chi2, dbscan, drift, exp"),
        ({"thresholds": {"bim": 5}}, r"types\[0\] \(a\): detector 'expectation' has no \['bim'\]"),
        ({"options": {"mode": "x"}}, r"types\[0\] \(a\): detector 'expectation' has no \['mode'\]"),
        ({"detector": "dbscan", "options": {"mode": "x"}}, r"types\[0\] \(a\): detector 'dbscan': mode 'x'"),
        ({"model": "magic"}, r"types\[0\] \(a\): no model is named 'magic'"),
    ],
)
def test_what_cannot_be_built_is_named_by_file_and_type(one: dict[str, object], said: str) -> None:
    data = {"models": {"directory": None}, "types": [{"name": "a", "match": ["*"], **one}]}
    with pytest.raises(ConfigurationError, match=f"^some.yaml: {said}"):
        build_catalogue(settings_from(data, "some.yaml"), CONFIG, "some.yaml")


def test_a_folder_of_models_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"models.directory: .*nowhere is no folder; null means no models"):
        build_catalogue(settings_from({"models": {"directory": "nowhere"}}, "x"), tmp_path, "x")


def test_a_folder_of_models_that_nobody_named_need_not_exist(tmp_path: Path) -> None:
    _, models = build_catalogue(settings_from({"types": [{"name": "all", "match": ["*"]}]}, "x"), tmp_path, "x")
    assert models == []


def test_derivations_that_overlap_are_refused(tmp_path: Path) -> None:
    one = {"path": "x/{a}", "operation": "sum", "of": ["p/{a}", "q/{a}"]}
    with pytest.raises(ConfigurationError, match=r"some.yaml: derive: 'x/\{a\}' is derived twice"):
        build_derivations(settings_from({"derive": [one, one | {"operation": "ratio"}]}, "some.yaml"), "some.yaml")


@pytest.mark.parametrize("command", [["judge", "nowhere.root", "-r", "nowhere.root"], ["monitor", "--check"]])
def test_what_is_wrong_with_the_configuration_is_said_before_references_are_read(
    command: list[str], tmp_path: Path
) -> None:
    good = tmp_path / "good.root"
    with uproot.recreate(good) as file:
        file["h"] = np.histogram(np.arange(50.0), bins=5)
    config = tmp_path / "x.yaml"
    config.write_text('references: [nowhere.root]\ntypes: [{name: all, match: ["*"], detector: nosuch}]\n')
    arguments = [str(good) if a == "nowhere.root" and n == 1 else a for n, a in enumerate(command)]
    done = subprocess.run(
        [sys.executable, "-m", "monitor.cli", *arguments, "--config", str(config)], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "there is no detector 'nosuch'" in done.stderr
