"""A version of the models that is judged beside the active one, and only counted."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Collection, Sequence

from monitor.judge import Catalogue, Judge
from monitor.verdict import Judgement
from monitor.window import Interval

log = logging.getLogger(__name__)


class Shadow:
    """Judges what it has models for; nothing of it reaches an alarm.

    Parameters
    ----------
    version
        Its name.
    catalogue
        Its rules and expectations.
    on_error
        Called with the stage, ``shadow``, and the exception when something fails.
    """

    def __init__(self, version: str, catalogue: Catalogue, on_error: Callable[[str, Exception], None]) -> None:
        self.version = version
        self._catalogue = catalogue
        self._on_error = on_error
        self._judge = Judge(catalogue, self._failed)

    def judge(self, intervals: Sequence[Interval], judgements: Sequence[Judgement]) -> Counter[tuple[str, str, str]]:
        """Count judgements by version, verdict and the active version's verdict.

        Parameters
        ----------
        judgements
            Of the active version, one an interval.
        """
        own = [
            (interval, judgement.verdict.value)
            for interval, judgement in zip(intervals, judgements, strict=True)
            if self._catalogue[interval.key].expected is not None
        ]
        try:
            found = self._judge.judge([interval for interval, _ in own])
        except Exception as error:  # what is only tried out must not cost the active version its verdicts
            self._on_error("shadow", error)
            log.exception("version %s in shadow failed on a batch", self.version)
            return Counter()
        return Counter(
            (self.version, judgement.verdict.value, active) for judgement, (_, active) in zip(found, own, strict=True)
        )

    def forget(self, keys: Collection[str]) -> None:
        """Let go of what is known of histograms, ``stream/path``, that are another worker's now."""
        self._judge.forget(keys)

    def _failed(self, key: str, error: Exception) -> None:
        self._on_error("shadow", error)
        log.error("version %s in shadow failed on %s", self.version, key, exc_info=error)
