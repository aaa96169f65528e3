"""What the measured monitors are given to compare with: references, and models trained by the shipped trainer."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import onnx
from onnx import helper

from monitor.config.settings import TypeSettings
from monitor.detect.base import DEFAULT_CHANCE, Expected
from monitor.infer import load_model
from monitor.infer.card import METADATA_KEY
from monitor.judge import Catalogue
from monitor.learn.autoencoder import train
from monitor.learn.recorded import learn_expectations
from monitor.service.build import build_rule
from tests.bench.workload import STREAM, Workload

LUMISECTIONS = 8
"""Good lumisections to learn from."""


def references(workload: Workload) -> dict[str, Expected]:
    """Learn one reference a histogram, as ``references:`` in the configuration does."""
    return learn_expectations(
        {key: workload.good_intervals(LUMISECTIONS, key.removeprefix(f"{STREAM}/")) for key in workload.keys}
    )


def models(workload: Workload, count: int) -> list[bytes]:
    """Train `count` models, each for its share of the histograms."""
    made = []
    for number in range(count):
        keys = workload.keys[number::count]
        intervals = workload.good_intervals(LUMISECTIONS, keys[0].removeprefix(f"{STREAM}/"))
        content, card = train(intervals, name=f"bench-{number}", version="1")
        # The trainer makes a model for one histogram; these are all alike.
        model = onnx.load_from_string(content)
        card = card.model_copy(update={"histogram_types": tuple(keys)})
        helper.set_model_props(model, {METADATA_KEY: json.dumps(card.model_dump(mode="json"))})
        made.append(model.SerializeToString(deterministic=True))
    return made


def write(folder: Path, workload: Workload, count: int) -> tuple[Path, Path]:
    """Write references and models for child processes; returns the file and the folder."""
    file = folder / "references.pickle"
    file.write_bytes(pickle.dumps(references(workload)))
    directory = folder / "models"
    directory.mkdir()
    for number, content in enumerate(models(workload, count)):
        (directory / f"bench-{number:03d}.onnx").write_bytes(content)
    return file, directory


def catalogue(workload: Workload, count: int) -> Catalogue:
    """Return a catalogue of `count` models, or of references where that is 0."""
    rule = build_rule(TypeSettings(name="bench", match=(f"{STREAM}/*",), subsystem="bench"), "bench", DEFAULT_CHANCE)
    if count == 0:
        return Catalogue([rule], references=references(workload))
    return Catalogue([rule], [load_model(m, f"{n}.onnx") for n, m in enumerate(models(workload, count))])
