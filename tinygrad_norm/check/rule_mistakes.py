"""What people get wrong in the rule of one operation: a factor of its derivative, its sign, the other operand, what it reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from ..engine import Tensor
from ..engine.arrays import Array
from ..graph import Graph, Node
from .alterations import Mistake, instead, mean_along_another_axis, scaled, variance_along_another_axis, with_value_of


def plain(t: Tensor) -> Tensor:
    """What γ is, where the record has it reshaped for broadcasting."""
    while t.name is None and t.op is not None and t.op.name == "reshape" and isinstance(t.inputs[0], Tensor):
        t = t.inputs[0]
    return t


def _factor(graph: Graph, t: Tensor) -> str:
    """What it is called, in brackets where a product needs them."""
    return graph.node(plain(t)).operand


def called(graph: Graph, t: Tensor) -> str:
    return graph.node(plain(t)).label


def meets(small: tuple[int, ...], full: tuple[int, ...]) -> bool:
    return len(small) == len(full) and all(m in (1, n) for n, m in zip(full, small))


def said_axes(axis: Sequence[int]) -> str:
    return ", ".join(map(str, axis))


def wrong_axis(label: str, others: Sequence[int], axis: Sequence[int]) -> str:
    return f"the {label} term was averaged over axis {said_axes(others)}, not over {said_axes(axis)}"


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
    centred = any(x.name == "x̂" for x in graph.tensors)
    same = " (the same as: what is only centred stands for x̂ in {} of two places)" if centred else ""
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
        mine, its = called(graph, x), called(graph, other)
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
            name = called(graph, u)
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
        or not meets(rstd.shape, t.shape)
        or x.shape != t.shape
        or not (axis and others)
    ):
        return
    mu = x.inputs[1] if x.op is not None and x.op.name == "sub" else None
    if isinstance(mu, Tensor) and mu.op is not None and mu.op.name == "mean":
        yield Mistake(
            f"{node.label}: wrong axis for the mean", wrong_axis("mean", others, axis), f"−rstd·mean(g), the mean over axis {said_axes(axis)}",
            {(t, position): mean_along_another_axis(others), (mu, 0): scaled(0.0)}, node=mu,
        )  # fmt: skip
    yield Mistake(
        f"{node.label}: wrong axis for the variance", wrong_axis("variance", others, axis), f"−rstd·x̂·mean(g·x̂), the mean over axis {said_axes(axis)}",
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
                      f"d(1/{called(graph, b)}) = −1/{called(graph, b)}²", {(t, 1): scaled(-1.0)}, node=t)  # fmt: skip
        yield Mistake(f"{node.label}: square lost", f"the term through {graph.node(b).label} was divided by it once, not twice",
                      f"d(1/{called(graph, b)}) = −1/{called(graph, b)}²", {(t, 1): instead(lambda g, out, a, b: -g * out)}, node=t)  # fmt: skip
        if isinstance(a, Tensor):
            yield Mistake(f"{node.label}: divisor forgotten", f"what flows to {graph.node(a).label} was not divided by {graph.node(b).label}",
                          "d(u/v) = du/v − …", {(t, 0): instead(lambda g, out, a, b: g)}, node=t)  # fmt: skip


def _function(slope: str) -> Callable[[Graph, Node], Iterator[Mistake]]:
    def about(graph: Graph, node: Node) -> Iterator[Mistake]:
        t = node.tensor
        (x,) = t.inputs
        own = slope.replace("u", called(graph, x)) if isinstance(x, Tensor) else slope
        yield Mistake(f"{node.label}: its slope forgotten", f"the slope of {node.text}, {own}, is missing", f"the slope is {own}",
                      {(t, 0): instead(lambda g, out, x: g)}, node=t)  # fmt: skip

    return about


def _matmul(graph: Graph, node: Node) -> Iterator[Mistake]:
    t = node.tensor
    b = t.inputs[1]
    if isinstance(b, Tensor) and b.ndim > 1 and b.shape[-1] == b.shape[-2]:
        yield Mistake(f"{node.label}: not transposed", f"{graph.node(b).label} was not transposed on the way back", "dA = G·Bᵀ",
                      {(t, 0): instead(lambda g, out, a, b: g @ b)}, node=t)  # fmt: skip


RULES: dict[str, Callable[[Graph, Node], Iterator[Mistake]]] = {
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
