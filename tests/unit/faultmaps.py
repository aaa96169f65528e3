"""Good maps of simulated types with faults put into them, and what a detector should say of those."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np

from monitor.detect.base import Expected, Finding
from monitor.detect.expectation import ExpectationDetector
from monitor.learn.reference import learn_reference
from monitor.learn.toys import Toy
from monitor.snapshot import FloatArray
from monitor.window import Interval

Name = tuple[str, str, str | None, int | None]
"""Kind, sign, axis and first index of a shape."""


@dataclass(frozen=True)
class Fault:
    """One fault and the shape that it is."""

    where: Any
    factor: float
    kind: str
    sign: str
    axis: str | None = None
    index: int | None = None

    @property
    def name(self) -> Name:
        return self.kind, self.sign, self.axis, self.index


@cache
def expected_of(toy: Toy, references: int) -> Expected:
    return Expected(learn_reference(toy.draw_many(references, 1), toy.name).reference)


def with_faults(good: Interval, faults: list[Fault], rng: np.random.Generator) -> Interval:
    """Change what is expected of a good map: counts are drawn anew, means of profiles are scaled."""
    contents = good.contents.copy()
    for fault in faults:
        part = contents[fault.where]
        if good.kind.is_profile:
            contents[fault.where] = fault.factor * part
        elif fault.factor <= 1.0:
            contents[fault.where] = rng.binomial(np.asarray(part).astype(int), fault.factor)
        else:
            contents[fault.where] = part + rng.poisson((fault.factor - 1.0) * part)
    entries = good.entries
    return replace(good, contents=contents, total=float(contents.sum() if entries is None else entries.sum()))


def judge(interval: Interval, expected: Expected) -> Finding:
    (finding,) = ExpectationDetector().judge([interval], [expected])
    return finding


def names(finding: Finding) -> Counter[Name]:
    return Counter((s.kind, s.sign, s.axis, s.index) for s in finding.shapes)


def mask_of(finding: Finding, shape: tuple[int, ...]) -> np.ndarray:
    """Bins of all shapes that were found."""
    found = np.zeros(shape, dtype=bool)
    for one in finding.shapes:
        for where in one.bins:
            found[where] = True
    return found


def truth_of(faults: list[Fault], rate: FloatArray) -> np.ndarray:
    """Filled bins that a fault changed."""
    truth = np.zeros(rate.shape, dtype=bool)
    for fault in faults:
        truth[fault.where] = True
    return truth & (rate > 0)
