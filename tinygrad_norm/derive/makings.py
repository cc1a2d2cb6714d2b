"""Constants that a function makes of its inputs by what keeps no record: an argmax, a cast to whole numbers, ``(x > 0).any()``.

As data they are not the same because they are on a few records: they are where they were made in the same way of the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..engine import Op, Tensor
from .following import Number

Making = tuple[str, tuple[Any, ...]]
"""A function's name, and what it was given."""


class Makings:
    """How a tensor was made, as a number that is the same for two that were made in one way.

    known:  (op, operands, options) of tensors that are not on a record
    made:   the makings of constants
    """

    def __init__(self) -> None:
        self._numbers: dict[Any, int] = {}

    def of(
        self,
        t: Tensor,
        leaves: Mapping[Tensor, Any],
        made: Mapping[Tensor, Making],
        known: Mapping[Tensor, tuple[Op, tuple[Any, ...], dict[str, Any]]],
    ) -> int:
        """leaves: what each input stands for"""
        seen: dict[Tensor, int] = {}
        waiting = [t]
        while waiting:
            at = waiting[-1]
            parts = _parts(at, leaves, made, known)
            missing = [x for x in _tensors(parts) if x not in seen]
            if missing:
                waiting += missing
                continue
            waiting.pop()
            key = _key(parts, seen)
            seen[at] = self._numbers.setdefault(key, len(self._numbers))
        return seen[t]


def _parts(t: Tensor, leaves: Mapping[Tensor, Any], made: Mapping[Tensor, Making], known: Mapping[Tensor, Any]) -> Any:
    if t in leaves:
        return ("input", str(leaves[t]))
    if t.op is not None or t in known:
        op, inputs, params = known.get(t, (t.op, t.inputs, t.params))
        return (op and op.name, *inputs, *sorted(params.items()))
    if t in made:
        name, given = made[t]
        return (name, *(x for x in given if x is not t))
    return ("data", t.data)


def _tensors(parts: Any) -> list[Tensor]:
    if isinstance(parts, Tensor):
        return [parts]
    return [t for x in parts for t in _tensors(x)] if isinstance(parts, (tuple, list)) else []


def _key(x: Any, seen: Mapping[Tensor, int]) -> Any:
    if isinstance(x, Tensor):
        return ("tensor", seen[x])
    if isinstance(x, (tuple, list)):
        return tuple(_key(y, seen) for y in x)
    if isinstance(x, np.ndarray):
        return (str(x.dtype), x.shape, x.tobytes())
    if type(x) is Number:
        return ("size", str(x.tree))
    return (type(x).__name__, getattr(x, "__name__", None) or getattr(x, "name", None) or repr(x))
