"""What a wire format is given and what it must offer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from monitor.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Envelope:
    """One record as it came, with what a payload may not say of itself."""

    value: bytes
    key: str = ""
    """``stream/path``, or empty."""
    headers: Mapping[str, bytes] = field(default_factory=dict)
    received_ns: int = 0
    """Time stamp of the record, ns since 1970: the data time of formats that carry none."""


class Format(Protocol):
    """One wire format. It lives in one file and is listed in `monitor.decode.FORMATS`."""

    name: str
    """Short name for counters."""
    content_type: str
    """Value of the ``content-type`` header that names it, without parameters."""

    def sniff(self, value: bytes) -> bool:
        """Tell whether bytes without a content type look like this format. Must be cheap and never raise."""
        ...

    def decode(self, envelope: Envelope) -> Snapshot:
        """Return the snapshot; raise `monitor.errors.Reject` for anything that is not one."""
        ...
