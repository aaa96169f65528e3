"""Names of models."""

from __future__ import annotations

import hashlib
import re

_LONGEST = 80
CLASSIFIER_SUFFIX = ".kinds"
"""At the end of a classifier's name, after that of its histogram's model."""


def model_file_name(key: str) -> str:
    """Return a file name, and model name, for a histogram's ``stream/path``: readable, and unique where cut.

    The end of a long path is kept: it tells histograms apart where the beginning is the same for all.
    """
    readable = re.sub(r"[^A-Za-z0-9_.+-]+", "_", key).strip("_.")
    if len(readable) <= _LONGEST and readable == key.replace("/", "_"):
        return readable
    kept = readable[-_LONGEST:]
    # Not in the middle of a word.
    kept = kept.partition("_")[2] or kept
    return f"{kept.strip('_.')}-{hashlib.sha256(key.encode()).hexdigest()[:8]}"
