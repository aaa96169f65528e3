"""Bytes to `Snapshot`. A format is told by its content type, else by its content, and never guessed twice.

To add one: write a file with a class that follows `Format` and a function ``encode(snapshot) -> bytes``, list it in
`FORMATS`, and let the contract test in ``tests/unit/test_formats.py`` judge it.
"""

from __future__ import annotations

from monitor.decode.envelope import Envelope, Format
from monitor.decode.native import NativeFormat
from monitor.decode.reasons import REASONS
from monitor.decode.rootjson import RootJsonFormat
from monitor.decode.validate import check
from monitor.errors import Reject
from monitor.snapshot import Snapshot

__all__ = ["FORMATS", "MAX_MESSAGE_BYTES", "REASONS", "Envelope", "Format", "decode"]

FORMATS: tuple[Format, ...] = (NativeFormat(), RootJsonFormat())
_BY_CONTENT_TYPE = {form.content_type: form for form in FORMATS}

MAX_MESSAGE_BYTES = 64 * 1024 * 1024
"""Larger messages are refused unread."""
MAX_AHEAD_NS = 86_400 * 10**9
"""Data time may run ahead of the record's time stamp by a day: clocks differ, but not by more."""


def decode(envelope: Envelope) -> Snapshot:
    """Return the snapshot in a record.

    Raises
    ------
    Reject
        With one of `REASONS`; besides those of the formats and of `validate.check`: ``empty``, ``oversized``,
        ``unknown_content_type``, ``unknown_format``.
    """
    value = envelope.value
    if not value:
        raise Reject("empty", "no payload")
    if len(value) > MAX_MESSAGE_BYTES:
        raise Reject("oversized", f"{len(value)} bytes, at most {MAX_MESSAGE_BYTES}")
    snapshot = check(_format_of(envelope).decode(envelope))
    if 0 < envelope.received_ns < snapshot.time_ns - MAX_AHEAD_NS:
        raise Reject("bad_time", f"{snapshot.time_ns} ns is over a day ahead of the record's own time")
    return snapshot


def _format_of(envelope: Envelope) -> Format:
    header = envelope.headers.get("content-type")
    if header is not None:
        named = _BY_CONTENT_TYPE.get(header.split(b";", 1)[0].strip().decode("ascii", "replace").lower())
        if named is None:
            raise Reject("unknown_content_type", repr(header[:80]))
        return named
    for form in FORMATS:
        if form.sniff(envelope.value):
            return form
    raise Reject("unknown_format", f"{len(envelope.value)} bytes that no format recognises")
