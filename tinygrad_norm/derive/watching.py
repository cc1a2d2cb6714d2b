"""What a record leaves out: a record ends at ``detach()``, at a comparison and inside ``no_grad``; a proof and a formula may not.

While a function is watched, every constant that an op makes is remembered with what made it. For as long as it is read, it is
put on the record with that; no gradient is taken meanwhile. While one listens, each comparison's answer remembers what was
compared: nothing flows through it, and a formula wants it: [x > 0].
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..engine import TABLE, Op, Tensor, methods
from ..engine.arrays import Array

Made = dict[Tensor, "tuple[Op, tuple[Any, ...], dict[str, Any]]"]


@contextmanager
def watching() -> Iterator[Made]:
    """What the ops of this thread make inside, by constant: (op, operands, options)."""
    made: Made = {}
    owner = threading.get_ident()
    apply, detach = Tensor.apply_op, Tensor.detach

    def apply_op(self: Tensor, op: Op, inputs: tuple[Any, ...], params: dict[str, Any]) -> Tensor:
        out = apply(self, op, inputs, params)
        truncated = op.name == "astype" and out.dtype.kind in "iu" and self.dtype.kind == "f"
        if (
            out.op is None
            and not truncated
            and threading.get_ident() == owner
            and all(isinstance(x, (Tensor, int, float)) for x in inputs)
        ):
            made[out] = (op, inputs, params)
        return out

    def detached(self: Tensor) -> Tensor:
        out = detach(self)
        if threading.get_ident() == owner:
            made[out] = (TABLE["astype"], (self,), {"dtype": self.dtype})  # the same values
        return out

    Tensor.apply_op, Tensor.detach = apply_op, detached  # type: ignore[method-assign]
    try:
        yield made
    finally:
        Tensor.apply_op, Tensor.detach = apply, detach  # type: ignore[method-assign]


@contextmanager
def joined(made: Made) -> Iterator[None]:
    """The constants as part of the record."""
    here = [t for t in made if t.op is None]
    for t in here:
        t.op, t.inputs, t.params = made[t]
    try:
        yield
    finally:
        for t in here:
            t.op, t.inputs, t.params = None, (), {}


# Comparisons ------------------------------------------------------------------------------------------

_COMPARISONS = ("greater", "greater_equal", "less", "less_equal", "equal", "not_equal")
_asked: dict[int, tuple[Any, str, tuple[Any, ...]]] = {}
_depth = [0]


@contextmanager
def listening() -> Iterator[None]:
    """While a forward is recorded, remember of each comparison's answer what was compared; it is forgotten with the answer."""
    ops = [TABLE[name] for name in _COMPARISONS]
    plain, bits = [op.forward for op in ops], vars(methods)["bits"]
    if not _depth[0]:
        for op in ops:
            op.forward = _remembering(op.name, op.forward)
        vars(methods)["bits"] = _remembering_bits(bits)
    _depth[0] += 1
    try:
        yield
    finally:
        _depth[0] -= 1
        if not _depth[0]:
            for op, forward in zip(ops, plain):
                op.forward = forward
            vars(methods)["bits"] = bits


def _remembering(name: str, forward: Any) -> Any:
    def asked(*operands: Any, **params: Any) -> Any:
        answer = forward(*operands, **params)
        if isinstance(answer, np.ndarray):
            _remember(answer, name, operands)
        return answer

    return asked


def _remembering_bits(bits: Any) -> Any:
    """~m, m & n, m | n, m ^ n of masks."""

    def asked(ufunc: np.ufunc, *operands: Any) -> Tensor:
        answer: Tensor = bits(ufunc, *operands)
        if all(isinstance(x, Tensor) and x.dtype.kind == "b" for x in operands):
            _remember(answer._data, ufunc.__name__, tuple(x._data for x in operands))
        return answer

    return asked


def _remember(answer: Array, name: str, operands: tuple[Any, ...]) -> None:
    key = id(answer)
    _asked[key] = (weakref.ref(answer, lambda _: _asked.pop(key, None)), name, operands)


def asked_of(answer: Array) -> tuple[str, tuple[Any, ...]] | None:
    """The name of the comparison, or of what joins masks, and its operands: arrays of the record, or numbers."""
    found = _asked.get(id(answer))
    if found is not None and found[0]() is answer:
        return found[1], found[2]
    whole = answer.base
    seen = isinstance(whole, np.ndarray) and (whole.shape, whole.strides, whole.dtype) == (
        answer.shape,
        answer.strides,
        answer.dtype,
    )
    return asked_of(whole) if seen else None  # type: ignore[arg-type]
