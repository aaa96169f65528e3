"""Recorded detector data that is not part of the repository."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of recorded data; its SOURCES.md says what it holds."""
    root = Path(__file__).parents[2]
    given = os.environ.get("HISTWATCH_SHARED")
    data = Path(given) if given else root.parent / "shared" / "data"
    if not (data / "SOURCES.md").is_file():
        words = f"needs the recorded detector data: none in {data}; say where it is with HISTWATCH_SHARED"
        if os.environ.get("CI") == "true":
            pytest.fail(words)
        pytest.skip(words)
    return data
