"""The simulated detector: what it promises about chance, faults, truth and files."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from monitor.cli import main
from monitor.decode.native import encode
from monitor.decode.validate import check
from monitor.errors import ConfigurationError, SourceError
from monitor.snapshot import Kind, Snapshot
from monitor.source.recording import Recording
from producers.simulate import (
    DEMO_LUMISECTIONS,
    FAULTS,
    START_NS,
    Fault,
    SimulatedDetector,
    catalogue,
    demo_faults,
    make_fault,
    parse_fault,
    read_faults,
    truth,
    write_demo_run,
    write_run,
)

ALL = catalogue()
RATES = "CaloCalTopoClustersNoTrigSel/2d_Rates/m_clus_etaphi_Et_thresh"
ENERGY = "LArClusterEMNoTrigSel/TransEnergy/etaphi_thresh_avgEt_1"
MODULES = "Modules/occupancy"
ONE_OF_EACH = tuple(h for h in ALL if h.key.endswith((RATES + "0", ENERGY, MODULES, "mean_charge_phi", "depth7")))


def detector(*ends: str, seed: int = 1, **options: Any) -> SimulatedDetector:
    return SimulatedDetector(seed, histograms=[h for h in ALL if h.key.endswith(ends)], **options)


def taken(source: SimulatedDetector, lumisections: int = 2, **options: Any) -> list[Snapshot]:
    return list(source.run(7, lumisections, options.pop("faults", ()), **options))


def same(a: Snapshot, b: Snapshot) -> bool:
    return encode(a) == encode(b)


def test_catalogue_has_the_18_types_7_depths_and_distributions() -> None:
    keys = [h.key for h in ALL]
    assert len(ALL) == len(set(keys)) == 30
    assert keys == sorted(keys)
    calo = [h for h in ALL if h.stream == "calo"]
    assert len(calo) == 18
    assert all(h.shape == (99, 65) for h in calo)
    assert sum(h.kind is Kind.TPROFILE2D for h in calo) == 8
    hcal = [h for h in ALL if h.stream == "hcal"]
    assert [h.shape for h in hcal] == [(82, 72)] * 7
    # Depths 2 and 3 cover the same towers.
    assert len({h.filled().tobytes() for h in hcal}) == 6
    assert {h.kind for h in ALL if h.stream == "tracker"} == {Kind.TH1, Kind.TPROFILE}
    for h in ALL:
        assert h.rate().shape == h.shape
        assert (h.rate() >= 0).all()
        assert h.kind.is_profile == (h.mean is not None)


def test_same_seed_same_bytes_whatever_is_simulated_beside_it() -> None:
    whole = taken(SimulatedDetector(3))
    np.random.seed(0)
    part = detector(RATES + "2", MODULES, seed=3)
    # Two runs at once, a lumisection of one and then of the other.
    one, other = iter(part.run(7, 2)), iter(part.run(8, 2))
    mixed = [(next(one), next(other)) for _ in range(4)]
    expected = [s for s in whole if s.key in {h.key for h in part.histograms}]
    assert [encode(s) for s, _ in mixed] == [encode(s) for s in expected]
    assert not any(np.array_equal(a.contents, b.contents) for a, b in mixed)


def test_seed_and_lumisections_matter() -> None:
    first, second = taken(detector(RATES + "1"), cumulative=False)
    (again,) = taken(detector(RATES + "1", seed=2), 1, cumulative=False)
    assert not np.array_equal(first.contents, second.contents)
    assert not np.array_equal(first.contents, again.contents)
    longer = SimulatedDetector(1, histograms=ALL[:1], lumisection_s=46.62)
    assert longer.conditions(7).exposure(9) == pytest.approx(
        2 * detector("thresh0").conditions(7).exposure(18), rel=0.1
    )


def test_order_times_and_what_the_wire_demands() -> None:
    snapshots = taken(SimulatedDetector(1), start_ns=10**18)
    assert [(s.lumisection, s.key) for s in snapshots] == [(ls, h.key) for ls in (1, 2) for h in ALL]
    for s in snapshots:
        assert check(s) is s
        assert s.time_ns == 10**18 + s.lumisection * 23_310_000_000
        assert s.cumulative
        total = s.contents.sum() if s.entries is None else s.entries.sum()
        assert s.total_entries == pytest.approx(float(total), rel=1e-6)


@pytest.mark.parametrize("end", [RATES + "0", RATES + "3", "depth2", MODULES])
def test_counts_are_poisson_around_what_is_expected(end: str) -> None:
    source = detector(end)
    conditions, (histogram,) = source.conditions(7), source.histograms
    filled = histogram.filled()
    chi2 = bins = surplus = expected = 0.0
    for s in taken(source, 8, cumulative=False):
        mu = conditions.fills(histogram, s.lumisection)[filled]
        x = s.contents[filled].astype(np.float64)
        chi2 += float(((x - mu) ** 2 / mu).sum())
        bins, surplus, expected = bins + mu.size, surplus + float((x - mu).sum()), expected + float(mu.sum())
    assert chi2 / bins == pytest.approx(1.0, abs=6 * np.sqrt(3 / bins))
    assert abs(surplus) < 5 * np.sqrt(expected)


def test_response_differs_by_2_5_percent_from_run_to_run_and_3_percent_from_the_design() -> None:
    source = detector(RATES + "0")
    (histogram,) = source.histograms
    filled = histogram.filled()
    logs = []
    for run in range(20):
        rate = np.where(filled, source.conditions(run).fills(histogram, 10) / np.where(filled, histogram.rate(), 1), 1)
        # Neighbours differ by their own response; luminosity and drift they share.
        logs.append(np.diff(np.log(rate), axis=0)[filled[1:] & filled[:-1]])
    runs = np.std(logs, axis=0, ddof=1)
    assert np.sqrt(np.mean(runs**2)) / np.sqrt(2) == pytest.approx(0.025, rel=0.03)
    assert np.std(np.mean(logs, axis=0)) / np.sqrt(2) == pytest.approx(np.hypot(0.03, 0.025 / np.sqrt(20)), rel=0.05)


def test_drift_is_smooth_and_of_one_or_two_percent() -> None:
    source = detector(RATES + "0")
    (histogram,) = source.histograms
    conditions, filled = source.conditions(7), histogram.filled()
    early, late = (conditions.fills(histogram, n) / conditions.exposure(n) for n in (5, 80))
    change = np.where(filled, late / np.where(filled, early, 1), 1.0)
    assert 0.005 < change.max() - change.min() < 0.06
    assert np.abs(np.diff(change, axis=0)[filled[1:] & filled[:-1]]).max() < 0.005


def test_luminosity_rises_at_the_start_and_then_decays() -> None:
    exposure = SimulatedDetector(1).conditions(7).exposure
    assert exposure(1) < 0.5 * exposure(5)
    assert exposure(5) < 1.0
    assert exposure(1550) / exposure(6) == pytest.approx(np.exp(-1), rel=0.05)


def test_cumulative_differences_are_the_intervals() -> None:
    source = SimulatedDetector(1, histograms=ONE_OF_EACH)
    totals, intervals = taken(source, 3), taken(source, 3, cumulative=False)
    assert not any(s.cumulative for s in intervals)
    for before, after, interval in zip(totals, totals[len(ONE_OF_EACH) :], intervals[len(ONE_OF_EACH) :], strict=False):
        assert before.key == after.key == interval.key
        if after.entries is None or before.entries is None:
            assert np.array_equal(after.contents - before.contents, interval.contents)
        else:
            assert np.array_equal(after.entries - before.entries, interval.entries)
            values = after.entries * after.contents - before.entries * before.contents
            assert np.allclose(values, interval.entries * interval.contents, rtol=1e-9, atol=1e-6)


def test_profiles_have_means_with_honest_errors() -> None:
    source = detector(ENERGY)
    (histogram,) = source.histograms
    conditions = source.conditions(7)
    # The first lumisection has a quarter of the luminosity of the fourth.
    first, *_, fourth = taken(source, 4, cumulative=False)
    assert fourth.total_entries > 2 * first.total_entries
    for s in (first, fourth):
        assert s.entries is not None
        assert s.variances is not None
        many = s.entries > 30
        pulls = (s.contents - conditions.means(histogram, s.lumisection))[many] / np.sqrt(s.variances[many])
        assert abs(pulls.mean()) < 0.1
        assert pulls.std() == pytest.approx(1.0, abs=0.06)
        spread = np.sqrt(s.variances * s.entries)[many] / s.contents[many]
        assert np.median(spread) == pytest.approx(histogram.value_spread, rel=0.03)
    assert np.array_equal(conditions.means(histogram, 1) > 0, histogram.filled())


def test_bins_unfilled_by_design_stay_empty() -> None:
    designs = {h.key: h.filled() for h in ALL}
    assert sum(not filled.all() for filled in designs.values()) >= 27
    for s in taken(SimulatedDetector(1), 3)[-len(ALL) :]:
        assert not s.contents[~designs[s.key]].any()


FAULTS_OF_EACH_KIND = {
    "dead_bin": ("x=40:y=30", 1, "bin", "dead"),
    "hot_bin": ("x=40:y=30", 1, "bin", "hot"),
    "spot": ("x=40:y=30:strength=1.5", 25, "spot", "high"),
    "strip": ("y=12", 96, "strip", "dead"),
    "layer": ("x=40-42", 3 * 65, "layer", "dead"),
    "sector": ("sector=3", 8 * 99, "region", "dead"),
    "inefficient_strip": ("x=40", 65, "strip", "low"),
    "map_gone": ("", 6300, "map", "dead"),
    "transient": ("x=40-49:y=30-39:strength=0.2", 100, "region", "low"),
    "stuck": ("", 6300, "map", "dead"),
}


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize("histogram", [RATES + "0", "CaloCalTopoClustersNoTrigSel/TransEnergy/etaphi_thresh_avgEt_0"])
def test_each_fault_changes_its_bins_in_its_lumisections_and_nothing_else(name: str, histogram: str) -> None:
    place, bins, shape, sign = FAULTS_OF_EACH_KIND[name]
    source = detector(histogram, MODULES)
    last = 3 if name == "transient" else 4
    fault = parse_fault(":".join(filter(None, (name, histogram, place, f"ls=3-{last}"))), source.histograms)
    (record,) = truth(source, 7, 5, [fault])["faults"]
    assert (record["shape"], record["sign"]) == (shape, sign)
    assert len(record["bins"]) == pytest.approx(bins, rel=0.05)
    good, bad = (taken(source, 5, faults=f, cumulative=False) for f in ((), (fault,)))
    for g, b in zip(good, bad, strict=True):
        if b.key != fault.histogram or not fault.acts(b.lumisection):
            assert same(g, b)
            continue
        assert np.argwhere(g.contents != b.contents).tolist() == record["bins"]
        if fault.is_stuck:
            assert np.array_equal(b.contents, good[[s.key for s in good].index(b.key) + 2].contents)
            continue
        chosen = tuple(np.transpose(record["bins"]))
        if g.entries is not None and b.entries is not None and fault.strength == 0:
            assert not b.entries[chosen].any()
        ratio = b.contents[chosen].sum() / g.contents[chosen].sum()
        assert ratio == pytest.approx(fault.strength, rel=0.1, abs=1e-12)


def test_a_deficit_stays_in_the_total_and_a_stuck_histogram_catches_up() -> None:
    source = detector(RATES + "0")
    dead = make_fault("dead_bin", RATES + "0", ALL, x=40, y=30, lumisections=(3, 4))
    stuck = make_fault("stuck", RATES + "0", ALL, lumisections=(3, 4))
    good, short, frozen = (taken(source, 6, faults=f) for f in ((), (dead,), (stuck,)))
    missing = [g.contents[40, 30] - s.contents[40, 30] for g, s in zip(good, short, strict=True)]
    assert missing[1] == 0 < missing[2] < missing[3] == missing[4] == missing[5]
    assert np.array_equal(frozen[2].contents, good[1].contents)
    assert np.array_equal(frozen[3].contents, good[1].contents)
    assert frozen[3].total_entries == good[1].total_entries
    assert frozen[3].lumisection == 4
    assert same(frozen[4], good[4])


def test_faults_in_text_and_in_files(tmp_path: Path) -> None:
    by_hand = make_fault("layer", RATES + "1", ALL, y=(3, 5), lumisections=(10, 19), strength=0.5)
    text = f"layer:calo/CaloMonitoring/ClusterMon/{RATES}1:y=3-5:ls=10-19:strength=0.5"
    assert parse_fault(text, ALL) == by_hand
    path = tmp_path / "faults.yaml"
    entry = {"fault": "layer", "histogram": RATES + "1", "y": "3-5", "ls": "10-19", "strength": 0.5}
    path.write_text(json.dumps([text, entry, f"dead_bin:{MODULES}:x=0:ls=4"]))
    assert read_faults(path, ALL)[:2] == (by_hand, by_hand)
    assert read_faults(path, ALL)[2].last_lumisection == 4


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("strp:Modules/occupancy:x=1:ls=2", "the nearest is 'strip'"),
        ("strip:2d_Rates/m_clus_etaphi_Et_tresh1:x=1:ls=2", "m_clus_etaphi_Et_thresh1"),
        ("strip:2d_Rates/m_clus_etaphi_Et_thresh1:x=1:ls=2", "write more of its path"),
        (f"strip:{RATES}1:x=99:ls=2", "bins are 0 to 98; the nearest is 98"),
        (f"strip:{RATES}1:x=1", "no lumisections; add ls=10-19"),
        (f"strip:{RATES}1:x=1:y=2:ls=2", "written x=I or y=J"),
        (f"strip:{RATES}1:z=1:ls=2", "keys are fault, histogram, x, y"),
        (f"strip:{RATES}1:x=-4:ls=2", "neither a number from 0 nor a range"),
        (f"strip:{RATES}1:x=4:ls=9-2", "lumisections 9-2"),
        (f"strip:{RATES}1:x=4:ls=0", "count from 1"),
        (f"strip:{RATES}1:x=4:x=5:ls=2", "x is given twice"),
        (f"strip:{RATES}1:x=4:ls", "'ls' is no KEY=VALUE"),
        (f"strip:{RATES}1:x=4:ls=2:strength=1", "0 to 1000 and not 1"),
        (f"strip:{RATES}1:x=4:ls=2:strength=nan", "0 to 1000 and not 1"),
        (f"strip:{RATES}1:x=4:ls=2:strength=much", "is no number"),
        (f"hot_bin:{RATES}1:x=4:y=4:ls=2:strength=0.5", "above 1 to 1000"),
        (f"inefficient_strip:{RATES}1:x=4:ls=2:strength=2", "0 to below 1"),
        (f"map_gone:{RATES}1:ls=2:strength=0.5", "has no strength"),
        (f"map_gone:{RATES}1:x=1:ls=2", "by nothing at all"),
        (f"stuck:{RATES}1:ls=1", "nothing to repeat"),
        (f"sector:{RATES}1:sector=8:ls=2", "7 is nearest"),
        (f"sector:{RATES}1:ls=2", "written sector=0..7"),
        (f"spot:{RATES}1:x=1:y=20:ls=2", "outside the map"),
        (f"transient:{RATES}1:ls=2-3", "lasts one lumisection"),
        (f"strip:{MODULES}:x=1:ls=2", "one axis and cannot have a strip"),
        (f"dead_bin:{MODULES}:x=1:y=2:ls=2", "no y"),
        (f"dead_bin:{MODULES}:x=6:ls=2", "empty by design; the nearest filled bin is x=5"),
        ("dead_bin:depth7:x=41:y=3:ls=2", "empty by design; the nearest filled bin is x=66:y="),
        ("spot:depth5:x=62:y=30:ls=2", "holds bins that stay empty by design"),
        ("strip:depth7:x=41:ls=2", "x=41 is all of bins that stay empty by design"),
    ],
)
def test_faults_that_cannot_be_are_named_with_the_nearest_that_can(text: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_fault(text, ALL)
    assert said in str(caught.value)
    assert text in str(caught.value)


def test_faults_that_outlast_the_run_or_were_built_wrongly_are_refused() -> None:
    source = detector(RATES + "0")
    fault = make_fault("map_gone", RATES + "0", ALL, lumisections=(4, 9))
    with pytest.raises(ConfigurationError, match="lasts to lumisection 9, the run to 8"):
        source.run(7, 8, [fault])
    with pytest.raises(ConfigurationError, match="nearest is 'spot'"):
        source.run(7, 9, [replace(fault, name="spit")])


@pytest.mark.parametrize(
    ("content", "said"),
    [("a: b", "list of faults"), ("- 3", "entry 1: neither"), ("- [", "no YAML"), (None, "No such")],
)
def test_files_of_faults_that_cannot_be_read(tmp_path: Path, content: str | None, said: str) -> None:
    path = tmp_path / "faults.yaml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigurationError, match=said) as caught:
        read_faults(path, ALL)
    assert str(path) in str(caught.value)


def test_demo_has_five_faults_of_different_character() -> None:
    faults = demo_faults()
    SimulatedDetector(1).check(faults, DEMO_LUMISECTIONS)
    assert len({f.name for f in faults}) == len({f.histogram for f in faults}) == len(faults) == 5
    assert all(8 <= f.first_lumisection <= f.last_lumisection <= DEMO_LUMISECTIONS - 5 for f in faults)
    assert any(f.first_lumisection == f.last_lumisection for f in faults)


def assert_read_back(folder: Path, source: SimulatedDetector, faults: tuple[Fault, ...], cumulative: bool) -> None:
    skipped: list[Any] = []
    read = list(Recording([folder], cumulative=cumulative, on_skip=skipped.append))
    assert not skipped
    for r, s in zip(read, taken(source, faults=faults, cumulative=cumulative), strict=True):
        assert (r.key, r.run, r.lumisection, r.time_ns, r.kind) == (s.key, s.run, s.lumisection, s.time_ns, s.kind)
        assert r.axes == s.axes
        assert [(a.labels, a.title) for a in r.axes] == [(a.labels, a.title) for a in s.axes]
        assert (r.contents.dtype, r.total_entries, r.cumulative) == (s.contents.dtype, s.total_entries, s.cumulative)
        if s.variances is None:
            assert r.variances is None
            assert np.array_equal(r.contents, s.contents)
        else:
            assert np.array_equal(r.entries, s.entries)
            assert np.allclose(r.contents, s.contents, rtol=1e-14)
            assert np.allclose(r.variances, s.variances, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("cumulative", [True, False])
def test_recorded_runs_read_back_as_they_were(tmp_path: Path, cumulative: bool) -> None:
    source = SimulatedDetector(1, histograms=ONE_OF_EACH)
    faults = (make_fault("map_gone", ENERGY, ALL, lumisections=2),)
    told = write_run(tmp_path, source, 7, 2, faults, cumulative=cumulative)
    assert json.loads((tmp_path / "run7.truth.json").read_text()) == told
    assert (told["format"], told["version"], told["run"], told["start_ns"]) == ("histwatch-truth", 1, 7, START_NS)
    assert_read_back(tmp_path, source, faults, cumulative)


def test_files_have_the_same_bytes_whenever_they_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = SimulatedDetector(1, histograms=ONE_OF_EACH)
    write_run(tmp_path / "now", source, 7, 12)
    other_day = SimpleNamespace(now=lambda: datetime(2031, 5, 17, 3, 4, 5))
    monkeypatch.setattr("uproot.writing._cascade.datetime", SimpleNamespace(datetime=other_day))
    write_run(tmp_path / "later", source, 7, 12)
    files = [
        {p.relative_to(tmp_path / d): p.read_bytes() for p in (tmp_path / d).rglob("*.*")} for d in ("now", "later")
    ]
    assert len(files[0]) == 7
    assert files[0] == files[1]


def test_nothing_half_written_stays_and_nothing_is_replaced_unasked(tmp_path: Path) -> None:
    source = detector("depth7")

    def fail(_written: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_run(tmp_path, source, 7, 2, tell=fail)
    assert not [p for p in tmp_path.rglob("*") if p.is_file()]
    write_run(tmp_path, source, 7, 1)
    with pytest.raises(SourceError, match="--force"):
        write_run(tmp_path, source, 7, 1)
    write_run(tmp_path, source, 7, 1, overwrite=True)
    (tmp_path / "file").write_text("")
    with pytest.raises(SourceError, match="file"):
        write_run(tmp_path / "file", source, 7, 1)


def test_demo_run_is_written_with_its_truth(tmp_path: Path) -> None:
    told = write_demo_run(tmp_path, 5)
    assert told["seed"] == 5
    assert len(Recording([tmp_path])) == DEMO_LUMISECTIONS * len(ALL)
    assert all(fault["bins"] and fault["sign"] in ("dead", "low", "hot") for fault in told["faults"])


def command(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["simulate", *arguments])
    assert isinstance(ended.value.code, int)
    return ended.value.code, *capsys.readouterr()


def test_command_lists_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = command(capsys, "--list")
    assert code == 0
    assert all(h.key in out for h in ALL)
    assert all(name in out for name in FAULTS)
    lines = [json.loads(line) for line in command(capsys, "--list", "--json", "--select", "depth?")[1].splitlines()]
    assert len(lines) == 7 + len(FAULTS)


def test_command_writes_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("--to-root", str(tmp_path), "--select", "depth7", "--lumisections", "3", "--runs", "2", "--json")
    fault = ("--fault", "dead_bin:depth7:x=66:y=2:ls=2")
    code, out, _ = command(capsys, *arguments, *fault, "--run", "41")
    assert code == 0
    summary = json.loads(out)
    assert (summary["runs"], summary["written"], summary["faults"]) == ([41, 42], 6, 1)
    assert json.loads((tmp_path / "run42.truth.json").read_text())["faults"][0]["bins"] == [[66, 2]]
    assert Recording([tmp_path]).runs == (41, 42)
    code, _, err = command(capsys, *arguments, "--run", "41")
    assert code == 2
    assert "--force" in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--fault", "dead:depth7:x=66:y=2:ls=2"), "nearest is 'dead_bin'"),
        (("--fault", "map_gone:depth7:ls=39-41"), "the run to 40"),
        (("--select", "nothing"), "--list"),
        (("--speed", "fast"), "'max'"),
        (("--start", "soon"), "'now'"),
        (("--start", "2099-12-31", "--runs", "9999"), "after 2100"),
        (("--faults", "no such file.yaml"), "no such file.yaml"),
        (("--demo-faults", "--lumisections", "20"), "the run to 20"),
    ],
)
def test_command_says_what_is_wrong(arguments: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = command(capsys, *arguments)
    assert code == 2
    assert not out
    assert said in err
    assert "Traceback" not in err


class Collector:
    """Stands for `producers.publish.Publisher`."""

    sent: list[Snapshot]

    def __init__(self, *_: object, **__: object) -> None:
        Collector.sent = []

    def __enter__(self) -> Collector:
        return self

    def __exit__(self, *_: object) -> None: ...

    def send(self, snapshot: Snapshot) -> bool:
        Collector.sent.append(snapshot)
        return True

    def flush(self, timeout_s: float | None = None) -> bool:
        return True

    @property
    def delivered(self) -> int:
        return len(Collector.sent)


def test_command_publishes_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("producers.publish.Publisher", Collector)
    arguments = ("--speed", "max", "--runs", "2", "--run", "7", "--lumisections", "2", "--select", "depth7", "--json")
    code, out, _ = command(capsys, *arguments)
    assert code == 0
    assert json.loads(out)["sent"] == 4
    assert [(s.run, s.lumisection) for s in Collector.sent] == [(7, 1), (7, 2), (8, 1), (8, 2)]
    assert all(a.time_ns < b.time_ns for a, b in zip(Collector.sent, Collector.sent[1:], strict=False))
    assert [encode(s) for s in Collector.sent[:2]] == [encode(s) for s in taken(detector("depth7"))]
