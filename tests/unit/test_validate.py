"""What no later stage should ever see is refused by name, whatever format it came in."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from snapshot_samples import sample, snapshots

from monitor.decode.validate import MAX_NAME, MAX_TIME_NS, MAX_VALUE, check, checked_axis, printable
from monitor.errors import Reject
from monitor.snapshot import Axis, Kind, Snapshot


@settings(max_examples=100, deadline=None)
@given(snapshots())
def test_good_snapshots_pass_as_they_are(snapshot: Snapshot) -> None:
    assert check(snapshot) is snapshot


def values(*held: float, dtype: str = "f8") -> Any:
    result = np.ones((4, 3), dtype=dtype)
    result.flat[: len(held)] = held
    return result


SIGNALLING = np.full((4, 3), 0x7F800001, dtype="u4").view("f4")

BAD = [
    ({"stream": ""}, "bad_identity"),
    ({"stream": "a/b"}, "bad_identity"),
    ({"stream": "a" * (MAX_NAME + 1)}, "bad_identity"),
    ({"path": ""}, "bad_identity"),
    ({"path": "a" * (MAX_NAME + 1)}, "bad_identity"),
    ({"path": "a\nb"}, "bad_identity"),
    ({"path": "\x1b[31mred"}, "bad_identity"),
    ({"path": "left\u202eright"}, "bad_identity"),
    ({"path": "\ud800"}, "bad_identity"),
    ({"producer": "\x1b[31mred"}, "bad_identity"),
    ({"producer": "a" * (MAX_NAME + 1)}, "bad_identity"),
    ({"run": -1}, "bad_identity"),
    ({"run": 2**64}, "bad_identity"),
    ({"lumisection": -1}, "bad_identity"),
    ({"lumisection": 2**32}, "bad_identity"),
    ({"time_ns": -1}, "bad_time"),
    ({"time_ns": MAX_TIME_NS + 1}, "bad_time"),
    ({"axes": ()}, "bad_axis"),
    ({"axes": (Axis(4, 0.0, 1.0),) * 3}, "bad_axis"),
    ({"axes": (Axis(3000, 0.0, 1.0),) * 2}, "too_large"),
    ({"axes": (Axis(3, 0.0, 1.0),) * 2}, "wrong_size"),
    ({"contents": values().T}, "wrong_size"),
    ({"variances": values().ravel()}, "wrong_size"),
    ({"contents": values().astype(complex)}, "unknown_dtype"),
    ({"contents": values().astype(bool)}, "unknown_dtype"),
    ({"variances": values().astype(object)}, "unknown_dtype"),
    ({"total_entries": float("nan")}, "not_finite"),
    ({"total_entries": float("inf")}, "not_finite"),
    ({"total_entries": -1.0}, "negative_entries"),
    ({"total_entries": 1e300}, "out_of_range"),
    ({"contents": values(np.nan)}, "not_finite"),
    ({"contents": values(np.inf)}, "not_finite"),
    ({"contents": values(np.inf, -np.inf, dtype="f4")}, "not_finite"),
    ({"contents": values(-np.inf), "variances": values()}, "not_finite"),
    ({"contents": SIGNALLING}, "not_finite"),
    ({"contents": values(2 * MAX_VALUE)}, "out_of_range"),
    ({"contents": values(-2 * MAX_VALUE), "variances": values()}, "out_of_range"),
    ({"contents": values(-1.0)}, "negative_counts"),
    ({"contents": values(-1, dtype="i4")}, "negative_counts"),
    ({"variances": values(-1.0)}, "negative_variance"),
    ({"variances": values(np.nan)}, "not_finite"),
    ({"variances": values(2 * MAX_VALUE)}, "out_of_range"),
    ({"entries": values(-1.0)}, "negative_entries"),
    ({"entries": values(np.inf)}, "not_finite"),
    ({"kind": Kind.TPROFILE2D, "variances": None}, "incomplete"),
    ({"kind": Kind.TPROFILE2D, "entries": None}, "incomplete"),
    ({"kind": Kind.TPROFILE2D, "entries": values(), "variances": values(), "contents": values(np.nan)}, "not_finite"),
]


@pytest.mark.parametrize(("changes", "reason"), BAD)
def test_what_cannot_be_is_refused(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(Reject) as caught:
        check(sample(**changes))
    assert caught.value.reason == reason
    assert len(caught.value.detail) < 200


@pytest.mark.parametrize(
    "changes",
    [
        {"contents": values(-1.0), "variances": values()},
        {"contents": values(MAX_VALUE)},
        {"contents": values(0, 255, dtype="u1")},
        {"time_ns": 0},
        {"time_ns": MAX_TIME_NS},
        {"run": 2**64 - 1, "lumisection": 2**32 - 1},
        {"path": "µ-Kammern/Spur 1 [mm]"},
    ],
)
def test_what_can_be_passes(changes: dict[str, Any]) -> None:
    snapshot = sample(**changes)
    assert check(snapshot) is snapshot


def test_a_mean_of_nothing_becomes_zero() -> None:
    nothing = values(np.nan, np.inf)
    snapshot = check(
        sample(Kind.TPROFILE2D, contents=nothing, variances=nothing.copy(), entries=values(0.0, 0.0), total_entries=1.0)
    )
    for array in (snapshot.contents, snapshot.variances):
        assert array is not None
        np.testing.assert_array_equal(array, values(0.0, 0.0))


@pytest.mark.parametrize(
    "arguments",
    [
        (0, 0.0, 1.0),
        (-1, 0.0, 1.0),
        (10**9, 0.0, 1.0),
        (2, 1.0, 1.0),
        (2, 1.0, 0.0),
        (2, float("nan"), 1.0),
        (2, 0.0, float("inf")),
        (2, -1.7e308, 1.7e308),
        (100, 1e16, 1e16 + 2),
        (2, 0.0, 1.0, np.array([])),
        (2, 0.0, 1.0, np.array([0.0, 1.0])),
        (2, 0.0, 1.0, np.array([0.0, 1.0, 1.0])),
        (2, 0.0, 1.0, np.array([0.0, 2.0, 1.0])),
        (2, 0.0, 1.0, np.array([0.0, np.nan, 1.0])),
        (2, 0.0, 1.0, np.array([-1.7e308, 0.0, 1.7e308])),
        (2, 0.0, 1.0, None, ("one",)),
    ],
)
def test_axes_that_no_histogram_has_are_refused(arguments: tuple[Any, ...]) -> None:
    with pytest.raises(Reject) as caught:
        checked_axis(*arguments)
    assert caught.value.reason == "bad_axis"


def test_edges_decide_the_range() -> None:
    axis = checked_axis(2, 0.0, 99.0, np.array([1, 2, 4]))
    assert (axis.low, axis.high) == (1.0, 4.0)
    assert checked_axis(4, 0.0, 1.0).bin_edges().tolist() == [0.0, 0.25, 0.5, 0.75, 1.0]


def test_titles_and_labels_are_made_fit_to_be_shown() -> None:
    axis = checked_axis(2, 0.0, 1.0, None, ("fine", "\x1b[31m"), "p_T\n\ud800")
    assert axis.labels == ("fine", "\ufffd[31m")
    assert axis.title == "p_T\ufffd\ufffd"
    assert len(printable("x" * 10**6)) == MAX_NAME
