"""What few references allow, and what they do not."""

from __future__ import annotations

import numpy as np
import pytest
from faultmaps import expected_of, judge

from monitor.learn.reference import learn_reference
from monitor.learn.toys import Toy, interval_of

SHAPE = (48, 32)


def test_no_good_reference_that_only_moves_is_lost() -> None:
    x, y = np.meshgrid(np.linspace(-1.0, 1.0, SHAPE[0]), np.linspace(-1.0, 1.0, SHAPE[1]), indexing="ij")
    lost = 0
    for seed in range(3):
        rng = np.random.default_rng(seed)
        amounts = rng.normal(0.0, 1.0, (30, 3)) * (0.035, 0.035, 0.06)
        responses = [1.0 + a * x + b * y + c * x * y for a, b, c in amounts]
        maps = [interval_of(rng.poisson(5000.0 * r).astype(float), run=run) for run, r in enumerate(responses)]
        lost += learn_reference(maps, "moving").used.count(False)
    assert lost == 0


# A window's own scatter from one or two degrees of freedom may come out as nothing. Its systematic is then small beside
# statistics, so the t distribution of few degrees of freedom is not applied to just the windows that need it most. And
# the degrees of freedom of a scale may not exceed (references - 1) times its windows that do not overlap.


@pytest.mark.parametrize("references", [2, 3])
def test_good_maps_are_silent_with_few_references(references: int) -> None:
    alarms = 0
    for seed in (0, 1, 4, 7):
        toy = Toy(name="toy", shape=(24, 16), mean=5000.0, seed=seed)
        expected = expected_of(toy, references)
        alarms += sum(judge(good, expected).bad for good in toy.draw_many(200, 3))
    assert alarms == 0


@pytest.mark.parametrize("references", [2, 3])
def test_no_window_is_held_for_steady_because_two_references_agreed(references: int) -> None:
    """Its prior alone, nu_0 of nu_0 + nu degrees of freedom, speaks for a share of the common scatter."""
    for seed in range(8):
        reference = expected_of(Toy(name="toy", shape=(24, 16), mean=5000.0, seed=seed), references).reference
        assert reference.scatter is not None
        windows = reference.window_set
        for k, (name, common) in enumerate(zip(windows.names, reference.scatter.shared, strict=True)):
            own = reference.scatter.relative[int(windows.offsets[k]) : int(windows.offsets[k + 1])]
            assert own[own > 0].min(initial=np.inf) >= 0.5 * common, name


def test_a_scale_is_known_no_better_than_its_references_and_windows_allow() -> None:
    for references in (2, 5):
        reference = expected_of(Toy(name="toy", shape=(24, 16), mean=5000.0, seed=0), references).reference
        windows = reference.window_set
        apart = [(24 // x) * (16 // y) for x, y in windows.sizes.tolist()]
        for name, degrees, most in zip(windows.names, reference.freedoms, apart, strict=True):
            assert degrees <= (references - 1) * most + 1.0, name
