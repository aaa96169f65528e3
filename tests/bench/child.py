"""One measurement, run as a process of its own: ``python -m tests.bench.child KIND SPEC``."""

from __future__ import annotations

import json
import sys
from importlib import import_module

from tests.bench.processes import tell

KINDS = {
    "stock": "bare:stock",
    "bare": "bare:tuned",
    "monitor": "daemon:monitor",
    "paced": "produce:paced",
    "stages": "stages:stages",
    "maps": "clusters:maps",
    "points": "clusters:points",
}
"""Module and function of each; only what is needed is imported, for memory is measured, too."""

if __name__ == "__main__":
    module, _, function = KINDS[sys.argv[1]].partition(":")
    tell(getattr(import_module(f"tests.bench.{module}"), function)(json.loads(sys.argv[2])))
