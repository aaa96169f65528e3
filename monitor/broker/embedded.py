"""A broker that belongs to the Python process that started it."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from monitor.broker import guard, process, state
from monitor.broker.jars import Tell
from monitor.broker.launch import Launch, launch, running
from monitor.broker.state import BrokerInfo
from monitor.errors import BrokerError

if TYPE_CHECKING:
    import psutil

_GRACE_S = 10.0


class EmbeddedBroker:
    """A single-node Apache Kafka on 127.0.0.1, as long as it is needed.

    A context manager: started on entry, stopped on exit. It does not outlive its Python process, however that ends.
    Not for use from several threads at once.

    Parameters
    ----------
    data
        Directory that keeps topics and port from one start to the next. None: a temporary one, removed by `stop`.
    port
        None: the last one on this data directory if it is free, else a free one. Once started, a broker comes back
        on the port that it had.
    properties
        Further broker settings, as in ``server.properties``.
    tell
        Called with one short line at each slow step ("fetching Apache Kafka ..."), to show to a person.
    """

    def __init__(
        self,
        data: Path | None = None,
        port: int | None = None,
        properties: Mapping[str, str] | None = None,
        *,
        tell: Tell | None = None,
    ) -> None:
        self._data = data
        self._port = port
        self._properties = dict(properties or {})
        self._tell = tell or _say_nothing
        self._temporary: Path | None = None
        self._launch: Launch | None = None
        self._guard: subprocess.Popen[bytes] | None = None

    @property
    def info(self) -> BrokerInfo:
        """The broker as last started, also while it is killed."""
        return self._started().info

    def start(self) -> BrokerInfo:
        """Start, or start again after `kill`; returns when clients are served.

        Raises
        ------
        BrokerError
            With one line that says why not, and what to do.
        """
        if self._launch and process.find(self._launch.info.pid, self._launch.token):
            return self._launch.info
        self._reap()
        fresh = self._data is None and self._temporary is None
        if fresh:
            self._temporary = Path(tempfile.mkdtemp(prefix="histwatch-broker-"))
        data = state.create(self._data or self._temporary or Path())
        try:
            with state.locked(data):
                other = running(data)
                if other:
                    raise BrokerError(
                        f"{data} is in use by the broker at {other.bootstrap} (pid {other.pid}); stop it with "
                        f"'histwatch broker stop --data {data}', or use another directory"
                    )
                self._launch = launch(data, self._port, more=self._properties, tell=self._tell)
                self._guard = guard.post(self._launch.info.pid, self._launch.token, self._temporary)
        except BaseException:  # also Ctrl-C: what was opened is closed, and the error goes on
            self._end()
            if fresh:
                self._remove()
            raise
        self._port = self._launch.info.port
        return self._launch.info

    def stop(self) -> None:
        """Stop, by force if it takes too long, and remove a temporary data directory. Harmless when not running."""
        self._end()
        self._remove()

    def kill(self) -> None:
        """End the process at once, as a crash would; `start` brings it back with its data and port."""
        launched = self._started()
        if not process.kill(launched.info.pid, launched.token):
            raise BrokerError(f"Apache Kafka (pid {launched.info.pid}) cannot be ended")
        self._reap()

    def pause(self) -> None:
        """Freeze the process: it holds its connections and answers nothing."""
        self._process().suspend()

    def resume(self) -> None:
        """Let a frozen process go on."""
        self._process().resume()

    def __enter__(self) -> EmbeddedBroker:
        """Start."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self.stop()

    def _started(self) -> Launch:
        if self._launch is None:
            raise BrokerError("the broker was not started")
        return self._launch

    def _process(self) -> psutil.Process:
        launched = self._started()
        found = process.find(launched.info.pid, launched.token)
        if found is None:
            raise BrokerError(f"the broker (pid {launched.info.pid}) does not run; its log: {launched.info.log}")
        return found

    def _end(self) -> None:
        if self._launch and not process.end(self._launch.info.pid, self._launch.token, _GRACE_S):
            raise BrokerError(
                f"Apache Kafka (pid {self._launch.info.pid}) cannot be ended; see {self._launch.info.log}"
            )
        self._reap()

    def _remove(self) -> None:
        if self._temporary:
            shutil.rmtree(self._temporary, ignore_errors=True)
            self._temporary = None

    def _reap(self) -> None:
        """Take note of the end of the child processes, so that none stays behind as a zombie."""
        if self._guard:
            guard.dismiss(self._guard)
            self._guard = None
        if self._launch:
            self._launch.child.wait()


def _say_nothing(_line: str) -> None:
    """Tell nobody."""
