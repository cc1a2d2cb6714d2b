"""What a mask was asked of. The tape keeps no comparison, since nothing flows through an answer; a formula wants it: [x > 0]."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..engine import TABLE
from ..engine.arrays import Array

NAMES = ("greater", "greater_equal", "less", "less_equal", "equal", "not_equal")
_asked: dict[int, tuple[Any, str, tuple[Any, ...]]] = {}
_depth = [0]


@contextmanager
def listening() -> Iterator[None]:
    """While a forward is recorded, remember of each comparison's answer what was compared; it is forgotten with the answer."""
    ops = [TABLE[name] for name in NAMES]
    plain = [op.forward for op in ops]
    if not _depth[0]:
        for op in ops:
            op.forward = _remembering(op.name, op.forward)
    _depth[0] += 1
    try:
        yield
    finally:
        _depth[0] -= 1
        if not _depth[0]:
            for op, forward in zip(ops, plain):
                op.forward = forward


def _remembering(name: str, forward: Any) -> Any:
    def asked(*operands: Any, **params: Any) -> Any:
        answer = forward(*operands, **params)
        if isinstance(answer, np.ndarray):
            key = id(answer)
            _asked[key] = (weakref.ref(answer, lambda _: _asked.pop(key, None)), name, operands)
        return answer

    return asked


def asked_of(answer: Array) -> tuple[str, tuple[Any, ...]] | None:
    """The comparison's name and its operands: arrays of the record, or numbers."""
    found = _asked.get(id(answer))
    return (found[1], found[2]) if found is not None and found[0]() is answer else None
