"""A simulated detector with faults, and its runs as recorded files."""

from producers.simulate.catalogue import catalogue
from producers.simulate.demo import DEMO_LUMISECTIONS, DEMO_RUN, demo_faults, write_demo_run
from producers.simulate.detector import START_NS, SimulatedDetector
from producers.simulate.faults import FAULTS, Fault, Place
from producers.simulate.faulttext import parse_fault, read_faults
from producers.simulate.histogram import SimulatedHistogram
from producers.simulate.luminosity import UNIT_S, Luminosity
from producers.simulate.place import make_fault
from producers.simulate.recording import write_run
from producers.simulate.truth import truth

__all__ = [
    "DEMO_LUMISECTIONS",
    "DEMO_RUN",
    "FAULTS",
    "START_NS",
    "UNIT_S",
    "Fault",
    "Luminosity",
    "Place",
    "SimulatedDetector",
    "SimulatedHistogram",
    "catalogue",
    "demo_faults",
    "make_fault",
    "parse_fault",
    "read_faults",
    "truth",
    "write_demo_run",
    "write_run",
]
