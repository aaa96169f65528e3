"""The settings of the measured clients: everything that is not a name is the default."""

from __future__ import annotations

from typing import Any

from monitor.config.settings import KafkaSettings


def kafka_settings(spec: dict[str, Any]) -> KafkaSettings:
    """Return the settings of the monitor's client."""
    return KafkaSettings(
        bootstrap_servers=spec["bootstrap"],
        topic=spec["topic"],
        alarms_topic=spec.get("alarms_topic", "dqm.alarms"),
        group=spec["group"],
        start="earliest",
    )
