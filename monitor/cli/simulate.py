"""``histwatch simulate``: a detector that behaves like one, to Kafka or to ROOT files."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from monitor.cli.interrupt import interruptible
from monitor.cli.replay import FLUSH_S, Compression
from monitor.cli.terminal import emit, progress, say
from monitor.errors import ConfigurationError, HistwatchError, SourceError

if TYPE_CHECKING:
    from monitor.snapshot import Snapshot
    from producers.simulate import Fault, SimulatedDetector

BETWEEN_RUNS_S = 300
"""From the end of a run to the start of the next, in data time."""
_LATEST_NS = 4_102_444_800_000_000_000
"""1 January 2100: the monitor takes no later data time."""
_FAULT_HELP = (
    "A fault, NAME:HISTOGRAM:PLACE:ls=FIRST-LAST:strength=S, for instance"
    " 'strip:calo/CaloMonitoring/ClusterMon/LArClusterEMNoTrigSel/2d_Rates/m_clus_etaphi_Et_thresh1"
    ":x=34:ls=10-19:strength=0'. Bins count from 0, lumisections from 1; the end of a histogram's path is enough where"
    " it fits one only; strength multiplies the fills. Names, places and default strengths: --list. Repeatable."
)


def _speed(text: str) -> float:
    if text.strip().lower() == "max":
        return 0.0
    try:
        speed = float(text)
    except ValueError:
        speed = math.nan
    if not 0 < speed < math.inf:
        raise typer.BadParameter(f"{text!r} is neither a number such as 1 or 10 nor 'max'")
    return speed


def _start(text: str) -> int:
    if text.strip().lower() == "now":
        return time.time_ns()
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is neither a time such as 2026-01-31T12:00:00 nor 'now'") from error
    moment = moment.replace(tzinfo=moment.tzinfo or UTC)
    if moment.year < 1995:
        raise typer.BadParameter(f"{text!r} is before 1995, when ROOT's time begins")
    return int(moment.timestamp()) * 1_000_000_000


def simulate(
    to_root: Annotated[
        Path | None,
        typer.Option("--to-root", metavar="DIR", help="Write recorded runs with the truth beside them; no Kafka."),
    ] = None,
    bootstrap_servers: Annotated[
        str, typer.Option(envvar="HISTWATCH_BOOTSTRAP", help="Kafka broker, host:port; several with commas.")
    ] = "127.0.0.1:9092",
    topic: Annotated[str, typer.Option(help="Where to publish.")] = "dqm.histograms",
    create_topic: Annotated[
        bool | None,
        typer.Option(
            "--create-topic/--no-create-topic",
            help="Create a topic that does not exist. Default: on this machine only.",
            show_default=False,
        ),
    ] = None,
    speed: Annotated[
        float,
        typer.Option(parser=_speed, metavar="FACTOR", help="To Kafka: 1 = real time, 10 = 10 times as fast, max."),
    ] = "10",  # type: ignore[assignment]  # parsed by _speed
    run: Annotated[int, typer.Option(min=1, max=2**31 - 1, metavar="FIRST", help="Number of the first run.")] = 500_001,
    runs: Annotated[int, typer.Option(min=1, max=100_000, metavar="N", help="Number of consecutive runs.")] = 1,
    lumisections: Annotated[int, typer.Option(min=1, max=1_000_000, metavar="N", help="Lumisections of a run.")] = 40,
    lumisection_seconds: Annotated[
        float, typer.Option(min=0.001, max=86_400, metavar="S", help="Length of a lumisection in data time, seconds.")
    ] = 23.31,
    cumulative: Annotated[
        bool, typer.Option("--cumulative/--interval", help="Totals since the start of the run, or each lumisection.")
    ] = True,
    start: Annotated[
        int | None,
        typer.Option(
            parser=_start, metavar="TIME", help="Start of the first run, UTC, or 'now'. Default: 2026-01-01T00:00:00."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of all that differs between runs. Same seed, same bytes.")] = 1,
    fault: Annotated[list[str] | None, typer.Option(metavar="FAULT", help=_FAULT_HELP)] = None,
    faults: Annotated[
        Path | None, typer.Option(metavar="FILE.yaml", help="A list of faults, as text or as mappings with these keys.")
    ] = None,
    demo_faults: Annotated[bool, typer.Option("--demo-faults", help="The five faults of 'histwatch demo'.")] = False,
    select: Annotated[
        list[str] | None,
        typer.Option(metavar="GLOB", help="Only histograms whose path, or its last part, matches. Repeatable."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="With --to-root: replace runs that are there.")] = False,
    compression: Annotated[Compression, typer.Option(help="Compression of the records.")] = Compression.NONE,
    wait: Annotated[float, typer.Option(min=0, metavar="SECONDS", help="How long to wait for the broker.")] = 10.0,
    show: Annotated[bool, typer.Option("--list", help="List histograms and faults, and end.")] = False,
    json: Annotated[bool, typer.Option("--json", help="The summary as one JSON line on stdout.")] = False,
) -> int:
    """Simulate runs of a detector with luminosity, noise, drifts and the faults you ask for.

    To Kafka, as an online system publishes them, or with --to-root to ROOT files as recorded runs, with the truth
    about the faults beside them. Every run has all of the faults.
    """
    from monitor.source.naming import matches
    from producers.simulate import START_NS, SimulatedDetector, catalogue, parse_fault, read_faults
    from producers.simulate import demo_faults as five_faults

    histograms = tuple(h for h in catalogue() if matches(h.path, select or ()))
    if not histograms:
        raise ConfigurationError(f"no simulated histogram matches {' or '.join(select or ())}; see --list")
    detector = SimulatedDetector(seed, histograms=histograms, lumisection_s=lumisection_seconds)
    if show:
        _list(detector, json)
        return 0
    wanted = [parse_fault(text, histograms) for text in fault or ()]
    wanted += read_faults(faults, histograms) if faults else ()
    wanted += five_faults() if demo_faults else ()
    detector.check(wanted, lumisections)
    first_ns = START_NS if start is None else start
    plan = _Plan(detector, range(run, run + runs), lumisections, wanted, cumulative, first_ns)
    if detector.time_ns(lumisections, plan.start_ns(runs - 1)) >= _LATEST_NS:
        raise ConfigurationError("the last run ends after 2100; take fewer --runs or --lumisections")
    if to_root is not None:
        return _write(plan, to_root, force, json)
    return _publish(plan, _Target(bootstrap_servers, topic, create_topic, compression.value, wait), speed, json)


@dataclass(frozen=True, slots=True)
class _Plan:
    detector: SimulatedDetector
    runs: range
    lumisections: int
    faults: Sequence[Fault]
    cumulative: bool
    first_ns: int

    def __len__(self) -> int:
        return len(self.runs) * self.lumisections * len(self.detector.histograms)

    def start_ns(self, number: int) -> int:
        """Return the start of a run by its place in the sequence, from 0."""
        length_ns = self.detector.time_ns(self.lumisections, 0) + BETWEEN_RUNS_S * 1_000_000_000
        return self.first_ns + number * length_ns

    def __iter__(self) -> Iterator[Snapshot]:
        for number, run in enumerate(self.runs):
            start_ns = self.start_ns(number)
            yield from self.detector.run(
                run, self.lumisections, self.faults, cumulative=self.cumulative, start_ns=start_ns
            )

    def record(self) -> dict[str, Any]:
        return {
            "event": "simulated",
            "seed": self.detector.seed,
            "runs": list(self.runs),
            "lumisections": self.lumisections,
            "histograms": len(self.detector.histograms),
            "faults": len(self.faults),
            "cumulative": self.cumulative,
        }


@dataclass(frozen=True, slots=True)
class _Target:
    bootstrap_servers: str
    topic: str
    create_topic: bool | None
    compression: str
    wait_s: float


def _write(plan: _Plan, folder: Path, force: bool, json: bool) -> int:
    from producers.simulate import write_run

    started = time.monotonic()
    with progress(quiet=json) as bar:
        task = bar.add_task(f"writing to {folder}", total=len(plan))
        for number, run in enumerate(plan.runs):
            done = number * len(plan) // len(plan.runs)
            write_run(
                folder,
                plan.detector,
                run,
                plan.lumisections,
                plan.faults,
                cumulative=plan.cumulative,
                start_ns=plan.start_ns(number),
                overwrite=force,
                tell=lambda written, done=done: bar.update(task, completed=done + written),  # type: ignore[misc]
            )
    seconds = time.monotonic() - started
    if json:
        emit(plan.record() | {"folder": str(folder), "written": len(plan), "seconds": round(seconds, 3)})
    else:
        say(f"wrote {len(plan)} snapshots of {len(plan.runs)} runs to {folder} in {seconds:.1f} s")
    return 0


def _publish(plan: _Plan, target: _Target, speed: float, json: bool) -> int:
    from producers.publish import Publisher
    from producers.replay import Outcome, Pace, Skips, replay

    skips = Skips()
    started = time.monotonic()
    with interruptible() as stop:
        try:
            with (
                Publisher(
                    target.bootstrap_servers,
                    target.topic,
                    create_topic=target.create_topic,
                    compression=target.compression,
                    wait_s=target.wait_s,
                    stop=stop,
                ) as publisher,
                progress(quiet=json) as bar,
            ):
                task = bar.add_task(f"simulating to {target.topic}", total=len(plan))

                def tell(outcome: Outcome) -> None:
                    bar.update(task, completed=outcome.sent)

                outcome = replay(plan, publisher, Pace(speed or None), skips=skips, stop=stop, tell=tell)
                # Interrupted now or while this waits: a last short one.
                if not publisher.flush():
                    publisher.flush(FLUSH_S)
        except HistwatchError:
            if stop.is_set():
                raise KeyboardInterrupt from None
            raise
    seconds = time.monotonic() - started
    lost = outcome.sent - publisher.delivered
    if json:
        emit(
            plan.record()
            | {
                "topic": target.topic,
                "bootstrap_servers": target.bootstrap_servers,
                "sent": publisher.delivered,
                "unacknowledged": lost,
                "skipped": skips.record(),
                "seconds": round(seconds, 3),
                "interrupted": outcome.interrupted,
            }
        )
    else:
        say(
            f"sent {publisher.delivered} snapshots of {len(outcome.runs)} runs to {target.topic} at"
            f" {target.bootstrap_servers} in {seconds:.1f} s" + (f"; {lost} not acknowledged" if lost else "")
        )
        if skips.counts:
            say(f"skipped {skips.counts.total()}: {skips.words()}")
    if outcome.interrupted:
        return 130
    if not outcome.sent:
        raise SourceError(f"nothing could be sent: {skips.words()}")
    return 0


def _list(detector: SimulatedDetector, json: bool) -> None:
    import numpy as np

    from producers.simulate import FAULTS

    for histogram in detector.histograms:
        bins = " x ".join(map(str, histogram.shape))
        median = float(np.median(histogram.rate()[histogram.filled()]))
        if json:
            emit(
                {
                    "histogram": histogram.key,
                    "kind": histogram.kind.value,
                    "bins": list(histogram.shape),
                    "filled_bins": int(histogram.filled().sum()),
                    "fills_per_bin": round(median, 3),
                }
            )
        else:
            typer.echo(f"{histogram.kind.value:10s} {bins:8s} {median:7.4g} fills a bin  {histogram.key}")
    for name, kind in FAULTS.items():
        if json:
            emit({"fault": name, "does": kind.does, "place": kind.keys, "strength": kind.strength})
        else:
            typer.echo(f"{name:18s} strength {kind.strength:<4g} {kind.keys or '-':30s} {kind.does}")
