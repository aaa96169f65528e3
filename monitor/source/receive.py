"""Let kafka-python read a megabyte from a socket at once instead of 4096 bytes.

Every read gives up the GIL and must win it back from the worker; with 4 kB a message of 26 kB does so seven times.
The size is fixed in a private method of kafka-python 3.0's plain transport, so that one method is replaced, if it is
there as it is known. Encrypted connections and other versions keep their own.
"""

from __future__ import annotations

import inspect
import logging
from typing import Any

from kafka import errors
from kafka.net import transport

log = logging.getLogger(__name__)

READ_BYTES = 1024 * 1024


def receive_more_at_once() -> bool:
    """Replace the method; return False where kafka-python is not as it is known and nothing was changed."""
    plain = getattr(transport, "KafkaTCPTransport", None)
    method = getattr(plain, "_sock_recv", None)
    if method is None or "recv(4096)" not in _source(method):
        return method is _receive
    plain._sock_recv = _receive  # type: ignore[union-attr]
    return True


def _source(method: Any) -> str:
    try:
        return inspect.getsource(method)
    except (OSError, TypeError):
        return ""


def _receive(self: Any) -> tuple[bytes, Exception | None]:
    parts: list[bytes] = []
    while True:
        try:
            data = self._sock.recv(READ_BYTES)
        except (BlockingIOError, InterruptedError):
            break
        except OSError as error:
            log.debug("%s: connection lost: %s", self, error)
            return b"".join(parts), errors.KafkaConnectionError(error)
        if not data:
            return b"".join(parts), errors.KafkaConnectionError("socket disconnected")
        parts.append(data)
        # A short read has emptied the socket: asking again would only say so.
        if len(data) < READ_BYTES:
            break
    return parts[0] if len(parts) == 1 else b"".join(parts), None
