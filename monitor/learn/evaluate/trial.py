"""Clean and faulty endcaps of CMS's recipe, and what each detector makes of their towers.

The peer's loss of a tower is the squared difference between map and reconstruction at equal exposure; "spatial" divides
both by the mean map before, "time" multiplies the losses of three maps in a row. The best reconstruction there can be,
the true expectation, stands for his autoencoder.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from monitor.learn.evaluate.endcaps import EXPOSURES, TOWERS, Endcap
from monitor.learn.evaluate.roc import redraw
from monitor.learn.evaluate.scorers import CLASSIFIERS, expectation_of, make_scorer
from monitor.learn.toys import interval_of
from monitor.snapshot import FloatArray
from monitor.window import Interval

FAULTS = ("dead", "hot")
HOT = 500
"""Hits of a hot tower; the recipe's are five times as many: 20 % of the crystal-events."""
IN_A_ROW = 3
REFERENCES = 50
PEERS = ("peer", "peer_spatial", "peer_spatial_time")
"""What is measured here beside detectors and baselines."""

Scores = Mapping[str, tuple[FloatArray, FloatArray]]
"""Of valid towers of clean maps, shape (maps, towers), and of the faulty tower of each faulty map, by fault."""


class Trial:
    """Maps of one endcap; every detector gets the same.

    Parameters
    ----------
    cap
        What they are drawn from.
    clean, faulty
        How many runs of three maps; a fault is in the same tower in all three.
    rng
        Of everything that is drawn.
    """

    def __init__(self, cap: Endcap, clean: int, faulty: int, rng: np.random.Generator) -> None:
        self.cap = cap
        self.valid = cap.rate > 0
        self.places = np.argwhere(self.valid)[rng.integers(TOWERS, size=faulty)]
        self._clean = self._runs(clean, rng)
        self._faulty = self._runs(faulty, rng)
        self._learned = self._runs(REFERENCES, rng)[0]
        self.redrawn = redraw(clean, faulty, rng)

    def _runs(self, count: int, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
        """Draw runs of three maps: contents, shape (runs, 3, 20, 20), and exposures, shape (runs, 3)."""
        level = rng.choice(EXPOSURES, count)
        exposures = np.repeat(level[:, None], IN_A_ROW, axis=1)
        return np.stack([self.cap.draw(e, rng) for e in exposures]), exposures

    def scores(self, wanted: Sequence[str], seed: int) -> Iterator[tuple[str, int, Scores]]:
        """Return what each of the named detectors says: its name, how many maps it sums, its scores.

        What scores no bins is passed over.
        """
        for maps in (1, IN_A_ROW):
            towers = _Towers(self, maps)
            for name in wanted:
                if name in PEERS:
                    if (maps > 1) == name.endswith("time"):
                        yield name, maps, self._of_peer(name)
                elif (scores := towers.scores(name, seed)) is not None:
                    yield name, maps, scores

    def summed(self, maps: int, fault: str = "") -> FloatArray:
        """Return sums of so many maps: clean ones, or those with a fault. Shape: (runs, 20, 20)."""
        contents = self.spoilt(fault) if fault else self._clean[0]
        total: FloatArray = contents[:, :maps].sum(axis=1)
        return total

    def references(self, maps: int) -> FloatArray:
        """Return sums of so many good maps to learn from. Shape: (REFERENCES, 20, 20)."""
        total: FloatArray = self._learned[:, :maps].sum(axis=1)
        return total

    def spoilt(self, fault: str) -> FloatArray:
        """Return maps with their faults. Shape: (runs, 3, 20, 20)."""
        contents = self._faulty[0].copy()
        contents[np.arange(len(contents)), :, *self.places.T] = 0.0 if fault == "dead" else float(HOT)
        return contents

    def of_faulty(self, scores: FloatArray) -> FloatArray:
        """Return the score of the faulty tower of each map. Shape: (runs, 20, 20) to (runs,)."""
        found: FloatArray = scores[np.arange(len(scores)), *self.places.T]
        return found

    def _of_peer(self, name: str) -> Scores:
        found = {}
        for fault in FAULTS:
            clean, faulty = (self._losses(name, c, e) for c, e in (self._clean, (self.spoilt(fault), self._faulty[1])))
            found[fault] = (clean[:, self.valid], self.of_faulty(faulty))
        return found

    def _losses(self, name: str, contents: FloatArray, exposures: FloatArray) -> FloatArray:
        """Return the peer's losses. Shape: (runs, 3, 20, 20) to (runs, 20, 20)."""
        losses: FloatArray = (self.cap.rate - contents / exposures[:, :, None, None]) ** 2
        if name != "peer":
            losses /= np.where(self.valid, self.cap.rate, 1.0) ** 2
        one: FloatArray = losses.prod(axis=1) if name.endswith("time") else losses[:, 0]
        return one


class _Towers:
    """The maps as the monitor sees them, and to which side each tower is off."""

    def __init__(self, trial: Trial, maps: int) -> None:
        self._trial = trial
        self._references = [_interval(c, n) for n, c in enumerate(trial.references(maps), start=1)]
        self._common = expectation_of("expectation", self._references, 0)
        shown = {"": trial.summed(maps)} | {fault: trial.summed(maps, fault) for fault in FAULTS}
        self._intervals = {what: [_interval(c, 0) for c in contents] for what, contents in shown.items()}
        reference = self._common.reference
        self._exposures = {
            what: [reference.exposure_of(c.ravel()) for c in contents] for what, contents in shown.items()
        }
        self._low = {
            what: contents < reference.rate * np.array(self._exposures[what])[:, None, None]
            for what, contents in shown.items()
        }

    def scores(self, name: str, seed: int) -> Scores | None:
        """Return the scores of a detector, positive to the side of the fault; None if it scores no bins."""
        if name in CLASSIFIERS:
            return None
        # Thesis B's network learns from the references, everything else from what is learned of them.
        expected = None if name == "thesis_b" else self._common
        scorer = make_scorer(name, self._references, seed=seed, expected=expected)
        found = {}
        for what, intervals in self._intervals.items():
            scores = scorer.bins_of(intervals)
            if scores is None:
                return None
            found[what] = scores
        signed = {what: np.where(self._low[what], scores, -scores) for what, scores in found.items()}
        trial = self._trial
        return {
            fault: (sign * signed[""][:, trial.valid], trial.of_faulty(sign * signed[fault]))
            for fault, sign in (("dead", 1.0), ("hot", -1.0))
        }


def _interval(contents: FloatArray, run: int) -> Interval:
    return interval_of(contents, name="ecal", run=run)
