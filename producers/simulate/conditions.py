"""The state of the simulated detector in one run: what each bin is expected to count, lumisection by lumisection.

Expected fills are ``exposure * rate * stable response * run response * drift``. Rate and stable response belong to the
detector; run response, drift and luminosity are drawn for each run. Every random number comes from a generator of its
own, named by what it is for, so nothing depends on the order in which things are asked for, nor on other histograms.
"""

from __future__ import annotations

import math
from hashlib import blake2b

import numpy as np

from monitor.snapshot import FloatArray
from producers.simulate.histogram import SimulatedHistogram
from producers.simulate.luminosity import UNIT_S, Luminosity

DETECTOR_SEED = 2022
DRIFT_RUN = 0.01
"""Spread from run to run of the amplitude of the coherent mode, relative."""
DRIFT_TIME = 0.01
"""Amplitude of the coherent mode's slow change within a run, relative."""
DRIFT_PERIOD_S = 3600.0
_MEAN_DRIFT = 0.3
"""Share of the coherent mode that a profile's means feel."""


def generator(*names: int | str) -> np.random.Generator:
    """Return the random generator of this name: always in the same state."""
    digest = blake2b("\0".join(map(str, names)).encode(), digest_size=16).digest()
    return np.random.default_rng(np.random.SeedSequence(int.from_bytes(digest, "little")))


class RunConditions:
    """One run of the detector.

    Parameters
    ----------
    seed
        Of everything that differs between runs.
    run
        Number of the run; another run is drawn anew.
    detector_seed
        Of what makes this detector this one, and the same in all runs: its stable response.
    luminosity
        How the luminosity goes.
    lumisection_s
        Length of a lumisection, seconds.
    """

    def __init__(
        self, seed: int, run: int, *, detector_seed: int, luminosity: Luminosity, lumisection_s: float
    ) -> None:
        self._seed = seed
        self._run = run
        self._detector_seed = detector_seed
        self._luminosity = luminosity
        self._lumisection_s = lumisection_s
        self._start = float(generator(seed, run, "luminosity").uniform(luminosity.lowest_run, 1.0))
        self._fills: dict[str, FloatArray] = {}
        self._means: dict[str, FloatArray] = {}
        self._modes: dict[str, FloatArray] = {}
        self._drifts: dict[str, tuple[float, float]] = {}

    def exposure(self, lumisection: int) -> float:
        """Return the exposure of a lumisection, counted from 1, in units of `UNIT_S` at full luminosity."""
        jitter = self._luminosity.jitter * float(self.draw("exposure", lumisection).standard_normal())
        now = self._luminosity.at(self._time_s(lumisection))
        return self._start * now * math.exp(jitter) * self._lumisection_s / UNIT_S

    def fills(self, histogram: SimulatedHistogram, lumisection: int) -> FloatArray:
        """Return the expected fills of each bin in a lumisection, without faults. Shape: that of the map."""
        drift = 1.0 + self._drift(histogram.stream, lumisection) * self._mode(histogram)
        return np.asarray(self.exposure(lumisection) * self._rate(histogram) * drift, dtype=np.float64)

    def means(self, histogram: SimulatedHistogram, lumisection: int) -> FloatArray:
        """Return the expected value of a profile's fills, without faults: no matter of luminosity."""
        if histogram.mean is None:
            raise ValueError(f"{histogram.key} is no profile")
        if histogram.key not in self._means:
            response = self._response(histogram, "means", histogram.mean_spread, histogram.mean_spread)
            self._means[histogram.key] = histogram.mean() * response
        drift = 1.0 + _MEAN_DRIFT * self._drift(histogram.stream, lumisection) * self._mode(histogram)
        return np.asarray(self._means[histogram.key] * drift, dtype=np.float64)

    def draw(self, key: str, lumisection: int) -> np.random.Generator:
        """Return the generator of what happens by chance in a lumisection."""
        return generator(self._seed, self._run, lumisection, key)

    def _time_s(self, lumisection: int) -> float:
        return (lumisection - 0.5) * self._lumisection_s

    def _rate(self, histogram: SimulatedHistogram) -> FloatArray:
        if histogram.key not in self._fills:
            response = self._response(histogram, "fills", histogram.stable_spread, histogram.run_spread)
            self._fills[histogram.key] = histogram.rate() * response
        return self._fills[histogram.key]

    def _response(self, histogram: SimulatedHistogram, what: str, stable: float, run: float) -> FloatArray:
        ours = generator("detector", self._detector_seed, what, histogram.key).standard_normal(histogram.shape)
        now = generator(self._seed, self._run, what, histogram.key).standard_normal(histogram.shape)
        return np.asarray(np.exp(stable * ours + run * now), dtype=np.float64)

    def _mode(self, histogram: SimulatedHistogram) -> FloatArray:
        """Return the coherent mode of a stream on this map: a slow wave of unit size. Shape: that of the map."""
        if histogram.key not in self._modes:
            draw = generator("detector", self._detector_seed, "mode", histogram.stream)
            waves, phase = draw.uniform(0.5, 1.0), draw.uniform(0.0, 2 * np.pi)
            along = waves * (np.arange(histogram.shape[0]) + 0.5) / histogram.shape[0]
            angle = 2 * np.pi * along + phase
            if len(histogram.shape) == 2:
                # Around phi it closes.
                around = 2 * np.pi * (np.arange(histogram.shape[1]) + 0.5) / histogram.shape[1]
                angle = angle[:, np.newaxis] + around
            self._modes[histogram.key] = np.asarray(np.sqrt(2.0) * np.cos(angle), dtype=np.float64)
        return self._modes[histogram.key]

    def _drift(self, stream: str, lumisection: int) -> float:
        if stream not in self._drifts:
            draw = generator(self._seed, self._run, "drift", stream)
            self._drifts[stream] = DRIFT_RUN * draw.standard_normal(), draw.uniform(0.0, 2 * np.pi)
        amplitude, phase = self._drifts[stream]
        return amplitude + DRIFT_TIME * math.sin(2 * math.pi * self._time_s(lumisection) / DRIFT_PERIOD_S + phase)
