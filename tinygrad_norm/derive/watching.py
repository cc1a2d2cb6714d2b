"""What constants were computed from: a record ends at ``detach()``, at a comparison and inside ``no_grad``; a proof may not.

While a function is watched, every constant that an op makes is remembered with what made it. For as long as it is read, it is
put on the record with that; no gradient is taken meanwhile.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..engine import TABLE, Op, Tensor

Made = dict[Tensor, "tuple[Op, tuple[Any, ...], dict[str, Any]]"]


@contextmanager
def watching() -> Iterator[Made]:
    """What the ops of this thread make inside, by constant: (op, operands, options)."""
    made: Made = {}
    owner = threading.get_ident()
    apply, detach = Tensor.apply_op, Tensor.detach

    def apply_op(self: Tensor, op: Op, inputs: tuple[Any, ...], params: dict[str, Any]) -> Tensor:
        out = apply(self, op, inputs, params)
        if out.op is None and threading.get_ident() == owner and all(isinstance(x, (Tensor, int, float)) for x in inputs):
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
