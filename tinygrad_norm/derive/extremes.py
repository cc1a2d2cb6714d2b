"""The same forward where it is most likely to be another: at even, equal and single sizes, on tiny and on large numbers.

What a forward asks in Python leaves no trace on its record: ``if x.shape[0] < x.shape[1]``, ``if length < eps``. Recorded there,
it shows: other operations, or other numbers than a formula says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..engine import GradientError, Tensor, TinygradNormError, history
from ..graph import Graph
from .axes import Axes

if TYPE_CHECKING:
    from .recording import Record

BRANCHES = "the branches are those of the record"
_SIZES: tuple[Callable[[int, int], int], ...] = (
    lambda k, last: 2 * (last - k) + 4,  # even, the first axis the longest
    lambda k, last: 6,
    lambda k, last: 1 if k == 0 else 4 + 2 * k,
    lambda k, last: 1 if k == last else 5 + k,
)
_SCALES = (2.0**-44, 2.0**-10, 2.0**6, 2.0**10, -(2.0**10))


def extremes_of(record: Record, second: Callable[[Record], Record]) -> Iterator[tuple[str, Record | None]]:
    """(``"at B = 1, N = 6"``, record) for every place where the forward can be recorded and its output is finite.

    None for the record where it cannot be, though the sizes are the same: there it is another one.
    """
    assert record.make is not None
    floats = {n: t for n, t in record.inputs.items() if t.dtype.kind == "f"}
    axes = Axes(Graph(record.output), record.axes)
    rng = np.random.default_rng(record.output.size)
    places: list[tuple[str, dict[str, Any], Any]] = []  # words, inputs, the shape that comes out where it is the same forward
    for size in _SIZES:
        sizes = {a: size(k, len(axes.order) - 1) for k, a in enumerate(axes.order)}
        sizes |= {a: axes.sizes[a] for dims in axes.dims.values() for dim in dims for a in dim[:-1]}  # groups stay
        if any(t not in axes.dims for t in floats.values()):
            break
        shapes = {n: [int(np.prod([sizes[a] for a in dim])) for dim in axes.dims[t]] for n, t in floats.items()}
        words = "at " + ", ".join(f"{a} = {n}" for a, n in sizes.items())
        draw = np.abs if all(np.all(t.data > 0) for t in floats.values()) else (lambda a: a)
        out = tuple(int(np.prod([sizes[a] for a in dim])) for dim in axes.dims[record.output])
        places.append((words, {n: draw(rng.normal(size=shape)).astype(floats[n].dtype) for n, shape in shapes.items()}, out))
    for least in (0, 1):  # twice as large, with what is spread along an axis or without
        doubled = {n: [k * (2 if k > least else 1) for k in t.shape] for n, t in floats.items()}
        places.append(("at twice the sizes", {n: rng.normal(size=k).astype(floats[n].dtype) for n, k in doubled.items()}, None))
    for scale in _SCALES:
        words = f"on inputs {scale:.0e} times as large"
        places.append((words, {n: (t.data * scale).astype(t.dtype) for n, t in floats.items()}, None))
    for words, on, out in places:
        try:
            with np.errstate(all="ignore"):
                made = second(record.make(on=on, numbers=record.numbers))
        except GradientError:
            if "times" in words:
                yield words, None
        except (TinygradNormError, ValueError, ArithmeticError, IndexError, TypeError):
            continue
        else:
            kept = all(made.inputs[n].shape == a.shape for n, a in on.items()) and out in (None, made.output.shape)
            if kept and np.all(np.isfinite(made.output.data)):
                yield words, replace(made, axes=record.axes)


def elsewhere(output: Tensor, others: Iterable[tuple[str, Tensor]]) -> list[str]:
    """The words of those records that consist of other operations. At single sizes they may: a sum over one entry is none."""
    own = course(output)
    return [words for words, other in others if course(other) != own and " = 1" not in words]


def course(output: Tensor) -> Sequence[Any]:
    return [t.op and t.op.name for t in history(output)]
