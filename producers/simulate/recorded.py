"""Simulated runs as recorded ones: ROOT files with the truth beside them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import uproot
from uproot.writing import identify

from monitor.snapshot import Axis, Kind, Snapshot
from producers.simulate.catalogue import SimulatedHistogram
from producers.simulate.detector import SimulatedDetector
from producers.simulate.faults import Fault, make_fault

TRUTH_VERSION = 1
DEMO_RUN = 450_001
DEMO_LUMISECTIONS = 40
_CALO = "calo/CaloMonitoring/ClusterMon"


def demo_faults() -> tuple[Fault, ...]:
    """Return the five faults of the demo, each in a histogram of its own, all over before the run ends."""
    return (
        make_fault(
            "spot", f"{_CALO}/CaloCalTopoClustersNoTrigSel/2d_Rates/m_clus_etaphi_Et_thresh1", 9, 20, x=40, y=20
        ),
        make_fault(
            "inefficient_strip", f"{_CALO}/LArClusterEMNoTrigSel/2d_Rates/m_clus_etaphi_Et_thresh2", 13, 26, x=55
        ),
        make_fault("hot_bin", "hcal/DigiTask/Occupancy/depth/depth2", 16, 22, x=30, y=40),
        make_fault("map_gone", "tracker/Charge/cluster_charge", 19, 28),
        make_fault("transient", "hcal/DigiTask/Occupancy/depth/depth4", 24, 24, x=48, y=10),
    )


def truth_of(
    detector: SimulatedDetector, run: int, lumisections: int, faults: Sequence[Fault], cumulative: bool
) -> dict[str, Any]:
    """Return what really happened in a run, ready for JSON."""
    known: dict[str, SimulatedHistogram] = {h.key: h for h in detector.histograms}
    shapes = {"dead_bin": "bin", "hot_bin": "bin", "inefficient_strip": "strip", "sector": "layer", "transient": "spot"}
    shapes |= {"map_gone": "map", "stuck": "map"}
    return {
        "format": "histwatch-truth",
        "version": TRUTH_VERSION,
        "seed": detector.seed,
        "run": run,
        "start_ns": detector.start_ns(run),
        "lumisection_seconds": detector.lumisection_s,
        "lumisections": lumisections,
        "cumulative": cumulative,
        "faults": [
            {
                "name": fault.name,
                "histogram": fault.histogram,
                "first_lumisection": fault.first_lumisection,
                "last_lumisection": fault.last_lumisection,
                "strength": fault.strength,
                "shape": shapes.get(fault.name, fault.name),
                "sign": fault.sign(),
                "bins": np.argwhere(fault.mask(known[fault.histogram])).tolist(),
            }
            for fault in faults
        ],
    }


def write_run(
    folder: Path,
    detector: SimulatedDetector,
    run: int,
    lumisections: int,
    faults: Sequence[Fault] = (),
    cumulative: bool = True,
    on_snapshot: Callable[[Snapshot], None] | None = None,
) -> dict[str, Any]:
    """Write a run as ``<stream>/run<RUN>.root`` with ``run<RUN>.truth.json`` beside the streams, and return the truth.

    In a file, a histogram stands at ``run_<RUN>/ls_<LUMISECTION>/<path>``. ``run<RUN>.root.json`` beside it holds the
    times that ROOT histograms have no place for.
    """
    truth = truth_of(detector, run, lumisections, faults, cumulative)
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        files: dict[str, Any] = {}
        for snapshot in detector.run(run, lumisections, faults, cumulative):
            if snapshot.stream not in files:
                (folder / snapshot.stream).mkdir(exist_ok=True)
                path = folder / snapshot.stream / f"run{run}.root"
                files[snapshot.stream] = stack.enter_context(uproot.recreate(path))
                times = {"start_ns": truth["start_ns"], "lumisection_seconds": detector.lumisection_s}
                path.with_name(path.name + ".json").write_text(json.dumps(times), encoding="utf-8")
            place = f"run_{run}/ls_{snapshot.lumisection:04d}/{snapshot.path}"
            files[snapshot.stream][place] = to_root(snapshot)
            if on_snapshot is not None:
                on_snapshot(snapshot)
    (folder / f"run{run}.truth.json").write_text(json.dumps(truth, indent=1), encoding="utf-8")
    return truth


def write_demo_run(folder: Path, seed: int) -> Mapping[str, Any]:
    """Write the demo's run and return its truth."""
    return write_run(folder, SimulatedDetector(seed), DEMO_RUN, DEMO_LUMISECTIONS, demo_faults())


def to_root(snapshot: Snapshot) -> Any:
    """Return a snapshot as a ROOT object that uproot can write.

    A ROOT histogram's arrays hold under- and overflow too, x running fastest.
    """
    name, title = snapshot.path.rsplit("/", 1)[-1], ""
    axes = [_axis(axis, n) for n, axis in zip(("xaxis", "yaxis"), snapshot.axes, strict=False)]
    dimension = snapshot.kind.dimension
    sums = dict.fromkeys(_SUMS[dimension], 0.0)
    if snapshot.kind is Kind.TH1:
        return identify.to_TH1x(
            name,
            title,
            _flow(snapshot.contents),
            snapshot.total_entries,
            **sums,
            fSumw2=np.zeros(0),
            fXaxis=axes[0],
        )
    if snapshot.kind is Kind.TH2:
        return identify.to_TH2x(
            name,
            title,
            _flow(snapshot.contents),
            snapshot.total_entries,
            **sums,
            fSumw2=np.zeros(0),
            fXaxis=axes[0],
            fYaxis=axes[1],
        )
    assert snapshot.entries is not None
    assert snapshot.variances is not None
    n = _flow(snapshot.entries)
    mean, variance = _flow(snapshot.contents), _flow(snapshot.variances)
    common = {"fBinEntries": n, "fBinSumw2": np.zeros(0), "fSumw2": n * (n * variance + mean * mean)}
    if snapshot.kind is Kind.TPROFILE:
        return identify.to_TProfile(
            name,
            title,
            n * mean,
            snapshot.total_entries,
            **sums,
            fTsumwy=0.0,
            fTsumwy2=0.0,
            fYmin=0.0,
            fYmax=0.0,
            **common,
            fXaxis=axes[0],
        )
    return identify.to_TProfile2D(
        name,
        title,
        n * mean,
        snapshot.total_entries,
        **sums,
        fTsumwz=0.0,
        fTsumwz2=0.0,
        fZmin=0.0,
        fZmax=0.0,
        **common,
        fXaxis=axes[0],
        fYaxis=axes[1],
    )


_SUMS: dict[int, Iterable[str]] = {
    1: ("fTsumw", "fTsumw2", "fTsumwx", "fTsumwx2"),
    2: ("fTsumw", "fTsumw2", "fTsumwx", "fTsumwx2", "fTsumwy", "fTsumwy2", "fTsumwxy"),
}


def _flow(array: Any) -> Any:
    values = np.asarray(array)
    big = values.dtype.newbyteorder(">")
    padded = np.pad(values, 1)
    return np.ascontiguousarray(padded.T.ravel() if values.ndim == 2 else padded, dtype=big)


def _axis(axis: Axis, name: str) -> Any:
    return identify.to_TAxis(
        fName=name,
        fTitle=axis.title,
        fNbins=axis.bins,
        fXmin=axis.low,
        fXmax=axis.high,
        fXbins=axis.edges,
        fLabels=identify.to_THashList([_label(n, text) for n, text in enumerate(axis.labels, 1)])
        if axis.labels
        else None,
    )


def _label(number: int, text: str) -> Any:
    label = identify.to_TObjString(text)
    # ROOT finds the bin of a label by the unique id of its string.
    label._bases[0]._members["@fUniqueID"] = number
    return label
