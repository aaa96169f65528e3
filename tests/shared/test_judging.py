"""What the monitor says of recorded detector data, on files and through a real Kafka."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from monitor.broker import EmbeddedBroker

pytestmark = pytest.mark.shared
HISTWATCH = [sys.executable, "-m", "monitor.cli"]
REFERENCES = ("295401", "295675", "296185")


def judge(*arguments: str | Path) -> tuple[int, list[dict[str, Any]], str]:
    done = subprocess.run(
        [*HISTWATCH, "judge", "--json", *map(str, arguments)], capture_output=True, text=True, timeout=600
    )
    assert "Traceback" not in done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return done.returncode, [line for line in lines if line.get("event") != "skipped"], done.stderr


def test_the_counters_of_hcal_led_name_the_known_channels_and_no_other(shared_data: Path) -> None:
    led = shared_data / "hcal_led"
    references = [a for run in REFERENCES for a in ("--reference", led / f"LEDtest{run}.root")]
    code, verdicts, _ = judge(led, *references, "--select", "h_mapDepth?_H?")
    assert code == 1
    assert {v["verdict"] for v in verdicts} == {"GOOD", "BAD"}
    dead: dict[tuple[str, int, int], int] = {}
    alive: dict[tuple[str, int, int], int] = {}
    for verdict in verdicts:
        for shape in verdict["shapes"]:
            for x, y in shape["bins"]:
                found = dead if shape["sign"] == "dead" else alive
                found.setdefault((verdict["path"], x, y), verdict["run"])
    # First run of each, as the data's own description lists them, in 0-based bins.
    assert dead == {
        ("h_mapDepth1_HE", 21, 58): 297082,
        ("h_mapDepth2_HE", 19, 58): 297082,
        ("h_mapDepth2_HE", 22, 58): 297082,
        ("h_mapDepth1_HB", 44, 63): 298863,
        ("h_mapDepth1_HB", 48, 63): 298863,
        ("h_mapDepth1_HB", 52, 63): 298863,
    }
    assert len(alive) == 6
    assert {(y, run) for (_, _, y), run in alive.items()} == {(30, 298863)}


def test_hcal_lumisections_are_good_against_their_own_beginning(shared_data: Path) -> None:
    file = shared_data / "hcal_lumisections"
    code, verdicts, _ = judge(file, "--reference", file)
    assert (code, Counter(v["verdict"] for v in verdicts)) == (0, {"GOOD": 140})


@pytest.mark.parametrize("folder", ["hcal_lumisections", "pixel_lumisections", "sphenix_ihcal", "odd_files"])
def test_every_histogram_of_every_folder_gets_a_verdict_or_a_named_reason(shared_data: Path, folder: str) -> None:
    _, verdicts, words = judge(shared_data / folder, "--reference", shared_data / folder)
    assert verdicts
    assert all(v["reason"] for v in verdicts)
    assert not any(v["verdict"] == "ERROR" and "failed" in v["reason"] for v in verdicts)
    assert f"{len(verdicts)} histograms judged" in words


@pytest.mark.broker
def test_all_recorded_data_through_a_real_broker(shared_data: Path, tmp_path: Path, kafka_parts: None) -> None:
    folders = ["hcal_led", "hcal_lumisections", "pixel_lumisections", "sphenix_ihcal", "certified_1d"]
    with EmbeddedBroker() as broker:
        bootstrap = broker.info.bootstrap
        sent = 0
        for folder in folders:
            done = subprocess.run(
                [
                    *HISTWATCH,
                    "replay",
                    shared_data / folder,
                    "--bootstrap-servers",
                    bootstrap,
                    "--speed",
                    "max",
                    "--json",
                ],
                capture_output=True,
                text=True,
                timeout=600,
            )
            assert done.returncode == 0, done.stderr
            summary = json.loads(done.stdout)
            assert summary["unacknowledged"] == 0
            sent += summary["sent"]
        assert sent > 20_000
        config = tmp_path / "monitor.yaml"
        config.write_text(
            json.dumps(
                {
                    "kafka": {"bootstrap_servers": bootstrap, "start": "earliest"},
                    "models": {"directory": None},
                    "references": [str(shared_data / "hcal_led" / f"LEDtest{run}.root") for run in REFERENCES],
                    "service": {"metrics_port": 0, "log_format": "json"},
                    "types": [{"name": "all", "match": ["*"]}],
                }
            )
        )
        done = subprocess.run(
            [*HISTWATCH, "monitor", "--config", config, "--until-idle", "5", "--json"],
            capture_output=True,
            text=True,
            timeout=900,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        assert "Traceback" not in done.stderr
        summary = json.loads(done.stdout.splitlines()[-1])
        assert summary["records"] == sent
        # A verdict or a named reason for every one.
        dropped = summary["windows"].get("late", 0) + summary["windows"].get("duplicate", 0)
        assert sum(summary["verdicts"].values()) + sum(summary["rejects"].values()) + dropped == sent
        assert summary["verdicts"].get("ERROR", 0) == 0
        assert summary["verdicts"]["GOOD"] > 1000
        assert summary["alarms"]["raised"] > 0
