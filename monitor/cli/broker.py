"""``histwatch broker``."""

import typer

app = typer.Typer(help="A real single-node Apache Kafka for demo and tests.", no_args_is_help=True)
