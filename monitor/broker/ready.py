"""When a broker is ready, and why one is not."""

from __future__ import annotations

import re
import socket
from pathlib import Path
from typing import Any

from monitor.broker.state import HOST

_TIMEOUT_S = 2.0
_STAMP = re.compile(r"^\d{4}-\S+ \[[^]]*\] ")  # time and thread
_TELLING = re.compile(r"\b(ERROR|FATAL)\b|^Error\b|^Exception\b|^Caused by\b|\w(Exception|Error)\b: ")


def serves(port: int, cluster: str) -> bool:
    """Whether the broker of this cluster answers with metadata that has a broker in it.

    An open port alone does not say so: the broker may still be unknown to its controller, or the port may be someone
    else's.
    """
    from kafka.errors import KafkaError
    from kafka.protocol.metadata import MetadataRequest
    from kafka.protocol.parser import KafkaProtocol

    protocol = KafkaProtocol(client_id="histwatch-start")
    protocol.send_request(MetadataRequest(topics=[], version=5))
    try:
        with socket.create_connection((HOST, port), timeout=_TIMEOUT_S) as connection:
            connection.sendall(protocol.send_bytes())
            responses: list[Any] = []
            while not responses:
                data = connection.recv(65536)
                if not data:
                    return False
                responses = protocol.receive_bytes(data)
    except (OSError, KafkaError):
        return False
    metadata = responses[0][1]
    return bool(metadata.cluster_id == cluster and metadata.brokers and metadata.controller_id >= 0)


def last_words(log: Path, lines: int = 3) -> str:
    """Return the lines of a log that tell best why Java ended, as one line."""
    text = log.read_text(encoding="utf-8", errors="replace")
    said = [
        _STAMP.sub("", line).strip() for line in text.splitlines() if line.strip() and not line.startswith(("\t", " "))
    ]
    telling = [line for line in said if _TELLING.search(line)] or said
    # The same failure is often logged by each layer that it passes.
    return " | ".join(list(dict.fromkeys(telling))[-lines:]) or "nothing in its log"
