"""Thesis B's benchmark: generated faults on 22 % of the bins of 18 simulated types."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from monitor.learn.evaluate.measure import Faulty, measure
from monitor.learn.evaluate.refused import NOT_MADE, left_out, measured, not_measured
from monitor.learn.evaluate.rows import Row
from monitor.learn.evaluate.scorers import CLASSIFIERS, LEARNING, applies, choose, expectation_of, make_scorer
from monitor.learn.evaluate.suite import Options, Part, Tell
from monitor.learn.evaluate.tables import auc_by_type, experiments, pivot, rates, roc_curves, summary
from monitor.learn.faults import inject_into, map_sigma
from monitor.learn.thesis_b.benchmark import THESIS_AUC
from monitor.learn.toys import Toy, thesis_types
from monitor.snapshot import FloatArray
from monitor.window import Interval

DETECTORS = (
    "expectation",
    "dbscan",
    "strip_median",
    "l1calo_strip_median",
    "chi2",
    "ks",
    "pca",
    "isolation_forest",
    "thesis_b",
)
REFERENCES = (1, 2, 5, 10)
MOST = max(REFERENCES)
_MAPS = 6


def single_bin_limit(sigmas: tuple[float, float]) -> float:
    """Return the area that no score of single bins exceeds, if faults change bins by so many standard deviations.

    It holds for bins that scatter: one that is always empty is told from a faulty one without effort.

    The best score is the size of the deviation. For x normal about d and y about 0, |x| > |y| where x - y and x + y
    have one sign; they are independent, so the chance is Phi(a)^2 + Phi(-a)^2 with a = d / sqrt(2). The mean over d,
    uniform between the two.
    """
    a = np.linspace(*sigmas, 1001) / np.sqrt(2.0)
    return float(np.mean(special.ndtr(a) ** 2 + special.ndtr(-a) ** 2))


@dataclass(frozen=True, slots=True)
class Fault:
    """What faults an experiment has, and whose figure of bins stands beside."""

    name: str
    sigmas: tuple[float, float]
    of_map: bool
    """Whether their sigma is the spread of the whole map, as in the thesis, or that of each bin of good maps."""
    peer: str
    peer_value: float


FAULTS = (
    Fault(
        "3-4 spreads of the map",
        (3.0, 4.0),
        True,
        f"thesis B, median of its types ({min(THESIS_AUC)}-{max(THESIS_AUC)})",
        float(np.median(THESIS_AUC)),
    ),
    Fault("1-1.5 spreads of the map", (1.0, 1.5), True, "prototype, least of 18 types (median 0.9999)", 0.939),
    Fault(
        "3-4 spreads of each bin",
        (3.0, 4.0),
        False,
        "limit of any score of single bins that are ever filled",
        single_bin_limit((3.0, 4.0)),
    ),
)


class ThesisB:
    """18 types, three kinds of faults, 1 to 10 references, every detector on the same maps."""

    name = "thesis-b"
    title = "Thesis B: generated faults on simulated types"
    words = (
        "18 simulated types of 99 x 65 bins, 12 of counts and 6 profiles, every map a run of its own. Spots, strips "
        "and layers, hot and cold, on 22 % of the bins (`monitor/learn/faults.py`). A spread is the standard "
        "deviation of all bins of the map, as in the thesis, or that of good contents of each bin, which is far "
        "smaller. Area under the ROC curve of bins: the mean over faulty maps with a curve each, as in the thesis, "
        "and of all bins in one curve (pooled, good maps included). Some faults of counts make bins hot that are never "
        "filled; `auc_filled` leaves those out. Types cannot be paired with the thesis's, whose data is not public; "
        f"its areas are {min(THESIS_AUC)} to {max(THESIS_AUC)}, median "
        f"{np.median(THESIS_AUC):.3f}. Where faults are 3 to 4 spreads of each bin, no score of a single bin that is "
        f"ever filled tells it from good ones with an area above {FAULTS[2].peer_value:.4f} (`auc_filled`; bins that "
        "are never filled are right without effort, and lift `auc` to about 0.986). `expectation` is above that "
        "because it also asks a bin's neighbours, and strips and layers have many. `dbscan` is thesis B's clustering "
        "on our learned reference, `thesis_b` on its own autoencoder; both are calibrated on faults of the same kind, "
        "and rank maps by the least `minpts` at which they would be BAD. What needs no references, or long to learn, "
        f"is measured at {MOST} references only; `thesis_a` and `classifier`, which take minutes a type, only where "
        "they are named, and on faults of 3 to 4 spreads of the map. `found` and `false` are the shares of faulty and "
        "good maps that are BAD at the detector's own threshold (`expectation`: 3.5e-6 false alarms a judgement)."
    )

    def run(self, options: Options, tell: Tell) -> Iterator[Row]:
        """Measure every type with every number of references and every kind of faults."""
        toys = {toy.name: toy for toy in thesis_types()}
        names = options.chosen(list(toys), self.name)
        detectors = choose(options.detectors, DETECTORS)
        count = options.count(_MAPS)
        for number, name in enumerate(names):
            tell(number, len(names), name)
            yield from self._of_type(toys[name], detectors, count, options.seed)
        tell(len(names), len(names), "done")

    def _of_type(self, toy: Toy, detectors: Sequence[str], count: int, seed: int) -> Iterator[Row]:
        references = toy.draw_many(MOST, 2 * seed)
        good, bad = draw_maps(toy, count, seed)
        filled = toy.rate > 0
        yield from (left_out(self.name, toy.name, n, NOT_MADE) for n in detectors if not applies(n, good[0]))
        for number in REFERENCES:
            learned = references[:number]
            # What needs no references, or takes long to learn them, is measured once.
            taking = [n for n in detectors if applies(n, good[0]) and (n in LEARNING or number == MOST)]
            common = expectation_of("expectation", learned, seed) if taking else None
            trained = expectation_of("thesis_b", learned, seed) if "thesis_b" in taking else None
            for name, fault in ((name, fault) for fault in FAULTS for name in taking):
                if name in CLASSIFIERS and fault is not FAULTS[0]:
                    continue
                scorer = make_scorer(
                    name,
                    learned,
                    seed=seed,
                    expected=trained if name == "thesis_b" else common,
                    sigma=None if fault.of_map else toy.spread,
                    sigmas=fault.sigmas,
                )
                yield from measure(
                    scorer,
                    good,
                    bad[fault.name],
                    suite=self.name,
                    what=f"{fault.name}, {number} reference{'s' if number > 1 else ''}",
                    kind=toy.name,
                    seed=seed,
                    filled=filled,
                    peer=fault.peer,
                    peer_value=fault.peer_value,
                )

    def parts(self, rows: Sequence[Row]) -> list[Part]:
        """Return least and median area of all experiments, then every type at most references."""
        bins, maps = ([r for r in measured(rows) if r.unit == unit] for unit in ("bin", "map"))
        parts = [
            summary("Bins: least / median area over the types", bins, beside=True),
            summary("Bins, all maps in one curve: least / median area", bins, "auc_pooled", beside=True),
            summary("Bins that are ever filled: least / median area", bins, "auc_filled", beside=True),
            summary("Maps: least / median area over the types", maps),
            rates("Maps: found / false at the detector's own threshold", maps),
        ]
        for what in experiments(bins):
            own = [r for r in bins if r.what == what]
            parts.append(pivot(f"{what}: area of bins by type, 95 % interval", own))
            if what.endswith(f" {MOST} references"):
                parts += [auc_by_type(f"{what}: area of bins by type", own), roc_curves(f"{what}: ROC", own)]
        missing = not_measured(rows)
        return [*parts, *([missing] if missing.lines else [])]


def draw_maps(toy: Toy, count: int, seed: int) -> tuple[list[Interval], dict[str, list[Faulty]]]:
    """Draw good maps, and as many faulty ones of each kind of `FAULTS`; every map is a new run."""
    rng = np.random.default_rng([seed, toy.seed, 51])
    exposures = np.maximum(0.1, 1.0 + toy.exposure_spread * rng.standard_normal(2 * count)).tolist()
    drawn = [toy.draw(rng, e, run=100 + n) for n, e in enumerate(exposures)]
    bad = {
        fault.name: [
            inject_into(interval, _sigma(toy, interval, exposure, fault), rng, sigmas=fault.sigmas)
            for interval, exposure in zip(drawn[count:], exposures[count:], strict=True)
        ]
        for fault in FAULTS
    }
    return drawn[:count], bad


def _sigma(toy: Toy, interval: Interval, exposure: float, fault: Fault) -> FloatArray:
    sigma = map_sigma(interval.contents) if fault.of_map else spread_at(toy, exposure)
    # A profile's bin without entries has no mean that could be wrong.
    return sigma if interval.entries is None else np.where(interval.entries > 0, sigma, 0.0)


def spread_at(toy: Toy, exposure: float) -> FloatArray:
    """Return the standard deviation of good contents at an exposure; see `Toy.spread`. Shape: the histogram's."""
    response = toy.rate**2 * (toy.scatter**2 + 2.0 * toy.strip_scatter**2)
    statistical = np.maximum(toy.spread**2 - response, 0.0)
    if toy.profile:
        return np.sqrt(statistical / exposure + response)
    return np.sqrt(exposure * statistical + exposure**2 * response)
