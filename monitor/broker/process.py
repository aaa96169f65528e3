"""The broker's process, found again by its pid and proved to be ours by the token on its command line."""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING

from monitor.broker.jars import EXTRA, BrokerUnavailableError

if TYPE_CHECKING:
    import psutil

_POLL_S = 0.02


def new_token() -> str:
    """Return a word that no other process has on its command line."""
    return secrets.token_hex(8)


def token_option(token: str) -> str:
    """Return the Java option that carries the token; Kafka does not read it."""
    return f"-Dhistwatch.broker={token}"


def find(pid: int, token: str) -> psutil.Process | None:
    """Return the broker's process, or None when it has ended, also when another process has its pid by now."""
    try:
        import psutil
    except ImportError as error:
        raise BrokerUnavailableError(f"the embedded Kafka needs the [broker] extra: {EXTRA}") from error
    try:
        process = psutil.Process(pid)
        ours = token_option(token) in process.cmdline() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:  # no such process, a zombie, or somebody else's
        return None
    return process if ours else None


def end(pid: int, token: str, grace_s: float) -> bool:
    """End the broker: politely, and after `grace_s` by force. Returns whether it is gone."""
    process = find(pid, token)
    if process is None:
        return True
    _tell(process, "resume")  # a paused process would not hear the next signal
    _tell(process, "terminate")
    return _wait(pid, token, grace_s) or kill(pid, token)


def kill(pid: int, token: str) -> bool:
    """End the broker by force. Returns whether it is gone."""
    process = find(pid, token)
    if process is None:
        return True
    _tell(process, "kill")
    return _wait(pid, token, 10.0)


def _tell(process: psutil.Process, what: str) -> None:
    import psutil

    try:
        getattr(process, what)()
    except psutil.NoSuchProcess:
        return  # it ended by itself meanwhile, which is what was wanted


def _wait(pid: int, token: str, timeout_s: float) -> bool:
    deadline = time.monotonic() + timeout_s
    while find(pid, token) is not None:
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S)
    return True
