"""What comes with histwatch is what the code makes, and fits together."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest

from monitor.cli.common import shipped_config
from monitor.config import load_settings
from monitor.infer import load_model
from monitor.learn.autoencoder import train
from monitor.learn.models import model_file_name
from monitor.learn.recorded import gather_intervals
from monitor.service.build import build_catalogue, load_models
from producers.simulate import SimulatedDetector, catalogue

ROOT = Path(__file__).parents[2]


def test_every_simulated_histogram_has_a_model_and_a_type_of_its_own() -> None:
    settings = load_settings(shipped_config())
    known, models = build_catalogue(settings, shipped_config().parent, "shipped")
    assert len(models) == len(catalogue()) == 30
    for histogram in catalogue():
        entry = known[histogram.key]
        assert entry.expected is not None, histogram.key
        assert entry.rule is not None
        assert entry.rule.subsystem == histogram.stream
        assert entry.rule.guidance
        assert entry.expected.reference.profile == histogram.kind.is_profile


@pytest.mark.parametrize("path", ["Tracks/hits_per_track", "Modules/occupancy"])
def test_the_shipped_models_come_out_of_simulation_and_learning_again(path: str) -> None:
    """As ``make models`` does; BLAS may differ between machines in the last digits."""
    (histogram,) = [h for h in catalogue() if h.path == path]
    detector = SimulatedDetector(7, histograms=[histogram])
    snapshots = [s for run in range(1, 25) for s in detector.run(run, 4)]
    minimum = build_catalogue(load_settings(shipped_config()), shipped_config().parent, "shipped")[0]
    rule = minimum[histogram.key].rule
    assert rule is not None
    (intervals,) = gather_intervals(snapshots, lambda _key: rule.minimum).values()
    made, card = train(intervals, name=model_file_name(histogram.key), version="1")
    (shipped,) = [
        m
        for m in load_models(load_settings(shipped_config()), shipped_config().parent)
        if m.card.histogram_types == (histogram.key,)
    ]
    assert shipped.card.training_runs == card.training_runs == tuple(range(1, 25))
    again = load_model(made, "again.onnx")
    assert np.allclose(again.reference.rate, shipped.reference.rate, rtol=1e-5)
    assert np.allclose(again.reference.systematic, shipped.reference.systematic, rtol=1e-3, atol=1e-5)
    shown = shipped.reference.rate[None] * 1.02
    assert np.allclose(again.predict(shown), shipped.predict(shown), rtol=1e-4)


def test_the_configuration_page_is_that_of_the_settings() -> None:
    page = runpy.run_path(str(ROOT / "docs" / "describe_configuration.py"))["describe"]()
    assert (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8") == page, "write it anew: make docs"
