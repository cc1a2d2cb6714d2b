"""The same forward where it is most likely to be another: at even, equal, single and large sizes, on tiny and on large numbers,
in other precisions.

What a forward asks in Python leaves no trace on its record: ``if x.shape[0] < x.shape[1]``, ``if length < eps``. Recorded there,
it shows: other operations, or other numbers than a formula says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..engine import GradientError, Tensor, TinygradNormError, history
from ..graph import Graph
from .axes import Axes

if TYPE_CHECKING:
    from .record import Record


class Extreme(NamedTuple):
    """A place where the forward was recorded once more.

    words:   ``"at B = 1, N = 6"``
    single:  whether an axis is of size 1 there: other operations are no other branch, a sum over one entry is none
    record:  None where there is none, though the sizes are those of the first: the forward is another one there
    """

    words: str
    single: bool
    record: Record | None


_SIZES: tuple[Callable[[int, int], int], ...] = (
    lambda k, last: 2 * (last - k) + 4,  # even, the first axis the longest
    lambda k, last: 6,
    lambda k, last: 1 if k == 0 else 4 + 2 * k,
    lambda k, last: 1 if k == last else 5 + k,
    lambda k, last: 4098 if k == last else 2,  # more than a byte holds, and no number of float16's
    lambda k, last: 4098 if k == 0 else 3,
)
_MOST = 2**19  # numbers at such a place
_SCALES = (2.0**-44, 2.0**-10, 2.0**6, 2.0**10, -(2.0**10))


def extremes_of(record: Record, second: Callable[[Record], Record]) -> Iterator[Extreme]:
    """Every such place where the forward can be recorded and its output is finite."""
    assert record.make is not None
    floats = {n: t for n, t in record.inputs.items() if t.dtype.kind == "f"}
    axes = Axes(Graph(record.output), record.axes)
    rng = np.random.default_rng(record.output.size)
    # words, whether single, inputs, the shape that comes out where it is the same forward
    places: list[tuple[str, bool, dict[str, Any], Any]] = []
    ones = {n: [not a for a in record.axes.get(t.name or "", ())] or [False] * t.ndim for n, t in floats.items()}  # by name
    as_recorded = [t.shape for t in floats.values()]
    for size in _SIZES:
        sizes = _few({a: size(k, len(axes.order) - 1) for k, a in enumerate(axes.order)})
        sizes |= {a: axes.sizes[a] for dims in axes.dims.values() for dim in dims for a in dim[:-1]}  # groups stay
        if any(t not in axes.dims for t in floats.values()):
            break
        shapes = {n: [int(np.prod([sizes[a] for a in dim])) for dim in axes.dims[t]] for n, t in floats.items()}
        words = "at " + ", ".join(f"{a} = {n}" for a, n in sizes.items())
        draw = np.abs if all(np.all(t.data > 0) for t in floats.values()) else (lambda a: a)
        out = tuple(int(np.prod([sizes[a] for a in dim])) for dim in axes.dims[record.output])
        on = {n: draw(rng.normal(size=shape)).astype(floats[n].dtype) for n, shape in shapes.items()}
        places.append((words, 1 in sizes.values(), on, out))
    for least in (0, 1):  # twice as large, with what is spread along an axis or without
        doubled = {n: [k * (2 if k > least and not one else 1) for k, one in zip(t.shape, ones[n])] for n, t in floats.items()}
        if any(prod(k) > _MOST for k in doubled.values()):
            continue
        places.append(
            ("at twice the sizes", False, {n: rng.normal(size=k).astype(floats[n].dtype) for n, k in doubled.items()}, None)
        )
    for scale in _SCALES:
        words = f"on inputs {scale:.0e} times as large"
        places.append((words, False, {n: (t.data * scale).astype(t.dtype) for n, t in floats.items()}, None))
    for dtype in ("float32", "float16"):
        places.append((f"in {dtype}", False, {n: t.data.astype(dtype) for n, t in floats.items()}, None))
    for words, single, on, out in places:
        try:
            with np.errstate(all="ignore"):
                made = second(record.make(on=on, numbers=record.numbers))
        except GradientError:
            if [a.shape for a in on.values()] == as_recorded:
                yield Extreme(words, False, None)
        except (TinygradNormError, ValueError, ArithmeticError, IndexError, TypeError):
            continue
        else:
            kept = all(made.inputs[n].shape == a.shape for n, a in on.items()) and out in (None, made.output.shape)
            if kept and np.all(np.isfinite(made.output.data)):
                yield Extreme(words, single, replace(made, axes=record.axes))


def _few(sizes: dict[Any, int]) -> dict[Any, int]:
    """These sizes; where all together are very many numbers, 2 for all but the first and the last two axes."""
    axes = list(sizes)
    return sizes if prod(sizes.values()) <= _MOST else {**sizes, **dict.fromkeys(axes[1:-2], 2)}


def elsewhere(output: Tensor, others: Iterable[tuple[Extreme, Tensor]]) -> list[str]:
    """The words of those places where a record consists of other operations."""
    own = course(output)
    return [place.words for place, other in others if not place.single and course(other) != own]


def course(output: Tensor) -> Sequence[Any]:
    """What it consists of, in whatever precision."""
    return [t.op and t.op.name for t in history(output) if t.op is None or t.op.name != "astype"]
