"""A snapshot as ROOT JSON: what `monitor.decode.rootjson` reads and JSROOT draws."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np

from monitor.decode.rootbins import STORAGE, ErrorMode
from monitor.snapshot import AnyArray, Axis, Kind, Snapshot

# Unsigned storage is not ROOT's: the smallest type that holds it serves.
_LETTERS = {dtype.str[1:]: letter for letter, dtype in STORAGE.items()} | {"u1": "S", "u2": "I", "u4": "L", "u8": "D"}
_LOOK = {
    "fLineColor": 602,
    "fLineStyle": 1,
    "fLineWidth": 1,
    "fFillColor": 0,
    "fFillStyle": 1001,
    "fMarkerColor": 1,
    "fMarkerStyle": 1,
    "fMarkerSize": 1.0,
}
_STATISTICS: dict[str, Any] = {
    "fBarOffset": 0,
    "fBarWidth": 1000,
    # Sums of 0 make readers compute mean and deviation from the bins.
    "fTsumw": 0.0,
    "fTsumw2": 0.0,
    "fTsumwx": 0.0,
    "fTsumwx2": 0.0,
    "fMaximum": -1111.0,
    "fMinimum": -1111.0,
    "fNormFactor": 0.0,
    "fContour": [],
    "fOption": "",
    "fFunctions": {"_typename": "TList", "name": "TList", "arr": [], "opt": []},
    "fBufferSize": 0,
    "fBuffer": [],
    "fBinStatErrOpt": 0,
    "fStatOverflows": 2,
}
_VALUE_RANGE: dict[Kind, dict[str, float]] = {
    Kind.TPROFILE: {"fYmin": 0.0, "fYmax": 0.0, "fTsumwy": 0.0, "fTsumwy2": 0.0},
    Kind.TPROFILE2D: {"fZmin": 0.0, "fZmax": 0.0, "fTsumwz": 0.0, "fTsumwz2": 0.0},
}
_AXIS_LOOK = {
    "fNdivisions": 510,
    "fAxisColor": 1,
    "fLabelColor": 1,
    "fLabelFont": 42,
    "fLabelOffset": 0.005,
    "fLabelSize": 0.035,
    "fTickLength": 0.03,
    "fTitleOffset": 1.0,
    "fTitleSize": 0.035,
    "fTitleColor": 1,
    "fTitleFont": 42,
}


def encode(snapshot: Snapshot) -> bytes:
    """Return the histogram as ROOT JSON that JSROOT draws, without what ROOT has no member for.

    That is stream, run, lumisection, time and the like; the path survives as the title, its last part as the name.
    Under- and overflow are 0. The sums of a profile are made from mean, variance and effective entries, as if it had
    been filled without weights.
    """
    cells = math.prod(axis.bins + 2 for axis in snapshot.axes)
    axes = [*snapshot.axes, *(Axis(1, 0.0, 1.0) for _ in range(3 - len(snapshot.axes)))]
    node: dict[str, Any] = {
        "_typename": snapshot.kind.value,
        "fUniqueID": 0,
        "fBits": 8,
        "fName": snapshot.path.rsplit("/", 1)[-1],
        "fTitle": snapshot.path,
        **_LOOK,
        "fNcells": cells,
        "fXaxis": _encoded_axis(axes[0], "xaxis"),
        "fYaxis": _encoded_axis(axes[1], "yaxis"),
        "fZaxis": _encoded_axis(axes[2], "zaxis"),
        "fEntries": snapshot.total_entries,
        **_STATISTICS,
        "fSumw2": [],
    }
    if snapshot.kind.dimension == 2:
        node |= {"fScalefactor": 1.0, "fTsumwy": 0.0, "fTsumwy2": 0.0, "fTsumwxy": 0.0}
    if snapshot.variances is not None:
        node["fSumw2"] = _with_flow(snapshot.variances)
    if not snapshot.kind.is_profile:
        node["_typename"] += _LETTERS[snapshot.contents.dtype.str[1:]]
        node["fArray"] = _with_flow(snapshot.contents)
    elif snapshot.variances is None or snapshot.entries is None:
        raise ValueError("a profile has variances and entries")
    else:
        mean, entries = np.asarray(snapshot.contents, np.float64), np.asarray(snapshot.entries, np.float64)
        node["fArray"] = _with_flow(mean * entries)
        node["fSumw2"] = _with_flow(entries * (mean * mean + snapshot.variances * entries))
        node |= {"fBinEntries": _with_flow(entries), "fErrorMode": int(ErrorMode.MEAN), "fBinSumw2": []}
        node |= _VALUE_RANGE[snapshot.kind]
    return json.dumps(node, allow_nan=False, separators=(",", ":")).encode()


def _encoded_axis(axis: Axis, name: str) -> dict[str, Any]:
    labels = [
        {"_typename": "TObjString", "fUniqueID": position, "fBits": 0, "fString": label}
        for position, label in enumerate(axis.labels, start=1)
    ]
    return {
        "_typename": "TAxis",
        "fUniqueID": 0,
        "fBits": 0,
        "fName": name,
        "fTitle": axis.title,
        **_AXIS_LOOK,
        "fNbins": axis.bins,
        "fXmin": axis.low,
        "fXmax": axis.high,
        "fXbins": [] if axis.edges is None else axis.edges.tolist(),
        "fFirst": 0,
        "fLast": 0,
        "fBits2": 0,
        "fTimeDisplay": False,
        "fTimeFormat": "",
        "fLabels": {"_typename": "THashList", "name": "THashList", "arr": labels, "opt": [""] * len(labels)}
        if labels
        else None,
        "fModLabs": None,
    }


def _with_flow(array: AnyArray) -> list[int | float]:
    values: list[int | float] = np.pad(array, 1).T.ravel().tolist()
    return values
