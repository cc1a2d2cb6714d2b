"""What is derived from: the output, its inputs and the cotangent, and what is known of how they were drawn."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from ..engine import Tensor, grad
from ..engine.arrays import Array
from ..graph import Graph
from .axes import Axes
from .errors import DerivationError
from .extremes import Extreme
from .following import Tree
from .makings import Making
from .marks import Place, Size


@dataclass(frozen=True)
class Record:
    """What was recorded to derive from: the output, its inputs by name, the cotangent; names of axes and numbers.

    marks:    which numbers on it are sizes, or options that have a name, by place
    unknown:  numbers that depend on the sizes in a way that was not found
    notes:    what has to be said of how it was drawn
    others:   the same forward at other sizes, on other numbers; the last at these sizes, where no other are possible
    extremes: the same at even, equal and single sizes, on much smaller and larger numbers, each with its words
    first:    the forward's output, where the output is a gradient
    trees:    of its numbers that were computed from sizes: by which formula
    makings:  of its constants that were made of the inputs: how
    make:     records the forward once more
    """

    name: str
    title: str
    output: Tensor
    inputs: Mapping[str, Tensor]
    dy: Tensor
    axes: Mapping[str, Sequence[str]]
    numbers: Mapping[str, float]
    order: int = 1
    marks: Mapping[Place, Size] = field(default_factory=dict)
    unknown: Mapping[Place, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    others: tuple[Record, ...] = ()
    extremes: tuple[Extreme, ...] = ()
    first: Tensor | None = None
    trees: Mapping[Tensor, Mapping[int | str, Tree]] = field(default_factory=dict)
    makings: Mapping[Tensor, Making] = field(default_factory=dict)
    make: Callable[..., Record] | None = None


def sizes_of(record: Record) -> dict[str, float]:
    """The size of every axis of a record, and the value of every option that has a name, by name."""
    return {**{str(a): float(n) for a, n in Axes(Graph(record.output), record.axes).sizes.items()}, **record.numbers}


def cotangent_of(record: Record) -> Array:
    """What flows into the output: dy, or of a gradient the v that it is differentiated again with."""
    y = record.output
    return record.dy.data if record.order == 1 else np.random.default_rng(y.size).normal(size=y.shape).astype(y.dtype)


def second_of(record: Record, name: str) -> Record:
    """The gradient as the forward."""
    x = record.inputs[name]
    (dx,) = grad(record.output, x, record.dy, create_graph=True)
    if dx.op is None:
        raise DerivationError(f"derive: d{x.name} does not depend on {x.name}: its derivative is zero.")
    named = dx.named(f"d{x.name}")
    return replace(record, output=named, order=2, first=record.output)


def target_of(record: Record, wrt: str | None) -> str:
    """The name of the input that ``wrt`` calls by name or symbol; the first by default."""
    able = {n: t for n, t in record.inputs.items() if t.requires_grad}
    if wrt is None:
        return next(iter(able))
    for n, t in able.items():
        if wrt in (n, t.name):
            return n
    raise DerivationError(
        f"derive: there is no input {wrt!r} to differentiate by; there are {', '.join(f'{n} ({t.name})' if n != t.name else n for n, t in able.items())}."
    )
