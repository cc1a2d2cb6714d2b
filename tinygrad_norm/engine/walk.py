"""The one backward pass: walk the record from young to old, hand each input its share, add up.

What flows may be NumPy arrays, recorded tensors or symbols; a ``Reading`` says which. Nothing else
in this project differentiates.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import compress
from typing import Any
from weakref import WeakValueDictionary

import numpy as np

from . import hooks
from . import primitives as op
from .errors import (
    DTypeError,
    GradientError,
    InPlaceError,
    MissingPullbackError,
    ShapeError,
    UnreachableError,
    describe,
)
from .readings import ARRAYS, TENSORS, Reading
from .shapes import flag
from .state import enable_grad, no_grad
from .tensor import Tensor, renewed

_BIRTH = operator.attrgetter("birth")
_cotangents: WeakValueDictionary[int, Tensor] = WeakValueDictionary()  # that a recorded pass started from
_PLACES = range(1 << 30)

# The record ---------------------------------------------------------------------------------------------


def history(*outputs: Tensor) -> list[Tensor]:
    """Everything the outputs came from, and the outputs, oldest first.

    Sorting by birth is enough: inputs are older than outputs, so birth order is a topological order.
    """
    seen = set(outputs)
    found = [*seen]
    for node in found:
        for x in node.inputs:
            if type(x) is Tensor and x not in seen:
                seen.add(x)
                found.append(x)
    found.sort(key=_BIRTH)
    return found


def between(outputs: Collection[Tensor], targets: Collection[Tensor] | None) -> dict[Tensor, Sequence[int]]:
    """The nodes on some way from a target to an output, oldest first: all that a backward pass visits. Without targets these are
    the leaves that require a gradient.

    For each, the positions of the inputs something flows to. Raises ``InPlaceError`` where a node's input has
    been given new data since, and ``MissingPullbackError`` where a node's op has no rule.
    """
    needed: dict[Tensor, Sequence[int]] = {}
    known, newest = needed.__contains__, renewed[0]
    for node in history(*outputs):
        if node.inputs and (positions := list(compress(_PLACES, map(known, node.inputs)))):
            if node.birth < newest:
                _check_data(node)
            needed[node] = positions if node.op.everywhere else _with_rules(node, positions)  # type: ignore[union-attr]
        elif node in targets if targets is not None else node.op is None and node._requires_grad:
            needed[node] = ()
    return needed


def _check_data(node: Tensor) -> None:
    for x in node.inputs:
        if type(x) is Tensor and x.op is None and x.written > node.birth:
            assert node.op is not None
            raise InPlaceError(
                f"{node.op.name}: its input {describe(x)} was given new data after {node.op.name} recorded it; the "
                "gradient would be that of other numbers. Compute the output again, then go backward."
            )


def _with_rules(node: Tensor, positions: Sequence[int]) -> Sequence[int]:
    operation = node.op
    assert operation is not None
    if not operation.pullbacks:
        raise MissingPullbackError(
            f"{operation.name}: the op has no pullback, so nothing can flow back from {describe(node)}. "
            "Give it one rule per input, or detach what it computes."
        )
    return [i for i in positions if operation.pullbacks[i] is not None]


# The pass ---------------------------------------------------------------------------------------------------


def pull_back(
    seeds: Mapping[Tensor, Any],
    targets: Collection[Tensor] | None,
    reading: Reading = ARRAYS,
    keep: bool = False,
    visit: Callable[[Tensor, Any], Any] | None = None,
) -> dict[Tensor, Any]:
    """From the cotangents of some outputs, that of every target (with ``keep``, of every node on the way), by node. Without
    targets, of every leaf that requires a gradient.

    reading:  what flows
    visit:    called with each node and its whole cotangent; gives the cotangent that is used

    A cotangent is dropped as soon as its node has handed it on. One may be smaller than its node where
    it does not vary along an axis.
    """
    wanted, cotangents, found = None if targets is None else set(targets), dict(seeds), {}
    with reading.around(seeds):
        for node, positions in reversed(between(seeds, wanted).items()):
            g = cotangents.pop(node, None)
            if g is None:
                continue
            if visit is not None:
                g = visit(node, reading.settle(g))
            if positions:
                inputs = node.inputs
                for i, share in zip(positions, reading.shares(node, positions, g)):
                    x = inputs[i]
                    cotangents[x] = reading.add(cotangents.pop(x), share) if x in cotangents else share
            if keep or (node.op is None if wanted is None else node in wanted):
                found[node] = reading.settle(g)
    return found


# For users --------------------------------------------------------------------------------------------------


def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: Any = None,
    create_graph: bool = False,
    allow_unused: bool = False,
    *,
    retain_graph: bool | None = None,
    materialize_grads: bool = False,
) -> tuple[Tensor, ...]:
    """d(outputs)/d(inputs), weighted by ``grad_outputs``: one tensor per input, of its shape and dtype.

    outputs:       one tensor or several; without ``grad_outputs`` each must hold one element
    inputs:        leaves or intermediate tensors
    grad_outputs:  the cotangents, one per output, of its shape
    create_graph:  record the gradient too, so that it can be differentiated again, to any order
    allow_unused:  give ``None`` for an input the outputs do not depend on, instead of ``UnreachableError``
    materialize_grads:  give zeros for it
    retain_graph:  taken for PyTorch's sake; a record is always kept, for as long as somebody holds it
    """
    if type(create_graph) is not bool:
        create_graph = flag("grad", "create_graph", create_graph)
    ys, xs = _listed("grad", "outputs", outputs), _listed("grad", "inputs", inputs)
    seeds = (
        [None] * len(ys) if grad_outputs is None else grad_outputs if isinstance(grad_outputs, (list, tuple)) else [grad_outputs]
    )
    if len(seeds) != len(ys):
        raise GradientError(f"grad: {len(ys)} outputs but {len(seeds)} grad_outputs; give one per output.")
    for x in xs:
        if not isinstance(x, Tensor):
            raise GradientError(
                f"grad: inputs must be tensors, not {type(x).__name__}. Record the output from tn.tensor(..., requires_grad=True)."
            )
    start: dict[Tensor, Any] = {}
    for y, seed in zip(ys, seeds):
        seed = _seed("grad", y, seed, create_graph)
        start[y] = start[y] + seed if y in start else seed
    found = pull_back(start, xs, TENSORS if create_graph else ARRAYS, visit=hooks.visit(keep=False)) if start else {}
    gradients: list[Any] = []
    for x in xs:
        if (g := found.get(x)) is not None:
            gradients.append(_finish(g, x, start, create_graph))
        elif materialize_grads or allow_unused:
            gradients.append(Tensor(np.zeros(x.shape, x.dtype)) if materialize_grads else None)
        else:
            missing = ", ".join([describe(x) for x in xs if x not in found])
            raise UnreachableError(
                f"grad: {describe(ys[0]) if ys else 'nothing'} does not depend on {missing}. Was it recorded with requires_grad=True, "
                "outside no_grad, and not detached? (A gradient is on the record only with create_graph=True.) allow_unused=True gives "
                "None instead."
            )
    return tuple(gradients)


def backward(
    output: Tensor,
    gradient: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Tensor | Sequence[Tensor] | None = None,
) -> None:
    """Add the gradient of ``output`` into ``.grad`` of every leaf that requires it, or of these ``inputs`` only.

    gradient:      the cotangent, of the output's shape; not needed for one number
    retain_graph:  taken for PyTorch's sake; a record is always kept, for as long as somebody holds it
    create_graph:  record the gradients, too
    """
    if type(create_graph) is not bool:
        create_graph = flag("backward", "create_graph", create_graph)
    if not isinstance(output, Tensor) or not output._requires_grad:
        raise _unrecorded(output)
    leaves = None if inputs is None else _listed("backward", "inputs", inputs)
    seeds = {output: _seed("backward", output, gradient, create_graph)}
    found = pull_back(seeds, leaves, TENSORS if create_graph else ARRAYS, visit=hooks.visit(keep=True))
    if not found and not any(t.is_leaf and t.requires_grad for t in history(output)):
        raise _unrecorded(output)
    for leaf in reversed(found) if leaves is None else leaves:
        if leaf in found:
            new = _finish(found[leaf], leaf, seeds, create_graph)
            with enable_grad() if create_graph else no_grad():
                leaf.grad = new if leaf.grad is None else leaf.grad + new


def _unrecorded(output: Any) -> GradientError:
    return GradientError(
        f"backward: {describe(output)} was not recorded from any tensor that requires a gradient. "
        "Make the inputs with requires_grad=True and compute outside no_grad."
    )


def _seed(name: str, output: Tensor, gradient: Any, record: bool) -> Any:
    """The cotangent the pass starts from, checked: shape and dtype of the output."""
    if not isinstance(output, Tensor):
        raise GradientError(f"{name}: expected a tensor, got {type(output).__name__}.")
    if output.dtype.kind != "f":
        raise DTypeError(f"{name}: {describe(output)} is not floating point, so it has no gradient.")
    if gradient is None:
        if output.size != 1:
            raise GradientError(
                f"{name}: {describe(output)} is not a scalar, so a cotangent is needed: y.backward(dy) or "
                "tn.grad(y, x, grad_outputs=dy), dy of y's shape. (Ones would give the gradient of the sum, "
                "which for a normalization is zero.)"
            )
        gradient = np.ones(output.shape, output.dtype)
    try:
        data = gradient._data if isinstance(gradient, Tensor) else np.asarray(gradient)
    except (TypeError, ValueError):  # HistoryLostError among them, for a list of recorded tensors
        raise DTypeError(
            f"{name}: cotangent {describe(gradient)} for {describe(output)}; give one array or tensor of its shape."
        ) from None
    like = output._data
    if data.shape != like.shape:
        raise ShapeError(
            f"{name}: cotangent {describe(gradient if isinstance(gradient, Tensor) else data)} for {describe(output)}; the shapes must be equal."
        )
    if data.dtype != like.dtype and not (isinstance(gradient, (int, float)) or data.dtype.kind in "iu"):
        raise DTypeError(
            f"{name}: cotangent of dtype {data.dtype} for {describe(output)}; the dtypes must be equal. "
            f"Cast it: dy.astype('{output.dtype}')."
        )
    if data.dtype is not like.dtype:
        data = data.astype(like.dtype, copy=False)
    if not record:
        return data
    made = gradient if isinstance(gradient, Tensor) and gradient.dtype == output.dtype else Tensor(np.array(data))
    _cotangents[id(made)] = made
    return made


def is_cotangent(t: Tensor) -> bool:
    """Whether a recorded gradient was asked for with it as a cotangent."""
    return _cotangents.get(id(t)) is t


def _listed(name: str, what: str, tensors: Any) -> list[Tensor]:
    if isinstance(tensors, Tensor):
        return [tensors]
    try:
        return list(tensors)
    except TypeError:
        raise GradientError(f"{name}: {what} must be tensors, not {describe(tensors)}; give one, or a list.") from None


def _finish(g: Any, x: Tensor, seeds: Mapping[Tensor, Any], record: bool) -> Tensor:
    """A cotangent as the user gets it: of the input's full shape, and not the user's own array."""
    if record:
        return g if g.shape == x.shape else op.broadcast_to(g, shape=x.shape)  # type: ignore[no-any-return]
    if g.shape != x._data.shape or type(g) is not np.ndarray:
        return Tensor(np.array(np.broadcast_to(g, x.shape)))
    for seed in seeds.values():
        if g is seed or (g.base is not None and np.may_share_memory(g, seed)):
            return Tensor(np.array(g))
    return Tensor(g)
