"""The benchmark on recorded detector data: known changes, faults put in, lumisections in time order."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitor.learn.evaluate.certified import read_labels
from monitor.learn.evaluate.report import write_report
from monitor.learn.evaluate.rows import Row
from monitor.learn.evaluate.suite import Options, suite_named

pytestmark = pytest.mark.shared


def rows_of(name: str, data: Path, types: str = "*", detectors: tuple[str, ...] = ("expectation",)) -> list[Row]:
    options = Options(data=data, types=types, detectors=detectors)
    return list(suite_named(name).run(options, lambda *_: None))


@pytest.mark.parametrize(
    ("types", "known", "others"),
    [
        ("known: hcal led counters", 12, 0),
        # Three channels of HB depth 2 drift.
        ("known: hcal led mean amplitudes", 11, 3),
    ],
)
def test_known_changes_are_found_at_their_first_run(shared_data: Path, types: str, known: int, others: int) -> None:
    (row,) = rows_of("real-maps", shared_data, types)
    assert row.figures["known"] == row.figures["found_at_first"] == known
    assert row.figures["others"] <= others


def test_dead_towers_of_sphenix_are_found_with_every_choice_of_references(shared_data: Path) -> None:
    rows = rows_of("real-maps", shared_data, "known: sphenix*")
    # Seven choices, and the epochs that begin after each.
    assert len(rows) == 17
    assert {int(r.figures["known"] or 0) for r in rows} == {24, 48, 72}
    for row in rows:
        assert row.figures["found"] == row.figures["known"], row.what
        assert row.figures["others"] == 0, row.what


def test_pixel_modules_go_dark_and_nothing_lights_up(shared_data: Path) -> None:
    rows = rows_of("real-maps", shared_data, "known: pixel*")
    assert len(rows) == 4
    assert all(r.figures["found"] > 0 for r in rows[:3])  # type: ignore[operator]
    assert all(r.figures["others"] == 0 for r in rows)


def test_faults_put_into_lumisections_of_hcal(shared_data: Path, tmp_path: Path) -> None:
    rows = rows_of("real-maps", shared_data, "hcal lumisections", ("expectation", "pca"))
    ours = {r.what: r for r in rows if r.detector == "expectation"}
    assert {(r.n_good, r.n_bad) for r in rows} == {(140, 140)}
    assert ours["dead bin"].figures["named"] == ours["hot bin"].figures["named"] == 1.0
    assert all(r.figures["false"] <= 1 / 140 for r in ours.values())  # type: ignore[operator]
    path = write_report(suite_named("real-maps"), rows, Options(data=shared_data), tmp_path)
    assert "| none: false alarms |" in path.read_text()
    # What is recorded stays numbers.
    assert not list(tmp_path.glob("*.png"))


def test_certified_lumisections_in_time_order(shared_data: Path) -> None:
    labels = read_labels(shared_data / "certified_1d")
    assert [len(p) for p in (labels.good, labels.single, labels.whole)] == [2788, 15, 297]
    rows = rows_of("certified-1d", shared_data, "adaptive*", ())
    both = {r.detector: r for r in rows if r.what == "adaptive, rate and shape"}
    assert {(r.n_good, r.n_bad) for r in rows} == {(2788, 15)}
    for name in ("scan", "expectation"):
        assert both[name].figures["found"] == 15
        assert both[name].figures["false"] <= 30  # type: ignore[operator]
    fixed = rows_of("certified-1d", shared_data, "fixed*")
    assert fixed[0].figures["false"] > 30  # type: ignore[operator]
