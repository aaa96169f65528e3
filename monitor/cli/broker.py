"""``histwatch broker``: start, stop and look at the embedded Kafka."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from monitor.broker import control, state
from monitor.broker.state import BrokerInfo
from monitor.cli.terminal import emit, printable, stderr

app = typer.Typer(
    help="A real single-node Apache Kafka for demo and tests, on this machine only.", no_args_is_help=True
)

Data = Annotated[
    Path | None,
    typer.Option(help="Directory for topics, log and state. Default: histwatch/broker in the user's state directory."),
]
Port = Annotated[
    int | None,
    typer.Option(min=1, max=65535, help="Port on 127.0.0.1. Default: the last one if it is free, else a free one."),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON line on stdout.")]


@app.command()
def start(data: Data = None, port: Port = None, json: Json = False) -> None:
    """Start Kafka and leave it running. Does nothing when it already runs."""
    with stderr.status("starting Apache Kafka") as line:
        info, new = control.start(data or state.default_data(), port, line.update)
    if json:
        emit({"state": "running", "started": new, **info.record()})
    else:
        typer.echo(_running(info, "runs" if new else "already runs"))


@app.command()
def stop(data: Data = None) -> None:
    """Stop Kafka; topics are kept. Does nothing when it does not run."""
    where = (data or state.default_data()).expanduser().absolute()
    with stderr.status("stopping Apache Kafka"):
        info = control.stop(where)
    typer.echo(f"Apache Kafka at {info.bootstrap} is stopped" if info else _stopped(where))


@app.command()
def status(data: Data = None, json: Json = False) -> int:
    """Tell whether Kafka runs, and where. Exits with 1 when it does not."""
    where = (data or state.default_data()).expanduser().absolute()
    info = control.status(where)
    if json:
        emit({"state": "running", **info.record()} if info else {"state": "stopped", "data": str(where)})
    else:
        typer.echo(_running(info, "runs") if info else _stopped(where))
    return 0 if info else 1


def _running(info: BrokerInfo, runs: str) -> str:
    return printable(
        f"Apache Kafka {info.version} {runs} at {info.bootstrap} (pid {info.pid}, data {info.data}, log {info.log})"
    )


def _stopped(data: Path) -> str:
    return printable(f"no broker runs on {data}")
