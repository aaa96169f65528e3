"""What a person sees of the demo: a live table of verdicts, each alarm as a line above it."""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from monitor.alarm import AlarmEvent
from monitor.text import printable
from monitor.verdict import Judgement, Verdict

_COLOURS = {"raised": "bold red", "updated": "yellow", "cleared": "green"}
_SHOWN = (Verdict.GOOD, Verdict.WARNING, Verdict.BAD, Verdict.TOO_FEW, Verdict.NO_MODEL, Verdict.ERROR)
_STYLES = {Verdict.GOOD: "green", Verdict.WARNING: "yellow", Verdict.BAD: "bold red", Verdict.ERROR: "magenta"}
MAX_LINES = 60
"""Alarm lines shown; a flood is counted and not printed."""


class Screen:
    """Shows verdicts and alarms; as a sink it sees every judgement. Lines only where there is no terminal."""

    name = "screen"

    def __init__(self, console: Console, quiet: bool = False) -> None:
        self._console = console
        self._quiet = quiet
        self._lock = threading.Lock()
        self._latest: OrderedDict[str, tuple[str, Verdict]] = OrderedDict()
        self._active: set[str] = set()
        self._lines = 0
        self._hidden = 0
        self._now = ""
        self._status = "starting"
        self._footer: list[str] = []
        live = console.is_terminal and not quiet
        self._live = Live(console=console, get_renderable=self._render, refresh_per_second=4) if live else None

    def __enter__(self) -> Screen:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def publish(self, judgements: Sequence[Judgement], _events: Sequence[AlarmEvent]) -> None:
        """Take judgements into the table; alarms come from their topic, see `show_event`."""
        with self._lock:
            for j in judgements:
                self._latest[j.key] = (j.subsystem, j.verdict)
            if judgements:
                last = judgements[-1]
                self._now = f"run {last.run}, lumisection {last.lumisection}"

    def close(self) -> None:
        """Nothing to free."""

    def say(self, status: str) -> None:
        """Set the status line; printed where there is no terminal."""
        self._status = status
        if self._live is None and not self._quiet:
            self._console.print(printable(status), markup=False, soft_wrap=True)

    def footer(self, lines: Sequence[str]) -> None:
        """Set what stands below the table: addresses, how to end."""
        self._footer = list(lines)
        if self._live is None and not self._quiet:
            for line in lines:
                self._console.print(printable(line), markup=False, soft_wrap=True)

    def show_event(self, event: Mapping[str, Any]) -> None:
        """Print one alarm event as one line."""
        if event["event"] == "cleared":
            self._active.discard(event["id"])
        else:
            self._active.add(event["id"])
        if self._quiet:
            return
        self._lines += 1
        if self._lines > MAX_LINES:
            self._hidden += 1
            return
        kind = event["event"]
        line = Text(f"{kind:8s}", style=_COLOURS[kind])
        line.append(f"{event['severity']:6s}", style="default")
        line.append(printable(event["summary"]), style="default")
        self._console.print(line, soft_wrap=True)

    def _render(self) -> Group:
        with self._lock:
            latest = list(self._latest.values())
        counts = Counter(latest)
        table = Table(title=f"{self._status}   {self._now}", title_justify="left", expand=False)
        table.add_column("subsystem")
        for verdict in _SHOWN:
            table.add_column(verdict.value, justify="right")
        for subsystem in sorted({s for s, _ in latest}):
            cells = [
                Text(str(counts[subsystem, v]), style=_STYLES.get(v, "default") if counts[subsystem, v] else "dim")
                for v in _SHOWN
            ]
            table.add_row(printable(subsystem), *cells)
        parts: list[Any] = [table, Text(f"{len(self._active)} alarms active", style="bold" if self._active else "dim")]
        if self._hidden:
            parts.append(Text(f"{self._hidden} more alarm lines are on the topic", style="dim"))
        parts += [Text(printable(line), style="dim") for line in self._footer]
        return Group(*parts)
