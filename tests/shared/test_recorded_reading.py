"""Every recorded set is read: each histogram becomes a snapshot or has a named reason."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import uproot

from monitor.snapshot import Kind, Snapshot
from monitor.source.recorded_file import Skip
from monitor.source.recording import Recording

pytestmark = pytest.mark.shared

LED_RUNS = (
    *(295401, 295675, 296185, 296808, 297082, 297522, 297571),
    *(297630, 297687, 298863, 299468, 302183, 302246, 302585),
)


def read(path: Path, select: tuple[str, ...] = ()) -> tuple[list[Snapshot], list[Skip]]:
    skips: list[Skip] = []
    return list(Recording([path], select=select, on_skip=skips.append)), skips


def test_all_led_runs(shared_data: Path) -> None:
    folder = shared_data / "hcal_led"
    expected = 0
    for path in folder.glob("*.root"):
        with uproot.open(path) as file:
            expected += len(file.keys(cycle=False))
    skips: list[Skip] = []
    recording = Recording([folder], on_skip=skips.append)
    assert recording.runs == LED_RUNS
    assert recording.streams == ("hcal_led",)
    assert recording.without_run == []
    kinds = Counter(snapshot.kind for snapshot in recording)
    assert skips == []
    assert kinds.total() == len(recording) == expected
    assert kinds[Kind.TH1] > 10_000
    assert kinds[Kind.TH2] > 7_000


def test_known_changes_are_at_the_bins_that_are_known(shared_data: Path) -> None:
    maps, _ = read(shared_data / "hcal_led", select=("h_mapDepth1_HB", "h_mapDepth[12]_HE"))
    assert len(maps) == 14 * 3
    shapes = {snapshot.shape for snapshot in maps}
    assert shapes == {(82, 72)}
    before = {s.path: s.contents for s in maps if s.run == 295401}
    for path, bins, run in (
        ("h_mapDepth1_HE", [(21, 58)], 297082),
        ("h_mapDepth2_HE", [(19, 58), (22, 58)], 297082),
        ("h_mapDepth1_HB", [(44, 63), (48, 63), (52, 63)], 298863),
    ):
        after = next(s.contents for s in maps if s.path == path and s.run == run)
        for place in bins:
            assert before[path][place] > 0
            assert after[place] == 0


def test_lumisections_of_a_map_share_a_path(shared_data: Path) -> None:
    maps, skips = read(shared_data / "hcal_lumisections")
    assert not skips
    assert len(maps) == 140
    assert {s.run for s in maps} == {306138}
    paths = Counter(s.path for s in maps)
    assert len(paths) == 14
    assert "Hcal_DigiTask_Occupancy_depth_depth1" in paths
    one = [s for s in maps if s.path == "Hcal_DigiTask_Occupancy_depth_depth1"]
    assert [s.lumisection for s in one] == list(range(1, 11))
    assert all(a.time_ns < b.time_ns for a, b in pairwise(one))
    assert {(s.shape, s.variances is None) for s in maps} == {((84, 72), True)}
    # The beam: +35 % between lumisections 5 and 6.
    assert one[5].contents.sum() / one[4].contents.sum() == pytest.approx(1.35, abs=0.05)


def test_pixel_maps_and_45_empty_histograms(shared_data: Path) -> None:
    found, skips = read(shared_data / "pixel_lumisections")
    assert {(skip.reason, skip.file.suffix) for skip in skips} == {("unsupported_file", ".parquet")}
    empty = [s for s in found if "charge" in s.path]
    assert len(empty) == 45
    assert {(s.run, s.path, float(s.contents.sum())) for s in empty} == {
        (367094, "PixelPhase1_Tracks_PXBarrel_charge_PXLayer_1", 0.0)
    }
    assert [s.lumisection for s in empty] == list(range(1, 46))
    maps = [s for s in found if "zphi" in s.path]
    assert [s.total_entries for s in maps] == [486873, 505431, 501089, 135070, 33373]
    assert {(s.run, s.shape) for s in maps} == {(367129, (300, 200))}
    assert {s.shape for s in found if "_xy_" in s.path} == {(200, 200)}


def test_hit_rates_are_floats(shared_data: Path) -> None:
    maps, skips = read(shared_data / "sphenix_ihcal")
    assert not skips
    assert len(maps) == 17
    assert {s.contents.dtype.str for s in maps} == {"<f4"}
    assert {s.shape for s in maps} == {(24, 64)}
    runs = [s.run for s in maps]
    assert (runs[0], runs[-1]) == (40747, 82451)
    assert {45022, 63461} <= set(runs)
    assert any(not np.array_equal(s.contents, np.round(s.contents)) for s in maps)


def test_certified_lumisections(shared_data: Path) -> None:
    histograms, skips = read(shared_data / "certified_1d")
    assert not skips
    assert len(histograms) == 3100
    assert len({s.run for s in histograms}) == 15
    assert {(s.stream, s.path, s.shape) for s in histograms} == {("certified_1d", "chargeInner_PXLayer_1", (100,))}
    first = next(s for s in histograms if (s.run, s.lumisection) == (297056, 17))
    # bin_0 and bin_101 are under- and overflow: with the 860 there the sum is that of the entries.
    assert first.contents[:3].tolist() == [31, 167, 291]
    assert first.contents.sum() + 860 == first.total_entries == 101614
    assert (first.axes[0].low, first.axes[0].high) == (0.0, 80000.0)


def test_odd_files(shared_data: Path) -> None:
    found, skips = read(shared_data / "odd_files")
    assert {(skip.reason, skip.file.name) for skip in skips} == {
        ("no_histograms", "Global_346508_1.root"),
        ("unsupported_file", "dqmgui_jsonfairy_dt_th2.json"),
    }
    assert len(found) == 139
    assert {s.run for s in found} == {30730}
    assert "Hist_ParticleComboKinematics_Initial/Step0__Photon_Proton_->_Photon_Photon_Proton/Beam/Momentum" in {
        s.path for s in found
    }


@pytest.mark.parametrize(
    "name",
    ["hcal_led/LEDtest295401.root", "odd_files/gluex_hist_sum_30730_30788.root", "odd_files/Global_346508_1.root"],
)
@pytest.mark.parametrize("part", [0.0, 0.01, 0.5, 0.98])
def test_half_a_file_gives_what_is_in_it(shared_data: Path, tmp_path: Path, name: str, part: float) -> None:
    data = (shared_data / name).read_bytes()
    cut = int(part * len(data))
    with uproot.open(shared_data / name) as file:
        keys = [file.key(key) for key, kind in file.classnames().items() if kind.startswith("TH")]
        before = sum(key.fSeekKey + key.fNbytes <= cut for key in keys)
    half = tmp_path / Path(name).name
    half.write_bytes(data[:cut])
    try:
        found, skips = read(half)
        assert len(found) == before
        assert skips
        assert {skip.file for skip in skips} == {half}
        # The last bytes of the stub hold nothing.
        named = {"empty_file", "not_root", "truncated_file", "unreadable_object"}
        assert {skip.reason for skip in skips} <= (named | {"no_histograms"} if "Global" in name else named)
    finally:
        half.unlink()
