"""From settings to a service: everything that `histwatch monitor --check` builds."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from monitor.config import Settings
from monitor.config.settings import TypeSettings
from monitor.detect.base import Expected
from monitor.detect.base import Settings as DetectorSettings
from monitor.detect.registry import DETECTORS
from monitor.detect.scan import WindowScan
from monitor.errors import ConfigurationError, ModelError
from monitor.infer import Model
from monitor.infer.classifier import CLASSIFIER_KEY, Classifier, classifier_of
from monitor.infer.model import model_of
from monitor.infer.session import Opened, open_session
from monitor.judge import AdaptiveOptions, Catalogue, Rule
from monitor.learn.versions import active_folder, folder_of, read_calibration, read_state
from monitor.window import Derivation, Minimum, refuse_overlap

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
    folder = _folder(settings, base)
    models, classifiers = ([], []) if folder is None else load_folder(folder, settings.models.threads)
    rules = _rules(settings, source, {m.card.name for m in models}, len(references or {}))
    return Catalogue(rules, models, references, classifiers), models


def build_shadows(
    settings: Settings, base: Path, source: str, on_broken: Callable[[str], None] | None = None
) -> dict[str, Catalogue]:
    """Build rules and models of every version in shadow, by version; arguments and errors as of `build_catalogue`.

    Parameters
    ----------
    on_broken
        Told of a version that cannot be used, which is then passed over: what is only tried out must not keep the
        monitor from its work. None: an error.
    """
    if settings.models.directory is None:
        return {}
    directory = base / settings.models.directory
    shadows = {}
    for version in read_state(directory).shadow:
        try:
            models = load_version(folder_of(directory, version), settings.models.threads)
        except (ModelError, ConfigurationError) as error:
            mend = f"histwatch models unshadow {version} -d {directory}"
            words = f"version {version} in shadow: {error}; end it with: {mend}"
            if on_broken is None:
                raise ModelError(words) from error
            on_broken(words)
            continue
        rules = _rules(settings, f"{source}, shadow version {version}", {m.card.name for m in models}, 0)
        shadows[version] = Catalogue(rules, models)
    return shadows


def _rules(settings: Settings, source: str, names: Collection[str], references: int) -> list[Rule]:
    rules = []
    for number, one in enumerate(settings.types):
        where = f"{source}: types[{number}] ({one.name})"
        if one.model and one.model not in names:
            raise ConfigurationError(f"{where}: no model is named '{one.model}'; known are {', '.join(sorted(names))}")
        chance = settings.budget.chance(len(names) + references, one.minimum_lumisections)
        rules.append(build_rule(one, where, chance))
    return rules


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
        For paths that do not say which two histograms belong together, or that are derived twice or in a chain.
    """
    derivations = []
    for number, one in enumerate(settings.derive):
        try:
            derivations.append(
                Derivation(path=one.path, operation=one.operation, of=one.of, stream=one.stream, errors=one.errors)
            )
        except ValueError as error:
            raise ConfigurationError(f"{source}: derive[{number}]: {error}") from error
    try:
        refuse_overlap(derivations)
    except ValueError as error:
        raise ConfigurationError(f"{source}: derive: {error}") from error
    return tuple(derivations)


def load_models(settings: Settings, base: Path) -> list[Model]:
    """Load every ``*.onnx`` of the active version that is no classifier, in the order of their names.

    Raises
    ------
    ModelError
        Naming the first file that breaks the contract, or two that carry one name.
    ConfigurationError
        If the folder does not exist.
    """
    folder = _folder(settings, base)
    return [] if folder is None else load_version(folder, settings.models.threads)


def load_version(folder: Path, threads: int = 1) -> list[Model]:
    """Load the models in one folder with the calibration beside them; raises as `load_models` does."""
    return load_folder(folder, threads)[0]


def load_folder(folder: Path, threads: int = 1) -> tuple[list[Model], list[Classifier]]:
    """Load models, with the calibration beside them, and classifiers in one folder; raises as `load_models` does."""
    opened = _open_all(folder, threads)
    calibration = read_calibration(folder)
    models = [model_of(o, calibration) for o in opened if CLASSIFIER_KEY not in o.metadata]
    classifiers = [classifier_of(o) for o in opened if CLASSIFIER_KEY in o.metadata]
    _refuse_doubles([*((m.card.name, m.file) for m in models), *((c.card.name, c.file) for c in classifiers)])
    return models, classifiers


def _folder(settings: Settings, base: Path) -> Path | None:
    """Return the folder of the active version; None for no models."""
    if settings.models.directory is None:
        return None
    directory = (base / settings.models.directory).resolve()
    if not directory.is_dir():
        if "directory" not in settings.models.model_fields_set:
            # Nobody has named it, and references may do.
            return None
        raise ConfigurationError(f"models.directory: {directory} is no folder; null means no models")
    return active_folder(directory)


def _open_all(folder: Path, threads: int) -> list[Opened]:
    """Open every ``*.onnx`` of a folder, in the order of their names."""
    folder = folder.resolve()
    opened: list[Opened] = []
    for file in sorted(folder.glob("*.onnx")):
        if not file.resolve().is_relative_to(folder):
            raise ModelError(f"model {file.name}: a link that leads out of {folder}")
        try:
            content = file.read_bytes()
        except OSError as error:
            raise ModelError(f"model {file.name}: cannot be read, {error.strerror}") from error
        opened.append(open_session(content, file.name, threads))
    return opened


def _refuse_doubles(named: Sequence[tuple[str, str]]) -> None:
    """Refuse two files, each with the name in its card, that carry one name."""
    seen: dict[str, str] = {}
    for name, file in named:
        other = seen.setdefault(name, file)
        if other != file:
            raise ModelError(f"model {file}: carries the name '{name}' of {other}; keep one of them")
