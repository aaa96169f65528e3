"""The command line, `histwatch`: one file a command, registered here.

Heavy imports (numba, onnxruntime, kafka) belong inside the commands, so that ``--help`` answers at once.
"""

from __future__ import annotations

import sys

import typer

from monitor.cli import (
    broker,
    calibrate,
    dataset,
    demo,
    evaluate,
    judge,
    learn,
    models,
    monitor,
    replay,
    simulate,
    train,
)
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
app.command("demo")(demo.demo)
app.command("monitor")(monitor.monitor)
app.command("judge")(judge.judge)
app.command("replay")(replay.replay)
app.command("simulate")(simulate.simulate)
app.command("learn")(learn.learn)
app.command("dataset")(dataset.dataset)
app.command("train")(train.train)
app.command("calibrate")(calibrate.calibrate)
app.add_typer(models.app, name="models")
app.command("evaluate")(evaluate.evaluate)

# typer brings its own copy of click, or uses the installed one, by version: this is the base class either way.
_UsageError: type[Exception] = next(c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException")


def main(arguments: list[str] | None = None) -> None:
    """Run a command and exit: 0 done, 1 found something bad, 2 wrong use or configuration, 130 interrupted."""
    try:
        code = app(args=arguments, prog_name="histwatch", standalone_mode=False)
    except HistwatchError as error:
        complain(str(error))
        code = error.exit_code
    except _UsageError as error:
        error.show(sys.stderr)  # type: ignore[attr-defined]
        code = 2
    except (KeyboardInterrupt, typer.Abort):
        complain("interrupted")
        code = 130
    except BrokenPipeError:
        # The reader of our output (head, less) went away: not an error, and nothing is left to flush to.
        sys.stdout = None
        code = 0
    sys.exit(code if isinstance(code, int) else 0)
