"""An ONNX model while it is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..derive.marks import Size
from ..engine import TinygradNormError
from ..engine.arrays import Array

OPSET, IR = 24, 11
"""What is written: the newest opset of which onnxruntime (1.32) has a kernel for every op used here."""


@dataclass(frozen=True)
class Value:
    """A tensor of the file: its name, dtype and, as recorded, its shape."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    @property
    def ndim(self) -> int:
        return len(self.shape)


class MissingOnnxError(TinygradNormError, ImportError):
    """The package onnx is needed, and not installed."""


def _onnx() -> Any:
    try:
        import onnx
    except ImportError:
        raise MissingOnnxError(
            "save: .onnx needs the package onnx. Install it: pip install 'tinygrad_norm[onnx]', or pip install onnx."
        ) from None
    return onnx


class File:
    """A model while it is written: nodes, and the arrays that stand in it."""

    def __init__(self, apart: bool = False) -> None:
        self.onnx, self.apart = _onnx(), apart
        self.inputs: list[Value] = []
        self.outputs: list[Value] = []
        self.dims: dict[str, list[Any]] = {}
        self.beginning: list[Any] = []
        self.nodes: list[Any] = []
        self.arrays: dict[str, Array] = {}
        self.taken: dict[str, int] = {}
        self.constants: dict[Any, Value] = {}
        self.scope: tuple[str, ...] = ()
        self.formula = ""

    def name(self, wanted: str) -> str:
        """Of two that are called alike, the second has a number."""
        k = self.taken.get(wanted, 0)
        self.taken[wanted] = k + 1
        return wanted if not k else self.name(f"{wanted}_{k}")

    def add(self, op: str, *xs: Value, dtype: Any = None, shape: Any = None, outputs: int = 1, **how: Any) -> Value:
        """One node. The result has the dtype of the last operand unless given, and, of several outputs, is the last."""
        names = [self.name(op.lower()) for _ in range(outputs)]
        node = self.onnx.helper.make_node(op, [x.name for x in xs], names, name=names[-1], doc_string=self.formula, **how)
        if self.scope:
            node.metadata_props.add(key="scope", value="/".join(self.scope))
        self.nodes.append(node)
        widest = (
            np.broadcast_shapes(*(x.shape for x in xs)) if shape is None and len(xs) > 1 and op in _BROADCAST else xs[0].shape
        )
        return Value(
            names[-1], np.dtype(dtype or xs[0 if op != "Where" else -1].dtype), tuple(widest if shape is None else shape)
        )

    def constant(self, array: Array, name: str = "constant") -> Value:
        key: Any = object() if self.apart or array.size > 64 else (array.dtype.str, array.shape, array.tobytes())
        if key not in self.constants:
            called = self.name(name)
            self.arrays[called] = array
            self.constants[key] = Value(called, array.dtype, array.shape)
        return self.constants[key]

    def number(self, value: float, dtype: Any) -> Value:
        return self.constant(np.asarray(value, dtype))

    def cast(self, x: Value, dtype: Any) -> Value:
        if x.dtype == np.dtype(dtype):
            return x
        return self.add("Cast", x, to=self.onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), dtype=dtype)

    def reshape(self, x: Value, shape: Sequence[int]) -> Value:
        full = np.empty(x.shape, np.bool_).reshape(shape).shape
        if full == x.shape:
            return x
        wanted = self.constant(np.array(shape, np.int64))
        return self.add("Reshape", x, wanted, shape=full, **({"allowzero": 1} if 0 in full else {}))

    def transpose(self, x: Value, axes: Sequence[int]) -> Value:
        return self.add("Transpose", x, perm=list(axes), shape=tuple(x.shape[a] for a in axes)) if len(axes) else x

    def expand(self, x: Value, shape: Sequence[int]) -> Value:
        return (
            x if tuple(shape) == x.shape else self.add("Expand", x, self.constant(np.array(shape, np.int64)), shape=tuple(shape))
        )

    def named_output(self, x: Value, name: str) -> Value:
        called = self.name(name)
        self.nodes.append(self.onnx.helper.make_node("Identity", [x.name], [called], name=called))
        return Value(called, x.dtype, x.shape)

    def compute(self, name: str, array: Array, entries: Sequence[Any], axes: Sequence[Sequence[Any]]) -> None:
        """Put in the place of a constant what computes it of the sizes, in float64, at the beginning."""
        del self.arrays[name]
        before, self.nodes, self.scope = self.nodes, [], ("sizes",)
        parts = []
        for e in entries:
            if not isinstance(e, Size):
                parts.append(self.constant(np.array([e], np.float64)))
                continue
            total = self.constant(np.array([e.coefficient]))
            for labels, shift, power in e.factors:
                factor = self.constant(np.array([1.0]))
                for label in labels:
                    i, axis = next((i, own.index(label)) for i, own in enumerate(axes) if label in own)
                    size = self.add("Shape", self.inputs[i], start=axis, end=axis + 1, dtype=np.int64, shape=(1,))
                    factor = self.add("Mul", factor, self.cast(size, np.float64))
                factor = self.add("Add", factor, self.constant(np.array([float(shift)])))
                total = self.add("Mul", total, self.add("Pow", factor, self.constant(np.array([power]))))
            parts.append(total)
        whole = self.add("Concat", *parts, axis=0, shape=(len(parts),)) if len(parts) > 1 else parts[0]
        whole = self.add("Round", whole) if array.dtype.kind in "iu" else whole
        whole = self.cast(whole, array.dtype)
        shape = self.constant(np.array(array.shape, np.int64))
        self.nodes.append(self.onnx.helper.make_node("Reshape", [whole.name, shape.name], [name], name=name))
        self.beginning += self.nodes
        self.nodes, self.scope = before, ()


_BROADCAST = ("Add", "Sub", "Mul", "Div", "Pow", "Where", "Max", "Min", "Less", "Equal", "Or", "And")
