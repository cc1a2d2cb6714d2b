"""Ops that are read by their places: an index that picks nothing, ``x[:, None]``, and products over named indices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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


def indices(name: str, params: Mapping[str, Any], ndims: Sequence[int]) -> list[str]:
    """Of an einsum or a matmul, the indices of each operand and of the result, a letter each."""
    if name == "einsum":
        left, result = params["equation"].split("->")
        return [*left.split(","), result]
    batch = "".join(map(chr, range(ord("A"), ord("A") + max(ndims) - 2)))
    a, b = (batch[len(batch) - n + 2 :] for n in ndims)
    return [f"{a}ik", f"{b}kj", f"{batch}ij"]
