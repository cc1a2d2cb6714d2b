"""Functions entry by entry: the table's own, for users, and a few made of them.

Every operand may be a tensor, an array, nested lists or a number; the result is a tensor. Of two operands, numbers and
lists take the dtype of the other.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from . import primitives as op
from .arguments import as_tensor, beside, boolean, first, meeting, operand, ordered, public
from .errors import DTypeError, describe
from .op import Op
from .state import scope
from .tensor import Tensor

exp = public(op.exp, __name__, "eˣ.")
log = public(op.log, __name__, "The natural logarithm; −∞ at 0, NaN below.")
sqrt = public(op.sqrt, __name__, "√x; NaN below 0. At 0 the gradient is ∞.")
rsqrt = public(op.rsqrt, __name__, "1/√x.")
tanh = public(
    op.tanh,
    __name__,
    """The hyperbolic tangent.

The value is right relative to itself, the slope 1 − y² to a few ε of 1: where |x| is large it has the digits that y has beyond
the nines. (1/cosh²x has all, and NaN for its own slope from where cosh x is ∞.)""",
)
sigmoid = public(
    op.sigmoid,
    __name__,
    """1/(1 + e⁻ˣ), without overflow.

The value is right relative to itself; the slope y·(1 − y) also, for x ≤ 0, and to a few ε of 1 for x > 0. Where a confident
answer must keep its digits, ``logsigmoid`` and ``binary_cross_entropy_with_logits`` do.""",
)
log1p = public(op.log1p, __name__, "log(1 + x), to full precision near 0.")
expm1 = public(op.expm1, __name__, "eˣ − 1, to full precision near 0.")
sin = public(op.sin, __name__, "The sine.")
cos = public(op.cos, __name__, "The cosine.")
erf = public(op.erf, __name__, "The error function 2/√π·∫₀ˣ exp(−t²) dt.")
relu = public(op.relu, __name__, "max(x, 0); the gradient at 0 is 0.", order=True)
abs = public(op.abs, __name__, "|x|; the gradient at 0 is 0.")
maximum = public(
    op.maximum,
    __name__,
    "The larger of two, entry by entry; NaN where one is. Where they are equal, each gets half the gradient.",
    order=True,
)
minimum = public(
    op.minimum,
    __name__,
    "The smaller of two, entry by entry; NaN where one is. Where they are equal, each gets half the gradient.",
    order=True,
)


def pow(input: Any, exponent: Any) -> Tensor:
    """``input`` to the power of ``exponent``: each a tensor or a number.

    0⁰ is 1, and its gradients are 0. The gradient in the exponent is NaN for a negative base, which has none.
    """
    if isinstance(exponent, np.generic):
        exponent = exponent.item()
    if type(exponent) in (int, float, bool):
        x = as_tensor(input, "pow")
        return x.apply_op(op.pow, (x,), {"n": int(exponent) if type(exponent) is bool else exponent})
    b = exponent if isinstance(exponent, Tensor) else beside(exponent, as_tensor(input, "pow"), "pow", "exponent")
    a = operand(input, b, "pow", "input")
    if b.dtype.kind == "c" or getattr(a, "dtype", b.dtype).kind == "c":
        raise DTypeError(f"pow: {describe(a)} to the power of {describe(b)}: only real numbers. Take .real of its data first.")
    if b.dtype == np.float16 == getattr(a, "dtype", b.dtype):  # in half precision b − 1 may be another power's exponent
        a = a.astype(np.float32) if isinstance(a, Tensor) else a
        return b.apply_op(op.power, (a, b.astype(np.float32)), {}).astype(np.float16)
    return b.apply_op(op.power, (a, b), {})


def square(input: Any) -> Tensor:
    """x²."""
    return as_tensor(input, "square") ** 2


def where(condition: Any, input: Any, other: Any) -> Tensor:
    """``input`` where the condition is true, else ``other``; all three broadcast. Nothing flows to what was not taken."""
    c = as_tensor(condition, "where", "condition")
    if c.dtype.kind != "b":
        raise DTypeError(f"where: condition {describe(c)} is not of truth values. Ask a question: condition > 0.")
    if not isinstance(input, Tensor):
        input = operand(input, other, "where", "input") if isinstance(other, Tensor) else as_tensor(input, "where")
    if not isinstance(other, Tensor):
        other = operand(other, input, "where", "other") if isinstance(input, Tensor) else other
    return c.apply_op(op.where, (c, input, other), {})


@scope("masked fill")
def masked_fill(input: Any, mask: Any, value: Any) -> Tensor:
    """``value`` (a number, or a tensor of no axes) where the mask is true; both broadcast. The input's dtype stays."""
    x = as_tensor(input, "masked_fill")
    filled = operand(value, x, "masked_fill", "value")
    if getattr(filled, "shape", ()) != ():
        raise DTypeError(
            f"masked_fill: value {describe(filled)} has axes; give one number. where(mask, value, input) takes tensors."
        )
    if x.dtype.kind in "iu" and isinstance(filled, float):
        if filled != filled // 1:
            raise DTypeError(f"masked_fill: value={filled} does not fit into {describe(x)}. Cast first: input.astype('float64').")
        filled = int(filled)
    if isinstance(filled, complex) or getattr(getattr(filled, "dtype", x.dtype), "kind", "") == "c" != x.dtype.kind:
        raise DTypeError(f"masked_fill: value={describe(value)} does not fit into {describe(x)}; give a real number.")
    m = as_tensor(mask, "masked_fill", "mask")
    meeting("masked_fill", x, m)
    y: Tensor = op.where(Tensor(boolean(m, m, "masked_fill")), filled, x)
    return y if y.dtype == x.dtype else y.astype(x.dtype)


@scope("clamp")
def clamp(input: Any, min: Any = None, max: Any = None) -> Tensor:
    """``input`` kept between ``min`` and ``max`` (each a number or a tensor that broadcasts; None: no bound).

    At a bound the gradient passes to the input; beyond, to the bound. Where min > max the result is max; where a bound is NaN, NaN.
    """
    x = input if isinstance(input, Tensor) else first(input, (min, max), "clamp")
    if min is None and max is None:
        raise DTypeError(f"clamp: {describe(x)} without a bound; give min, max or both.")
    if min is not None:
        x = _bounded(min, x, "min", op.less)
    if max is not None:
        x = _bounded(max, x, "max", op.greater)
    return x


def _bounded(value: Any, x: Tensor, what: str, beyond: Op) -> Tensor:
    bound = operand(value, x, "clamp", what)
    meeting("clamp", x, bound)
    ordered("clamp", x, bound)
    y: Tensor = op.where(beyond(x, bound), bound, x)
    numbers = bound.data if isinstance(bound, Tensor) else bound
    none = np.asarray(numbers != numbers)
    return op.where(Tensor(none), bound, y) if none.any() else y


clip = clamp
