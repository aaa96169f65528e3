"""Models that are trained once."""

from __future__ import annotations

import pytest
from helpers import Trained, trained_on

from monitor.snapshot import Kind


@pytest.fixture(scope="session")
def trained() -> Trained:
    """Of a map of counts."""
    return trained_on(Kind.TH2)


@pytest.fixture(scope="session")
def trained_by_kind(trained: Trained) -> dict[Kind, Trained]:
    """One of every kind of histogram."""
    return {kind: trained if kind is Kind.TH2 else trained_on(kind) for kind in Kind}
