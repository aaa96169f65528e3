"""The same stages on recorded files, without Kafka."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import groupby

from monitor.judge import Catalogue, Judge
from monitor.snapshot import Snapshot
from monitor.verdict import Judgement
from monitor.window import Deriver, Interval, Minimum, WindowStore

_AT_ONCE = 2048
"""Intervals held at once; a run of one lumisection may hold any number of histograms."""


def judge_snapshots(
    snapshots: Iterable[Snapshot],
    catalogue: Catalogue,
    on_error: Callable[[str, Exception], None] | None = None,
    deriver: Deriver | None = None,
) -> Iterator[Judgement]:
    """Judge recorded snapshots, a lumisection at a time, in the order they were taken.

    Parameters
    ----------
    snapshots
        In order of run and lumisection.
    catalogue
        Rules and expectations.
    on_error
        Called with the histogram's key and the exception when a detector fails.
    deriver
        Makes the derived histograms, which are judged too; its `events` tell at the end what came of their operands.
    """
    windows = WindowStore()
    judge = Judge(catalogue, on_error)
    waiting: list[Interval] = []
    for _, moment in groupby(snapshots, key=lambda s: (s.run, s.lumisection)):
        for snapshot in moment:
            rule = catalogue[snapshot.key].rule
            interval = windows.add(snapshot, rule.minimum if rule else Minimum())
            if interval is not None:
                waiting.append(interval)
                if deriver is not None:
                    waiting += [d.interval for d in deriver.add(interval)]
            if len(waiting) >= _AT_ONCE:
                yield from judge.judge(waiting)
                waiting = []
        yield from judge.judge(waiting)
        waiting = []
