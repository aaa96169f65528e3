"""The watchdog ends what is stuck, and nothing else."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, field

import pytest

from monitor.service.watchdog import EXIT_STUCK, Watchdog


@dataclass
class Process:
    """A clock that is set, and an end that is noted."""

    now: float = 1000.0
    ended: threading.Event = field(default_factory=threading.Event)
    code: int | None = None

    def end(self, code: int) -> None:
        self.code = code
        self.ended.set()

    def watchdog(self, limit_s: float = 60.0) -> Watchdog:
        return Watchdog(limit_s, self.end, lambda: self.now)


def test_progress_within_the_limit_is_not_stuck() -> None:
    process = Process()
    dog = process.watchdog()
    assert dog.stuck() is None
    for _ in range(5):
        dog.busy("worker")
        process.now += 60.0
        assert dog.stuck() is None
    process.now += 0.1
    assert dog.stuck() == "worker"
    dog.busy("worker")
    assert dog.stuck() is None


def test_who_waits_is_not_stuck() -> None:
    process = Process()
    dog = process.watchdog()
    dog.busy("worker")
    dog.idle("worker")
    dog.idle("never seen")
    process.now += 1e9
    assert dog.stuck() is None


def test_every_activity_is_watched_on_its_own() -> None:
    process = Process()
    dog = process.watchdog()
    dog.busy("worker")
    process.now += 40.0
    dog.busy("poll")
    process.now += 40.0
    assert dog.stuck() == "worker"
    dog.idle("worker")
    assert dog.stuck() is None
    process.now += 40.0
    assert dog.stuck() == "poll"


def test_what_is_stuck_is_ended_with_its_code_and_a_reason(caplog: pytest.LogCaptureFixture) -> None:
    process = Process()
    # The limit also sets how often it looks: every 10 ms of real time.
    dog = process.watchdog(0.04)
    dog.busy("poll")
    process.now += 5.0
    dog.start()
    assert process.ended.wait(10)
    dog.stop()
    assert process.code == EXIT_STUCK == 70
    assert "poll made no progress" in caplog.text


def test_a_log_that_is_stuck_itself_does_not_save_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monitor.service.watchdog._LAST_WORDS_S", 0.01)
    unstuck = threading.Event()

    class Stuck(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            unstuck.wait(30)

    handler = Stuck()
    logging.getLogger("monitor.service.watchdog").addHandler(handler)
    process = Process()
    dog = process.watchdog(0.04)
    try:
        dog.busy("worker")
        process.now += 5.0
        dog.start()
        assert process.ended.wait(10)
    finally:
        unstuck.set()
        dog.stop()
        logging.getLogger("monitor.service.watchdog").removeHandler(handler)
    assert process.code == EXIT_STUCK


def test_a_watchdog_that_is_stopped_ends_nothing() -> None:
    process = Process()
    dog = process.watchdog(0.04)
    dog.start()
    dog.stop()
    dog.busy("poll")
    process.now += 5.0
    assert not dog._thread.is_alive()
    assert process.code is None


def test_it_may_be_stopped_before_it_was_started() -> None:
    Process().watchdog().stop()
