"""How every kernel is compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit

Function = Callable[..., Any]

REORDERED = frozenset({"reassoc", "contract", "nsz"})
"""Sums may be reordered, so that they vectorise; NaN and infinity keep their meaning."""


def kernel(signature: Any, fastmath: frozenset[str] = frozenset()) -> Callable[[Function], Function]:
    """Compile a function for the signatures given, when its module is imported and not on the first batch.

    The result is cached beside the source, releases the GIL and divides as numpy does.

    Parameters
    ----------
    signature
        One numba signature, or a list of them.
    fastmath
        LLVM's names of what may be assumed of floating-point numbers.
    """
    compile_it: Callable[[Function], Function] = njit(
        signature, cache=True, nogil=True, error_model="numpy", fastmath=set(fastmath) if fastmath else False
    )
    return compile_it
