from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.broker

ROOT = Path(__file__).parents[2]
FIGURES = {
    "stock_consumer_maps_per_s",
    "bare_consumer_maps_per_s",
    "monitor_maps_per_s",
    "monitor_model_maps_per_s",
    "ratio_to_bare",
    "latency_p50_ms",
    "latency_p99_ms",
    "latency_rate_maps_per_s",
    "rss_mb",
    "rss_growth",
}


def test_the_quick_benchmark_measures_everything_and_the_monitor_finds_every_fault(kafka_parts, tmp_path):
    output = tmp_path / "build" / "bench.json"
    run = subprocess.run(
        [sys.executable, "-m", "tests.bench", "--quick", "--output", output],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert run.returncode == 0, run.stderr
    found = json.loads(output.read_text())
    assert {name for name in FIGURES if found[name] > 0} == FIGURES
    # They belong to a full run, and a quick one must not seem to have them.
    assert found["rss_10k_mb"] is None
    assert found["rss_100k_mb"] is None
    assert set(found["machine"]) >= {"cores", "python", "libraries", "date"}
    assert {stage: one["us"] > 0 for stage, one in found["stages_us"].items()} == dict.fromkeys(
        found["stages_us"], True
    )
    assert {"decode", "window", "exposure", "expectation", "expectation with model", "dbscan"} <= set(
        found["stages_us"]
    )

    assert found["latency"]["alarms"] == found["latency"]["faults"] > 0
    assert found["memory"]["faults_missed"] == 0
    for variant in ("monitor", "model"):
        assert [one["bad_without_fault"] for one in found["throughput"][variant]] == [0]
    assert "maps/s" in run.stdout
