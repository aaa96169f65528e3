"""ROOT's sums per bin become what a snapshot holds, as ROOT and uproot define it."""

from __future__ import annotations

import numpy as np
import pytest
import uproot

from monitor.decode.rootbins import ErrorMode, counts_or_variances, profile_bins, without_flow
from monitor.errors import Reject


def test_profile_bins_follow_root() -> None:
    """Three fills of weight 2, 1, 1 with values 1, 2, 4; one fill; none; two fills of weight 0."""
    wy, wy2 = np.array([8.0, 3.0, 0.0, 0.0]), np.array([22.0, 9.0, 0.0, 0.0])
    w, w2 = np.array([4.0, 1.0, 0.0, 0.0]), np.array([6.0, 1.0, 0.0, 0.0])
    mean, variance, entries = profile_bins(wy, wy2, w, w2)
    assert mean.tolist() == [2.0, 3.0, 0.0, 0.0]
    assert entries == pytest.approx([16 / 6, 1.0, 0.0, 0.0])
    assert variance == pytest.approx([1.5 / (16 / 6), 0.0, 0.0, 0.0])
    unweighted = profile_bins(wy, wy2, w)
    assert unweighted[2].tolist() == w.tolist()
    assert unweighted[1] == pytest.approx([1.5 / 4, 0.0, 0.0, 0.0])
    assert profile_bins(wy, wy2, w, w2, ErrorMode.SPREAD)[1] == pytest.approx(variance)
    assert profile_bins(wy, wy2, w, w2, ErrorMode.SPREAD_INTEGER)[1] == pytest.approx([1.5 * 6 / 16, 1 / 12, 0, 0])
    assert profile_bins(wy, wy2, w, w2, ErrorMode.GAUSSIAN)[1] == pytest.approx([1 / 4, 1.0, 0.0, 0.0])


@pytest.mark.parametrize("mode", ErrorMode)
@pytest.mark.parametrize("weighted", [True, False])
def test_profiles_agree_with_uproot(mode: ErrorMode, weighted: bool) -> None:
    rng = np.random.default_rng(7)
    fills = [(rng.uniform(0.5, 2.0, n) if weighted else np.ones(n), rng.normal(5.0, 1.0, n)) for n in (0, 3, 10, 100)]
    w, w2, wy, wy2 = (
        np.array([0.0, *(np.sum(f(*fill)) for fill in fills), 0.0])
        for f in (lambda w, _: w, lambda w, _: w**2, lambda w, y: w * y, lambda w, y: w * y**2)
    )
    axis = uproot.writing.identify.to_TAxis("xaxis", "", 4, 0.0, 4.0)
    held_w2 = w2 if weighted else np.array([])
    theirs = uproot.writing.identify.to_TProfile(
        "p", "", wy, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, wy2, w, held_w2, axis, fErrorMode=int(mode)
    )
    mean, variance, entries = (without_flow(a, (4,)) for a in profile_bins(wy, wy2, w, held_w2, mode))
    filled = slice(1, None)
    np.testing.assert_allclose(mean[filled], theirs.values()[filled])
    np.testing.assert_allclose(entries, theirs.counts())
    if mode != ErrorMode.SPREAD:  # there uproot tells the spread, not the error of the mean
        np.testing.assert_allclose(np.sqrt(variance)[filled], theirs.errors(error_mode=int(mode))[filled], rtol=1e-6)
    assert (mean[0], variance[0], entries[0]) == (0.0, 0.0, 0.0)


def test_without_flow() -> None:
    assert without_flow(np.arange(5), (3,)).tolist() == [1, 2, 3]
    assert without_flow(np.arange(20), (3, 2)).tolist() == [[6, 11], [7, 12], [8, 13]]
    with pytest.raises(Reject, match="wrong_size"):
        without_flow(np.arange(21), (3, 2))


def test_sums_that_overflow_end_as_values_that_are_refused() -> None:
    mean, variance, _ = profile_bins(np.array([1e300]), np.array([1e308]), np.array([1e-10]))
    assert not np.isfinite(mean).all() or not np.isfinite(variance).all()


def test_variances_that_are_the_contents_say_nothing() -> None:
    counts = np.array([0, 3, 5], dtype=np.int32)
    assert counts_or_variances(counts, None) is None
    assert counts_or_variances(counts, counts.astype(np.float64)) is None
    weighted = np.array([0.0, 3.0, 7.0])
    assert counts_or_variances(counts, weighted) is weighted
