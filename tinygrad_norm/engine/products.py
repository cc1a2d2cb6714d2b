"""Sums of products: the linear layer, and every other contraction by the names of its axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from . import primitives as op
from .arguments import as_tensor, beside, floating, in_float32
from .errors import DTypeError, ShapeError, describe
from .op import NONE
from .state import scope
from .tensor import Tensor, lift


def matmul(a: Any, b: Any) -> Any:
    """Matrix product as NumPy's ``@``: batched over leading axes, vectors on either side."""
    a, b = lift(a, op.matmul), lift(b, op.matmul)
    if not getattr(a, "ndim", 0) or not getattr(b, "ndim", 0):
        raise ShapeError(f"matmul: {describe(a)} @ {describe(b)}: a number has no rows or columns. Use *.")
    left, right = a.ndim == 1, b.ndim == 1
    if left:
        a = a.reshape(1, -1)
    if right:
        b = b.reshape(-1, 1)
    out = op.matmul(a, b)
    if left or right:
        out = out.reshape(out.shape[:-2] + (() if left else out.shape[-2:-1]) + (() if right else out.shape[-1:]))
    return out


_TURNED = {"axes": (1, 0)}


@scope("linear")
@in_float32
def linear(input: Any, weight: Any, bias: Any = None) -> Tensor:
    """x·Wᵀ + b: input (*, in), weight (out, in), bias (out,) gives (*, out); a weight (in,) and a bias () give (*).

    Raises ``ShapeError`` where the last axes of input and weight differ, and for a bias that is not one number an output.
    """
    w = floating(weight, "linear", "weight")
    if w.ndim not in (1, 2):
        raise ShapeError(f"linear: weight {describe(w)} has {w.ndim} axes; it is (out, in), or (in,) for one output.")
    if input.shape[-1:] != w.shape[-1:]:
        raise ShapeError(
            f"linear: input {describe(input)} and weight {describe(w)}: their last axes must be equal. Transpose one?"
        )
    if w.ndim == 2 <= input.ndim:
        y: Tensor = input.apply_op(op.matmul, (input, w.apply_op(op.transpose, (w,), _TURNED)), NONE)
    else:
        y = matmul(input, w.transpose())
    if bias is None:
        return y
    b = floating(beside(bias, y, "linear", "bias"), "linear", "bias")
    if b.shape not in (w.shape[:-1], ()):
        raise ShapeError(
            f"linear: bias {describe(b)} for weight {describe(w)}: one number for each output, shape {w.shape[:-1]}."
        )
    return y + b


def einsum(equation: str, *operands: Any) -> Tensor:
    """The sum of products over named axes: ``einsum("ij,jk->ik", a, b)`` is ``a @ b``.

    As NumPy's and PyTorch's: an index that is not in the result is summed; one named twice in a term takes the
    diagonal; ``...`` stands for leading axes, which broadcast; without ``->`` the result has the indices named once,
    in alphabetical order. Operands are multiplied from the left. Raises ``ShapeError`` for an equation that does not fit.
    """
    xs = [as_tensor(x, "einsum", f"operand {i}") for i, x in enumerate(operands)]
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
            raise refuse(f"the term {term!r} should hold letters and one '...' only, such as 'bij,bjk->bik'.")
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
