"""From a dataset to the models of a version, and to its calibration."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import monitor
from monitor.detect.base import Expected
from monitor.errors import HistwatchError
from monitor.infer import Calibration, Card, Model, load_model
from monitor.infer.calibration import ENOUGH
from monitor.infer.classifier import ClassifierCard, load_classifier
from monitor.learn.autoencoder import train
from monitor.learn.calibration import calibrate_models, cross_calibrate
from monitor.learn.dataset import Dataset
from monitor.learn.files import write_bytes
from monitor.learn.models import CLASSIFIER_SUFFIX, model_file_name
from monitor.learn.splits import SPLITS
from monitor.learn.versions import CALIBRATION_FILE, RECORD_FILE, VersionRecord, read_record, write_record
from monitor.source.naming import matches
from monitor.window import Interval

PACKAGES = ("numpy", "scipy", "onnx", "onnxruntime", "jax", "flax", "optax", "jax2onnx")
"""What decides the bytes of models."""
HEAVY = 5.0
"""Slope of a tail beyond which a person should look at what was taken for good."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What is asked of a training."""

    version: str
    flat: bool = False
    """Whether the models go into a folder that is no version's own."""
    seed: int = 0
    rank: int | None = None
    """Modes of the autoencoder; None: as many as pay."""
    minimum: int = 6
    """Least number of good intervals with content that a histogram needs."""
    classify: tuple[str, ...] = ()
    """Globs of ``stream/path``, or of its last part, of histograms that get a classifier (thesis A) too."""
    classifier_scale: float = 1.0
    """Multiple of the maps that classifiers are trained with; below 1 of the epochs too."""


@dataclass(slots=True)
class Trained:
    """What came of a training."""

    models: dict[str, Card] = field(default_factory=dict)
    """By ``stream/path``."""
    classifiers: dict[str, ClassifierCard] = field(default_factory=dict)
    """By ``stream/path``."""
    refused: dict[str, str] = field(default_factory=dict)
    """Reasons, by ``stream/path``."""
    files: dict[str, str] = field(default_factory=dict)
    """SHA-256 of what is written, by the name of the file."""

    def write(self, folder: Path, name: str, content: bytes) -> None:
        """Write a model and remember it."""
        write_bytes(folder / name, content)
        self.files[name] = hashlib.sha256(content).hexdigest()


def train_version(
    dataset: Dataset,
    folder: Path,
    recipe: Recipe,
    on_histogram: Callable[[str], None] = lambda _key: None,
    on_epoch: Callable[[str], None] = lambda _key: None,
    trained: Trained | None = None,
) -> Trained:
    """Train one model a histogram on the runs for training, and write them with a record of how they were made.

    Every file is written whole or not at all, and the record last. The record and the calibration of models that were
    in the folder before go first: they would promise what other models do not keep. Last, those models go that this
    training did not write anew.

    Parameters
    ----------
    on_histogram
        Called with each ``stream/path`` when it is done.
    on_epoch
        Called with a ``stream/path`` after each epoch of its classifier.
    trained
        Where to put what comes of it, for who wants to know of a training that was interrupted.

    Raises
    ------
    HistwatchError
        If the folder cannot be written to, or no histogram could be learned from, with the reasons.
    """
    parts = dataset.part("train")
    trained = Trained() if trained is None else trained
    before = read_record(folder)
    for stale in (RECORD_FILE, CALIBRATION_FILE):
        (folder / stale).unlink(missing_ok=True)
    for key in dataset.intervals:
        own = [i for i in parts.get(key, ()) if i.total > 0]
        name = model_file_name(key)
        try:
            if len(own) < recipe.minimum:
                raise HistwatchError(
                    f"{key}: {len(own)} good intervals with content to train on, {recipe.minimum} needed"
                )
            content, card = train(own, name=name, version=recipe.version, rank=recipe.rank, seed=recipe.seed)
            # A model that the monitor would refuse at its start is refused here, alone.
            load_model(content, f"{name}.onnx")
        except HistwatchError as error:
            trained.refused[key] = str(error)
        else:
            trained.write(folder, f"{name}.onnx", content)
            trained.models[key] = card
            # No globs at all would select everything.
            if recipe.classify and matches(key, recipe.classify):
                _classify(key, own, folder, recipe, trained, on_epoch)
        on_histogram(key)
    if not trained.models:
        reasons = "; ".join(dict.fromkeys(trained.refused.values())) or "the dataset is empty"
        raise HistwatchError(f"no model could be made of {len(dataset.intervals)} histograms: {reasons}")
    _remove_stale(folder, trained.files, before, recipe.flat)
    write_record(
        folder,
        VersionRecord(
            version=recipe.version,
            software=f"histwatch {monitor.__version__}",
            dataset=dataset.digest,
            seed=recipe.seed,
            rank=recipe.rank,
            minimum=recipe.minimum,
            classify=recipe.classify,
            provenance=dataset.provenance,
            runs={split: dataset.runs(split) for split in SPLITS},
            packages=packages(),
            files=trained.files,
            models=len(trained.models),
            refused=trained.refused,
        ),
    )
    return trained


def packages() -> dict[str, str]:
    """Return the versions of the installed packages that decide what is learned."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _remove_stale(folder: Path, written: Mapping[str, str], before: VersionRecord | None, flat: bool) -> None:
    """Remove models that an earlier training left. In a flat folder others may lie, so only what its record lists."""
    listed = set(before.files) if before is not None else set()
    for file in folder.glob("*.onnx"):
        if file.name not in written and (not flat or file.name in listed):
            file.unlink()


def _classify(
    key: str,
    own: Sequence[Interval],
    folder: Path,
    recipe: Recipe,
    trained: Trained,
    on_epoch: Callable[[str], None],
) -> None:
    """Train and write the classifier of a histogram, or say why there is none."""
    # Only where it is asked for: it needs a training framework that autoencoders do not.
    from monitor.learn.thesis_a.classifier import make_classifier

    name = f"{model_file_name(key)}{CLASSIFIER_SUFFIX}"
    try:
        content, card = make_classifier(
            own,
            name=name,
            version=recipe.version,
            seed=recipe.seed,
            scale=recipe.classifier_scale,
            on_epoch=lambda _epoch: on_epoch(key),
        )
        load_classifier(content, f"{name}.onnx")
    except (HistwatchError, ValueError) as error:
        trained.refused[f"classifier of {key}"] = str(error)
        return
    trained.write(folder, f"{name}.onnx", content)
    trained.classifiers[key] = card


@dataclass(frozen=True, slots=True)
class Calibrated:
    """What came of a calibration."""

    calibration: Calibration
    crosswise: bool
    """Whether the runs of the training served, by expectations of the other runs."""
    without: tuple[str, ...]
    """Histograms of the dataset, ``stream/path``, that have no model."""
    seen: tuple[int, ...]
    """Runs for calibration that were left out, because a model was trained on them."""
    left_out: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Runs of intervals that were left out because they are bad rather than good, by ``stream/path``."""

    def words(self) -> list[str]:
        """Return what stands behind the thresholds of each kind of statistics, for a person."""
        how = "crosswise" if self.crosswise else "held out"
        said = [
            f"{key}: intervals of run{'s' if len(runs) > 1 else ''} {', '.join(map(str, runs))} left out, they differ "
            "from the rest"
            for key, runs in self.left_out.items()
        ]
        for kind, pool in self.calibration.pools.items():
            words = f"{kind}: {pool.maps} good maps of {pool.histograms} histograms, {how}"
            if pool.maps < ENOUGH:
                words += f"; too few for a promise, {ENOUGH} needed"
            scale, slope = max(((n, t.slope) for n, t in pool.tails.items()), key=lambda of: of[1], default=("", 0.0))
            if slope > HEAVY:
                words += (
                    f"; good maps differ {slope:.0f} times more than their statistics and systematics tell (windows "
                    f"'{scale}'), so only gross faults will alarm: are all of these runs good, or does the histogram "
                    "drift (reference: adaptive)?"
                )
            said.append(words)
        return said


def calibrate_version(
    dataset: Dataset,
    models: Sequence[Model],
    *,
    seed: int = 0,
    cross: bool | None = None,
    on_histogram: Callable[[str], None] | None = None,
) -> Calibrated:
    """Learn from good maps how often good maps look how bad.

    From the runs for calibration, without those that a model was trained on; where there are none, crosswise from the
    runs for training: a part of them at a time is judged by expectations of the rest.

    Parameters
    ----------
    models
        Of the version; those in other scales than ``exposure`` are passed over.
    cross
        True or False: crosswise, or not, whatever there is.

    Raises
    ------
    HistwatchError
        If there is nothing to calibrate with, saying why.
    """
    by_key = {key: model for key in dataset.intervals if (model := _model_of(key, models)) is not None}
    without = tuple(key for key in dataset.intervals if key not in by_key)
    held: dict[str, list[Interval]] = {}
    seen: set[int] = set()
    for key, own in dataset.part("calibrate").items():
        if key in by_key:
            trained_on = set(by_key[key].card.training_runs)
            seen |= {i.run for i in own} & trained_on
            held[key] = [i for i in own if i.run not in trained_on and _fits(i, by_key[key])]
    held = {key: own for key, own in held.items() if own}
    crosswise = not held if cross is None else cross
    if crosswise:
        parts = _fitting(dataset.part("train"), by_key)
        _require_trained_on(parts, by_key)
        ranks = {key: model.card.rank_asked for key, model in by_key.items()}
        fitted = cross_calibrate(parts, ranks=ranks, seed=seed, on_histogram=on_histogram)
    else:
        expected = {key: Expected(by_key[key].reference, by_key[key]) for key in held}
        fitted = calibrate_models(held, expected, seed=seed)
    if not fitted.calibration.pools:
        raise HistwatchError(_nothing(dataset, bool(by_key), crosswise, seen))
    left_out = {key: tuple(sorted({i.run for i in own})) for key, own in fitted.left_out.items()}
    judged = parts if crosswise else held
    calibration = fitted.calibration.model_copy(
        update={
            "dataset": dataset.digest,
            "crosswise": crosswise,
            "runs": tuple(sorted({i.run for own in judged.values() for i in own})),
            "packages": packages(),
        }
    )
    return Calibrated(calibration, crosswise, without, tuple(sorted(seen)), left_out)


def _require_trained_on(parts: Mapping[str, Sequence[Interval]], by_key: Mapping[str, Model]) -> None:
    """Refuse a crosswise calibration by runs of which the models have seen none: it would say nothing of them."""
    runs = {i.run for own in parts.values() for i in own}
    trained_on = {run for key in parts for run in by_key[key].card.training_runs}
    if parts and runs.isdisjoint(trained_on):
        raise HistwatchError(
            "crosswise calibrates by the runs that the models were trained on, and none of these runs is one; name the "
            "dataset that they were trained on, or use these runs as held out: --held-out, with runs dealt to calibrate"
        )


def _model_of(key: str, models: Sequence[Model]) -> Model | None:
    """Return the model of a histogram, as the running monitor chooses it: an exact name goes before globs."""
    usable = [m for m in models if m.card.normalisation == "exposure"]
    exact = (m for m in usable if key in m.card.histogram_types)
    return next(exact, next((m for m in usable if any(fnmatchcase(key, g) for g in m.card.histogram_types)), None))


def _fitting(parts: Mapping[str, Sequence[Interval]], by_key: Mapping[str, Model]) -> dict[str, list[Interval]]:
    fitting = {key: [i for i in own if _fits(i, by_key[key])] for key, own in parts.items() if key in by_key}
    return {key: own for key, own in fitting.items() if own}


def _fits(interval: Interval, model: Model) -> bool:
    """Tell whether an interval can be compared with what a model expects."""
    reference = model.reference
    return (
        interval.total > 0
        and interval.contents.shape == reference.shape
        and interval.kind.is_profile == reference.profile
    )


def _nothing(dataset: Dataset, models: bool, crosswise: bool, seen: set[int]) -> str:
    if not models:
        return f"nothing to calibrate with: none of its {len(dataset.intervals)} histograms has a model"
    if crosswise:
        runs = len(dataset.runs("train"))
        return f"nothing to calibrate with: crosswise needs good intervals of two runs at least, there are {runs} runs"
    why = f"; the models were trained on runs {', '.join(map(str, sorted(seen)))}" if seen else ""
    return f"nothing to calibrate with: no held-out interval with content fits a model{why}"
