"""Tell glibc to keep the consumer's large buffers instead of giving every one back to the kernel.

A fetch of some MB is allocated, filled and freed many times a second; by default each is mapped anew and its pages
are faulted in one by one, which costs more than reading them (measured: about +60 % messages per second).
"""

from __future__ import annotations

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -2, -3, -8


def keep_buffers() -> bool:
    """Set the four options of ``mallopt``; return False where there is no glibc. Call before threads start."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return False
    return all(
        mallopt(option, value) == 1
        for option, value in (
            (_M_ARENA_MAX, 1),
            (_M_MMAP_THRESHOLD, 32 * 1024 * 1024),
            (_M_TRIM_THRESHOLD, 1024 * 1024 * 1024),
            (_M_TOP_PAD, 64 * 1024 * 1024),
        )
    )
