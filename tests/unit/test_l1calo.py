"""L1Calo's strip medians: every class, count and colour against a bin-by-bin program in plain Python."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from helpers import axes_of, bins_of, expect, make_interval
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from monitor.detect.base import BinScorer, Finding, Settings
from monitor.detect.l1calo import L1CaloDetector, L1CaloResult
from monitor.detect.l1calo_rules import Widths, lasting, strip_probabilities, toy_samples
from monitor.detect.strips import Colour
from monitor.snapshot import AnyArray, FloatArray
from monitor.window import Interval

SHAPE = (10, 20)
CLASSES = {"Cold": -3.5, "Warm": 9.0, "Hot": 20.0}
QUIET = {"ProbThreshold": 0}
"""Single bins pull the mean of the toys away: strips with one are unlikely."""
Bin = tuple[int, int]
Slice = dict[Bin, float]
"""A slice, or a histogram without time: content by strip and bin."""


def make(**options: Any) -> L1CaloDetector:
    return L1CaloDetector(Settings(options=options))


def judge(interval: Interval, **options: Any) -> Finding:
    (finding,) = make(**options).judge([interval], [expect(np.ones(interval.contents.shape))])
    return finding


def examine(contents: AnyArray, **options: Any) -> L1CaloResult:
    return make(**options).examine(make_interval(contents))


def marked(plane: AnyArray) -> set[Bin]:
    return {tuple(int(i) for i in b) for b in np.argwhere(plane)}


def good(seed: int = 1, mean: float = 1000.0) -> FloatArray:
    """A map without a bin beyond any cut: strips of five values each."""
    levels = mean + 10.0 * np.array([-2, -1, 0, 1, 2] * 4)
    rng = np.random.default_rng(seed)
    return np.stack([rng.permutation(levels) for _ in range(SHAPE[0])])


# The plain program


def slow_slice(content: Slice, strips: int, bins: int, known: dict[str, set[Bin]], cuts: dict[str, float]) -> set[str]:
    """What one slice shows, as words such as ``Hot(3,4)``; default parameters."""
    least, ignore = 100.0, 0.0
    words: set[str] = set()
    kept = {x: sorted(content[x, y] for y in range(bins) if content[x, y] >= ignore) for x in range(strips)}
    total = {x: sum(values) for x, values in kept.items()}
    ordered = sorted(cuts.items(), key=lambda c: -abs(c[1]))
    lowest = min([0.0, *cuts.values()])
    width = {}
    for x, values in kept.items():
        n = len(values)
        width[x] = (values[int(n * 0.84)] - values[int(n * 0.16)]) / 2 if n else 0.0
    rows = {y for (x, y), v in content.items() if v >= ignore and v > 0}
    for x, values in kept.items():
        if len(rows) == bins and values and width[x] == 0 and total[x] == 0:
            beside = [total[i] for i in (x - 1, x + 1) if i in total]
            if any(t >= least for t in beside):
                words.add(f"DeadStrip{x}")
        for y in range(bins):
            v = content[x, y]
            if v < ignore:
                continue
            residual = (v - values[len(values) // 2]) / width[x] if width[x] else 0.0
            if v == 0 and residual < lowest:
                if (x, y) not in known.get("Dead", set()):
                    words.add(f"Dead({x},{y})")
                continue
            own = 0.0
            for name, cut in ordered:
                if (cut < 0 and residual < cut) or (cut > 0 and residual > cut and v >= least):
                    own = cut
                    if (x, y) not in known.get(name, set()):
                        words.add(f"{name}({x},{y})")
                    break
            if v > 0 and (x, y) in known.get("Dead", set()):
                words.add(f"UnDead({x},{y})")
            else:
                for name, cut in ordered:
                    if (x, y) in known.get(name, set()) and cut * own < 0:
                        words.add(f"Un{name}({x},{y})")
    return words


def counts_of(words: list[str]) -> dict[str, int]:
    counts = dict.fromkeys(("NDead", "NDeadStrip", "NWrongKnown", *(f"N{name}" for name in CLASSES)), 0)
    for word in words:
        name = word.split("(")[0].rstrip("0123456789")
        counts["NWrongKnown" if name.startswith("Un") else f"N{name}"] += 1
    return counts


def words_of(anomalies: dict[str, AnyArray]) -> set[str]:
    words = set()
    for name, plane in anomalies.items():
        if name == "DeadStrip":
            words |= {f"DeadStrip{x}" for x, _ in marked(plane)}
        elif name != "UnlikelyStrip":
            words |= {f"{name}({x},{y})" for x, y in marked(plane)}
    return words


def random_slice(rng: np.random.Generator, strips: int, bins: int) -> FloatArray:
    """Strips that are good, empty, constant, sparse or with absent bins, and single bins of every class."""
    level = rng.choice([0.0, 3.0, 60.0, 5000.0], size=(strips, 1))
    contents = rng.poisson(level, (strips, bins)).astype(float)
    contents[rng.random(strips) < 0.2] = 7.0
    contents = np.where(rng.random(contents.shape) < 0.08, 0.0, contents)
    contents = np.where(
        rng.random(contents.shape) < 0.08, rng.choice([0.3, 1.5, 4.0], contents.shape) * contents, contents
    )
    return np.where(rng.random(contents.shape) < 0.03, -5.0, contents)


@st.composite
def lists(draw: st.DrawFn, strips: int, bins: int) -> dict[str, set[Bin]]:
    places = st.sets(st.tuples(st.integers(0, strips - 1), st.integers(0, bins - 1)), max_size=12)
    return {name: draw(places) for name in ("Dead", *CLASSES)}


def as_options(known: dict[str, set[Bin]]) -> dict[str, str]:
    return {f"Known{name}": ",".join(f"{x}:{y}" for x, y in sorted(bins)) for name, bins in known.items()}


@pytest.mark.parametrize(("strips", "bins"), [(1, 1), (1, 12), (9, 1), (6, 11), (3, 65)])
@given(data=st.data(), seed=st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_bins_are_classified_as_the_plain_program_does(strips: int, bins: int, data: st.DataObject, seed: int) -> None:
    contents = random_slice(np.random.default_rng(seed), strips, bins)
    known = data.draw(lists(strips, bins))
    found = examine(contents, **as_options(known))
    wanted = slow_slice({b: float(v) for b, v in np.ndenumerate(contents)}, strips, bins, known, CLASSES)
    assert words_of(dict(found.anomalies)) == wanted
    counts = counts_of(sorted(wanted))
    if found.counts["NDeadStrip"] == -1:
        assert not (contents > 0).any(axis=0).all()
        counts["NDeadStrip"] = -1
    assert {name: count for name, count in found.counts.items() if name != "NConsecUnlikelyStrip"} == counts


@pytest.mark.parametrize("convention", ["64(x-1)+y", "position"])
@pytest.mark.parametrize("axis", ["x", "y"])
@pytest.mark.parametrize("live", [0, 1])
@given(data=st.data(), seed=st.integers(0, 2**32), duration=st.integers(1, 4))
@settings(max_examples=30, deadline=None)
def test_in_time_anomalies_count_that_last_as_the_plain_program_says(
    convention: str, axis: str, live: int, data: st.DataObject, seed: int, duration: int
) -> None:
    slices, strips, bins = 9, 3, 5
    rng = np.random.default_rng(seed)
    contents = np.repeat(random_slice(rng, strips, bins)[None], slices, axis=0)
    for t in range(1, slices):
        # Most of a slice is as before, so that something lasts.
        contents[t] = np.where(rng.random((strips, bins)) < 0.15, random_slice(rng, strips, bins), contents[t - 1])
    contents[rng.random(slices) < 0.15] = 0.0
    known = data.draw(lists(strips, bins))

    said = [
        slow_slice({b: float(v) for b, v in np.ndenumerate(one)}, strips, bins, known, CLASSES)
        if (one > 0).any()
        else set()
        for one in contents
    ]
    filled = [t for t in range(slices) if (contents[t] > 0).any()]
    until = None
    if live:
        for t in filled[-1:]:
            said[t] = set()
        until = filled[-2] if len(filled) > 1 else -1
    ends, bad_bins = [], set()
    for word in {w for one in said for w in one}:
        start = None
        for t in range(slices + 1):
            there = t < slices and word in said[t]
            if there and start is None:
                start = t
            elif not there and start is not None:
                if t - start >= duration and (until is None or t - 1 == until):
                    ends.append(word)
                    bad_bins |= {(s, word) for s in range(start, t)}
                start = None

    y_first = convention.endswith("+y")
    flat = contents.reshape(slices, -1) if y_first else contents.transpose(0, 2, 1).reshape(slices, -1)
    # A place more than the slices have is left over.
    plane = np.pad(flat, ((0, 0), (0, 1)))
    axes = [replace(axis_, title=title) for axis_, title in zip(axes_of(plane.shape), ("LB", convention), strict=True)]
    plane, axes = (plane, axes) if axis == "x" else (plane.T, axes[::-1])
    detector = make(NBinsY=bins, TimeAxis=axis, MinDuration=duration, LiveMode=live, **as_options(known))
    found = detector.examine(make_interval(plane, axes=tuple(axes)))
    assert found.counts == counts_of(ends)

    def place(x: int, y: int) -> int:
        return bins * x + y if y_first else strips * y + x

    wanted: dict[str, set[Bin]] = {}
    for t, word in bad_bins:
        name = word.split("(")[0].rstrip("0123456789")
        if name == "DeadStrip":
            x = int(word.removeprefix("DeadStrip"))
            where = {place(x, y) for y in range(bins)}
        else:
            where = {place(*(int(i) for i in word.split("(")[1].rstrip(")").split(",")))}
        wanted.setdefault(name, set()).update((t, p) if axis == "x" else (p, t) for p in where)
    assert {name: bins_ for name, p in found.anomalies.items() if (bins_ := marked(p))} == wanted


# Unlikely strips


@given(seed=st.integers(0, 2**32), level=st.sampled_from([3.0, 60.0, 5000.0]))
@settings(max_examples=40, deadline=None)
def test_the_probability_of_a_strip_is_that_of_two_samples(seed: int, level: float) -> None:
    """The toys are found by their distance: whatever they are, the same strip twice has the same ones."""
    rng = np.random.default_rng(seed)
    strip = rng.poisson(level, 40).astype(float)
    odd = np.where(np.arange(40) < 20, strip, 3.0 * strip)
    both = Widths.of(np.stack([strip, odd])[None], 0.0)
    probability = strip_probabilities(both, 0.0)
    np.testing.assert_array_equal(probability, strip_probabilities(both, 0.0))
    for p in probability:
        # A Kolmogorov probability of two samples of 40: the distance is a multiple of 1/40.
        distance = float(stats.kstwobign.isf(p)) / math.sqrt(20.0) if 0 < p < 1 else round(1.0 - p)
        assert abs(40 * distance - round(40 * distance)) < 1e-6


def test_good_strips_are_likely_and_odd_ones_are_not() -> None:
    rng = np.random.default_rng(2)
    gaussian = rng.normal(5000.0, 70.0, (300, 65))
    few = rng.poisson(30.0, (300, 65)).astype(float)
    split = np.where(np.arange(65) < 20, 3000.0, 0.0) + gaussian
    for contents, share in ((gaussian, 0.0), (few, 0.0), (split, 1.0)):
        probability = strip_probabilities(Widths.of(contents[None], 0.0), 0.0)
        assert float((probability < 0.01).mean()) == pytest.approx(share, abs=0.03)


@pytest.mark.parametrize(
    ("mean", "sigma", "law"),
    [
        (400.0, 20.0, stats.norm(400.0, 20.0)),
        (30.0, 9.9, stats.poisson(30.0)),
        (30.0, 12.0, stats.norm(30.0, 12.0)),
        (4e9, 1.0, stats.norm(4e9, math.sqrt(4e9))),
    ],
)
def test_toys_follow_their_law(mean: float, sigma: float, law: Any) -> None:
    toys = toy_samples(np.array([mean]), np.array([sigma]), 20_000, -math.inf)[0]
    for share in (0.02, 0.16, 0.5, 0.84, 0.98):
        edge = float(law.ppf(share))
        assert float((toys <= edge).mean()) == pytest.approx(float(law.cdf(edge)), abs=0.015)


@pytest.mark.parametrize("sigma", [1.0, 80.0])
def test_toys_are_drawn_again_below_what_is_ignored(sigma: float) -> None:
    toys = toy_samples(np.array([40.0]), np.array([sigma]), 5000, 38.0)[0]
    assert toys.min() >= 38.0
    assert len(np.unique(toys)) > 10
    assert not toy_samples(np.array([40.0]), np.zeros(1), 5000, 38.0).any()


@pytest.mark.parametrize(
    ("odd", "colour"), [(2, Colour.GREEN), (3, Colour.YELLOW), (5, Colour.YELLOW), (6, Colour.RED)]
)
def test_unlikely_strips_count_where_they_are_side_by_side(odd: int, colour: Colour) -> None:
    rng = np.random.default_rng(4)
    contents = rng.normal(5000.0, 70.0, (20, 65))
    # A third of such a strip is elsewhere, which widens it: no single bin stands out.
    contents[3 : 3 + odd, :20] += 3000.0
    # Others, apart, are not more of them.
    contents[14, :20] += 3000.0
    found = examine(contents, ColdCut=-5)
    assert found.counts["NConsecUnlikelyStrip"] == odd
    assert found.colour is colour
    finding = judge(make_interval(contents), ColdCut=-5)
    assert finding.bad == (colour is Colour.RED)
    if finding.bad:
        assert {x for x, _ in bins_of(finding)} == {*range(3, 3 + odd), 14}
        assert {s.kind for s in finding.shapes} <= {"strip", "layer"}


def test_the_same_histogram_has_the_same_toys() -> None:
    contents = np.random.default_rng(5).normal(5000.0, 70.0, (20, 65))
    assert examine(contents).counts == examine(contents).counts


# Verdicts


def test_a_good_map_is_green() -> None:
    found = examine(good(), **QUIET)
    assert found.colour is Colour.GREEN
    assert not any(found.counts.values())
    assert judge(make_interval(good()), **QUIET).note == ""


@pytest.mark.parametrize(
    ("name", "value", "green", "red"),
    [("Dead", 0.0, 0, 2), ("Cold", 800.0, 0, 2), ("Warm", 1250.0, 0, 5), ("Hot", 2000.0, 0, 2)],
)
@pytest.mark.parametrize("number", range(7))
def test_more_than_the_limits_is_yellow_or_red(name: str, value: float, green: int, red: int, number: int) -> None:
    contents = good()
    where = [(x, (3 * x) % 20) for x in range(number)]
    for place in where:
        contents[place] = value
    found = examine(contents, **QUIET)
    assert found.counts[f"N{name}"] == number == sum(found.counts.values())
    assert found.colour is (Colour.RED if number > red else Colour.YELLOW if number > green else Colour.GREEN)
    finding = judge(make_interval(contents), **QUIET)
    assert finding.bad == (number > red)
    assert bins_of(finding) == (set(where) if number > red else set())
    assert finding.warning == (f"N{name} {number}" if green < number <= red else "")


def test_a_red_map_shows_every_bin_that_counted() -> None:
    contents = good()
    contents[2, 3], contents[4, 5], contents[6, 7], contents[8, 9] = 0.0, 0.0, 0.0, 1250.0
    finding = judge(make_interval(contents), **QUIET)
    assert {(s.sign, s.bins) for s in finding.shapes} == {
        ("dead", ((2, 3),)),
        ("dead", ((4, 5),)),
        ("dead", ((6, 7),)),
        ("high", ((8, 9),)),
    }
    assert finding.note == "NDead 3, NWarm 1"
    (warm,) = (s for s in finding.shapes if s.sign == "high")
    # Half of the width of the middle of the strip is 20.
    assert (warm.expected, warm.significance) == (1000.0, 12.5)


def test_the_largest_cut_counts_first() -> None:
    contents = good()
    contents[2, 3], contents[4, 5] = 1250.0, 1450.0
    found = examine(contents, **QUIET, ScorchingCut=22.0, NScorching="0,0")
    assert (found.counts["NWarm"], found.counts["NHot"], found.counts["NScorching"]) == (1, 0, 1)
    assert found.colour is Colour.RED
    # A class without limits is counted and changes no colour.
    assert examine(contents, **QUIET, ScorchingCut=22.0).colour is Colour.YELLOW


def test_a_cut_of_zero_is_no_class() -> None:
    contents = good()
    contents[2, 3] = 800.0
    found = examine(contents, **QUIET, ColdCut=0)
    assert "NCold" not in found.counts
    assert found.colour is Colour.GREEN
    # Dead bins are those below the most negative cut, here none.
    contents[2, 3] = 0.0
    assert examine(contents, **QUIET, ColdCut=0).counts["NDead"] == 1


def test_what_is_known_does_not_count_until_it_changes() -> None:
    contents = good()
    contents[2, 3], contents[4, 5] = 0.0, 1450.0
    lists_ = {"KnownDead": "2:3", "KnownHot": "4:5"}
    quiet = examine(contents, **QUIET, **lists_)
    assert (quiet.colour, sum(quiet.counts.values())) == (Colour.GREEN, 0)
    contents[2, 3], contents[4, 5] = 1000.0, 800.0
    found = examine(contents, **QUIET, **lists_)
    assert (found.counts["NWrongKnown"], found.counts["NCold"]) == (2, 1)
    assert marked(found.anomalies["UnDead"]) == {(2, 3)}
    assert marked(found.anomalies["UnHot"]) == {(4, 5)}
    assert examine(contents, **QUIET, **lists_, NWrongKnown="0,1").colour is Colour.RED
    # One that is in both lists is wrong once.
    assert examine(contents, **QUIET, KnownDead="4:5", KnownHot="4:5").counts["NWrongKnown"] == 1


def test_positive_cuts_need_content() -> None:
    contents = np.full(SHAPE, 1.0)
    contents[:, ::3] = 2.0
    contents[:, 1::6] = 3.0
    contents[2, 3], contents[4, 5] = 99.0, 100.0
    found = examine(contents, **QUIET)
    assert marked(found.anomalies["Hot"]) == {(4, 5)}


def test_a_dead_strip_is_red_if_a_neighbour_holds_enough() -> None:
    contents = good()
    contents[4] = 0.0
    finding = judge(make_interval(contents), **QUIET)
    (shape,) = finding.shapes
    assert (shape.kind, shape.axis, shape.index, shape.sign) == ("strip", "x", 4, "dead")
    assert (shape.observed, shape.expected) == (0.0, 20_000.0)
    assert finding.score == -shape.significance == pytest.approx(math.sqrt(20_000.0))
    contents[3] = contents[5] = 0.0
    # The one in the middle has no neighbour that holds anything.
    assert {x for x, _ in marked(examine(contents, **QUIET).anomalies["DeadStrip"])} == {3, 5}


def test_dead_strips_are_not_looked_for_while_rows_are_empty() -> None:
    contents = good()
    contents[4] = 0.0
    contents[:, 7] = 0.0
    found = examine(contents, **QUIET)
    assert found.counts["NDeadStrip"] == -1
    assert not found.anomalies["DeadStrip"].any()


def test_a_histogram_of_few_entries_is_yellow() -> None:
    contents = good()
    contents[2, 3] = contents[2, 4] = contents[2, 5] = 0.0
    interval = replace(make_interval(contents), total=99.0)
    finding = judge(interval)
    assert not finding.bad
    assert finding.warning == "only 99 entries, MinStat is 100"
    assert judge(interval, MinStat=99).bad


def test_only_the_part_in_the_range_is_judged_and_known_bins_keep_their_numbers() -> None:
    contents = good()
    contents[2, 3] = contents[6, 7] = contents[6, 9] = 0.0
    found = examine(contents, **QUIET, xmin=5.0, ymin=4.0, KnownDead="6:9")
    assert marked(found.anomalies["Dead"]) == {(6, 7)}
    assert found.judged.sum() == 5 * 16


def test_time_may_be_cut_to_a_range() -> None:
    contents = np.repeat(good().reshape(1, -1), 8, axis=0)
    contents[2:7, 0] = 0.0
    options = {**QUIET, "NBinsY": 20, "NDead": "0,0"}
    assert marked(examine(contents, **options).anomalies["Dead"]) == {(t, 0) for t in range(2, 7)}
    assert marked(examine(contents, **options, xmax=5.0).anomalies["Dead"]) == {(2, 0), (3, 0), (4, 0)}
    assert not marked(examine(contents, **options, xmax=4.0).anomalies["Dead"])


def test_in_live_mode_the_slice_that_fills_does_not_count() -> None:
    contents = np.repeat(good().reshape(1, -1), 8, axis=0)
    contents[6:] = 0.0
    # Slice 5 is being filled; what began at 3 has lasted two slices, what began at 2 three.
    contents[3:, 0] = contents[2:, 5] = 0.0
    contents[0:4, 9] = 0.0
    options = {**QUIET, "NBinsY": 20, "NDead": "0,0"}
    live = make_interval(contents)
    assert {place for _, place in bins_of(judge(live, **options, LiveMode=1))} == {5}
    assert {place for _, place in bins_of(judge(live, **options))} == {0, 5, 9}


@given(st.lists(st.booleans(), min_size=1, max_size=30), st.integers(1, 5))
def test_what_lasts_is_what_is_there_long_enough(there: list[bool], duration: int) -> None:
    text = "".join("x" if t else "." for t in there)
    kept, times = lasting(np.array(there)[:, None], duration, None)
    runs = [run for run in text.split(".") if len(run) >= duration]
    assert times == len(runs)
    assert int(kept.sum()) == sum(map(len, runs))
    assert not (kept[:, 0] & ~np.array(there)).any()


def test_bin_scores_are_residuals() -> None:
    contents = good()
    contents[2, 3] = 0.0
    contents[4] = 7.0
    detector = make()
    assert isinstance(detector, BinScorer)
    scores = detector.bin_scores(make_interval(contents), expect(np.ones(SHAPE)))
    assert scores[2, 3] == 50.0
    assert not scores[4].any()
    flat = make_interval(np.stack([contents.reshape(-1)] * 2))
    in_time = make(NBinsY=20).bin_scores(flat, expect(np.ones((2, 200))))
    assert in_time.shape == (2, 200)


def test_a_histogram_of_one_dimension_is_one_strip() -> None:
    contents = good()[0]
    contents[[3, 8, 12]] = 0.0
    assert bins_of(judge(make_interval(contents), **QUIET)) == {(3,), (8,), (12,)}
    assert not judge(make_interval(contents), **QUIET, KnownDead="3,8").bad


def test_without_limits_nothing_is_said() -> None:
    contents = good()
    contents[2, :5] = 0.0
    none = dict.fromkeys(("NDead", "NCold", "NWarm", "NHot", "NDeadStrip", "NWrongKnown", "NConsecUnlikelyStrip"), "")
    assert examine(contents, **none).colour is Colour.UNDEFINED
    assert judge(make_interval(contents), **none).note == "undefined: no limits"


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("HotCut", "x"),
        ("KnownHot", "3;4"),
        ("KnownHot", "1:2:3"),
        ("KnownHot", 3),
        ("NHot", "2"),
        ("NHot", "-1,2"),
        ("NHot", 2),
        ("MinDuration", 0),
        ("LiveMode", 3),
        ("TimeAxis", "z"),
        ("NBinsY", -1),
        ("ProbThreshold", 2.0),
    ],
)
def test_options_are_checked(option: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"detector 'l1calo_strip_median': {option} "):
        make(**{option: value})


@pytest.mark.parametrize("option", ["KnownOdd", "NOdd"])
def test_a_class_needs_its_cut(option: str) -> None:
    value = "1,2"
    with pytest.raises(ValueError, match=rf"has no \['{option}'\]: every class needs its <Name>Cut; classes are Cold"):
        make(**{option: value})
    make(**{option: value}, OddCut=2.0)


def test_names_that_have_a_meaning_are_no_classes() -> None:
    with pytest.raises(ValueError, match=r"has no \['Dead'\]"):
        make(DeadCut=-9.0)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"KnownHot": "10:0"}, "KnownHot 10:0 is no bin of 10 x 20"),
        ({"KnownHot": "3"}, "KnownHot 3 is no bin of 10 x 20"),
        ({"NBinsY": 21}, "NBinsY 21 needs an axis of time"),
        ({"NBinsY": 5, "KnownDead": "4:0"}, "KnownDead 4:0 is no bin of 4 x 5"),
        ({"xmin": 10.0}, "no bin from xmin"),
    ],
    ids=str,
)
def test_a_histogram_that_does_not_fit_is_refused(options: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=f"detector 'l1calo_strip_median': {why}"):
        judge(make_interval(good()), **options)


def test_a_green_limit_above_the_red_one_is_refused() -> None:
    with pytest.raises(ValueError, match="NHot '5,2', the first limit must not exceed the second"):
        L1CaloDetector(Settings(options={"NHot": "5,2"}))
