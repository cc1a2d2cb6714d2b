"""A record as a story: forward, the seed, backward share by share, and what adds up. All words and numbers are made here."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..engine.arrays import Array
from ..graph import Graph, Node, shape_text
from ..graph.routes import along
from ..graph.table import number
from .text import clean

MOST = 8  # rows and columns of a matrix that are shown


@dataclass(frozen=True)
class Matrix:
    """Some numbers to look at: written out, and each with its share of the largest, from −1 to 1, for a colour."""

    title: str
    shape: str
    cells: tuple[tuple[str, ...], ...]
    shades: tuple[tuple[float, ...], ...]
    cut: str = ""


@dataclass(frozen=True)
class Step:
    """One step: what happens, in a sentence; which node and edges it is about; what to look at."""

    phase: str
    text: str
    node: int
    edges: tuple[int, ...] = ()
    matrices: tuple[Matrix, ...] = ()

    def plain(self) -> dict[str, Any]:
        return asdict(self)


def matrix(title: str, array: Array, scale: float | None = None) -> Matrix:
    """The first rows and columns; what has more than two axes as rows of its last one.

    scale:  what a full colour stands for; by default the largest entry
    """
    array = np.asarray(array)
    flat = array.reshape(-1, array.shape[-1]) if array.ndim else array.reshape(1, 1)
    shown = flat[:MOST, :MOST]
    largest = scale or _largest(flat) or 1.0
    shades = np.clip(np.nan_to_num(shown / largest, nan=0.0, posinf=1.0, neginf=-1.0), -1, 1)
    cut = "" if shown.shape == flat.shape else f"the first {shown.shape[0]}×{shown.shape[1]} of {flat.shape[0]}×{flat.shape[1]}"
    return Matrix(
        clean(title),
        shape_text(array.shape) if array.ndim else "scalar",
        tuple(tuple(_short(v) for v in row) for row in shown.tolist()),
        tuple(tuple(round(float(v), 3) for v in row) for row in shades),
        cut,
    )


def _largest(array: Array) -> float:
    return float(np.abs(array[np.isfinite(array)]).max(initial=0.0))


def _short(value: float) -> str:
    return f"{value:.3g}".replace("-", "−")


def steps_of(graph: Graph, grad_output: Any = None) -> list[Step]:
    """The whole story of a graph, for a cotangent of its output (by default a random one)."""
    return _Story(graph, graph.cotangent(grad_output)).steps


class _Story:
    def __init__(self, graph: Graph, dy: Array) -> None:
        self.graph, self.nodes = graph, graph.nodes
        self.found = graph.gradients(dy)
        self.into: dict[int, list[int]] = {}
        self.out_of: dict[int, list[int]] = {}
        for k, e in enumerate(graph.edges):
            self.into.setdefault(e.target, []).append(k)
            if e.source in self.found and e.target in self.found and e.rule != "no gradient":
                self.out_of.setdefault(e.source, []).append(k)
        self.shares: dict[int, tuple[str, Array]] = {}
        self.steps = [self.given(n) for n in self.nodes if n.op is None]
        self.steps += [self.forward(n) for n in self.nodes if n.op is not None]
        self.steps.append(self.seed(dy))
        for n in reversed(self.nodes):
            if n.id in self.found:
                for k in self.into.get(n.id, []):
                    self.hand_back(n, k)

    def given(self, n: Node) -> Step:
        kinds = {"input": "the input", "parameter": "a parameter", "constant": "a constant, nothing flows back to it"}
        label, shape = clean(n.label), shape_text(n.shape) if n.shape else "a number"
        return Step(
            "given", f"{label} is given: {kinds.get(n.role, n.role)}, {shape}.", n.id, (), (matrix(label, n.tensor.data),)
        )

    def forward(self, n: Node) -> Step:
        label, text, edges = clean(n.label), clean(n.text), self.into.get(n.id, [])
        what = f"{label} = {text}" if text not in ("", label) else label
        shapes = " and ".join(_shape(self.nodes[self.graph.edges[k].source]) for k in edges)
        spread = any(self.graph.edges[k].summed for k in edges)
        more = " The smaller one is spread to fit: on the way back, its gradient will be summed." if spread else ""
        said = f"{what}: from {shapes} comes {_shape(n)}.{more}"
        return Step("forward", said, n.id, tuple(edges), (matrix(label, n.tensor.data),))

    def seed(self, dy: Array) -> Step:
        y = self.nodes[-1]
        said = f"Now back. Whoever uses {clean(y.label)} says how much each of its entries matters: the cotangent {_d(y)}."
        return Step("seed", said, y.id, (), (matrix(_d(y), dy),))

    def hand_back(self, n: Node, k: int) -> None:
        """One edge, and, if it was the last one its source waited for, the sum."""
        e = self.graph.edges[k]
        edges = self.out_of.get(e.source, [])
        if k not in edges:
            return
        source = self.nodes[e.source]
        rule = {"": f"{_d(n)}, rearranged", "×1": f"{_d(n)} as it is"}.get(e.rule, f"{_d(n)} {clean(e.rule)}")
        more = f", summed to the shape of {clean(source.label)}, which was spread" if e.summed else ""
        self.shares[k] = f"share of {_d(source)} by way of {clean(n.label)}", along(self.graph, [e], self.found[n.id])
        said = f"{clean(n.label)} hands {clean(source.label)} its share: {rule}{more}."
        before = (matrix(_d(n), self.found[n.id]),)
        self.steps.append(Step("backward", said, source.id, (k,), (*before, matrix(*self.shares[k]))))
        if all(edge in self.shares for edge in edges):
            self.complete(source, edges)

    def complete(self, n: Node, edges: list[int]) -> None:
        g, label = self.found[n.id], clean(n.label)
        size = f"Its length is {number(float(np.linalg.norm(g)))}."
        if len(edges) > 1:
            several = [*(self.shares[k] for k in edges), (_d(n), g)]
            scale = max(_largest(np.asarray(a)) for _, a in several)  # one for all, so that they can be compared
            shown = tuple(matrix(title, a, scale) for title, a in several)
            said = f"{len(edges)} shares meet at {label}. What {label} does, it does in all of these ways: they add up to {_d(n)}. {size}"
            self.steps.append(Step("sum", said, n.id, tuple(edges), shown))
        elif n.op is None:
            self.steps.append(
                Step("sum", f"{_d(n)} is complete: this was its only share. {size}", n.id, tuple(edges), (matrix(_d(n), g),))
            )


def _d(n: Node) -> str:
    """What its gradient is called: dx̂, d(σ² + ε)."""
    return f"d{clean(n.operand)}"


def _shape(n: Node) -> str:
    return shape_text(n.shape) if n.shape else "a number"
