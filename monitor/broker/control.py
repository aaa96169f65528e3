"""The broker that outlives the command that started it: ``histwatch broker start``, ``stop``, ``status``."""

from __future__ import annotations

from pathlib import Path

from monitor.broker import process, state
from monitor.broker.jars import Tell
from monitor.broker.launch import launch, running
from monitor.broker.state import BrokerInfo
from monitor.errors import BrokerError

_GRACE_S = 15.0


def start(data: Path, port: int | None, tell: Tell) -> tuple[BrokerInfo, bool]:
    """Start the broker of a data directory, if it does not run.

    Returns
    -------
    tuple
        The running broker, and whether it was started now.
    """
    data = state.create(data)
    with state.locked(data):
        known = running(data)
        if known is None:
            launched = launch(data, port, more={}, tell=tell)
            launched.child.returncode = 0  # it is meant to outlive us: Popen shall not complain about that
            return launched.info, True
    if port not in (None, known.port):
        raise BrokerError(
            f"the broker of {data} already runs, at {known.bootstrap} and not at port {port}; stop it first "
            f"('histwatch broker stop --data {data}') or give another --data"
        )
    return known, False


def stop(data: Path) -> BrokerInfo | None:
    """Stop the broker of a data directory. Returns the one that was stopped, or None when none ran."""
    known = state.load(data)
    if known is None:
        return None
    with state.locked(data):
        known = state.load(data)
        if known is None or process.find(known.pid, known.token) is None:
            return None
        info = known.info(data)
        if not process.end(known.pid, known.token, _GRACE_S):
            raise BrokerError(f"Apache Kafka (pid {info.pid}) cannot be ended; see its log: {info.log}")
        return info


def status(data: Path) -> BrokerInfo | None:
    """Return the broker that runs on a data directory, if one does."""
    return running(data)
