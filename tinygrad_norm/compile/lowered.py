"""Operations without a formula over named axes, recorded as sums of products, which have one, while a kernel is made.

A matrix product is a·b summed over the axis they share. One entry of an axis, as of the three shares of SwitchableNorm, is the
sum over it of what is 1 there and 0 elsewhere: a constant on the record, and in a program a question that each place answers.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import replace as changed
from typing import Any

import numpy as np

from ..derive.swapped import swapped
from ..derive.tree import Indicator, Letter, Node, Number, replace, varies
from ..engine import Op, Tensor
from ..engine.primitives import matmul, reshape, sum, windows
from .errors import KernelError
from .indexed import place
from .program import Definition, Program, Reduction, Step, Target

_AT = "1 at "
_apply = Tensor.apply_op


def lowering() -> AbstractContextManager[None]:
    """While a forward is recorded, its matrix products and single entries are sums of products."""
    return swapped(Tensor, {"apply_op": _lowered})


def _lowered(self: Tensor, op: Op, inputs: tuple[Any, ...], params: dict[str, Any]) -> Tensor:
    __tracebackhide__ = True  # whoever asks where an operation was recorded means the line before
    if op is matmul and all(isinstance(x, Tensor) and x.ndim > 1 for x in inputs):
        return _product(*inputs)
    if op.name == "getitem" and _is_entry(inputs[0], params["index"]):
        return _entry(inputs[0], params["index"][0])
    if op is windows:
        raise KernelError("windows: a sum over neighbouring places, and a formula over named axes has no neighbours")
    out = _apply(self, op, inputs, params)
    if op is reshape and isinstance(x := inputs[0], Tensor) and not x.requires_grad and (x.op is reshape or x.name):
        out.op, out.inputs, out.params = op, inputs, params  # a constant that is given is asked for in its own shape
    return out


def _product(a: Tensor, b: Tensor) -> Tensor:
    wide: Tensor = reshape(a, shape=(*a.shape, 1)) * reshape(b, shape=(*b.shape[:-2], 1, *b.shape[-2:]))
    total: Tensor = sum(wide, axis=(wide.ndim - 2,))
    return reshape(total, shape=(*total.shape[:-2], total.shape[-1]))  # type: ignore[no-any-return]


def _is_entry(x: Any, index: Any) -> bool:
    return isinstance(x, Tensor) and isinstance(index, tuple) and len(index) == 1 and type(index[0]) is int and x.ndim == 1


def _entry(x: Tensor, k: int) -> Tensor:
    k %= x.shape[0]
    there = Tensor(np.eye(1, x.shape[0], k, dtype=x.dtype)[0], name=f"{_AT}{k}")
    return reshape(sum(x * there, axis=(0,)), shape=())  # type: ignore[no-any-return]


def asked(program: Program) -> Program:
    """The program with a question in place of each constant that is 1 at one place."""
    at: dict[str, Node] = {}
    for a in program.inputs:
        if a.role == "constant" and (found := re.match(f"{_AT}([0-9]+)", a.letter)):
            ((axis,),) = a.layout
            at[a.letter] = Indicator(place(axis), "=", Number(int(found[1])))
    if not at:
        return program

    def told(node: Node) -> Node:
        return replace(node, lambda n: at.get(n.name) if isinstance(n, Letter) else None)

    steps: dict[str, Step] = {}
    for n, step in program.steps.items():
        if isinstance(step, Definition):
            steps[n] = Definition(step.letter, told(step.expression))
        else:
            steps[n] = Reduction(step.letter, told(step.inside), step.over, step.function)
    return changed(
        program,
        inputs=tuple(a for a in program.inputs if a.letter not in at),
        steps=steps,
        y=Target(program.y.array, told(program.y.expression)),
        gradients={n: Target(t.array, told(t.expression)) for n, t in program.gradients.items()},
        conditions=tuple(Indicator(told(c.left), c.sign, told(c.right)) for c in program.conditions),
    )


def products(program: Program, sizes: Mapping[str, int]) -> int:
    """How many terms the largest matrix product has: what is summed varies along more axes than any array has. 0 if there is none."""
    arrays = [set(a.axes) for a in (*program.inputs, program.y.array)]
    found = [{*varies(s.inside), *s.over} for s in program.steps.values() if isinstance(s, Reduction)]
    return max((math.prod(sizes[a] for a in axes) for axes in found if not any(axes <= own for own in arrays)), default=0)
