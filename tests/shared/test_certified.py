"""Recorded lumisections in time order, with what people certified of them."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from monitor.detect.base import Finding
from monitor.judge import AdaptiveOptions, judge_in_order
from monitor.learn.recorded import gather_intervals
from monitor.source.recording import Recording
from monitor.window import Interval

pytestmark = pytest.mark.shared

Place = tuple[int, int]
"""Run and lumisection."""


@pytest.fixture(scope="module")
def intervals(shared_data: Path) -> list[Interval]:
    (own,) = gather_intervals(Recording([shared_data / "certified_1d"])).values()
    return own


@pytest.fixture(scope="module")
def good(shared_data: Path) -> dict[Place, bool]:
    """What was certified of each lumisection: the column y is 1 for a good one."""
    (table,) = (shared_data / "certified_1d").glob("*.csv")
    with table.open(newline="") as file:
        return {(int(float(r["run"])), int(float(r["lumi"]))): r["y"] in ("1", "1.0") for r in csv.DictReader(file)}


@pytest.fixture(scope="module")
def single(good: dict[Place, bool]) -> set[Place]:
    """Single bad lumisections: bad ones of runs that were certified good."""
    good_runs = {run for (run, _), is_good in good.items() if is_good}
    return {place for place, is_good in good.items() if not is_good and place[0] in good_runs}


def flagged(intervals: list[Interval], options: AdaptiveOptions) -> set[Place]:
    found = judge_in_order(intervals, options)
    return {
        (i.run, i.lumisection) for i, one in zip(intervals, found, strict=True) if isinstance(one, Finding) and one.bad
    }


def test_the_data_is_what_it_is_said_to_be(good: dict[Place, bool], single: set[Place]) -> None:
    assert (sum(good.values()), len(good), len(single)) == (2788, 3100, 15)


def test_every_single_bad_lumisection_is_found_with_at_most_30_false_alarms(
    intervals: list[Interval], good: dict[Place, bool], single: set[Place]
) -> None:
    found = flagged(intervals, AdaptiveOptions())
    assert len(found & single) == 15
    assert sum(good[place] for place in found) <= 30


def test_shapes_alone_find_most_of_them(intervals: list[Interval], good: dict[Place, bool], single: set[Place]) -> None:
    found = flagged(intervals, AdaptiveOptions(lowest_rate=0.0))
    assert len(found & single) >= 10
    assert sum(good[place] for place in found) <= 15
