"""Ends a process that is stuck: a client that hangs in C or in a lock cannot be reasoned with."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable

log = logging.getLogger(__name__)

EXIT_STUCK = 70
"""Exit code of a process that its watchdog ended (EX_SOFTWARE)."""
_LAST_WORDS_S = 1.0


class Watchdog:
    """Watches named activities, each of which must report progress while it is busy.

    Parameters
    ----------
    limit_s
        Longest time without progress, in s.
    end
        What to do then; ends the process at once by default, for only the supervisor can help.
    clock
        Monotonic time in s.
    """

    def __init__(
        self,
        limit_s: float,
        end: Callable[[int], None] = os._exit,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limit_s = limit_s
        self._end = end
        self._clock = clock
        self._since: dict[str, float] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def start(self) -> None:
        """Start watching."""
        self._thread.start()

    def busy(self, activity: str) -> None:
        """Say that an activity begins, or has just made progress."""
        self._since[activity] = self._clock()

    def idle(self, activity: str) -> None:
        """Say that an activity waits for something that may take for ever."""
        self._since.pop(activity, None)

    def stuck(self) -> str | None:
        """Return the activity that has made no progress for too long, or None."""
        now = self._clock()
        for activity, since in list(self._since.items()):
            if now - since > self._limit_s:
                return activity
        return None

    def stop(self) -> None:
        """Stop watching."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(min(1.0, self._limit_s / 4)):
            activity = self.stuck()
            if activity is not None:
                # What is stuck may be the log itself: a full pipe that nobody reads.
                last_words = threading.Thread(target=self._explain, args=(activity,), daemon=True)
                last_words.start()
                last_words.join(_LAST_WORDS_S)
                self._end(EXIT_STUCK)
                return

    def _explain(self, activity: str) -> None:
        log.critical(
            "%s made no progress for %.0f s: the process ends, so that its supervisor starts a new one",
            activity,
            self._limit_s,
        )
        for handler in logging.getLogger().handlers:
            handler.flush()
