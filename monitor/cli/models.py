"""``histwatch models``: which version of the models is in use."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from monitor.learn.versions import VersionState

app = typer.Typer(no_args_is_help=True, help="Versions of the models: list them, choose the active one, try others.")

Directory = Annotated[
    Path | None,
    typer.Option(
        "--directory", "-d", metavar="DIR", help="Folder of models.", show_default="that of the configuration"
    ),
]
Config = Annotated[Path | None, typer.Option(metavar="FILE", help="Configuration; default: the shipped one.")]
Name = Annotated[str, typer.Argument(metavar="VERSION", help="Its name; '.' is the folder's own files.")]
_NAMED = 8
_RESTART = "a monitor that is running takes it over when it is started anew"


@app.command("list")
def list_versions(
    directory: Directory = None,
    config: Config = None,
    json: Annotated[bool, typer.Option("--json", help="One version a line on stdout, as JSON.")] = False,
) -> int:
    """List versions, what is in them and which are in use."""
    from monitor.cli.terminal import emit, printable
    from monitor.learn.models import CLASSIFIER_SUFFIX
    from monitor.learn.versions import (
        FLAT,
        folder_of,
        is_finished,
        read_calibration,
        read_record,
        read_state,
        versions_of,
    )

    where = _directory(directory, config)
    state = read_state(where)
    for version in versions_of(where):
        folder = folder_of(where, version)
        record, calibration = read_record(folder), read_calibration(folder)
        use = "active" if version == state.active else "shadow" if version in state.shadow else ""
        maps = 0 if calibration is None else sum(pool.maps for pool in calibration.pools.values())
        classifiers = sum(1 for _ in folder.glob(f"*{CLASSIFIER_SUFFIX}.onnx"))
        models = sum(1 for _ in folder.glob("*.onnx")) - classifiers
        if json:
            emit(
                {
                    "version": version,
                    "use": use,
                    "models": models,
                    "classifiers": classifiers,
                    "calibrated_with_maps": maps,
                    "record": None if record is None else record.model_dump(mode="json"),
                }
            )
            continue
        made = record.software if record else "by hand, or by a training that was interrupted"
        if version == FLAT and not is_finished(folder):
            made = "the folder's own files"
        calibrated = f"calibrated with {maps} maps" if maps else "not calibrated"
        kinds = f"{classifiers} classifiers, " if classifiers else ""
        typer.echo(printable(f"{version:12s}{use:8s}{models} models, {kinds}{calibrated}; {made}"))
    return 2 if _say_missing(where, state, json) else 0


@app.command("show")
def show(
    version: Name,
    directory: Directory = None,
    config: Config = None,
    json: Annotated[bool, typer.Option("--json", help="One card a line on stdout, as JSON.")] = False,
) -> int:
    """Show the card of every model of a version: what it was made of, and what was left out."""
    from monitor.cli.terminal import emit, printable
    from monitor.learn.versions import folder_of
    from monitor.service.build import load_folder

    models, classifiers = load_folder(folder_of(_directory(directory, config), version))
    for one in models:
        card = one.card
        if json:
            emit(card.model_dump(mode="json"))
            continue
        words = f"{', '.join(card.histogram_types)}: {card.references} good intervals of {len(card.training_runs)} runs"
        if card.left_out:
            runs = ", ".join(map(str, card.left_out_runs[:_NAMED]))
            more = f" and {len(card.left_out_runs) - _NAMED} more" if len(card.left_out_runs) > _NAMED else ""
            words += f", {card.left_out} left out (runs {runs}{more})"
        typer.echo(printable(f"{words}; {one.reference.statistics}"))
    for kind in classifiers:
        if json:
            emit(kind.card.model_dump(mode="json"))
            continue
        labels = ", ".join(kind.card.labels)
        right = "" if kind.card.accuracy is None else f", {kind.card.accuracy:.1%} of held-out maps named right"
        typer.echo(printable(f"{', '.join(kind.card.histogram_types)}: classifier of {labels}{right}"))
    return 0


@app.command("activate")
def activate(version: Name, directory: Directory = None, config: Config = None) -> int:
    """Use a version, after trying that all of its models load."""
    from monitor.cli.terminal import say
    from monitor.learn import versions

    where = _directory(directory, config)
    number = _try(where, version)
    if version != versions.FLAT and not versions.is_finished(versions.folder_of(where, version)):
        say(f"version {version} has no {versions.RECORD_FILE}: made by hand, or by a training that was interrupted")
    before = versions.activate(where, version).active
    was = f", before it was {before}" if before in versions.versions_of(where) and before != version else ""
    say(f"version {version} with {number} models is active{was}; {_RESTART}")
    return 0


@app.command("shadow")
def shadow(version: Name, directory: Directory = None, config: Config = None) -> int:
    """Judge with a version beside the active one: counted in metrics, never alarming."""
    from monitor.cli.terminal import say
    from monitor.learn import versions

    where = _directory(directory, config)
    number = _try(where, version)
    versions.shadow(where, version)
    say(f"version {version} with {number} models is in shadow; {_RESTART}")
    return 0


@app.command("unshadow")
def unshadow(version: Name, directory: Directory = None, config: Config = None) -> int:
    """Judge with a version no longer."""
    from monitor.cli.terminal import say
    from monitor.learn import versions

    versions.unshadow(_directory(directory, config), version)
    say(f"version {version} is no longer in shadow; {_RESTART}")
    return 0


def _say_missing(where: Path, state: VersionState, json: bool) -> bool:
    """Say which versions are to be used and are not there; return whether some are."""
    from monitor.cli.terminal import emit, printable
    from monitor.learn.versions import FLAT, versions_of

    wanted = [(state.active, "active"), *((version, "shadow") for version in state.shadow)]
    missing = [(version, use) for version, use in wanted if version not in (FLAT, *versions_of(where))]
    for version, use in missing:
        mend = "activate another" if use == "active" else f"histwatch models unshadow {version} -d {where}"
        if json:
            emit({"version": version, "use": use, "models": 0, "missing": True})
        else:
            typer.echo(printable(f"{version:12s}{use:8s}MISSING; {mend}"))
    return bool(missing)


def _directory(directory: Path | None, config: Path | None) -> Path:
    """Return the folder of models, the configuration's if none is named."""
    from monitor.cli import common
    from monitor.errors import ConfigurationError

    if directory is None:
        settings, source = common.settings_at(config)
        if settings.models.directory is None:
            raise ConfigurationError(f"{source}: models.directory is null; name a folder with --directory")
        directory = source.parent / settings.models.directory
    if not directory.is_dir():
        raise ConfigurationError(f"--directory {directory}: is no folder")
    return directory


def _try(directory: Path, version: str) -> int:
    """Return the number of models of a version, all of which can be used."""
    from monitor.errors import ConfigurationError
    from monitor.learn.versions import folder_of
    from monitor.service.build import load_version

    folder = folder_of(directory, version)
    number = len(load_version(folder))
    if number == 0:
        raise ConfigurationError(f"{folder}: holds no models")
    return number
