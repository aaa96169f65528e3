"""Mean amplitudes derived of recorded sums and counters: the values that are known of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from monitor.learn.recorded import gather_intervals
from monitor.source.recording import Recording
from monitor.window import Derivation, Interval

pytestmark = pytest.mark.shared

SATURATED = [(44, 63), (48, 63), (52, 63)]
"""Channels of HB depth 1: (3, 63), (7, 63), (11, 63) in ieta and iphi bins."""


@pytest.fixture(scope="module")
def means(shared_data: Path) -> dict[tuple[str, int], Interval]:
    """Mean amplitude of each channel by path and run."""
    rule = Derivation(
        path="mean_depth{depth}_{sub}",
        operation="ratio",
        of=("h_mapDepth{depth:?}ADCAmpl_{sub:H?}", "h_mapDepth{depth:?}_{sub:H?}"),
        errors="shared",
    )
    recording = Recording([shared_data / "hcal_led"], select=("h_mapDepth[12]ADCAmpl_H[BE]", "h_mapDepth[12]_H[BE]"))
    found = gather_intervals(recording, derivations=[rule])
    return {(i.path, i.run): i for own in found.values() for i in own if i.path.startswith("mean_")}


def test_every_run_has_its_four_means(means: dict[tuple[str, int], Interval]) -> None:
    assert len(means) == 4 * 14
    for interval in means.values():
        assert np.isfinite(interval.contents).all()
        assert interval.variances is not None
        assert ((interval.variances > 0) == (interval.contents != 0)).all()


def test_the_saturated_channels_of_hb(means: dict[tuple[str, int], Interval]) -> None:
    for run in (295401, 297571, 297630, 297687, 298863):
        contents = means["mean_depth1_HB", run].contents
        seen = [contents[place] for place in SATURATED]
        if run in (297630, 297687):
            assert seen == pytest.approx([99844.0] * 3, rel=1e-4)
            # No other channel is near.
            assert np.sort(contents.ravel())[-4] < 5000.0
        elif run == 298863:
            assert seen == [0.0] * 3
        else:
            assert all(600.0 < value < 1000.0 for value in seen)


def test_the_hot_channels_of_he(means: dict[tuple[str, int], Interval]) -> None:
    for path, place in (("mean_depth1_HE", (21, 58)), ("mean_depth2_HE", (19, 58)), ("mean_depth2_HE", (22, 58))):
        before, hot, dead = (means[path, run].contents[place] for run in (296185, 296808, 297082))
        assert hot > 3.0 * before > 0.0
        assert dead == 0.0
