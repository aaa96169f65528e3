"""Verdicts, for a batch of intervals at a time: intervals with one rule, expectation and shape share one call."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

from monitor.detect.base import Finding
from monitor.detect.geometry import DEAD, MAX_SHAPES
from monitor.infer import Reference
from monitor.judge.adaptive import AdaptiveJudge
from monitor.judge.catalogue import Catalogue, Entry
from monitor.judge.entries import SURE
from monitor.judge.named import name_faults
from monitor.judge.rates import BAD_BELOW, RateWatch, in_words
from monitor.judge.scale import at_odd_scale
from monitor.judge.words import describe
from monitor.snapshot import same_ranges
from monitor.verdict import Judgement, Shape, Verdict
from monitor.window import Interval, State

_STREAMS = 10_000
_MEMORY = 32


@dataclass(slots=True)
class _Beam:
    """Exposure per lumisection of a stream, from the histograms of it that were judged last."""

    run: int
    lumisection: int
    rates: list[float]

    def rate(self) -> float:
        ordered = sorted(self.rates)
        return ordered[len(ordered) // 2] if ordered else 0.0


class Judge:
    """Turn intervals into judgements.

    Parameters
    ----------
    catalogue
        Rules and expectations.
    on_error
        Called with the histogram's key and the exception when a detector fails; the verdict is ERROR.
    """

    def __init__(self, catalogue: Catalogue, on_error: Callable[[str, Exception], None] | None = None) -> None:
        self._catalogue = catalogue
        self._on_error = on_error
        self._beams: OrderedDict[str, _Beam] = OrderedDict()
        self._adaptive = AdaptiveJudge()
        self._rates = RateWatch()

    def forget(self, keys: Collection[str]) -> None:
        """Let go of what is known of histograms, ``stream/path``, that are another worker's now."""
        self._adaptive.forget(keys)
        self._rates.forget(keys)

    def judge(self, intervals: Sequence[Interval]) -> list[Judgement]:
        """Judge intervals; one judgement each, in their order."""
        judgements: list[Judgement | None] = [None] * len(intervals)
        entries = [self._catalogue[interval.key] for interval in intervals]
        groups: dict[tuple[int, tuple[int, ...], bool], list[int]] = {}
        for index, interval in enumerate(intervals):
            entry = entries[index]
            if entry.rule is not None and entry.rule.adaptive is not None:
                if interval.state is not State.EMPTY:
                    judgements[index] = self._judge_adaptive(interval, entry)
            elif entry.expected is None or entry.rule is None:
                judgements[index] = _without(interval, entry, Verdict.NO_MODEL, entry.missing)
            elif interval.contents.shape != entry.expected.reference.shape:
                wanted = " x ".join(map(str, entry.expected.reference.shape))
                found = " x ".join(map(str, interval.contents.shape))
                judgements[index] = _without(
                    interval, entry, Verdict.ERROR, f"binning {found}, its expectation has {wanted}: learn it anew"
                )
            elif not same_ranges(_ranges(interval), entry.expected.reference.ranges):
                ranges = entry.expected.reference.ranges
                found, wanted = (" x ".join(f"{a:g} to {b:g}" for a, b in r) for r in (_ranges(interval), ranges))
                judgements[index] = _without(
                    interval, entry, Verdict.ERROR, f"axes of {found}, its expectation has {wanted}: learn it anew"
                )
            elif interval.kind.is_profile != entry.expected.reference.profile:
                judgements[index] = _without(
                    interval,
                    entry,
                    Verdict.ERROR,
                    f"a {interval.kind.value}, its expectation was learned from another kind",
                )
            elif interval.total > 0 and (
                interval.state is State.READY or (interval.state is State.STUCK and _is_exact(entry))
            ):
                group = (id(entry.rule), interval.contents.shape, interval.kind.is_profile)
                groups.setdefault(group, []).append(index)
        for members in groups.values():
            self._judge_group(intervals, entries, members, judgements)
        self._watch_rates(intervals, entries, judgements)
        # What is empty is compared with what the same batch says of the beam, so it comes last.
        for index, interval in enumerate(intervals):
            if judgements[index] is None:
                entry = entries[index]
                adaptive = entry.rule is not None and entry.rule.adaptive is not None
                judgements[index] = (self._judge_adaptive if adaptive else self._judge_unready)(interval, entry)
        return name_faults(intervals, entries, [j for j in judgements if j is not None], self._on_error)

    def _judge_group(
        self,
        intervals: Sequence[Interval],
        entries: Sequence[Entry],
        members: list[int],
        judgements: list[Judgement | None],
    ) -> None:
        rule = entries[members[0]].rule
        assert rule is not None
        expected = [e for i in members if (e := entries[i].expected) is not None]
        try:
            findings = rule.detector.judge([intervals[i] for i in members], expected)
            found = [_with(intervals[i], entries[i], f) for i, f in zip(members, findings, strict=True)]
            found = [
                at_odd_scale(intervals[i], e.reference, j) if intervals[i].absolute else j
                for i, e, j in zip(members, expected, found, strict=True)
            ]
        except Exception as error:  # noqa: BLE001 - ring two: a detector that fails on a batch is reported and the next batch goes on
            if len(members) > 1:
                # One histogram that it cannot take must not cost the others their verdicts.
                for i in members:
                    self._judge_group(intervals, entries, [i], judgements)
                return
            (i,) = members
            if self._on_error is not None:
                self._on_error(intervals[i].key, error)
            judgements[i] = _without(
                intervals[i], entries[i], Verdict.ERROR, f"detector {rule.detector.name} failed: {error!r}"
            )
            return
        for i, finding, judgement in zip(members, findings, found, strict=True):
            judgements[i] = judgement
            if finding.exposure and not intervals[i].kind.is_profile and not intervals[i].absolute:
                self._see_beam(intervals[i], finding.exposure)

    def _judge_adaptive(self, interval: Interval, entry: Entry) -> Judgement:
        """Compare the next interval of a histogram with its own past."""
        rule = entry.rule
        assert rule is not None
        assert rule.adaptive is not None
        beam = self._beams.get(interval.stream)
        filling = beam is not None and beam.run == interval.run and beam.lumisection >= interval.lumisection
        try:
            finding = self._adaptive.judge(interval, rule.detector, rule.adaptive, filling)
        except Exception as error:  # noqa: BLE001 - ring two, as for a group
            if self._on_error is not None:
                self._on_error(interval.key, error)
            return _without(interval, entry, Verdict.ERROR, f"detector {rule.detector.name} failed: {error!r}")
        if isinstance(finding, str):
            return _without(interval, entry, Verdict.TOO_FEW, finding)
        if finding.exposure:
            self._see_beam(interval, finding.exposure)
        return _with(interval, entry, finding)

    def _watch_rates(
        self, intervals: Sequence[Interval], entries: Sequence[Entry], judgements: list[Judgement | None]
    ) -> None:
        """Say of judged histograms of counts that fill at another rate than before, unlike the others."""
        places: list[int] = []
        seen: list[Interval] = []
        rates: list[float] = []
        numbers: list[float] = []
        for index, judgement in enumerate(judgements):
            if judgement is None or judgement.exposure is None or not judgement.verdict.is_judgement:
                continue
            interval, expected = intervals[index], entries[index].expected
            if expected is None or interval.kind.is_profile or interval.absolute or expected.reference.constant:
                continue
            places.append(index)
            seen.append(interval)
            rates.append(judgement.exposure / interval.lumisections)
            numbers.append(interval.total / expected.reference.unit)
        for index, departure in zip(places, self._rates.look(seen, rates, numbers), strict=True):
            if departure == 1.0:
                continue
            judgement, expected = judgements[index], entries[index].expected
            if judgement is not None and expected is not None:
                judgements[index] = _at_odd_rate(intervals[index], expected.reference, judgement, departure)

    def _see_beam(self, interval: Interval, exposure: float) -> None:
        beam = self._beams.get(interval.stream)
        if beam is None or beam.run != interval.run:
            beam = self._beams[interval.stream] = _Beam(interval.run, interval.lumisection, [])
            while len(self._beams) > _STREAMS:
                self._beams.popitem(last=False)
        self._beams.move_to_end(interval.stream)
        beam.lumisection = max(beam.lumisection, interval.lumisection)
        beam.rates = [*beam.rates[1 - _MEMORY :], exposure / interval.lumisections]

    def _judge_unready(self, interval: Interval, entry: Entry) -> Judgement:
        assert entry.rule is not None
        assert entry.expected is not None
        reference = entry.expected.reference
        if interval.state is State.JOINED:
            return _without(
                interval, entry, Verdict.TOO_FEW, "joined its run in the middle: judged from the next update on"
            )
        if interval.state is State.STUCK and not _is_exact(entry):
            return _whole(interval, entry, "repeats the content of the last interval bin by bin: its producer is stuck")
        if interval.state is State.EMPTY or interval.total == 0:
            # Models in thesis B's scales know no contents, and so not that there should be none.
            rateless = entry.expected.normalisation != "exposure"
            if reference.total == 0 and not reference.live.any() and not rateless:
                return _without(interval, entry, Verdict.GOOD, "empty, as in its references")
            beam = self._beams.get(interval.stream)
            if beam is None or beam.run != interval.run or beam.lumisection < interval.lumisection:
                return _without(
                    interval,
                    entry,
                    Verdict.TOO_FEW,
                    "nothing new, and no other histogram yet tells whether there is beam",
                )
            # A profile's total is a sum of means: what it should have gathered is not known, but many bins say enough.
            span = interval.silent or interval.lumisections
            wanted = beam.rate() * span * (SURE if reference.profile or rateless else reference.total)
            if wanted < SURE:
                return _without(
                    interval, entry, Verdict.TOO_FEW, f"nothing new, but only {wanted:.1f} entries were expected"
                )
            return _whole(interval, entry, "no new entries while other histograms of its stream fill: nothing arrives")
        minimum = entry.rule.minimum
        return _without(
            interval,
            entry,
            Verdict.TOO_FEW,
            f"{interval.total:.6g} entries in {interval.lumisections} lumisections gathered, "
            f"{minimum.entries:g} in {minimum.lumisections} needed",
        )


def _is_exact(entry: Entry) -> bool:
    """Whether every good interval shows the same numbers, so that a repetition says nothing."""
    assert entry.expected is not None
    reference = entry.expected.reference
    return reference.constant or not (reference.counts or reference.profile)


def _common(interval: Interval, entry: Entry) -> dict[str, object]:
    rule, expected = entry.rule, entry.expected
    return {
        "stream": interval.stream,
        "path": interval.path,
        "kind": interval.kind,
        "run": interval.run,
        "lumisection": interval.lumisection,
        "first_lumisection": interval.first_lumisection,
        "time_ns": interval.time_ns,
        "detector": rule.detector.name if rule else "",
        "model": expected.reference.name if expected else "",
        "histogram_type": rule.name if rule else "",
        "subsystem": rule.subsystem if rule else "unknown",
        "guidance": rule.guidance if rule else "",
    }


def _ranges(interval: Interval) -> tuple[tuple[float, float], ...]:
    return tuple([axis.range for axis in interval.axes])


def _without(interval: Interval, entry: Entry, verdict: Verdict, reason: str) -> Judgement:
    return Judgement(verdict=verdict, reason=reason, **_common(interval, entry))  # type: ignore[arg-type]


def _whole(interval: Interval, entry: Entry, reason: str) -> Judgement:
    """Return BAD for the map as one thing."""
    assert entry.expected is not None
    reference = entry.expected.reference
    live = reference.live if reference.live.any() else interval.contents == interval.contents
    bins = tuple(tuple(int(i) for i in b) for b in zip(*live.nonzero(), strict=True))
    # Certain beyond what a number of standard deviations can say; 38 is where a float64 p-value ends.
    shape = Shape(
        kind="map",
        sign="dead",
        axis=None,
        index=None,
        bins=bins,
        significance=-38.0,
        observed=0.0,
        # A sum of means would mean nothing: of a profile the mean is lost.
        expected=float(reference.rate[live].mean())
        if reference.profile
        else reference.total * (interval.silent or interval.lumisections),
    )
    return Judgement(
        verdict=Verdict.BAD,
        reason=reason,
        score=38.0,
        p_value=0.0,
        shapes=(shape,),
        **_common(interval, entry),  # type: ignore[arg-type]
    )


def _at_odd_rate(interval: Interval, reference: Reference, judgement: Judgement, departure: float) -> Judgement:
    """Return a judgement that says that the whole histogram fills at an odd rate."""
    words = in_words(departure)
    reason = words if judgement.verdict is Verdict.GOOD else f"{judgement.reason}; {words}"
    if departure >= BAD_BELOW:
        verdict = Verdict.WARNING if judgement.verdict is Verdict.GOOD else judgement.verdict
        return replace(judgement, verdict=verdict, reason=reason)
    # Shapes that were found are part of what is missing: they stand for it.
    expected = interval.total / departure if departure > 0 else reference.total * interval.lumisections
    away = (expected - interval.total) / (reference.unit * max(expected / reference.unit, 1.0) ** 0.5)
    whole = Shape(
        kind="map",
        sign="low" if departure > DEAD else "dead",
        axis=None,
        index=None,
        bins=tuple(tuple(int(i) for i in b) for b in zip(*reference.live.nonzero(), strict=True)),
        significance=-min(38.0, away),
        observed=interval.total,
        expected=expected,
    )
    return replace(
        judgement,
        verdict=Verdict.BAD,
        reason=reason,
        score=max(judgement.score, -whole.significance),
        shapes=judgement.shapes or (whole,),
    )


def _together(shapes: Sequence[Shape]) -> Shape:
    """Return one shape for a map that is wrong in more places than anyone will look at one by one."""
    worst = max(shapes, key=lambda s: abs(s.significance))
    return Shape(
        kind="region",
        sign=worst.sign,
        axis=None,
        index=None,
        bins=tuple(sorted({b for shape in shapes for b in shape.bins})),
        significance=worst.significance,
        observed=sum(shape.observed for shape in shapes),
        expected=sum(shape.expected for shape in shapes),
    )


def _with(interval: Interval, entry: Entry, finding: Finding) -> Judgement:
    if len(finding.shapes) > MAX_SHAPES:
        finding = replace(finding, shapes=(_together(finding.shapes),))
    verdict = Verdict.BAD if finding.bad else Verdict.WARNING if finding.warning else Verdict.GOOD
    return Judgement(
        verdict=verdict,
        reason=describe(finding),
        score=finding.score,
        p_value=finding.p_value,
        shapes=finding.shapes,
        exposure=finding.exposure,
        visible=finding.visible,
        **_common(interval, entry),  # type: ignore[arg-type]
    )
