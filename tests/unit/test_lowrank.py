"""Modes that a map moves along: taken where they pay on held-out maps, and never at the price of a fault."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from faultmaps import Fault, judge, mask_of, with_faults

from monitor.detect.base import Expected
from monitor.infer import Model, load_model
from monitor.learn.autoencoder import train
from monitor.learn.lowrank import FEWEST_MAPS, LowRank, choose_rank, fit_modes, folds_of, held_out
from monitor.learn.reference import learn_reference
from monitor.learn.toys import Toy, interval_of
from monitor.snapshot import FloatArray
from monitor.window import Interval

SHAPE = (48, 32)
LIVE = np.ones(SHAPE, dtype=bool)
X, Y = np.meshgrid(np.linspace(-1.0, 1.0, SHAPE[0]), np.linspace(-1.0, 1.0, SHAPE[1]), indexing="ij")
MODES = [m / np.sqrt((m**2).mean()) for m in (X, Y, X * Y)]


@dataclass(frozen=True)
class Moving:
    """A histogram that moves along three smooth modes from run to run, beside its bins' own scatter."""

    mean: float
    size: float = 0.02
    """Relative size of each mode."""
    modes: int = 3

    @property
    def rate(self) -> FloatArray:
        found: FloatArray = self.mean * np.exp(0.3 * np.sin(np.arange(SHAPE[0]) / 5.0))[:, None] * np.ones(SHAPE)
        return found

    def draw(self, rng: np.random.Generator) -> FloatArray:
        response = 1.0 + 0.01 * rng.normal(size=SHAPE)
        for mode in MODES[: self.modes]:
            response = response + self.size * rng.normal() * mode
        return rng.poisson(self.rate * np.maximum(response, 0.0)).astype(float)

    def maps(self, number: int, seed: int = 0) -> FloatArray:
        rng = np.random.default_rng(seed)
        return np.stack([self.draw(rng) for _ in range(number)])

    def intervals(self, number: int, seed: int = 0) -> list[Interval]:
        return [interval_of(one, run=run) for run, one in enumerate(self.maps(number, seed), 1)]


def rank_of(maps: FloatArray) -> int:
    return choose_rank(maps, maps.mean(axis=0), LIVE, folds_of(range(len(maps))))


# The rank


@pytest.mark.parametrize("number", [20, 30])
@pytest.mark.parametrize(
    ("mean", "size", "modes"),
    [(400.0, 0.02, 1), (400.0, 0.02, 3), (5000.0, 0.02, 1), (5000.0, 0.02, 3), (5e3, 0.005, 3)],
)
def test_as_many_modes_as_there_are_are_taken(number: int, mean: float, size: float, modes: int) -> None:
    for seed in range(3):
        assert rank_of(Moving(mean, size, modes).maps(number, seed)) == modes


@pytest.mark.parametrize("number", [10, 20, 30])
@pytest.mark.parametrize("mean", [50.0, 400.0, 5000.0])
def test_without_modes_none_is_taken(number: int, mean: float) -> None:
    for seed in range(4):
        assert rank_of(Moving(mean, 0.0).maps(number, seed)) == 0


@pytest.mark.parametrize("heavy", [False, True], ids=["benign", "heavy"])
@pytest.mark.parametrize("mean", [50.0, 400.0, 5000.0])
def test_bins_and_strips_that_move_on_their_own_are_no_modes(mean: float, heavy: bool) -> None:
    toy = Toy(name="toy", shape=SHAPE, mean=mean, heavy=heavy, seed=1)
    intervals = toy.draw_many(20, 1)
    learned = learn_reference(intervals, "toy")
    maps = np.stack([i.contents for i in intervals]) / learned.exposures[:, None, None]
    reference = learned.reference
    assert choose_rank(maps, reference.rate, reference.live, folds_of(range(20))) == 0


def test_too_few_maps_or_runs_have_no_modes() -> None:
    maps = Moving(5000.0).maps(20)
    assert rank_of(maps[: FEWEST_MAPS - 1]) == 0
    # Twenty maps of two runs say how two runs differ.
    assert choose_rank(maps, maps.mean(axis=0), LIVE, folds_of([1] * 10 + [2] * 10)) == 0
    assert choose_rank(maps, maps.mean(axis=0), np.zeros(SHAPE, dtype=bool), folds_of(range(20))) == 0


# Folds, and what is held out


def test_a_run_is_in_one_fold() -> None:
    rng = np.random.default_rng(0)
    runs = rng.integers(300_000, 300_013, 100).tolist()
    folds = folds_of(runs)
    assert all(len({f for f, r in zip(folds, runs, strict=True) if r == run}) == 1 for run in set(runs))
    assert set(folds.tolist()) == set(range(6))
    # As even as whole runs allow: 13 runs in six folds.
    per_fold = [len({r for f, r in zip(folds, runs, strict=True) if f == fold}) for fold in range(6)]
    assert max(per_fold) - min(per_fold) <= 1


def test_a_map_is_predicted_by_modes_that_have_not_seen_it() -> None:
    maps = Moving(400.0).maps(18)
    rate, folds = maps.mean(axis=0), folds_of(range(18))
    before = held_out(maps, rate, LIVE, 3, folds)
    changed = maps.copy()
    changed[4] *= np.random.default_rng(1).uniform(0.5, 1.5, SHAPE)
    after = held_out(changed, rate, LIVE, 3, folds)
    # What its fold-mates are predicted to be has not learned from it, what the others are has.
    mates = folds == folds[4]
    np.testing.assert_array_equal(after[mates & (np.arange(18) != 4)], before[mates & (np.arange(18) != 4)])
    assert np.abs(after[~mates] - before[~mates]).max() > 1.0


def test_residuals_of_held_out_maps_are_wider_than_those_of_seen_ones() -> None:
    maps = Moving(400.0).maps(20)
    rate, folds = maps.mean(axis=0), folds_of(range(20))
    seen = LowRank(rate, *fit_modes(maps, rate, LIVE, 3)).predict(maps)
    unseen = held_out(maps, rate, LIVE, 3, folds)
    none = held_out(maps, rate, LIVE, 0, folds)
    left = [float(np.mean((maps - p) ** 2 / rate)) for p in (seen, unseen, none)]
    assert left[0] < left[1] < left[2]
    # New maps are as far off as held-out ones, whose own twentieth of the rate is no residual.
    new = Moving(400.0).maps(40, seed=9)
    found = float(np.mean((new - LowRank(rate, *fit_modes(maps, rate, LIVE, 3)).predict(new)) ** 2 / rate))
    assert found == pytest.approx(left[1] / (1.0 - 1.0 / 20.0), rel=0.08)


def test_modes_follow_what_the_map_does() -> None:
    """A tenth of the modes' own motion is left where 20 maps tell them."""
    moving = Moving(5000.0)
    maps = moving.maps(20)
    rate = maps.mean(axis=0)
    model = LowRank(rate, *fit_modes(maps, rate, LIVE, 3))
    truth = moving.rate * (1.0 + 0.03 * MODES[0] - 0.02 * MODES[1] + 0.02 * MODES[2])
    left = model.predict(truth[None])[0] / truth - 1.0
    assert np.sqrt(np.mean(left**2)) < 0.2 * np.sqrt(0.03**2 + 2 * 0.02**2)


# The file


@cache
def trained(mean: float) -> tuple[Model, bytes]:
    content, card = train(Moving(mean).intervals(30), name="moving", version="1", seed=0)
    # Of runs that move far a few look bad to a fit without modes.
    assert card.references >= 27
    return load_model(content, "moving.onnx"), content


@pytest.mark.parametrize("mean", [400.0, 5000.0])
def test_the_file_says_what_the_modes_say(mean: float) -> None:
    model, content = trained(mean)
    intervals = Moving(mean).intervals(30)
    learned = learn_reference(intervals, "moving")
    used = list(learned.used)
    maps = (np.stack([i.contents for i in intervals]) / learned.exposures[:, None, None])[used]
    folds = folds_of([i.run for i, use in zip(intervals, used, strict=True) if use])
    rank = choose_rank(maps, learned.reference.rate, learned.reference.live, folds)
    # Three, and what smoothing left of them.
    assert rank in (3, 4)
    modes, scale = fit_modes(maps, learned.reference.rate, learned.reference.live, rank)
    wanted = LowRank(learned.reference.rate, modes, scale).predict(maps)
    np.testing.assert_allclose(model.predict(maps.astype(np.float32)), wanted, rtol=2e-5)
    assert train(intervals, name="moving", version="1", seed=0)[0] == content


def test_a_file_without_modes_says_the_rate() -> None:
    intervals = Moving(400.0, 0.0).intervals(20)
    model = load_model(train(intervals, name="still", version="1")[0], "still.onnx")
    maps = np.stack([i.contents for i in intervals]).astype(np.float32)
    np.testing.assert_allclose(model.predict(maps), np.repeat(model.reference.rate[None], 20, axis=0), rtol=1e-6)


def test_scatter_is_that_about_the_model() -> None:
    """Strips that move along modes are steady about their reconstruction, and the card knows it."""
    intervals = Moving(5000.0).intervals(30)
    still = learn_reference(intervals, "still").reference
    moving = trained(5000.0)[0].reference
    names = still.window_set.names
    for name in ("strip_x", "strip_y", "block", "layer_x"):
        k = names.index(name)
        assert moving.shared[k] < 0.3 * still.shared[k], name
    np.testing.assert_allclose(moving.rate, still.rate, rtol=1e-6)


# Faults


def expected_of(mean: float) -> Expected:
    model, _ = trained(mean)
    return Expected(model.reference, model)


@pytest.mark.parametrize("mean", [400.0, 5000.0])
def test_good_maps_that_move_are_silent(mean: float) -> None:
    found = [judge(good, expected_of(mean)) for good in Moving(mean).intervals(100, seed=5)]
    assert not any(f.bad for f in found)
    # A map that moves by three times the usual leaves something, which smoothed modes miss at the edges.
    assert sum(bool(f.warning) for f in found) <= 2


FAULTS: dict[str, tuple[Any, float, float]] = {
    "dead sector": (np.s_[12:18, :], 0.0, 400.0),
    "sector at 90 %": (np.s_[12:18, :], 0.9, 5000.0),
    "dead strip": (np.s_[:, 7], 0.0, 400.0),
    "strip at 90 %": (np.s_[:, 7], 0.9, 5000.0),
    "dead module": (np.s_[30:34, 20:24], 0.0, 400.0),
    "low spot": (np.s_[30:35, 20:25], 0.8, 5000.0),
    "hot module": (np.s_[30:34, 20:24], 5.0, 400.0),
    "dead quarter": (np.s_[:24, :16], 0.0, 400.0),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_not_swallowed(name: str) -> None:
    where, factor, mean = FAULTS[name]
    fault = Fault(where, factor, "any", "any")
    truth = np.zeros(SHAPE, dtype=bool)
    truth[where] = True
    rng = np.random.default_rng(0)
    for good in Moving(mean).intervals(5, seed=6):
        finding = judge(with_faults(good, [fault], rng), expected_of(mean))
        found = mask_of(finding, SHAPE)
        assert (found & truth).sum() >= 0.9 * truth.sum()
        assert (found & ~truth).sum() <= 0.02 * (~truth).sum()
        # After masking the model expects there what was there: a fault's content is known to a tenth of it.
        expected = sum(s.expected for s in finding.shapes)
        assert expected == pytest.approx(float(good.contents[found].sum()), rel=0.04)


def test_modes_make_faults_visible_that_the_motion_hides() -> None:
    """The recipe, section 2: a sector at 97 % of 99 x 8 bins is 0.00 found by the rate alone, and 1.00 with modes.

    Here 6 x 32 bins at 95 %: 19 and 0 of 20 were found.
    """
    model, _ = trained(5000.0)
    alone = Expected(learn_reference(Moving(5000.0).intervals(30), "alone").reference)
    fault = Fault(np.s_[12:18, :], 0.95, "layer", "low")
    found = {"alone": 0, "modes": 0}
    rng = np.random.default_rng(0)
    for good in Moving(5000.0).intervals(20, seed=7):
        bad = with_faults(good, [fault], rng)
        found["alone"] += judge(bad, alone).bad
        found["modes"] += judge(bad, Expected(model.reference, model)).bad
    assert found["modes"] >= 18
    assert found["alone"] <= 3


def test_a_bad_run_among_the_references_teaches_no_mode() -> None:
    intervals = Moving(5000.0, 0.0).intervals(20)
    dead = intervals[3].contents.copy()
    dead[12:18] = 0.0
    intervals[3] = replace(intervals[3], contents=dead, total=float(dead.sum()))
    model = load_model(train(intervals, name="m", version="1")[0], "m.onnx")
    assert model.reference.references == 19
    shown = model.reference.rate.copy()
    shown[12:18] = 0.0
    np.testing.assert_allclose(model.predict(shown[None].astype(np.float32))[0], model.reference.rate, rtol=1e-4)
