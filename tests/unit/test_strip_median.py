"""The strip medians of ATLAS as detectors: parameters, colours and what becomes of them. Formulas: `tests/oracle`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from helpers import bins_of, expect, make_interval

from monitor.detect.base import BinScorer, Finding, Settings
from monitor.detect.strip_median import StripMedianDetector
from monitor.detect.strip_median_online import StripMedianOnlineDetector
from monitor.detect.strips import Colour
from monitor.snapshot import FloatArray
from monitor.window import Interval

SHAPE = (12, 20)
LEVEL = 100.0
both = pytest.mark.parametrize("kind", [StripMedianDetector, StripMedianOnlineDetector], ids=lambda kind: kind.name)
Kind = type[StripMedianDetector]


def flat() -> FloatArray:
    return np.full(SHAPE, LEVEL)


def with_bins(where: dict[tuple[int, int], float]) -> Interval:
    """An interval at rho 0 everywhere but in some bins, given by their rho."""
    contents = flat()
    for place, rho in where.items():
        contents[place] = LEVEL + rho * np.sqrt(LEVEL)
    return make_interval(contents)


def judge(kind: Kind, interval: Interval, thresholds: dict[str, float] | None = None, **options: Any) -> Finding:
    (finding,) = kind(Settings(thresholds or {}, options)).judge([interval], [expect(flat())])
    return finding


@both
@pytest.mark.parametrize(
    ("rho", "colour"), [(5.9, "green"), (-5.9, "green"), (6.1, "yellow"), (-6.1, "yellow"), (10.1, "red")]
)
def test_red_is_bad_and_yellow_a_warning(kind: Kind, rho: float, colour: str) -> None:
    finding = judge(kind, with_bins({(3, 4): rho}))
    assert finding.bad == (colour == "red")
    assert bool(finding.warning) == (colour == "yellow")
    assert finding.score == pytest.approx(abs(rho))
    assert bins_of(finding) == ({(3, 4)} if colour == "red" else set())
    if colour == "yellow":
        assert finding.warning == f"0 red and 1 yellow bins, (3, 4) rho {rho:+.1f}"
    if colour == "red":
        (shape,) = finding.shapes
        assert (shape.kind, shape.sign, shape.observed, shape.expected) == ("bin", "hot", 201.0, LEVEL)
        assert shape.significance == pytest.approx(rho)


@both
def test_a_red_map_says_how_many_bins_are_yellow(kind: Kind) -> None:
    finding = judge(kind, with_bins({(3, 4): 30.0, (3, 5): 7.0, (8, 8): -7.0}))
    assert finding.note == "1 red and 2 yellow bins"
    assert bins_of(finding) == {(3, 4)}


@both
def test_thresholds_are_those_that_are_set(kind: Kind) -> None:
    interval = with_bins({(3, 4): 8.0})
    assert judge(kind, interval, {"green": 4.0, "red": 7.0}).bad
    assert not judge(kind, interval, {"green": 9.0, "red": 20.0}).warning


@both
def test_a_histogram_of_too_few_entries_is_undefined(kind: Kind) -> None:
    interval = replace(with_bins({(3, 4): 50.0}), total=99.0)
    finding = judge(kind, interval, MinStat=100)
    assert (finding.bad, finding.warning, finding.score) == (False, "", 0.0)
    assert finding.note == "undefined: 99 entries, MinStat is 100"
    assert judge(kind, interval, MinStat=99).bad


def test_visual_mode_passes_over_low_contents() -> None:
    contents = flat()
    contents[0, 0] = 10_000.0
    contents[3, 4], contents[5, 6], contents[7, 8] = 0.0, 99.0, 101.0
    # 100 of 10 000 is 0.01, which is not below 0.01.
    contents[3:8] *= 4.0
    contents[3, 4], contents[5, 6] = 0.0, 99.0
    interval = make_interval(contents)
    assert bins_of(judge(StripMedianDetector, interval)) == {(0, 0)}
    assert bins_of(judge(StripMedianDetector, interval, VisualMode=0)) == {(0, 0), (3, 4), (5, 6)}
    assert bins_of(judge(StripMedianDetector, interval, SuppressRedFactor=0.0099)) == {(0, 0), (5, 6)}
    assert bins_of(judge(StripMedianDetector, interval, SuppressRedFactor=0.0)) == {(0, 0), (3, 4), (5, 6)}


def test_yellow_bins_are_passed_over_by_a_factor_of_their_own() -> None:
    contents = flat()
    contents[0, 0] = 2500.0
    contents[3, 4] = 30.0
    interval = make_interval(contents)
    found = StripMedianDetector(Settings(options={"VisualMode": 0})).examine(interval)
    assert found.yellow == ((3, 4),)
    assert StripMedianDetector().examine(interval).yellow == ()
    # Red from 6.5 on it is not: what is red is measured by the other factor alone.
    strict = Settings({"red": 6.5}, {})
    assert (3, 4) in StripMedianDetector(strict).examine(interval).red


def test_a_content_can_mark_bins_that_are_not_there() -> None:
    contents = flat()
    contents[2:4] = -1.0
    contents[2, :8] = LEVEL
    contents[2, 0] = 500.0
    interval = make_interval(contents)
    found = StripMedianDetector(Settings(options={"ignoreval": -1})).examine(interval)
    assert found.red == ((2, 0),)
    assert not found.judged[3].any()
    assert found.judged[2].sum() == 8
    # Else the mark is content, and -1 the median of both strips.
    assert set(StripMedianDetector().examine(interval).red) == {(2, y) for y in range(8)}


def test_the_online_variant_takes_empty_bins_for_absent() -> None:
    contents = flat()
    contents[3, 4], contents[5, 6] = 0.0, 9e-5
    options = Settings(options={"VisualMode": 0})
    assert set(StripMedianDetector(options).examine(make_interval(contents)).yellow) == {(3, 4), (5, 6)}
    assert StripMedianOnlineDetector(options).examine(make_interval(contents)).yellow == ()


def test_the_online_variant_loses_maps_that_are_normalised_below_its_tolerance() -> None:
    contents = 5e-7 * flat()
    contents[3, 4] *= 1.9
    assert not StripMedianOnlineDetector().examine(make_interval(contents)).judged.any()
    assert StripMedianDetector().examine(make_interval(contents)).judged.all()


def test_the_online_variant_skips_strips_of_few_bins() -> None:
    contents = flat()
    contents[3, 5:] = 0.0
    contents[3, 4] = 500.0
    for least, found in ((5, True), (6, False)):
        assert judge(StripMedianOnlineDetector, make_interval(contents), MinStatPerstrip=least).bad == found


@pytest.mark.parametrize(
    ("red", "yellow", "colour"),
    [
        (2, 1, Colour.GREEN),
        (3, 0, Colour.YELLOW),
        (0, 4, Colour.YELLOW),
        (2, 2, Colour.YELLOW),
        (0, 3, Colour.GREEN),
        (4, 9, Colour.YELLOW),
        (5, 0, Colour.RED),
    ],
)
def test_online_mode_allows_a_few_bins(red: int, yellow: int, colour: Colour) -> None:
    bins = {(x, 0): 20.0 for x in range(red)} | {(x, 10): 7.0 for x in range(yellow)}
    mode = Settings(options={"OnlineMode": 1})
    assert StripMedianOnlineDetector(mode).examine(with_bins(bins)).colour is colour
    assert judge(StripMedianOnlineDetector, with_bins(bins), OnlineMode=1).bad == (colour is Colour.RED)


def test_online_mode_does_not_count_bins_in_clusters() -> None:
    bins = {(x, 0): 20.0 for x in range(7)}
    for cluster, colour in ((0, Colour.RED), (1, Colour.GREEN)):
        mode = Settings(options={"OnlineMode": 1, "ClusterResult": cluster})
        assert StripMedianOnlineDetector(mode).examine(with_bins(bins)).colour is colour


@both
def test_neighbouring_bins_are_clusters_weighted_by_content(kind: Kind) -> None:
    interval = with_bins({(3, 4): 20.0, (4, 5): 7.0, (9, 9): 8.0, (9, 10): 8.0, (11, 0): 30.0})
    found = kind(Settings(options={"ClusterResult": 1})).examine(interval)
    assert (found.red, found.yellow) == (((11, 0),), ())
    first, second = found.clusters
    assert (first.red, set(first.bins), first.value) == (True, {(3, 4), (4, 5)}, 300.0 + 170.0)
    assert first.x == pytest.approx((3.5 * 300.0 + 4.5 * 170.0) / 470.0)
    assert first.y == pytest.approx((4.5 * 300.0 + 5.5 * 170.0) / 470.0)
    # The further of the two is the one of less content, and both lie on a diagonal.
    assert first.radius == pytest.approx(np.sqrt(2.0) * 300.0 / 470.0)
    assert (second.red, second.value) == (False, 360.0)
    finding = judge(kind, interval, ClusterResult=1)
    assert bins_of(finding) == {(3, 4), (4, 5), (11, 0)}
    assert finding.note == "1 red and 0 yellow bins, 4 in 2 clusters"


def test_a_cluster_without_content_has_no_centre() -> None:
    contents = flat()
    contents[3, 4], contents[3, 5] = 50.0, -50.0
    options = Settings({"green": 4.0}, {"VisualMode": 0, "ClusterResult": 1})
    (cluster,) = StripMedianDetector(options).examine(make_interval(contents)).clusters
    assert (cluster.value, cluster.x, cluster.y) == (0.0, -99.0, -99.0)


def test_a_yellow_cluster_alone_is_a_warning() -> None:
    finding = judge(StripMedianDetector, with_bins({(3, 4): 8.0, (3, 5): -8.0}), ClusterResult=1)
    assert not finding.bad
    assert finding.warning == "0 red and 0 yellow bins, 2 in 1 clusters"


def test_clusters_do_not_wrap_around() -> None:
    bins = {(3, 0): 20.0, (3, SHAPE[1] - 1): 20.0}
    assert StripMedianDetector(Settings(options={"ClusterResult": 1})).examine(with_bins(bins)).clusters == ()


@pytest.mark.parametrize(("options", "named"), [({}, 20), ({"MaxPublish": 3}, 3), ({"PublishBins": 0}, 0)])
def test_yellow_bins_are_named_up_to_a_limit(options: dict[str, Any], named: int) -> None:
    bins = {(x, y): 7.0 + 0.01 * x + 0.1 * y for x in range(12) for y in (0, 10)}
    warning = judge(StripMedianDetector, with_bins(bins), **options).warning
    assert warning.startswith("0 red and 24 yellow bins")
    assert warning.count("rho") == named
    # The highest content first.
    assert named == 0 or "bins, (11, 10) rho +8.1" in warning


@pytest.mark.parametrize(("limit", "counted"), [(0, 6), (1, 2), (4, 5), (9, 6)])
def test_red_bins_may_be_counted_up_to_a_limit_and_one_more(limit: int, counted: int) -> None:
    bins = {(x, 2): 20.0 + x for x in range(6)}
    finding = judge(StripMedianDetector, with_bins(bins), PublishRedBins=limit)
    assert bins_of(finding) == {(5 - n, 2) for n in range(counted)}
    assert finding.note == f"{counted} red and 0 yellow bins"


def test_a_green_map_names_its_leading_bins() -> None:
    interval = with_bins({(x, x): float(x - 5) for x in range(11)})
    found = StripMedianDetector().examine(interval)
    # Signed: -5 is the largest in size and does not lead.
    assert found.leading == ((10, 10), (9, 9), (8, 8), (7, 7), (6, 6))
    assert StripMedianDetector().examine(with_bins({(0, 0): 9.0})).leading == ()


@pytest.mark.parametrize(
    ("options", "xs", "ys"),
    [
        ({}, range(12), range(20)),
        ({"xmin": 3.0}, range(3, 12), range(20)),
        ({"xmin": 3.5}, range(3, 12), range(20)),
        # The bin whose lower edge is the limit is left out.
        ({"xmax": 3.0}, range(3), range(20)),
        ({"xmax": 3.5}, range(4), range(20)),
        ({"ymin": 2.0, "ymax": 10.0}, range(12), range(2, 10)),
        ({"xmin": -5.0, "xmax": 99.0, "ymax": 0.5}, range(12), range(1)),
    ],
)
def test_only_the_part_in_the_range_is_judged(options: dict[str, float], xs: range, ys: range) -> None:
    found = StripMedianDetector(Settings(options=options)).examine(make_interval(flat()))
    assert {(int(x), int(y)) for x, y in np.argwhere(found.judged)} == {(x, y) for x in xs for y in ys}


@pytest.mark.parametrize("options", [{"xmin": 12.0}, {"xmax": 0.0}, {"ymin": 5.0, "ymax": 5.0}])
def test_a_range_without_bins_is_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"detector 'strip_median': no bin from [xy]min"):
        judge(StripMedianDetector, make_interval(flat()), **options)


def test_the_median_is_that_of_the_judged_part() -> None:
    contents = flat()
    contents[:, :12] = 400.0
    contents[3, 15] = 200.0
    thresholds = {"red": 9.0}
    assert bins_of(judge(StripMedianDetector, make_interval(contents), thresholds, ymin=12)) == {(3, 15)}
    # Of the whole strip it is (100 + 400 + 400) / 3, and 200 is near enough.
    assert (3, 15) not in bins_of(judge(StripMedianDetector, make_interval(contents), thresholds))


def test_strips_of_mostly_empty_bins_are_compared_with_their_mean() -> None:
    contents = flat()
    contents[4] = 0.0
    contents[4, 0] = 400.0
    found = StripMedianDetector(Settings(options={"VisualMode": 0})).examine(make_interval(contents))
    assert found.level[4, 0] == 400.0 / SHAPE[1]
    assert found.red == ((4, 0),)


@both
def test_bin_scores_do_not_care_for_what_is_seen_by_eye(kind: Kind) -> None:
    contents = flat()
    contents[3, 4] = 1.0
    contents[0, 0] = 1e6
    interval = make_interval(contents)
    detector = kind()
    assert isinstance(detector, BinScorer)
    scores = detector.bin_scores(interval, expect(flat()))
    assert scores.shape == SHAPE
    assert scores[3, 4] == pytest.approx(9.9)
    assert scores[8, 8] == 0.0
    assert (3, 4) not in bins_of(judge(kind, interval))


def test_bins_of_zero_have_a_score() -> None:
    contents = flat()
    contents[3, 4] = 0.0
    assert StripMedianDetector().bin_scores(make_interval(contents), expect(flat()))[3, 4] == 10.0


def test_a_histogram_of_one_dimension_is_one_strip() -> None:
    contents = np.full(30, LEVEL)
    contents[7] = 300.0
    (shape,) = judge(StripMedianDetector, make_interval(contents)).shapes
    assert (shape.bins, shape.expected) == (((7,),), LEVEL)


@both
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_contents_that_are_no_numbers_are_refused(kind: Kind, value: float) -> None:
    contents = flat()
    contents[3, 4] = value
    with pytest.raises(ValueError, match=f"detector '{kind.name}': contents are NaN or infinite"):
        judge(kind, make_interval(contents))


@pytest.mark.parametrize(
    ("kind", "option", "value"),
    [
        (StripMedianDetector, "VisualMode", 2),
        (StripMedianDetector, "VisualMode", "yes"),
        (StripMedianDetector, "SuppressFactor", "x"),
        (StripMedianDetector, "SuppressFactor", float("nan")),
        (StripMedianDetector, "xmin", float("inf")),
        (StripMedianDetector, "ClusterResult", None),
        (StripMedianDetector, "MaxPublish", -1),
        (StripMedianDetector, "PublishRedBins", 1.5),
        (StripMedianDetector, "ignoreval", True),
        (StripMedianOnlineDetector, "Nred_red", 0),
        (StripMedianOnlineDetector, "OnlineMode", -1),
    ],
)
def test_options_are_checked(kind: Kind, option: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"detector '{kind.name}': {option} "):
        kind(Settings(options={option: value}))


def test_each_variant_has_parameters_of_its_own() -> None:
    with pytest.raises(
        ValueError, match=r"detector 'strip_median' has no \['OnlineMode'\]; options are ClusterResult, "
    ):
        StripMedianDetector(Settings(options={"OnlineMode": 1}))
    with pytest.raises(ValueError, match=r"has no \['ignoreval'\]; .* thresholds are green, red"):
        StripMedianOnlineDetector(Settings(options={"ignoreval": 1}))


@pytest.mark.parametrize("value", [0.0, -1.0, float("inf")])
def test_thresholds_are_checked(value: float) -> None:
    with pytest.raises(ValueError, match="detector 'strip_median': red "):
        StripMedianDetector(Settings({"red": value}))


def test_green_above_red_is_refused() -> None:
    with pytest.raises(ValueError, match="detector 'strip_median': green 20 is above red 10"):
        StripMedianDetector(Settings({"green": 20.0, "red": 10.0}))
