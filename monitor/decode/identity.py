"""What a payload does not say of itself, taken from the headers and the key of its record.

Headers, all UTF-8 text and all optional:

===============  ============================================================
``stream``       `Snapshot.stream`; else what stands before the key's first /
``path``         `Snapshot.path`; else what stands after the key's first /
``run``          decimal digits; else 0
``lumisection``  decimal digits; else 0
``time_ns``      decimal digits, ns since 1970; else the record's time stamp
``cumulative``   ``true`` or ``false``; else false
``producer``     `Snapshot.producer`
``sequence``     decimal digits; else 0
===============  ============================================================
"""

from __future__ import annotations

from dataclasses import dataclass

from monitor.decode.envelope import Envelope
from monitor.errors import Reject

_MAX_DIGITS = 20
_MAX_TEXT = 4096


@dataclass(frozen=True, slots=True)
class Identity:
    """Which histogram, and when: the fields of the same names of a `monitor.snapshot.Snapshot`."""

    stream: str
    path: str
    run: int
    lumisection: int
    time_ns: int
    cumulative: bool
    producer: str
    sequence: int


def identity_of(envelope: Envelope) -> Identity:
    """Return what headers and key say.

    Raises
    ------
    Reject
        ``no_identity`` when they name no histogram, ``bad_header`` for a header that is not what it should be.
    """
    key_stream, slash, key_path = envelope.key.partition("/")
    stream = _text(envelope, "stream") or (key_stream if slash else "")
    path = _text(envelope, "path") or key_path
    if not stream or not path:
        raise Reject("no_identity", f"no stream and path in headers or key {envelope.key[:80]!r}")
    cumulative = _text(envelope, "cumulative").lower()
    if cumulative not in ("", "true", "false"):
        raise Reject("bad_header", f"cumulative: {cumulative[:80]!r} is neither true nor false")
    return Identity(
        stream=stream,
        path=path,
        run=_number(envelope, "run", 0),
        lumisection=_number(envelope, "lumisection", 0),
        time_ns=_number(envelope, "time_ns", envelope.received_ns),
        cumulative=cumulative == "true",
        producer=_text(envelope, "producer"),
        sequence=_number(envelope, "sequence", 0),
    )


def _text(envelope: Envelope, name: str) -> str:
    value = envelope.headers.get(name)
    if not value:
        return ""
    if len(value) > _MAX_TEXT:
        raise Reject("bad_header", f"{name} of {len(value)} bytes, at most {_MAX_TEXT}")
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise Reject("bad_header", f"{name} is not UTF-8: {value[:80]!r}") from error


def _number(envelope: Envelope, name: str, otherwise: int) -> int:
    text = _text(envelope, name)
    if not text:
        return otherwise
    # int() alone would also take signs, blanks, underscores and other scripts' digits.
    if not (len(text) <= _MAX_DIGITS and text.isascii() and text.isdigit()):
        raise Reject("bad_header", f"{name}: {text[:80]!r} is not a number of up to {_MAX_DIGITS} digits")
    return int(text)
