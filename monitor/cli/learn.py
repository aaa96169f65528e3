"""``histwatch learn``: from recorded good runs to calibrated models in use, in one go."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from monitor.cli.gather import Classify, Config, Flat, Least, Pattern, Rank, Seed, Select, Shadow, Version
from monitor.cli.options import Cumulative


def learn(
    paths: Annotated[
        list[str],
        typer.Argument(help="Recorded good runs: files, folders or globs; or a dataset.", metavar="PATH..."),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Folder of models; the version in it.")],
    version: Version = None,
    flat: Flat = False,
    shadow: Shadow = False,
    rank: Rank = None,
    classify: Classify = None,
    minimum: Least = 6,
    seed: Seed = 0,
    select: Select = None,
    pattern: Pattern = None,
    cumulative: Cumulative = None,
    config: Config = None,
    json: Annotated[bool, typer.Option("--json", help="One model a line on stdout, as JSON.")] = False,
) -> int:
    """Do what dataset, train and calibrate do, and use the new version.

    Exit 1 if some models could not be made, or none calibrated.
    A quarter of the runs is held out to calibrate with; of fewer than 40 runs, all serve for both, crosswise.
    """
    from monitor.cli.calibrate import calibrate_with_bar, say_calibrated
    from monitor.cli.gather import ENOUGH_RUNS, Asked, dataset_at, work
    from monitor.cli.terminal import complain, say
    from monitor.cli.train import place, say_trained, take_into_use, train_with_bar
    from monitor.errors import HistwatchError
    from monitor.learn.parquet import is_parquet
    from monitor.learn.splits import Split, parse_fractions
    from monitor.learn.training import Recipe
    from monitor.learn.versions import FLAT

    def shares(runs: int) -> dict[Split, float]:
        return parse_fractions(0.75, 0.25, 0.0) if runs >= ENOUGH_RUNS else parse_fractions(1.0, 0.0, 0.0)

    asked = Asked(paths, select or (), pattern or (), cumulative, config, seed)
    calibrated = None
    with place(output, version, flat, shadow) as (folder, name):
        own = FLAT if flat else name
        with work(json) as at_work:
            dataset = dataset_at(asked, shares, at_work)
            recipe = Recipe(
                version=name, flat=flat, seed=seed, rank=rank, minimum=minimum, classify=tuple(classify or ())
            )
            trained = train_with_bar(dataset, folder, recipe, at_work, json)
            try:
                calibrated = calibrate_with_bar(dataset, output, own, None, seed, at_work)
            except HistwatchError as error:
                # Models without a promise are still models: the monitor says so wherever it matters.
                complain(f"not calibrated: {error}")
            except KeyboardInterrupt:
                cross = "" if is_parquet(Path(paths[0])) else " --cross"
                say(
                    f"{len(trained.models)} models are written to {folder}, not calibrated"
                    + ("" if flat else " and not in use")
                    + f"; go on with: histwatch calibrate {' '.join(paths)}{cross} -m {output} --version {own}"
                    + ("" if flat else f" && histwatch models activate {name} -d {output}")
                )
                raise
        say_trained(trained, folder, flat, json)
        if calibrated is not None:
            say_calibrated(calibrated, name, json)
        take_into_use(output, own, active=not flat, shadow=shadow)
    return 1 if trained.refused or calibrated is None else 0
