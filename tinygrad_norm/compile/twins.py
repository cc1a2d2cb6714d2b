"""``backward="compiled"``: a node's twin, with its rules and faster numbers.

The rules stay the node's own, so that every order of derivative is right and what is recorded, drawn or derived is the same.
Over arrays, the value and the first gradient come from a kernel that is derived from the node's own forward, read over tensors,
and held to its rules before it is used. Where there is none, the node's own numbers come, and one line says why.
"""

from __future__ import annotations

import inspect
import weakref
from collections.abc import Sequence
from functools import partial
from itertools import islice, product
from operator import attrgetter
from typing import Any

import numpy as np

from ..derive.asking import derive
from ..derive.branches import every_branch
from ..engine import TABLE, Op, Tensor, TinygradNormError
from ..engine.arrays import Array as Numbers
from .cache import say
from .fused import Bound, Kernel
from .indexed import by_index
from .lowered import asked, lowering, products
from .program import Program, program_of
from .runners import language

_PRIMES = (7, 11, 13, 17, 19, 23, 29, 31, 37, 41)
_CLOSE = 1e-9
_twins: dict[Op, Op] = {}
_programs: dict[Any, Program | None] = {}
_reasons: dict[Any, str] = {}
_kernels: dict[Any, Kernel] = {}
_seen: dict[Any, Bound | None] = {}
_NEW: Any = object()
_KIND = attrgetter("__class__", "shape", "dtype")


def twin(op: Op) -> Op:
    """The same node with compiled numbers."""
    if op not in _twins:
        if language() != "numba":
            say('backward="compiled": Numba is not installed, so the analytic node computes. pip install "tinygrad_norm[fast]"')
            _twins[op] = op
        else:
            _twins[op] = Op(
                op.name,
                op.text,
                partial(_forward, op),
                op.pullbacks,
                elementwise=op.elementwise,
                smooth=op.smooth,
                kernel=partial(_backward, op),
            )
    return _twins[op]


def _forward(op: Op, *inputs: Any, **params: Any) -> Any:
    bound = kernel_of(op, inputs, params)
    if bound is None:
        return op.forward(*inputs, **params)
    y, saved = bound.forward(inputs)
    if saved is not None:
        held = _Value(y, _forget)
        held.key = key = id(y)
        _saved[key] = held, bound, saved
    return y


def _backward(op: Op, wanted: Sequence[int], g: Any, out: Any, *inputs: Any, **params: Any) -> Sequence[Any]:
    held, bound, saved = _saved.get(id(out), _NOTHING)
    if held() is not out:  # its value was computed elsewhere
        bound = kernel_of(op, inputs, params)
        saved = None if bound is None else bound.forward(inputs)[1]
    if saved is not None and type(g) is np.ndarray:
        which = tuple(wanted)
        back = bound.ways.get(which, _NEW)
        if back is _NEW:
            back = bound.ways[which] = kernel_of(op, inputs, params, which)
        if back is not None:
            return back.backward(g, inputs, out, saved)  # type: ignore[no-any-return]
    if op.kernel is not None:
        return list(op.kernel(wanted, g, out, *inputs, **params))
    return [op.pullbacks[k](g, out, *inputs, **params) for k in wanted]  # type: ignore[misc]


class _Value(weakref.ref["Numbers"]):
    """A value, and by which key it is known what the forward saved."""

    __slots__ = ("key",)
    key: int


def _forget(gone: Any) -> None:
    _saved.pop(gone.key, None)


_saved: dict[int, tuple[Any, Any, Any]] = {}
"""What the forward saved, and which kernel, for as long as its value lives. Recorded data never changes, so it stays true."""
_NOTHING: tuple[Any, Any, Any] = (lambda: None, None, None)


# Which kernel -----------------------------------------------------------------------------------------------------


def kernel_of(op: Op, inputs: Sequence[Any], params: dict[str, Any], wanted: tuple[int, ...] | None = None) -> Bound | None:
    """The kernel for arrays of these shapes; None where the node's own numbers are to come."""
    try:
        seen = (op, wanted, *params.values(), *map(_KIND, inputs))
        found: Bound | None = _seen.get(seen, _NEW)
    except AttributeError:
        return None  # numbers or symbols among the inputs
    except TypeError:
        say(f'backward="compiled": {op.name} has no kernel with an array among its settings, its analytic node computes')
        return None
    if found is _NEW:
        if len(_seen) > 1000:
            _seen.clear()
        kernel = _searched(op, inputs, params, wanted)
        found = _seen[seen] = None if kernel is None else kernel.bound(inputs)
    return found


INDEXED = {"cross_entropy": 1}
"""Which input of a node may be class indices, of a second axis, in place of what is 1 there and 0 elsewhere."""


def _searched(op: Op, inputs: Sequence[Any], params: dict[str, Any], wanted: tuple[int, ...] | None) -> Kernel | None:
    if any(type(x) is not np.ndarray or not x.size for x in inputs):
        return None
    at = INDEXED.get(op.name)
    by_index_ = at is not None and at < len(inputs) and inputs[at].dtype.kind in "iu"
    if any(x.dtype.char not in "efd" for k, x in enumerate(inputs) if not (by_index_ and k == at)):
        return None
    shapes = [inputs[0].shape if by_index_ and k == at else x.shape for k, x in enumerate(inputs)]
    of = (op, tuple(params.items()), by_index_)
    keys = [(labels, *of) for labels in patterns(shapes)]
    for key in keys:
        if key not in _programs:
            _programs[key] = _made(op, key, params, by_index_)
        program = _programs[key]
        if program is not None:
            break
    else:
        say(f'backward="compiled": {op.name} has no kernel here, its analytic node computes: {_reasons[keys[0]]}')
        return None
    kernel = _kernels.get((key, wanted))
    if kernel is None:
        names = list(program.record_names)
        asked_for = None if wanted is None else [names[k] for k in wanted]
        if asked_for is not None and any(n not in program.gradients for n in asked_for):
            return None
        reference = partial(_ask, op, params, tuple(range(len(inputs))) if wanted is None else wanted)
        kernel = _kernels[key, wanted] = Kernel(program, reference, asked_for)
    if products(program, kernel.sizes(inputs)) > MOST_PRODUCTS:
        say(f'backward="compiled": {op.name}: its analytic node computes matrix products as large as these, with BLAS')
        return None
    return kernel


MOST_PRODUCTS = 2**18
"""How many terms of a matrix product loops are not slower with than BLAS."""


def _ask(op: Op, params: dict[str, Any], wanted: tuple[int, ...], inputs: Sequence[Any], numbers: Any, dy: Any = None) -> Any:
    """The node's own numbers."""
    with np.errstate(all="ignore"):
        y = op.forward(*inputs, **params)
        if dy is None:
            return y
        if op.kernel is not None:
            return tuple(op.kernel(wanted, dy, y, *inputs, **params))
        return tuple(op.pullbacks[k](dy, y, *inputs, **params) for k in wanted)  # type: ignore[misc]


def pattern(shapes: Sequence[tuple[int, ...]]) -> tuple[tuple[int, ...], ...]:
    """For each axis of each input a label: its own number in the largest input, counted from the end, that of the axis it lies on,
    0 for a size of 1 that is spread; for any other its size, below 0."""
    main = max(range(len(shapes)), key=lambda k: (len(shapes[k]), -k))
    whole = shapes[main]
    made = []
    for k, shape in enumerate(shapes):
        labels = []
        for place, n in enumerate(shape):
            end = len(shape) - place
            if k == main or (n != 1 and n == whole[len(whole) - end]):
                labels.append(end)
            elif n == 1:
                labels.append(0)
            else:
                labels.append(-n)
        made.append(tuple(labels))
    return tuple(made)


def patterns(shapes: Sequence[tuple[int, ...]]) -> list[tuple[tuple[int, ...], ...]]:
    """The same, and what else it may be: what has one axis lies on any of the largest input's that is as long, or on none."""
    usual = pattern(shapes)
    whole = max(shapes, key=len)
    options = [
        [own]
        if len(shape) != 1 or len(whole) == 1
        else [*dict.fromkeys([own, *((len(whole) - k,) for k, n in enumerate(whole) if n == shape[0]), (-shape[0],)])]
        for shape, own in zip(shapes, usual)
    ]
    return list(islice(product(*options), 16))


def _made(op: Op, key: Any, params: dict[str, Any], by_index_: bool = False) -> Program | None:
    labels = key[0]
    try:
        if by_index_:
            made = _derived(op, labels, {**params, "ignore_index": -100, "label_smoothing": 0.0})
            return by_index(made, made.record_names[INDEXED[op.name]], params["label_smoothing"], params["ignore_index"])
        return _derived(op, labels, params)
    except (TinygradNormError, ValueError, TypeError, AttributeError, IndexError, KeyError, NotImplementedError) as error:
        _reasons[key] = str(error).removeprefix("derive: ").split("\n")[0]
        return None


def _derived(op: Op, labels: tuple[tuple[int, ...], ...], params: dict[str, Any]) -> Program:
    shared = sorted({label for own in labels for label in own if label > 0})
    sizes = dict(zip(shared, _PRIMES)) | {label: -label for own in labels for label in own if label < 0}
    rng = np.random.default_rng(0)
    names = _names(op, len(labels))
    arrays = {}
    for n, own in zip(names, labels):
        a = rng.normal(size=[sizes.get(label, 1) for label in own])
        arrays[n] = a if n == names[0] else np.abs(a) + 0.5  # statistics among them are positive

    def forward(**inputs: Tensor) -> Tensor:
        known = TABLE.get(op.name) is op  # an operation of the engine's is itself a formula
        found: Tensor = (op if known else op.forward)(*inputs.values(), **params)
        return found

    forward.__name__ = op.name
    y = op.forward(*arrays.values(), **params)
    dy = rng.normal(size=np.shape(y))
    ruled = [k for k in range(len(names)) if op.pullbacks[k] is not None]
    with lowering(), every_branch():
        made = asked(program_of({names[k]: derive(forward, names[k], inputs=arrays) for k in ruled}))
    _check(op, made, list(arrays.values()), dy, y, params, ruled)
    return made


def _check(
    op: Op, program: Program, arrays: list[Numbers], dy: Numbers, y: Numbers, params: dict[str, Any], ruled: list[int]
) -> None:
    """The kernel's formula against the node's rules, in numbers; ``ValueError`` where they differ (some are no gradient)."""
    from .runners import NumPyRunner
    from .schedule import schedules

    if [a.role for a in program.inputs].count("input") != len(arrays) or len(program.inputs) != len(arrays):
        raise ValueError("not all that it computes with is an input")
    run, numbers = NumPyRunner(program, *schedules(program), "float64"), {letter: value for letter, _, value in program.numbers}
    Kernel(program).sizes(arrays)
    found = run.forward(arrays, numbers)
    if found is None:
        raise ValueError("its formula does not hold for ordinary numbers")
    ours = [found[0], *run.backward(dy, arrays, *found, numbers)]
    theirs = [y]
    for k in ruled:
        share = np.asarray(op.pullbacks[k](dy, y, *arrays, **params))  # type: ignore[misc]
        share = np.broadcast_to(share, np.broadcast_shapes(share.shape, arrays[k].shape))
        theirs.append(_reduced(share, arrays[k].shape))
    for a, b in zip(ours, theirs):
        if a.shape != np.shape(b) or not np.max(np.abs(a - b), initial=0) <= _CLOSE * (1 + np.max(np.abs(b), initial=0)):
            raise ValueError("its rules are not the derivative of its value, or give another shape")


def _reduced(share: Numbers, shape: tuple[int, ...]) -> Numbers:
    if share.shape == shape:
        return share
    share = share.sum(axis=tuple(range(share.ndim - len(shape))))
    axes = tuple(k for k, (n, m) in enumerate(zip(share.shape, shape)) if m == 1 != n)
    return np.asarray(share.sum(axis=axes, keepdims=True))


def _names(op: Op, count: int) -> list[str]:
    """What the node's forward calls its inputs."""
    try:
        found = [
            p.name
            for p in inspect.signature(op.forward).parameters.values()
            if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
        ]
    except (TypeError, ValueError):
        found = []
    return found[:count] if len(found) >= count else [f"x{k + 1}" for k in range(count)]
