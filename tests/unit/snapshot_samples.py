"""Snapshots for the tests of the wire formats: a few by hand, any number from hypothesis."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from monitor.snapshot import Axis, Kind, Snapshot

DTYPES = tuple(np.dtype(name) for name in ("<f4", "<f8", "i1", "<i2", "<i4", "<i8", "u1", "<u2", "<u4", "<u8"))


def sample(kind: Kind = Kind.TH2, dtype: Any = "<f4", **changes: Any) -> Snapshot:
    """A small snapshot with something in every field."""
    axes = (Axis(4, -2.5, 2.5, title="#eta"), Axis(3, 0.0, 8.0, np.array([0.0, 1.0, 4.0, 8.0]), ("a", "", "µ"), "phi"))
    axes = axes[: kind.dimension]
    shape = tuple(axis.bins for axis in axes)
    contents = (np.arange(np.prod(shape)).reshape(shape) * 7 % 50 + 1).astype(dtype)
    fields: dict[str, Any] = {
        "stream": "cal",
        "path": "Ecal/Occupancy/barrel µ",
        "run": 362_000,
        "lumisection": 17,
        "time_ns": 1_700_000_000_123_456_789,
        "kind": kind,
        "axes": axes,
        "contents": contents,
        "total_entries": 1234.0,
        "cumulative": True,
        "producer": "cal-03",
        "sequence": 99,
    }
    if kind.is_profile:
        fields["variances"] = np.linspace(0.01, 0.3, contents.size).reshape(shape)
        fields["entries"] = np.arange(contents.size).reshape(shape) + 2.0
    return Snapshot(**(fields | changes))


_text = st.text(st.characters(exclude_categories=("C", "Z")), max_size=12)
_name = st.text(st.characters(exclude_categories=("C", "Z"), exclude_characters="/"), min_size=1, max_size=12)


@st.composite
def axes(draw: st.DrawFn) -> Axis:
    bins = draw(st.integers(1, 5))
    labels = tuple(draw(st.lists(_text, min_size=bins, max_size=bins))) if draw(st.booleans()) else ()
    if draw(st.booleans()):
        low = draw(st.integers(-1000, 1000)) / 8
        return Axis(bins, low, low + draw(st.integers(1, 1000)) / 8, None, labels, draw(_text))
    edges = np.array(sorted(draw(st.sets(st.integers(-1000, 1000), min_size=bins + 1, max_size=bins + 1)))) / 8
    return Axis(bins, edges[0], edges[-1], edges, labels, draw(_text))


def _values(dtype: np.dtype[Any], lowest: float) -> st.SearchStrategy[Any]:
    if dtype.kind == "f":
        # To 1e9: enough to tell bytes apart, and a profile's sums keep its variances.
        return st.floats(lowest, 2.0**30, width=32)
    limits = np.iinfo(dtype)
    return st.integers(max(limits.min, int(lowest)), limits.max)


@st.composite
def snapshots(draw: st.DrawFn) -> Snapshot:
    kind = draw(st.sampled_from(Kind))
    held = tuple(draw(axes()) for _ in range(kind.dimension))
    shape = tuple(axis.bins for axis in held)

    def array(lowest: float, dtypes: tuple[np.dtype[Any], ...] = DTYPES) -> Any:
        dtype = draw(st.sampled_from(dtypes))
        return draw(hnp.arrays(dtype, shape, elements=_values(dtype, lowest)))

    with_variances = kind.is_profile or draw(st.booleans())
    return Snapshot(
        stream=draw(_name),
        path="/".join(draw(st.lists(_name, min_size=1, max_size=3))),
        run=draw(st.integers(0, 2**64 - 1)),
        lumisection=draw(st.integers(0, 2**32 - 1)),
        time_ns=draw(st.integers(0, 4_102_444_800_000_000_000)),
        kind=kind,
        axes=held,
        contents=array(-(2.0**30) if with_variances else 0.0),
        variances=array(0.0) if with_variances else None,
        entries=array(0.0) if kind.is_profile else None,
        total_entries=float(draw(st.integers(0, 2**53))),
        cumulative=draw(st.booleans()),
        producer=draw(_text),
        sequence=draw(st.integers(0, 2**64 - 1)),
    )


def assert_same_identity(one: Snapshot, other: Snapshot) -> None:
    for field in ("stream", "path", "run", "lumisection", "time_ns", "kind", "cumulative", "producer", "sequence"):
        assert getattr(one, field) == getattr(other, field), field
    assert one.axes == other.axes
    assert [(axis.labels, axis.title) for axis in one.axes] == [(axis.labels, axis.title) for axis in other.axes]
    assert one.total_entries == other.total_entries


def assert_same(one: Snapshot, other: Snapshot) -> None:
    """Equal in every field, to the bit and the dtype."""
    assert_same_identity(one, other)
    for field in ("contents", "variances", "entries"):
        a, b = getattr(one, field), getattr(other, field)
        assert (a is None) == (b is None), field
        if a is not None:
            assert a.dtype == b.dtype, field
            np.testing.assert_array_equal(a, b, field)
