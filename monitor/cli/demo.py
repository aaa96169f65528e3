"""``histwatch demo``: everything, on this machine, with one command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from monitor.cli.options import Cumulative

DEFAULT_SPEED = 2.0


def demo(
    once: Annotated[
        bool, typer.Option("--once", help="End by itself; exit 0 only if exactly the injected faults were found.")
    ] = False,
    runs: Annotated[
        list[str] | None,
        typer.Option("--runs", metavar="PATH", help="Replay your own files instead; repeat for several."),
    ] = None,
    reference: Annotated[
        list[str] | None,
        typer.Option("--reference", "-r", metavar="PATH", help="Good runs for --runs; default: their first runs."),
    ] = None,
    select: Annotated[
        list[str] | None,
        typer.Option(
            "--select", metavar="GLOB", help="With --runs: only histograms whose path, or last part, matches."
        ),
    ] = None,
    cumulative: Cumulative = None,
    speed: Annotated[
        float | None,
        typer.Option(metavar="N", min=0.01, help="Lumisections per second; default: 2, with --once no limit."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the simulated run.")] = 1,
    config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Configuration; default: the shipped one.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One alarm event a line on stdout, as JSON.")] = False,
) -> int:
    """Start Kafka, replay a recorded run with five faults, watch the monitor find them. Needs nothing else."""
    import signal
    import threading
    from collections.abc import Mapping
    from contextlib import ExitStack
    from typing import Any

    from monitor.cli import common
    from monitor.cli.terminal import complain, emit, say, stderr
    from monitor.demo.run import Demo, reference_part, simulated_recording
    from monitor.demo.screen import Screen
    from monitor.demo.verify import verify
    from monitor.detect.base import Expected
    from monitor.service.build import build_derivations
    from monitor.service.logs import configure_logging
    from monitor.source.recording import Recording
    from producers.replay import Skips

    settings, source = common.settings_at(config)
    service = settings.service.model_copy(update={"metrics_port": common.free_or_any(settings.service.metrics_port)})
    settings = settings.model_copy(update={"service": service})
    configure_logging("error", "text")
    derivations = build_derivations(settings, str(source))
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    truth: Mapping[str, Any] | None = None
    references: dict[str, Expected] = {}
    pace = speed if speed is not None or once else DEFAULT_SPEED
    skips = Skips()
    with ExitStack() as stack:
        if runs:
            recording = Recording(runs, select=select or (), cumulative=cumulative, on_skip=skips)
            common.require_histograms(recording, runs, select or (), skips)
            if reference:
                references = common.learn_references(reference, select or (), json, derivations=derivations)
            else:
                own, last = reference_part(recording)
                if own:
                    references = common.learn_own_references(recording, own, last, json, derivations)
        else:
            if not json:
                say("simulating a recorded run with five faults")
            folder, truth = stack.enter_context(simulated_recording(seed))
            recording = Recording([folder], cumulative=True, on_skip=skips)
        screen = stack.enter_context(Screen(stderr, quiet=json))
        run = Demo(settings, source, recording, references, pace, screen, skips, emit if json else lambda _event: None)
        run.run(once, stop)
    common.say_skips(skips)
    interrupted = stop.is_set()
    if truth is None or interrupted:
        raised = sum(e["event"] == "raised" for e in run.events)
        say(f"{run.sent} histograms replayed, {raised} alarms raised" + (", interrupted" if interrupted else ""))
        return 130 if interrupted else 0
    result = verify(truth, run.events)
    for name in result.found:
        say(f"found and cleared: {name}")
    for problem in result.problems:
        complain(problem)
    say(
        f"{len(result.found)} of {len(truth['faults'])} faults found with one alarm each, "
        f"{len(result.problems)} problems"
    )
    return 0 if result.good else 1
