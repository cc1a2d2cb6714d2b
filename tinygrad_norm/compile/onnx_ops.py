"""What each op of the table is in ONNX: one line for each, in the primitives of the standard.

A meaning gets ``to``, the file being written, ``t``, the tensor as recorded, and the operands as ``Value``; it adds nodes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..engine import Tensor
from ..engine.bell import GELU_TANH
from ..engine.sliding import windows
from .following import RecordError
from .onnx_file import File, Value
from .recording import Operand

Meaning = Callable[..., Value]


def _axes(to: File, axis: Sequence[int]) -> Value:
    return to.constant(np.array(axis, np.int64))


def _reduce(op: str) -> Meaning:
    return lambda to, t, x, axis: to.add(op, x, _axes(to, axis), keepdims=1, shape=t.shape) if axis else x


def _one_by_one(op: str) -> Meaning:
    return lambda to, t, *xs: to.add(op, *xs, shape=t.shape)


def _asks(op: str, inverse: bool = False) -> Meaning:
    def ask(to: File, t: Tensor, *xs: Value) -> Value:
        found = to.add(op, *xs, dtype=np.bool_, shape=t.shape)
        return to.add("Not", found) if inverse else found

    return ask


def _whole(to: File, t: Tensor, a: Value, b: Value) -> Value:
    """⌊a/b⌋; of whole numbers, which ONNX divides towards 0, by way of float64."""
    if a.dtype.kind == "f":
        return to.add("Floor", to.add("Div", a, b, shape=t.shape))
    x, y = (to.cast(v, np.float64) for v in (a, b))
    return to.cast(to.add("Floor", to.add("Div", x, y, shape=t.shape)), t.dtype)


def _remainder(to: File, t: Tensor, a: Value, b: Value) -> Value:
    return to.add("Sub", a, to.add("Mul", b, _whole(to, t, a, b), shape=t.shape), shape=t.shape)


def _power(to: File, t: Tensor, x: Value, n: float) -> Value:
    if n == 2:
        return to.add("Mul", x, x)
    return x if n == 1 else to.add("Pow", x, to.number(n, x.dtype))


def _log1p(to: File, t: Tensor, x: Value) -> Value:
    """log(u) + (x − (u − 1))/u for u = 1 + x: with what u has lost."""
    one = to.number(1, x.dtype)
    u = to.add("Add", x, one)
    lost = to.add("Div", to.add("Sub", x, to.add("Sub", u, one)), u)
    return to.add("Add", to.add("Log", u), lost)


def _expm1(to: File, t: Tensor, x: Value) -> Value:
    """tanh(x/2)·(exp(x) + 1), which keeps its digits next to 0."""
    half = to.add("Tanh", to.add("Mul", x, to.number(0.5, x.dtype)))
    return to.add("Mul", half, to.add("Add", to.add("Exp", x), to.number(1, x.dtype)))


def _ndtr(to: File, t: Tensor, x: Value) -> Value:
    e = to.add("Erf", to.add("Mul", x, to.number(math.sqrt(0.5), x.dtype)))
    return to.add("Mul", to.add("Add", e, to.number(1, x.dtype)), to.number(0.5, x.dtype))


def _gelu_tanh(to: File, t: Tensor, x: Value) -> Value:
    a, b = (to.number(v, x.dtype) for v in GELU_TANH)
    inner = to.add("Add", a, to.add("Mul", b, to.add("Mul", x, x)))
    return to.add("Mul", x, to.add("Sigmoid", to.add("Mul", x, inner)))


def _shifted(to: File, x: Value, axis: Sequence[int]) -> tuple[Value, Value]:
    kept = tuple(1 if i in axis else n for i, n in enumerate(x.shape))
    top = to.add("ReduceMax", x, _axes(to, axis), keepdims=1, shape=kept)
    return top, to.add("Sub", x, top)


def _sum(to: File, x: Value, axis: Sequence[int]) -> Value:
    return to.add("ReduceSum", x, _axes(to, axis), keepdims=1, shape=tuple(1 if i in axis else n for i, n in enumerate(x.shape)))


def _softmax(to: File, t: Tensor, x: Value, axis: tuple[int, ...]) -> Value:
    if len(axis) == 1:
        return to.add("Softmax", x, axis=axis[0])
    e = to.add("Exp", _shifted(to, x, axis)[1])
    return to.add("Div", e, _sum(to, e, axis))


def _log_softmax(to: File, t: Tensor, x: Value, axis: tuple[int, ...]) -> Value:
    if len(axis) == 1:
        return to.add("LogSoftmax", x, axis=axis[0])
    z = _shifted(to, x, axis)[1]
    return to.add("Sub", z, to.add("Log", _sum(to, to.add("Exp", z), axis)))


def _logsumexp(to: File, t: Tensor, x: Value, axis: tuple[int, ...]) -> Value:
    top, z = _shifted(to, x, axis)
    return to.add("Add", to.add("Log", _sum(to, to.add("Exp", z), axis)), top)


def _einsum(to: File, t: Tensor, *xs: Value, equation: str) -> Value:
    """With axes of size 1 spread to the others' size."""
    terms = equation.split("->")[0].split(",")
    sizes: dict[str, int] = {}
    for term, x in zip(terms, xs):
        sizes |= {c: n for c, n in zip(term, x.shape) if sizes.get(c, 1) == 1}
    xs = tuple(to.expand(x, tuple(sizes[c] for c in term)) for term, x in zip(terms, xs))
    return to.add("Einsum", *xs, equation=equation, shape=t.shape)


def _how(stride: Any, padding: Any, dilation: Any, groups: int) -> dict[str, Any]:
    return {"strides": stride, "pads": [p[0] for p in padding] + [p[1] for p in padding], "dilations": dilation, "group": groups}


def _conv(to: File, t: Tensor, x: Value, w: Value, **how: Any) -> Value:
    return to.add("Conv", x, w, **_how(**how), shape=t.shape)


def _conv_input(to: File, t: Tensor, y: Value, w: Value, shape: tuple[int, ...], **how: Any) -> Value:
    ends = zip(shape, y.shape[2:], w.shape[2:], how["stride"], how["padding"], how["dilation"])
    more = [n - (s * (m - 1) + d * (k - 1) + 1 - sum(p)) for n, m, k, s, p, d in ends]
    return to.add("ConvTranspose", y, w, **_how(**how), output_padding=more, shape=t.shape)


def _conv_weight(to: File, t: Tensor, y: Value, x: Value, size: tuple[int, ...], stride: Any, dilation: Any, **how: Any) -> Value:
    """The convolution of x by y, images and channels exchanged, stride and dilation too."""
    n, c, *places = x.shape
    outs, g = y.shape[1], how["groups"]
    images = to.reshape(x, (n, g, c // g, *places))
    images = to.reshape(to.transpose(images, (2, 1, 0, 3, 4)), (c // g, g * n, *places))
    found = [
        (m + sum(p) - s * (k - 1) - 1) // d + 1 for m, p, s, k, d in zip(places, how["padding"], stride, y.shape[2:], dilation)
    ]
    w = to.add(
        "Conv", images, to.transpose(y, (1, 0, 2, 3)), **_how(dilation, how["padding"], stride, g), shape=(c // g, outs, *found)
    )
    if tuple(found) != tuple(size):
        ends = [to.constant(np.array(v, np.int64)) for v in ((0, 0), size, (2, 3))]
        w = to.add("Slice", w, *ends, shape=(c // g, outs, *size))
    return to.transpose(w, (1, 0, 2, 3))


def _places(to: File, index: tuple[Any, ...], shape: tuple[int, ...], more: Sequence[Value], out: tuple[int, ...]) -> Value:
    """Where in the flat array the entries stand that an index picks: a constant, and more for each operand in it."""
    operands = {i: more[p.position - 1] for i, p in enumerate(index) if isinstance(p, Operand)}
    if any(v.dtype.kind == "b" for v in operands.values()):
        raise RecordError(
            "getitem: a mask that is computed picks a number of entries that depends on the data. Select with tn.where."
        )
    plain = tuple(np.zeros(operands[i].shape, np.int64) if i in operands else p for i, p in enumerate(index))
    size = math.prod(shape)
    found = to.constant(np.arange(size).reshape(shape)[plain].astype(np.int64))
    if not operands:
        return found
    whole: list[Any] = []
    for i, p in enumerate(plain):
        axes = len(shape) - sum(1 for q in plain if q is not None and q is not Ellipsis)
        whole += [(None, slice(None))] * axes if p is Ellipsis else [(i, p)]
    advanced = [k for k, (_, p) in enumerate(whole) if isinstance(p, (int, np.integer, np.ndarray))]
    spread = np.broadcast_shapes(*(np.shape(whole[k][1]) for k in advanced))
    together = advanced[-1] - advanced[0] + 1 == len(advanced)
    before = sum(1 for _, p in whole[: advanced[0]] if p is None or isinstance(p, slice)) if together else 0
    behind = len(out) - before - len(spread)
    strides = np.cumprod([1, *shape[:0:-1]])[::-1]
    axis = 0
    for i, p in whole:
        if p is None:
            continue
        if i in operands:
            v = to.cast(operands[i], np.int64)
            n = to.number(shape[axis], np.int64)
            v = to.add("Where", to.add("Less", v, to.number(0, np.int64), dtype=np.bool_), to.add("Add", v, n), v)
            v = to.add("Mul", v, to.number(int(strides[axis]), np.int64))
            found = to.add("Add", found, to.reshape(v, (*v.shape, *(1,) * behind)), shape=out)
        axis += 1
    return found


def _getitem(to: File, t: Tensor, x: Value, *more: Value, index: Any) -> Value:
    places = _places(to, index if isinstance(index, tuple) else (index,), x.shape, more, t.shape)
    return to.add("Gather", to.reshape(x, (-1,)), places, axis=0, shape=t.shape)


def _scatter(to: File, t: Tensor, g: Value, *more: Value, index: Any, shape: tuple[int, ...]) -> Value:
    places = _places(to, index if isinstance(index, tuple) else (index,), shape, more, g.shape)
    return _added(to, t, g, to.reshape(places, (-1,)), shape)


def _added(to: File, t: Tensor, g: Value, places: Value, shape: Any) -> Value:
    zeros = to.constant(np.zeros(math.prod(shape), g.dtype))
    flat = to.add("ScatterElements", zeros, places, to.reshape(g, (-1,)), axis=0, reduction="add", shape=(math.prod(shape),))
    return to.reshape(flat, tuple(shape))


def _pad(to: File, t: Tensor, x: Value, width: Any, value: float) -> Value:
    if not x.ndim:
        return x
    ends = [w[0] for w in width] + [w[1] for w in width]
    return to.add("Pad", x, to.constant(np.array(ends, np.int64)), to.number(value, x.dtype), shape=t.shape)


def _windows(to: File, t: Tensor, x: Value, size: Any, stride: Any, dilation: Any) -> Value:
    """One axis after the other: the places that its windows see, as a table."""
    first = x.ndim - len(size)
    for a, (n, s, d) in enumerate(zip(size, stride, dilation)):
        axis = first + a
        table = np.arange((x.shape[axis] - d * (n - 1) - 1) // s + 1)[:, None] * s + np.arange(n) * d
        shape = (*x.shape[:axis], *table.shape, *x.shape[axis + 1 :])
        x = to.add("Gather", x, to.constant(table.astype(np.int64)), axis=axis, shape=shape)
        x = to.transpose(x, tuple([i for i in range(x.ndim) if i != axis + 1] + [axis + 1]))
    return x


def _fold(to: File, t: Tensor, g: Value, size: Any, stride: Any, dilation: Any, shape: Any) -> Value:
    places = windows(np.arange(math.prod(t.shape)).reshape(t.shape), size, stride, dilation)
    return _added(to, t, g, to.constant(np.ascontiguousarray(places).reshape(-1).astype(np.int64)), t.shape)


def _sum_to(to: File, t: Tensor, x: Value, shape: tuple[int, ...]) -> Value:
    lead = x.ndim - len(shape)
    axes = (*range(lead), *(lead + i for i, n in enumerate(shape) if n == 1 != x.shape[lead + i]))
    return to.reshape(_sum(to, x, axes) if axes else x, t.shape)


def _cumsum(to: File, t: Tensor, x: Value, axis: int, reverse: bool) -> Value:
    return to.add("CumSum", x, to.number(axis, np.int64), reverse=int(reverse))


def _sort(to: File, t: Tensor, x: Value, axis: int) -> Value:
    return to.add("TopK", x, to.constant(np.array([x.shape[axis]], np.int64)), axis=axis, largest=0, outputs=2, dtype=np.int64)


def _some(op: str) -> Meaning:
    def ask(to: File, t: Tensor, x: Value, axis: tuple[int, ...]) -> Value:
        return to.cast(to.add(op, to.cast(x, np.int32), _axes(to, axis), keepdims=1, shape=t.shape), np.bool_)

    return ask


def _bits(op: str) -> Meaning:
    return lambda to, t, *xs: to.add(op if xs[0].dtype.kind == "b" else f"Bitwise{op}", *xs, shape=t.shape)


def _finite(to: File, t: Tensor, x: Value) -> Value:
    nan, infinite = (to.add(op, x, dtype=np.bool_) for op in ("IsNaN", "IsInf"))
    return to.add("Not", to.add("Or", nan, infinite))


# fmt: off
MEANINGS: Mapping[str, Meaning] = {
    "add": _one_by_one("Add"), "sub": _one_by_one("Sub"), "mul": _one_by_one("Mul"), "div": _one_by_one("Div"),
    "neg": _one_by_one("Neg"), "remainder": _remainder, "floor_divide": _whole, "pow": _power, "power": _one_by_one("Pow"),
    "exp": _one_by_one("Exp"), "log": _one_by_one("Log"), "sqrt": _one_by_one("Sqrt"),
    "rsqrt": lambda to, t, x: to.add("Reciprocal", to.add("Sqrt", x)),
    "tanh": _one_by_one("Tanh"), "sigmoid": _one_by_one("Sigmoid"), "softplus": _one_by_one("Softplus"), "log1p": _log1p, "expm1": _expm1,
    "sin": _one_by_one("Sin"), "cos": _one_by_one("Cos"), "erf": _one_by_one("Erf"), "ndtr": _ndtr,
    "gelu": lambda to, t, x: to.add("Mul", x, _ndtr(to, t, x)), "gelu_tanh": _gelu_tanh,
    "relu": _one_by_one("Relu"), "abs": _one_by_one("Abs"), "sign": _one_by_one("Sign"), "where": _one_by_one("Where"),
    "maximum": _one_by_one("Max"), "minimum": _one_by_one("Min"),
    "greater": _asks("Greater"), "greater_equal": _asks("GreaterOrEqual"), "less": _asks("Less"), "less_equal": _asks("LessOrEqual"),
    "equal": _asks("Equal"), "not_equal": _asks("Equal", inverse=True),
    "sum": _reduce("ReduceSum"), "mean": _reduce("ReduceMean"), "max": _reduce("ReduceMax"), "prod": _reduce("ReduceProd"),
    "softmax": _softmax, "log_softmax": _log_softmax, "logsumexp": _logsumexp, "cumsum": _cumsum,
    "matmul": _one_by_one("MatMul"), "einsum": _einsum,
    "conv2d": _conv, "conv2d_input": _conv_input, "conv2d_weight": _conv_weight,
    "reshape": lambda to, t, x, shape: to.reshape(x, t.shape),
    "transpose": lambda to, t, x, axes: to.transpose(x, axes),
    "broadcast_to": lambda to, t, x, shape: to.expand(x, t.shape),
    "getitem": _getitem, "scatter": _scatter,
    "concatenate": lambda to, t, *xs, axis: to.add("Concat", *xs, axis=axis, shape=t.shape),
    "astype": lambda to, t, x, dtype: to.cast(x, t.dtype),
    "pad": _pad, "windows": _windows, "fold": _fold, "unbroadcast": _sum_to,
    "argmax": lambda to, t, x, axis, keepdims: to.add("ArgMax", x, axis=axis, keepdims=int(keepdims), dtype=np.int64, shape=t.shape),
    "argmin": lambda to, t, x, axis, keepdims: to.add("ArgMin", x, axis=axis, keepdims=int(keepdims), dtype=np.int64, shape=t.shape),
    "argsort": _sort, "min": _reduce("ReduceMin"), "any": _some("ReduceMax"), "all": _some("ReduceMin"),
    "isfinite": _finite, "isnan": _asks("IsNaN"), "and": _bits("And"), "or": _bits("Or"), "xor": _bits("Xor"), "not": _bits("Not"),
}
# fmt: on
