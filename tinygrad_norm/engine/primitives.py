"""The table of operations: what each computes, and the chain rule for each of its inputs.

Read a line as a textbook page: ``mul`` prints as ``a·b``; its value is ``np.multiply``; the cotangent
``g`` of its output becomes ``g·b`` for ``a`` and ``g·a`` for ``b``. The rules are written with
operators and with the ops of this table, so they hold for whatever flows through them.

What the rules leave to the engine: summing a result over the axes along which the input was
broadcast, and spreading a result that does not vary along an axis. Reductions keep their axes.

Choices at kinks are PyTorch's: relu'(0) = 0, abs'(0) = 0; a tie in maximum or minimum shares
half and half; a tie in a max over axes shares evenly.
"""

from __future__ import annotations

import copyreg
import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate
from typing import Any

import numpy as np

from . import bell, kernels, sliding, values
from .arrays import Array, sum_to, total
from .bell import DENSITY
from .errors import DTypeError
from .op import Every, Op, Together

# Rules below name these before their line in the table
abs: Op
astype: Op
broadcast_to: Op
concatenate: Op
conv2d_input: Op
conv2d_weight: Op
cos: Op
cumsum: Op
einsum: Op
expm1: Op
floor_divide: Op
fold: Op
getitem: Op
log: Op
ndtr: Op
power: Op
prod: Op
reshape: Op
scatter: Op
sigmoid: Op
sign: Op
sum: Op
transpose: Op
where: Op

# Values and slopes that need more than a name ---------------------------------------------------------


def _cast(x: Array, dtype: Any) -> Array:
    return x if x.dtype.kind == "c" else x.astype(dtype)  # complex step goes through a cast unharmed


def _power_rule(g: Any, out: Any, x: Any, n: float) -> Any:
    """g·n·xⁿ⁻¹, with the exponents spelled out for which xⁿ⁻¹ is no number at 0 or no work at all.

    From left to right, so that no step is further from 1 than the result or the value xⁿ: xⁿ⁻¹ may leave the dtype's range
    where g·xⁿ⁻¹ does not.
    """
    if n == 0:
        return g * 0.0
    if n == 1:
        return g
    if n < 0:
        return n * g * x**n / x
    if n < 3 or n % 1:
        return n * g * (x if n == 2 else x ** (n - 1))
    some, rest = n // 2, n - 1 - n // 2
    return n * g * (x if some == 1 else x**some) * (x if rest == 1 else x**rest)


def _gelu_rule(g: Any, out: Any, x: Any) -> Any:
    """Φ(x) + x·φ(x)."""
    return g * (ndtr(x) + x * exp(x * x * -0.5) * DENSITY)


def _gelu_tanh_rule(g: Any, out: Any, x: Any) -> Any:
    """s + x·s·(1 − s)·u′, for s = σ(u) and u = a·x + b·x³."""
    a, b = bell.GELU_TANH
    s = sigmoid(x * (x * x * b + a))
    slope = x * s * (1 - s)
    return g * (s + slope * a + slope * x * x * (3 * b))


def _as_fine(x: Any, out: Any) -> Any:
    """In the dtype that the power was computed in: half of a number would be lost in half precision."""
    return x if isinstance(x, (int, float)) or x.dtype == out.dtype else astype(x, dtype=out.dtype)


def _base_rule(g: Any, out: Any, a: Any, b: Any) -> Any:
    """g·b·aᵇ⁻¹; 0 where a and b are both 0, though aᵇ⁻¹ is not."""
    b = _as_fine(b, out)
    return g * b * power(where(b == 0, where(abs(a) > 0, a, 1.0), a), b - 1)


def _exponent_rule(g: Any, out: Any, a: Any, b: Any) -> Any:
    """g·aᵇ·log(a); 0 where a is 0 and b is not negative. A negative base has no slope in b: NaN."""
    if not isinstance(a, (int, float)):
        a = _as_fine(a, out)
        return g * out * log(where(a == 0, where(out <= 1, 1.0, a), a))
    if a == 0:
        return g * where(out <= 1, 0.0, -math.inf)
    return g * out * (math.log(a) if a > 0 else math.nan)


def _tie(g: Any, mine: Any, other: Any, loses: Any) -> Any:
    return where(mine == other, g * 0.5, where(loses, 0.0, g))


def _max_rule(g: Any, out: Any, x: Any, axis: tuple[int, ...]) -> Any:
    best = astype(x == out, dtype=out.dtype)
    return g * best / sum(best, axis=axis)


def _pieces(g: Any, out: Any, *xs: Any, axis: int, wanted: Sequence[int]) -> list[Any]:
    """Of several inputs each its part of g, the places counted once for all."""
    g = g if g.shape == out.shape else broadcast_to(g, shape=out.shape)
    sizes = [x.shape[axis] for x in xs]
    starts = [0, *accumulate(sizes)]
    return [getitem(g, index=(*(slice(None),) * axis, slice(starts[i], starts[i] + sizes[i]))) for i in wanted]


def _others(x: Any, axis: tuple[int, ...]) -> Any:
    """For each entry, the product of all the others: right where entries are 0, at every order.

    Entries are paired; what is not in the other's pair is known by asking the same of the pairs.
    """
    first, *more = axis
    if more:
        return _others(x, (first,)) * _others(prod(x, axis=(first,)), tuple(more))
    n = x.shape[first]
    if n < 2:
        return x**0
    half = n // 2

    def part(of: Any, start: int, stop: int) -> Any:
        return getitem(of, index=(slice(None),) * first + (slice(start, stop),))

    a, b = part(x, 0, half), part(x, half, 2 * half)
    others = _others(concatenate(a * b, part(x, 2 * half, n), axis=first), axis)
    of_pairs = part(others, 0, half)
    return concatenate(of_pairs * b, of_pairs * a, part(others, half, n - half), axis=first)


def _count(x: Any, axis: tuple[int, ...]) -> Any:
    """How many entries a reduction reduces; for symbols, the product of its axes' sizes."""
    shape = x.shape
    return shape[axis[0]] if len(axis) == 1 else math.prod([shape[a] for a in axis])


def _einsum_rule(g: Any, out: Any, *xs: Any, equation: str, position: int) -> Any:
    """The cotangent takes the operand's place: of ``ij,jk->ik``, the first gets ``ik,jk->ij``."""
    left, result = equation.split("->")
    terms = left.split(",")
    mine, terms[position] = terms[position], result
    known = [c for c in mine if any(c in term for term in terms)]
    share = einsum(*xs[:position], g, *xs[position + 1 :], equation=f"{','.join(terms)}->{''.join(known)}")
    sizes = dict(zip(known, share.shape))
    return share if len(known) == len(mine) else reshape(share, shape=tuple(sizes.get(c, 1) for c in mine))


def _swap_last(x: Any) -> Any:
    n = len(x.shape)
    return transpose(x, axes=(*range(n - 2), n - 1, n - 2))


@lru_cache(maxsize=256)
def _inverse(axes: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(sorted(range(len(axes)), key=axes.__getitem__))


# fmt: off
# The table ---------------------------------------------------------------- pullbacks, one per input --

# Arithmetic
add = Op("add", "{0} + {1}", np.add,         (lambda g, out, a, b: g,
                                                            lambda g, out, a, b: g), elementwise=True, kernel=kernels.add)
sub = Op("sub", "{0} − {1}", np.subtract,    (lambda g, out, a, b: g,
                                                            lambda g, out, a, b: -g), elementwise=True, kernel=kernels.sub)
mul = Op("mul", "{0}·{1}", np.multiply,      (lambda g, out, a, b: g * b,
                                                            lambda g, out, a, b: g * a), elementwise=True, kernel=kernels.mul)
div = Op("div", "{0}/{1}", np.true_divide,   (lambda g, out, a, b: g / b,
                                                            lambda g, out, a, b: -g * out / b), elementwise=True, kernel=kernels.div)
remainder = Op("remainder", "{0} mod {1}", values.whole_division(np.remainder), (lambda g, out, a, b: g,
                                                            lambda g, out, a, b: -g * floor_divide(a, b)), elementwise=True, smooth=False)
neg = Op("neg", "−{0}", np.negative,                       (lambda g, out, x: -g,), elementwise=True)
pow = Op("pow", "{0}^{n}", values.power,                  (_power_rule,), elementwise=True)
power = Op("power", "{0}^{1}", np.power,     (_base_rule, _exponent_rule), elementwise=True)

# Functions
exp     = Op("exp", "exp({0})", np.exp,       (lambda g, out, x: g * out,), elementwise=True)
log     = Op("log", "log({0})", np.log,       (lambda g, out, x: g / x,), elementwise=True)
sqrt    = Op("sqrt", "sqrt({0})", np.sqrt,    (lambda g, out, x: g * 0.5 / out,), elementwise=True)
rsqrt   = Op("rsqrt", "rsqrt({0})", lambda x: 1 / np.sqrt(x),
                                              (lambda g, out, x: g * (-0.5 * out) * out * out,), elementwise=True)
tanh    = Op("tanh", "tanh({0})", np.tanh,    (lambda g, out, x: g * (1 - out**2),), elementwise=True)
sigmoid = Op("sigmoid", "sigmoid({0})", values.sigmoid,
                                              (lambda g, out, x: g * out * (1 - out),), elementwise=True)
softplus = Op("softplus", "log(1 + exp({0}))", values.softplus,
                                              (lambda g, out, x: g * sigmoid(x),), elementwise=True)
log1p   = Op("log1p", "log(1 + {0})", np.log1p, (lambda g, out, x: g / (1 + x),), elementwise=True)
expm1   = Op("expm1", "(exp({0}) − 1)", np.expm1, (lambda g, out, x: g * exp(x),), elementwise=True)
sin     = Op("sin", "sin({0})", np.sin,       (lambda g, out, x: g * cos(x),), elementwise=True)
cos     = Op("cos", "cos({0})", np.cos,       (lambda g, out, x: -g * sin(x),), elementwise=True)
erf     = Op("erf", "erf({0})", bell.erf,   (lambda g, out, x: g * (2 / math.sqrt(math.pi)) * exp(-(x**2)),), elementwise=True)

ndtr    = Op("ndtr", "Φ({0})", bell.ndtr,   (lambda g, out, x: g * exp(x * x * -0.5) * DENSITY,), elementwise=True)
gelu    = Op("gelu", "gelu({0})", bell.gelu, (_gelu_rule,), elementwise=True, kernel=kernels.in_pieces(_gelu_rule, bell.gelu_slope))
gelu_tanh = Op("gelu_tanh", "gelu({0})", bell.gelu_tanh,
                                              (_gelu_tanh_rule,), elementwise=True, kernel=kernels.in_pieces(_gelu_tanh_rule))

# Kinks: complex step may not cross them
relu    = Op("relu", "relu({0})", values.relu,
                                              (lambda g, out, x: where(x <= 0, 0.0, g),), elementwise=True, smooth=False)
abs     = Op("abs", "|{0}|", np.abs,          (lambda g, out, x: g * sign(x),), elementwise=True, smooth=False)
maximum = Op("maximum", "max({0}, {1})", np.maximum,
                                              (lambda g, out, a, b: _tie(g, a, b, a < b),
                                               lambda g, out, a, b: _tie(g, b, a, b < a)), elementwise=True, smooth=False)
minimum = Op("minimum", "min({0}, {1})", np.minimum,
                                              (lambda g, out, a, b: _tie(g, a, b, a > b),
                                               lambda g, out, a, b: _tie(g, b, a, b > a)), elementwise=True, smooth=False)
where   = Op("where", "{1} if {0} else {2}", values.where,
                                              (None,
                                               lambda g, out, c, a, b: where(c, g, 0.0),
                                               lambda g, out, c, a, b: where(c, 0.0, g)), elementwise=True)

# Reductions
sum  = Op("sum", "sum({0})", total,           (lambda g, out, x, axis: g,))
mean = Op("mean", "mean({0})", values.mean,         (lambda g, out, x, axis: g * (1 / (_count(x, axis) or 1)),))
max  = Op("max", "max({0})", lambda x, axis: np.max(x, axis=axis, keepdims=True), (_max_rule,), smooth=False)
prod = Op("prod", "prod({0})", values.prod,   (lambda g, out, x, axis: g * _others(x, axis),))

# Along axes
softmax     = Op("softmax", "softmax({0})", values.softmax,
                                              (lambda g, out, x, axis: out * (g - sum(g * out, axis=axis)),))
log_softmax = Op("log_softmax", "log_softmax({0})", values.log_softmax,
                                              (lambda g, out, x, axis: exp(out) * (g - sum(g, axis=axis)) - g * expm1(out),))
logsumexp   = Op("logsumexp", "logsumexp({0})", values.logsumexp,
                                              (lambda g, out, x, axis: g * exp(x - out),))
cumsum      = Op("cumsum", "cumsum({0})", values.cumsum,
                                              (lambda g, out, x, axis, reverse: cumsum(g, axis=axis, reverse=not reverse),))

# Products; vectors arrive at matmul as matrices, and at einsum every axis of an operand has a name of its own
matmul = Op("matmul", "{0} @ {1}", values.matmul,          (lambda g, out, a, b: g @ _swap_last(b),
                                                            lambda g, out, a, b: _swap_last(a) @ g), kernel=kernels.matmul)
einsum = Op("einsum", "einsum({0}, …; {equation})", values.einsum, Every(_einsum_rule))
conv2d        = Op("conv2d", "conv({0}, {1})", sliding.conv2d,
                                              (lambda g, out, x, w, **how: conv2d_input(g, w, shape=x.shape[2:], **how),
                                               lambda g, out, x, w, **how: conv2d_weight(g, x, size=w.shape[2:], **how)))
conv2d_input  = Op("conv2d_input", "conv_input({0}, {1})", sliding.conv2d_input,
                                              (lambda g, out, y, w, shape, **how: conv2d(g, w, **how),
                                               lambda g, out, y, w, shape, **how: conv2d_weight(y, g, size=w.shape[2:], **how)))
conv2d_weight = Op("conv2d_weight", "conv_weight({0}, {1})", sliding.conv2d_weight,
                                              (lambda g, out, y, x, size, **how: conv2d(x, g, **how),
                                               lambda g, out, y, x, size, **how: conv2d_input(y, g, shape=x.shape[2:], **how)))

# Form
reshape      = Op("reshape", "reshape({0})", lambda x, shape: x.reshape(shape),
                                              (lambda g, out, x, shape: reshape(g, shape=x.shape),))
transpose    = Op("transpose", "transpose({0})", lambda x, axes: x.transpose(axes),
                                              (lambda g, out, x, axes: transpose(g, axes=_inverse(axes)),))
broadcast_to = Op("broadcast_to", "spread({0})", np.broadcast_to, (lambda g, out, x, shape: g,))
getitem      = Op("getitem", "{0}[…]", lambda x, index: x[index],
                                              (lambda g, out, x, index: scatter(g, index=index, shape=x.shape),))
scatter      = Op("scatter", "scatter({0})", values.scatter,
                                              (lambda g, out, x, index, shape: getitem(g, index=index),))
concatenate  = Op("concatenate", "concatenate({0}, …)", lambda *xs, axis: np.concatenate(xs, axis), Together(_pieces))
astype       = Op("astype", "cast({0})", _cast, (lambda g, out, x, dtype: g,), elementwise=True)
pad          = Op("pad", "pad({0})", values.pad,
                                              (lambda g, out, x, width, value: getitem(g, index=values.inside(width, x.shape)),))
windows      = Op("windows", "windows({0})", sliding.windows,
                                              (lambda g, out, x, size, stride, dilation: fold(
                                                  g, size=size, stride=stride, dilation=dilation, shape=x.shape[len(x.shape) - len(size):]),))
fold         = Op("fold", "fold({0})", sliding.fold,
                                              (lambda g, out, x, size, stride, dilation, shape: windows(
                                                  g, size=size, stride=stride, dilation=dilation),))
unbroadcast  = Op("unbroadcast", "Σ({0})", sum_to, (lambda g, out, x, shape: broadcast_to(g, shape=x.shape),))

# Questions: nothing flows through an answer
sign          = Op("sign", "sign({0})", np.sign, (None,), elementwise=True)
greater       = Op("greater", "{0} > {1}", np.greater, (None, None), elementwise=True)
greater_equal = Op("greater_equal", "{0} ≥ {1}", np.greater_equal, (None, None), elementwise=True)
less          = Op("less", "{0} < {1}", np.less, (None, None), elementwise=True)
less_equal    = Op("less_equal", "{0} ≤ {1}", np.less_equal, (None, None), elementwise=True)
floor_divide  = Op("floor_divide", "⌊{0}/{1}⌋", values.whole_division(np.floor_divide), (None, None), elementwise=True)
equal         = Op("equal", "{0} = {1}", np.equal, (None, None), elementwise=True)
not_equal     = Op("not_equal", "{0} ≠ {1}", np.not_equal, (None, None), elementwise=True)
# fmt: on

TABLE: dict[str, Op] = {value.name: value for value in list(globals().values()) if isinstance(value, Op)}
"""Every primitive by name."""


def _named(name: str) -> Op:
    return TABLE[name]


def _by_name(op: Op) -> Any:
    """How an op is pickled: one of the table by its name, another not at all."""
    if TABLE.get(op.name) is not op:
        raise DTypeError(f"pickle: {op!r} is not of the table, and its rules are not values. Pickle what is computed instead.")
    return _named, (op.name,)


copyreg.pickle(Op, _by_name)
