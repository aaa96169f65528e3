"""The metrics: all there from the start, bounded labels, and gauges that go back down."""

from __future__ import annotations

import urllib.request
from collections import Counter
from typing import Any

import pytest
from helpers import make_shape
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from monitor.alarm import AlarmBook, AlarmEvent
from monitor.decode import REASONS
from monitor.errors import ConfigurationError
from monitor.sinks.base import Outcome
from monitor.sinks.metrics import PIPELINE_REASONS, STAGES, Metrics, MetricsPage
from monitor.snapshot import Kind
from monitor.source.record import ListSource
from monitor.verdict import Judgement, Shape, Verdict
from monitor.window import WindowStore

TOPIC = "dqm.histograms"
PATH, RUN = "Ecal/Occupancy/very-special", 987_654
NOW = 1_700_000_000.0


def metrics(*subsystems: str) -> Metrics:
    return Metrics(CollectorRegistry(), subsystems or ("calo", "unknown"), TOPIC, clock=lambda: NOW)


def samples(m: Metrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (s.name, tuple(sorted(s.labels.items()))): s.value
        for family in m.registry.collect()
        for s in family.samples
        if not s.name.endswith("_created")
    }


def value(m: Metrics, name: str, **labels: str) -> float:
    return samples(m)[name, tuple(sorted(labels.items()))]


def judgement(verdict: Verdict, *shapes: Shape, path: str = PATH, lumisection: int = 1, **changes: Any) -> Judgement:
    fields: dict[str, Any] = {
        "stream": "stream-of-the-test",
        "path": path,
        "kind": Kind.TH2,
        "run": RUN,
        "lumisection": lumisection,
        "first_lumisection": lumisection,
        "time_ns": lumisection,
        "verdict": verdict,
        "reason": "because",
        "shapes": shapes,
        "subsystem": "calo",
    }
    return Judgement(**(fields | changes))


def publish(m: Metrics, book: AlarmBook, *judgements: Judgement) -> list[AlarmEvent]:
    events = [event for j in judgements for event in book.update(j)]
    m.publish(judgements, events)
    return events


# From the start


def test_every_series_that_may_stay_at_0_exists_at_0() -> None:
    found = samples(metrics())
    wanted = [
        *(("dqm_rejects_total", {"reason": r}) for r in REASONS | PIPELINE_REASONS),
        *(("dqm_window_events_total", {"event": e}) for e in WindowStore.EVENTS),
        *(("dqm_processing_errors_total", {"stage": s}) for s in STAGES),
        *(("dqm_verdicts_total", {"verdict": v.value}) for v in Verdict),
        *(("dqm_messages_processed_total", {"topic": TOPIC, "outcome": o}) for o in ("accepted", "rejected")),
        *(("dqm_alarm_publish_total", {"sink": "kafka", "outcome": o}) for o in ("ok", "failed")),
        *(("dqm_histograms", {"subsystem": "calo", "verdict": v.value}) for v in Verdict),
        *(("dqm_alarms_active", {"subsystem": "calo", "severity": s}) for s in ("MINOR", "MAJOR", "INVALID")),
        ("dqm_subsystem_severity", {"subsystem": "unknown"}),
        ("dqm_rebalances_total", {}),
    ]
    for name, labels in wanted:
        assert found[name, tuple(sorted(labels.items()))] == 0.0


def test_every_error_that_can_be_counted_existed_before() -> None:
    m = metrics()
    before = set(samples(m))
    outcome = Outcome(records=100)
    outcome.rejects.update(dict.fromkeys(REASONS | PIPELINE_REASONS, 1))
    outcome.window_events.update(dict.fromkeys(WindowStore.EVENTS, 1))
    m.see_batch(outcome, 0.1, 0.1)
    m.see_publish("kafka", "failed", 1)
    for stage in STAGES:
        m.see_error(stage)
    new = {name for name, _ in set(samples(m)) - before}
    assert new <= {
        f"dqm_{h}{end}"
        for h in ("end_to_end_latency_seconds", "batch_seconds")
        for end in ("_bucket", "_count", "_sum")
    }


def test_each_process_has_a_registry_of_its_own() -> None:
    one, other = metrics(), metrics()
    one.see_error("decode")
    assert value(one, "dqm_processing_errors_total", stage="decode") == 1
    assert value(other, "dqm_processing_errors_total", stage="decode") == 0


# Verdicts and alarms


def test_a_histogram_counts_under_its_latest_verdict() -> None:
    m, book = metrics(), AlarmBook()
    for verdict in (Verdict.TOO_FEW, Verdict.GOOD, Verdict.GOOD, Verdict.BAD, Verdict.GOOD):
        publish(m, book, judgement(verdict))
        held = {v: value(m, "dqm_histograms", subsystem="calo", verdict=v.value) for v in Verdict}
        assert held == {v: float(v is verdict) for v in Verdict}
    assert value(m, "dqm_verdicts_total", verdict="GOOD") == 3


def test_several_verdicts_on_one_histogram_in_a_batch_leave_the_last() -> None:
    m = metrics()
    publish(m, AlarmBook(), *(judgement(v) for v in (Verdict.GOOD, Verdict.BAD, Verdict.GOOD, Verdict.BAD)))
    assert value(m, "dqm_histograms", subsystem="calo", verdict="BAD") == 1
    assert value(m, "dqm_histograms", subsystem="calo", verdict="GOOD") == 0


def test_a_histogram_may_change_its_subsystem() -> None:
    m = metrics()
    publish(m, AlarmBook(), judgement(Verdict.NO_MODEL, subsystem="unknown"))
    publish(m, AlarmBook(), judgement(Verdict.GOOD))
    assert value(m, "dqm_histograms", subsystem="unknown", verdict="NO_MODEL") == 0
    assert value(m, "dqm_histograms", subsystem="calo", verdict="GOOD") == 1


def test_active_alarms_go_up_and_down() -> None:
    m, book = metrics(), AlarmBook()
    dead, low = make_shape((1, 1)), make_shape((9, 9), sign="low")

    def active() -> tuple[float, float, float]:
        counts = [value(m, "dqm_alarms_active", subsystem="calo", severity=s) for s in ("MAJOR", "MINOR")]
        return counts[0], counts[1], value(m, "dqm_subsystem_severity", subsystem="calo")

    assert active() == (0, 0, 0)
    publish(m, book, judgement(Verdict.BAD, dead, low))
    assert active() == (1, 1, 2)
    publish(m, book, judgement(Verdict.BAD, low, lumisection=2), judgement(Verdict.BAD, dead, path="other"))
    assert active() == (1, 1, 2)
    publish(m, book, judgement(Verdict.GOOD, path="other", lumisection=2))
    assert active() == (0, 1, 1)
    # An update may change the severity.
    publish(m, book, judgement(Verdict.BAD, make_shape((9, 9)), lumisection=3))
    assert active() == (1, 0, 2)
    publish(m, book, judgement(Verdict.GOOD, lumisection=4))
    assert active() == (0, 0, 0)


def test_what_went_with_its_partition_is_forgotten() -> None:
    m, book = metrics(), AlarmBook()
    publish(m, book, judgement(Verdict.BAD, make_shape((1, 1))), judgement(Verdict.GOOD, path="other"))
    m.forget({"stream-of-the-test/" + PATH, "never/seen"})
    assert value(m, "dqm_alarms_active", subsystem="calo", severity="MAJOR") == 0
    assert value(m, "dqm_histograms", subsystem="calo", verdict="BAD") == 0
    assert value(m, "dqm_histograms", subsystem="calo", verdict="GOOD") == 1


# Batches


def test_a_batch_is_counted_by_outcome() -> None:
    m = metrics()
    newest_ns = int((NOW - 2) * 1e9)
    outcome = Outcome(records=10, rejects=Counter(truncated=3), newest_ns=newest_ns, oldest_ns=newest_ns - 10**9)
    m.see_batch(outcome, judge_s=0.02, publish_s=0.5)
    assert value(m, "dqm_messages_processed_total", topic=TOPIC, outcome="accepted") == 7
    assert value(m, "dqm_messages_processed_total", topic=TOPIC, outcome="rejected") == 3
    assert value(m, "dqm_last_message_timestamp_seconds") == pytest.approx(NOW - 2)
    assert value(m, "dqm_end_to_end_latency_seconds_sum", stage="publish") == pytest.approx(3.0)
    assert value(m, "dqm_end_to_end_latency_seconds_sum", stage="judge") == pytest.approx(2.5)
    assert value(m, "dqm_batch_seconds_sum", stage="judge") == pytest.approx(0.02)
    assert value(m, "dqm_batch_size_messages_count") == 1


def test_time_stamps_of_the_future_have_no_age() -> None:
    m = metrics()
    ahead = int((NOW + 100) * 1e9)
    m.see_batch(Outcome(records=1, newest_ns=ahead, oldest_ns=ahead), 0.0, 0.0)
    assert value(m, "dqm_end_to_end_latency_seconds_sum", stage="publish") == 0.0


def test_the_source_is_asked_for_lag_and_rebalances() -> None:
    class Lagging(ListSource):
        rebalances = 2

        def lag(self) -> dict[tuple[str, int], int]:
            return {(TOPIC, 3): 17}

    m, source = metrics(), Lagging([])
    m.see_source(source)
    m.see_source(source)
    assert value(m, "dqm_consumer_lag_messages", topic=TOPIC, partition="3") == 17
    assert value(m, "dqm_rebalances_total") == 2


def test_the_loop_shows_when_it_turned() -> None:
    times = iter([5.0, 6.0])
    m = Metrics(CollectorRegistry(), clock=lambda: next(times))
    assert value(m, "dqm_loop_last_turn_timestamp_seconds") == 5.0
    m.see_turn()
    assert value(m, "dqm_loop_last_turn_timestamp_seconds") == 6.0


# Labels and text


def used() -> Metrics:
    """Metrics that have seen everything there is."""
    m, book = metrics(), AlarmBook()
    publish(m, book, judgement(Verdict.BAD, make_shape((1234, 5678))))
    publish(m, book, judgement(Verdict.ERROR, subsystem="new", reason=f"{PATH} failed"))
    m.see_batch(Outcome(records=3, rejects=Counter(empty=1), newest_ns=1, oldest_ns=1), 0.1, 0.1)
    m.see_model("some model", "3")
    m.see_source(ListSource([]))
    m.see_error("detect")
    m.see_publish("kafka", "ok", 2)
    return m


def test_no_label_holds_a_path_run_or_bin() -> None:
    known = {"subsystem", "verdict", "severity", "topic", "outcome", "reason", "event", "stage", "le", "partition"}
    # One a type of the configuration.
    known.add("histogram_type")
    known |= {"sink", "name", "version"}
    for (name, labels), _ in samples(used()).items():
        assert {label for label, _ in labels} <= known, name
        for _, text in labels:
            assert not any(secret in text for secret in (PATH, str(RUN), "1234", "stream-of-the-test")), name


def test_the_number_of_series_does_not_grow_with_histograms() -> None:
    m = used()
    before = len(samples(m))
    publish(m, AlarmBook(), *(judgement(Verdict.GOOD, path=f"path {n}", run=n) for n in range(500)))
    assert len(samples(m)) == before


def test_names_and_text_are_those_of_prometheus() -> None:
    families = list(text_string_to_metric_families(generate_latest(used().registry).decode()))
    assert len(families) > 15
    for family in families:
        assert family.name.startswith("dqm_")
        assert family.documentation.endswith("."), family.name


def test_the_page_is_served_until_it_is_closed() -> None:
    page = MetricsPage(used().registry, "127.0.0.1", 0)
    try:
        with urllib.request.urlopen(page.url, timeout=10) as answer:
            text = answer.read().decode()
    finally:
        page.close()
    assert 'dqm_verdicts_total{verdict="BAD"} 1.0' in text
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(page.url, timeout=10)


def test_a_port_that_is_taken_is_named() -> None:
    page = MetricsPage(CollectorRegistry(), "127.0.0.1", 0)
    port = int(page.url.rsplit(":", 1)[1].split("/")[0])
    try:
        with pytest.raises(ConfigurationError, match=f"service.metrics_port: 127.0.0.1:{port} cannot be bound"):
            MetricsPage(CollectorRegistry(), "127.0.0.1", port)
    finally:
        page.close()
