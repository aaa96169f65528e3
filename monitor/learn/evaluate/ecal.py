"""CMS's recipe for its electromagnetic calorimeter on simulated endcaps: false discoveries at 99 % detection.

The recipe (CMSEcalDQM/ML4ECALDQM, notebooks of the endcap; arXiv 2308.16659): a fault in one random tower of each map,
dead (nothing) or hot; a tower is called faulty beyond the threshold that 99 % of the faulty ones exceed; FDR = FP / (FP
+ TP), FP of all valid towers of clean maps, TP of one tower a map. The peer's loss of a tower is the squared difference
between map and reconstruction at equal exposure; "spatial" divides both by the mean map before, "time" multiplies the
losses of three maps in a row. The best reconstruction there can be, the true expectation, stands for his autoencoder.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from monitor.detect.base import Expected, Settings
from monitor.detect.expectation import ExpectationDetector
from monitor.detect.planes import Planes
from monitor.learn.evaluate.endcaps import (
    DETECTED,
    EXPOSURE_SPREAD,
    EXPOSURES,
    SYSTEMATIC,
    TOWERS,
    Endcap,
    Point,
    endcap,
    limits,
)
from monitor.learn.evaluate.roc import area_of_maps
from monitor.learn.evaluate.rows import Figure, Row
from monitor.learn.evaluate.suite import Options, Part, Tell
from monitor.learn.evaluate.tables import detectors, experiments, listing, number
from monitor.learn.reference import learn_reference
from monitor.learn.toys import interval_of
from monitor.snapshot import FloatArray

GRADIENTS = (4, 15)
HOT = 500
"""Hits of a hot tower; the recipe's are five times as many: 20 % of the crystal-events."""
IN_A_ROW = 3
_MAPS = 1500
_REFERENCES = 50
DETECTIONS = {
    "expectation": 1,
    "expectation, single bins": 1,
    "expectation, 3 maps": IN_A_ROW,
    "expectation, single bins, 3 maps": IN_A_ROW,
}
"""Our methods, and how many maps they sum."""
POINTS = (
    Point(1.0, 4.5, {"peer": 0.98, "peer_spatial": 0.73, "peer_spatial_time": 0.013, "expectation": 0.68, "sum": 3e-4}),
    Point(1.0, 9.7, {"peer": 0.93, "peer_spatial": 0.18, "peer_spatial_time": 0.0, "expectation": 0.017, "sum": 0.0}),
    Point(1.0, 18.0, {"peer": 0.84, "peer_spatial": 0.004, "peer_spatial_time": 0.0, "expectation": 0.0, "sum": 0.0}),
    Point(3.0, 9.1, {"peer": 0.99, "peer_spatial": 0.88, "peer_spatial_time": 0.18, "expectation": 0.62, "sum": 0.0}),
    Point(3.0, 17.0, {"peer": 0.97, "peer_spatial": 0.6, "peer_spatial_time": 0.003, "expectation": 0.022, "sum": 0.0}),
)
PUBLISHED = {
    ("peer", "dead"): 0.8055,
    ("peer_spatial", "dead"): 0.1230,
    ("peer_spatial_time", "dead"): 0.0560,
    ("peer", "hot"): 0.0001,
    ("peer_spatial", "hot"): 0.0008,
    ("peer_spatial_time", "hot"): 0.0001,
}
"""The authors' own figures on their data, EE+."""


class EcalRecipe:
    """FDR at 99 % detection of dead and hot towers, by counts and by the peer's losses."""

    name = "ecal-recipe"
    title = "CMS ECAL recipe on simulated endcaps"
    words = (
        f"20 x 20 towers, {TOWERS} of them valid, fuller towards the beam by a factor {GRADIENTS[0]} or "
        f"{GRADIENTS[1]}, {SYSTEMATIC:.0%} systematic, exposures of {EXPOSURE_SPREAD:.0%} spread (mu1 is the "
        "expectation that 1 % of the towers of all maps stay below), three maps in a row of one run. One dead or hot "
        "tower in each faulty map; FDR = FP / (FP + TP) at the threshold that 99 % of the faulty towers exceed, FP of "
        "all valid towers of clean maps. `peer`: squared difference from the true mean map at the true exposure; "
        "`peer_spatial`: both divided by the mean map; `peer_spatial_time`: product of three. `expectation`: its bin "
        f"scores, with the sign, by {_REFERENCES} references; `single bins`: the significance of each tower alone, "
        "which bin scores raise where neighbours deviate in the same direction; `3 maps`: of the sum of three maps, by "
        "as many such sums. `limit`: n P(0) / (n P(0) + 1) at mu1 (for three maps at 3 mu1), as if all towers were as "
        "empty; `limit_sum` sums P(0) over the towers: what looks at one tower's counts cannot be below. "
        "`published`: the authors' own figure on their data, EE+."
    )

    def run(self, options: Options, tell: Tell) -> Iterator[Row]:
        """Measure every point with every gradient."""
        names = options.chosen([f"gradient {g}" for g in GRADIENTS], self.name)
        steps = [(point, g) for point in POINTS for g in GRADIENTS if f"gradient {g}" in names]
        for done, (point, gradient) in enumerate(steps):
            tell(done, len(steps), f"F {point.dispersion:g}, mu1 {point.mu1:g}")
            yield from self._of_point(point, gradient, options)
        tell(len(steps), len(steps), "done")

    def _of_point(self, point: Point, gradient: int, options: Options) -> Iterator[Row]:
        rng = np.random.default_rng([options.seed, round(10 * point.mu1), gradient])
        cap = endcap(point, gradient)
        trial = _Trial(cap, options.count(_MAPS, least=100), rng)
        for fault in ("dead", "hot"):
            for name, scores in trial.scores(fault):
                maps = IN_A_ROW if name == "peer_spatial_time" else DETECTIONS.get(name, 1)
                clean, faulty = scores
                figures: dict[str, Figure] = {
                    "fdr": fdr(clean, faulty),
                    "mu1": point.mu1,
                    "F": point.dispersion,
                    "maps": maps,
                    "limit": None,
                    "limit_sum": None,
                    "published": PUBLISHED.get((name, fault)),
                }
                if fault == "dead":
                    figures["limit"], figures["limit_sum"] = limits(cap, point.mu1, maps)
                key = ("expectation" if maps == 1 else "sum") if name in DETECTIONS else name
                known = point.peers.get(key) if fault == "dead" else None
                yield Row(
                    suite=self.name,
                    what=f"{fault}, F {point.dispersion:g}, mu1 {point.mu1:g}",
                    type=f"gradient {gradient}",
                    detector=name,
                    unit="bin",
                    n_good=clean.size,
                    n_bad=faulty.size,
                    area=area_of_maps(rng.choice(clean.ravel(), faulty.size), faulty, rng),
                    figures=figures,
                    peer="prototype" if known is not None else "",
                    peer_value=known,
                )

    def parts(self, rows: Sequence[Row]) -> list[Part]:
        """Return FDR of all, and the pictures of FDR against the limit."""
        figures = ["fdr", "limit", "limit_sum", "published"]
        dead = [r for r in rows if r.what.startswith("dead")]
        hot = [r for r in rows if not r.what.startswith("dead")]
        return [
            _table("Dead towers: FDR at 99 % detection", dead),
            _table("Hot towers: FDR at 99 % detection", hot),
            Part(title="Dead towers: FDR against the limit", paint=_against_limit(dead)),
            listing("Dead towers, every row", dead, figures),
            listing("Hot towers, every row", hot, ["fdr", "published"]),
        ]


class _Trial:
    """Clean and faulty maps of one endcap, and what each method makes of them."""

    def __init__(self, cap: Endcap, count: int, rng: np.random.Generator) -> None:
        self.cap = cap
        self.valid = cap.rate > 0
        self.places = np.argwhere(self.valid)[rng.integers(TOWERS, size=count)]
        self._clean = self._runs(count, rng)
        self._faulty = self._runs(count, rng)
        learned = self._runs(_REFERENCES, rng)[0]
        self._single = _expectation(learned[:, 0])
        self._summed = _expectation(learned.sum(axis=1))

    def _runs(self, count: int, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
        """Draw runs of three maps: contents, shape (runs, 3, 20, 20), and exposures, shape (runs, 3)."""
        level = rng.choice(EXPOSURES, count)
        exposures = np.repeat(level[:, None], IN_A_ROW, axis=1)
        return np.stack([self.cap.draw(e, rng) for e in exposures]), exposures

    def scores(self, fault: str) -> Iterator[tuple[str, tuple[FloatArray, FloatArray]]]:
        """Return each method's scores of the valid towers of clean maps, and of the faulty towers."""
        clean, faulty = self._clean, (self._faulty[0].copy(), self._faulty[1])
        runs = np.arange(len(self.places))
        faulty[0][runs, :, self.places[:, 0], self.places[:, 1]] = 0.0 if fault == "dead" else float(HOT)
        for name, losses in (("peer", self._loss), ("peer_spatial", self._spatial)):
            yield name, self._towers(losses(*clean)[:, 0], losses(*faulty)[:, 0])
        yield "peer_spatial_time", self._towers(self._spatial(*clean).prod(axis=1), self._spatial(*faulty).prod(axis=1))
        sign = -1.0 if fault == "dead" else 1.0
        for name, maps in DETECTIONS.items():
            expected = self._summed if maps > 1 else self._single
            scorer = _own_significances if "single bins" in name else _bin_scores
            yield (
                name,
                self._towers(*(scorer(expected, c[:, :maps].sum(axis=1), sign) for c in (clean[0], faulty[0]))),
            )

    def _towers(self, clean: FloatArray, faulty: FloatArray) -> tuple[FloatArray, FloatArray]:
        return clean[:, self.valid], faulty[np.arange(len(faulty)), self.places[:, 0], self.places[:, 1]]

    def _loss(self, contents: FloatArray, exposures: FloatArray) -> FloatArray:
        loss: FloatArray = (self.cap.rate - contents / exposures[:, :, None, None]) ** 2
        return loss

    def _spatial(self, contents: FloatArray, exposures: FloatArray) -> FloatArray:
        spatial: FloatArray = self._loss(contents, exposures) / np.where(self.valid, self.cap.rate, 1.0) ** 2
        return spatial


def fdr(clean: FloatArray, faulty: FloatArray) -> float:
    """Return FP / (FP + TP) at the threshold that 99 % of the faulty scores reach, scaled to as many clean maps.

    Parameters
    ----------
    clean
        Shape: (maps, towers).
    faulty
        One a map. Shape: (maps,).
    """
    threshold = np.sort(faulty)[int((1.0 - DETECTED) * faulty.size)]
    false = float((clean >= threshold).sum()) / len(clean)
    found = float((faulty >= threshold).mean())
    return false / (false + found)


def _expectation(contents: FloatArray) -> Expected:
    intervals = [interval_of(one, name="ecal", run=n + 1) for n, one in enumerate(contents)]
    return Expected(learn_reference(intervals, "clean maps").reference)


def _bin_scores(expected: Expected, contents: FloatArray, sign: float) -> FloatArray:
    """Return the detector's bin scores, negative where a tower is off to the other side than faults are."""
    detector = ExpectationDetector(Settings())
    reference = expected.reference
    scores = np.empty(contents.shape)
    for n, one in enumerate(contents):
        away = one - reference.rate * reference.exposure_of(one.ravel())
        scores[n] = detector.bin_scores(interval_of(one, name="ecal"), expected) * np.sign(sign * away)
    return scores


def _own_significances(expected: Expected, contents: FloatArray, sign: float) -> FloatArray:
    """Return the significance of every tower alone, positive in the direction of the faults."""
    reference = expected.reference
    rate = reference.rate.ravel()
    scores = np.empty(contents.shape)
    for n, one in enumerate(contents):
        planes = Planes(reference, interval_of(one, name="ecal"), rate, reference.exposure_of(one.ravel()))
        scores[n] = sign * planes.bin_significances().reshape(reference.shape)
    return scores


def _table(title: str, rows: Sequence[Row]) -> Part:
    """Return FDR, a point and gradient a line, a method a column, with the limits."""
    names = detectors(rows)
    lines = []
    for what in experiments(rows):
        for kind in dict.fromkeys(r.type for r in rows):
            own = {r.detector: r for r in rows if r.what == what and r.type == kind}
            if own:
                line = [what, kind, *(number(own[n].figures["fdr"], 5) if n in own else "" for n in names)]
                limits = [own[n].figures["limit"] for n in ("expectation", "expectation, 3 maps") if n in own]
                lines.append([*line, *(number(v, 5) for v in limits)])
    return Part(title=title, header=["faults", "type", *names, "limit, 1 map", "limit, 3 maps"], lines=lines)


def _against_limit(rows: Sequence[Row]) -> Callable[[Any], None]:
    def paint(figure: Any) -> None:
        axes = figure.subplots()
        floor = 1e-6
        for name in detectors(rows):
            own = [r for r in rows if r.detector == name]
            limits, found = ([max(floor, float(r.figures[f] or 0.0)) for r in own] for f in ("limit", "fdr"))
            axes.plot(limits, found, "o", label=name)
        axes.plot([floor, 1.0], [floor, 1.0], "k--", linewidth=1, label="limit of statistics")
        axes.set(xscale="log", yscale="log", xlabel="limit, n P(0) / (n P(0) + 1)")
        axes.set(ylabel="FDR at 99 % detection; below 1e-6 drawn there")
        axes.legend(fontsize="small")

    return paint
