"""What a data directory remembers about its broker, and where things lie in it."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TextIO

from monitor.errors import BrokerError

HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class BrokerInfo:
    """A running broker, as its users need to know it."""

    bootstrap: str
    """What to give a Kafka client as ``bootstrap_servers``, for instance ``127.0.0.1:21234``."""
    port: int
    pid: int
    data: Path
    log: Path
    version: str
    """Version of Apache Kafka."""

    def record(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return {**asdict(self), "data": str(self.data), "log": str(self.log)}


@dataclass(frozen=True, slots=True)
class State:
    """The content of the state file: the last broker that was started on a data directory."""

    version: str
    port: int
    pid: int
    token: str
    """On the command line of the broker's process, so that no other process can be taken for it."""

    def info(self, data: Path) -> BrokerInfo:
        """Return what users need to know."""
        return BrokerInfo(f"{HOST}:{self.port}", self.port, self.pid, data, log_file(data), self.version)


def default_data() -> Path:
    """Return the data directory of ``histwatch broker`` in the user's state directory."""
    base = os.environ.get("XDG_STATE_HOME")
    return (Path(base) if base else Path.home() / ".local" / "state") / "histwatch" / "broker"


def log_file(data: Path) -> Path:
    """Return where the broker of this data directory writes its log."""
    return data / "broker.log"


def load(data: Path) -> State | None:
    """Read the state of a data directory; None when no broker was ever started on it."""
    path = _state_file(data)
    try:
        return State(**json.loads(path.read_text(encoding="utf-8")))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise BrokerError(f"{path}: cannot read: {error.strerror}") from error
    except (ValueError, TypeError) as error:
        raise BrokerError(f"{path}: not the state of a broker; remove this file or use another --data") from error


def save(data: Path, state: State) -> None:
    """Write the state of a data directory, all or nothing."""
    path = _state_file(data)
    scratch = path.with_suffix(".new")
    scratch.write_text(json.dumps(asdict(state), indent=1) + "\n", encoding="utf-8")
    scratch.replace(path)


def create(data: Path) -> Path:
    """Make a data directory, and make sure that it can be written to. Returns its absolute path."""
    try:
        data = data.expanduser().absolute()
        data.mkdir(parents=True, exist_ok=True)
        probe = data / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise BrokerError(f"{data}: cannot write here ({error.strerror}); choose another with --data") from error
    return data


@contextmanager
def locked(data: Path) -> Iterator[None]:
    """Keep every other start and stop on this data directory waiting."""
    with _lock_file(data, ".starting") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def claimed(data: Path) -> Iterator[int]:
    """Claim a data directory for a broker: every process that inherits this file descriptor holds the claim.

    So the claim ends with the broker, however that ends, and holds even when the state file is lost.
    """
    with _lock_file(data, ".running") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BrokerError(
                f"{data} is in use by a Kafka that {_state_file(data).name} there does not know; end the java process "
                "that runs in this directory, or choose another with --data"
            ) from error
        yield file.fileno()


def _lock_file(data: Path, name: str) -> TextIO:
    try:
        return (data / name).open("w", encoding="utf-8")
    except OSError as error:
        raise BrokerError(f"{data}: cannot write here ({error.strerror}); is it another user's?") from error


def _state_file(data: Path) -> Path:
    return data / "broker.json"
