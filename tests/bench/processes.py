"""Child processes: every consumer is measured in one of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any

ROOT = Path(__file__).parents[2]
READY = "ready"
"""What a monitor says on stdout once partitions are assigned to it."""
_RESULT = "result "
_PATIENCE_S = 300.0


def tell(result: dict[str, Any]) -> None:
    """Hand the result to the parent; in the child."""
    sys.stdout.write(_RESULT + json.dumps(result) + "\n")
    sys.stdout.flush()


class Child:
    """A measurement in its own process; a context manager that leaves none behind.

    Parameters
    ----------
    kind
        One of `tests.bench.child.KINDS`.
    spec
        What to do, JSON-ready.
    log
        File for its stderr.
    """

    def __init__(self, kind: str, spec: dict[str, Any], log: Path) -> None:
        self._kind = kind
        self._log = log
        self._stderr = log.open("ab")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.child", kind, json.dumps(spec)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            text=True,
        )

    def __enter__(self) -> Child:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._stderr.close()

    def wait_for(self, line: str) -> None:
        """Wait until the child says `line`."""
        assert self._process.stdout is not None
        for said in self._process.stdout:
            if said.strip() == line:
                return
        raise self._failure()

    def running(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    def result(self) -> dict[str, Any]:
        """Wait for the result."""
        try:
            said, _ = self._process.communicate(timeout=_PATIENCE_S)
        except subprocess.TimeoutExpired as error:
            raise RuntimeError(f"{self._kind}: no result after {_PATIENCE_S:.0f} s; {self._last_words()}") from error
        if self._process.returncode:
            raise self._failure()
        found = [line.removeprefix(_RESULT) for line in said.splitlines() if line.startswith(_RESULT)]
        result: dict[str, Any] = json.loads(found[-1])
        return result

    def _failure(self) -> RuntimeError:
        return RuntimeError(f"{self._kind} ended with exit code {self._process.wait()}: {self._last_words()}")

    def _last_words(self) -> str:
        self._stderr.flush()
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-20:])


def measure(kind: str, spec: dict[str, Any], log: Path) -> dict[str, Any]:
    """Run a child to its end."""
    with Child(kind, spec, log) as child:
        return child.result()
