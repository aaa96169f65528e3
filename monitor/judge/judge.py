"""Verdicts, for a batch of intervals at a time: intervals with one rule, expectation and shape share one call."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from monitor.detect.base import Finding
from monitor.judge.catalogue import Catalogue, Entry
from monitor.judge.words import describe
from monitor.verdict import Judgement, Shape, Verdict
from monitor.window import Interval, State

SURE = 25.0
"""Expected entries from which on an empty histogram is no chance: exp(-25) is 1e-11."""
MAX_SHAPES = 32
"""Shapes of one map beyond which they are one: a storm of alarms tells nobody anything."""
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

    def judge(self, intervals: Sequence[Interval]) -> list[Judgement]:
        """Judge intervals; one judgement each, in their order."""
        judgements: list[Judgement | None] = [None] * len(intervals)
        entries = [self._catalogue[interval.key] for interval in intervals]
        groups: dict[tuple[int, tuple[int, ...], bool], list[int]] = {}
        for index, interval in enumerate(intervals):
            entry = entries[index]
            if entry.expected is None or entry.rule is None:
                judgements[index] = _without(interval, entry, Verdict.NO_MODEL, entry.missing)
            elif interval.contents.shape != entry.expected.reference.shape:
                wanted = " x ".join(map(str, entry.expected.reference.shape))
                found = " x ".join(map(str, interval.contents.shape))
                judgements[index] = _without(
                    interval, entry, Verdict.ERROR, f"binning {found}, its expectation has {wanted}: learn it anew"
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
        # What is empty is compared with what the same batch says of the beam, so it comes last.
        for index, interval in enumerate(intervals):
            if judgements[index] is None:
                judgements[index] = self._judge_unready(interval, entries[index])
        return [j for j in judgements if j is not None]

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
            if finding.exposure and not intervals[i].kind.is_profile:
                self._see_beam(intervals[i], finding.exposure)

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


def _together(shapes: Sequence[Shape]) -> Shape:
    """Return one shape for a map that is wrong in more places than anyone will look at one by one."""
    worst = max(shapes, key=lambda s: abs(s.significance))
    return Shape(
        kind="map",
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
        **_common(interval, entry),  # type: ignore[arg-type]
    )
