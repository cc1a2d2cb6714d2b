"""Derivatives of functions: products with the Jacobian from either side, whole Jacobians, Hessians.

Everything here is the one backward pass, run once, several times, or through its own record. Three rules hold
throughout:

arguments  tensors, arrays or numbers, of floating point. Each is differentiated as itself: the function gets leaves
           (or views) of its own, so no ``.grad`` is touched, the same tensor may be given twice, and what a function
           takes from outside its arguments is a constant to the derivative asked for.
results    a derivative is a function of tensors like any other: it is recorded when something it was computed from (an
           argument, a tangent, a tensor the function takes from outside) requires a gradient. So these functions nest
           to any order without being told. ``create_graph`` says otherwise: False never records, True always does.
           Under ``no_grad`` derivatives are computed, and not recorded.
zeros      an output that does not depend on an argument has the derivative zero.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .call import Call, Function, bind, function_of, pulled_back, recording
from .errors import GradientError, describe
from .forms import concatenate
from .tensor import Tensor

# Products with the Jacobian ---------------------------------------------------------------------------------


def vjp(f: Function, *args: Any, create_graph: bool | None = None) -> tuple[Any, Callable[[Any], tuple[Tensor, ...]]]:
    """The output of ``f(*args)`` and its pullback: from a cotangent u to Jᵀu, one tensor per argument.

    f:        returns a tensor, or several as a tuple; then the pullback takes a tuple of cotangents
    args:     floating-point tensors, arrays or numbers
    Returns   (output, pullback); gradients have their argument's shape and dtype. The pullback may be called often.
    Raises    ``DTypeError`` for an argument that is not floating point or a cotangent of another dtype than its output,
              ``ShapeError`` for one of another shape, ``GradientError`` when f returns something else than tensors or
              the cotangents are not as many as the outputs.
    """
    call = Call.of("vjp", f, args, create_graph)

    def pullback(cotangent: Any) -> tuple[Tensor, ...]:
        return call.pull_back(call.seeds("cotangent", cotangent, call.outputs, call.several))

    return call.output, pullback


def jvp(f: Function, args: Any, tangents: Any, create_graph: bool | None = None) -> tuple[Any, Any]:
    """The output of ``f(*args)`` and its derivative along the tangents, Jv: forward mode.

    The pullback u ↦ Jᵀu is linear in u. So its own pullback, wherever it is taken, is v ↦ Jv: two backward
    passes make one forward one (J. Townsend 2017, "A new trick for calculating Jacobian vector products").

    f:         returns a tensor, or several as a tuple
    args:      one argument, or a tuple of them
    tangents:  one per argument, of its shape and dtype
    Returns    (output, tangent), both as f returns them; the tangent has the output's shape and dtype.
    Raises     as ``vjp``, of the tangents.
    """
    call = Call.of("jvp", f, _several(args), create_graph)
    vs = call.seeds("tangent", tangents, call.leaves, len(call.leaves) > 1 or isinstance(tangents, (tuple, list)))
    us = [Tensor(np.zeros(y.shape, y.dtype), requires_grad=True) for y in call.outputs]
    with recording():
        pulled = pulled_back(call.outputs, call.leaves, us, True)
    record = call.records(*vs)
    along = pulled_back(pulled, us, vs, record)
    return call.output, tuple(along) if call.several else along[0]


def hvp(f: Function, args: Any, vectors: Any, create_graph: bool | None = None) -> tuple[Tensor, Any]:
    """The output of a scalar function and its Hessian times a vector, Hv, for about twice the price of a gradient.

    It is the gradient of ⟨∇f, v⟩ (Pearlmutter 1994, Neural Computation 6(1)); H itself is never formed.

    f:        returns a tensor of one element
    args:     one argument, or a tuple of them
    vectors:  one per argument, of its shape and dtype
    Returns   (output, Hv): a tensor for one argument, a tuple for a tuple.
    Raises    as ``vjp``, and ``GradientError`` when f returns more than one number.
    """
    call = Call.of("hvp", f, _several(args), create_graph)
    vs = call.seeds("vector", vectors, call.leaves, len(call.leaves) > 1 or isinstance(vectors, (tuple, list)))
    with recording():
        first = pulled_back([call.scalar()], call.leaves, None, True)
    products = pulled_back(first, call.leaves, vs, call.records(*vs))
    return call.output, products if isinstance(args, (tuple, list)) else products[0]


# Whole matrices -----------------------------------------------------------------------------------------------


def jacobian(f: Function, *args: Any, argnums: int | Sequence[int] | None = None, create_graph: bool | None = None) -> Any:
    """All derivatives of all outputs: J[i, j] = ∂output[i]/∂argument[j], one backward pass per entry of the output.

    f:        returns a tensor, or several as a tuple
    argnums:  which arguments to differentiate (the others are handed to f as they are); all when not given
    Returns   a tensor of shape (*output.shape, *argument.shape) and the argument's dtype. Several outputs make a tuple of
              them, and so do several arguments (or ``argnums`` as a tuple), inside: ``J[output][argument]``, as
              ``torch.autograd.functional.jacobian`` has it.
    Raises    as ``vjp``.
    """
    return _jacobian("jacobian", f, args, argnums, create_graph)


def hessian(f: Function, *args: Any, argnums: int | Sequence[int] | None = None, create_graph: bool | None = None) -> Any:
    """All second derivatives of a scalar function: the Jacobian of its gradient.

    f:        returns a tensor of one element
    argnums:  which arguments to differentiate; all when not given
    Returns   a tensor of shape (*argument.shape, *argument.shape); with several arguments (or ``argnums`` as a tuple)
              a tuple of tuples, ``H[i][j]`` of shape (*argument_i.shape, *argument_j.shape).
    Raises    as ``vjp``, and ``GradientError`` when f returns more than one number.
    """
    chosen, several = _choose("hessian", f, args, argnums)

    def gradient(*xs: Any) -> Any:
        call = Call.of("hessian", bind(f, args, chosen), xs, True)
        gradients = pulled_back([call.scalar()], call.leaves, None, True)
        return gradients if several else gradients[0]

    return _jacobian("hessian", gradient, [args[i] for i in chosen], tuple(range(len(chosen))) if several else 0, create_graph)


def _jacobian(name: str, f: Function, args: Sequence[Any], argnums: Any, create_graph: bool | None) -> Any:
    chosen, several = _choose(name, f, args, argnums)
    call = Call.of(name, bind(f, args, chosen), [args[i] for i in chosen], create_graph)
    blocks = [_rows(call, y) for y in call.outputs]
    per_output = [row if several else row[0] for row in blocks]
    return tuple(per_output) if call.several else per_output[0]


def _rows(call: Call, y: Tensor) -> tuple[Tensor, ...]:
    """d(y)/d(argument) for every argument: one backward pass per entry of y."""
    record = call.records()
    shapes = [y.shape + x.shape for x in call.leaves]
    passes = []
    for i in range(y.size):
        one = np.zeros(y.shape, y.dtype)
        one.flat[i] = 1
        passes.append(pulled_back([y], call.leaves, [one], record))
    if not passes:
        return tuple(Tensor(np.zeros(shape, x.dtype)) for shape, x in zip(shapes, call.leaves))
    return tuple(
        concatenate([row.reshape(1, *x.shape) for row in rows]).reshape(shape)
        for rows, x, shape in zip(zip(*passes), call.leaves, shapes)
    )


# Arguments ----------------------------------------------------------------------------------------------------


def _several(args: Any) -> tuple[Any, ...]:
    return tuple(args) if isinstance(args, (tuple, list)) else (args,)


def _choose(name: str, f: Any, args: Sequence[Any], argnums: Any) -> tuple[tuple[int, ...], bool]:
    """Which arguments, and whether the answer is a tuple over them."""
    function_of(name, f)
    if argnums is None:
        return tuple(range(len(args))), len(args) > 1
    several = isinstance(argnums, (tuple, list))
    given = argnums if several else (argnums,)
    if any(isinstance(i, bool) or not isinstance(i, (int, np.integer)) or not -len(args) <= i < len(args) for i in given):
        raise GradientError(
            f"{name}: argnums={describe(argnums)}, but f has {len(args)} arguments, counted from 0; give a number, or several in a tuple."
        )
    return tuple(int(i) % len(args) for i in given), several
