"""Free ports on the loopback interface."""

from __future__ import annotations

import random
import socket

from monitor.broker.state import HOST
from monitor.errors import BrokerError

# Below the range that systems hand out to outgoing connections (from 32768 or 49152): a port chosen in there can be
# taken by any client at any time, even by a Kafka client that connects to it again and again while the broker is down.
_RANGE = range(20_000, 32_000)


def is_free(port: int) -> bool:
    """Whether a server can listen on this port."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As Java does: a port whose last connections have just been closed is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def choose(*taken: int) -> int:
    """Return a free port other than those in `taken`."""
    for port in random.SystemRandom().sample(_RANGE, 200):
        if port not in taken and is_free(port):
            return port
    raise BrokerError(f"no free port found between {_RANGE.start} and {_RANGE.stop}; give one with --port")
