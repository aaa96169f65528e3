"""Whether the alarms are exactly the faults that were put in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Verification:
    """Faults of the truth against alarms of the topic."""

    found: tuple[str, ...]
    """Faults with exactly one alarm, which was cleared after the fault's end."""
    problems: tuple[str, ...] = field(default=())
    """One line each: faults missed, doubled or left open, and alarms without a fault."""

    @property
    def good(self) -> bool:
        """Whether exactly the faults were found and nothing else."""
        return not self.problems


def verify(truth: Mapping[str, Any], events: Sequence[Mapping[str, Any]]) -> Verification:
    """Compare a run's truth with the alarm events, in the order they were published.

    An alarm belongs to a fault when it is about the same histogram, shares a bin with it, deviates in the same
    direction, and its first bad interval overlaps the fault's lumisections.
    """
    raised = {e["id"]: e for e in events if e["event"] == "raised"}
    cleared = {e["id"]: e for e in events if e["event"] == "cleared"}
    problems: list[str] = []
    found: list[str] = []
    owned: set[str] = set()
    for fault in truth["faults"]:
        name = f"{fault['name']} in {fault['histogram']}"
        own = [e for e in raised.values() if _belongs(e, fault, truth)]
        owned.update(e["id"] for e in own)
        if not own:
            problems.append(f"missed: {name}")
        elif len(own) > 1:
            problems.append(f"{len(own)} alarms for one fault: {name}")
        elif own[0]["id"] not in cleared:
            problems.append(f"not cleared: {name}")
        else:
            found.append(name)
    problems += [f"alarm without a fault: {e['summary']}" for e in raised.values() if e["id"] not in owned]
    return Verification(tuple(found), tuple(problems))


def _belongs(event: Mapping[str, Any], fault: Mapping[str, Any], truth: Mapping[str, Any]) -> bool:
    judgement = event["judgement"]
    if f"{judgement['stream']}/{judgement['path']}" != fault["histogram"] or judgement["run"] != truth["run"]:
        return False
    if event["since"]["lumisection"] > fault["last_lumisection"]:
        return False
    if judgement["lumisection"] < fault["first_lumisection"]:
        return False
    low = {"dead", "low"}
    if (event["shape"]["sign"] in low) != (fault["sign"] in low):
        return False
    return not {tuple(b) for b in event["shape"]["bins"]}.isdisjoint(tuple(b) for b in fault["bins"])
