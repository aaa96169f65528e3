"""Exposure per lumisection against its rolling median, and against what the stream's other histograms did.

A histogram's ratio is its exposure per lumisection over the median of its last intervals of the run. The beam moves
the ratios of all histograms of a stream together, so each is divided by the median ratio of those that ended at the
same lumisection: what is left is the histogram's own departure. Where fewer than `OTHERS` others are there to tell,
nothing is said.

Runs for every judgement: plain Python, no arrays.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import sqrt

from monitor.window import Interval

BAD_BELOW = 0.5
"""Departure below which a histogram is bad."""
LOW, HIGH = 0.7, 1.5
"""Departures beyond which it is warned of."""
WINDOW = 20
"""Intervals that the median is taken of."""
LEAST = 5
"""Intervals of the run from which on the median is known."""
OTHERS = 3
"""Other histograms of the lumisection from which on their common ratio is known."""
NEW_STATE = 12
"""Odd intervals in a row after which the new rate is the histogram's own."""
SIGMAS = 6.0
"""Departure in standard deviations of the expected entries below which it is chance."""
_HISTOGRAMS = 100_000
_STREAMS = 10_000


@dataclass(slots=True)
class _Own:
    """Rates of one histogram in one run; odd ones apart, those of them that came in a row."""

    run: int
    rates: list[float] = field(default_factory=list)
    odd: list[float] = field(default_factory=list)


@dataclass(slots=True)
class _Moment:
    """Ratios of a stream's histograms at one lumisection."""

    run: int
    lumisection: int
    ratios: list[float] = field(default_factory=list)


class RateWatch:
    """Departures of histograms' rates from their streams'; state bounded in histograms and streams."""

    def __init__(self) -> None:
        self._own: OrderedDict[str, _Own] = OrderedDict()
        self._moments: OrderedDict[str, _Moment] = OrderedDict()

    def look(self, batch: Sequence[Interval], rates: Sequence[float], entries: Sequence[float]) -> list[float]:
        """Return each interval's departure: 1 where it is as it should be, or nothing can be said.

        Every lumisection of the batch is looked at as a whole, in order.

        Parameters
        ----------
        batch
            Judged intervals.
        rates
            Exposure per lumisection of each.
        entries
            Entries of each.
        """
        departures = [1.0] * len(batch)
        groups: dict[tuple[str, int, int], list[int]] = {}
        for index, interval in enumerate(batch):
            groups.setdefault((interval.stream, interval.run, interval.lumisection), []).append(index)
        for (stream, run, lumisection), members in sorted(groups.items()):
            moment = self._moment(stream, run, lumisection)
            known: list[tuple[int, _Own, float]] = []
            for index in members:
                own = self._own_of(batch[index])
                before = own.rates
                if len(before) >= LEAST:
                    ratio = rates[index] / sorted(before)[len(before) // 2]
                    moment.ratios.append(ratio)
                    known.append((index, own, ratio))
                elif rates[index] > 0.0:
                    before.append(rates[index])
            # One of the ratios is the histogram's own: a median of the others does not depend on it.
            common = sorted(moment.ratios)[len(moment.ratios) // 2] if len(moment.ratios) > OTHERS else 0.0
            for index, own, ratio in known:
                departures[index] = _settle(own, rates[index], entries[index], ratio / common if common > 0.0 else 1.0)
        return departures

    def forget(self, keys: Iterable[str]) -> None:
        """Let go of histograms, by ``stream/path``."""
        for key in keys:
            self._own.pop(key, None)

    def _own_of(self, interval: Interval) -> _Own:
        key = interval.key
        own = self._own.get(key)
        if own is None:
            own = self._own[key] = _Own(interval.run)
            if len(self._own) > _HISTOGRAMS:
                self._own.popitem(last=False)
        elif own.run != interval.run:
            own.run, own.rates, own.odd = interval.run, [], []
        return own

    def _moment(self, stream: str, run: int, lumisection: int) -> _Moment:
        moment = self._moments.get(stream)
        if moment is None or (moment.run, moment.lumisection) != (run, lumisection):
            moment = self._moments[stream] = _Moment(run, lumisection)
            if len(self._moments) > _STREAMS:
                self._moments.popitem(last=False)
        return moment


def _settle(own: _Own, rate: float, entries: float, departure: float) -> float:
    """Return the departure, 1 if it is none, and learn the rate if it is none."""
    if LOW <= departure <= HIGH or is_chance(entries, entries / departure if departure > 0.0 else 0.0, SIGMAS):
        own.odd.clear()
        if rate > 0.0:
            own.rates.append(rate)
            if len(own.rates) > WINDOW:
                del own.rates[0]
        return 1.0
    own.odd.append(rate)
    if len(own.odd) >= NEW_STATE:
        own.rates, own.odd = own.odd, []
    return departure


def is_chance(entries: float, expected: float, sigmas: float) -> bool:
    """Tell whether entries are as far from those expected as Poisson statistics may bring them, in sqrt(expected)."""
    return abs(entries - expected) < sigmas * sqrt(max(1.0, expected))


def in_words(departure: float) -> str:
    """Return a departure as a person reads it."""
    return f"fills at {departure:.2g} times the rate of before, while other histograms of its stream do not"
