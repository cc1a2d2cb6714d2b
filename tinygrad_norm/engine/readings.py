"""How the rules are read: what flows through the backward pass, and what may be done about it.

A ``Reading`` says what stands for a recorded tensor: the tensor itself, its array, a symbol. The rules are the same.
"""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np

from . import primitives as op
from .arrays import SLAB, SMALL, by_rows, fitted, sum_in_slabs, sum_to
from .op import Together
from .state import going_back, state
from .tensor import Tensor
from .values import Placed, is_basic

_NOTHING = nullcontext()
FEW = 1 << 10  # entries; below this, zeros around a slice cost nothing, nor does a new array
op.getitem.faster = True  # what goes back through an index is added where it lies


class Reading:
    """What flows through the backward pass: ``value`` says what stands for a recorded tensor."""

    records = False  # what the rules compute

    def __init__(self, value: Callable[[Tensor], Any]) -> None:
        self.value = value

    def operands(self, node: Tensor) -> tuple[Any, ...]:
        return tuple([self.value(x) if type(x) is Tensor else x for x in node.inputs])

    def pull(self, node: Tensor, position: int, g: Any, out: Any, operands: tuple[Any, ...]) -> Any:
        """The chain rule along one edge: the node's cotangent in, its share for one input out.

        The share stands for a value of the input's shape and may be smaller: what does not vary along
        an axis need not be spread along it until somebody asks.
        """
        operation, x = node.op, operands[position]
        assert operation is not None
        if g.shape != out.shape and (x.shape != out.shape or not operation.elementwise):
            g = op.broadcast_to(g, shape=out.shape)
        share = operation.pullbacks[position](g, out, *operands, **node.params)  # type: ignore[misc]
        return share if share.shape == x.shape and share.dtype == x.dtype else self.fit(share, x)

    def fit(self, g: Any, x: Any) -> Any:
        """The adjoint of broadcasting, here and nowhere else: sum over the axes along which x was spread."""
        shape = fitted(g.shape, x.shape)
        g = g if g.shape == shape else op.unbroadcast(g, shape=shape)
        return g if g.dtype == x.dtype else op.astype(g, dtype=x.dtype)

    def shares(self, node: Tensor, positions: Sequence[int], g: Any) -> Sequence[Any]:
        """What each of these inputs gets of the node's cotangent."""
        if self.records and (back := state.back).last is not node.scope:
            back.enter(node.scope)
        out, operands, operation = self.value(node), self.operands(node), node.op
        if operation is not None and type(operation.pullbacks) is Together:
            g = g if g.shape == out.shape else op.broadcast_to(g, shape=out.shape)
            found = operation.pullbacks.rule(g, out, *operands, wanted=positions, **node.params)
            return [self.fit(share, operands[i]) for i, share in zip(positions, found)]
        return [self.pull(node, position, g, out, operands) for position in positions]

    def add(self, a: Any, b: Any) -> Any:
        """Two routes meet: their shares add up."""
        return a + b

    def around(self, seeds: Mapping[Tensor, Any]) -> AbstractContextManager[None]:
        """What holds while a pass runs."""
        return _NOTHING

    def settle(self, g: Any) -> Any:
        """A cotangent as it leaves the pass."""
        return g


class TensorReading(Reading):
    """The tensors themselves: what the rules compute is recorded, in scopes that say for which operation."""

    records = True

    def around(self, seeds: Mapping[Tensor, Any]) -> AbstractContextManager[None]:
        return going_back()

    def settle(self, g: Any) -> Any:
        state.back.enter(())  # what a hook computes is for none of them
        return g


class ArrayReading(Reading):
    """The numbers themselves. The same rules, with liberties that no rule can notice:

    a result that is only wanted summed is computed slab by slab, an addition writes into an array that nobody else
    holds, and what goes back through an index is added where it lies. An op's kernel stands in for its rules where it
    has one.
    """

    def __init__(self) -> None:
        super().__init__(operator.attrgetter("_data"))

    def around(self, seeds: Mapping[Tensor, Any]) -> AbstractContextManager[None]:
        for y in seeds:
            if y._data.size > SLAB:
                return by_rows()
        return _NOTHING

    def shares(self, node: Tensor, positions: Sequence[int], g: Any) -> Sequence[Any]:
        operation, out, params = node.op, node._data, node.params
        operands: list[Any] = []
        for x in node.inputs:
            operands.append(x._data if type(x) is Tensor else x)
        if type(g) is Placed:
            g = g.whole()
        full, elementwise, rules = out.shape, operation.elementwise, operation.pullbacks  # type: ignore[union-attr]
        if (out.size > SMALL or len(positions) > 2) if elementwise else operation.faster:  # type: ignore[union-attr]
            found = self.shortcut(node, positions, g, out, operands)
            if found is not None:
                return found
        shares, small = [], g.shape != full
        for i in positions:
            x = operands[i]
            shape = x.shape
            if small and (shape != full or not elementwise):
                g, small = np.broadcast_to(g, full), False
            share = rules[i](g, out, *operands, **params)  # type: ignore[misc]
            if share.shape != shape:
                share = sum_to(share, shape)
            shares.append(share if share.dtype is x.dtype or share.dtype == x.dtype else share.astype(x.dtype))
        return shares

    def shortcut(self, node: Tensor, positions: Sequence[int], g: Any, out: Any, operands: Sequence[Any]) -> Sequence[Any] | None:
        """The shares of an op for whose rules there is something faster, here; else None."""
        operation, params, full = node.op, node.params, out.shape
        assert operation is not None
        if operation.kernel is not None:
            g = g if g.shape == full else np.broadcast_to(g, full)
            found = operation.kernel(positions, g, out, *operands, **params)
        elif type(operation.pullbacks) is Together:
            g = g if g.shape == full else np.broadcast_to(g, full)
            found = operation.pullbacks.rule(g, out, *operands, wanted=positions, **params)
        elif operation is op.getitem and operands[0].size > FEW and is_basic(params["index"]):
            x = operands[0]
            return [Placed(g, params["index"], x.shape, x.dtype)]
        elif out.size > SLAB and operation.elementwise and out.ndim > 1 and full[0] > 1:
            found, whole = [], np.broadcast_to(g, full)
            for i in positions:
                rule, shape = operation.pullbacks[i], operands[i].shape
                if shape == full:
                    found.append(rule(g, out, *operands, **params))  # type: ignore[misc]
                else:
                    found.append(sum_in_slabs(rule, (whole, out, *operands), params, full, shape))  # type: ignore[arg-type]
        else:
            return None
        shares = []
        for i, share in zip(positions, found):
            x = operands[i]
            shares.append(share if share.dtype is x.dtype and share.shape == x.shape else self.fit(share, x))
        return shares

    def fit(self, g: Any, x: Any) -> Any:
        if g.shape != x.shape:
            g = sum_to(g, x.shape)
        return g if g.dtype == x.dtype else g.astype(x.dtype)

    def add(self, a: Any, b: Any) -> Any:
        if type(a) is np.ndarray and a.size <= FEW and type(b) is np.ndarray:
            return a + b
        alone = sys.getrefcount(a) <= _ALONE and type(a) is np.ndarray and a.base is None  # then a may be overwritten
        if type(b) is Placed:
            return b.onto(a, alone)
        if type(a) is Placed:
            return a.onto(b, False)
        if not alone or a.dtype != b.dtype or (a.shape != b.shape and a.shape != np.broadcast_shapes(a.shape, b.shape)):
            return a + b
        return np.add(a, b, out=a)

    def settle(self, g: Any) -> Any:
        return g.whole() if type(g) is Placed else g


class _Count:
    def add(self, a: Any, b: Any) -> Any:
        return sys.getrefcount(a)


_ALONE = _Count().add({0: np.empty(1)}.pop(0), None)  # the count of what only the call itself holds

TENSORS = TensorReading(lambda tensor: tensor)
"""The gradient as one more graph: the rules record, and can be differentiated again."""

ARRAYS = ArrayReading()
"""The gradient's numbers."""
