"""The simulated detector: histograms, lumisection by lumisection, as an online system would publish them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from monitor.snapshot import Snapshot
from producers.simulate.catalogue import catalogue
from producers.simulate.conditions import DETECTOR_SEED, RunConditions
from producers.simulate.faults import Fault, require
from producers.simulate.histogram import SimulatedHistogram
from producers.simulate.luminosity import UNIT_S, Luminosity
from producers.simulate.place import check_fault, find_histogram
from producers.simulate.sums import Sums, filled, nothing

START_NS = 1_767_225_600_000_000_000
"""Start of a run unless another is given: 1 January 2026, ns since 1970."""
PRODUCER = "simulate"


class SimulatedDetector:
    """A detector whose runs can be taken again: same seed, same histograms, bit by bit.

    Parameters
    ----------
    seed
        Of everything that differs between runs: counts, run response, drift, luminosity.
    histograms
        What it has; None for the whole catalogue. A histogram does not depend on which others there are.
    lumisection_s
        Length of a lumisection, seconds.
    luminosity
        How the luminosity goes.
    detector_seed
        Of the detector's stable response: another one is another detector of the same geometry. Models learned from
        one detector fit all its runs, whatever their seed.

    Notes
    -----
    The random streams are numpy's, which promises them for one version of numpy only.
    """

    def __init__(
        self,
        seed: int,
        *,
        histograms: Sequence[SimulatedHistogram] | None = None,
        lumisection_s: float = UNIT_S,
        luminosity: Luminosity | None = None,
        detector_seed: int = DETECTOR_SEED,
    ) -> None:
        require(lumisection_s > 0, f"a lumisection of {lumisection_s:g} s")
        self.seed = seed
        self.lumisection_s = lumisection_s
        self.detector_seed = detector_seed
        self.histograms = tuple(sorted(catalogue() if histograms is None else histograms, key=lambda h: h.key))
        self._luminosity = luminosity or Luminosity()

    def conditions(self, run: int) -> RunConditions:
        """Return what the bins of a run are expected to count."""
        return RunConditions(
            self.seed,
            run,
            detector_seed=self.detector_seed,
            luminosity=self._luminosity,
            lumisection_s=self.lumisection_s,
        )

    def check(self, faults: Sequence[Fault], lumisections: int) -> None:
        """Refuse faults that a run of this length cannot have.

        Raises
        ------
        ConfigurationError
            Naming the fault, what is wrong with it and the nearest that would be right.
        """
        for fault in faults:
            check_fault(fault, find_histogram(fault.histogram, self.histograms))
            require(
                fault.last_lumisection <= lumisections,
                f"{fault.name} in {fault.histogram} lasts to lumisection {fault.last_lumisection}, the run to"
                f" {lumisections}; take more with --lumisections, or end it earlier",
            )

    def time_ns(self, lumisection: int, start_ns: int = START_NS) -> int:
        """Return the data time of a lumisection, counted from 1: its end, ns since 1970."""
        return start_ns + lumisection * round(self.lumisection_s * 1e9)

    def run(
        self,
        run: int,
        lumisections: int,
        faults: Sequence[Fault] = (),
        *,
        cumulative: bool = True,
        start_ns: int = START_NS,
    ) -> Iterator[Snapshot]:
        """Take a run.

        Parameters
        ----------
        run
            Its number; another run has another response and luminosity.
        lumisections
            How many it has; they count from 1.
        faults
            What goes wrong.
        cumulative
            Publish everything since the start of the run, else each lumisection alone.
        start_ns
            Its start, ns since 1970.

        Yields
        ------
        Snapshot
            In the order of lumisection, stream and path.

        Raises
        ------
        ConfigurationError
            For faults that it cannot have; before the first snapshot.
        """
        self.check(faults, lumisections)
        return self._take(run, lumisections, faults, cumulative, start_ns)

    def _take(
        self, run: int, lumisections: int, faults: Sequence[Fault], cumulative: bool, start_ns: int
    ) -> Iterator[Snapshot]:
        conditions = self.conditions(run)
        totals = {histogram.key: nothing(histogram) for histogram in self.histograms}
        shown = dict(totals)
        own = {h.key: [fault for fault in faults if fault.histogram == h.key] for h in self.histograms}
        for lumisection in range(1, lumisections + 1):
            for histogram in self.histograms:
                key = histogram.key
                acting = [fault for fault in own[key] if fault.acts(lumisection)]
                fresh = _fill(conditions, histogram, lumisection, acting)
                totals[key] += fresh
                if not any(fault.is_stuck for fault in acting):
                    shown[key] = totals[key] if cumulative else fresh
                yield self._snapshot(histogram, run, lumisection, shown[key], cumulative, start_ns)

    def _snapshot(
        self,
        histogram: SimulatedHistogram,
        run: int,
        lumisection: int,
        sums: Sums,
        cumulative: bool,
        start_ns: int,
    ) -> Snapshot:
        contents, variances, entries = sums.published(histogram)
        return Snapshot(
            stream=histogram.stream,
            path=histogram.path,
            run=run,
            lumisection=lumisection,
            time_ns=self.time_ns(lumisection, start_ns),
            kind=histogram.kind,
            axes=histogram.axes,
            contents=contents,
            variances=variances,
            entries=entries,
            total_entries=sums.total,
            cumulative=cumulative,
            producer=PRODUCER,
            sequence=lumisection - 1,
        )


def _fill(conditions: RunConditions, histogram: SimulatedHistogram, lumisection: int, acting: Sequence[Fault]) -> Sums:
    fills = conditions.fills(histogram, lumisection)
    means = None if histogram.mean is None else conditions.means(histogram, lumisection)
    sums = filled(conditions.draw(histogram.key, lumisection), fills, means, histogram.value_spread)
    for fault in acting:
        if not fault.is_stuck:
            draw = conditions.draw(repr(fault), lumisection)
            sums = sums.struck(fault.mask(histogram), fault.strength, fills, draw)
    return sums
