"""Thesis B: coordinate autoencoder, its ONNX file, dataset, calibration, benchmark."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.cluster import DBSCAN

from monitor.detect.base import Expected
from monitor.errors import HistwatchError
from monitor.infer import Model, load_model
from monitor.learn.faults import SHARE
from monitor.learn.reference import learn_reference
from monitor.learn.thesis_b.benchmark import THESIS_AUC, evaluate_thesis_b
from monitor.learn.thesis_b.calibrate import AS_GOOD, auc_by_run, calibrate_type, make_faulty, scan, scorer_of
from monitor.learn.thesis_b.complete import THESIS_TEST_ERROR, check_complete
from monitor.learn.thesis_b.coordinate import COMPLETE, CoordinateAutoencoder, Recipe, build, points, train
from monitor.learn.thesis_b.export import card_of, save, to_onnx
from monitor.learn.toys import Toy, interval_of
from monitor.normalise import SCALES
from monitor.window import Interval

TOY = Toy(name="toy", shape=(24, 16), mean=200.0, seed=3)
QUICK = Recipe(hidden=(12, 2, 12), epochs=3, runs=2)


def onnx_of(model: CoordinateAutoencoder) -> Model:
    return load_model(to_onnx(model, card_of(model, name="m", version="1")), "m.onnx")


@pytest.fixture(scope="module")
def good() -> list[Interval]:
    return TOY.draw_many(6, 0)


@pytest.fixture(scope="module")
def trained(good: list[Interval]) -> CoordinateAutoencoder:
    return train(good, QUICK, seed=1)


# Coordinate autoencoder


def test_a_point_is_its_place_and_its_occupancy() -> None:
    maps = np.arange(12.0).reshape(2, 3, 2)
    found = points(maps, span=4.0)
    assert found.shape == (12, 3)
    assert found[0].tolist() == [0.0, 0.0, 0.0]
    assert found[3].tolist() == [2.0, 4.0, 3.0]
    assert found[11].tolist() == [4.0, 4.0, 11.0]
    assert points(np.ones((1, 5))).shape == (5, 2)


def test_training_lowers_the_loss_and_keeps_the_best_run(trained: CoordinateAutoencoder) -> None:
    assert len(trained.losses) == 3
    assert trained.losses[-1] < 0.5 * trained.losses[0]
    assert len(trained.run_losses) == 2
    assert trained.losses[-1] == min(trained.run_losses)
    assert trained.run_losses[0] != trained.run_losses[1]


def test_the_same_seed_gives_the_same_file_and_another_another(
    good: list[Interval], trained: CoordinateAutoencoder
) -> None:
    files = [
        to_onnx(model, card_of(trained, name="m", version="1"))
        for model in (trained, train(good, QUICK, seed=1), train(good, QUICK, seed=2))
    ]
    assert files[0] == files[1]
    assert files[0] != files[2]


def test_every_epoch_is_told(good: list[Interval]) -> None:
    told: list[tuple[int, float]] = []
    model = train(good, replace(QUICK, runs=1), on_epoch=lambda epoch, loss: told.append((epoch, loss)))
    assert told == list(enumerate(model.losses, start=1))


def test_an_interrupted_training_leaves_nothing(good: list[Interval], tmp_path: Path) -> None:
    def stop(epoch: int, _loss: float) -> None:
        if epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        save(train(good, QUICK, on_epoch=stop), tmp_path / "m.onnx", name="m", version="1")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("shape", [(24, 16), (400,)])
@pytest.mark.parametrize("normalisation", sorted(SCALES))
def test_the_onnx_file_agrees_with_the_jax_model(shape: tuple[int, ...], normalisation: str) -> None:
    from flax import nnx

    intervals = replace(TOY, shape=shape).draw_many(3, 0)
    model = train(intervals, replace(QUICK, normalisation=normalisation, runs=1))
    exported = onnx_of(model)
    maps = model.scale(np.stack([i.contents for i in intervals])).astype(np.float32)
    widths = (len(shape) + 1, *QUICK.hidden, len(shape) + 1)
    jax_model = build(widths, model.recipe.slope, seed=0)
    for layer, (kernel, bias) in zip(jax_model.layers, model.layers, strict=True):
        layer.kernel = nnx.Param(kernel)
        layer.bias = nnx.Param(bias)
    expected = np.asarray(jax_model(points(maps, model.recipe.span)))[:, -1].reshape(maps.shape)
    assert exported.predict(maps) == pytest.approx(expected, abs=1e-5)
    assert model.predict(maps) == pytest.approx(expected, abs=1e-5)
    assert np.ptp(expected) > 0


def test_the_card_keeps_the_contract(trained: CoordinateAutoencoder, tmp_path: Path) -> None:
    card = save(trained, tmp_path / "toy.onnx", name="toy", version="7")
    model = load_model((tmp_path / "toy.onnx").read_bytes(), "toy.onnx")
    assert model.card == card
    assert (card.name, card.version, card.kind, card.shape) == ("toy", "7", "TH2", (24, 16))
    assert (card.normalisation, card.input, card.output) == ("zscore", "maps", "expected")
    assert (card.histogram_types, card.references, card.seed) == (("toy/toy",), 6, 1)
    assert card.training_runs == (1, 2, 3, 4, 5, 6)
    assert [p.name for p in tmp_path.iterdir()] == ["toy.onnx"]


def test_a_file_that_cannot_be_written_is_named(trained: CoordinateAutoencoder, tmp_path: Path) -> None:
    with pytest.raises(HistwatchError, match=r"none/m\.onnx: cannot be written, No such file"):
        save(trained, tmp_path / "none" / "m.onnx", name="m", version="1")


def test_what_cannot_be_trained_on_is_refused(good: list[Interval]) -> None:
    with pytest.raises(HistwatchError, match="no intervals"):
        train([])
    with pytest.raises(HistwatchError, match="16 bins, training needs 320"):
        train([interval_of(np.arange(16.0).reshape(4, 4))])
    with pytest.raises(HistwatchError, match="run 1: all bins are equal"):
        train([*good, interval_of(np.zeros((24, 16)))])
    with pytest.raises(HistwatchError, match=r"\(24, 16\).*\(16, 24\)"):
        train([*good, interval_of(good[0].contents.T)])
    with pytest.raises(HistwatchError, match="not finite"):
        train([interval_of(np.where(good[0].contents > 200, np.nan, 1.0), name="toy")])
    with pytest.raises(HistwatchError, match="diverged; try a learning rate below 1e"):
        train(good, replace(QUICK, learning_rate=1e30))


@pytest.mark.parametrize("option", [{"normalisation": "exposure"}, {"hidden": ()}, {"epochs": 0}, {"span": 0.0}])
def test_wrong_recipes_are_refused(option: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(option))):
        Recipe(**option)  # type: ignore[arg-type]


# The complete autoencoder


def test_the_complete_autoencoder_reproduces_its_input() -> None:
    told: list[int] = []
    check = check_complete(replace(TOY, shape=(99, 65)).draw_many(12, 0), on_epoch=lambda epoch, _: told.append(epoch))
    assert told == list(range(1, COMPLETE.epochs + 1))
    assert 0 < check.train_error < THESIS_TEST_ERROR
    assert 0 < check.test_error < THESIS_TEST_ERROR
    assert check.passed


# Calibration


def expected_of(intervals: list[Interval]) -> Expected:
    return Expected(learn_reference(intervals, "toy").reference)


def test_the_calibrated_point_is_the_best_of_the_scan_and_works(good: list[Interval]) -> None:
    expected = expected_of(good)
    found = calibrate_type(good, expected, maps=4)
    assert found.auc >= max(auc for _, _, auc in found.scanned) - AS_GOOD
    assert (found.mode, found.eps_threshold, found.auc) in found.scanned
    assert {mode for mode, _, _ in found.scanned} == {"global", "stripwise", "zonewise"}
    faulty = make_faulty(TOY.draw_many(6, 5), 9)
    by_run = auc_by_run(found, faulty, expected)
    assert sorted(by_run) == [1, 2, 3, 4, 5, 6]
    assert np.mean(list(by_run.values())) > 0.85


def test_of_values_that_are_as_good_the_middle_one_is_taken() -> None:
    # Hot bins ten times as high as the rest: any distance between those within and between the two groups will do.
    rng = np.random.default_rng(0)
    contents = rng.uniform(0.9, 1.1, (24, 16))
    truth = rng.random((24, 16)) < 0.2
    contents[truth] = rng.uniform(9.9, 10.1, int(truth.sum()))
    reference = replace(learn_reference(TOY.draw_many(2, 0), "toy").reference, rate=np.ones((24, 16)), profile=True)
    grid = [float(e) for e in np.geomspace(0.01, 0.5, 9)]
    found = scan([(interval_of(contents), truth)], Expected(reference), modes=["global"], eps_grid=grid)
    # scikit-learn's word on each value: are the hot bins in smaller clusters than the good ones?
    shown = np.stack([contents.ravel(), (contents.ravel() - 1.0) ** 2], axis=1)
    shown = (shown - shown.min(axis=0)) / np.ptp(shown, axis=0)
    working = []
    for eps in sorted(eps for _, eps, _ in found.scanned):
        labels = DBSCAN(eps=eps, min_samples=1).fit_predict(shown)
        members = np.bincount(labels)[labels]
        if members[truth.ravel()].max() < members[~truth.ravel()].min():
            working.append(eps)
    assert found.auc == 1.0
    assert working[-1] > 10 * working[0]
    middle = np.sqrt(working[0] * working[-1])
    assert found.eps_threshold == min(working, key=lambda eps: abs(np.log(eps / middle)))


def test_calibrated_options_are_the_detectors(good: list[Interval]) -> None:
    found = calibrate_type(good, maps=2, modes=["stripwise"], eps_grid=[0.01, 0.03, 0.1])
    assert set(found.options) == {"mode", "eps_threshold", "minpts"}
    assert found.mode == "stripwise"
    assert found.minpts > 0
    interval, truth = make_faulty(good[:1], 3)[0]
    flagged = scorer_of(found.options, expected_of(good))(interval) >= 1 / found.minpts
    assert flagged[truth].mean() > flagged[~truth].mean()


def test_the_same_seed_gives_the_same_calibration(good: list[Interval]) -> None:
    one, same, other = (
        calibrate_type(good, maps=2, modes=["global"], eps_grid=[0.003, 0.01], seed=s) for s in (1, 1, 2)
    )
    assert one.scanned == same.scanned
    assert one.scanned != other.scanned


def test_a_model_reconstructs_each_map_once(good: list[Interval], trained: CoordinateAutoencoder) -> None:
    calls = []

    class Counting:
        def predict(self, maps: np.ndarray) -> np.ndarray:
            calls.append(len(maps))
            return trained.predict(maps)

    model = onnx_of(trained)
    found = calibrate_type(good, Expected(model.reference, Counting(), "zscore"), maps=3, modes=["global"])
    assert calls == [1, 1, 1]
    assert (
        found.scanned
        == calibrate_type(good, Expected(model.reference, trained, "zscore"), maps=3, modes=["global"]).scanned
    )


def test_nothing_to_calibrate_on_is_said() -> None:
    with pytest.raises(HistwatchError, match="no intervals with content"):
        calibrate_type([interval_of(np.zeros((5, 5)))])
    with pytest.raises(ValueError, match="nothing to scan"):
        calibrate_type(TOY.draw_many(2, 0), modes=[])


# Benchmark


@pytest.mark.parametrize("expectation", ["coordinate", "reference"])
def test_the_benchmark_reaches_the_thesis_on_a_small_type(expectation: str) -> None:
    found = evaluate_thesis_b(TOY, train_seed=1, references=6, n_good=2, n_bad=3, expectation=expectation, recipe=QUICK)
    assert found.auc > 0.8
    assert found.auc == pytest.approx(np.mean(found.auc_of_maps))
    assert 0.5 < found.auc_with_good_maps <= 1.0
    assert found.found > found.false
    called = np.stack(found.good_scores) >= 1.0 / found.calibration.minpts
    assert found.false_in_good == pytest.approx(called.mean())
    assert found.false_in_good < found.found
    assert (len(found.scores), len(found.truths), len(found.good_scores)) == (3, 3, 2)
    assert {t.mean() for t in found.truths} == {round(SHARE * 384) / 384}
    assert found.seconds == found.train_seconds + found.calibrate_seconds > 0


def test_profiles_and_faults_of_each_bins_own_spread_are_measured_too() -> None:
    toy = replace(TOY, profile=True, mean=5.0)
    found = evaluate_thesis_b(toy, train_seed=1, references=4, n_good=0, n_bad=2, spread="bin", expectation="reference")
    assert found.auc > 0.7
    assert found.false_in_good == 0.0


def test_wrong_arguments_are_refused() -> None:
    for option in ({"spread": "strip"}, {"expectation": "median"}, {"n_bad": 0}):
        with pytest.raises(ValueError, match=next(iter(option))):
            evaluate_thesis_b(TOY, **{"train_seed": 0, "references": 3, "n_good": 0, "n_bad": 1, **option})  # type: ignore[arg-type]


def test_the_theses_figures_are_those_it_prints() -> None:
    assert len(THESIS_AUC) == 18
    assert (min(THESIS_AUC), max(THESIS_AUC)) == (0.841, 0.982)
