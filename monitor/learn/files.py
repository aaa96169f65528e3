"""Files that are written whole or not at all, and folders that one writes to at a time."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from monitor.errors import HistwatchError


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Yield a path beside `path` to write to, which takes its place at the end.

    Raises
    ------
    HistwatchError
        If it cannot be written, naming the file.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield part
        part.replace(path)
    except OSError as error:
        raise HistwatchError(f"{path}: cannot be written, {error.strerror or error}") from error
    finally:
        # A path that leads through a file has nothing to remove either.
        if part.exists():
            part.unlink()


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Make a folder if it is missing, and hold it: who else claims it meanwhile is refused.

    The hold ends with the process, however it ends, and leaves nothing behind.

    Raises
    ------
    HistwatchError
        If it cannot be made, or another process holds it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        held = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise HistwatchError(f"{folder}: cannot be written to, {error.strerror or error}") from error
    try:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise HistwatchError(f"{folder}: another command is writing to it; wait for its end") from error
        except OSError:
            # A file system that knows no locks: one has to take care oneself, as everywhere on it.
            pass
        yield
    finally:
        os.close(held)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file whole or not at all; raises as `written_whole` does."""
    with written_whole(path) as part:
        part.write_bytes(content)
