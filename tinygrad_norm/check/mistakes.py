"""What people get wrong, generated from the record: each known mistake with a name, a sentence and a remedy.

A mistake is the ordinary backward pass with one rule altered (a factor forgotten, a sum where a mean belongs, a route
left out) or with one value altered that the rules read (ε outside the root, x for x − μ). So there is a library for any
recorded forward, not for our norms only. What a norm's own file knows besides joins it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np

from ..engine import Tensor
from ..engine.arrays import Array
from ..graph import Graph, Node
from ..norms import Norm
from .alterations import (
    Mistake,
    along_another_axis,
    instead,
    replaced,
    scaled,
    times,
    times_in,
    unsummed,
)
from .rule_mistakes import RULES, called, meets, plain, said_axes, wrong_axis


def library(graph: Graph, leaves: Mapping[str, Tensor]) -> list[Mistake]:
    """Every mistake that this record offers the opportunity for."""
    return list(_all(graph, leaves))


def _all(graph: Graph, leaves: Mapping[str, Tensor]) -> Iterator[Mistake]:
    on_the_way = _differentiable(graph, leaves)
    statistics = [
        node
        for node in graph.nodes
        if node.op in ("mean", "sum") and node.tensor in on_the_way and node.tensor is not graph.output
    ]
    for node in statistics:
        yield from _about_a_statistic(graph, node)
    if len(statistics) > 1:
        yield Mistake(
            "the statistics detached",
            f"{' and '.join(s.label for s in statistics)} were treated as constants: their terms are missing",
            "they depend on the input, too; a constant would have no gradient, they have",
            {(s.tensor, 0): scaled(0.0) for s in statistics},
        )
    for node in graph.nodes:
        t = node.tensor
        if t in on_the_way and t.op is not None and t.op.name in RULES:
            yield from RULES[t.op.name](graph, node)
        if t in on_the_way and t.op is not None:
            yield from _about_a_parameter(graph, node, leaves)
    yield from _about_everything(leaves)
    yield from _in_front(graph, leaves)


def _differentiable(graph: Graph, leaves: Mapping[str, Tensor]) -> set[Tensor]:
    wanted = set(leaves.values())
    for t in graph.tensors:
        if any(isinstance(x, Tensor) and x in wanted for x in t.inputs):
            wanted.add(t)
    return wanted


def _about_a_statistic(graph: Graph, node: Node) -> Iterator[Mistake]:
    s, label = node.tensor, node.label
    (x,) = s.inputs
    axis = s.params["axis"]
    n = math.prod(x.shape[a] for a in axis)
    edge = (s, 0)
    look = f"the way back through {label}" + (f" = {node.text}" if node.text != label else "")

    def term(name: str, sentence: str, factor: float, remedy: str = look) -> Mistake:
        return Mistake(f"{label}: {name}", sentence, remedy, {edge: scaled(factor)}, node=s)

    yield term("term dropped", f"the {label} term is missing: {label} was treated as a constant", 0.0)
    yield term("sign", f"the {label} term has the wrong sign", -1.0)
    yield term("counted twice", f"the {label} term is 2 times too big", 2.0)
    if n > 1:
        if node.op == "mean":
            yield term("sum for mean", f"the {label} term is N = {n} times too big: a sum where the formula has a mean", n)
            if n > 2:
                yield term("N − 1 for N", f"the {label} term is N/(N − 1) times too big: N = {n} counts, not N − 1", n / (n - 1))
                yield Mistake(
                    f"{label}: its value with N − 1",
                    f"{label} was computed with N − 1 = {n - 1} for N: the forward pass divides by N",
                    "numpy's var divides by N, torch.var and statistics.variance by N − 1",
                    values={s: lambda value, *_: value * n / (n - 1)},
                    node=s,
                )  # fmt: skip
        else:
            yield term("mean for sum", f"the {label} term is N = {n} times too small: a mean where the formula has a sum", 1 / n)
    others = tuple(a for a in range(x.ndim) if a not in axis)
    uses = [(t, i) for t in graph.tensors for i, u in enumerate(t.inputs) if u is s and t.shape == x.shape]
    if others and len(uses) == 1 and math.prod(x.shape[a] for a in others) > 1:
        use, i = uses[0]
        scales = [t for t in graph.tensors if t.op is not None and t.op.name == "rsqrt" and meets(t.shape, x.shape)]
        for scale in (None, *scales):
            yield Mistake(
                f"{label}: wrong axis{f', before {graph.node(scale).label}' if scale is not None else ''}",
                wrong_axis(label, others, axis),
                f"{label} is a mean over axis {said_axes(axis)}; its cotangent is summed over the same",
                {(use, i): unsummed, edge: along_another_axis(others, scale)},
                node=s,
            )


def _about_a_parameter(graph: Graph, node: Node, leaves: Mapping[str, Tensor]) -> Iterator[Mistake]:
    """γ and β are broadcast: their gradients are sums."""
    t = node.tensor
    for name, leaf in leaves.items():
        for position, x in enumerate(t.inputs):
            if isinstance(x, Tensor) and plain(x) is leaf and x.size < t.size and t.op is not None and t.op.elementwise:
                label, n = called(graph, x), t.size // max(1, x.size)
                yield Mistake(
                    f"d{label}: averaged", f"d{label} is N = {n} times too small: averaged over the samples where a sum belongs",
                    f"{label} serves {n} entries of the output: their shares add up", {(t, position): scaled(1 / n)}, node=t,
                )  # fmt: skip
                if x is not leaf:
                    yield from _after_instead_of_before(graph, node, name, x, leaves)
                    continue
                yield Mistake(
                    f"d{label}: not summed", f"d{label} was not summed over the axes along which {label} was broadcast",
                    f"{label} is {tuple(x.shape)}, and so is its gradient", {(t, position): unsummed}, node=t,
                )  # fmt: skip
                yield from _after_instead_of_before(graph, node, name, x, leaves)


def _after_instead_of_before(
    graph: Graph, node: Node, name: str, parameter: Tensor, leaves: Mapping[str, Tensor]
) -> Iterator[Mistake]:
    """The backward pass multiplies by γ before it projects; the forward pass after."""
    t = node.tensor
    if t.op is None or t.op.name != "mul":
        return
    position = next(i for i, x in enumerate(t.inputs) if x is not parameter)
    main, label = next(iter(leaves)), called(graph, parameter)
    if main == name or leaves[main].size != t.size:
        return
    yield Mistake(
        f"{label} after instead of before", f"d{graph.node(leaves[main]).label} was multiplied by {label} at the end; {label} "
        "belongs to the cotangent before anything is averaged", f"g = dy·{label} comes first",
        {(t, position): instead(lambda g, out, *_: g)}, finish=partial(times_in, main, parameter._data, t.shape), node=t,
    )  # fmt: skip


EVERYTHING = ("sign of everything", "everything twice", "everything halved")


def _about_everything(leaves: Mapping[str, Tensor]) -> Iterator[Mistake]:
    for name, factor, sentence in (
        ("sign of everything", -1.0, "every term has the wrong sign"),
        ("everything twice", 2.0, "everything is 2 times too big"),
        ("everything halved", 0.5, "everything is half as big as it should be"),
    ):
        yield Mistake(name, sentence, "the cotangent as it came in, or the last line",
                      finish=partial(times, factor))  # fmt: skip


def _in_front(graph: Graph, leaves: Mapping[str, Tensor]) -> Iterator[Mistake]:
    """The factor in front of all terms: 1/σ, forgotten or there twice."""
    main, x = next(iter(leaves.items()))
    shapes = [x.shape, *(t.shape for t in graph.tensors if t.inputs and plain(t) is x)]  # GroupNorm groups x first
    for node in graph.nodes:
        r = node.tensor
        shape = next((u for u in shapes if meets(r.shape, u)), None)
        if node.op != "rsqrt" or shape is None:
            continue
        for name, power in (("forgotten", -1), ("twice", 1)):
            there = "is missing" if power < 0 else "stands there twice"
            yield Mistake(
                f"{node.label} {name} in front", f"the factor {node.label} in front of all terms of d{graph.node(x).label} {there}",
                f"d{graph.node(x).label} = {node.label}·(…)", finish=partial(times_in, main, r._data**power, shape),
            )  # fmt: skip


def own_mistakes(norm: Norm, inputs: Mapping[str, Tensor], dy: Array, options: Mapping[str, Any]) -> list[Mistake]:
    """What the norm's own file knows, on these numbers."""
    arrays = {n: t.numpy() for n, t in inputs.items()}
    found = []
    for known in norm.mistakes:
        wrong = known.gradients(arrays, dy, **options)
        if wrong is not None:
            found.append(Mistake(known.name, known.sentence, known.remedy, finish=partial(replaced, wrong)))
    return found


def told_apart(wrong: Array, right: Array, gate: float) -> bool:
    """Whether a wrong gradient differs from the right one by more than ``gate`` anywhere."""
    return wrong.shape != right.shape or not bool(np.all(np.abs(wrong - right) <= gate))
