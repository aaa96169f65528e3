"""The command line, `histwatch`: one file a command, registered here.

Heavy imports (numba, onnxruntime, kafka) belong inside the commands, so that ``--help`` answers at once.
"""

from __future__ import annotations

import sys

import click
import typer

from monitor.cli import broker
from monitor.cli.terminal import complain
from monitor.errors import HistwatchError

app = typer.Typer(
    name="histwatch",
    help="An online data-quality monitor for detector histograms.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(broker.app, name="broker")


def main(arguments: list[str] | None = None) -> None:
    """Run a command and exit: 0 done, 1 found something bad, 2 wrong use or configuration, 130 interrupted."""
    try:
        code = app(args=arguments, prog_name="histwatch", standalone_mode=False)
    except HistwatchError as error:
        complain(str(error))
        code = error.exit_code
    except click.exceptions.Exit as error:
        code = error.exit_code
    except click.ClickException as error:
        error.show(sys.stderr)
        code = 2
    except (KeyboardInterrupt, click.exceptions.Abort):
        complain("interrupted")
        code = 130
    except BrokenPipeError:
        # The reader of our output (head, less) went away: not an error, and nothing is left to flush to.
        sys.stdout = None  # type: ignore[assignment]
        code = 0
    sys.exit(code if isinstance(code, int) else 0)
