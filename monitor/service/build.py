"""From settings to a service: everything that `histwatch monitor --check` builds."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

from monitor.config import Settings
from monitor.config.settings import TypeSettings
from monitor.detect.base import Expected
from monitor.detect.base import Settings as DetectorSettings
from monitor.detect.registry import DETECTORS
from monitor.errors import ConfigurationError, ModelError
from monitor.infer import Model, load_model
from monitor.judge import Catalogue, Rule
from monitor.window import Minimum

log = logging.getLogger(__name__)


def build_catalogue(
    settings: Settings, base: Path, source: str, references: Mapping[str, Expected] | None = None
) -> tuple[Catalogue, list[Model]]:
    """Build rules, models and expectations.

    Parameters
    ----------
    settings
        The configuration.
    base
        Folder that its relative paths start from.
    source
        Its name, for messages.
    references
        Expectations learned at start, by ``stream/path``.

    Raises
    ------
    ConfigurationError, ModelError
        For a detector, option or model that cannot be used; nothing is skipped.
    """
    models = load_models(settings, base)
    names = {m.card.name for m in models}
    rules = []
    for number, one in enumerate(settings.types):
        where = f"{source}: types[{number}] ({one.name})"
        if one.model and one.model not in names:
            raise ConfigurationError(f"{where}: no model is named '{one.model}'; known are {', '.join(sorted(names))}")
        rules.append(build_rule(one, where))
    return Catalogue(rules, models, references), models


def build_rule(one: TypeSettings, where: str) -> Rule:
    """Build the rule of one histogram type; `where` names it in messages."""
    make = DETECTORS.get(one.detector)
    if make is None:
        raise ConfigurationError(
            f"{where}: there is no detector '{one.detector}'; known are {', '.join(sorted(DETECTORS))}"
        )
    try:
        detector = make(DetectorSettings(one.thresholds, one.options))
    except ValueError as error:
        raise ConfigurationError(f"{where}: {error}") from error
    return Rule(
        name=one.name,
        match=one.match,
        subsystem=one.subsystem,
        detector=detector,
        minimum=Minimum(one.minimum_entries, one.minimum_lumisections),
        guidance=one.guidance,
        model=one.model,
    )


def load_models(settings: Settings, base: Path) -> list[Model]:
    """Load every ``*.onnx`` of the model folder, in the order of their names.

    Raises
    ------
    ModelError
        Naming the first file that breaks the contract, or two that carry one name.
    ConfigurationError
        If the folder does not exist.
    """
    if settings.models.directory is None:
        return []
    folder = (base / settings.models.directory).resolve()
    if not folder.is_dir():
        raise ConfigurationError(f"models.directory: {folder} is no folder; null means no models")
    models: list[Model] = []
    for file in sorted(folder.glob("*.onnx")):
        if not file.resolve().is_relative_to(folder):
            raise ModelError(f"model {file.name}: a link that leads out of {folder}")
        try:
            content = file.read_bytes()
        except OSError as error:
            raise ModelError(f"model {file.name}: cannot be read, {error.strerror}") from error
        models.append(load_model(content, file.name, settings.models.threads))
    seen: dict[str, str] = {}
    for model in models:
        other = seen.setdefault(model.card.name, model.file)
        if other != model.file:
            raise ModelError(f"model {model.file}: carries the name '{model.card.name}' of {other}; keep one of them")
    return models
