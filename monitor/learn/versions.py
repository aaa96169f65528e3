"""A folder of models: flat, or with versions of which one is active and any number in shadow.

::

    models/
      versions.json       {"active": "2", "shadow": ["3"]}
      1/ 2/ 3/            *.onnx, calibration.json, version.json
      *.onnx              the version "." : what is used while no other is active

A version is written once and not changed, but for its calibration. Switching between versions is one small file
written anew.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from monitor.errors import ConfigurationError, ModelError
from monitor.infer import Calibration
from monitor.infer.card import parse_as
from monitor.learn.dataset import Provenance
from monitor.learn.files import claimed, write_bytes

FLAT = "."
"""The version that is the folder's own files."""
STATE_FILE = "versions.json"
CALIBRATION_FILE = "calibration.json"
RECORD_FILE = "version.json"
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,63}")


class VersionState(BaseModel):
    """Which versions are in use."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    contract: Literal[1] = 1
    active: str = FLAT
    shadow: tuple[str, ...] = ()

    @field_validator("active")
    @classmethod
    def _is_version(cls, name: str) -> str:
        return name if name == FLAT else check_name(name)

    @field_validator("shadow")
    @classmethod
    def _are_versions(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(check_name(name) for name in names)


class VersionRecord(BaseModel):
    """How a version was made; written last, so that a version without one was interrupted or made by hand."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    contract: Literal[1] = 1
    version: str
    software: str
    dataset: str
    """SHA-256 of the dataset, see `monitor.learn.dataset.Dataset.digest`."""
    seed: int
    rank: int | None = None
    """Modes that were asked for; None: as many as pay."""
    minimum: int
    """Least number of good intervals that was asked for."""
    classify: tuple[str, ...] = ()
    """Globs of the histograms for which a classifier was asked for."""
    provenance: Provenance | None = None
    """Where the dataset came from."""
    runs: dict[str, tuple[int, ...]] = Field(default_factory=dict)
    """Of every split."""
    packages: dict[str, str] = Field(default_factory=dict)
    """Versions of what decides the bytes."""
    files: dict[str, str] = Field(default_factory=dict)
    """SHA-256 of every model, by the name of its file."""
    models: int
    refused: dict[str, str] = Field(default_factory=dict)
    """Why a histogram got no model, by ``stream/path``."""


def check_name(name: str) -> str:
    """Return the name of a version; it is the name of a folder.

    Raises
    ------
    ValueError
        If it cannot be one.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(f"version {name!r}: letters, digits and ._+- only, at most 64, none of .+- first")
    return name


def read_state(directory: Path) -> VersionState:
    """Return which versions are in use; of a folder that does not say: its own files.

    Raises
    ------
    ConfigurationError
        If its file cannot be used.
    """
    path = directory / STATE_FILE
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return VersionState()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: cannot be read, {error}") from error
    try:
        return parse_as(VersionState, text)
    except ValueError as error:
        raise ConfigurationError(f"{path}: {error}; write it with: histwatch models activate VERSION") from error


def versions_of(directory: Path) -> tuple[str, ...]:
    """Return the versions in a folder, numbers in their order; the folder's own files are `FLAT` and come first."""
    if not directory.is_dir():
        return ()
    found = [
        folder.name
        for folder in directory.iterdir()
        if _NAME.fullmatch(folder.name) and folder.is_dir() and _holds_models(folder)
    ]
    own = [FLAT] if any(directory.glob("*.onnx")) else []
    return (*own, *sorted(found, key=_order))


def folder_of(directory: Path, version: str) -> Path:
    """Return the folder of a version.

    Raises
    ------
    ConfigurationError
        If there is no such version, or it is a link that leads out of the folder.
    """
    if version == FLAT:
        return directory
    known = versions_of(directory)
    if version not in known:
        raise ConfigurationError(
            f"{directory}: there is no version '{version}'; known are {', '.join(known) or 'none'}"
        )
    folder = directory / version
    if not folder.resolve().is_relative_to(directory.resolve()):
        raise ConfigurationError(f"{folder}: a link that leads out of {directory}")
    return folder


def active_folder(directory: Path) -> Path:
    """Return the folder of the models in use.

    Raises
    ------
    ConfigurationError
        If there are versions and none is active, or the active one is missing.
    """
    active = read_state(directory).active
    known = versions_of(directory)
    if active == FLAT and known and FLAT not in known:
        raise ConfigurationError(
            f"{directory}: holds the versions {', '.join(known)} and none is active; choose one: "
            f"histwatch models activate {known[-1]} --directory {directory}"
        )
    return folder_of(directory, active)


def state_or_none(directory: Path) -> VersionState:
    """Return which versions are in use, and of a file that cannot be used: none, so that it can be written anew."""
    try:
        return read_state(directory)
    except ConfigurationError:
        return VersionState()


def is_usable(directory: Path) -> bool:
    """Tell whether there are finished models that a monitor which starts now would use."""
    try:
        folder = active_folder(directory)
    except ConfigurationError:
        return False
    return any(folder.glob("*.onnx")) and (folder == directory or is_finished(folder))


def next_version(directory: Path) -> str:
    """Return the number after the largest that a version has, or a folder that an interrupted training left."""
    numbers = [int(f.name) for f in directory.iterdir() if f.name.isdecimal()] if directory.is_dir() else []
    return str(max(numbers, default=0) + 1)


def activate(directory: Path, version: str) -> VersionState:
    """Use a version from the next start on; returns the state before.

    Raises
    ------
    ConfigurationError
        If there is no such version.
    """
    folder_of(directory, version)
    if version == FLAT and FLAT not in versions_of(directory):
        raise ConfigurationError(f"{directory}: holds no models of its own, only versions")
    with claimed(directory):
        before = state_or_none(directory)
        _write(directory, VersionState(active=version, shadow=tuple(v for v in before.shadow if v != version)))
    return before


def shadow(directory: Path, version: str) -> None:
    """Judge with a version beside the active one from the next start on, and only count what it says.

    Raises
    ------
    ConfigurationError
        If there is no such version, or it is the active one.
    """
    if version == FLAT:
        raise ConfigurationError(f"{directory}: only a version in a folder of its own can be in shadow")
    folder_of(directory, version)
    with claimed(directory):
        before = read_state(directory)
        if version == before.active:
            raise ConfigurationError(f"{directory}: version {version} is active; activate another before")
        shadows = tuple(sorted({*before.shadow, version}, key=_order))
        _write(directory, VersionState(active=before.active, shadow=shadows))


def unshadow(directory: Path, version: str) -> None:
    """Judge with a version no longer.

    Raises
    ------
    ConfigurationError
        If it is not in shadow.
    """
    with claimed(directory):
        before = read_state(directory)
        if version not in before.shadow:
            raise ConfigurationError(
                f"{directory}: version '{version}' is not in shadow; those are {', '.join(before.shadow) or 'none'}"
            )
        _write(directory, VersionState(active=before.active, shadow=tuple(v for v in before.shadow if v != version)))


def read_record(folder: Path) -> VersionRecord | None:
    """Return how a version was made; None if it does not say, or not in words that are understood."""
    try:
        return VersionRecord.model_validate_json((folder / RECORD_FILE).read_bytes())
    except (OSError, ValidationError):
        return None


def is_finished(folder: Path) -> bool:
    """Tell whether a training into a folder came to its end: what is finished is not trained anew."""
    return (folder / RECORD_FILE).is_file()


def write_record(folder: Path, record: VersionRecord) -> None:
    """Write how a version was made."""
    write_bytes(folder / RECORD_FILE, (record.model_dump_json(indent=2) + "\n").encode())


def read_calibration(folder: Path) -> Calibration | None:
    """Return the calibration beside models; None if there is none.

    Raises
    ------
    ModelError
        If it cannot be used.
    """
    path = folder / CALIBRATION_FILE
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"{path}: cannot be read, {error}") from error
    try:
        return parse_as(Calibration, text)
    except ValueError as error:
        raise ModelError(f"{path}: {error}; make it anew: histwatch calibrate") from error


def write_calibration(folder: Path, calibration: Calibration) -> None:
    """Write a calibration beside the models that it is of."""
    write_bytes(folder / CALIBRATION_FILE, (calibration.model_dump_json(indent=2) + "\n").encode())


def _write(directory: Path, state: VersionState) -> None:
    write_bytes(directory / STATE_FILE, (state.model_dump_json(indent=2) + "\n").encode())


def _holds_models(folder: Path) -> bool:
    return (folder / RECORD_FILE).is_file() or any(folder.glob("*.onnx"))


def _order(name: str) -> tuple[tuple[int, int, str], ...]:
    """Return what sorts 2 before 10."""
    return tuple((0, int(p), "") if p.isdecimal() else (1, 0, p) for p in re.split(r"(\d+)", name) if p)
