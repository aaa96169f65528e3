"""Ctrl-C as a question, or as an exception that nothing swallows."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def interruptible() -> Iterator[threading.Event]:
    """Yield an event that Ctrl-C and SIGTERM set; a second one ends the process as usual."""
    stop = threading.Event()
    before: dict[int, object] = {}

    def ask(number: int, _frame: FrameType | None) -> None:
        stop.set()
        signal.signal(number, before[number])  # type: ignore[arg-type]

    # While a broker is away its client logs a line each time it tries; what matters is said once, as an error.
    client = logging.getLogger("kafka")
    level = client.level
    client.setLevel(logging.CRITICAL)
    for number in (int(signal.SIGINT), int(signal.SIGTERM)):
        before[number] = signal.signal(number, ask)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        client.setLevel(level)


@contextmanager
def surely_interrupted() -> Iterator[Callable[[], None]]:
    """Let Ctrl-C raise as usual, and yield a check that raises it again where it was swallowed.

    An exception that comes while a finaliser runs, as uproot's files have, is printed and ignored by Python.
    """
    asked = False

    def ask(_number: int, _frame: FrameType | None) -> None:
        nonlocal asked
        asked = True
        raise KeyboardInterrupt

    def check() -> None:
        if asked:
            raise KeyboardInterrupt

    before = signal.getsignal(signal.SIGINT)
    # What runs in the background of a shell does not hear the Ctrl-C that is meant for others.
    if before is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, ask)
    try:
        yield check
        check()
    finally:
        signal.signal(signal.SIGINT, before)
