"""``histwatch train``: a version of the models from a dataset."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from monitor.cli.gather import Classify, Config, Flat, Least, Pattern, Rank, Seed, Select, Shadow, Version
from monitor.cli.options import Cumulative

if TYPE_CHECKING:
    from rich.progress import TaskID

    from monitor.cli.gather import Work
    from monitor.learn.dataset import Dataset
    from monitor.learn.training import Recipe, Trained


def train(
    paths: Annotated[
        list[str],
        typer.Argument(help="A dataset (.parquet), or recorded good runs, all to train on.", metavar="DATASET..."),
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
    """Train one autoencoder per histogram and write a new version of the models; exit 1 if some could not be made.

    The first version in a folder becomes active; others wait for 'histwatch models activate'.
    """
    from monitor.cli.gather import Asked, dataset_at, work
    from monitor.learn.splits import parse_fractions
    from monitor.learn.training import Recipe
    from monitor.learn.versions import FLAT, versions_of

    asked = Asked(paths, select or (), pattern or (), cumulative, config, seed)
    folder, name = place(output, version, flat, shadow)
    first = not versions_of(output) and not flat
    with work(json) as at_work:
        dataset = dataset_at(asked, lambda _runs: parse_fractions(1.0, 0.0, 0.0), at_work)
        recipe = Recipe(version=name, seed=seed, rank=rank, minimum=minimum, classify=tuple(classify or ()))
        trained = train_with_bar(dataset, folder, recipe, at_work, json)
    say_trained(trained, folder, json)
    take_into_use(output, FLAT if flat else name, active=first, shadow=shadow)
    return 1 if trained.refused else 0


def place(output: Path, version: str | None, flat: bool, shadow: bool) -> tuple[Path, str]:
    """Return the folder that models are written to, and the name of their version.

    Raises
    ------
    ConfigurationError
        For options that exclude each other, a name that cannot be one, and a version that is there already.
    """
    from monitor.errors import ConfigurationError
    from monitor.learn.versions import check_name, is_finished, next_version

    if flat:
        if shadow:
            raise ConfigurationError("--flat and --shadow: only a version in a folder of its own can be in shadow")
        return output, version or "1"
    name = next_version(output) if version is None else version
    try:
        folder = output / check_name(name)
    except ValueError as error:
        raise ConfigurationError(f"--version: {error}") from error
    if is_finished(folder):
        raise ConfigurationError(f"{folder}: this version is there already; choose another --version, or remove it")
    return folder, name


def train_with_bar(dataset: Dataset, folder: Path, recipe: Recipe, work: Work, json: bool) -> Trained:
    """Train a version; of an interrupted training, say what is left of it."""
    from monitor.cli.terminal import emit, say
    from monitor.learn.thesis_a.results import Budget
    from monitor.learn.training import train_version

    done = 0
    epochs: dict[str, TaskID] = {}
    refused: set[str] = set()
    task = work.bar.add_task("training", total=len(dataset.intervals))

    def tell(key: str, so_far: Trained) -> None:
        nonlocal done
        work.bar.advance(task)
        done = len(so_far.models)
        card = so_far.models.get(key)
        kinds = so_far.classifiers.get(key)
        if json and kinds is not None:
            emit({"classifier": kinds.name, "version": kinds.version, "accuracy": kinds.accuracy})
        if json and card is not None:
            emit(
                {
                    "model": card.name,
                    "version": card.version,
                    "histograms": list(card.histogram_types),
                    "references": card.references,
                    "left_out": card.left_out,
                    "left_out_runs": list(card.left_out_runs),
                }
            )
        if json:
            for name, reason in so_far.refused.items():
                if name not in refused:
                    emit({"refused": name, "reason": reason})
        refused.update(so_far.refused)
        work.check()

    def tell_epoch(key: str) -> None:
        if key not in epochs:
            epochs[key] = work.bar.add_task(f"classifier of {key}", total=Budget().epochs_ours)
        work.bar.advance(epochs[key])
        work.check()

    try:
        return train_version(dataset, folder, recipe, tell, tell_epoch)
    except KeyboardInterrupt:
        say(f"{done} of {len(dataset.intervals)} models are written to {folder}, each of them whole")
        raise


def say_trained(trained: Trained, folder: Path, json: bool) -> None:
    """Say how many models there are, and why others are not."""
    from monitor.cli.terminal import complain, say

    for reason in trained.refused.values() if not json else ():
        complain(reason)
    left_out = sum(card.left_out > 0 for card in trained.models.values())
    more = f"; of {left_out} some intervals were left out, see their cards" if left_out else ""
    kinds = f", {len(trained.classifiers)} classifiers" if trained.classifiers else ""
    say(f"{len(trained.models)} models{kinds} written to {folder}, {len(trained.refused)} refused{more}")


def take_into_use(output: Path, version: str, *, active: bool, shadow: bool) -> None:
    """Make a version active, or put it into shadow, and say so; or say which one stays active."""
    from monitor.cli.terminal import say
    from monitor.learn import versions

    before = versions.read_state(output).active
    if shadow:
        versions.shadow(output, version)
        say(f"version {version} is in shadow")
    elif before == version:
        say("these are the models in use" if version == versions.FLAT else f"version {version} is active")
    elif active:
        versions.activate(output, version)
        back = f"; back with: histwatch models activate {before} -d {output}"
        say(f"version {version} is active" + (back if before in versions.versions_of(output) else ""))
    else:
        say(f"version {before} stays active; change that with: histwatch models activate {version} -d {output}")
