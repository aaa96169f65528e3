"""The result: a table for people, ``bench.json`` for everything else."""

from __future__ import annotations

import os
import platform
import statistics
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

from tests.bench import clusters
from tests.bench.measure import VARIANTS
from tests.bench.plan import Plan

NAMES = {
    "stock": "consumer, stock settings",
    "bare": "consumer, tuned as the monitor's",
    "monitor": "monitor, references",
    "model": "monitor, ONNX model",
}
_LIBRARIES = ("kafka-python", "crc32c", "numpy", "numba", "onnxruntime", "protobuf", "scikit-learn", "scipy")


def machine() -> dict[str, Any]:
    """Describe where the figures come from."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "processor": _processor(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "load_before": round(os.getloadavg()[0], 2),
        "libraries": {name: version(name) for name in _LIBRARIES},
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def summarise(
    plan: Plan,
    where: dict[str, Any],
    runs: dict[str, list[dict[str, Any]]],
    memory: dict[str, Any],
    latency: dict[str, Any],
    stages: dict[str, Any],
    clustering: dict[str, Any],
    quick: bool,
) -> dict[str, Any]:
    """Return the content of ``bench.json``. Rates and memory are medians of the repetitions."""
    rate = {name: _median(runs[name], "maps_per_s") for name in VARIANTS}
    full = tuple(memory["points"]) == (10_000, 100_000)
    return {
        "stock_consumer_maps_per_s": rate["stock"],
        "bare_consumer_maps_per_s": rate["bare"],
        "monitor_maps_per_s": rate["monitor"],
        "monitor_model_maps_per_s": rate["model"],
        "ratio_to_stock": rate["monitor"] / rate["stock"],
        "ratio_to_bare": rate["monitor"] / rate["bare"],
        "model_ratio_to_bare": rate["model"] / rate["bare"],
        "latency_p50_ms": latency["p50_ms"],
        "latency_p99_ms": latency["p99_ms"],
        "latency_rate_maps_per_s": latency["rate"],
        "rss_mb": _median(runs["monitor"], "rss_mb"),
        "rss_10k_mb": memory["rss_mb"][0] if full else None,
        "rss_100k_mb": memory["rss_mb"][1] if full else None,
        "rss_growth": memory["growth"],
        "first_batch_us_per_map": _median(runs["monitor"], "first_batch_us_per_map"),
        "later_batches_us_per_map": _median(runs["monitor"], "later_batches_us_per_map"),
        "stages_us": stages,
        "clusters": clustering,
        "throughput": runs,
        "latency": latency,
        "memory": memory,
        "plan": {
            name: getattr(plan, name)
            for name in ("messages", "repetitions", "models", "latency_rate", "latency_messages")
        },
        "quick": quick,
        "machine": where,
    }


def _median(runs: list[dict[str, Any]], what: str) -> float:
    return statistics.median(run[what] for run in runs)


def show(console: Console, found: dict[str, Any]) -> None:
    """Write the tables."""
    where = found["machine"]
    console.print(
        f"{where['cores']} cores ({where['processor']}), Python {where['python']}, "
        f"kafka-python {where['libraries']['kafka-python']}, load before: {where['load_before']}"
    )
    if found["quick"]:
        console.print("a quick run: it shows that everything works, its figures say nothing", style="yellow")
    for table in (_rates(found), _rest(found), _stages(found), *clusters.tables(found["clusters"])):
        console.print(table)


def _rates(found: dict[str, Any]) -> Table:
    plan = found["plan"]
    table = Table(
        title=f"{plan['messages']} maps of 99 x 65 float32, median of {plan['repetitions']}", title_justify="left"
    )
    table.add_column("")
    for name in ("maps/s", "range", "to stock", "to tuned", "CPU us/map", "RSS MB", "peak MB", "BAD", "no fault"):
        table.add_column(name, justify="right")
    stock, bare = found["stock_consumer_maps_per_s"], found["bare_consumer_maps_per_s"]
    for name, runs in found["throughput"].items():
        rates = [run["maps_per_s"] for run in runs]
        rate = statistics.median(rates)
        table.add_row(
            NAMES[name],
            f"{rate:,.0f}",
            f"{min(rates):,.0f} - {max(rates):,.0f}",
            f"{rate / stock:.2f}",
            f"{rate / bare:.2f}",
            f"{_median(runs, 'cpu_us_per_map'):.0f}",
            f"{_median(runs, 'rss_mb'):.0f}",
            f"{_median(runs, 'peak_rss_mb'):.0f}",
            *([str(runs[-1]["bad"]), str(runs[-1]["bad_without_fault"])] if "bad" in runs[-1] else ["", ""]),
        )
    return table


def _rest(found: dict[str, Any]) -> Table:
    latency, memory = found["latency"], found["memory"]
    table = Table(title="monitor, references", title_justify="left", show_header=False)
    table.add_column("")
    table.add_column("", justify="right")
    table.add_row(
        f"send to alarm at {latency['rate']:,.0f} maps/s ({latency['alarms']} alarms of {latency['faults']} faults)",
        f"p50 {latency['p50_ms']:.1f} ms, p99 {latency['p99_ms']:.1f} ms{_steady(latency)}",
    )
    table.add_row("send to verdict", f"p50 {latency['verdict_p50_ms']:.1f} ms, p99 {latency['verdict_p99_ms']:.1f} ms")
    (early, late), (rss_early, rss_late) = memory["points"], memory["rss_mb"]
    table.add_row(
        f"RSS after {early:,} and {late:,} maps", f"{rss_early:.0f} MB, {rss_late:.0f} MB: x {memory['growth']:.3f}"
    )
    table.add_row(
        "pipeline, first batch and later ones",
        f"{found['first_batch_us_per_map']:.0f}, {found['later_batches_us_per_map']:.0f} us/map",
    )
    monitor = found["throughput"]["monitor"]
    table.add_row(
        "CPU by thread: poll, worker (judge, publish), all of the process",
        ", ".join(
            f"{_median(monitor, what):.0f}"
            for what in ("poll_cpu_us_per_map", "judge_cpu_us_per_map", "publish_cpu_us_per_map", "cpu_us_per_map")
        )
        + " us/map",
    )
    table.add_row("worker's wall time", f"{_median(monitor, 'judge_us_per_map'):.0f} us/map")
    table.add_row("faults missed in the whole topic", str(memory["faults_missed"]))
    return table


def _steady(latency: dict[str, Any]) -> str:
    return "" if latency["steady_p99_ms"] is None else f" ({latency['steady_p99_ms']:.1f} ms without the first seconds)"


def _stages(found: dict[str, Any]) -> Table:
    table = Table(title="stages, one thread, best of several", title_justify="left")
    table.add_column("")
    table.add_column("us/map", justify="right")
    table.add_column("beside it, us/map")
    for stage, one in found["stages_us"].items():
        others = ", ".join(f"{name.replace('_', ' ')} {us:.1f}" for name, us in one["peers"].items())
        table.add_row(stage, f"{one['us']:.1f}", others)
    return table
