"""BLAS on one thread: with matrices as small as ours, its threads wait for each other, on a busy machine for long."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache

import numpy as np
from threadpoolctl import ThreadpoolController


def one_thread() -> AbstractContextManager[object]:
    """Let BLAS use one thread, until the end of the block."""
    limited: AbstractContextManager[object] = _controller().limit(limits=1, user_api="blas")
    return limited


@cache
def _controller() -> ThreadpoolController:
    # It sees the libraries that are loaded: numpy's at least must be.
    np.linalg.svd(np.eye(2))
    return ThreadpoolController()
