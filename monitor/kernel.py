"""How every kernel is compiled, and how it gets at many arrays in one call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import carray, njit, types  # type: ignore[attr-defined]
from numba.core import cgutils
from numba.extending import intrinsic

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


def _pointer_to(_context: Any, address: Any) -> Any:
    signature = types.voidptr(address)

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], cgutils.voidptr_t)

    return signature, generate


# Typed for those who call it in a kernel: it takes an address only.
pointer_to: Any = intrinsic(_pointer_to)
"""Turn an address (uint64) into a pointer that `array_at` takes.

A call with one array per map costs microseconds an array in Python; one array of addresses costs none. Whoever passes
addresses keeps their arrays alive, contiguous and of the stated dtype: see `address_of`.
"""

array_at: Any = carray
"""An array of a shape and dtype at a pointer, for kernels."""


def address_of(array: np.ndarray[Any, Any], dtype: Any) -> int:
    """Return the address of an array's first element.

    Raises
    ------
    ValueError
        If a kernel that expects C order and `dtype` would misread it.
    """
    if array.dtype != dtype or not array.flags.c_contiguous:
        raise ValueError(f"expected a C-contiguous array of {np.dtype(dtype)}, got {array.dtype}")
    return int(array.__array_interface__["data"][0])
