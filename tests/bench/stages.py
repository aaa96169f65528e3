"""Time of each stage a map, beside a peer: one thread, no Kafka, warmed up, the best of several."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from monitor.decode import Envelope, decode
from monitor.decode.native import NativeFormat, encode
from monitor.decode.rootwrite import encode as encode_root
from monitor.detect.base import Expected
from monitor.detect.dbscan import DbscanDetector
from monitor.detect.expectation import ExpectationDetector
from monitor.infer import load_model
from monitor.learn.autoencoder import train
from monitor.learn.reference import learn_reference
from monitor.normalise import exposures, minmax
from monitor.service.allocator import keep_buffers
from monitor.service.pipeline import Pipeline
from monitor.service.warm import warm_up
from monitor.snapshot import Snapshot
from monitor.source.record import Batch, Record
from monitor.window import Minimum, WindowStore
from tests.bench import peers
from tests.bench.bundle import catalogue
from tests.bench.workload import Workload, interval

MAPS = 128
LUMISECTIONS = 8
_WINDOWS = 60
_UPDATES = 5
_REPEATS = 5
_SECONDS = 0.3
_NATIVE = {"content-type": NativeFormat.content_type.encode()}
_JSON = {"content-type": b"application/json"}


def stages(spec: dict[str, Any]) -> dict[str, Any]:
    """Return ``{stage: {"us": ..., "peers": {peer: us}}}``."""
    keep_buffers()
    warm_up()
    seconds = float(spec.get("seconds", _SECONDS))
    found: dict[str, Any] = {}

    def add(stage: str, maps: int, call: Callable[[], object], **others: Callable[[], object]) -> None:
        found[stage] = {
            "us": best_us(call, maps, seconds),
            "peers": {name: best_us(peer, maps, seconds) for name, peer in others.items()},
        }

    _time_reading(add)
    _time_judging(add)
    for name, models in (("pipeline, references", 0), ("pipeline, model", 1)):
        found[name] = {"us": _time_pipeline(Workload(histograms=spec["histograms"]), models, seconds), "peers": {}}
    return found


def best_us(call: Callable[[], object], maps: int, seconds: float = _SECONDS) -> float:
    """Return the least time a map of several calls, in us; the first call is not counted."""
    call()
    best, until, turns = float("inf"), time.perf_counter() + seconds, 0
    while turns < _REPEATS or time.perf_counter() < until:
        started = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - started)
        turns += 1
    return 1e6 * best / maps


def _snapshots(count: int) -> list[Snapshot]:
    """Updates that own their contents, as decoded messages do."""
    workload = Workload(faulty=0.0, histograms=_WINDOWS)
    return [decode(Envelope(encode(u.snapshot), "", _NATIVE)) for u in workload.updates(count)]


def _time_reading(add: Callable[..., None]) -> None:
    snapshot = _snapshots(1)[0]
    native, text = Envelope(encode(snapshot), snapshot.key, _NATIVE), Envelope(encode_root(snapshot), snapshot.key)
    add(
        "decode",
        1,
        lambda: decode(native),
        protobuf_and_numpy=lambda: peers.parse_protobuf(native.value),
        root_json=lambda: decode(text),
        json_and_numpy=lambda: peers.parse_json(text.value),
    )
    updates = _snapshots(_UPDATES * _WINDOWS)
    minimum = Minimum()

    def fill() -> None:
        store = WindowStore()
        for update in updates:
            store.add(update, minimum)

    contents = [(update.path, update.contents) for update in updates]
    add("window", len(updates), fill, numpy_difference=lambda: peers.differences(contents))


def _time_judging(add: Callable[..., None]) -> None:
    workload = Workload()
    good = workload.good_intervals(LUMISECTIONS)
    reference = learn_reference(good, "bench").reference
    model = load_model(train(good, name="bench", version="1")[0], "bench.onnx")
    alone, modelled = Expected(reference), Expected(model.reference, model)
    intervals = workload.good_intervals(MAPS)
    contents = np.stack([i.contents for i in intervals])
    maps = contents.reshape(MAPS, -1)
    rate, systematic = reference.rate.ravel(), reference.systematic.ravel()
    scale = exposures(maps, reference.blocks)
    pulls = (maps, rate, systematic, scale)
    add(
        "exposure",
        MAPS,
        lambda: exposures(maps, reference.blocks),
        numpy_median=lambda: peers.median_of_ratios(maps, rate),
    )
    detector = ExpectationDetector()
    add(
        "expectation",
        MAPS,
        lambda: detector.judge(intervals, [alone] * MAPS),
        numpy_pulls=lambda: peers.largest_pull(*pulls),
        scipy_windows=lambda: peers.filtered_pulls(*pulls),
    )
    one = intervals[:1]
    add(
        "expectation, one map a call",
        1,
        lambda: detector.judge(one, [alone]),
        numpy_pulls=lambda: peers.largest_pull(maps[:1], rate, systematic, scale[:1]),
    )
    add(
        "expectation with model",
        MAPS,
        lambda: detector.judge(intervals, [modelled] * MAPS),
        onnxruntime=lambda: model.predict(contents),
    )
    add("expectation with model, one map a call", 1, lambda: detector.judge(one, [modelled]))
    hot = contents[0].copy()
    hot[50, 30] += 200.0
    faulty = [interval(hot, intervals[0].path)]
    add("expectation, faulty map", 1, lambda: detector.judge(faulty, [alone]))
    add("expectation with model, faulty map", 1, lambda: detector.judge(faulty, [modelled]))
    occupancy = minmax(maps[:1])[0]
    error = minmax((maps[:1] - rate) ** 2)[0]
    dbscan = DbscanDetector()
    add(
        "dbscan",
        1,
        lambda: dbscan.judge(one, [alone]),
        sklearn_dbscan=lambda: peers.cluster(occupancy, error, 0.0044),
    )


def batches(workload: Workload, lumisections: int) -> list[Batch]:
    """Return lumisections of messages, one batch each; one map of a hundred is faulty."""
    every = len(workload.keys)
    records = [
        Record(("bench", 0), n, Envelope(encode(u.snapshot), u.snapshot.key, _NATIVE))
        for n, u in enumerate(workload.updates(lumisections * every))
    ]
    return [Batch(records[at : at + every]) for at in range(0, len(records), every)]


def _time_pipeline(workload: Workload, models: int, seconds: float) -> float:
    """Decode to alarm in batches of one lumisection; the median batch."""
    pipeline = Pipeline(catalogue(workload, models))
    took = []
    for batch in batches(workload, 4 if seconds < _SECONDS else 12):
        started = time.perf_counter()
        pipeline.process(batch)
        took.append(time.perf_counter() - started)
    return 1e6 * float(np.median(took[1:])) / len(workload.keys)
