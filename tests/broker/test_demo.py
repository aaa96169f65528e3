"""The demo, as a newcomer and as CI run it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections import Counter
from importlib import resources
from pathlib import Path

import jsonschema
import numpy as np
import psutil
import pytest
import uproot

pytestmark = pytest.mark.broker
HISTWATCH = [sys.executable, "-m", "monitor.cli"]


def test_once_finds_exactly_the_five_faults(kafka_parts: None) -> None:
    done = subprocess.run([*HISTWATCH, "demo", "--once", "--json"], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert Counter(e["event"] for e in events if e["event"] != "updated") == {"raised": 5, "cleared": 5}
    assert {e["id"] for e in events if e["event"] == "raised"} == {e["id"] for e in events if e["event"] == "cleared"}
    schema = json.loads(resources.files("monitor.alarm").joinpath("alarm.schema.json").read_text())
    for event in events:
        jsonschema.validate(event, schema)
        assert event["guidance"]


def test_the_same_run_gives_the_same_alarms(kafka_parts: None) -> None:
    command = [*HISTWATCH, "demo", "--once", "--json", "--seed", "3"]
    ids = [
        {
            json.loads(line)["event_id"]
            for line in subprocess.run(command, capture_output=True, timeout=300).stdout.splitlines()
        }
        for _ in range(2)
    ]
    assert ids[0] == ids[1]
    assert ids[0]


def test_interrupt_ends_everything(kafka_parts: None) -> None:
    with subprocess.Popen([*HISTWATCH, "demo"], stderr=subprocess.PIPE, text=True) as demo:
        assert demo.stderr is not None
        for line in demo.stderr:
            if line.startswith("replaying"):
                break
        children = psutil.Process(demo.pid).children(recursive=True)
        assert any("java" in child.name() for child in children)
        demo.send_signal(signal.SIGINT)
        rest = demo.stderr.read()
        assert demo.wait(60) == 130, rest
    _, alive = psutil.wait_procs(children, timeout=10)
    assert not alive
    assert "Traceback" not in rest


def test_own_runs_are_compared_with_their_beginning(tmp_path: Path, kafka_parts: None) -> None:
    rng = np.random.default_rng(4)
    for run in range(1001, 1007):
        content = rng.poisson(900, (12, 10)).astype(float)
        if run == 1005:
            content[4, 6] = 0
        with uproot.recreate(tmp_path / f"run{run}.root") as file:
            file["Occupancy/map"] = (content, np.arange(13.0), np.arange(11.0))
    done = subprocess.run(
        [*HISTWATCH, "demo", "--once", "--json", "--runs", str(tmp_path)], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(e["event"], e["judgement"]["run"]) for e in events] == [("raised", 1005), ("cleared", 1006)]
    assert events[0]["shape"]["bins"] == [[4, 6]]
    assert events[0]["shape"]["sign"] == "dead"
