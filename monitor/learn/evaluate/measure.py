"""One scorer on good and faulty maps: areas of bins and of maps, what is found, what is false."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from monitor.detect.geometry import BoolArray
from monitor.learn.evaluate.roc import area, area_of_bins, area_of_maps, curve
from monitor.learn.evaluate.rows import Figure, Row
from monitor.learn.evaluate.scorers import Scored, Scorer
from monitor.window import Interval

Faulty = tuple[Interval, BoolArray]
"""A map, and its faulty bins."""


def measure(
    scorer: Scorer,
    good: Sequence[Interval],
    bad: Sequence[Faulty],
    *,
    suite: str,
    what: str,
    kind: str,
    seed: int,
    filled: BoolArray | None = None,
    peer: str = "",
    peer_value: float | None = None,
) -> Iterator[Row]:
    """Return a row for bins, if the scorer scores bins, and one for maps.

    Parameters
    ----------
    scorer
        What is measured.
    good, bad
        Maps that it has not learned from. Bins count if there are some good and some faulty ones.
    suite, what, kind
        Name of the suite, the experiment, and the histogram type.
    seed
        Of the bootstrap.
    filled
        Bins that good maps fill; if given, the area of these alone is a figure. Shape: the histogram's.
    peer, peer_value
        Whose figure of the bins stands beside.
    """
    rng = np.random.default_rng([seed, len(good), len(bad)])
    if any(truth.any() for _, truth in bad):
        row = _bins(scorer, good, bad, rng, suite, what, kind, filled, peer, peer_value)
        if row is not None:
            yield row
    of_good, of_bad = scorer.judge(good), scorer.judge([i for i, _ in bad])
    yield map_row(scorer.name, of_good, of_bad, suite=suite, what=what, kind=kind, rng=rng)


def map_row(
    detector: str,
    good: Sequence[Scored],
    bad: Sequence[Scored],
    *,
    suite: str,
    what: str,
    kind: str,
    rng: np.random.Generator,
    figures: Mapping[str, Figure] | None = None,
    peer: str = "",
    peer_value: float | None = None,
) -> Row:
    """Return the row of whole maps: area, share of the bad ones found, share of the good ones called bad."""
    scores_good, scores_bad = (np.array([s.score for s in maps]) for maps in (good, bad))
    both = scores_good.size > 0 and scores_bad.size > 0
    every = np.concatenate([scores_good, scores_bad])
    truth = np.arange(every.size) >= scores_good.size
    return Row(
        suite=suite,
        what=what,
        type=kind,
        detector=detector,
        unit="map",
        n_good=scores_good.size,
        n_bad=scores_bad.size,
        area=area_of_maps(scores_good, scores_bad, rng) if both else None,
        figures={"found": share_bad(bad), "false": share_bad(good), **(figures or {})},
        peer=peer,
        peer_value=peer_value,
        curve=curve(every, truth) if both else None,
    )


def share_bad(scored: Sequence[Scored]) -> float | None:
    """Return the share of maps called bad; None where there are none or the scorer has no threshold."""
    if not scored or any(s.bad is None for s in scored):
        return None
    return sum(s.bad is True for s in scored) / len(scored)


def _bins(
    scorer: Scorer,
    good: Sequence[Interval],
    bad: Sequence[Faulty],
    rng: np.random.Generator,
    suite: str,
    what: str,
    kind: str,
    filled: BoolArray | None,
    peer: str,
    peer_value: float | None,
) -> Row | None:
    maps = [*bad, *((i, np.zeros(i.contents.shape, dtype=np.bool_)) for i in good)]
    scores = []
    for interval, _ in maps:
        found = scorer.bins(interval)
        if found is None:
            return None
        scores.append(found)
    truths = [truth for _, truth in maps]
    areas = area_of_bins(scores, truths, rng)
    every = np.concatenate([t.ravel() for t in truths])
    figures: dict[str, Figure] = {
        "auc_pooled": areas.pooled.value,
        "auc_pooled_low": areas.pooled.low,
        "auc_pooled_high": areas.pooled.high,
    }
    if filled is not None:
        own = [(s[filled & ~t], s[filled & t]) for s, t in zip(scores, truths, strict=True)]
        figures["auc_filled"] = float(np.mean([area(g, b) for g, b in own if g.size and b.size]))
    return Row(
        suite=suite,
        what=what,
        type=kind,
        detector=scorer.name,
        unit="bin",
        n_good=int((~every).sum()),
        n_bad=int(every.sum()),
        area=areas.own,
        figures=figures,
        peer=peer,
        peer_value=peer_value,
        curve=curve(np.concatenate([s.ravel() for s in scores]), every),
    )
