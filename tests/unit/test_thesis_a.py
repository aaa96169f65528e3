"""Thesis A: maps and faults, networks against its snippets, training, ONNX files, study and report."""

from __future__ import annotations

import itertools
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import good_intervals, make_interval, profile_interval, smooth_rate

from monitor.errors import HistwatchError
from monitor.infer import ClassifierCard, load_classifier
from monitor.learn.thesis_a.classifier import make_classifier, train_ours, train_thesis
from monitor.learn.thesis_a.data import (
    HOT,
    LABELS,
    NOISE,
    NOISY_SIZES,
    PLACES,
    SERVED,
    SIZES,
    HcalToy,
    Scale,
    draw,
    fixed_window,
    good_maps,
    spoil,
    toy_like,
)
from monitor.learn.thesis_a.export import to_onnx
from monitor.learn.thesis_a.figures import BEST_STATED, STATED
from monitor.learn.thesis_a.linear import LINEAR, fit_linear, linear_probabilities
from monitor.learn.thesis_a.networks import CLASSIFIERS, LAST, NETWORKS, OURS, Layer, autoencoder, build, sizes
from monitor.learn.thesis_a.pictures import PICTURES
from monitor.learn.thesis_a.report import text_of, write_report
from monitor.learn.thesis_a.results import Budget, Row, StudyResult
from monitor.learn.thesis_a.study import run_study
from monitor.learn.thesis_a.training import BATCH, Epoch, Sample, outputs, probabilities, train
from monitor.learn.toys import Toy

SHAPE = (64, 72)
TOY = Toy(name="toy", shape=(24, 16), mean=300.0, seed=3)


# Maps and faults


def test_the_simulated_calorimeter_has_the_range_of_the_recorded_one() -> None:
    rate = HcalToy(seed=1).rate
    filled = rate[rate > 0]
    assert rate.shape == SHAPE
    assert filled.mean() == pytest.approx(660.0)
    assert 100 < filled.min() < filled.max() < 2000
    assert (rate[3:-3] == 0).sum() == 6
    assert not rate[:3].any()
    assert not rate[-3:].any()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("place", PLACES)
def test_faults_are_where_and_what_their_label_says(size: int, place: str) -> None:
    rng = np.random.default_rng(0)
    good = good_maps(TOY, 60, rng)
    live = TOY.rate > 0
    window = fixed_window(TOY, size, 5) if place == "fixed" else None
    found = spoil(good, live, sizes=(size,), window=window, rng=rng)
    assert np.bincount(found.labels).tolist() == [20, 20, 20]
    corners = set()
    for own, before, label in zip(found.contents, good, found.labels, strict=True):
        changed = np.argwhere(own != before)
        if LABELS[label] == "good":
            assert not len(changed)
            continue
        first, last = changed.min(axis=0), changed.max(axis=0)
        corners.add(tuple(first))
        assert (last - first < size).all()
        if place == "fixed" and window is not None:
            assert all(w.start <= a <= b < w.stop for w, a, b in zip(window, first, last, strict=True))
        there = tuple(changed.T)
        if LABELS[label] == "dead":
            assert not own[there].any()
        else:
            ratio = own[there] / before[there]
            assert (HOT[0] - 0.01 <= ratio).all()
            assert (ratio <= HOT[1] + 0.01).all()
            assert (own == np.rint(own)).all()
    assert (len(corners) == 1) == (place == "fixed") or (place == "fixed" and size > 1)


def test_the_same_seed_gives_the_same_maps_and_another_others() -> None:
    one, same, other = (draw(TOY, 5, size=1, window=None, seed=s) for s in (1, 1, 2))
    assert (one.contents == same.contents).all()
    assert (one.labels == same.labels).all()
    assert not (one.contents == other.contents).all()
    assert set(draw(TOY, 5, size=1, window=None, seed=1, classes=2).labels) == {0, 1}


def test_what_cannot_be_spoilt_is_refused() -> None:
    with pytest.raises(HistwatchError, match="5 x 5 bins does not fit into maps of"):
        draw(Toy(name="thin", shape=(40, 3)), 2, size=5, window=None, seed=0)
    with pytest.raises(HistwatchError, match="fits nowhere"):
        draw(Toy(name="empty", shape=(12, 12), unfilled=0.7), 2, size=5, window=None, seed=0)
    with pytest.raises(ValueError, match="two-dimensional counts only"):
        draw(Toy(name="profile", shape=(12, 12), profile=True), 2, size=1, window=None, seed=0)
    with pytest.raises(ValueError, match="0 maps of each of 3 classes"):
        draw(TOY, 0, size=1, window=None, seed=0)


def test_maps_are_drawn_like_recorded_ones() -> None:
    rate = smooth_rate((20, 12), 200.0)
    rate[4, 5] = 0.0
    toy = toy_like(good_intervals(rate, 12))
    drawn = good_maps(toy, 200, np.random.default_rng(0))
    assert not drawn[:, 4, 5].any()
    mean = drawn.mean(axis=0)
    filled = rate > 0
    assert mean[filled] / mean.sum() == pytest.approx(rate[filled] / rate.sum(), rel=0.1)
    assert toy.runs == tuple(range(1, 13))


def test_recorded_profiles_and_single_axes_make_no_classifier() -> None:
    profile = profile_interval(np.full((8, 6), 5.0), 1.0, np.full((8, 6), 50.0))
    for bad in (profile, make_interval(np.full(9, 100.0))):
        with pytest.raises(HistwatchError, match="two-dimensional maps of counts, this is none"):
            toy_like([bad, bad])


def test_noisy_regions_keep_what_they_hold_together_and_scatter() -> None:
    rng = np.random.default_rng(0)
    toy = replace(TOY, mean=3000.0)
    good = good_maps(toy, 80, rng)
    found = spoil(good, toy.rate > 0, sizes=SIZES, window=None, rng=rng, classes=len(SERVED))
    assert np.bincount(found.labels).tolist() == [20] * 4
    spread, wide = [], set()
    for own, before in zip(found.of(SERVED.index("noisy")), good[found.labels == SERVED.index("noisy")], strict=True):
        changed = np.argwhere(own != before)
        (x, y), (right, top) = changed.min(axis=0), changed.max(axis=0) + 1
        wide.add(int(max(right - x, top - y)))
        region, was = own[x:right, y:top], before[x:right, y:top]
        ratio = region[was > 100] / was[was > 100]
        assert ratio.mean() == pytest.approx(1.0, abs=0.35)
        assert ratio.max() <= NOISE**2
        spread.append(float(np.log(ratio).std()))
    assert wide <= set(NOISY_SIZES)
    assert max(wide) == max(NOISY_SIZES)
    # The standard deviation of what is uniform between the logarithms of 1/3 and 3.
    assert np.mean(spread) == pytest.approx(2.0 * np.log(NOISE) / np.sqrt(12.0), rel=0.15)


# Networks


@pytest.mark.parametrize(
    ("name", "classes", "count"),
    [
        # Weights and biases that Keras counts for the snippets with 64 x 72 x 1 as input.
        ("cnn_two_layers", 2, 2 + 80 + 584 + (15 * 17 * 8 * 2 + 2)),
        ("cnn_three_layers", 3, 50 + 20 + 728 + 72 + (14 * 16 * 8 * 8 + 8) + 27),
        ("cnn_three_layers_norm", 3, 50 + 20 + 728 + 16 + 72 + 16 + (14 * 16 * 8 * 8 + 8) + 16 + 27),
    ],
)
def test_the_classifiers_have_as_many_weights_as_the_thesis_has(name: str, classes: int, count: int) -> None:
    assert weights_of(CLASSIFIERS[name](classes)) == count


def test_the_autoencoder_has_as_many_weights_as_the_thesis_has() -> None:
    convolutions = [(1, 86), (86, 64), (64, 32), (32, 32), (32, 64), (64, 86), (86, 1)]
    count = sum(9 * a * b + b for a, b in convolutions) + 2 * (86 + 64 + 32 + 32 + 64 + 86)
    assert weights_of(autoencoder()) == count
    assert sizes(autoencoder(), SHAPE)[12] == (8, 9, 32)


def weights_of(layers: tuple[Layer, ...]) -> int:
    import jax
    from flax import nnx

    # Shapes alone: nothing need be drawn to be counted.
    network = nnx.eval_shape(lambda: build(layers, SHAPE, 0))
    return sum(leaf.size for leaf in jax.tree.leaves(nnx.state(network, nnx.Param)))


def test_keras_defaults_are_kept() -> None:
    network = build(CLASSIFIERS["cnn_two_layers"](3), SHAPE, 0)
    norm, first, _, dropout, last = network.parts
    assert (norm.momentum, norm.epsilon, dropout.rate) == (0.99, 1e-3, 0.25)
    assert not np.asarray(first.bias[...]).any()
    kernel = np.asarray(last.kernel[...])
    limit = np.sqrt(6.0 / sum(kernel.shape))
    assert 0.98 * limit < np.abs(kernel).max() <= limit


@pytest.mark.parametrize(("name", "blind"), [("cnn_three_layers_norm", True), (OURS, False)])
def test_the_thesis_networks_are_blind_at_the_edge_and_ours_is_not(name: str, blind: bool) -> None:
    network = shaken(build(NETWORKS[name](3), SHAPE, 0))
    maps = np.random.default_rng(0).random((1, *SHAPE)).astype(np.float32)
    changed = maps.copy()
    changed[:, :, -3:] += 5.0
    assert (outputs(network, maps) == outputs(network, changed)).all() == blind
    changed[:, :, -4] += 5.0
    assert (outputs(network, maps) != outputs(network, changed)).any()


def shaken(network: Any) -> Any:
    """Give every weight and statistic a value of its own, so that none may stand for another."""
    from flax import nnx

    rng = np.random.default_rng(7)
    for part in network.parts:
        for name in ("kernel", "bias", "scale", "mean", "var"):
            variable = getattr(part, name, None)
            if variable is not None:
                own = np.asarray(variable[...])
                low = 0.5 if name in ("scale", "var") else -0.5
                variable[...] = rng.uniform(low, low + 1.0, own.shape).astype(np.float32)
    assert isinstance(network, nnx.Module)
    network.eval()
    return network


def test_maps_that_a_network_cannot_take_are_refused() -> None:
    with pytest.raises(ValueError, match="too small for the network"):
        build(CLASSIFIERS["cnn_three_layers"](3), (6, 6), 0)
    with pytest.raises(ValueError, match="multiples of 8"):
        build(autoencoder(), (64, 70), 0)


def test_the_autoencoder_gives_maps_back_between_0_and_1() -> None:
    network = build(autoencoder(), (16, 8), 0)
    network.eval()
    found = outputs(network, np.zeros((2, 16, 8), dtype=np.float32))
    assert found.shape == (2, 16, 8)
    assert ((found > 0) & (found < 1)).all()


# Training


def sample_of(toy: Toy, per_class: int, seed: int, size: int = 5) -> Sample:
    maps = draw(toy, per_class, size=size, window=fixed_window(toy, size, 0), seed=seed, classes=2)
    return Scale(toy, "maximum", 0)(maps.contents), maps.labels


def fitted(seed: int, epochs: int = 2, on_epoch: Any = None) -> tuple[Any, tuple[Epoch, ...]]:
    learned, held = sample_of(TOY, 40, 1), sample_of(TOY, 20, 2)
    network = build(CLASSIFIERS["cnn_two_layers"](2), TOY.shape, seed)
    history = train(network, lambda _: learned, validation=held, epochs=epochs, seed=seed, on_epoch=on_epoch)
    return network, history


def test_training_learns_and_tells_its_curves() -> None:
    told: list[Epoch] = []
    network, history = fitted(0, 60, told.append)
    assert told == list(history)
    assert [epoch.number for epoch in history] == list(range(1, 61))
    assert history[-1].loss < 0.3 * history[0].loss
    maps, labels = sample_of(TOY, 100, 3)
    found = probabilities(network, maps)
    assert found.sum(axis=1) == pytest.approx(np.ones(200))
    assert (found.argmax(axis=1) == labels).mean() > 0.95


def test_the_same_seed_gives_the_same_weights_and_another_others() -> None:
    maps, _ = sample_of(TOY, 5, 3)
    one, same, other = (probabilities(fitted(seed)[0], maps) for seed in (1, 1, 2))
    assert (one == same).all()
    assert not np.allclose(one, other)


def test_training_can_be_interrupted() -> None:
    def stop(epoch: Epoch) -> None:
        if epoch.number == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fitted(0, 50, stop)


def test_too_few_maps_are_refused() -> None:
    few = sample_of(TOY, 5, 1)
    network = build(CLASSIFIERS["cnn_two_layers"](2), TOY.shape, 0)
    with pytest.raises(HistwatchError, match=f"10 maps and 10 for validation; needed are {BATCH} and 1"):
        train(network, lambda _: few, validation=few, epochs=1, seed=0)


def test_training_that_diverges_is_refused() -> None:
    maps, labels = sample_of(TOY, 40, 1)
    maps[3, 2, 2] = np.inf
    network = build(CLASSIFIERS["cnn_two_layers"](2), TOY.shape, 0)
    with pytest.raises(HistwatchError, match="training diverged in epoch 1"):
        train(network, lambda _: (maps, labels), validation=sample_of(TOY, 5, 2), epochs=1, seed=0)


def test_training_without_jax_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jax", None)
    with pytest.raises(HistwatchError, match=r"needs the jax package: pip install 'histwatch\[train\]'"):
        build(CLASSIFIERS["cnn_two_layers"](2), TOY.shape, 0)


@pytest.mark.parametrize("name", LINEAR)
def test_models_of_scikit_learn_learn_a_fixed_place(name: str) -> None:
    maps, labels = sample_of(TOY, 60, 1)
    held, truth = sample_of(TOY, 60, 2)
    found = linear_probabilities(fit_linear(name, maps, labels, 0), held)
    assert found.shape == (120, 2)
    assert (found.argmax(axis=1) == truth).mean() > 0.9
    with pytest.raises(ValueError, match="no model 'forest'"):
        fit_linear("forest", maps, labels, 0)


# ONNX


def card_of(name: str, shape: tuple[int, int]) -> ClassifierCard:
    return ClassifierCard(
        name="kinds",
        version="1",
        histogram_types=("*",),
        kind="TH2",
        shape=shape,
        normalisation="maximum",
        labels=LABELS,
        network=name,
    )


@pytest.mark.parametrize(("name", "shape"), list(itertools.product(NETWORKS, [SHAPE, (25, 18)])))
def test_the_onnx_file_agrees_with_the_network(name: str, shape: tuple[int, int]) -> None:
    network = shaken(build(NETWORKS[name](3), shape, 0))
    content = to_onnx(network, card_of(name, shape))
    served = load_classifier(content, "kinds.onnx")
    maps = np.random.default_rng(1).random((7, *shape)).astype(np.float32)
    expected = probabilities(network, maps)
    assert served.probabilities(maps) == pytest.approx(expected, abs=2e-6)
    assert np.ptp(expected) > 0.01
    assert content == to_onnx(network, card_of(name, shape))


def test_a_classifier_is_made_of_recorded_intervals() -> None:
    intervals = good_intervals(smooth_rate((24, 16), 300.0), 8)
    told: list[Epoch] = []
    content, card = make_classifier(intervals, name="kinds", version="7", seed=3, scale=0.05, on_epoch=told.append)
    served = load_classifier(content, "kinds.onnx")
    assert served.card == card
    assert (card.histogram_types, card.shape, card.kind) == (("cal/Ecal/Occupancy",), (24, 16), "TH2")
    assert (card.references, card.training_runs, card.seed) == (8, tuple(range(1, 9)), 3)
    assert (card.normalisation, card.labels, card.network) == ("significance", SERVED, OURS)
    assert card.accuracy is not None
    assert len(told) == Budget().scaled(0.05).epochs_ours


def test_the_theses_last_network_is_trained_as_in_the_study() -> None:
    budget = Budget().scaled(0.06)
    network, scale, history = train_thesis(TOY, budget, 1)
    assert network.layers == NETWORKS[LAST](len(LABELS)) == NETWORKS["cnn_three_layers_norm"](3)
    assert scale.normalisation == "maximum"
    assert len(history) == budget.epochs
    maps = scale(TOY.draw_many(1, 0)[0].contents[None])
    assert maps.max() == 1.0
    same, _, again = train_thesis(TOY, budget, 1)
    assert again == history
    assert (probabilities(same, maps) == probabilities(network, maps)).all()


def test_a_fourth_class_is_learned_beside_the_three() -> None:
    network, scale, _ = train_ours(TOY, Budget(train=250, validate=20, epochs_ours=18), 0, labels=SERVED)
    rng = np.random.default_rng(9)
    held = spoil(good_maps(TOY, 240, rng), TOY.rate > 0, sizes=(5,), window=None, rng=rng, classes=len(SERVED))
    given = probabilities(network, scale(held.contents)).argmax(axis=1)
    for n, name in enumerate(SERVED):
        assert (given[held.labels == n] == n).mean() > 0.8, name


# Study and report


@pytest.fixture(scope="module")
def result() -> StudyResult:
    told: list[tuple[int, int, str]] = []
    found = run_study(
        seed=1,
        scale=0.05,
        toy=Toy(name="toy", shape=(24, 16), mean=300.0, seed=3),
        on_progress=lambda *now: told.append(now),
    )
    assert [now[0] for now in told] == list(range(len(told)))
    assert told[-1] == (24, 24, "done")
    return found


def test_the_study_has_every_experiment_of_the_thesis(result: StudyResult) -> None:
    found = {(r.model, r.size, r.place, len(r.labels)) for r in result.rows if r.recipe == "thesis"}
    assert set(STATED) <= found
    assert {(m, s, p, 3) for m in (*LINEAR, *CLASSIFIERS) for s in SIZES for p in PLACES} <= found
    ours = {(r.size, r.place) for r in result.rows if r.recipe == "ours"}
    assert ours == {(s, p) for s in SIZES for p in PLACES}
    assert {r.size for r in result.reconstructions} == set(SIZES)


def test_rows_say_what_was_measured(result: StudyResult) -> None:
    for row in result.rows:
        counts = row.confusion
        assert counts.sum() == row.n_good + row.n_bad == len(row.truth)
        assert counts[0].sum() == row.n_good == 30
        assert row.accuracy == pytest.approx(np.trace(counts) / counts.sum())
        low, high = row.accuracy_interval()
        assert low <= row.accuracy <= high
        assert bool(row.history) == (row.model not in LINEAR)


def test_a_row_of_known_answers() -> None:
    truth = np.array([0, 0, 1, 1, 2, 2])
    found = np.array([[8, 1, 1], [4, 5, 1], [1, 8, 1], [3, 6, 1], [5, 1, 4], [1, 1, 8]]) / 10.0
    row = Row(model="m", recipe="thesis", size=5, place="fixed", labels=LABELS, truth=truth, found=found)
    assert row.accuracy == pytest.approx(4 / 6)
    assert row.confusion.tolist() == [[1, 1, 0], [0, 2, 0], [1, 0, 1]]
    # Of 2 good and 4 bad maps one pair is in the wrong order: 0.5 of a dead one before 0.4 of a good one.
    assert row.auc == pytest.approx(7 / 8)
    assert row.auc_by_label["hot"] == pytest.approx(1.0)
    assert row.fault == "5 x 5"


def test_errors_of_the_autoencoder_separate(result: StudyResult) -> None:
    for found in result.reconstructions:
        assert {name: len(errors) for name, errors in found.errors.items()} == dict.fromkeys(LABELS, 10)
        for name in ("hot", "dead"):
            above = found.errors[name][:, None] - found.errors["good"][None, :]
            assert found.auc(name) == pytest.approx(((above > 0) + 0.5 * (above == 0)).mean())
        if found.size == 5:
            assert min(found.auc("hot"), found.auc("dead")) > 0.9
        for shown, given in found.examples.values():
            assert shown.shape == given.shape == (24, 16)


def test_what_the_thesis_states() -> None:
    assert pytest.approx(2 / 3) == BEST_STATED
    right, of_each = 377 + 398 + 36, 400
    assert right == pytest.approx(3 * of_each * BEST_STATED, rel=0.02)


def test_the_report_has_every_row_and_picture(result: StudyResult, tmp_path: Path) -> None:
    path = write_report(result, tmp_path / "report")
    text = path.read_text(encoding="utf-8")
    assert text == text_of(result)
    for row in result.rows:
        assert f"| {row.fault} | {row.place} | {row.model} | {row.recipe} |" in text
    for name in PICTURES:
        assert f"]({name})" in text
        assert (path.parent / name).read_bytes().startswith(b"\x89PNG")
    assert {p.name for p in path.parent.iterdir()} == {path.name, *PICTURES}
    with pytest.raises(HistwatchError, match="the report cannot be written"):
        write_report(result, path)


def test_a_study_can_be_of_ours_alone() -> None:
    told: list[tuple[int, int, str]] = []
    found = run_study(seed=1, scale=0.05, toy=TOY, recipes=["ours"], on_progress=lambda *now: told.append(now))
    assert told[-1][1] == 1
    assert {r.recipe for r in found.rows} == {"ours"}
    assert {(r.size, r.place) for r in found.rows} == {(s, p) for s in SIZES for p in PLACES}
    assert found.reconstructions == ()


def test_a_study_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="scale 0"):
        run_study(seed=0, scale=0.0)
