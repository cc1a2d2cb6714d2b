"""An index that picks nothing, ``x[:, None]`` or ``x[..., 0]`` of what has one entry there: the same axes in other places."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


def places(index: tuple[Any, ...], dims: Sequence[Any]) -> list[int | None] | None:
    """Of each axis of x[index], which axis of x it is, None for a new one; None alone where the index picks entries.

    dims:  of each axis of x what it is made of, nothing where it has one entry
    """
    if not all(p is None or p is Ellipsis or isinstance(p, (slice, int, np.integer)) for p in index):
        return None
    own = sum(p is not None and p is not Ellipsis for p in index)
    rest = [slice(None)] * (len(dims) - own)
    at = next((k for k, p in enumerate(index) if p is Ellipsis), len(index))
    found: list[int | None] = []
    axis = 0
    for part in (*index[:at], *rest, *index[at + 1 :]):
        if part is None:
            found.append(None)
            continue
        if isinstance(part, slice):
            if part != slice(None):
                return None
            found.append(axis)
        elif dims[axis]:
            return None
        axis += 1
    return found
