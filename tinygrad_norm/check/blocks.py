"""Explanations by sums that were cut: a kernel's last block, the rest of a division, one half."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..engine import Tensor
from ..engine.arrays import Array
from .alterations import Altered, Edit, Mistake, scaled, unsummed
from .case import Case
from .counts import BLOCKS
from .judgement import Explanation, Given
from .known import look


def block(case: Case, given: Given) -> Explanation | None:
    """A sum on the way back that leaves a block of its entries out."""
    for mistake in _cut_sums(case):
        if case.shows(given.name, mistake, given.dtype) and given.is_it(case, case.backward.gradients(mistake)[given.name]):
            return Explanation((mistake.sentence, *look(case, given.name, mistake)), (mistake.name,))
    return None


def _cut_sums(case: Case) -> Iterator[Mistake]:
    graph = case.graph
    for t in graph.tensors:
        if t.op is None or not t.op.elementwise:
            continue
        for position, x in enumerate(t.inputs):
            if not isinstance(x, Tensor) or x.size >= t.size or not (x.requires_grad or x.op is not None):
                continue
            full = (1,) * (t.ndim - x.ndim) + x.shape
            label = graph.node(x).label
            for axis in (a for a, (n, m) in enumerate(zip(t.shape, full)) if n != m):
                for words, mask in _masks(t.shape[axis], axis, t.ndim):
                    text = f"the sum over axis {axis} on the way to {label} {words}"
                    yield Mistake(f"{label}: {words}", text, f"every entry of axis {axis} counts, whatever its length",
                                  {(t, position): _masked(mask)}, node=x)  # fmt: skip
                    mean = x.op is not None and x.op.name == "mean" and t.op.name == "sub" and position == 1
                    for use in graph.tensors if mean else ():
                        if (
                            use.op is not None
                            and use.op.name == "mul"
                            and use.inputs[0] is t
                            and getattr(use.inputs[1], "size", 1) < use.size == t.size  # rstd, a number a row; not c·c
                        ):
                            edits = {(use, 0): _mean_masked(mask, axis), (x, 0): scaled(0.0)}
                            yield Mistake(f"{label}: {words}", text, f"every entry of axis {axis} counts, whatever its length",
                                          edits, node=x)  # fmt: skip


def _masks(n: int, axis: int, ndim: int) -> Iterator[tuple[str, Array]]:
    where, told = np.arange(n), set[int]()

    def along(keep: Array) -> Array:
        return keep.astype(np.float64).reshape(tuple(-1 if a == axis else 1 for a in range(ndim)))

    for k in BLOCKS:
        if k >= n:
            break
        rest = n % k
        if rest:
            yield f"leaves out the last {n} mod {k} = {rest} entr{'y' if rest == 1 else 'ies'}", along(where < n - rest)
        last = rest or k
        if last not in told:
            told.add(last)
            yield f"has its last {last} of {n} entries only, one block of several", along(where >= n - last)
        yield f"has its first {k} of {n} entries only", along(where < k)
    if n > 2:
        yield "leaves out the last entry", along(where < n - 1)
        yield "leaves out the first entry", along(where > 0)


def _masked(mask: Array) -> Edit:
    def edit(reading: Altered, node: Tensor, position: int, g: Any, out: Any, operands: tuple[Any, ...]) -> Any:
        return reading.fit(unsummed(reading, node, position, g, out, operands) * mask, operands[position])

    return edit


def _mean_masked(mask: Array, axis: int) -> Edit:
    def edit(reading: Altered, node: Tensor, position: int, g: Any, out: Any, operands: tuple[Any, ...]) -> Any:
        g, rstd = np.broadcast_to(g, np.shape(out)), operands[1 - position]
        return rstd * (g - np.mean(g * mask, axis=axis, keepdims=True))

    return edit
