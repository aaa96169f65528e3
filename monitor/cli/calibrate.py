"""``histwatch calibrate``: what stands behind the thresholds of a version."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from monitor.cli.gather import Config, Pattern, Seed, Select
from monitor.cli.options import Cumulative

if TYPE_CHECKING:
    from monitor.cli.gather import Work
    from monitor.learn.dataset import Dataset
    from monitor.learn.training import Calibrated


def calibrate(
    paths: Annotated[
        list[str],
        typer.Argument(help="The dataset (.parquet), or recorded good runs not trained on.", metavar="DATASET..."),
    ],
    models: Annotated[Path, typer.Option("--models", "-m", metavar="DIR", help="Folder of the models.")],
    version: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Version to calibrate; default: the one trained of DATASET, or the only one."
        ),
    ] = None,
    cross: Annotated[
        bool | None,
        typer.Option(
            "--cross/--held-out",
            help="From the runs for training, a part at a time judged by the rest of them; or from the runs for"
            " calibration. Default: held out where there are any.",
            show_default=False,
        ),
    ] = None,
    seed: Seed = 0,
    select: Select = None,
    pattern: Pattern = None,
    cumulative: Cumulative = None,
    config: Config = None,
    json: Annotated[bool, typer.Option("--json", help="The summary as one JSON line on stdout.")] = False,
) -> int:
    """Learn from good runs how often good histograms look how bad, and store it beside the models.

    Thresholds then follow from the number of false alarms that the crew accepts.
    """
    from monitor.cli.gather import Asked, dataset_at, work
    from monitor.learn.files import claimed
    from monitor.learn.splits import parse_fractions
    from monitor.learn.versions import folder_of

    asked = Asked(paths, select or (), pattern or (), cumulative, config, seed)
    # Recordings that are no dataset are all for calibration: what a model has seen of them is left out all the same.
    shares = {**parse_fractions(1.0, 0.0, 0.0), "train": float(bool(cross)), "calibrate": float(not cross)}
    with work(json) as at_work:
        dataset = dataset_at(asked, lambda _runs: shares, at_work)
        name = version or version_of(dataset, models)
        with claimed(folder_of(models, name)):
            calibrated = calibrate_with_bar(dataset, models, name, cross, seed, at_work)
    say_calibrated(calibrated, name, json)
    return 0


def version_of(dataset: Dataset, directory: Path) -> str:
    """Return the version that was trained of a dataset, or the only one.

    Raises
    ------
    ConfigurationError
        If it is not clear which.
    """
    from monitor.errors import ConfigurationError
    from monitor.learn.versions import folder_of, read_record, versions_of

    known = versions_of(directory)
    records = {version: read_record(folder_of(directory, version)) for version in known}
    made = [version for version, record in records.items() if record and record.dataset == dataset.digest]
    fitting = made or known
    if len(fitting) == 1:
        return fitting[0]
    if not known:
        raise ConfigurationError(f"--models {directory}: holds no models; make some with: histwatch train")
    what = f"trained of this dataset are the versions {', '.join(made)}" if made else "none was trained of this dataset"
    raise ConfigurationError(f"--models {directory}: {what}; name one of {', '.join(known)} with --version")


def calibrate_with_bar(
    dataset: Dataset, directory: Path, version: str, cross: bool | None, seed: int, work: Work
) -> Calibrated:
    """Calibrate a version and write it down."""
    from monitor.learn.training import calibrate_version
    from monitor.learn.versions import folder_of, write_calibration
    from monitor.service.build import load_version

    folder = folder_of(directory, version)
    task = work.bar.add_task("calibrating", total=len(dataset.intervals))

    def tell(_key: str) -> None:
        work.check()
        work.bar.advance(task)

    made = calibrate_version(dataset, load_version(folder), seed=seed, cross=cross, on_histogram=tell)
    work.bar.remove_task(task)
    work.check()
    write_calibration(folder, made.calibration)
    return made


def say_calibrated(made: Calibrated, version: str, json: bool) -> None:
    """Say what stands behind the thresholds now."""
    from monitor.cli.terminal import emit, say

    if made.seen:
        say(f"runs {', '.join(map(str, made.seen))}: left out, a model was trained on them")
    if made.without:
        say(f"{len(made.without)} histograms without a model, for instance {made.without[0]}")
    if json:
        emit(
            {
                "event": "calibrated",
                "version": version,
                "crosswise": made.crosswise,
                "pools": {
                    kind: {"maps": pool.maps, "histograms": pool.histograms}
                    for kind, pool in made.calibration.pools.items()
                },
                "left_out_runs": list(made.seen),
                "without_model": list(made.without),
            }
        )
    for words in made.words():
        say(words)
