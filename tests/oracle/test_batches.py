"""Many maps of different references in one call, and what goes to and comes from a model."""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import pytest
from scanning import Case, random_case, scanned

from monitor.detect import kernels
from monitor.detect.significance import significance
from monitor.kernel import address_of
from monitor.normalise import exposures
from monitor.snapshot import FloatArray

NEVER = np.iinfo(np.int64).max
jitted = os.environ.get("NUMBA_DISABLE_JIT") != "1"
compiled_only = pytest.mark.skipif(not jitted, reason="addresses mean nothing with NUMBA_DISABLE_JIT=1")


# Many maps in one call


def judged(cases: list[Case], exposure: FloatArray, **changes: FloatArray | np.ndarray) -> tuple[FloatArray, ...]:
    """Call `judge_counts`; returns exposure, best and odd."""
    tables = [c.reference.table for c in cases]
    every = cases[0].reference.window_set
    addresses = np.stack([t.addresses for t in tables])
    addresses[:, 0] = [address_of(c.rate, np.float64) for c in cases]
    best, odd = np.full((len(cases), len(every.names)), np.nan), np.zeros(len(cases), dtype=bool)
    exposure = exposure.copy()
    limits = {
        "new_life": np.full(len(cases), np.inf),
        "silent": np.full(len(cases), np.inf),
        "silent_bins": np.full(len(cases), NEVER),
    } | changes
    kernels.judge_counts(
        np.array([address_of(c.contents, np.float64) for c in cases], dtype=np.uint64),
        addresses,
        np.stack([t.numbers for t in tables]),
        exposure,
        *every.shape,
        every.sizes,
        every.offsets,
        limits["new_life"],
        limits["silent"],
        limits["silent_bins"],
        kernels.CLOSE,
        best,
        odd,
    )
    return exposure, best, odd


KINDS = ("counts", "sums", "binomial", "rates", "counts")


@compiled_only
@pytest.mark.parametrize("shape", [(13, 10), (24, 9), (30,), (1,)], ids=str)
def test_many_maps_are_judged_as_one_by_one(shape: tuple[int, ...]) -> None:
    cases = [random_case(shape, seed, 10.0 * 4.0**seed, kind) for seed, kind in enumerate(KINDS)]
    known = np.array([c.exposure for c in cases])
    exposure, best, _ = judged(cases, known)
    np.testing.assert_array_equal(exposure, known)
    for case, found in zip(cases, best, strict=True):
        np.testing.assert_allclose(found, scanned(case, kernels.CLOSE)[0], rtol=1e-9)


@compiled_only
def test_exposures_that_are_not_known_are_fitted_to_the_references_rates() -> None:
    cases = [random_case((24, 9), seed, 10.0 * 4.0**seed, kind) for seed, kind in enumerate(KINDS)]
    wanted = [exposures(c.contents[None], c.reference.blocks, c.reference.dispersion)[0] for c in cases]
    exposure, _, _ = judged(cases, np.full(len(cases), -1.0))
    np.testing.assert_array_equal(exposure, wanted)
    tables = [c.reference.table for c in cases]
    again = np.empty(len(cases))
    kernels.exposures_at(
        np.array([address_of(c.contents, np.float64) for c in cases], dtype=np.uint64),
        np.stack([t.addresses for t in tables]),
        np.stack([t.numbers for t in tables]),
        24 * 9,
        again,
    )
    np.testing.assert_array_equal(again, wanted)
    # What is known stays, beside what is not.
    mixed = np.array([7.0, -1.0, 7.0, -1.0, 7.0])
    exposure, _, _ = judged(cases, mixed)
    np.testing.assert_array_equal(exposure, np.where(mixed < 0, wanted, mixed))


def good_case(shape: tuple[int, int] = (24, 9)) -> Case:
    """A map that shows exactly what is expected."""
    case = random_case(shape, 0, 100.0)
    return replace(case, contents=case.exposure * case.rate)


@compiled_only
def test_a_map_is_odd_for_new_life_for_silence_and_for_width() -> None:
    good = good_case()
    live, alive = good.reference.live.ravel(), np.array([good.exposure])
    dead, empty = int(np.flatnonzero(live)[3]), int(np.flatnonzero(~live)[3])
    mu = good.exposure * good.rate[dead]

    def odd(case: Case, **changes: FloatArray | np.ndarray) -> bool:
        return bool(judged([case], alive, **changes)[2][0])

    def holding(where: int, value: float) -> Case:
        contents = good.contents.copy()
        contents[where] = value
        return replace(good, contents=contents)

    assert not odd(good, new_life=np.array([5.0]), silent=np.array([1.0]), silent_bins=np.array([1]))
    assert odd(holding(empty, 5.0), new_life=np.array([5.0]))
    assert not odd(holding(empty, 4.0), new_life=np.array([5.0]))
    assert odd(holding(dead, 0.0), silent=np.array([0.99 * mu]))
    assert not odd(holding(dead, 0.0), silent=np.array([1.01 * mu]))
    assert odd(holding(dead, 0.0), silent_bins=np.array([1]))
    assert not odd(holding(dead, 0.0), silent_bins=np.array([2]))
    # A live bin's excess and an empty bin's silence are no matter of these rules.
    assert not odd(holding(dead, 1e4), new_life=np.array([5.0]), silent=np.array([1.0]))


@compiled_only
@pytest.mark.parametrize(("share", "wide"), [(0.29, False), (0.31, True)])
def test_a_map_is_odd_where_many_bins_are_wide(share: float, wide: bool) -> None:
    good = good_case((24, 25))
    live = np.flatnonzero(good.reference.live)
    sigma = np.sqrt(
        good.exposure * (1.0 + good.exposure / good.reference.exposure) * good.reference.windows.statistical[: 24 * 25]
        + good.exposure**2 * good.reference.windows.systematic[: 24 * 25]
    )
    contents = good.contents.copy()
    some = live[: int(share * live.size)]
    # In turn up and down, so that no larger window shows it.
    contents[some] += 1.6 * sigma[some] * np.where(np.arange(some.size) % 2, 1.0, -1.0)
    assert judged([replace(good, contents=contents)], np.array([good.exposure]))[2][0] == wide


# Bins, and what a model is shown and says


def test_significances_of_bins_are_those_of_each() -> None:
    rng = np.random.default_rng(0)
    mu = rng.gamma(2.0, 20.0, 100)
    systematic = (0.05 * mu) ** 2
    variance = np.where(rng.random(100) < 0.9, mu + systematic, 0.0)
    deviation = rng.poisson(mu) - mu
    for counts in (True, False):
        found = np.full(100, np.nan)
        kernels.significances(deviation, variance, mu, systematic, counts, 5.0, found)
        rows = zip(deviation, variance, mu, systematic, strict=True)
        np.testing.assert_array_equal(found, [significance(d, v, m, counts, s, 5.0) for d, v, m, s in rows])
        assert not found[variance == 0].any()


def test_maps_are_shown_per_exposure() -> None:
    maps = np.random.default_rng(0).poisson(50.0, (3, 8)).astype(float)
    fallback, out = np.arange(8.0), np.empty((3, 8), dtype=np.float32)
    kernels.per_exposure(maps, np.array([2.0, 0.0, 0.5]), fallback, out)
    np.testing.assert_allclose(out, [maps[0] / 2.0, fallback, maps[2] / 0.5], rtol=1e-6)


def test_answers_of_a_model_are_brought_into_bounds() -> None:
    predicted = np.array([[90.0, 1.0, -5.0, 1e9, 7.0]], dtype=np.float32)
    rate, live = np.full(5, 100.0), np.array([True, True, True, True, False])
    out = np.empty((1, 5))
    kernels.clean_rates(predicted, rate, live, True, out)
    np.testing.assert_array_equal(out, [[90.0, 10.0, 10.0, 1000.0, 0.0]])
    # Means may be negative, but no further from their rate than the largest of all rates.
    kernels.clean_rates(predicted, rate, live, False, out)
    np.testing.assert_array_equal(out, [[90.0, 1.0, 0.0, 200.0, 0.0]])


@pytest.mark.parametrize(
    "array", [np.zeros(4, dtype=np.float32), np.zeros((4, 4))[:, 1], np.asfortranarray(np.zeros((3, 4)))]
)
def test_an_address_is_given_only_of_what_a_kernel_would_read_right(array: np.ndarray) -> None:
    with pytest.raises(ValueError, match="C-contiguous"):
        address_of(array, np.float64)


@compiled_only
def test_every_kernel_is_compiled_at_import_for_the_signatures_it_names() -> None:
    names = ("running_sums", "scan_means", "deviations", "scan_counts", "scan_without", "judge_counts")
    for name in (*names, "exposures_at", "significances", "per_exposure", "clean_rates"):
        kernel = getattr(kernels, name)
        assert len(kernel.signatures) == 1, name
        assert not kernel._can_compile, name
