"""Files that are written whole or not at all: Ctrl-C leaves what was there before."""

from __future__ import annotations

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
    part = path.with_name(f".{path.name}.part")
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


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file whole or not at all; raises as `written_whole` does."""
    with written_whole(path) as part:
        part.write_bytes(content)
