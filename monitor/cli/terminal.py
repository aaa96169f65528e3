"""What a person reads: messages, colour and progress bars on stderr; results on stdout.

With ``--json`` stdout carries JSON lines and nothing else.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from monitor.text import printable

__all__ = ["complain", "emit", "printable", "progress", "say", "stderr"]

stderr = Console(stderr=True, highlight=False)


def say(message: str) -> None:
    """Write one line for a person to stderr."""
    stderr.print(printable(message), markup=False, soft_wrap=True)


def complain(message: str) -> None:
    """Write one line about a problem to stderr."""
    stderr.print(f"histwatch: {printable(message)}", style="red", markup=False, soft_wrap=True)


def emit(record: Mapping[str, Any]) -> None:
    """Write one JSON line to stdout."""
    sys.stdout.write(json.dumps(record, separators=(",", ":"), allow_nan=False) + "\n")
    sys.stdout.flush()


def progress(quiet: bool = False) -> Progress:
    """Return a progress bar that shows itself on a terminal only."""
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=stderr,
        disable=quiet or not stderr.is_terminal,
        transient=True,
    )
