"""Measure consumers, monitor and stages side by side: ``python -m tests.bench``."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console

from monitor.broker import EmbeddedBroker
from monitor.cli.terminal import progress, say
from tests.bench import clusters, profiling
from tests.bench.measure import VARIANTS, Bench
from tests.bench.plan import Plan
from tests.bench.processes import ROOT
from tests.bench.report import machine, show, summarise

_WIDTH = 140
"""Of the tables, characters, where no terminal says."""


def main() -> int:
    """Run the command line."""
    options = _parser().parse_args()
    console = Console(width=None if sys.stdout.isatty() else _WIDTH)
    if options.profile:
        profiling.show(console, options.models if options.profile == "model" else 0)
        return 0
    plan = Plan(messages=options.messages, repetitions=options.repetitions, models=options.models)
    if options.quick:
        plan = plan.quick()
    if options.clusters:
        with tempfile.TemporaryDirectory(prefix="histwatch-bench-") as folder:
            for table in clusters.tables(clusters.measured(plan, Path(folder) / "clusters.log")):
                console.print(table)
        return 0
    where = machine()
    with (
        tempfile.TemporaryDirectory(prefix="histwatch-bench-") as folder,
        EmbeddedBroker(tell=say) as broker,
    ):
        measured = _measure(Bench(plan, broker.info.bootstrap, Path(folder)))
        say("timing DBSCAN beside scikit-learn")
        clustering = clusters.measured(plan, Path(folder) / "clusters.log")
        found = summarise(plan, where, *measured, clustering, options.quick)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(found, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    show(console, found)
    say(f"written: {options.output}")
    return 0


def _measure(bench: Bench) -> tuple[dict[str, list[dict[str, Any]]], dict[str, Any], dict[str, Any], dict[str, Any]]:
    plan = bench.plan
    say("timing the stages")
    stages = bench.stages()
    say(f"sending {plan.preloaded} maps to one topic")
    with progress() as bar:
        task = bar.add_task("sending", total=plan.preloaded)
        bench.prepare(lambda: bar.advance(task))
    # The broker's first fetches are slower than all others: this one does not count.
    bench.throughput(-1, "bare")
    runs: dict[str, list[dict[str, Any]]] = {variant: [] for variant in VARIANTS}
    say("measuring the rates of consumers and monitors, interleaved")
    with progress() as bar:
        task = bar.add_task("consuming", total=plan.repetitions * len(VARIANTS))
        for repetition in range(plan.repetitions):
            # Every repetition begins with another one, so that none always has the quiet place.
            turn = repetition % len(VARIANTS)
            for variant in (*VARIANTS[turn:], *VARIANTS[:turn]):
                runs[variant].append(bench.throughput(repetition, variant))
                bar.advance(task)
    say(f"measuring latency at {plan.latency_rate:g} maps/s")
    latency = bench.latency()
    say(f"measuring memory over {plan.memory_points[1]} maps")
    return runs, bench.memory(), latency, stages


def _parser() -> argparse.ArgumentParser:
    plan = Plan()
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument(
        "--messages", type=int, default=plan.messages, help="maps of one rate measurement (%(default)s)"
    )
    parser.add_argument("--repetitions", type=int, default=plan.repetitions, help="of each (%(default)s)")
    parser.add_argument(
        "--models", type=int, default=plan.models, help="models that share 300 histograms (%(default)s)"
    )
    parser.add_argument("--quick", action="store_true", help="a short run that shows that everything works")
    parser.add_argument("--clusters", action="store_true", help="only time DBSCAN beside scikit-learn, without Kafka")
    parser.add_argument("--output", type=Path, default=ROOT / "build" / "bench.json", help="(%(default)s)")
    parser.add_argument(
        "--profile", choices=("references", "model"), help="only profile the stages of the worker, without Kafka"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
