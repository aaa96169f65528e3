"""False alarms that happen over those that were promised, on held-out good maps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from monitor.detect.base import Detector, Expected, Settings
from monitor.detect.registry import DETECTORS
from monitor.errors import HistwatchError
from monitor.learn.calibration import calibrate_models, calibrated
from monitor.learn.evaluate.refused import left_out, measured, not_measured
from monitor.learn.evaluate.roc import LEVEL, RESAMPLED
from monitor.learn.evaluate.rows import Figure, Row
from monitor.learn.evaluate.scorers import SETTINGS, choose
from monitor.learn.evaluate.suite import Options, Part, Tell
from monitor.learn.evaluate.tables import number
from monitor.learn.reference import learn_reference
from monitor.learn.toys import Toy
from monitor.snapshot import FloatArray

CHANCES = (1e-2, 1e-3, 1e-4, 1e-5)
TYPES = 40
CALIBRATION = 20
"""Held-out good maps of each type that the tails are learned of, pooled over the types."""
JUDGING = ("expectation",)
_MAPS = 6000
_BATCH = 250
_TAIL = 0.5 * (1.0 - LEVEL)


@dataclass(frozen=True, slots=True)
class Case:
    """Good maps of one kind."""

    name: str
    mean: float
    heavy: bool
    references: int
    prototype: tuple[float, float, float, float]
    """Realised over promised at `CHANCES` in the prototype, calibrated in the same way."""


CASES = (
    Case("benign, mean 400, 20 references", 400.0, False, 20, (1.0, 1.1, 1.0, 2.0)),
    Case("heavy tails, mean 100, 5 references", 100.0, True, 5, (0.8, 1.0, 1.6, 3.5)),
    Case("heavy tails, mean 100, 20 references", 100.0, True, 20, (1.0, 1.3, 1.4, 3.1)),
    Case("heavy tails, mean 3000, 20 references", 3000.0, True, 20, (1.1, 1.4, 2.9, 8.3)),
)


class FalseAlarms:
    """The chance that a detector states of a good map, against how often it happens."""

    name = "false-alarms"
    title = "False alarms: realised over promised"
    words = (
        f"{TYPES} simulated types of 50 x 33 bins, every map a new run. Tails are calibrated on {CALIBRATION} held-out "
        f"good maps of each type, pooled; then {_MAPS} others of each are judged (times --scale). A map of which the "
        "detector states a chance of at most p is a false alarm at p; promised are p times the maps. `BAD` are those "
        "that it calls BAD where it is told that a judgement may be a false alarm with the chance p: rules for dead "
        "bins, for new life and for missing entries have no part in the stated chance, but in this. The interval is "
        "the wider one of Poisson's and the bootstrap over types, 95 % both. Heavy tails: each bin's systematic from a "
        "lognormal of width 0.5, and 1 % of the bins with 10 to 15 %. `worst` is the type with most false alarms."
    )

    def run(self, options: Options, tell: Tell) -> Iterator[Row]:
        """Measure every case.

        Raises
        ------
        HistwatchError
            If no detector that is asked for states the chance of a map.
        """
        names = options.chosen([case.name for case in CASES], self.name)
        asked = choose(options.detectors, JUDGING)
        detectors = [d for d in asked if d in DETECTORS and _states_chances(d)]
        if not detectors:
            raise HistwatchError(
                f"--detectors {', '.join(options.detectors)}: none states the chance of a map, so there is no promise"
            )
        for name in (d for d in asked if d not in detectors):
            yield left_out(self.name, "all", name, "states no chance of a map, so there is no promise")
        cases = [case for case in CASES if case.name in names]
        for done, case in enumerate(cases):

            def step(n: int, done: int = done, case: Case = case) -> None:
                tell(done * TYPES + n, len(cases) * TYPES, case.name)

            yield from self._of_case(case, detectors, options, step)
        tell(len(cases) * TYPES, len(cases) * TYPES, "done")

    def _of_case(
        self, case: Case, detectors: Sequence[str], options: Options, step: Callable[[int], None]
    ) -> Iterator[Row]:
        toys = [
            Toy(name=f"type_{n:02d}", shape=(50, 33), mean=case.mean, heavy=case.heavy, seed=300 + n)
            for n in range(TYPES)
        ]
        expected = _calibrated(toys, case.references, options.seed)
        made = {name: [_detector(name, chance) for chance in CHANCES] for name in detectors}
        count = options.count(_MAPS, least=10)
        stated = {name: np.zeros((TYPES, len(CHANCES))) for name in detectors}
        bad = {name: np.zeros((TYPES, len(CHANCES))) for name in detectors}
        for n, toy in enumerate(toys):
            step(n)
            rng = np.random.default_rng([options.seed, toy.seed, 71])
            for first in range(0, count, _BATCH):
                batch = [toy.draw(rng) for _ in range(min(_BATCH, count - first))]
                for name, by_chance in made.items():
                    for k, detector in enumerate(by_chance):
                        found = detector.judge(batch, [expected[toy.name]] * len(batch))
                        bad[name][n, k] += sum(f.bad for f in found)
                    # The last one is nearest to a budget in use.
                    chances = np.array([1.0 if f.p_value is None else f.p_value for f in found])
                    stated[name][n] += (chances[:, None] <= np.array(CHANCES)).sum(axis=0)
        rng = np.random.default_rng(options.seed)
        for name in detectors:
            for k, chance in enumerate(CHANCES):
                promised = chance * count * TYPES
                yield Row(
                    suite=self.name,
                    what=f"p = {chance:g}",
                    type=case.name,
                    detector=name,
                    unit="map",
                    n_good=count * TYPES,
                    n_bad=0,
                    figures={
                        "promised": promised,
                        **_over("", stated[name][:, k], promised, rng),
                        **_over("bad_", bad[name][:, k], promised, rng),
                    },
                    peer="prototype, realised over promised" if name == "expectation" else "",
                    peer_value=case.prototype[k] if name == "expectation" else None,
                )

    def parts(self, rows: Sequence[Row]) -> list[Part]:
        """Return one table."""
        header = ["good maps", "detector", "p", "promised", "p stated", "ratio", "95 %", "worst type"]
        header += ["BAD", "ratio", "95 %", "worst type", "prototype"]
        lines = [
            [
                row.type,
                row.detector,
                row.what.removeprefix("p = "),
                number(row.figures["promised"], 1),
                *_cells(row, ""),
                *_cells(row, "bad_"),
                number(row.peer_value, 1),
            ]
            for row in measured(rows)
        ]
        without = not_measured(rows)
        part = Part(title="Realised over promised", header=header, lines=lines)
        return [part, without] if without.lines else [part]


def _over(prefix: str, counted: FloatArray, promised: float, rng: np.random.Generator) -> dict[str, Figure]:
    """Return the figures of false alarms over those promised. Shape of the argument: (types,)."""
    low, high = ratio_interval(counted, promised, rng)
    realised = float(counted.sum())
    return {
        f"{prefix}realised": realised,
        f"{prefix}ratio": realised / promised,
        f"{prefix}ratio_low": low,
        f"{prefix}ratio_high": high,
        f"{prefix}worst": float(counted.max()) * counted.size / promised,
    }


def _cells(row: Row, prefix: str) -> list[str]:
    f = row.figures
    return [
        number(f[f"{prefix}realised"], 0),
        number(f[f"{prefix}ratio"], 2),
        f"{number(f[f'{prefix}ratio_low'], 2)}-{number(f[f'{prefix}ratio_high'], 2)}",
        number(f[f"{prefix}worst"], 1),
    ]


def ratio_interval(counted: FloatArray, promised: float, rng: np.random.Generator) -> tuple[float, float]:
    """Return the 95 % interval of all false alarms over those promised.

    Types differ in how often they alarm, which Poisson's interval does not see; the bootstrap does not see how few
    events there are. The wider one of both counts.

    Parameters
    ----------
    counted
        False alarms of each type. Shape: (types,).
    """
    every = float(counted.sum())
    low = float(stats.chi2.ppf(_TAIL, 2.0 * every)) / 2.0 if every > 0 else 0.0
    high = float(stats.chi2.ppf(1.0 - _TAIL, 2.0 * every + 2.0)) / 2.0
    drawn = counted[rng.integers(counted.size, size=(RESAMPLED, counted.size))].sum(axis=1)
    low = min(low, float(np.quantile(drawn, _TAIL)))
    high = max(high, float(np.quantile(drawn, 1.0 - _TAIL)))
    return low / promised, high / promised


def _detector(name: str, chance: float) -> Detector:
    return DETECTORS[name](replace(SETTINGS.get(name, Settings()), chance=chance))


def _states_chances(name: str) -> bool:
    """Return whether a detector says how likely a good map is as odd as one."""
    *references, one = Toy(name="any", shape=(50, 33)).draw_many(3, 0)
    (found,) = _detector(name, CHANCES[0]).judge([one], [Expected(learn_reference(references, "any").reference)])
    return found.p_value is not None


def _calibrated(toys: Sequence[Toy], references: int, seed: int) -> Mapping[str, Expected]:
    """Return what each type is expected to show, with the tails of held-out good maps of all types."""
    known = {
        toy.name: Expected(learn_reference(toy.draw_many(references, 3 * seed), toy.name).reference) for toy in toys
    }
    held = {toy.name: toy.draw_many(CALIBRATION, 3 * seed + 1) for toy in toys}
    calibration = calibrate_models(held, known, seed=seed).calibration
    return {name: calibrated(one, calibration) for name, one in known.items()}
