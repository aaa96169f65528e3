"""Run, lumisection, stream and path from names."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest

from monitor.errors import ConfigurationError
from monitor.source.naming import DEFAULT_STREAM, Naming, matches

ZERO_BIAS = "ZeroBias-Run2023C-PromptReco-v1-DQMIO-PixelPhase1-Tracks-PXBarrel-charge_PXLayer_1.root"


def identify(
    file: str, name: str, *patterns: str, stream: str | None = None
) -> tuple[str, str, int | None, int | None]:
    found = Naming(patterns, stream).identify(PurePosixPath(file), name)
    return found.stream, found.path, found.run, found.lumisection


@pytest.mark.parametrize(
    ("file", "name", "expected"),
    [
        ("/d/hcal_led/LEDtest295401.root", "h_mapDepth1_HB", ("hcal_led", "h_mapDepth1_HB", 295401, None)),
        (
            "/d/hcal_lumisections/hcal_306138_ls1-10.root",
            "run306138_ls7_Hcal_DigiTask_Occupancy_depth_depth1",
            ("hcal_lumisections", "Hcal_DigiTask_Occupancy_depth_depth1", 306138, 7),
        ),
        (f"/d/pixel/{ZERO_BIAS}", "run367129_ls3_PixelPhase1", ("pixel", "PixelPhase1", 367129, 3)),
        # The period in the file's name is no run.
        (f"/d/pixel/{ZERO_BIAS}", "PixelPhase1", ("pixel", "PixelPhase1", None, None)),
        ("/d/ihcal/IHCALMON_40747.root", "h2_hits", ("ihcal", "h2_hits", 40747, None)),
        ("/d/ihcal/IHCALMON_cosmic_45022_1000ADC.root", "h2_hits", ("ihcal", "h2_hits", 45022, None)),
        ("/d/odd/hist_sum_30730_30788.root", "Proton/Beam/Momentum", ("odd", "Proton/Beam/Momentum", 30730, None)),
        ("/d/odd/Global_346508_1.root", "h", ("odd", "h", 346508, None)),
        ("/d/sim/run12_ls003.root", "run_12/ls_0003/Ecal/occ", ("sim", "Ecal/occ", 12, 3)),
        ("/d/sim/run12_ls003.root", "Ecal/occ", ("sim", "Ecal/occ", 12, 3)),
        ("/d/sim/run7.root", "run_7/ls_0012/Ecal/occ", ("sim", "Ecal/occ", 7, 12)),
        ("/d/atlas/run_366142/hist.root", "run_366142/Tile/Cell", ("atlas", "Tile/Cell", 366142, None)),
        (
            "/d/dqm/DQM_V0001_Hcal_R000306138.root",
            "DQMData/Run 306138/Hcal/Run summary/DigiTask/Occupancy",
            ("dqm", "Hcal/DigiTask/Occupancy", 306138, None),
        ),
        ("/d/dqm/a.root", "DQMData/Run 9/Hcal/By Lumi Section 4-4/x", ("dqm", "Hcal/x", 9, 4)),
        # What is nearer to the histogram knows better.
        ("/d/x/run111111.root", "run_222222/run333333_ls4_h", ("x", "h", 333333, 4)),
        ("/d/x/run111111.root", "run_222222/h", ("x", "h", 222222, None)),
        ("/d/Run2/data.root", "h", ("Run2", "h", None, None)),
        # Nothing but the prefix: then it is the name.
        ("/d/x/a.root", "run5_", ("x", "run5_", None, None)),
        ("/a.root", "h", (DEFAULT_STREAM, "h", None, None)),
    ],
)
def test_built_in_patterns(file: str, name: str, expected: tuple[object, ...]) -> None:
    assert identify(file, name) == expected


def test_lumisections_of_a_histogram_share_a_path() -> None:
    paths = {identify("/d/x/a_306138.root", f"run306138_ls{ls}_Occ_depth1")[1] for ls in range(1, 11)}
    assert paths == {"Occ_depth1"}


def test_numbers_that_nothing_can_carry_are_no_numbers() -> None:
    name = f"run{10**30}_ls1_h"
    assert identify("/d/x/run_7.root", name) == ("x", name, 7, None)
    assert identify("/d/x/a.root", f"run5_ls{2**32}_h")[3] is None
    assert identify("/d/x/a.root", f"run_{'9' * 5000}/h")[2] is None


def test_user_patterns_come_first_and_are_cut_out_of_the_name() -> None:
    assert identify("/d/x/LEDtest295401.root", "B9/r17-4/occ", r"r(?P<run>\d+)-(?P<ls>\d+)") == ("x", "B9/occ", 17, 4)
    assert identify("/d/x/12345/occ_99999.root", "h", r"/(?P<run>\d+)/")[2] == 12345


def test_user_patterns_complement_each_other_and_the_built_in_ones() -> None:
    found = identify("/d/x/fill8_run306138.root", "occ@12", r"@(?P<lumisection>\d+)$", r"(?P<stream>fill\d+)_")
    assert found == ("fill8", "occ", 306138, 12)


def test_path_group() -> None:
    assert identify("/d/x/a.root", "run5_ls6_Ecal_occ_v3", r"ls\d+_(?P<path>.*)_v\d+$") == ("x", "Ecal_occ", 5, 6)
    # From the file's name: in front, so that two histograms of one file stay apart.
    assert identify("/d/x/tower7_run5.root", "hits", r"(?P<histogram>tower\d+)_")[1] == "tower7/hits"


def test_a_group_that_matched_no_number_is_passed_over() -> None:
    assert identify("/d/x/run_55.root", "run_x/h", r"(?P<run>\w+)/")[2] == 55


def test_stream_option_wins() -> None:
    assert identify("/d/x/a.root", "h", r"(?P<stream>a)\.root", stream="mine")[0] == "mine"
    assert identify("/d/a\tb/c.root", "h")[0] == "a_b"
    for bad in ("", "a/b", "a\nb"):
        with pytest.raises(ConfigurationError, match="stream"):
            Naming(stream=bad)


@pytest.mark.parametrize("pattern", ["(", r"run(\d+)", r"(?P<number>\d+)", r"(?P<run>\d+)(?P<x>y)"])
def test_patterns_that_cannot_be_used_are_named(pattern: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        Naming([pattern])
    assert repr(pattern) in str(error.value)


def test_matches() -> None:
    path = "Ecal/Barrel/h_mapDepth1_HB"
    assert matches(path, [])
    assert matches(path, ["h_mapDepth?_H?"])
    assert matches(path, ["Ecal/*"])
    assert matches(path, ["no", "h_mapDepth1_HB"])
    assert not matches(path, ["mapDepth*"])
    assert not matches(path, ["H_MAPDEPTH1_HB"])
    assert not matches(path, ["Barrel"])
