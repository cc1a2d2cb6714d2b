"""Functions made of the table's ops: no backward rule stands here, the recorded parts know theirs.

Names, argument order and defaults are PyTorch's. Every input may be a tensor, an array or nested lists; the result
is a tensor of the input's dtype. float16 is computed in float32 where a sum or a square could overflow. At kinks the
gradient is PyTorch's, and each docstring says which one that is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import wraps
from itertools import pairwise
from typing import Any, NamedTuple, TypeVar

import numpy as np

from . import primitives as op
from .arrays import Array
from .errors import DTypeError, OptionError, ShapeError, describe
from .op import Op
from .shapes import canonical_axes
from .tensor import Tensor, tensor

F = TypeVar("F", bound=Callable[..., Tensor])


class Sorted(NamedTuple):
    """What ``sort`` and ``topk`` give: the values, and where along the axis each one stood."""

    values: Tensor
    indices: Tensor


# Arguments ----------------------------------------------------------------------------------------------


def as_tensor(value: Any) -> Tensor:
    return value if isinstance(value, Tensor) else tensor(value)


def floating(value: Any, name: str, what: str = "input") -> Tensor:
    """The operand as a tensor; ``DTypeError`` unless it is floating point (or complex)."""
    x = as_tensor(value)
    if x.dtype.kind not in "fc":
        raise DTypeError(f"{name}: {what} {describe(x)} is not floating point. Cast first: {what}.astype('float64').")
    return x


def one_axis(dim: Any, x: Tensor, name: str) -> int:
    axes = canonical_axes(dim, x.ndim, name)
    if len(axes) != 1 or dim is None:
        raise ShapeError(f"{name}: dim={dim!r} for {describe(x)}: it goes along one axis; give its number.")
    return axes[0]


def in_float32(function: F) -> F:
    """A function whose float16 operands are cast to float32, and its result back."""

    @wraps(function)
    def wide(input: Any, *args: Any, **kwargs: Any) -> Tensor:
        x = floating(input, function.__name__)
        if x.dtype != np.float16:
            return function(x, *args, **kwargs)
        args = tuple(a.astype(np.float32) if isinstance(a, Tensor) and a.dtype == np.float16 else a for a in args)
        return function(x.astype(np.float32), *args, **kwargs).astype(np.float16)

    return wide  # type: ignore[return-value]


def reduced(reduction: Op, x: Tensor, dim: Any, keepdim: bool) -> Tensor:
    """An op that keeps its axes as 1, over the axes as a user names them."""
    axes = canonical_axes(dim, x.ndim, reduction.name)
    return drop(reduction(x, axis=axes) if axes else reduction(x.reshape(1), axis=(0,)).reshape(x.shape), axes, keepdim)


def drop(x: Tensor, axes: Sequence[int], keepdim: bool) -> Tensor:
    return x if keepdim or not axes else x.reshape(tuple(n for a, n in enumerate(x.shape) if a not in axes))


def _root(x: Tensor, n: float = 2) -> Tensor:
    """ⁿ√x with the gradient 0 where x is 0."""
    zero = x == 0
    some = op.where(zero, 1.0, x)
    return op.where(zero, 0.0, some.sqrt() if n == 2 else some ** (1 / n))  # type: ignore[no-any-return]


def _in_range(function: Callable[[Tensor], Tensor], x: Tensor, axes: tuple[int, ...], p: float = 2) -> Tensor:
    """A length of x over ``axes``, ⁿ√ of a sum of nth powers, where the powers leave the dtype's range as well.

    There x is divided by a power of two first, which costs no digit; elsewhere that is not on the record.
    """
    largest = np.max(np.abs(x.data), axes, keepdims=True, initial=0)
    kind, count = np.finfo(x.dtype), math.prod(x.shape[a] for a in axes)
    near = 1 / p if p == 2 else 1 / (8 * p)  # the rounding of another exponent shows long before
    low, high = (float(kind.tiny) / float(kind.eps)) ** near, (float(kind.max) / max(count, 1)) ** near
    outside = (largest > 0) & np.isfinite(largest) & ((largest < low) | (largest > high))
    if not outside.any():
        return function(x)
    scale = np.where(outside, np.ldexp(1.0, np.frexp(largest)[1] - 1), 1).astype(largest.dtype)
    length = function(x / scale)
    return length * scale.reshape(length.shape)


# Entry by entry -----------------------------------------------------------------------------------------


def clamp(input: Any, min: Any = None, max: Any = None) -> Tensor:
    """``input`` kept between ``min`` and ``max`` (each a number or a tensor that broadcasts; None: no bound).

    At a bound the gradient passes to the input; beyond, to the bound. Where min > max the result is max.
    """
    x = as_tensor(input)
    if min is None and max is None:
        raise DTypeError(f"clamp: {describe(x)} without a bound; give min, max or both.")
    if min is not None:
        x = op.where(x < min, min, x)
    return x if max is None else op.where(x > max, max, x)


clip = clamp


def gelu(input: Any, approximate: str = "none") -> Tensor:
    """x·Φ(x), Φ the normal distribution: ½x·(1 + erf(x/√2)), or with ``"tanh"`` ½x·(1 + tanh(√(2/π)·(x + 0.044715x³))).

    Source: Hendrycks, Gimpel 2016, "Gaussian Error Linear Units" (arXiv:1606.08415).
    """
    if approximate not in ("none", "tanh"):
        raise OptionError(f'gelu: approximate={approximate!r}; it is "none" or "tanh".')
    x = floating(input, "gelu")
    return op.gelu(x) if approximate == "none" else op.gelu_tanh(x)  # type: ignore[no-any-return]


def silu(input: Any) -> Tensor:
    """x·sigmoid(x), also called swish."""
    x = floating(input, "silu")
    return x * x.sigmoid()


@in_float32
def softplus(input: Any, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """log(1 + exp(βx))/β; the input itself where βx > ``threshold``, with the gradient 1."""
    z = input * beta
    return op.where(z > threshold, input, op.softplus(z) / beta)  # type: ignore[no-any-return]


# Over axes ----------------------------------------------------------------------------------------------


def softmax(input: Any, dim: Any) -> Tensor:
    """exp(x)/Σexp(x) along ``dim`` (an axis, or several together); stable for any size of x."""
    x = floating(input, "softmax")
    return op.softmax(x, axis=canonical_axes(dim, x.ndim, "softmax"))  # type: ignore[no-any-return]


def log_softmax(input: Any, dim: Any) -> Tensor:
    """x − log Σexp(x) along ``dim``; stable for any size of x."""
    x = floating(input, "log_softmax")
    return op.log_softmax(x, axis=canonical_axes(dim, x.ndim, "log_softmax"))  # type: ignore[no-any-return]


def logsumexp(input: Any, dim: Any, keepdim: bool = False) -> Tensor:
    """log Σexp(x) over ``dim``; −∞ where every entry is −∞."""
    return reduced(op.logsumexp, floating(input, "logsumexp"), dim, keepdim)


def prod(input: Any, dim: Any = None, keepdim: bool = False) -> Tensor:
    """The product over ``dim``, or over all axes. The gradient is the product of the others, right where entries are 0."""
    return reduced(op.prod, as_tensor(input), dim, keepdim)


def cumsum(input: Any, dim: int) -> Tensor:
    """Running sums along ``dim``."""
    x = as_tensor(input)
    return op.cumsum(x, axis=one_axis(dim, x, "cumsum"), reverse=False)  # type: ignore[no-any-return]


@in_float32
def var(input: Any, dim: Any = None, *, correction: float = 1, keepdim: bool = False) -> Tensor:
    """Σ(x − mean)²/(N − ``correction``) over ``dim``, in two passes. ``correction=0`` is the biased one of normalizations.

    Raises ``ShapeError`` where N ≤ ``correction``: nothing is left to divide by.
    """
    axes = canonical_axes(dim, input.ndim, "var")
    count = math.prod(input.shape[a] for a in axes)
    if count <= correction:
        raise ShapeError(
            f"var: {describe(input)} has {count} {'entry' if count == 1 else 'entries'} over dim={dim} and correction={correction:g}; "
            f"it divides by {count} − {correction:g}. Take more entries, or correction=0 for the biased variance."
        )
    centred = input - input.mean(axes, keepdims=True)
    return (centred**2).sum(axes, keepdims=keepdim) / (count - correction)  # type: ignore[no-any-return]


@in_float32
def std(input: Any, dim: Any = None, *, correction: float = 1, keepdim: bool = False) -> Tensor:
    """√var; the gradient is 0 where the deviation is 0. See ``var``; of large or small numbers it is right where var overflows."""
    axes = canonical_axes(dim, input.ndim, "std")
    return _in_range(lambda x: _root(var(x, dim, correction=correction, keepdim=keepdim)), input, axes)


@in_float32
def norm(input: Any, p: float | str = 2, dim: Any = None, keepdim: bool = False) -> Tensor:
    """(Σ|x|ᵖ)^(1/p) over ``dim``, or over all axes; p > 0, ``inf`` the largest |x|, ``"fro"`` is 2.

    The gradient is 0 at 0; for ``inf`` the largest entries share it evenly.
    """
    p = 2 if p == "fro" else p
    if not isinstance(p, (int, float)) or not p > 0:
        raise ShapeError(f"norm: p={p!r} for {describe(input)}; p is a number above 0, inf, or 'fro'.")
    axes = canonical_axes(dim, input.ndim, "norm")
    size = op.abs(input)
    if p == math.inf:
        return size.max(axes, keepdims=keepdim)  # type: ignore[no-any-return]
    if p == 1:
        return size.sum(axes, keepdims=keepdim)  # type: ignore[no-any-return]
    if p == 2:
        return _in_range(lambda x: _root((x**2).sum(axes, keepdims=keepdim)), input, axes)

    def length(size: Tensor) -> Tensor:
        powers = op.where(size == 0, 0.0, op.where(size == 0, 1.0, size) ** p)  # a power below 2 has no slope of a slope at 0
        return _root(powers.sum(axes, keepdims=keepdim), p)

    return _in_range(length, size, axes, p)


# Form ---------------------------------------------------------------------------------------------------


def stack(tensors: Sequence[Any], dim: int = 0) -> Tensor:
    """Tensors of one shape joined along a new axis."""
    parts = [as_tensor(t) for t in tensors]
    if not parts:
        raise ShapeError("stack: nothing to join; give at least one tensor.")
    for t in parts:
        if t.shape != parts[0].shape:
            raise ShapeError(
                f"stack: {describe(parts[0])} and {describe(t)}: all shapes must be equal. concatenate joins others."
            )
    (axis,) = canonical_axes(dim, parts[0].ndim + 1, "stack")
    shape = (*parts[0].shape[:axis], 1, *parts[0].shape[axis:])
    return op.concatenate(*(t.reshape(shape) for t in parts), axis=axis)  # type: ignore[no-any-return]


def split(tensor: Any, split_size_or_sections: int | Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
    """Pieces along ``dim``: of one size (the last may be smaller), or of the sizes given."""
    x = as_tensor(tensor)
    axis = one_axis(dim, x, "split")
    n = x.shape[axis]
    if isinstance(split_size_or_sections, (int, np.integer)):
        size = int(split_size_or_sections)
        if size < 1:
            raise ShapeError(f"split: pieces of size {size} of {describe(x)}; the size must be at least 1.")
        sizes = [min(size, n - start) for start in range(0, n, size)] or [0]
    else:
        sizes = [int(size) for size in split_size_or_sections]
        if sum(sizes) != n or min(sizes, default=0) < 0:
            raise ShapeError(f"split: pieces of sizes {sizes} of {describe(x)}: along dim {axis} they must add up to {n}.")
    ends = np.cumsum([0, *sizes]).tolist()
    return tuple(x[(slice(None),) * axis + (slice(i, j),)] for i, j in pairwise(ends))


def flip(input: Any, dims: Any) -> Tensor:
    """The order along ``dims`` reversed."""
    x = as_tensor(input)
    axes = canonical_axes(dims, x.ndim, "flip")
    return x[tuple(slice(None, None, -1) if a in axes else slice(None) for a in range(x.ndim))]


def pad(input: Any, pad: Sequence[int], mode: str = "constant", value: float = 0.0) -> Tensor:
    """``value`` around the input. ``pad``: (before, after) of the last axis, then of the one before it, …; negative crops."""
    x = as_tensor(input)
    if mode != "constant":
        raise OptionError(f'pad: mode={mode!r} for {describe(x)}; only "constant" is known.')
    if len(pad) % 2 or len(pad) > 2 * x.ndim:
        raise ShapeError(
            f"pad: {tuple(pad)} for {describe(x)}: two numbers for each axis, from the last on, at most {2 * x.ndim}."
        )
    if x.dtype.kind in "iu" and value != int(value):
        raise DTypeError(f"pad: value={value} does not fit into {describe(x)}. Cast first: input.astype('float64').")
    width = [(0, 0)] * (x.ndim - len(pad) // 2) + [(int(pad[i]), int(pad[i + 1])) for i in range(len(pad) - 2, -1, -2)]
    if any(before + n + after < 0 for (before, after), n in zip(width, x.shape)):
        raise ShapeError(f"pad: {tuple(pad)} crops more than there is of {describe(x)}.")
    if any(n < 0 for ends in width for n in ends):
        x = x[tuple(slice(max(0, -before), n - max(0, -after)) for (before, after), n in zip(width, x.shape))]
    width = [(max(0, before), max(0, after)) for before, after in width]
    return op.pad(x, width=tuple(width), value=value)  # type: ignore[no-any-return]


# Places -------------------------------------------------------------------------------------------------


def integers(value: Any, name: str, what: str, below: int) -> Array:
    """Indices as an array, each of them 0 … below − 1."""
    index = value.data if isinstance(value, Tensor) else np.asarray(value)
    if index.size == 0 and not hasattr(value, "dtype"):
        index = index.astype(np.intp)  # an empty list has no dtype of its own
    if index.dtype.kind not in "iu":
        raise DTypeError(f"{name}: {what} {describe(index)} must be integers. Cast first: {what}.astype('int64').")
    if index.size and not 0 <= index.min() <= index.max() < below:
        wrong = int(index.min() if index.min() < 0 else index.max())
        raise ShapeError(f"{name}: {what} {describe(index)} has {wrong}; an index must be between 0 and {below - 1}.")
    return index


def take_along_dim(input: Any, indices: Any, dim: int) -> Tensor:
    """The entries at ``indices`` along ``dim``; the other axes of both broadcast. NumPy's take_along_axis.

    An entry taken twice receives both cotangents.
    """
    x = as_tensor(input)
    axis = one_axis(dim, x, "take_along_dim")
    index = integers(indices, "take_along_dim", "indices", x.shape[axis])
    others = tuple(1 if a == axis else n for a, n in enumerate(x.shape))
    if index.ndim != x.ndim or any(1 != m != n != 1 for a, (n, m) in enumerate(zip(x.shape, index.shape)) if a != axis):
        raise ShapeError(
            f"take_along_dim: indices {describe(index)} for {describe(x)}: but for dim {axis}, sizes must be equal or 1. "
            f"Give indices of shape {(*x.shape[:axis], 'any', *x.shape[axis + 1 :])}."
        )
    places: list[Any] = list(np.indices(np.broadcast_shapes(others, index.shape), sparse=True))
    places = [index if a == axis else (i if n > 1 else i * 0) for a, (i, n) in enumerate(zip(places, x.shape))]
    return x[tuple(places)]


def _order(x: Array, axis: int, descending: bool) -> Any:
    """Equal entries keep their order; NaN counts as the largest."""
    if not descending:
        return np.argsort(x, axis, kind="stable")
    return x.shape[axis] - 1 - np.flip(np.argsort(np.flip(x, axis), axis, kind="stable"), axis)


def sort(input: Any, dim: int = -1, descending: bool = False) -> Sorted:
    """The entries in order along ``dim``, and their indices. Equal entries keep their order; NaN counts as the largest."""
    x = as_tensor(input)
    axis = one_axis(dim, x, "sort")
    order = _order(x.data, axis, descending)
    return Sorted(take_along_dim(x, order, axis), Tensor(order))


def topk(input: Any, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Sorted:
    """The ``k`` largest (or smallest) entries along ``dim``, in order, and their indices. Of equal entries the first come first."""
    x = as_tensor(input)
    axis = one_axis(dim, x, "topk")
    if not 0 <= k <= x.shape[axis]:
        raise ShapeError(f"topk: k={k} of {describe(x)}: along dim {axis} there are {x.shape[axis]}; k is between 0 and that.")
    order = _order(x.data, axis, largest)[(slice(None),) * axis + (slice(0, k),)]
    return Sorted(take_along_dim(x, order, axis), Tensor(order))


# Products -----------------------------------------------------------------------------------------------


def einsum(equation: str, *operands: Any) -> Tensor:
    """The sum of products over named axes: ``einsum("ij,jk->ik", a, b)`` is ``a @ b``.

    As NumPy's and PyTorch's: an index that is not in the result is summed; one named twice in a term takes the
    diagonal; ``...`` stands for leading axes, which broadcast; without ``->`` the result has the indices named once,
    in alphabetical order. Operands are multiplied from the left. Raises ``ShapeError`` for an equation that does not fit.
    """
    xs = [as_tensor(x) for x in operands]
    explicit = _explicit(equation, xs)
    left, result = explicit.split("->")
    terms = left.split(",")
    for i, term in enumerate(terms):
        for c in dict.fromkeys(c for c in term if term.count(c) > 1):
            xs[i], term = _diagonal(xs[i], term, c)
        terms[i] = term
    return op.einsum(*xs, equation=f"{','.join(terms)}->{result}")  # type: ignore[no-any-return]


def _diagonal(x: Tensor, term: str, c: str) -> tuple[Tensor, str]:
    first = [i for i, d in enumerate(term) if d == c]
    rest = [i for i, d in enumerate(term) if d != c]
    steps = np.arange(x.shape[first[0]])
    return x.transpose(*first, *rest)[(steps,) * len(first)], c + "".join(term[i] for i in rest)


def _explicit(equation: Any, xs: Sequence[Tensor]) -> str:
    """The equation with a result and with letters for ``...``, checked against the operands."""
    what = " and ".join(describe(x) for x in xs)

    def refuse(why: str) -> ShapeError:
        return ShapeError(f"einsum: {equation!r} for {what}: {why}")

    if not isinstance(equation, str):
        raise DTypeError(f"einsum: the equation is {type(equation).__name__}; write it as text first: einsum('ij,jk->ik', a, b).")
    left, arrow, result = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    for term in (*terms, result):
        letters = term.replace("...", "", 1)
        if not all(c.isascii() and c.isalpha() for c in letters):
            raise refuse(f"the term {term!r} may hold letters and one '...'.")
    if len(terms) != len(xs):
        raise refuse(f"{len(terms)} terms for {len(xs)} operands; give one term for each, with commas between.")
    free = [c for c in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz" if c not in equation]
    spans = [x.ndim - len(term.replace("...", "")) if "..." in term else 0 for x, term in zip(xs, terms)]
    dots = free[: max(spans, default=0)]
    named = sorted(c for c in set(left) if c.isalpha() and left.count(c) == 1)
    result = result if arrow else ("..." if "..." in left else "") + "".join(named)
    terms = [term.replace("...", "".join(dots[len(dots) - max(0, n) :])) for term, n in zip(terms, spans)]
    result = result.replace("...", "".join(dots))
    sizes: dict[str, int] = {}
    for term, x in zip(terms, xs):
        if len(term) != x.ndim:
            raise refuse(f"the term {term!r} names {len(term)} axes, {describe(x)} has {x.ndim}.")
        for c, n in zip(term, x.shape):
            if sizes.setdefault(c, n) != n and (1 not in (n, sizes[c]) or term.count(c) > 1):
                raise refuse(f"the index {c!r} is {sizes[c]} and {n}; the sizes of one index must be equal (or 1).")
            sizes[c] = max(n, sizes[c]) if n and sizes[c] else 0
    for c in result:
        if c not in sizes:
            raise refuse(f"the result's index {c!r} is in no term.")
    if len(set(result)) < len(result):
        raise refuse("the result names an index twice; an index can only be summed or kept.")
    return f"{','.join(terms)}->{result}"
