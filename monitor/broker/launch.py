"""Start a broker process on a data directory and wait until it serves."""

from __future__ import annotations

import base64
import shutil
import subprocess
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from monitor.broker import jars, java, ports, process, ready, settings, state
from monitor.broker.jars import Tell
from monitor.broker.state import BrokerInfo, State
from monitor.errors import BrokerError

_START_TIMEOUT_S = 90.0
_POLL_S = 0.05
_ATTEMPTS = 3
_PROPERTIES = "server.properties"
_PORT_TAKEN = "Address already in use"


class _PortTakenError(BrokerError):
    """Another process took the port between our look and Kafka's."""


@dataclass(frozen=True, slots=True)
class Launch:
    """A started broker: what users need to know, and how to find its process."""

    info: BrokerInfo
    token: str
    child: subprocess.Popen[bytes]


def running(data: Path) -> BrokerInfo | None:
    """Return the broker that runs on a data directory, if one does."""
    known = state.load(data)
    return known.info(data) if known and process.find(known.pid, known.token) else None


def launch(data: Path, port: int | None, *, more: Mapping[str, str], tell: Tell) -> Launch:
    """Start a broker. The caller holds the lock on `data`, which exists.

    Parameters
    ----------
    port
        None for the last one on this directory if it is free, else any free one.
    more
        Further settings for ``server.properties``.
    tell
        Told of each slow step.
    """
    if port is not None and not ports.is_free(port):
        raise BrokerError(f"port {port} on {state.HOST} is taken; give another, or none and a free one is chosen")
    machine = java.executable()
    lock = jars.read_lock()
    class_path = jars.class_path(lock, tell)
    tell(f"starting Apache Kafka {lock.version}")
    for attempt in range(_ATTEMPTS):
        try:
            with state.claimed(data) as claim:
                return _attempt(data, port or _choose(data), lock.version, machine, class_path, more, claim)
        except _PortTakenError:
            if attempt == _ATTEMPTS - 1 or (port is not None and not ports.is_free(port)):
                raise
        except OSError as error:
            raise BrokerError(f"{data}: {error.strerror or error}; mend that or choose another with --data") from error
    raise AssertionError("not reached")


def _attempt(
    data: Path, port: int, version: str, machine: Path, class_path: Sequence[Path], more: Mapping[str, str], claim: int
) -> Launch:
    shutil.rmtree(data / "tmp", ignore_errors=True)
    (data / "tmp").mkdir()
    kafka = data / settings.LOG_DIRECTORY
    cluster = _cluster(kafka)
    crashed = cluster is not None and not (kafka / ".kafka_cleanshutdown").exists()
    text = settings.server_properties(port, ports.choose(port), crashed=crashed, more=more)
    (data / _PROPERTIES).write_text(text, encoding="ascii")
    log = state.log_file(data)
    if log.exists():
        log.replace(log.with_suffix(".log.1"))
    if cluster is None:
        cluster = new_cluster(uuid.uuid4().bytes)
        with _spawned(java.format_command(machine, class_path, cluster, _PROPERTIES), data, claim) as child:
            _wait(child, log, None)
    token = process.new_token()
    with _spawned(java.broker_command(machine, class_path, token, _PROPERTIES), data, claim) as child:
        known = State(version, port, child.pid, token)
        state.save(data, known)
        _wait(child, log, (port, cluster))
    return Launch(known.info(data), token, child)


@contextmanager
def _spawned(command: Sequence[str], data: Path, claim: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run Java in the data directory, and end it if what follows fails.

    It gets a session of its own: Ctrl-C in the terminal is not for it.
    """
    try:
        with state.log_file(data).open("ab") as log:
            child = subprocess.Popen(
                command,
                cwd=data,
                env=java.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                pass_fds=[claim],
            )
    except OSError as error:
        raise BrokerError(
            f"{command[0]}: this Java does not run ({error.strerror}); reinstall it: {jars.EXTRA} --force-reinstall"
        ) from error
    try:
        yield child
    except BaseException:  # also Ctrl-C: nothing half started is left behind
        child.kill()
        child.wait()
        raise


def _wait(child: subprocess.Popen[bytes], log: Path, service: tuple[int, str] | None) -> None:
    """Wait until the child serves `service`, a port and a cluster; without one, until it has ended well."""
    deadline = time.monotonic() + _START_TIMEOUT_S
    while not (service and ready.serves(*service)):
        code = child.poll()
        if code == 0 and service is None:
            return
        if code is not None:
            raise _explain(code, log)
        if time.monotonic() > deadline:
            raise BrokerError(f"Apache Kafka did not start within {_START_TIMEOUT_S:.0f} s; see its log: {log}")
        time.sleep(_POLL_S)


def _explain(code: int, log: Path) -> BrokerError:
    if _PORT_TAKEN in log.read_text(encoding="utf-8", errors="replace"):
        return _PortTakenError(f"a port was taken while Apache Kafka started; try again. Its log: {log}")
    return BrokerError(f"Apache Kafka ended at start (exit code {code}): {ready.last_words(log)}. Its log: {log}")


def _choose(data: Path) -> int:
    """Return the last port on this directory if it is still free, else any free one."""
    known = state.load(data)
    return known.port if known and ports.is_free(known.port) else ports.choose()


def new_cluster(random: bytes) -> str:
    """Return a cluster id, 22 characters of base64, for 16 random bytes.

    One that begins with a hyphen would be taken for an option by Kafka's own tools.
    """
    first = random[0] & 0x7F
    return base64.urlsafe_b64encode(bytes([first]) + random[1:]).decode("ascii").rstrip("=")


def _cluster(kafka: Path) -> str | None:
    """Return the cluster that a log directory was made for; None when it was never made."""
    try:
        text = (kafka / "meta.properties").read_text(encoding="latin-1")
    except FileNotFoundError:
        return None
    found = [line.partition("=")[2].strip() for line in text.splitlines() if line.startswith("cluster.id=")]
    if not found:
        raise BrokerError(f"{kafka / 'meta.properties'}: names no cluster; remove {kafka} to start with empty topics")
    return found[0]
