"""One real broker for the whole session."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator

import pytest

from monitor.broker import BrokerInfo, BrokerUnavailableError, EmbeddedBroker, jars, java


@pytest.fixture(scope="session")
def kafka_parts() -> None:
    """Java and the jars are there, or can be fetched; else skip, and in CI fail."""
    try:
        java.executable()
        jars.class_path(jars.read_lock(), lambda _line: None)
    except BrokerUnavailableError as error:
        if os.environ.get("CI") == "true":
            pytest.fail(f"in CI the embedded Kafka must be there: {error}")
        pytest.skip(f"needs the [broker] extra and Kafka's jars: {error}")


@pytest.fixture(scope="session")
def kafka(kafka_parts: None) -> Iterator[BrokerInfo]:
    with EmbeddedBroker() as broker:
        yield broker.info


@pytest.fixture
def topic_name() -> str:
    return f"test.{uuid.uuid4().hex[:12]}"
