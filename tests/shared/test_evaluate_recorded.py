"""The benchmark on recorded detector data: known changes, faults put in, lumisections in time order."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitor.learn.evaluate.certified import FIXED, read_labels
from monitor.learn.evaluate.real_maps import SOURCES, maps_of
from monitor.learn.evaluate.refused import LEFT_OUT, REASON
from monitor.learn.evaluate.report import write_report
from monitor.learn.evaluate.rows import Row
from monitor.learn.evaluate.suite import Options, suite_named

pytestmark = pytest.mark.shared


def rows_of(name: str, data: Path, types: str = "*", detectors: tuple[str, ...] = ("expectation",)) -> list[Row]:
    options = Options(data=data, types=types, detectors=detectors)
    return list(suite_named(name).run(options, lambda *_: None))


def number(row: Row, figure: str) -> float:
    value = row.figures[figure]
    assert isinstance(value, (int, float))
    return value


def test_led_counters_that_stop_or_begin_are_found_at_their_first_run(shared_data: Path) -> None:
    (row,) = rows_of("real-maps", shared_data, "known: hcal led counters")
    assert (row.unit, row.n_bad, row.figures["judged"]) == ("bin", 12, 154)
    assert row.figures["found_at_first"] == row.figures["known"] == 12
    assert row.figures["others"] == row.figures["maps_with_others"] == 0


def test_led_amplitudes_that_jump_are_found_at_their_first_run(shared_data: Path) -> None:
    rows = rows_of("real-maps", shared_data, "known: hcal led mean amplitudes")
    parts = {r.what[:2]: r for r in rows}
    # All 14 maps of 11 runs, whatever is to be seen in them.
    assert {name: r.figures["judged"] for name, r in parts.items()} == {"HB": 22, "HE": 77, "HF": 44, "HO": 11}
    assert {name: r.figures["known"] for name, r in parts.items()} == {"HB": 3, "HE": 9, "HF": 0, "HO": 0}
    for row in rows:
        assert row.figures["found_at_first"] == row.figures["known"], row.what
        assert row.n_good + row.n_bad == 82 * 72 * int(number(row, "judged")) // 11
    # Three channels of HB depth 2 drift.
    assert number(parts["HB"], "others") <= 3


def test_dead_towers_of_sphenix_are_found_with_every_choice_of_references(shared_data: Path) -> None:
    rows = rows_of("real-maps", shared_data, "known: sphenix*")
    # Seven choices, and the epochs that begin after each.
    assert len(rows) == 17
    assert {int(number(r, "known")) for r in rows} == {24, 48, 72}
    for row in rows:
        assert row.figures["found"] == row.figures["known"] == row.n_bad, row.what
        # One tower shows 0.66 and 0.65 of what its neighbours let expect in the last two runs. Where the references are
        # of runs as short as those, that is seen.
        assert row.figures["others"] == ("79152" in row.what), row.what
        assert row.n_good + row.n_bad <= 24 * 64


def test_pixel_modules_go_dark_and_nothing_lights_up(shared_data: Path) -> None:
    rows = rows_of("real-maps", shared_data, "known: pixel*")
    assert [(r.n_good, r.n_bad) for r in rows] == [(0, 1)] * 4
    assert all(number(r, "found") > 0 for r in rows[:3])
    assert all(r.figures["others"] == 0 for r in rows)


def test_who_names_no_bins_cannot_say_which_channel_changed(shared_data: Path) -> None:
    ours, other = rows_of("real-maps", shared_data, "known: hcal led counters", ("expectation", "pca"))
    assert ours.figures["found"] == 12
    assert (other.what, other.detector) == (LEFT_OUT, "pca")
    assert "names no bins" in str(other.figures[REASON])


def test_faults_put_into_lumisections_of_hcal(shared_data: Path, tmp_path: Path) -> None:
    rows = rows_of("real-maps", shared_data, "hcal lumisections*", ("expectation", "chi2", "pca"))
    full = {(r.detector, r.what): r for r in rows if r.type == "hcal lumisections"}
    small = {(r.detector, r.what): r for r in rows if r.type != "hcal lumisections"}
    # Eight histograms and six, ten lumisections each.
    assert {(r.n_good, r.n_bad) for r in full.values()} == {(80, 80)}
    assert {(r.n_good, r.n_bad) for r in small.values()} == {(60, 60)}
    for name in ("dead bin", "hot bin"):
        assert full["expectation", name].figures["named"] == small["expectation", name].figures["named"] == 1.0
        # Its shape is the whole histogram, which says nothing of a bin.
        assert full["chi2", name].figures["named"] == 0.0
    ours = [r for r in rows if r.detector == "expectation"]
    assert all(number(r, "false") <= 1 / 60 for r in ours)
    # The least that the prototype found.
    for name, least in (("bin -20 %", 0.63), ("3 x 3 -10 %", 0.53), ("column -3 %", 0.67), ("row -3 %", 0.70)):
        assert number(full["expectation", name], "found") >= least, name
        assert full["expectation", name].peer
        assert not small["expectation", name].peer
    path = write_report(suite_named("real-maps"), rows, Options(data=shared_data), tmp_path)
    assert "| none: false alarms |" in path.read_text()
    # What is recorded stays numbers.
    assert not list(tmp_path.glob("*.png"))


def test_the_pixel_maps_that_are_taken_to_be_good_are(shared_data: Path) -> None:
    rows = rows_of("real-maps", shared_data, "pixel*")
    assert {(r.n_good, r.n_bad, r.figures["false"]) for r in rows} == {(3, 3, 0.0)}


def test_maps_of_one_histogram_have_one_path(shared_data: Path) -> None:
    for name, source in SOURCES.items():
        for own in maps_of(Options(data=shared_data), source):
            assert len({i.path for i in own}) == 1, name
            assert len({i.contents.shape for i in own}) == 1, name


def test_certified_lumisections_in_time_order(shared_data: Path) -> None:
    labels = read_labels(shared_data / "certified_1d")
    assert [len(p) for p in (labels.good, labels.single, labels.whole)] == [2788, 15, 297]
    rows = rows_of("certified-1d", shared_data, "adaptive*", ("scan", "rate", "expectation"))
    assert {(r.n_good, r.n_bad) for r in rows} == {(2788, 15)}
    both = {r.detector: r for r in rows if r.what == "adaptive, rate and shape"}
    for name in ("scan", "expectation"):
        assert both[name].figures["found"] == 15
        assert number(both[name], "false") <= 30
    rate = {r.what: r for r in rows if r.detector == "rate"}
    assert all(r.area is None for r in rate.values())
    # What finds them is the rate: the shape alone misses some, and costs false alarms beside it.
    assert rate["adaptive, rate alone"].figures["found"] == 15
    shape = next(r for r in rows if (r.detector, r.what) == ("scan", "adaptive, shape alone"))
    assert number(shape, "found") < 15
    assert number(rate["adaptive, rate alone"], "false") <= number(both["scan"], "false")
    # The more is called a low rate, the more is found and the more is false.
    by_rate = [rate[f"adaptive, rate alone{w}"] for w in (*(f", lowest_rate {x}" for x in (0.3, 0.4)), "")]
    by_rate += [rate[f"adaptive, rate alone, lowest_rate {x}"] for x in (0.6, 0.7)]
    for figure in ("found", "false"):
        values = [number(r, figure) for r in by_rate]
        assert values == sorted(values), figure
        assert values[0] < values[-1], figure


def test_a_fixed_reference_does_not_judge_what_it_was_learned_from(shared_data: Path) -> None:
    names = ("expectation", "pca", "l1calo_strip_median", "classifier")
    rows = {r.detector: r for r in rows_of("certified-1d", shared_data, "fixed*", names)}
    assert rows["classifier"].what == LEFT_OUT
    for name in names[:3]:
        assert (rows[name].n_good, rows[name].n_bad) == (2788 - FIXED, 15)
    assert number(rows["expectation"], "false") > 30
    # No threshold of its own, so no count.
    assert rows["pca"].figures["found"] is None
    assert rows["pca"].auc is not None
