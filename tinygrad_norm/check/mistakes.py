"""What people get wrong, generated from the record: each known mistake with a name, a sentence and a remedy.

A mistake is the ordinary backward pass with one rule altered (a factor forgotten, a sum where a mean belongs, a route
left out) or with one value altered that the rules read (ε outside the root, x for x − μ). So there is a library for any
recorded forward, not for our norms only. What a norm's own file knows besides joins it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
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
    mean_along_another_axis,
    replaced,
    scaled,
    times,
    times_in,
    unsummed,
    variance_along_another_axis,
    with_value_of,
)


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
        if t in on_the_way and t.op is not None and t.op.name in _ABOUT:
            yield from _ABOUT[t.op.name](graph, node)
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
    look = f"the way back through {label} = {node.text}"

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
        scales = [t for t in graph.tensors if t.op is not None and t.op.name == "rsqrt" and _meets(t.shape, x.shape)]
        for scale in (None, *scales):
            yield Mistake(
                f"{label}: wrong axis{f', before {graph.node(scale).label}' if scale is not None else ''}",
                _wrong_axis(label, others, axis),
                f"{label} is a mean over axis {_axes(axis)}; its cotangent is summed over the same",
                {(use, i): unsummed, edge: along_another_axis(others, scale)},
                node=s,
            )


def _plain(t: Tensor) -> Tensor:
    """What γ is, where the record has it reshaped for broadcasting."""
    while t.name is None and t.op is not None and t.op.name == "reshape" and isinstance(t.inputs[0], Tensor):
        t = t.inputs[0]
    return t


def _factor(graph: Graph, t: Tensor) -> str:
    """What it is called, in brackets where a product needs them."""
    return graph.node(_plain(t)).operand


def _called(graph: Graph, t: Tensor) -> str:
    return graph.node(_plain(t)).label


def _meets(small: tuple[int, ...], full: tuple[int, ...]) -> bool:
    return len(small) == len(full) and all(m in (1, n) for n, m in zip(full, small))


def _axes(axis: Sequence[int]) -> str:
    return ", ".join(map(str, axis))


def _wrong_axis(label: str, others: Sequence[int], axis: Sequence[int]) -> str:
    return f"the {label} term was averaged over axis {_axes(others)}, not over {_axes(axis)}"


def _power(graph: Graph, node: Node) -> Iterator[Mistake]:
    t = node.tensor
    n = t.params["n"]
    if n not in (0, 1):
        yield Mistake(
            f"{node.label}: factor {n:g} lost",
            f"the factor {n:g} of the derivative of {node.label} is missing",
            f"d({node.label}) = {n:g}·… : the exponent comes down",
            {(t, 0): scaled(1 / n)}, node=t,
        )  # fmt: skip
        yield Mistake(
            f"{node.label}: exponent not lowered",
            f"the derivative of {node.label} was taken with the exponent {n:g} where {n - 1:g} belongs",
            "d(uⁿ) = n·uⁿ⁻¹",
            {(t, 0): instead(lambda g, out, x: g * n * x**n)}, node=t,
        )  # fmt: skip


def _rsqrt(graph: Graph, node: Node) -> Iterator[Mistake]:
    t, label = node.tensor, node.label
    same = " (the same as: what is only centred stands for x̂ in {} of two places)"
    for power, written, also in ((2, "²", same.format("one")), (1, "", same.format("both")), (4, "⁴", "")):
        yield Mistake(
            f"{label}: {label}{written} for {label}³",
            f"the derivative of {label} was taken with {label}{written} where {label}³ belongs{also}",
            f"d(1/√v) = −½·v^(−3/2), and that is −½·{label}³",
            {(t, 0): instead(lambda g, out, x, power=power: g * -0.5 * out**power)}, node=t,
        )  # fmt: skip
    yield Mistake(
        f"{label}: the factor ½ lost", f"the factor ½ of the derivative of {label} is missing", f"d(1/√v) = −½·{label}³",
        {(t, 0): scaled(2.0)}, node=t,
    )  # fmt: skip
    yield Mistake(
        f"{label}: its reciprocal", f"1/{label} was used for {label}: a standard deviation where its inverse belongs",
        f"{label} is what is multiplied with, one over the root", values={t: lambda value, *_: 1 / value}, node=t,
    )  # fmt: skip
    yield Mistake(
        f"{label}: the root forgotten", f"{label}² was used for {label}: the root is missing", f"{label} = 1/√(…)",
        values={t: lambda value, *_: value**2}, node=t,
    )  # fmt: skip
    (v,) = t.inputs
    eps = [x for x in v.inputs if not isinstance(x, Tensor)] if v.op is not None and v.op.name == "add" else []
    if eps and eps[0]:
        e = float(eps[0])
        yield Mistake(
            f"{label}: ε outside the root", "ε was added to the standard deviation, outside the root; the forward pass has it inside",
            "1/√(σ² + ε), not 1/(σ + ε)", values={t: lambda value, x: 1 / (np.sqrt(_without(v, x, e)) + e)}, node=t,
        )  # fmt: skip
        yield Mistake(
            f"{label}: ε forgotten", f"ε = {e:g} is missing under the root", "1/√(σ² + ε)",
            values={t: lambda value, x: 1 / np.sqrt(_without(v, x, e))}, node=t,
        )  # fmt: skip


def _without(v: Tensor, value: Array, eps: float) -> Array:
    """σ² of σ² + ε: as recorded, if that is what was read; subtracting would cost a small σ² its digits."""
    recorded: Array = v.inputs[0]._data if value is v._data else np.maximum(value - eps, 0)
    return recorded


def _product(graph: Graph, node: Node) -> Iterator[Mistake]:
    t = node.tensor
    for position, x in enumerate(t.inputs):
        other = t.inputs[1 - position]
        if not isinstance(x, Tensor) or not isinstance(other, Tensor):
            continue
        mine, its = _called(graph, x), _called(graph, other)
        product = "·".join(_factor(graph, u) for u in t.inputs)
        whole = "" if node.label == node.text else f"{node.label} = "
        at, look = (t, position), f"{whole}{product}: what flows to {mine} is the cotangent times {its}"
        yield Mistake(f"{its} forgotten on the way to {mine}", f"the factor {its} is missing in what flows to {mine}", look,
                      {at: instead(lambda g, out, a, b: g)}, node=t)  # fmt: skip
        yield from _variance_over_the_wrong_axis(node, x, other, position)
        squared = instead(lambda g, out, *ab, p=position: g * ab[1 - p] ** 2)
        yield Mistake(f"{its} twice on the way to {mine}", f"the factor {its} stands there twice in what flows to {mine}", look,
                      {at: squared}, node=t)  # fmt: skip
        for u in graph.tensors:
            if u is other or u is x or u is t or u.shape != other.shape or not _kin(u, other):
                continue
            name = _called(graph, u)
            yield Mistake(
                f"{name} for {its} on the way to {mine}", f"{name} was used where {its} belongs, in what flows to {mine}", look,
                {at: with_value_of(u)}, node=t,
            )  # fmt: skip


def _variance_over_the_wrong_axis(node: Node, x: Tensor, rstd: Tensor, position: int) -> Iterator[Mistake]:
    t = node.tensor
    axis = tuple(a for a, (n, m) in enumerate(zip(t.shape, rstd.shape)) if n != m)
    others = tuple(a for a in range(t.ndim) if a not in axis and t.shape[a] > 1)
    if (
        rstd.op is None
        or rstd.op.name != "rsqrt"
        or not _meets(rstd.shape, t.shape)
        or x.shape != t.shape
        or not (axis and others)
    ):
        return
    mu = x.inputs[1] if x.op is not None and x.op.name == "sub" else None
    if isinstance(mu, Tensor) and mu.op is not None and mu.op.name == "mean":
        yield Mistake(
            f"{node.label}: wrong axis for the mean", _wrong_axis("mean", others, axis), f"−rstd·mean(g), the mean over axis {_axes(axis)}",
            {(t, position): mean_along_another_axis(others), (mu, 0): scaled(0.0)}, node=mu,
        )  # fmt: skip
    yield Mistake(
        f"{node.label}: wrong axis for the variance", _wrong_axis("variance", others, axis), f"−rstd·x̂·mean(g·x̂), the mean over axis {_axes(axis)}",
        {(t, position): variance_along_another_axis(others), (t, 1 - position): scaled(0.0)}, node=rstd,
    )  # fmt: skip


def _kin(a: Tensor, b: Tensor) -> bool:
    """Whether one comes from the other by centring and scaling: what is easily taken for the other."""
    small = {"sub", "mul", "div", "neg"}

    def line(t: Tensor) -> set[Tensor]:
        seen = {t}
        while t.op is not None and t.op.name in small and isinstance(t.inputs[0], Tensor) and t.inputs[0].shape == t.shape:
            t = t.inputs[0]
            seen.add(t)
        return seen

    return a in line(b) or b in line(a)


def _difference(graph: Graph, node: Node) -> Iterator[Mistake]:
    t = node.tensor
    x, mu = t.inputs
    if isinstance(mu, Tensor) and isinstance(x, Tensor) and x.shape == t.shape:
        yield Mistake(
            f"{graph.node(x).label} for {node.label}", f"{graph.node(x).label} was used where {node.text} belongs: nothing was centred",
            f"{node.label} = {node.text}", values={t: lambda value, x, mu: x}, node=t,
        )  # fmt: skip


def _quotient(graph: Graph, node: Node) -> Iterator[Mistake]:
    t = node.tensor
    a, b = t.inputs
    if isinstance(b, Tensor):
        yield Mistake(f"{node.label}: sign", f"the term through {graph.node(b).label} has the wrong sign",
                      "d(1/u) = −1/u²", {(t, 1): scaled(-1.0)}, node=t)  # fmt: skip
        yield Mistake(f"{node.label}: square lost", f"the term through {graph.node(b).label} was divided by it once, not twice",
                      "d(1/u) = −1/u²", {(t, 1): instead(lambda g, out, a, b: -g * out)}, node=t)  # fmt: skip
        if isinstance(a, Tensor):
            yield Mistake(f"{node.label}: divisor forgotten", f"what flows to {graph.node(a).label} was not divided by {graph.node(b).label}",
                          "d(u/v) = du/v − …", {(t, 0): instead(lambda g, out, a, b: g)}, node=t)  # fmt: skip


def _function(slope: str) -> Callable[[Graph, Node], Iterator[Mistake]]:
    def about(graph: Graph, node: Node) -> Iterator[Mistake]:
        t = node.tensor
        yield Mistake(f"{node.label}: its slope forgotten", f"the slope of {node.text}, {slope}, is missing", f"the slope is {slope}",
                      {(t, 0): instead(lambda g, out, x: g)}, node=t)  # fmt: skip

    return about


def _matmul(graph: Graph, node: Node) -> Iterator[Mistake]:
    t = node.tensor
    b = t.inputs[1]
    if isinstance(b, Tensor) and b.ndim > 1 and b.shape[-1] == b.shape[-2]:
        yield Mistake(f"{node.label}: not transposed", f"{graph.node(b).label} was not transposed on the way back", "dA = G·Bᵀ",
                      {(t, 0): instead(lambda g, out, a, b: g @ b)}, node=t)  # fmt: skip


_ABOUT: dict[str, Callable[[Graph, Node], Iterator[Mistake]]] = {
    "pow": _power,
    "rsqrt": _rsqrt,
    "mul": _product,
    "sub": _difference,
    "div": _quotient,
    "matmul": _matmul,
    "exp": _function("itself"),
    "log": _function("1/u"),
    "sqrt": _function("1/(2√u)"),
    "tanh": _function("1 − tanh²"),
    "sigmoid": _function("s·(1 − s)"),
}


def _about_a_parameter(graph: Graph, node: Node, leaves: Mapping[str, Tensor]) -> Iterator[Mistake]:
    """γ and β are broadcast: their gradients are sums."""
    t = node.tensor
    for name, leaf in leaves.items():
        for position, x in enumerate(t.inputs):
            if isinstance(x, Tensor) and _plain(x) is leaf and x.size < t.size and t.op is not None and t.op.elementwise:
                label, n = _called(graph, x), t.size // max(1, x.size)
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
    main, label = next(iter(leaves)), _called(graph, parameter)
    if main == name or leaves[main].size != t.size:
        return
    yield Mistake(
        f"{label} after instead of before", f"d{graph.node(leaves[main]).label} was multiplied by {label} at the end; {label} "
        "belongs to the cotangent before anything is averaged", f"g = dy·{label} comes first",
        {(t, position): instead(lambda g, out, *_: g)}, finish=partial(times_in, main, parameter._data, t.shape), node=t,
    )  # fmt: skip


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
    shapes = [x.shape, *(t.shape for t in graph.tensors if t.inputs and _plain(t) is x)]  # GroupNorm groups x first
    for node in graph.nodes:
        r = node.tensor
        shape = next((u for u in shapes if _meets(r.shape, u)), None)
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
