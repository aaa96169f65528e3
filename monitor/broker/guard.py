"""Ends a broker whose owner died without a word: run as a process of its own by `EmbeddedBroker`.

Its standard input is a pipe whose other end the owner holds, and which the system closes when the owner ends in
whatever way. A signal on the parent's death (Linux's ``PR_SET_PDEATHSIG``) would need no process, but it is sent when
the *thread* that started the broker ends, and macOS has none.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from monitor.broker import process


def post(pid: int, token: str, remove: Path | None) -> subprocess.Popen[bytes]:
    """Start a guard of this broker by the calling process; `remove` is a directory to remove with it."""
    return subprocess.Popen(
        [sys.executable, "-m", __name__, str(pid), token, *([str(remove)] if remove else [])],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def dismiss(guard: subprocess.Popen[bytes]) -> None:
    """End a guard without any effect on its broker."""
    guard.kill()
    guard.communicate()


def main(pid: str, token: str, remove: str | None = None) -> None:
    """Wait for the end of standard input, then end the broker."""
    sys.stdin.buffer.read()
    process.kill(int(pid), token)
    if remove:
        shutil.rmtree(remove, ignore_errors=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
