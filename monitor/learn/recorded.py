"""References from recorded good runs, for histograms that have no trained model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from monitor.detect.base import Expected
from monitor.errors import HistwatchError
from monitor.infer import Reference
from monitor.learn.doubt import contradiction
from monitor.learn.reference import Learned, learn_reference
from monitor.snapshot import Snapshot, same_ranges
from monitor.window import Derivation, Deriver, Interval, Minimum, State, WindowStore

_NAMED = 4


def gather_intervals(
    snapshots: Iterable[Snapshot],
    minimum: Callable[[str], Minimum] | None = None,
    derivations: Sequence[Derivation] = (),
) -> dict[str, list[Interval]]:
    """Turn good snapshots into intervals by ``stream/path``, as the monitor would, derived ones among them.

    An interval that is EMPTY is kept only where a histogram has no other: it then says "empty when all is well".
    What is left of an interval that never became large enough is left out.
    """
    windows = WindowStore()
    deriver = Deriver(derivations)
    ready: dict[str, list[Interval]] = {}
    empty: dict[str, list[Interval]] = {}
    for snapshot in snapshots:
        interval = windows.add(snapshot, minimum(snapshot.key) if minimum else Minimum())
        if interval is None:
            continue
        for one in (interval, *(d.interval for d in deriver.add(interval))):
            if one.state in (State.READY, State.STUCK):
                ready.setdefault(one.key, []).append(one)
            elif one.state is State.EMPTY:
                empty.setdefault(one.key, []).append(one)
    return {**{k: v for k, v in empty.items() if k not in ready}, **ready}


def learn_expectations(
    intervals: dict[str, list[Interval]],
    on_refused: Callable[[str, str], None] | None = None,
    on_left_out: Callable[[str, str], None] | None = None,
) -> dict[str, Expected]:
    """Learn one reference a histogram.

    Parameters
    ----------
    intervals
        Good intervals by ``stream/path``.
    on_refused
        Called with key and reason for a histogram that nothing can be learned of.
    on_left_out
        Called with key and words for intervals that were not learned from, or that contradict each other.
    """
    expected = {}
    for key, own in intervals.items():
        # A histogram that was binned anew between runs is learned as it is now.
        last = own[-1]
        ranges = [a.range for a in last.axes]
        alike = [
            i
            for i in own
            if i.contents.shape == last.contents.shape
            and i.kind is last.kind
            and same_ranges(ranges, [a.range for a in i.axes])
        ]
        if len(alike) < len(own) and on_left_out is not None:
            on_left_out(key, f"{len(own) - len(alike)} of its {len(own)} intervals are binned otherwise than the last")
        own = alike
        runs = sorted({i.run for i in own})
        name = f"reference of {'run' if len(runs) == 1 else 'runs'} {', '.join(map(str, runs[:4]))}" + (
            f" and {len(runs) - 4} more" if len(runs) > 4 else ""
        )
        if all(i.total <= 0 for i in own):
            expected[key] = Expected(_empty(own, name))
            continue
        try:
            learned = learn_reference(own, name)
            expected[key] = Expected(learned.reference)
            if not all(learned.used) and on_left_out is not None:
                on_left_out(key, left_out_words(own, learned))
            doubt = contradiction([i for i in own if i.total > 0])
            if doubt and on_left_out is not None:
                on_left_out(key, doubt)
        except HistwatchError as error:
            if on_refused is not None:
                on_refused(key, str(error))
    return expected


def left_out_words(intervals: Sequence[Interval], learned: Learned) -> str:
    """Say which intervals differ so much from the others that nothing was learned of them."""
    filled = [i for i in intervals if i.total > 0]
    odd = [i for i, used in zip(filled, learned.used, strict=True) if not used]
    named = ", ".join(f"run {i.run} lumisection {i.lumisection}" for i in odd[:_NAMED])
    more = f" and {len(odd) - _NAMED} more" if len(odd) > _NAMED else ""
    return f"left out {named}{more}: unlike the other {len(filled) - len(odd)} references"


def _empty(intervals: list[Interval], name: str) -> Reference:
    zeros = np.zeros(intervals[0].contents.shape)
    return Reference(
        name=name,
        profile=intervals[0].kind.is_profile,
        rate=zeros,
        systematic=zeros,
        live=np.zeros(zeros.shape, dtype=bool),
        coherent=0.0,
        references=len(intervals),
        exposure=float(sum(i.lumisections for i in intervals)),
    )
