"""What rounding may do to a recorded computation: the record run once more over numbers that know how far off they may be.

A running error analysis (Wilkinson 1963; Higham, Accuracy and Stability, §3.3), to first order: each operation passes on what its
operands may be off by, times its own slopes, and adds its own rounding. The slopes are the table's pullbacks, so this is one
more reading of the same rules; what cancels keeps its error, and what is tiny gets a tiny one. Sums of n terms count
min(n − 1, 4√n) roundings (Higham and Mary 2019, SIAM J. Sci. Comput. 41(5)).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..engine import Op, Tensor
from ..engine.arrays import Array
from ..graph import Graph, replay

_EXACT = frozenset(
    [
        "neg",
        "relu",
        "abs",
        "maximum",
        "minimum",
        "where",
        "sign",
        "max",
        "reshape",
        "transpose",
        "getitem",
        "broadcast_to",
        "concatenate",
        "pad",
        "windows",
    ]
)
_LINEAR = frozenset(
    [
        "sum",
        "mean",
        "cumsum",
        "reshape",
        "transpose",
        "broadcast_to",
        "getitem",
        "scatter",
        "concatenate",
        "pad",
        "windows",
        "fold",
        "unbroadcast",
        "max",
    ]
)
_BILINEAR = frozenset(["matmul", "einsum", "conv2d", "conv2d_input", "conv2d_weight"])
_ARITHMETIC = frozenset(["add", "sub", "mul", "div", "sqrt", "astype"])  # correctly rounded: one rounding
_FUNCTION = 8.0  # roundings of a function of one number: NumPy's are off by up to 4 ulp
_FLUSHED = 1e-250  # per unit roundoff: below, complex step (with h = 1e-40) and kernels lose digits to underflow
_OPAQUE = 16.0  # roundings of an operation about which nothing is known, beside what its operands do to it


class Rounded:
    """An array, and how far each entry may be off, per unit roundoff.

    least:  what every operation is off by at least; None: operations add nothing, so that errors are only passed on
    """

    def __init__(self, value: Any, error: Any = 0.0, least: float | None = _FLUSHED) -> None:
        self.value: Array = np.asarray(value)
        self.error: Array = np.broadcast_to(np.asarray(error, np.float64), self.value.shape)
        self.least = least

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.value.shape)

    def apply_op(self, op: Op, inputs: tuple[Any, ...], params: dict[str, Any]) -> Rounded:
        arrays = [x.value if isinstance(x, Rounded) else x for x in inputs]
        errors = [x.error if isinstance(x, Rounded) else np.zeros(np.shape(x)) for x in inputs]
        out = np.asarray(op.forward(*arrays, **params))
        if out.dtype.kind != "f" or op.constant or not out.size:
            return Rounded(out)
        error = _passed_on(op, out, arrays, errors, params)
        least = next(x.least for x in inputs if isinstance(x, Rounded))
        if least is not None and op.name not in _EXACT:
            error = error + _added(op, out, arrays, params) + least
        return Rounded(out, error, least)


def roundings(result: Tensor, off: Mapping[Tensor, float] | float = 0.0, least: float = _FLUSHED) -> Array:
    """How far each entry of a recorded tensor may be off, per unit roundoff, computed in double precision.

    off:    how many roundings of it a leaf may be off by: all, or each; those that are not named are given as they are
    least:  what an operation may be off by, however small its result: the underflow of the dtype that is judged
    """
    if result.op is None:
        return np.zeros(result.shape)
    graph, least = Graph(result), max(least, _FLUSHED)
    leaves = {}
    for t in graph.tensors:
        if t.op is None and t.dtype.kind == "f":
            data, much = t._data.astype(np.float64), off if isinstance(off, float) else off.get(t, 0.0)
            leaves[t] = Rounded(data, much * np.abs(np.where(np.isfinite(data), data, 0)), least)
    with np.errstate(all="ignore"):
        found = replay(graph, leaves)
    bound = found.error if isinstance(found, Rounded) else np.zeros(result.shape)
    return np.where(np.isnan(bound), np.inf, bound) + least


def reach(result: Tensor, moves: Mapping[Tensor, Array]) -> Array:
    """How far each entry of a recorded tensor would move if nothing cancelled: |J|·|v|, the product of all slopes' sizes.

    Twice the number of operations times this bounds, per unit roundoff, the error of a derivative along v that is carried
    forward; complex step carries it so.
    """
    if result.op is None:
        return np.zeros(result.shape)
    graph = Graph(result)
    leaves = {t: Rounded(t._data.astype(np.float64), np.abs(v), None) for t, v in moves.items() if t in graph.ids}
    with np.errstate(all="ignore"):
        found = replay(graph, leaves)
    bound = found.error if isinstance(found, Rounded) else np.zeros(result.shape)
    return 2 * len(graph.nodes) * np.where(np.isnan(bound), np.inf, bound)


def _times(slope: Any, error: Array) -> Array:
    """|slope|·error, nothing where nothing is off."""
    found: Array = np.where(error > 0, np.abs(slope) * error, 0.0)
    return found


def _passed_on(op: Op, out: Array, arrays: list[Any], errors: list[Array], params: dict[str, Any]) -> Array:
    """|∂out/∂in|·(what the operands are off by), summed over the operands."""
    total: Any = np.zeros(out.shape)
    familiar = op.elementwise or op.name in _BILINEAR | _LINEAR | _ALONG.keys() | {"prod"}
    if familiar and not any(np.any(e) for e in errors):
        return np.zeros(out.shape)
    if op.name in _BILINEAR:
        for i, e in enumerate(errors):
            total = total + op.forward(*(e if j == i else np.abs(a) for j, a in enumerate(arrays)), **params)
    elif op.name in _LINEAR:
        total = total + op.forward(*errors, **(params | ({"value": 0.0} if op.name == "pad" else {})))
    elif op.name in _ALONG:
        total = total + _ALONG[op.name](out, arrays[0], errors[0], params["axis"])
    elif op.name == "prod":
        total = total + np.sum(_times(_slope(op, 0, out, arrays, params), errors[0]), axis=params["axis"], keepdims=True)
    elif op.elementwise and all(rule is not None or not np.any(e) for rule, e in zip(op.pullbacks, errors)):
        for i, e in enumerate(errors):
            if np.any(e):
                total = total + _times(_slope(op, i, out, arrays, params), np.broadcast_to(e, out.shape))
    else:
        total = total + _shaken(op, out, arrays, errors, params)
    return np.asarray(total)


def _slope(op: Op, i: int, out: Array, arrays: list[Any], params: dict[str, Any]) -> Any:
    rule = op.pullbacks[i]
    assert rule is not None
    return rule(np.ones(out.shape), out, *arrays, **params)


def _shaken(op: Op, out: Array, arrays: list[Any], errors: list[Array], params: dict[str, Any]) -> Array:
    """What an operation that is a whole computation makes of its operands' errors and of one rounding of each: its answer with
    those moved either way, four times."""
    rng, unit = np.random.default_rng(0), float(np.finfo(np.float64).eps) / 2
    most: Any = 0.0
    for _ in range(4):
        moved = [
            a + rng.choice([-1.0, 1.0], np.shape(a)) * unit * (e + 2 * np.abs(a)) if np.asarray(a).dtype.kind == "f" else a
            for a, e in zip(arrays, errors)
        ]
        most = np.maximum(most, np.abs(op.forward(*moved, **params) - out) / unit)
    return np.full(out.shape, 4 * np.max(most, initial=0.0))


def _added(op: Op, out: Array, arrays: list[Any], params: dict[str, Any]) -> Any:
    """The operation's own rounding."""
    size = np.abs(out)
    if op.name in _BILINEAR:
        big, ones = op.forward(*map(np.abs, arrays), **params), op.forward(*(np.ones(np.shape(a)) for a in arrays), **params)
        return _depth(ones + 1) * big
    if op.name == "mean":
        count = arrays[0].size / max(1, out.size)
        return (_depth(count) + 1) * op.forward(np.abs(arrays[0]), **params)
    if op.name in _EXACT:
        return 0.0
    if op.name in _LINEAR:
        ones = op.forward(*(np.ones(np.shape(a)) for a in arrays), **params)
        return _depth(ones) * op.forward(*map(np.abs, arrays), **params)
    if op.name in ("softmax", "log_softmax", "logsumexp"):
        x, axis = arrays[0], params["axis"]
        far, n = np.abs(x - np.max(x, axis=axis, keepdims=True)), x.size / max(1, np.max(x, axis=axis, keepdims=True).size)
        if op.name == "logsumexp":
            return _FUNCTION * size + 2 * np.max(np.abs(x), axis=axis, keepdims=True) * (n > 1) + _depth(n)
        work = _FUNCTION + _depth(n)
        return size * (work + far) if op.name == "softmax" else size + 2 * far + work * (n > 1)
    if op.name == "prod":
        return arrays[0].size / max(1, out.size) * size
    if op.name in ("gelu", "gelu_tanh", "ndtr", "erf"):  # tails like exp(−x²), whose exponent is rounded, too
        return size * (_FUNCTION + arrays[0] ** 2)
    if op.name in _ARITHMETIC:
        return size
    if op.elementwise:
        return _FUNCTION * size
    return _OPAQUE * np.max(size, initial=0.0)


def _depth(count: Any) -> Any:
    """How many roundings a sum of so many terms amounts to."""
    return np.minimum(np.maximum(count - 1, 0), 4 * np.sqrt(np.abs(count)))


_ALONG: dict[str, Callable[[Array, Array, Array, Any], Any]] = {
    "softmax": lambda out, x, e, axis: out * (e + np.sum(_times(out, e), axis=axis, keepdims=True)),
    "log_softmax": lambda out, x, e, axis: e + np.sum(_times(np.exp(out), e), axis=axis, keepdims=True),
    "logsumexp": lambda out, x, e, axis: np.sum(_times(np.exp(x - out), e), axis=axis, keepdims=True),
}
