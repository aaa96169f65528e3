"""The training framework, imported when it is first needed: the running monitor has none."""

from __future__ import annotations

from typing import Any

from monitor.errors import HistwatchError


def framework() -> tuple[Any, Any, Any]:
    """Return the modules jax, flax.nnx and optax.

    Raises
    ------
    HistwatchError
        If one of them is missing.
    """
    try:
        import jax
        import optax
        from flax import nnx
    except ImportError as error:
        raise HistwatchError(
            f"training needs the {error.name or 'jax'} package: pip install 'histwatch[train]'"
        ) from error
    return jax, nnx, optax
