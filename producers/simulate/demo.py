"""The run of ``histwatch demo``: five faults of different character in 40 lumisections."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from producers.simulate.calo import CALO, LAR
from producers.simulate.catalogue import catalogue
from producers.simulate.detector import SimulatedDetector
from producers.simulate.faults import Fault
from producers.simulate.place import make_fault
from producers.simulate.recording import write_run

DEMO_RUN = 500_001
DEMO_LUMISECTIONS = 40


def demo_faults() -> tuple[Fault, ...]:
    """Return the five faults, in the order they begin; each is in a histogram of its own."""
    known = catalogue()
    return (
        make_fault("spot", f"calo/{CALO}/2d_Rates/m_clus_etaphi_Et_thresh1", known, x=36, y=20, lumisections=(9, 16)),
        make_fault(
            "hot_bin",
            f"calo/{LAR}/2d_Rates/m_clus_etaphi_Et_thresh2",
            known,
            x=60,
            y=41,
            lumisections=(13, 21),
            strength=10,
        ),
        make_fault(
            "inefficient_strip", "hcal/Hcal/DigiTask/Occupancy/depth/depth2", known, x=30, lumisections=(18, 27)
        ),
        make_fault("map_gone", f"calo/{CALO}/TransEnergy/etaphi_thresh_avgEt_1", known, lumisections=(23, 29)),
        make_fault("sector", "hcal/Hcal/DigiTask/Occupancy/depth/depth4", known, sector=3, lumisections=32),
    )


def write_demo_run(folder: Path, seed: int) -> dict[str, Any]:
    """Write the demo's run to a folder as `write_run` does, and return its truth."""
    return write_run(folder, SimulatedDetector(seed), DEMO_RUN, DEMO_LUMISECTIONS, demo_faults())
