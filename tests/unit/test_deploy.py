from __future__ import annotations

import re
import subprocess
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest

from monitor.sinks.metrics import Metrics

PROMETHEUS = Path(__file__).parents[2] / "deploy" / "prometheus"


def test_rules_are_valid_and_fire_when_they_should(promtool: str) -> None:
    for command in (
        ["check", "config", "prometheus.yml"],
        ["check", "rules", "--lint=all", "--lint-fatal", "rules.yml"],
        ["test", "rules", "rules_test.yml"],
    ):
        done = subprocess.run([promtool, *command], cwd=PROMETHEUS, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_rules_ask_for_metrics_that_exist() -> None:
    registry = CollectorRegistry()
    Metrics(registry)
    page = generate_latest(registry).decode()
    for name in set(re.findall(r"\bdqm_\w+", (PROMETHEUS / "rules.yml").read_text())):
        assert f"# HELP {name} " in page, name
