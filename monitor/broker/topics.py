"""Create topics."""

from __future__ import annotations

import socket
from collections.abc import Mapping

from monitor.errors import BrokerError

_TIMEOUT_MS = 15_000


def create_topics(
    bootstrap: str, partitions: Mapping[str, int], config: Mapping[str, Mapping[str, str]] | None = None
) -> tuple[str, ...]:
    """Create the topics that are not there yet, and wait until all can be used.

    Topics that exist are left as they are, whatever their partitions and configuration.

    Parameters
    ----------
    bootstrap
        One ``host:port``, or several with commas between them; no encryption, no log-in.
    partitions
        Number of partitions of each topic.
    config
        Configuration of topics, by name, for instance ``{"dqm.state": {"cleanup.policy": "compact"}}``.

    Returns
    -------
    tuple of str
        The topics that were created now.

    Raises
    ------
    BrokerError
        When no broker can be reached or a topic cannot be created; names it.
    """
    from kafka.admin import KafkaAdminClient
    from kafka.errors import KafkaError, NoError, TopicAlreadyExistsError, for_code

    config = config or {}
    unknown = set(config) - set(partitions)
    if unknown:
        raise ValueError(f"configuration of topics that are not to be created: {', '.join(sorted(unknown))}")
    if not partitions:
        return ()
    _reach(bootstrap)
    wanted = {
        name: {"num_partitions": count, "configs": dict(config.get(name, {}))} for name, count in partitions.items()
    }
    try:
        admin = KafkaAdminClient(bootstrap_servers=bootstrap.split(","), bootstrap_timeout_ms=_TIMEOUT_MS)
        try:
            answer = admin.create_topics(wanted, timeout_ms=_TIMEOUT_MS, raise_errors=False)
            errors = {topic["name"]: topic for topic in answer["topics"]}
            kinds = {name: for_code(topic["error_code"]) for name, topic in errors.items()}
            for name, kind in kinds.items():
                if kind not in (NoError, TopicAlreadyExistsError):
                    reason = errors[name].get("error_message") or kind.__name__
                    raise BrokerError(f"topic {name} cannot be created at {bootstrap}: {reason}")
            admin.wait_for_topics(list(partitions), timeout_ms=_TIMEOUT_MS)
        finally:
            admin.close()
    except KafkaError as error:
        raise BrokerError(f"topics cannot be created at {bootstrap}: {error}") from error
    return tuple(name for name, kind in kinds.items() if kind is NoError)


def _reach(bootstrap: str) -> None:
    """Make sure that a server listens: the admin client leaves sockets and a thread behind when none does."""
    for server in bootstrap.split(","):
        host, _, port = server.strip().rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=5.0).close()
        except (OSError, ValueError):
            continue
        return
    raise BrokerError(f"no Kafka broker answers at {bootstrap}; is it running, and is the address host:port?")
