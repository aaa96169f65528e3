"""The closer look: faults of every kind, one or many in a map, named as what they are with the bins they have."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from faultmaps import Fault, expected_of, judge, mask_of, names, truth_of, with_faults

from monitor.detect.base import Expected
from monitor.learn.reference import learn_reference
from monitor.learn.toys import Toy, interval_of
from monitor.snapshot import FloatArray
from monitor.window import Interval

SHAPE = (48, 32)


def toy_of(mean: float, seed: int = 1, unfilled: float = 0.0, **changes: object) -> Toy:
    return Toy(name="toy", shape=SHAPE, mean=mean, seed=seed, unfilled=unfilled, **changes)  # type: ignore[arg-type]


def six(mean: float) -> list[Fault]:
    """Of six kinds, as large as this many entries should show."""
    spot, strip, layer, block = (0.7, 0.85, 1.15, 0.75) if mean < 1000.0 else (0.8, 0.9, 1.1, 0.85)
    return [
        Fault(np.s_[92, 50], 4.0, "bin", "hot"),
        Fault(np.s_[20:24, 30:34], 0.0, "spot", "dead"),
        Fault(np.s_[40:45, 50:55], spot, "spot", "low"),
        Fault(np.s_[60, :], strip, "strip", "low", "x", 60),
        Fault(np.s_[75:78, :], layer, "layer", "high", "x", 75),
        Fault(np.s_[2:14, 40:48], block, "region", "low"),
    ]


@pytest.mark.parametrize("heavy", [False, True], ids=["benign", "heavy"])
@pytest.mark.parametrize("mean", [400.0, 5000.0])
@pytest.mark.parametrize("unfilled", [0.0, 0.05])
def test_six_simultaneous_faults_are_all_named_and_no_bin_outside(mean: float, heavy: bool, unfilled: float) -> None:
    toy = Toy(name="toy", mean=mean, heavy=heavy, seed=3, unfilled=unfilled)
    faults, expected, rng = six(mean), expected_of(toy, 20), np.random.default_rng(0)
    truth = truth_of(faults, toy.rate)
    for good in toy.draw_many(20, 2):
        finding = judge(with_faults(good, faults, rng), expected)
        assert names(finding) == Counter(f.name for f in faults)
        found = mask_of(finding, toy.shape)
        assert not (found & ~truth).any()
        # A bin that by chance looks good may be trimmed, one or two of 484.
        assert (truth & ~found).sum() <= 3


ONE = {
    "dead module": Fault(np.s_[20:24, 10:14], 0.0, "spot", "dead"),
    "dead module in the corner": Fault(np.s_[44:48, 28:32], 0.0, "spot", "dead"),
    "dead module of 7 x 5": Fault(np.s_[5:12, 20:25], 0.0, "spot", "dead"),
    "dead column of a module": Fault(np.s_[9:10, 20:28], 0.0, "region", "dead"),
    "dead bin": Fault(np.s_[9, 20], 0.0, "bin", "dead"),
    "hot bin": Fault(np.s_[9, 20], 3.0, "bin", "hot"),
    "hot module": Fault(np.s_[30:33, 20:23], 4.0, "spot", "hot"),
    "low spot": Fault(np.s_[30:35, 20:25], 0.7, "spot", "low"),
    "dead strip": Fault(np.s_[30, :], 0.0, "strip", "dead", "x", 30),
    "dead strip across": Fault(np.s_[:, 30], 0.0, "strip", "dead", "y", 30),
    "strip across at 85 %": Fault(np.s_[:, 30], 0.85, "strip", "low", "y", 30),
    "dead layer": Fault(np.s_[:, 10:13], 0.0, "layer", "dead", "y", 10),
    "layer at 130 %": Fault(np.s_[:, 10:13], 1.3, "layer", "high", "y", 10),
    "dead block": Fault(np.s_[8:20, 10:18], 0.0, "region", "dead"),
}


# A change that is not plain is no task for few references.
CASES = [(name, n) for name, fault in ONE.items() for n in (2, 5, 20) if n == 20 or fault.sign in ("dead", "hot")]


@pytest.mark.parametrize(("fault", "references"), CASES)
@pytest.mark.parametrize("mean", [400.0, 5000.0])
def test_a_fault_alone_has_its_own_name_and_its_own_bins(fault: str, references: int, mean: float) -> None:
    toy, rng = toy_of(mean), np.random.default_rng(0)
    for good in toy.draw_many(5, 2):
        finding = judge(with_faults(good, [ONE[fault]], rng), expected_of(toy, references))
        assert names(finding) == Counter([ONE[fault].name])
        off = mask_of(finding, SHAPE) ^ truth_of([ONE[fault]], toy.rate)
        assert off.sum() <= (0 if ONE[fault].factor == 0.0 else 1)


@pytest.mark.parametrize("corner", [(0, 0), (7, 11), (20, 14), (44, 28), (31, 0)])
@pytest.mark.parametrize("mean", [100.0, 400.0, 5000.0])
def test_a_dead_module_is_trimmed_to_exactly_its_16_bins(corner: tuple[int, int], mean: float) -> None:
    x, y = corner
    fault = Fault(np.s_[x : x + 4, y : y + 4], 0.0, "spot", "dead")
    for seed in range(4):
        toy = toy_of(mean, seed)
        finding = judge(with_faults(toy.draw_many(1, 2)[0], [fault], np.random.default_rng(0)), expected_of(toy, 10))
        assert names(finding) == Counter([fault.name])
        (shape,) = finding.shapes
        assert sorted(shape.bins) == [(i, j) for i in range(x, x + 4) for j in range(y, y + 4)]


@pytest.mark.parametrize("exposure", [1.0, 0.5, 0.1])
@pytest.mark.parametrize("references", [2, 5, 20])
@pytest.mark.parametrize("mean", [400.0, 5000.0])
def test_a_dead_quarter_is_one_region_at_any_exposure(exposure: float, references: int, mean: float) -> None:
    toy = toy_of(mean, unfilled=0.05)
    expected = expected_of(toy, references)
    fault = Fault(np.s_[:24, :16], 0.0, "region", "dead")
    good = toy.draw(np.random.default_rng(3), exposure=exposure)
    finding = judge(with_faults(good, [fault], np.random.default_rng(0)), expected)
    assert names(finding) == Counter([fault.name])
    np.testing.assert_array_equal(mask_of(finding, SHAPE), truth_of([fault], toy.rate))
    # The exposure is that of the rest.
    whole = judge(good, expected)
    assert whole.exposure is not None
    assert finding.exposure == pytest.approx(whole.exposure, rel=0.01)


def test_a_dead_strip_and_a_dead_layer_that_cross_are_two_things() -> None:
    faults = [Fault(np.s_[7, :], 0.0, "strip", "dead"), Fault(np.s_[:, 10:13], 0.0, "layer", "dead")]
    for seed in range(4):
        toy = toy_of(2000.0, seed)
        finding = judge(with_faults(toy.draw_many(1, 2)[0], faults, np.random.default_rng(0)), expected_of(toy, 10))
        assert names(finding) == Counter([("strip", "dead", "x", 7), ("layer", "dead", "y", 10)])
        np.testing.assert_array_equal(mask_of(finding, SHAPE), truth_of(faults, toy.rate))


@pytest.mark.parametrize("references", [5, 20])
def test_what_is_dead_is_named_apart_from_what_is_low_around_it(references: int) -> None:
    beside = [Fault(np.s_[10, :], 0.0, "strip", "dead", "x", 10), Fault(np.s_[11, :], 0.7, "strip", "low", "x", 11)]
    inside = [Fault(np.s_[:, 5:8], 0.7, "layer", "low", "y", 5), Fault(np.s_[20, 6], 0.0, "bin", "dead")]
    touching = [Fault(np.s_[:, 20], 0.0, "strip", "dead", "y", 20), Fault(np.s_[30:33, 21:24], 0.0, "spot", "dead")]
    for faults in (beside, inside, touching):
        for seed in range(3):
            toy = toy_of(1000.0, seed)
            good = toy.draw_many(1, 2)[0]
            finding = judge(with_faults(good, faults, np.random.default_rng(0)), expected_of(toy, references))
            assert names(finding) == Counter(f.name for f in faults)


@pytest.mark.parametrize("references", [1, 3, 20])
@pytest.mark.parametrize("share", [0.02, 0.09, 0.4])
def test_bins_that_are_dead_at_random_are_named_and_no_others(references: int, share: float) -> None:
    toy = toy_of(300.0)
    contents = np.random.default_rng(5).poisson(toy.rate).astype(float)
    dead = np.random.default_rng(6).random(SHAPE) < share
    contents[dead] = 0.0
    finding = judge(interval_of(contents), expected_of(toy, references))
    np.testing.assert_array_equal(mask_of(finding, SHAPE), dead & (toy.rate > 0))


@pytest.mark.parametrize("mean", [400.0, 5000.0])
@pytest.mark.parametrize("references", [2, 20])
def test_hot_beside_dead_are_two_things(mean: float, references: int) -> None:
    faults = [
        Fault(np.s_[20:24, 10:14], 0.0, "spot", "dead"),
        Fault(np.s_[24:28, 10:14], 5.0, "spot", "hot"),
        Fault(np.s_[5, 5], 6.0, "bin", "hot"),
        Fault(np.s_[6, 6], 0.0, "bin", "dead"),
    ]
    for seed in range(4):
        toy = toy_of(mean, seed)
        good = toy.draw_many(1, 2)[0]
        finding = judge(with_faults(good, faults, np.random.default_rng(0)), expected_of(toy, references))
        assert names(finding) == Counter(f.name for f in faults)
        np.testing.assert_array_equal(mask_of(finding, SHAPE), truth_of(faults, toy.rate))


# Holes, crossings and neighbours


def misnamed(toy: Toy, references: int, faults: list[Fault], maps: int = 5) -> int:
    """Number of maps whose shapes are not exactly the faults, or have bins outside of them."""
    rng, wrong = np.random.default_rng(0), 0
    for good in toy.draw_many(maps, 2):
        finding = judge(with_faults(good, faults, rng), expected_of(toy, references))
        outside = mask_of(finding, toy.shape) & ~truth_of(faults, toy.rate)
        wrong += bool(outside.any()) or names(finding) != Counter(f.name for f in faults)
    return wrong


@pytest.mark.parametrize("factor", [0.0, 0.85], ids=["dead", "low"])
@pytest.mark.parametrize("profile", [False, True], ids=["counts", "profile"])
def test_bins_that_are_empty_by_design_do_not_cut_a_strip(factor: float, profile: bool) -> None:
    for seed in range(4):
        toy = toy_of(400.0, seed, unfilled=0.05, profile=profile)
        for fault in (
            Fault(np.s_[30, :], factor, "strip", "low" if factor else "dead", "x", 30),
            Fault(np.s_[:, 7], factor, "strip", "low" if factor else "dead", "y", 7),
        ):
            assert misnamed(toy, 20, [fault]) == 0


@pytest.mark.parametrize(("mean", "references"), [(400.0, 20), (5000.0, 5), (5000.0, 20)])
def test_a_bin_that_looks_good_does_not_cut_a_strip(mean: float, references: int) -> None:
    """Nor is a strip told in pieces, or as the layer or sector around it, because those scales are known better."""
    fault = Fault(np.s_[30, :], 0.85, "strip", "low", "x", 30)
    assert [misnamed(toy_of(mean, seed), references, [fault]) for seed in range(4)] == [0] * 4


def test_a_low_strip_and_the_hot_layer_that_it_crosses_are_both_named() -> None:
    faults = [
        Fault(np.s_[7, :], 0.7, "strip", "low", "x", 7),
        Fault(np.s_[:, 10:13], 2.5, "layer", "hot", "y", 10),
    ]
    assert [misnamed(toy_of(2000.0, seed), 20, faults) for seed in range(4)] == [0] * 4


@pytest.mark.parametrize("seed", [2, 5])
def test_a_layer_is_not_taken_for_the_sector_around_it(seed: int) -> None:
    fault = Fault(np.s_[:, 10:13], 1.15, "layer", "high", "y", 10)
    assert misnamed(Toy(name="toy", mean=400.0, seed=seed), 20, [fault], maps=8) == 0


@pytest.mark.parametrize("mean", [400.0, 5000.0, 20_000.0])
def test_a_bin_five_times_too_hot_is_seen_with_one_reference(mean: float) -> None:
    fault = Fault(np.s_[20, 10], 5.0, "bin", "hot")
    assert [misnamed(toy_of(mean, seed), 1, [fault]) for seed in range(4)] == [0] * 4


# Profiles

PROFILE = {
    "dead bin": Fault(np.s_[20, 10], 0.0, "bin", "dead"),
    "hot bin": Fault(np.s_[20, 10], 2.5, "bin", "hot"),
    "low spot": Fault(np.s_[20:25, 10:15], 0.8, "spot", "low"),
    "dead module": Fault(np.s_[30:34, 20:24], 0.0, "spot", "dead"),
    "strip at 112 %": Fault(np.s_[:, 7], 1.12, "strip", "high", "y", 7),
    "layer at 90 %": Fault(np.s_[8:11, :], 0.9, "layer", "low", "x", 8),
    "sector at 90 %": Fault(np.s_[12:18, :], 0.9, "layer", "low", "x", 12),
}


@pytest.mark.parametrize("fault", PROFILE)
@pytest.mark.parametrize("references", [5, 20])
def test_a_fault_of_a_profile_has_its_own_name_and_its_own_bins(fault: str, references: int) -> None:
    for mean in (0.5, 100.0):
        toy = toy_of(mean, 3, profile=True)
        for good in toy.draw_many(4, 8):
            finding = judge(with_faults(good, [PROFILE[fault]], np.random.default_rng(0)), expected_of(toy, references))
            assert names(finding) == Counter([PROFILE[fault].name])
            off = mask_of(finding, SHAPE) ^ truth_of([PROFILE[fault]], toy.rate)
            assert off.sum() <= (0 if PROFILE[fault].factor == 0.0 else 1)


@pytest.mark.parametrize("where", [np.s_[5:9, 4:9], np.s_[20, 10], np.s_[30, :]], ids=["module", "bin", "strip"])
@pytest.mark.parametrize("references", [1, 2, 20])
def test_missing_entries_of_a_profile_are_dead(where: object, references: int) -> None:
    toy = toy_of(100.0, 3, profile=True)
    good = toy.draw_many(1, 8)[0]
    assert good.entries is not None
    assert good.variances is not None
    planes = [a.copy() for a in (good.contents, good.variances, good.entries)]
    for plane in planes:
        plane[where] = 0.0  # type: ignore[index]
    contents, variances, entries = planes
    silent = replace(good, contents=contents, variances=variances, entries=entries, total=float(entries.sum()))
    finding = judge(silent, expected_of(toy, references))
    (shape,) = finding.shapes
    assert shape.sign == "dead"
    np.testing.assert_array_equal(mask_of(finding, SHAPE), entries == 0)
    # Where few entries are expected anyway, their absence says nothing.
    sparse = replace(good, entries=good.entries * 0.02, total=float(good.entries.sum() * 0.02))
    assert sparse.entries is not None
    sparse.entries[where] = 0.0  # type: ignore[index]
    assert not any(s.sign == "dead" for s in judge(sparse, expected_of(toy, references)).shapes)


@pytest.mark.parametrize("live", [2, 3, 4, 6, 8, 20])
@pytest.mark.parametrize("counts", [True, False], ids=["counts", "rates"])
def test_a_map_of_few_bins_all_of_which_changed_is_never_good(live: int, counts: bool) -> None:
    """There is no rest to take the exposure from."""
    for seed in range(30):
        rng = np.random.default_rng(seed)
        rate = rng.uniform(0.8, 1.2, live) * 1e5

        def draw(factor: FloatArray | float = 1.0, run: int = 1, rate: FloatArray = rate, rng=rng) -> Interval:  # type: ignore[no-untyped-def]
            contents = np.zeros((10, 24))
            values = rate * factor * (1.0 + 1e-3 * rng.standard_normal(rate.size))
            contents[4, : rate.size] = rng.poisson(values) if counts else values
            return interval_of(contents, run=run)

        expected = Expected(learn_reference([draw(run=r) for r in range(6)], "test").reference)
        factor = np.where(np.arange(live) % 2, 4.0, 0.3) * rng.uniform(0.9, 1.1, live)
        finding = judge(draw(factor, 99), expected)
        assert finding.exposure > 0
        assert finding.bad or finding.warning


@pytest.mark.parametrize("alive", [1, 2, 5, 12])
@pytest.mark.parametrize("references", [3, 10])
def test_of_a_map_that_is_mostly_dead_the_dead_part_is_named(alive: int, references: int) -> None:
    toy = toy_of(2000.0)
    expected = expected_of(toy, references)
    for seed in range(10):
        contents = np.random.default_rng(seed).poisson(2.0 * toy.rate).astype(float)
        whole = expected.reference.exposure_of(contents.ravel())
        contents[alive:, :] = 0.0
        finding = judge(interval_of(contents), expected)
        assert finding.bad
        assert {s.sign for s in finding.shapes} == {"dead"}
        assert (mask_of(finding, SHAPE) == (toy.rate > 0) & (contents == 0)).all()
        assert finding.exposure == pytest.approx(whole, rel=0.05)


@pytest.mark.parametrize("factor", [0.8, 0.9, 1.1])
@pytest.mark.parametrize("wide", [1, 2, 4, 5])
def test_no_good_strip_is_named_with_a_layer_of_another_width(wide: int, factor: float) -> None:
    toy = toy_of(3000.0, seed=0)
    expected = expected_of(toy, 8)
    for number, good in enumerate(toy.draw_many(20, 7)):
        first = 3 + number % 20
        along_x = number % 2 == 0
        contents = good.contents.copy()
        where = np.s_[first : first + wide, :] if along_x else np.s_[:, first : first + wide]
        contents[where] *= factor
        (found,) = judge(interval_of(contents), expected).shapes
        assert (found.kind, found.axis) == ("strip" if wide == 1 else "layer", "x" if along_x else "y")
        assert {bins[0 if along_x else 1] for bins in found.bins} == set(range(first, first + wide))
