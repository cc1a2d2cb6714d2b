"""The standard's own operators in the place of what a function recorded, where they are shown to compute the same.

Nothing here knows what a norm records: an operator is proposed for the call of a function of that name, with the numbers and axes that are found in it,
and taken if, by onnx's reference evaluator, it gives the numbers on the record.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np

from ..engine import Tensor
from .onnx_file import OPSET, File, Value
from .recording import Recorded


@dataclass(frozen=True)
class Box:
    """One call: what was recorded in it, the tensors from outside that it uses, and the operator for it."""

    members: tuple[Tensor, ...]
    outer: tuple[Tensor, ...]
    op: str
    order: tuple[int | None, ...]  # which of the outer tensors its operands are; None: ones, for a gain that is not there
    how: dict[str, Any]

    def write(self, to: File, outer: Sequence[Value], shape: tuple[int, ...]) -> Value:
        x = outer[self.order[0] or 0]
        width = self.outer[self.order[0] or 0].shape[self.how["axis"] :] if "axis" in self.how else ()
        operands = [to.constant(np.ones(width, x.dtype)) if i is None else outer[i] for i in self.order]
        return to.add(self.op, *operands, **self.how, shape=shape)


def standard_boxes(of: Recorded) -> dict[Tensor, Box]:
    """By the tensor that comes out of it, each call for which there is an operator."""
    calls: dict[int, list[Tensor]] = defaultdict(list)
    kinds: dict[int, str] = {}
    for t in of.tensors:
        for s in t.scope if t.op is not None else ():
            if str(s) in _PROPOSALS:
                calls[id(s)].append(t)
                kinds[id(s)] = str(s)
                break
    users: dict[Tensor, list[Tensor]] = defaultdict(list)
    for t in of.tensors:
        for x in t.inputs:
            if isinstance(x, Tensor):
                users[x].append(t)
    outputs, found = set(of.outputs), {}
    for key, members in calls.items():
        mine = set(members)
        leaving = [t for t in members if t in outputs or any(u not in mine for u in users[t])]
        if len(leaving) == 1 and (box := _fitting(kinds[key], members, leaving[0])):
            found[leaving[0]] = box
    return found


@dataclass(frozen=True)
class _Call:
    """What is found in a call: the numbers between 0 and 1, one of which may be ε, and the axes of its first reduction."""

    members: Sequence[Tensor]
    out: Tensor

    @property
    def outer(self) -> tuple[Tensor, ...]:
        mine = set(self.members)
        return tuple(
            dict.fromkeys(x for t in self.members for x in t.inputs if isinstance(x, Tensor) and x not in mine and not _plain(x))
        )

    @property
    def numbers(self) -> list[float]:
        return [v for t in self.members for v in t.inputs if isinstance(v, float) and 0 < v < 1]

    @property
    def axes(self) -> tuple[int, ...]:
        return next((t.params["axis"] for t in self.members if isinstance(t.params.get("axis"), tuple)), ())


def _plain(x: Tensor) -> bool:
    """A constant that a function has made for itself, such as the numbers of places."""
    return x.op is None and not x.requires_grad and x.dtype.kind != "f"


def _fitting(kind: str, members: Sequence[Tensor], out: Tensor) -> Box | None:
    call = _Call(members, out)
    for op, order, how in _PROPOSALS[kind](call):
        box = Box(tuple(members), call.outer, op, order, how)
        if _holds(box, out):
            return box
    return None


def _holds(box: Box, out: Tensor) -> bool:
    from onnx.reference import ReferenceEvaluator

    to = File()
    names = [Value(to.name(f"x{i}"), x.dtype, x.shape) for i, x in enumerate(box.outer)]
    y: Any = box.write(to, names, out.shape)
    helper = to.onnx.helper
    infos = [helper.make_tensor_value_info(v.name, helper.np_dtype_to_tensor_dtype(v.dtype), v.shape) for v in (*names, y)]
    arrays = [to.onnx.numpy_helper.from_array(a, n) for n, a in to.arrays.items()]
    model = helper.make_model(
        helper.make_graph(to.nodes, "proposal", infos[:-1], infos[-1:], arrays), opset_imports=[helper.make_opsetid("", OPSET)]
    )
    try:
        (found,) = ReferenceEvaluator(model).run(None, {v.name: x._data for v, x in zip(names, box.outer)})
    except Exception:  # an operator that takes no such operands
        return False
    close = 1e-9 if out.dtype == np.float64 else 1e-4
    return np.shape(found) == out.shape and bool(np.allclose(found, out._data, rtol=close, atol=close, equal_nan=True))


Proposal = tuple[str, tuple[Any, ...], dict[str, Any]]


def _rows(op: str, most: int) -> Any:
    """Over the last axes from ``axis`` on; a gain there must be, and a shift may."""

    def propose(call: _Call) -> Iterator[Proposal]:
        n, axis = call.out.ndim, min(call.axes, default=0)
        for x, *others in permutations(range(len(call.outer))):
            if call.outer[x].shape == call.out.shape and len(others) <= most and tuple(call.axes) == tuple(range(axis, n)):
                for eps in call.numbers or (0.0,):
                    yield op, (x, *(others or (None,))), {"axis": axis, "epsilon": eps}

    return propose


def _along(op: str) -> Any:
    def propose(call: _Call) -> Iterator[Proposal]:
        if len(call.outer) == 1 and len(call.axes) == 1:
            yield op, (0,), {"axis": call.axes[0]}

    return propose


def _channels(op: str, operands: int) -> Any:
    """Of images, with a number for each channel in each operand but the first."""

    def propose(call: _Call) -> Iterator[Proposal]:
        c = call.out.shape[1] if call.out.ndim > 1 else 0
        for x, *others in permutations(range(len(call.outer))):
            if (
                len(others) == operands
                and call.outer[x].shape == call.out.shape
                and all(call.outer[i].shape == (c,) for i in others)
            ):
                for eps in call.numbers:
                    if op != "GroupNormalization":
                        yield op, (x, *others), {"epsilon": eps}
                    else:
                        yield from ((op, (x, *others), {"epsilon": eps, "num_groups": g}) for g in range(1, c + 1) if c % g == 0)

    return propose


def _pool(call: _Call) -> Iterator[Proposal]:
    how = {k: v for t in call.members if t.op is not None and t.op.name in ("windows", "pad") for k, v in t.params.items()}
    if len(call.outer) == 1 and "size" in how:
        ends = how.get("width", [])[-len(how["size"]) :]
        sizes = {"kernel_shape": how["size"], "strides": how["stride"], "dilations": how["dilation"]}
        yield "MaxPool", (0,), {**sizes, "pads": [a for a, _ in ends] + [b for _, b in ends]}


_PROPOSALS: dict[str, Any] = {
    "LayerNorm": _rows("LayerNormalization", 2),
    "RMSNorm": _rows("RMSNormalization", 1),
    "BatchNorm": _channels("BatchNormalization", 4),
    "GroupNorm": _channels("GroupNormalization", 2),
    "InstanceNorm": _channels("InstanceNormalization", 2),
    "softmax": _along("Softmax"),
    "log-softmax": _along("LogSoftmax"),
    "max pool 1d": _pool,
    "max pool 2d": _pool,
}
