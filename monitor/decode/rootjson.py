"""ROOT JSON: one histogram as ``TBufferJSON::ToJSON`` writes it and JSROOT reads it.

Content type: ``application/x-root+json``. Classes: TH1 and TH2 of the storage types C, S, I, L, F and D, TProfile,
TProfile2D. Arrays may be compressed in any of ROOT's ways, see `monitor.decode.rootarrays`.

ROOT's name of a histogram says neither where it comes from nor when, so its identity comes from the headers or the key
of the record, see `monitor.decode.identity`. Under- and overflow are dropped. The ``fErrorMode`` of a profile is
obeyed, see `monitor.decode.rootbins`.
"""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np

from monitor.decode.envelope import Envelope
from monitor.decode.identity import identity_of
from monitor.decode.jsontext import parse_object
from monitor.decode.rootarrays import is_empty, number, numbers
from monitor.decode.rootbins import STORAGE, ErrorMode, counts_or_variances, profile_bins, without_flow
from monitor.decode.rootwrite import encode
from monitor.decode.validate import MAX_BINS, checked_axis
from monitor.errors import Reject
from monitor.snapshot import AnyArray, Axis, Kind, Snapshot

__all__ = ["MAX_CELLS", "RootJsonFormat", "encode"]

MAX_CELLS = 1_500_000
"""Most bins, under- and overflow included: compressed, a text of some hundred bytes claims any number of them."""

_PROFILES = {"TProfile": Kind.TPROFILE, "TProfile2D": Kind.TPROFILE2D}
_HEAD_BYTES = 4096
_OPENING = re.compile(rb"(?:\xef\xbb\xbf)?[ \t\r\n]*+\{")
_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]")


class RootJsonFormat:
    """`Format` of ROOT's JSON for histograms and profiles."""

    name = "rootjson"
    content_type = "application/x-root+json"

    def sniff(self, value: bytes) -> bool:
        """Tell text that opens an object and soon names its ROOT class.

        White space and a byte order mark may come first. A control character rules it out: JSON holds none, and the
        native format, whose first byte may pass for a newline, has one after its first field.
        """
        if not _OPENING.match(value):
            return False
        head = value[:_HEAD_BYTES]
        return b'"_typename"' in head and not _CONTROL.search(head)

    def decode(self, envelope: Envelope) -> Snapshot:
        """Decode one histogram.

        Raises
        ------
        Reject
            ``no_identity``, ``bad_header``, ``oversized``, ``malformed``, ``too_deep``, ``unknown_kind``,
            ``unknown_dtype``, ``bad_axis``, ``too_large``, ``wrong_size``, ``incomplete``, ``not_finite``.
        """
        identity = identity_of(envelope)
        node = parse_object(envelope.value)
        kind, storage = _kind(node.get("_typename"))
        axes = tuple(_axis(node, name) for name in ("fXaxis", "fYaxis")[: kind.dimension])
        shape = tuple(axis.bins for axis in axes)
        cells = math.prod(bins + 2 for bins in shape)
        if cells > MAX_CELLS:
            raise Reject("too_large", f"{cells} bins with under- and overflow, in JSON at most {MAX_CELLS}")
        if "fNcells" in node and node["fNcells"] != cells:
            raise Reject("wrong_size", f"fNcells is {node['fNcells']!r:.80}, the axes make {cells}")
        if not is_empty(node.get("fBuffer")) and number(_first(node["fBuffer"]), "fBuffer") > 0:
            raise Reject("incomplete", "fills wait in fBuffer: call BufferEmpty() before writing")

        def bins_of(member: str) -> AnyArray | None:
            held = node.get(member)
            return None if is_empty(held) else without_flow(numbers(held, cells, member), shape)

        contents, sumw2 = bins_of("fArray"), bins_of("fSumw2")
        if contents is None:
            raise Reject("incomplete", "no fArray")
        variances, entries = None, None
        if storage is not None:
            variances = counts_or_variances(contents, sumw2)
            contents = _stored(contents, storage)
        else:
            sum_w = bins_of("fBinEntries")
            if sumw2 is None or sum_w is None:
                raise Reject("incomplete", "a profile needs fSumw2 and fBinEntries")
            contents, variances, entries = profile_bins(
                contents, sumw2, sum_w, bins_of("fBinSumw2"), _error_mode(node.get("fErrorMode"))
            )
        return Snapshot(
            stream=identity.stream,
            path=identity.path,
            run=identity.run,
            lumisection=identity.lumisection,
            time_ns=identity.time_ns,
            kind=kind,
            axes=axes,
            contents=contents,
            variances=variances,
            entries=entries,
            total_entries=number(node.get("fEntries", 0.0), "fEntries"),
            cumulative=identity.cumulative,
            producer=identity.producer,
            sequence=identity.sequence,
        )


def _kind(typename: object) -> tuple[Kind, np.dtype[Any] | None]:
    if isinstance(typename, str):
        if typename in _PROFILES:
            return _PROFILES[typename], None
        if typename[:3] in ("TH1", "TH2") and typename[3:] in STORAGE:
            return Kind(typename[:3]), STORAGE[typename[3:]]
    raise Reject("unknown_kind", f"_typename {typename!r:.80}")


def _axis(node: dict[str, Any], name: str) -> Axis:
    axis = node.get(name)
    if not isinstance(axis, dict):
        raise Reject("incomplete", f"no {name}")
    bins = axis.get("fNbins")
    if type(bins) is not int or not 0 < bins <= MAX_BINS:
        raise Reject("bad_axis", f"{name}: {bins!r:.80} bins, accepted are 1 to {MAX_BINS}")
    edges = axis.get("fXbins")
    title = axis.get("fTitle", "")
    return checked_axis(
        bins,
        number(axis.get("fXmin"), f"{name}.fXmin"),
        number(axis.get("fXmax"), f"{name}.fXmax"),
        None if is_empty(edges) else numbers(edges, bins + 1, f"{name}.fXbins"),
        _labels(axis.get("fLabels"), bins, name),
        _text(title, f"{name}.fTitle"),
    )


def _labels(node: object, bins: int, name: str) -> tuple[str, ...]:
    # A THashList of TObjString, each with the number of its bin, from 1, as its fUniqueID. Bins may go without.
    listed = node.get("arr") if isinstance(node, dict) else None
    if not listed:
        return ()
    if not isinstance(listed, list):
        raise Reject("malformed", f"{name}.fLabels is not a list")
    labels = [""] * bins
    for item in listed:
        number_of_bin = item.get("fUniqueID") if isinstance(item, dict) else None
        if type(number_of_bin) is not int or not 1 <= number_of_bin <= bins:
            raise Reject("bad_axis", f"{name}.fLabels: a label of bin {number_of_bin!r:.80}, there are {bins}")
        labels[number_of_bin - 1] = _text(item.get("fString"), f"{name}.fLabels")
    return tuple(labels)


def _text(value: object, what: str) -> str:
    if not isinstance(value, str):
        raise Reject("malformed", f"{what} is not text")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise Reject("malformed", f"{what} holds half a character (a lone surrogate)") from error
    return value


def _first(node: object) -> object:
    # Compressed, the first element is there only when it is not 0, as the first stretch.
    if isinstance(node, list):
        return node[0]
    if isinstance(node, dict) and "p" not in node and "v" in node:
        return node["v"][0] if isinstance(node["v"], list) and node["v"] else node["v"]
    return 0.0


def _error_mode(value: object) -> int:
    if value is None:
        return ErrorMode.MEAN
    if type(value) is not int or value not in set(ErrorMode):
        raise Reject("malformed", f"fErrorMode {value!r:.80}")
    return value


def _stored(contents: AnyArray, dtype: np.dtype[Any]) -> AnyArray:
    if contents.dtype == dtype:
        return contents
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            stored = contents.astype(dtype)
        if not np.isfinite(stored).all():
            raise Reject("not_finite", f"a content beyond {dtype.name}")
        return stored
    if contents.dtype.kind == "f":
        # Other writers than ROOT put a decimal point into integers, or fractions where there should be none.
        return contents
    limits = np.iinfo(dtype)
    if contents.min() < limits.min or contents.max() > limits.max:
        raise Reject("malformed", f"a content beyond {dtype.name}")
    return contents.astype(dtype)
