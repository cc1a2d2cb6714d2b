"""A record as a story: forward, the seed, backward share by share, and what adds up. All words and numbers are made here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..engine.arrays import Array
from ..graph import Folded, Graph, Node, shape_text
from ..graph.routes import Route
from ..graph.table import number
from .text import clean

MOST = 8  # rows and columns of a matrix that are shown
MOST_ROUTES = 8  # to choose from
_VIEWS = ("reshape", "transpose", "broadcast_to", "getitem", "astype")
_KINDS = {"input": "the input", "parameter": "a parameter", "constant": "a constant, nothing flows back to it"}


@dataclass(frozen=True)
class Matrix:
    """Some numbers to look at: written out, and each with its share of the largest, from −1 to 1, for a colour.

    of:  how many rows and columns there are in all
    """

    title: str
    shape: str
    cells: tuple[tuple[str, ...], ...]
    shades: tuple[tuple[float, ...], ...]
    of: tuple[int, int]

    @property
    def cut(self) -> str:
        """What is left out, in words."""
        rows, columns = len(self.cells), len(self.cells[0]) if self.cells else 0
        all_of_it = self.of == (rows, columns) or 0 in self.of
        return "" if all_of_it else f"the first {rows}×{columns} of {self.of[0]}×{self.of[1]}"

    def first(self, most: int) -> Matrix:
        """At most so many rows and columns of it."""
        cells = tuple(row[:most] for row in self.cells[:most])
        return Matrix(self.title, self.shape, cells, tuple(row[:most] for row in self.shades[:most]), self.of)


@dataclass(frozen=True)
class Step:
    """One step: what happens, in a sentence; which node and edges it is about; what to look at; what is new.

    options, answer, because:  of a question: what to choose from, which one is right, and why
    """

    phase: str
    text: str
    node: int
    edges: tuple[int, ...] = ()
    matrices: tuple[Matrix, ...] = ()
    changed: str = ""
    options: tuple[str, ...] = ()
    answer: int = -1
    because: str = ""


def matrix(title: str, array: Array, scale: float | None = None) -> Matrix:
    """The first eight rows and columns; what has more than two axes as rows of its last one.

    scale:  what a full colour stands for; by default the largest entry
    """
    array = np.asarray(array)
    flat: Array = array.reshape((-1, array.shape[-1]) if array.size else (0, 0)) if array.ndim else array.reshape(1, 1)
    shown = flat[:MOST, :MOST]
    largest = scale or _largest(flat) or 1.0
    shades = np.clip(np.nan_to_num(_ratio(shown, largest), nan=0.0, posinf=1.0, neginf=-1.0), -1, 1)
    return Matrix(
        clean(title),
        shape_text(array.shape) if array.ndim else "scalar",
        tuple(tuple(_short(v) for v in row) for row in shown.tolist()),
        tuple(tuple(round(float(v), 3) for v in row) for row in shades),
        (len(flat), int(flat.shape[-1])),
    )


def _ratio(shown: Array, largest: float) -> Array:
    with np.errstate(all="ignore"):
        return np.asarray(np.asarray(np.real(shown), np.float64) / largest)


def _largest(array: Array) -> float:
    size = np.abs(array[np.isfinite(array)])
    return float(size.max(initial=0.0)) if size.dtype.kind != "b" else float(size.any())


def _short(value: Any) -> str:
    return f"{value:.3g}".replace("-", "−") if not isinstance(value, bool) else str(value)


def length(array: Array) -> float:
    """Its norm, without overflow on the way."""
    largest = _largest(array)
    with np.errstate(all="ignore"):
        return float(largest * np.linalg.norm(np.asarray(array) / largest)) if largest else float(np.linalg.norm(array))


def steps_of(graph: Graph, grad_output: Any = None) -> list[Step]:
    """The whole story of a graph, for a cotangent of its output (by default a random one)."""
    return _Story(graph, graph.cotangent(grad_output)).steps


class _Story:
    def __init__(self, graph: Graph, dy: Array) -> None:
        self.graph, self.nodes = graph, graph.nodes
        self.found, self.shares = graph.gradients(dy), graph.shares(dy)
        self.into: dict[int, list[int]] = {}
        self.meeting: dict[int, list[int]] = {}  # the edges whose shares add up to the gradient of one tensor
        for k, e in enumerate(graph.edges):
            self.into.setdefault(e.target, []).append(k)
            if k in self.shares:
                self.meeting.setdefault(graph.passing(k).id, []).append(k)
        self.told: list[int] = []
        self.steps = [self.given(n) for n in self.nodes if n.op is None]
        self.steps += [self.forward(n) for n in self.nodes if n.op is not None]
        self.steps.append(self.seed(dy))
        self.steps += self.ask_for_a_route(dy)
        for n in reversed(self.nodes):
            for k in self.into.get(n.id, []):
                if k in self.shares:
                    self.hand_back(n, k)

    def given(self, n: Node) -> Step:
        label, shape = clean(n.label), shape_text(n.shape) if n.shape else "a number"
        said = f"{label} is given: {_KINDS.get(n.role, 'an input')}, {shape}."
        return Step("given", said, n.id, (), (matrix(label, n.tensor.data),), _numbers(n))

    def forward(self, n: Node) -> Step:
        label, text, edges = clean(n.label), clean(n.text), self.into.get(n.id, [])
        what = f"{label} = {text}" if text not in ("", label) and n.op != "fold" else label
        made = f"{clean(n.text)}, {_shape(n)}" if n.op == "fold" else _shape(n)
        shapes = " and ".join(dict.fromkeys(_shape(self.graph.passing(k)) for k in edges))
        spread = any(self.graph.edges[k].summed for k in edges)
        more = " The smaller one is spread to fit: on the way back, its gradient will be summed." if spread else ""
        said = f"{what}: from {shapes} comes {made}.{more}"
        shown = (matrix(_called(n), n.tensor.data),)
        return Step("forward", said, n.id, tuple(edges), shown, _numbers(n))

    def seed(self, dy: Array) -> Step:
        y = self.nodes[-1]
        name = _d(y)
        said = f"Now back. Whoever uses {_called(y)} says how much each of its entries matters: the cotangent {name}."
        return Step("seed", said, y.id, (), (matrix(name, dy),), f"{name} is known; no other gradient is.")

    def ask_for_a_route(self, dy: Array) -> list[Step]:
        """Before the turn: which route will give the most?"""
        graph = self.graph.whole if isinstance(self.graph, Folded) else self.graph
        x = graph.main_input
        if not x.requires_grad or not 1 < graph.count_routes(x) <= MOST_ROUTES:
            return []
        routes: Sequence[Route] = graph.routes(x, dy)
        sizes = [length(r.share) for r in routes]
        if len(set(sizes)) == 1:
            return []
        name = clean(graph.node(x).label)
        told = ", ".join(f"{r.letter} {number(s)}" for r, s in zip(routes, sizes))
        return [
            Step(
                "guess",
                f"Before the turn: {len(routes)} routes lead back from {_called(self.nodes[-1])} to {name}. "
                f"Which one will give the most to d{name}?",
                len(self.nodes) - 1,
                options=tuple(f"{r.letter}: {clean(r.title)}" for r in routes),
                answer=int(np.nanargmax(sizes)) if np.isfinite(sizes).any() else 0,
                because=f"Their lengths: {told}.",
            )
        ]

    def hand_back(self, n: Node, k: int) -> None:
        """One edge, and, if it was the last one its source waited for, the sum."""
        e, source = self.graph.edges[k], self.graph.passing(k)
        edges = self.meeting[source.id]
        label, name = clean(source.label), _d(source)
        more = f", summed to the shape of {label}, which was spread" if e.summed else ""
        said = f"{clean(n.label)} hands {label} its share: {self.rule(n, k)}{more}."
        before = self.so_far(edges)
        self.told.append(k)
        count, of = sum(i in self.told for i in edges), f"of {len(edges)} shares"
        if len(edges) == 1:
            changed = f"{name} is complete; its length is {number(length(self.so_far(edges)))}."
        elif count == len(edges):
            changed = f"{name} has {count} {of}: they can be added."
        else:
            changed = (
                f"{name} has {count} {of}; its length so far: {number(length(before))}, now {number(length(self.so_far(edges)))}."
            )
        shown = [matrix(_d(n), self.found[n.id])] if n.id in self.found else []
        shown.append(matrix(self.share_title(n, source), self.shares[k]))
        self.steps.append(Step("backward", said, e.source, (k,), tuple(shown), changed))
        if count == len(edges):
            self.complete(source, edges)

    def so_far(self, edges: list[int]) -> Array:
        parts = [self.shares[k] for k in edges if k in self.told]
        return np.asarray(np.sum(parts, axis=0)) if parts else np.zeros(())

    def share_title(self, n: Node, source: Node) -> str:
        return f"share of {_d(source)} by way of {clean(n.label)}"

    def rule(self, n: Node, k: int) -> str:
        """What becomes of the cotangent on its way through a node."""
        rule = clean(self.graph.edges[k].rule)
        if not rule and n.op == "fold":
            return f"{_d(n)}, through all that is in the box"
        if not rule:
            return f"{_d(n)}, rearranged" if n.op in _VIEWS else f"{_d(n)} through the backward rule of {n.op}"
        return f"{_d(n)} as it is" if rule == "×1" else f"{_d(n)} {rule}"

    def complete(self, n: Node, edges: list[int]) -> None:
        total = self.so_far(edges)
        label, name, at = clean(n.label), _d(n), self.graph.edges[edges[0]].source
        size = f"Its length is {number(length(total))}."
        if len(edges) > 1:
            parts = [
                (self.share_title(self.nodes[self.graph.edges[k].target], n), self.shares[k]) for k in edges
            ]  # fmt: skip
            self.ask_for_a_sum(n, at, edges, [a for _, a in parts], total)
            scale = max(_largest(np.asarray(a)) for _, a in [*parts, ("", total)])  # one for all, so that they can be compared
            shown = tuple(matrix(title, a, scale) for title, a in [*parts, (name, total)])
            said = f"{len(edges)} shares meet at {label}. What {label} does, it does in all of these ways: they add up to {name}. {size}"
            lengths = " and ".join(number(length(a)) for _, a in parts)
            self.steps.append(
                Step(
                    "sum",
                    said,
                    at,
                    tuple(edges),
                    shown,
                    f"{name} is complete: the shares' lengths are {lengths}, that of their sum {number(length(total))}.",
                )
            )
        elif n.op is None:
            said = f"{name} is complete: this was its only share. {size}"
            self.steps.append(Step("sum", said, at, tuple(edges), (matrix(name, total),), f"{name} is complete."))

    def ask_for_a_sum(self, n: Node, at: int, edges: list[int], parts: list[Array], total: Array) -> None:
        longest, whole = max(length(a) for a in parts), length(total)
        if not (np.isfinite(longest) and np.isfinite(whole)) or abs(longest - whole) <= 1e-6 * longest:
            return
        shorter = whole < longest
        self.steps.append(
            Step(
                "guess",
                f"{'Both' if len(edges) == 2 else f'All {len(edges)}'} shares of {_d(n)} are here. Will their sum be longer than the longest of them, or shorter?",
                at,
                tuple(edges),
                options=("longer: they help each other", "shorter: they take something away from each other"),
                answer=int(shorter),
                because=f"The longest share has length {number(longest)}, the sum {number(whole)}.",
            )
        )


def _d(n: Node) -> str:
    """What its gradient is called: dx̂, d(σ² + ε)."""
    return f"d{_called(n) if n.op == 'fold' else clean(n.operand)}"


def _called(n: Node) -> str:
    """A node's label; for a box, that of what leaves it."""
    return clean(n.tensor.name or n.text.split(", ")[-1]) if n.op == "fold" else clean(n.label)


def _shape(n: Node) -> str:
    return shape_text(n.shape) if n.shape else "a number"


def _numbers(n: Node) -> str:
    size = n.tensor.size
    return f"{_called(n)} is known: {size:,} number{'s' if size != 1 else ''}."


def facts(graph: Graph, found: dict[int, Array]) -> list[dict[str, Any]]:
    """What there is to know of each node, for whoever looks at one."""
    users: dict[int, list[str]] = {}
    stopped: dict[int, bool] = {}
    for k, e in enumerate(graph.edges):
        users.setdefault(e.source, []).append(clean(graph.nodes[e.target].label))
        stopped[e.source] = stopped.get(e.source, True) and not graph.passes(k)
    told = []
    for n in graph.nodes:
        label, text = clean(n.label), clean(n.text)
        lines = [f"{label} = {text}" if text not in ("", label) else label]
        made = f", made by {n.op}" if n.op not in (None, "fold") else ""
        lines.append(
            f"{n.role}, {_shape(n)}, {n.dtype}{made}" + (f", recorded in {clean(' › '.join(n.scope))}" if n.scope else "")
        )
        if users.get(n.id):
            lines.append("used by " + ", ".join(dict.fromkeys(users[n.id])))
        lines.append(_spread("its numbers", n.tensor.data))
        if n.id in found:
            lines.append(_spread(f"its gradient {_d(n)}", found[n.id]) + f", length {number(length(found[n.id]))}")
        elif stopped.get(n.id):
            lines.append("nothing flows back to it")
        shown = [matrix(label, n.tensor.data)]
        shown += [matrix(_d(n), found[n.id])] if n.id in found else []
        told.append({"lines": lines, "matrices": shown})
    return told


def _spread(what: str, array: Array) -> str:
    array = np.asarray(array)
    if array.dtype.kind not in "fiu" or not array.size:
        return f"{what}: {array.size} of {array.dtype}"
    finite = array[np.isfinite(array)]
    bad = array.size - finite.size
    odd = f", {bad:,} not finite" if bad else ""
    if not finite.size:
        return f"{what}: none is finite"
    return (
        f"{what}: from {_short(float(finite.min()))} to {_short(float(finite.max()))}, mean {_short(float(finite.mean()))}{odd}"
    )
