"""CMS's recipe for its electromagnetic calorimeter on simulated endcaps: false discoveries at 99 % detection.

The recipe (CMSEcalDQM/ML4ECALDQM, notebooks of the endcap; arXiv 2308.16659): a fault in one random tower of each map,
dead (nothing) or hot; a tower is called faulty beyond the threshold that 99 % of the faulty ones exceed; FDR = FP / (FP
+ TP), FP of all valid towers of clean maps, TP of one tower a map. `trial.py` has the maps and who scores them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from monitor.learn.evaluate.discoveries import Discoveries, discoveries, together
from monitor.learn.evaluate.endcaps import EXPOSURE_SPREAD, SYSTEMATIC, TOWERS, Point, endcap, limits
from monitor.learn.evaluate.looks import legend_below, looks_of
from monitor.learn.evaluate.refused import left_out, measured, not_measured
from monitor.learn.evaluate.roc import area_of_single_bins
from monitor.learn.evaluate.rows import Figure, Row
from monitor.learn.evaluate.scorers import choose
from monitor.learn.evaluate.suite import Options, Part, Tell
from monitor.learn.evaluate.tables import detectors, experiments, listing, number
from monitor.learn.evaluate.trial import FAULTS, HOT, IN_A_ROW, PEERS, REFERENCES, Trial

GRADIENTS = (4, 15)
DETECTORS = (
    "expectation",
    "dbscan",
    "strip_median",
    "strip_median_online",
    "l1calo_strip_median",
    "chi2",
    "pca",
    "isolation_forest",
    "thesis_b",
    *PEERS,
)
_CLEAN = 3100
"""Clean maps of each point and gradient: of all ten, none false shows an FDR below 1e-4."""
_FAULTY = 1000
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
    """FDR at 99 % detection of dead and hot towers, by every detector that scores bins and by the peer's losses."""

    name = "ecal-recipe"
    title = "CMS ECAL recipe on simulated endcaps"
    words = (
        f"20 x 20 towers, {TOWERS} of them valid, fuller towards the beam by a factor {GRADIENTS[0]} or "
        f"{GRADIENTS[1]}, {SYSTEMATIC:.0%} systematic, exposures of {EXPOSURE_SPREAD:.0%} spread (mu1 is the "
        "expectation that 1 % of the towers of all maps stay below), F is variance over mean of hits. One dead or hot "
        f"({HOT} hits) tower in each faulty map; FDR = FP / (FP + TP) at the threshold that 99 % of the faulty towers "
        "exceed, FP of all valid towers of clean maps. Every detector scores the same towers, by "
        f"{REFERENCES} references, and all of them, baselines too, with the direction of the fault: a tower that is "
        f"off to the other side counts as good. `{IN_A_ROW} maps`: the sum of three maps in a row of one run, by as "
        "many such sums. What scores no bins (`ks`, `drift`, `thesis_a`, `classifier`) cannot stand here. `peer`: "
        "squared difference from the true mean map at the true exposure; `peer_spatial`: both divided by the mean map; "
        "`peer_spatial_time`: product of three. They are the recipe's, have no direction, and know the truth where an "
        "autoencoder learns it. `limit`: n P(0) / (n P(0) + 1) at mu1 (for three maps at 3 mu1), as if all towers "
        "were as empty; `limit_sum` sums P(0) over the towers: what looks at one tower's counts cannot be below. "
        "95 % intervals are of maps drawn anew and never narrower than "
        "Poisson's; `<` is the upper end where no false discovery was seen. They do not see that other references "
        "would have taught something else. `every point` takes false discoveries of all points and gradients together. "
        "`published`: the authors' own figure on their data, EE+."
    )

    def run(self, options: Options, tell: Tell) -> Iterator[Row]:
        """Measure every point with every gradient."""
        kinds = options.chosen([f"gradient {g}" for g in GRADIENTS], self.name)
        wanted = choose(options.detectors, DETECTORS, PEERS)
        steps = [(point, g) for point in POINTS for g in GRADIENTS if f"gradient {g}" in kinds]
        found: dict[tuple[str, str, int], list[tuple[Row, Discoveries]]] = {}
        for done, (point, gradient) in enumerate(steps):
            tell(done, len(steps), f"F {point.dispersion:g}, mu1 {point.mu1:g}")
            for key, row, own in self._of_point(point, gradient, wanted, options):
                found.setdefault(key, []).append((row, own))
                yield row
        for name in wanted:
            if not any(key[1] == name for key in found):
                yield left_out(self.name, " and ".join(kinds), name, "scores no single bins")
        for (fault, name, maps), parts in found.items():
            if fault == "hot":
                every = together([own for _, own in parts])
                figures = _figures(every, maps) | {"published": PUBLISHED.get((name, fault))}
                yield Row(
                    suite=self.name,
                    what=f"{fault}, every point, {_maps(maps)}",
                    type=" and ".join(kinds),
                    detector=name,
                    unit="bin",
                    n_good=sum(row.n_good for row, _ in parts),
                    n_bad=sum(row.n_bad for row, _ in parts),
                    figures=figures,
                )
        tell(len(steps), len(steps), "done")

    def _of_point(
        self, point: Point, gradient: int, wanted: Sequence[str], options: Options
    ) -> Iterator[tuple[tuple[str, str, int], Row, Discoveries]]:
        rng = np.random.default_rng([options.seed, round(10 * point.mu1), gradient])
        cap = endcap(point, gradient)
        trial = Trial(cap, options.count(_CLEAN, least=200), options.count(_FAULTY, least=100), rng)
        for name, maps, scores in trial.scores(wanted, options.seed):
            for fault in FAULTS:
                clean, faulty = scores[fault]
                own = discoveries(clean, faulty, trial.redrawn)
                figures = _figures(own, maps) | {"mu1": point.mu1, "F": point.dispersion}
                if fault == "dead":
                    figures["limit"], figures["limit_sum"] = limits(cap, point.mu1, maps)
                figures["published"] = PUBLISHED.get((name, fault))
                noted = "sum" if name == "expectation" and maps > 1 else name
                known = point.peers.get(noted) if fault == "dead" else None
                row = Row(
                    suite=self.name,
                    what=f"{fault}, F {point.dispersion:g}, mu1 {point.mu1:g}, {_maps(maps)}",
                    type=f"gradient {gradient}",
                    detector=name,
                    unit="bin",
                    n_good=clean.size,
                    n_bad=faulty.size,
                    area=area_of_single_bins(clean, faulty, trial.redrawn),
                    figures=figures,
                    peer="prototype" if known is not None else "",
                    peer_value=known,
                )
                yield (fault, name, maps), row, own

    def parts(self, rows: Sequence[Row]) -> list[Part]:
        """Return FDR of all, and the pictures of FDR against the limit."""
        figures = ["fdr", "fdr_low", "fdr_high", "limit", "limit_sum", "published"]
        parts = []
        for fault in FAULTS:
            for maps in (1, IN_A_ROW):
                own = [r for r in measured(rows) if r.what.startswith(fault) and r.figures["maps"] == maps]
                parts.append(_table(f"{fault.capitalize()} towers, {_maps(maps)}: FDR at 99 % detection", own))
        dead, hot = ([r for r in measured(rows) if r.what.startswith(fault)] for fault in FAULTS)
        missing = not_measured(rows)
        return [
            *parts,
            *([missing] if missing.lines else []),
            Part(title="Dead towers: FDR against the limit", paint=_against_limit(dead)),
            listing("Dead towers, every row", dead, figures),
            listing("Hot towers, every row", hot, ["fdr", "fdr_low", "fdr_high", "published"]),
        ]


def _figures(found: Discoveries, maps: int) -> dict[str, Figure]:
    low, high = found.interval
    return {"fdr": found.fdr, "fdr_low": low, "fdr_high": high, "false": found.false, "maps": maps}


def _maps(count: int) -> str:
    return f"{count} map" if count == 1 else f"{count} maps"


def _table(title: str, rows: Sequence[Row]) -> Part:
    """Return FDR, a point and gradient a line, a method a column, with the limit."""
    names = detectors(rows)
    lines = []
    for what in experiments(rows):
        for kind in dict.fromkeys(r.type for r in rows if r.what == what):
            own = {r.detector: r for r in rows if (r.what, r.type) == (what, kind)}
            limit = next(iter(own.values())).figures.get("limit")
            lines.append([what, kind, *(_told(own[n]) if n in own else "" for n in names), number(limit, 5)])
    return Part(title=title, header=["faults", "type", *names, "limit"], lines=lines)


def _told(row: Row) -> str:
    if row.figures["fdr"] == 0.0:
        return f"< {row.figures['fdr_high']:.2g} (95 %)"
    return number(row.figures["fdr"])


def _against_limit(rows: Sequence[Row]) -> Callable[[Any], None]:
    def paint(figure: Any) -> None:
        figure.set_size_inches(13.0, 11.0)
        panels = figure.subplots(2, 1, squeeze=False)[:, 0]
        looks = looks_of(detectors(rows))
        for axes, maps in zip(panels, (1, IN_A_ROW), strict=True):
            own = [r for r in rows if r.figures["maps"] == maps]
            kinds = list(dict.fromkeys((r.figures["F"], r.figures["mu1"], r.type) for r in own))
            names = [name for name in looks if any(r.detector == name for r in own)]
            for n, name in enumerate(names):
                aside = 0.84 * ((n + 0.5) / len(names) - 0.5)
                for r in (r for r in own if r.detector == name):
                    place = kinds.index((r.figures["F"], r.figures["mu1"], r.type)) + aside
                    fdr, low, high = (float(r.figures[f] or 0.0) for f in ("fdr", "fdr_low", "fdr_high"))
                    if fdr > 0.0:
                        errors = [[max(0.0, fdr - low)], [max(0.0, high - fdr)]]
                        look = {**looks[name], "linestyle": ""}
                        axes.errorbar([place], [fdr], yerr=errors, **look, elinewidth=0.8, label=name)
                    else:
                        axes.plot([place], [high], **{**looks[name], "marker": r"$\downarrow$", "markersize": 9})
            for place, kind in enumerate(kinds):
                limit = next(r.figures["limit"] for r in own if (r.figures["F"], r.figures["mu1"], r.type) == kind)
                axes.plot([place - 0.45, place + 0.45], [limit, limit], "k-", linewidth=1, label="limit of statistics")
                axes.axvline(place - 0.5, color="0.85", linewidth=0.8)
            axes.set_xticks(
                range(len(kinds)), [f"F {f:g}, mu1 {m:g}\n{kind}" for f, m, kind in kinds], fontsize="small"
            )
            axes.set(yscale="log", ylim=(2e-4, 1.5), xlim=(-0.5, len(kinds) - 0.5), title=_maps(maps))
            axes.set(ylabel="FDR at 99 % detection; arrow: none false,\n95 % upper limit")
        legend_below(figure, panels, list(looks))

    return paint
