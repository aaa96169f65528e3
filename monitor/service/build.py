"""From settings to a service: everything that `histwatch monitor --check` builds."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from monitor.config import Settings
from monitor.config.settings import TypeSettings
from monitor.detect.base import Expected
from monitor.detect.base import Settings as DetectorSettings
from monitor.detect.registry import DETECTORS
from monitor.detect.scan import WindowScan
from monitor.errors import ConfigurationError, ModelError
from monitor.infer import Model
from monitor.infer.classifier import CLASSIFIER_KEY, classifier_of
from monitor.infer.model import model_of
from monitor.infer.session import Opened, open_session
from monitor.judge import AdaptiveOptions, Catalogue, Rule
from monitor.window import Derivation, Minimum

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
    opened = _open_all(settings, base)
    models = [model_of(o) for o in opened if CLASSIFIER_KEY not in o.metadata]
    classifiers = [classifier_of(o) for o in opened if CLASSIFIER_KEY in o.metadata]
    _refuse_doubles([*((m.card.name, m.file) for m in models), *((c.card.name, c.file) for c in classifiers)])
    names = {m.card.name for m in models}
    rules = []
    for number, one in enumerate(settings.types):
        where = f"{source}: types[{number}] ({one.name})"
        if one.model and one.model not in names:
            raise ConfigurationError(f"{where}: no model is named '{one.model}'; known are {', '.join(sorted(names))}")
        known = len(names) + len(references or {})
        rules.append(build_rule(one, where, settings.budget.chance(known, one.minimum_lumisections)))
    return Catalogue(rules, models, references, classifiers), models


def build_rule(one: TypeSettings, where: str, chance: float) -> Rule:
    """Build the rule of one histogram type.

    Parameters
    ----------
    where
        Names it in messages.
    chance
        Chance of a false alarm that one judgement may have.
    """
    make = DETECTORS.get(one.detector)
    if make is None:
        raise ConfigurationError(
            f"{where}: there is no detector '{one.detector}'; known are {', '.join(sorted(DETECTORS))}"
        )
    try:
        detector = make(DetectorSettings(one.thresholds, one.options, chance))
    except ValueError as error:
        raise ConfigurationError(f"{where}: {error}") from error
    adaptive: AdaptiveOptions | None = None
    if one.reference == "adaptive":
        adaptive = AdaptiveOptions(**one.adaptive.model_dump(exclude={"check"}))
        if one.adaptive.check == "scan":
            detector = WindowScan(DetectorSettings({"window": adaptive.threshold}))
    return Rule(
        name=one.name,
        match=one.match,
        subsystem=one.subsystem,
        detector=detector,
        minimum=Minimum(one.minimum_entries, one.minimum_lumisections),
        guidance=one.guidance,
        model=one.model,
        chance=chance,
        adaptive=adaptive,
    )


def build_derivations(settings: Settings, source: str) -> tuple[Derivation, ...]:
    """Build what histograms are derived of which; `source` names the configuration in messages.

    Raises
    ------
    ConfigurationError
        For paths that do not say which two histograms belong together.
    """
    derivations = []
    for number, one in enumerate(settings.derive):
        try:
            derivations.append(
                Derivation(path=one.path, operation=one.operation, of=one.of, stream=one.stream, errors=one.errors)
            )
        except ValueError as error:
            raise ConfigurationError(f"{source}: derive[{number}]: {error}") from error
    return tuple(derivations)


def load_models(settings: Settings, base: Path) -> list[Model]:
    """Load every ``*.onnx`` of the model folder that is no classifier, in the order of their names.

    Raises
    ------
    ModelError
        Naming the first file that breaks the contract, or two that carry one name.
    ConfigurationError
        If the folder does not exist.
    """
    models = [model_of(o) for o in _open_all(settings, base) if CLASSIFIER_KEY not in o.metadata]
    _refuse_doubles([(model.card.name, model.file) for model in models])
    return models


def _open_all(settings: Settings, base: Path) -> list[Opened]:
    """Open every ``*.onnx`` of the model folder, in the order of their names."""
    if settings.models.directory is None:
        return []
    folder = (base / settings.models.directory).resolve()
    if not folder.is_dir():
        raise ConfigurationError(f"models.directory: {folder} is no folder; null means no models")
    opened: list[Opened] = []
    for file in sorted(folder.glob("*.onnx")):
        if not file.resolve().is_relative_to(folder):
            raise ModelError(f"model {file.name}: a link that leads out of {folder}")
        try:
            content = file.read_bytes()
        except OSError as error:
            raise ModelError(f"model {file.name}: cannot be read, {error.strerror}") from error
        opened.append(open_session(content, file.name, settings.models.threads))
    return opened


def _refuse_doubles(named: Sequence[tuple[str, str]]) -> None:
    """Refuse two files, each with the name in its card, that carry one name."""
    seen: dict[str, str] = {}
    for name, file in named:
        other = seen.setdefault(name, file)
        if other != file:
            raise ModelError(f"model {file}: carries the name '{name}' of {other}; keep one of them")
