"""Whatever comes in: a snapshot that later stages can rely on, or a reason. Never a crash, a hang or a full memory."""

from __future__ import annotations

import math
import time
import tracemalloc
from collections import Counter

import numpy as np
import pytest
from corpus import good_snapshot, hostile_payloads

from monitor.decode import REASONS, Envelope, decode, native, rootjson
from monitor.decode.validate import MAX_NAME, MAX_TIME_NS, MAX_VALUE, check
from monitor.errors import Reject
from monitor.snapshot import Kind, Snapshot

PAYLOADS = 3000
SEED = 20_240_229
MAX_SECONDS = 5.0
"""For one payload. The slowest takes a fifth of a second; a runaway takes minutes."""
MAX_MEGABYTES = 256
"""For one payload: the largest maps that few bytes may claim, and the sums on the way to them."""


def assert_reliable(snapshot: Snapshot) -> None:
    assert check(snapshot) is snapshot
    assert snapshot.key.isprintable()
    assert 0 < len(snapshot.stream) <= MAX_NAME
    assert 0 < len(snapshot.path) <= MAX_NAME
    assert 0 <= snapshot.time_ns <= MAX_TIME_NS
    assert len(snapshot.axes) == snapshot.kind.dimension == snapshot.contents.ndim
    assert math.isfinite(snapshot.total_entries)
    for axis in snapshot.axes:
        edges = axis.bin_edges()
        assert np.isfinite(edges).all()
        assert (edges[1:] > edges[:-1]).all()
        assert all(text.isprintable() and len(text) <= MAX_NAME for text in (axis.title, *axis.labels))
    for array in (snapshot.contents, snapshot.variances, snapshot.entries):
        if array is not None:
            assert array.shape == snapshot.shape
            assert array.flags.c_contiguous
            assert np.abs(array.astype(np.float64)).max() <= MAX_VALUE


def outcome(envelope: Envelope) -> Snapshot | str:
    try:
        return decode(envelope)
    except Reject as reject:
        return reject.reason


def test_every_payload_is_a_snapshot_or_a_reason() -> None:
    outcomes: Counter[str] = Counter()
    for name, envelope in hostile_payloads(SEED, PAYLOADS):
        started = time.perf_counter()
        try:
            result = outcome(envelope)
        except Exception as error:
            error.add_note(f"payload: {name}")
            raise
        assert time.perf_counter() - started < MAX_SECONDS, name
        if isinstance(result, Snapshot):
            assert_reliable(result)
            outcomes["good"] += 1
        else:
            assert result in REASONS, name
            outcomes[result] += 1
    assert set(outcomes) == REASONS - {"oversized"} | {"good"}, "the corpus no longer reaches everything"


def test_memory_stays_bounded() -> None:
    # Fewer of them: tracing makes everything slow.
    tracemalloc.start()
    try:
        for name, envelope in hostile_payloads(SEED + 1, PAYLOADS // 6):
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            outcome(envelope)
            peak = tracemalloc.get_traced_memory()[1] - before
            assert peak < MAX_MEGABYTES * 2**20, f"{name}: {peak / 2**20:.0f} MB"
    finally:
        tracemalloc.stop()


def test_nothing_is_kept_of_what_was_refused() -> None:
    for _, envelope in hostile_payloads(SEED + 2, 150):
        outcome(envelope)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for _, envelope in hostile_payloads(SEED + 3, 300):
            outcome(envelope)
        kept = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert kept < 8 * 2**20, f"{kept / 2**20:.1f} MB"


def test_good_messages_between_them_are_what_they_were() -> None:
    good = [good_snapshot(kind, seed) for kind in Kind for seed in range(3)]
    hostile = hostile_payloads(SEED + 4, 600)
    for round_, (_, envelope) in enumerate(hostile):
        outcome(envelope)
        snapshot = good[round_ % len(good)]
        said = {field: str(getattr(snapshot, field)).encode() for field in ("run", "lumisection", "time_ns")}
        for value in (native.encode(snapshot), rootjson.encode(snapshot)):
            back = decode(Envelope(value, snapshot.key, said))
            for field in ("stream", "path", "run", "lumisection", "time_ns", "kind", "axes", "total_entries"):
                assert getattr(back, field) == getattr(snapshot, field)
            # ROOT's sums give a mean back to the last bit but one.
            tolerance = 1e-13 if snapshot.kind.is_profile else 0.0
            np.testing.assert_allclose(back.contents, snapshot.contents, rtol=tolerance)


def test_the_corpus_is_reproducible() -> None:
    one, other = (list(hostile_payloads(SEED, 200)) for _ in range(2))
    assert one == other
    assert one != list(hostile_payloads(SEED + 1, 200))


@pytest.mark.parametrize("kind", Kind)
def test_a_native_message_cut_anywhere_is_refused_or_reliable(kind: Kind) -> None:
    value = native.encode(good_snapshot(kind))
    for cut in range(len(value)):
        result = outcome(Envelope(value[:cut]))
        if isinstance(result, Snapshot):
            assert_reliable(result)
