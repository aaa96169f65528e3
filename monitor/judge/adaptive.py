"""Time-ordered judging: each lumisection against the last good ones of the same histogram.

For histograms without good runs at hand. Two checks:

- **rate**: entries per lumisection against the median of the last ones of the run;
- **shape**: a detector's score against a reference of the last good intervals, divided by the level that 90 % of the
  last good scores stay below; as long as these are few, by what they stay below by statistics alone, as the largest of
  so many windows. So a histogram that is restless by nature is judged by its own measure. Bins that fall silent are
  looked for too, and are bad whatever the level. Detectors that know no standard deviations decide themselves.

What was flagged is never learned from. A new state is taken over only if it persists: after 3 flagged lumisections in
a row at the beginning of a run, 12 later, and only if these agree with one another, each with the rest of them by the
measure (systematic and level) of the good ones. So a step is one alarm, and a state that flickers is none that good
lumisections are compared with. The first reference is 3 lumisections that agree up to statistics; where 12 in a row
hold no such 3, or none that agrees with the 3, the histogram is taken to be restless and their scatter for its nature.

Deterministic: the same intervals in the same order give the same findings. What is known of a histogram is one
`AdaptiveState`, plain data of bounded size.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Collection, Sequence
from dataclasses import replace

from monitor.detect.base import Detector, Expected, Finding
from monitor.detect.checks import Check, sigmas_of
from monitor.detect.scan import WindowScan
from monitor.infer import Reference
from monitor.infer.windows import windows_of
from monitor.judge.entries import of_nothing, of_rate, whole, whole_shape
from monitor.judge.gathered import Kept, reference_of, repeats
from monitor.judge.silent import silent_bins
from monitor.judge.state import AdaptiveOptions, AdaptiveState
from monitor.window import Interval, State

_OWN_WORD = ("dbscan",)
"""Detectors whose score is no number of standard deviations: what they say is taken as it is."""
_RESTLESS = 1.5
"""Scatter, in units of that of statistics, from which on it is told."""
_LEVELS = 10
"""Good scores from which on their level is known."""
MAX_BYTES = 1024**3


class AdaptiveJudge:
    """Compares intervals with their histogram's own past.

    Parameters
    ----------
    capacity_bytes
        Most memory for all states; the histograms seen least recently begin anew.
    """

    def __init__(self, capacity_bytes: int = MAX_BYTES) -> None:
        self.states: OrderedDict[str, AdaptiveState] = OrderedDict()
        """By ``stream/path``, the least recently seen first."""
        self._capacity_bytes = capacity_bytes
        self._bytes = 0

    def forget(self, keys: Collection[str]) -> None:
        """Let go of histograms, by ``stream/path``."""
        for key in keys:
            state = self.states.pop(key, None)
            if state is not None:
                self._bytes -= state.nbytes

    def judge(
        self, interval: Interval, detector: Detector, options: AdaptiveOptions, beam: bool = False
    ) -> Finding | str:
        """Judge the next interval of a histogram and learn from it if it is good.

        Parameters
        ----------
        interval
            In any state.
        detector
            Gives the score of the shape.
        options
            How to compare.
        beam
            Whether other histograms of the stream fill, so that an empty one is wrong.

        Returns
        -------
        Finding, or why there is none. Shapes only where it is bad.
        """
        if interval.state is State.JOINED:
            return "joined its run in the middle: judged from the next update on"
        if interval.state is State.TOO_FEW:
            return f"{interval.total:.6g} entries in {interval.lumisections} lumisections gathered, too few"
        state = self._state_of(interval)
        if interval.total < 0:
            return f"contents sum up to {interval.total:.3g}: with a negative total there is nothing to compare"
        if interval.state is State.EMPTY or interval.total == 0:
            return of_nothing(interval, state, beam)
        if interval.state is State.STUCK and state.good and not repeats(state.good):
            return whole(
                interval, interval.total, "repeats the content of the last interval bin by bin: its producer is stuck"
            )
        before = state.nbytes
        state.seen += 1
        finding = of_rate(interval, state, options) or _of_shape(interval, state, detector, options)
        self._bytes += state.nbytes - before
        while self._bytes > self._capacity_bytes and len(self.states) > 1:
            self._bytes -= self.states.popitem(last=False)[1].nbytes
        return finding

    def _state_of(self, interval: Interval) -> AdaptiveState:
        state = self.states.get(interval.key)
        if state is not None and state.good and not _comparable(state.good[-1], interval):
            self.forget([interval.key])
            state = None
        if state is None:
            state = self.states[interval.key] = AdaptiveState(interval.run)
        self.states.move_to_end(interval.key)
        if state.run != interval.run:
            # Conditions change between runs: the reference stays, what was odd before does not count.
            self._bytes -= sum(k.nbytes for k in state.candidates)
            state.run, state.seen = interval.run, 0
            state.candidates, state.rates, state.odd_rates = [], [], []
        return state


def judge_in_order(
    intervals: Sequence[Interval], options: AdaptiveOptions | None = None, detector: Detector | None = None
) -> list[Finding | str]:
    """Judge intervals in the order they were taken, each against its histogram's own past.

    Parameters
    ----------
    intervals
        Of any histograms.
    options
        How to compare; None for the defaults.
    detector
        Gives the score of the shape; None for `monitor.detect.scan.WindowScan`.

    Returns
    -------
    For each interval what was found, or why nothing can be said. `Finding.bad` is what flags it.
    """
    options = options or AdaptiveOptions()
    judge, check = AdaptiveJudge(), detector or WindowScan()
    return [judge.judge(interval, check, options) for interval in intervals]


def _of_shape(interval: Interval, state: AdaptiveState, detector: Detector, options: AdaptiveOptions) -> Finding | str:
    now = Kept.of(interval)
    if not state.good:
        return _begin(interval, now, state, detector, options)
    reference = reference_of(state.good, f"the last {len(state.good)} good intervals")
    finding = _compare(interval, reference, detector)
    by_chance = _by_chance(detector, interval, options.level_share)
    level = _level(state.scores, options.level_share, by_chance)
    score = finding.score / level
    note = f"compared with the last {len(state.good)} good intervals"
    if level > _RESTLESS * by_chance:
        note += f", which scatter {level / by_chance:.2g} times as much as statistics do"
    silent = silent_bins(interval, reference, state.good)
    if silent is not None:
        finding, score = silent, max(score, silent.score)
    # What knows no standard deviations has nothing that a level could be taken of.
    good = not finding.bad if detector.name in _OWN_WORD else score <= options.threshold
    if silent is None and good:
        state.candidates = []
        state.good = [*state.good, now][-options.window :]
        state.scores = [*state.scores, finding.score][-options.levels :]
        return replace(finding, bad=False, score=score, shapes=(), note=note)
    need = options.rebase_early if state.seen <= options.early else options.rebase_late
    state.candidates = [*state.candidates, now][-options.many :]
    newest = state.candidates[-need:]
    # What good intervals scatter by is the measure: that of the candidates would excuse any flicker.
    usual = float(reference.systematic.max(initial=0.0))
    if len(newest) >= need and (max(_mutual_scores(interval, newest, detector, usual)) <= options.threshold * level):
        state.good, state.candidates = newest[-options.window :], []
        note += "; it persists and is what the next are compared with"
    elif len(state.scores) < _LEVELS and len(state.candidates) >= options.many:
        # The first reference was three that were alike by chance.
        _take_as_restless(interval, state, detector, options)
        note += "; so did all since the reference was begun: the next are compared with those"
    shapes = finding.shapes or (whole_shape(interval, interval.total, score),)
    return replace(finding, bad=True, score=score, shapes=shapes, note=note)


def _begin(interval: Interval, now: Kept, state: AdaptiveState, detector: Detector, options: AdaptiveOptions) -> str:
    """Gather the first reference; return how far that is."""
    few, many = options.rebase_early, options.many
    state.candidates = [*state.candidates, now][-many:]
    newest = state.candidates[-few:]
    if len(newest) < few:
        return f"adaptive reference: {len(newest)} of {few} good lumisections gathered"
    if max(_mutual_scores(interval, newest, detector, 0.0)) <= options.threshold:
        state.good, state.candidates = newest, []
        return f"adaptive reference: {few} of {few} good lumisections gathered, judged from now on"
    gathered = len(state.candidates)
    if gathered < many:
        return f"adaptive reference: {gathered} lumisections gathered, no {few} in a row agree with one another"
    _take_as_restless(interval, state, detector, options)
    return f"adaptive reference: {gathered} lumisections gathered that differ by nature, judged from now on"


def _take_as_restless(interval: Interval, state: AdaptiveState, detector: Detector, options: AdaptiveOptions) -> None:
    """Make the candidates the reference, and what they differ by the level."""
    state.good, state.candidates = state.candidates[-options.window :], []
    state.scores = _mutual_scores(interval, state.good, detector, None)[-options.levels :]


def _compare(interval: Interval, reference: Reference, detector: Detector) -> Finding:
    (finding,) = detector.judge([interval], [Expected(reference)])
    return finding


def _mutual_scores(like: Interval, kept: Sequence[Kept], detector: Detector, systematic: float | None) -> list[float]:
    """Return each interval's score against the rest of them; None: with the systematic that the rest show."""
    scores = []
    for one in kept:
        rest = reference_of([k for k in kept if k is not one], "the others", systematic)
        scores.append(_compare(_again(like, one), rest, detector).score)
    return scores


def _again(like: Interval, kept: Kept) -> Interval:
    return replace(
        like,
        contents=kept.contents,
        variances=kept.variances,
        entries=kept.entries,
        total=kept.total,
        first_lumisection=like.lumisection - kept.lumisections + 1,
        state=State.READY,
    )


def _comparable(kept: Kept, interval: Interval) -> bool:
    return kept.contents.shape == interval.contents.shape and (kept.entries is None) == (interval.entries is None)


def _level(scores: Sequence[float], share: float, by_chance: float) -> float:
    """Return what a share of the good scores stays below; as long as they are few, what it is by statistics alone."""
    if len(scores) < _LEVELS:
        return by_chance
    ordered = sorted(scores)
    return max(1.0, ordered[min(len(ordered) - 1, math.ceil(share * len(ordered)) - 1)])


def _by_chance(detector: Detector, interval: Interval, share: float) -> float:
    """Return what a share of the scores of good intervals stays below if they scatter by statistics alone."""
    if isinstance(detector, Check):
        return max(1.0, sigmas_of(math.log(1.0 - share)))
    # As if all windows were looked at apart: those that overlap are alike, which the logarithm hardly sees.
    number = int(windows_of(interval.contents.shape).counts.sum())
    return sigmas_of(math.log(-math.expm1(math.log(share) / number) / 2.0))
