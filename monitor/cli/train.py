"""``histwatch train``: a version of the models from a dataset."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
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
    from monitor.learn.versions import FLAT, is_usable

    asked = Asked(paths, select or (), pattern or (), cumulative, config, seed)
    with place(output, version, flat, shadow) as (folder, name):
        with work(json) as at_work:
            dataset = dataset_at(asked, lambda _runs: parse_fractions(1.0, 0.0, 0.0), at_work)
            recipe = Recipe(
                version=name, flat=flat, seed=seed, rank=rank, minimum=minimum, classify=tuple(classify or ())
            )
            trained = train_with_bar(dataset, folder, recipe, at_work, json)
        say_trained(trained, folder, flat, json)
        take_into_use(output, FLAT if flat else name, active=not flat and not is_usable(output), shadow=shadow)
    return 1 if trained.refused else 0


@contextmanager
def place(output: Path, version: str | None, flat: bool, shadow: bool) -> Iterator[tuple[Path, str]]:
    """Yield the folder that models are written to, held against others, and the name of their version.

    Raises
    ------
    ConfigurationError
        For options that exclude each other, a name that cannot be one, a version that is there already, and a folder
        that does not say which version is in use.
    HistwatchError
        If another command is writing there.
    """
    from monitor.errors import ConfigurationError
    from monitor.learn.files import claimed
    from monitor.learn.versions import check_name, is_finished, next_version, read_state

    # What is broken is said before hours of work, not after.
    read_state(output)
    there = output.exists()
    if flat:
        if shadow or version is not None:
            other = "--shadow" if shadow else "--version"
            raise ConfigurationError(f"--flat and {other}: only a folder of its own is a version")
        with claimed(output), _removed_if_empty(*(() if there else (output,))):
            yield output, "1"
        return
    name = version
    while name is None:
        candidate = next_version(output)
        try:
            (output / candidate).mkdir(parents=True)
        except FileExistsError:
            # Another training took the number between the two lines.
            continue
        except OSError as error:
            raise ConfigurationError(f"{output}: cannot be written to, {error.strerror}") from error
        name = candidate
    try:
        folder = output / check_name(name)
    except ValueError as error:
        raise ConfigurationError(f"--version: {error}") from error
    if is_finished(folder):
        raise ConfigurationError(f"{folder}: this version is there already; choose another --version, or remove it")
    # A number that nothing was written for is free again.
    made = [folder] if version is None else []
    with claimed(folder), _removed_if_empty(*made, *(() if there else (output,))):
        yield folder, name


@contextmanager
def _removed_if_empty(*folders: Path) -> Iterator[None]:
    """Remove, in their order, folders that are empty at the end."""
    try:
        yield
    finally:
        for folder in folders:
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()


def train_with_bar(dataset: Dataset, folder: Path, recipe: Recipe, work: Work, json: bool) -> Trained:
    """Train a version; of an interrupted training, say what is left of it."""
    from monitor.cli.terminal import emit, say
    from monitor.learn.models import CLASSIFIER_SUFFIX
    from monitor.learn.thesis_a.results import Budget
    from monitor.learn.training import Trained, train_version

    so_far = Trained()
    epochs: dict[str, TaskID] = {}
    refused: set[str] = set()
    task = work.bar.add_task("training", total=len(dataset.intervals))

    def tell(key: str) -> None:
        work.bar.advance(task)
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
        return train_version(dataset, folder, recipe, tell, tell_epoch, so_far)
    except KeyboardInterrupt:
        written = sum(not name.endswith(f"{CLASSIFIER_SUFFIX}.onnx") for name in so_far.files)
        say(f"{written} of {len(dataset.intervals)} models are written to {folder}, each of them whole")
        raise


def say_trained(trained: Trained, folder: Path, flat: bool, json: bool) -> None:
    """Say how many models there are, and why others are not."""
    from monitor.cli.terminal import complain, say

    for reason in trained.refused.values() if not json else ():
        complain(reason)
    left_out = sum(card.left_out > 0 for card in trained.models.values())
    where = f". -d {folder}" if flat else f"{folder.name} -d {folder.parent}"
    show = f"histwatch models show {where}"
    more = f"; of {left_out} some intervals were left out, see: {show}" if left_out else ""
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
        if not versions.is_usable(output):
            say(f"no version is active; choose one with: histwatch models activate VERSION -d {output}")
    elif before == version:
        say("these are the models in use" if version == versions.FLAT else f"version {version} is active")
    elif active:
        versions.activate(output, version)
        back = f"; back with: histwatch models activate {before} -d {output}"
        say(f"version {version} is active" + (back if before in versions.versions_of(output) else ""))
    else:
        say(f"version {before} stays active; change that with: histwatch models activate {version} -d {output}")
