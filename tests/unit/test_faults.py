"""Generated faults: known place, known size, the same every time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.errors import HistwatchError
from monitor.learn.faults import SHARE, SIGNS, inject, inject_into, map_sigma
from monitor.learn.toys import Toy
from monitor.snapshot import FloatArray

SIDES = st.integers(4, 24)


def counts_of(shape: tuple[int, ...], seed: int = 0) -> FloatArray:
    return np.random.default_rng(seed).poisson(400.0, shape).astype(np.float64)


@settings(max_examples=60, deadline=None)
@given(
    shape=st.one_of(st.tuples(SIDES, SIDES), st.tuples(st.integers(10, 80))),
    seed=st.integers(0, 2**32 - 1),
    limits=st.sampled_from([(3.0, 4.0), (1.0, 1.5), (2.0, 2.0)]),
    share=st.floats(0.02, 0.6),
    counts=st.booleans(),
)
def test_the_truth_is_what_changed_and_as_much_as_asked(
    shape: tuple[int, ...], seed: int, limits: tuple[float, float], share: float, counts: bool
) -> None:
    good = counts_of(shape, seed)
    before = good.copy()
    sigma = np.full(shape, 20.0)
    found = inject(good, sigma, np.random.default_rng(seed), sigmas=limits, share=share, counts=counts)
    assert (good == before).all()
    assert (found.truth == (found.contents != good)).all()
    assert found.truth.sum() == max(1, round(share * good.size))
    size = np.abs(found.contents - good)[found.truth] / 20.0
    slack = 0.5 / 20.0 if counts else 1e-9
    assert size.min() >= limits[0] - slack
    assert size.max() <= limits[1] + slack
    if counts:
        assert (found.contents == np.rint(found.contents)).all()
        assert found.contents.min() >= 0


@pytest.mark.parametrize("shape", [(99, 65), (80,)])
def test_the_same_state_gives_the_same_faults_and_another_others(shape: tuple[int, ...]) -> None:
    good = counts_of(shape)
    one, same, other = (inject(good, map_sigma(good), np.random.default_rng(s)) for s in (1, 1, 2))
    assert (one.contents == same.contents).all()
    assert (one.contents != other.contents).any()


def test_the_share_is_the_theses() -> None:
    good = counts_of((99, 65))
    assert inject(good, map_sigma(good), np.random.default_rng(0)).truth.mean() == pytest.approx(SHARE, abs=1e-4)
    assert pytest.approx(0.2218, abs=1e-4) == SHARE


def test_hot_and_cold_are_about_as_many() -> None:
    good = counts_of((99, 65))
    hot = cold = 0
    for seed in range(20):
        found = inject(good, np.sqrt(good), np.random.default_rng(seed))
        hot += int((found.contents > good).sum())
        cold += int((found.contents < good).sum())
    assert 0.4 < hot / (hot + cold) < 0.6


@pytest.mark.parametrize("sign", SIGNS)
def test_a_sign_can_be_chosen(sign: str) -> None:
    good = counts_of((30, 20))
    found = inject(good, np.sqrt(good), np.random.default_rng(0), signs=[sign])
    change = (found.contents - good)[found.truth]
    assert (change > 0).all() if sign == "hot" else (change < 0).all()


def touching(kind: str, axis: int, share: float = 0.004) -> float:
    """Share of draws, by default of six bins, in which two of them touch along an axis."""
    good = counts_of((40, 40))
    found = 0
    for seed in range(100):
        truth = inject(good, np.full(good.shape, 50.0), np.random.default_rng(seed), share=share, shapes=[kind]).truth
        found += bool((np.diff(np.where(truth, 1, 0), axis=axis) == 0)[np.delete(truth, -1, axis=axis)].any())
    return found / 100


def test_spots_lie_alone_strips_run_along_y_layers_are_several_strips() -> None:
    assert touching("spot", 0) < 0.2
    assert touching("spot", 1) < 0.2
    assert touching("strip", 0) < 0.2
    assert touching("strip", 1) > 0.8
    assert touching("layer", 0, 0.02) > 0.7
    assert touching("layer", 1, 0.02) > 0.7


def test_cold_counts_end_at_zero_and_empty_bins_are_not_called_cold() -> None:
    good = counts_of((30, 20))
    good[:15] = 0.0
    found = inject(good, np.full(good.shape, 1e4), np.random.default_rng(0), signs=["cold"])
    assert found.contents.min() == 0.0
    assert not found.truth[:15].any()
    assert (found.contents[found.truth] == 0).all()


def test_means_may_turn_negative() -> None:
    good = np.full((10, 10), 0.5)
    found = inject(good, np.ones((10, 10)), np.random.default_rng(0), counts=False, signs=["cold"])
    assert found.contents.min() < 0


@pytest.mark.parametrize("profile", [False, True])
def test_intervals_keep_their_kind(profile: bool) -> None:
    toy = Toy(name="t", shape=(20, 12), mean=50.0, profile=profile)
    good = toy.draw_many(1, 0)[0]
    bad, truth = inject_into(good, toy.spread, np.random.default_rng(0))
    assert (truth == (bad.contents != good.contents)).all()
    assert (bad.run, bad.key, bad.kind) == (good.run, good.key, good.kind)
    if profile:
        assert bad.total == good.total
        assert bad.variances is good.variances
        assert (bad.contents != np.rint(bad.contents)).any()
    else:
        assert bad.total == bad.contents.sum()
        assert (bad.contents == np.rint(bad.contents)).all()


@pytest.mark.parametrize(
    ("contents", "sigma"),
    [(np.zeros((8, 8)), np.ones((8, 8))), (counts_of((8, 8)), np.zeros((8, 8)))],
    ids=["empty map turning cold", "no sigma"],
)
def test_what_cannot_be_changed_is_said(contents: FloatArray, sigma: FloatArray) -> None:
    with pytest.raises(HistwatchError, match="only 0 of 14 bins could be made faulty"):
        inject(contents, sigma, np.random.default_rng(0), signs=["cold"])


@pytest.mark.parametrize(
    "options",
    [
        {"sigmas": (4.0, 3.0)},
        {"sigmas": (0.0, 3.0)},
        {"share": 0.0},
        {"share": 1.5},
        {"shapes": ["sector"]},
        {"signs": []},
    ],
)
def test_wrong_options_are_refused(options: dict[str, object]) -> None:
    good = counts_of((8, 8))
    with pytest.raises(ValueError, match=next(iter(options))):
        inject(good, map_sigma(good), np.random.default_rng(0), **options)  # type: ignore[arg-type]


def test_bad_arrays_are_refused() -> None:
    good = counts_of((8, 8))
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="shape"):
        inject(good, np.ones((8, 7)), rng)
    with pytest.raises(ValueError, match="finite"):
        inject(np.where(good > 400, np.nan, good), np.ones((8, 8)), rng)
    with pytest.raises(ValueError, match="shape"):
        inject(np.ones((2, 2, 2)), np.ones((2, 2, 2)), rng)
