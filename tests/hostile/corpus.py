"""Payloads that no producer should send and some will.

`hostile_payloads` is seeded: same seed, same payloads. Each is one of three things: bytes that are no message, a
message that says what cannot be, or a good message within a wrong record. Some survive their mutation and are good.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from corpus_good import KEY, Case, good_snapshot
from corpus_native import INSANE_NATIVE
from corpus_root import INSANE_ROOT, ROOT

from monitor.decode import Envelope, native, rootjson
from monitor.snapshot import Kind

__all__ = ["good_snapshot", "hostile_payloads"]

NATIVE = {"content-type": b"application/x-histwatch+protobuf"}


def hostile_payloads(seed: int, n: int) -> Iterator[tuple[str, Envelope]]:
    """Yield n named records, every kind of trouble in turn."""
    rng = random.Random(seed)
    makers = (*_BROKEN, *INSANE_NATIVE, *INSANE_ROOT, *_WRONG_RECORD)
    for index in range(n):
        yield makers[index % len(makers)](rng)


def _payload(rng: random.Random) -> tuple[str, bytes, dict[str, bytes]]:
    kind = rng.choice(list(Kind))
    snapshot = good_snapshot(kind, seed=rng.randrange(100), shape=(rng.randint(1, 6), rng.randint(1, 6)))
    if rng.random() < 0.5:
        return f"native {kind.value}", native.encode(snapshot), rng.choice([{}, NATIVE])
    return f"root {kind.value}", rootjson.encode(snapshot), rng.choice([{}, ROOT])


# Bytes that are no message.


def _truncated(rng: random.Random) -> Case:
    name, value, headers = _payload(rng)
    cut = rng.randrange(len(value))
    return f"{name} cut at {cut}", Envelope(value[:cut], KEY, headers)


def _flipped(rng: random.Random) -> Case:
    name, value, headers = _payload(rng)
    mutable = bytearray(value)
    bits = rng.choice([1, 1, 1, 2, 8, 64])
    for _ in range(bits):
        mutable[rng.randrange(len(mutable))] ^= 1 << rng.randrange(8)
    return f"{name} with {bits} bits flipped", Envelope(bytes(mutable), KEY, headers)


def _spliced(rng: random.Random) -> Case:
    name, value, headers = _payload(rng)
    other_name, other, _ = _payload(rng)
    at, start = rng.randrange(len(value)), rng.randrange(len(other))
    return f"{name} then {other_name}", Envelope(value[:at] + other[start:], KEY, headers)


def _random(rng: random.Random) -> Case:
    size = rng.choice([0, 1, 2, 3, 10, 100, 5000])
    opening = rng.choice(
        [b"", b"\n", b"\n{", b"{", b'{"_typename":"TH1F",', b"\xef\xbb\xbf", b"\xef\xbb\xbf{", b"root"]
    )
    return f"{size} random bytes", Envelope(opening + rng.randbytes(size), KEY, rng.choice([{}, NATIVE, ROOT]))


def _other_format(rng: random.Random) -> Case:
    value = rng.choice(
        [
            b"",
            b"null",
            b"[]",
            b"{}",
            b"0",
            b'""',
            b"\x00" * 1000,
            b"\xff" * 1000,
            b"\n" * 1000,
            b"\x80" * 1000,
            b" " * 1000 + b"{",
            b"%PDF-1.7",
            b"\x1f\x8b\x08\x00\x00\x00",
            b"\x28\xb5\x2f\xfd",
            '{"_typename": "TH1F"}'.encode("utf-16"),
            b'{"_typename": "TH1F"}' * 2,
        ]
    )
    return f"{len(value)} bytes of something else", Envelope(value, KEY, rng.choice([{}, NATIVE, ROOT]))


def _padded(rng: random.Random) -> Case:
    tags = {"axes": b"\x52\x00", "label": b"\x52\x02\x2a\x00", "unknown": b"\xa2\x06\x00", "group": b"\xa3\x06"}
    name = rng.choice(list(tags))
    return f"native and 200 kB of empty {name}", Envelope(native.encode(good_snapshot()) + tags[name] * 50_000, KEY)


_BROKEN = (_truncated, _flipped, _spliced, _random, _other_format, _padded, _truncated, _flipped)


# Good messages in wrong records.


def _wrong_header(rng: random.Random) -> Case:
    name, value, _ = _payload(rng)
    types = (
        b"",
        b";",
        b"\xff\xfe",
        b"application/json",
        b"application/x-root+json",
        b"application/x-histwatch+protobuf",
    )
    header = rng.choice([*types, b"APPLICATION/X-ROOT+JSON ; charset=utf-8", b"a" * 10**6])
    return f"{name} as {header[:40]!r}", Envelope(value, KEY, {"content-type": header})


def _wrong_key(rng: random.Random) -> Case:
    name, value, headers = _payload(rng)
    keys = (
        "",
        "/",
        "cal",
        "cal/",
        "/path",
        "//",
        "a" * 10**6,
        "a/" + "b" * 10**6,
        "cal/\x1b[2J",
        "cal/\udcff",
        "cal/a\0b",
    )
    key = rng.choice(keys)
    return f"{name} with key {key[:20]!r}", Envelope(value, key, headers)


def _wrong_identity(rng: random.Random) -> Case:
    name, value, headers = _payload(rng)
    field = rng.choice(["stream", "path", "run", "lumisection", "time_ns", "cumulative", "producer", "sequence"])
    values = (
        b"",
        b"-1",
        b"+1",
        b" 1",
        b"1_0",
        b"1e3",
        b"\xd9\xa1",
        b"9" * 20,
        b"9" * 21,
        b"1" * 10**5,
        b"true",
        b"TRUE",
    )
    text = rng.choice([*values, b"yes", b"\xff", b"\x00", b"a/b", b"\x1b[2J", b"\xed\xa0\x80"])
    return f"{name} with {field} {text[:20]!r}", Envelope(value, KEY, headers | {field: text})


def _wrong_time(rng: random.Random) -> Case:
    name, value, headers = _payload(rng)
    return f"{name} at a wrong time", Envelope(value, KEY, headers, rng.choice([-1, 0, 2**63 - 1, 10**30]))


_WRONG_RECORD = (_wrong_header, _wrong_key, _wrong_identity, _wrong_time)
