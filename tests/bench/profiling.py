"""Where the worker spends its time, by function: batches of one lumisection through the pipeline, without Kafka."""

from __future__ import annotations

import cProfile
import pstats
from pathlib import Path

from rich.console import Console
from rich.table import Table

from monitor.service.allocator import keep_buffers
from monitor.service.pipeline import Pipeline
from monitor.service.warm import warm_up
from tests.bench.bundle import catalogue
from tests.bench.stages import batches
from tests.bench.workload import Workload

_LUMISECTIONS = 11
_ROWS = 25


def show(console: Console, models: int) -> None:
    """Profile references (`models` 0) or models, and write the functions that take longest by themselves."""
    keep_buffers()
    warm_up()
    workload = Workload()
    pipeline = Pipeline(catalogue(workload, models))
    first, *rest = batches(workload, _LUMISECTIONS)
    pipeline.process(first)
    profile = cProfile.Profile()
    profile.enable()
    for batch in rest:
        pipeline.process(batch)
    profile.disable()
    maps = len(workload.keys) * len(rest)
    table = Table(title=f"{maps} maps; the profiler itself slows small functions most", title_justify="left")
    for name in ("us/map itself", "with what it calls", "calls/map"):
        table.add_column(name, justify="right")
    table.add_column("function")
    stats = pstats.Stats(profile).stats  # type: ignore[attr-defined]
    for (file, line, name), (_, calls, own, total, _) in sorted(stats.items(), key=lambda s: -s[1][2])[:_ROWS]:
        where = f"{Path(file).parent.name}/{Path(file).name}:{line} {name}" if line else name
        table.add_row(f"{1e6 * own / maps:.1f}", f"{1e6 * total / maps:.1f}", f"{calls / maps:.2f}", where)
    console.print(table, markup=False)
