"""A record as a story: forward, the seed, backward share by share, and what adds up. All words and numbers are made here."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..engine.arrays import Array
from ..graph import Node, Record, shape_text
from ..graph.levels import IN, OUT, Level
from ..graph.routes import Route, find_routes
from ..graph.table import number
from ..graph.words import sign_of
from .text import clean, norm, shorten

MOST = 8  # rows and columns of a matrix that are shown
MOST_OF_THREE = 6  # of each, where three stand side by side
MOST_TOLD = 4  # shares whose lengths are told one by one
MOST_ROUTES = 8  # to choose from
LONGEST = 40  # characters of a name in a sentence
TELLING = 2e-3  # the least difference that four digits tell
_VIEWS = ("reshape", "transpose", "broadcast_to", "getitem", "astype")
_KINDS = {
    "input": "an input",
    "parameter": "a parameter, it gets a gradient, too",
    "leaf": "it gets a gradient",
    "cotangent": "the cotangent that a gradient was asked for with",
    "constant": "nothing flows back to it",
}


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

    scale:  what a full colour stands for; by default the largest entry shown
    """
    array, flat = np.asarray(array), _table(array)
    shown = flat[:MOST, :MOST]
    largest = scale or _largest(shown) or 1.0
    shades = np.clip(np.nan_to_num(_ratio(shown, largest), nan=0.0, posinf=1.0, neginf=-1.0), -1, 1)
    return Matrix(
        clean(title),
        shape_text(array.shape) if array.ndim else "scalar",
        tuple(tuple(_short(v) for v in row) for row in shown.tolist()),
        tuple(tuple(round(float(v), 3) for v in row) for row in shades),
        (len(flat), int(flat.shape[-1])),
    )


def _table(array: Array) -> Array:
    """As rows of its last axis."""
    array = np.asarray(array)
    return array.reshape((-1, array.shape[-1]) if array.size else (0, 0)) if array.ndim else array.reshape(1, 1)


def _ratio(shown: Array, largest: float) -> Array:
    with np.errstate(all="ignore"):
        return np.asarray(np.asarray(np.real(shown), np.float64) / largest)


def _largest(array: Array) -> float:
    size = np.abs(array[np.isfinite(array)])
    return float(size.max(initial=0.0)) if size.dtype.kind != "b" else float(size.any())


def _short(value: Any) -> str:
    return f"{value:.3g}".replace("-", "−") if not isinstance(value, bool) else str(value)


def steps_of(graph: Record, grad_output: Any = None) -> list[Step]:
    """The whole story of a graph, for a cotangent of its output (by default a random one)."""
    dy = graph.cotangent(grad_output)
    return _Story(graph, dy, graph.shares(dy), graph.whole.gradients(dy)).steps


def told_of(level: Level, shares: dict[int, Array], gradients: dict[int, Array], numbers: bool) -> tuple[list[Step], list[Step]]:
    """What happens inside one box, forward and back, given the shares and the gradients of the whole record."""
    story = _Story(level, None, shares, gradients, numbers)
    turn = next((k for k, s in enumerate(story.steps) if s.phase not in ("given", "forward")), len(story.steps))
    return story.steps[:turn], story.steps[turn:]


class _Story:
    def __init__(
        self, graph: Record, dy: Array | None, shares: dict[int, Array], gradients: dict[int, Array], numbers: bool = True
    ) -> None:
        self.numbers = numbers
        self.graph, self.nodes = graph, graph.nodes
        self.shares = shares
        self.into: dict[int, list[int]] = {}
        self.meeting: dict[int, list[int]] = {}  # the edges whose shares add up to the gradient of one tensor
        for k, e in enumerate(graph.edges):
            self.into.setdefault(e.target, []).append(k)
            if k in self.shares:
                self.meeting.setdefault(graph.passing(k).id, []).append(k)
        whole = graph.whole
        self.gradient_of = gradients
        labels = {n.label for n in graph.nodes}
        self.sign = "∇" if any(f"d{label}" in labels for label in labels) else "d"  # not the name of something else
        self.told: list[int] = []
        self.ports = {whole.ids[n.tensor]: n for n in self.nodes if n.op == IN}
        self.steps = [self.given(n) for n in self.nodes if n.op is None]
        self.steps += [self.forward(n) for n in self.nodes if n.op not in (None, IN, OUT)]
        if dy is not None:
            self.steps.append(self.seed(dy))
            self.steps += self.ask_for_a_route(dy)
        for n in reversed(self.nodes):
            for k in self.into.get(n.id, []):
                if k in self.shares:
                    self.hand_back(n, k)

    def matrices(self, title: str, array: Array, scale: float | None = None) -> tuple[Matrix, ...]:
        """The numbers to look at, where any are wanted."""
        return (matrix(title, array, scale),) if self.numbers else ()

    def d(self, n: Node) -> str:
        """What its gradient is called: dx̂, d(σ² + ε)."""
        return self.sign + _bound(n) + (" from here" if n.id in self.ports and self.is_inside else "")

    @property
    def is_inside(self) -> bool:
        """Whether it is told of the inside of a box: of what comes in only a share of the gradient comes from here."""
        return isinstance(self.graph, Level) and not self.graph.is_root

    def given(self, n: Node) -> Step:
        label, shape = _name(n.label), shape_text(n.shape) if n.shape else "a number"
        said = f"{label} is given: {_KINDS.get(n.role, 'computed elsewhere')}, {shape}."
        return Step("given", said, n.id, (), self.matrices(label, n.tensor.data), _numbers(n))

    def forward(self, n: Node) -> Step:
        label, text, edges, made_of = _name(n.label), _name(n.text), self.into.get(n.id, []), self.graph.outlets(n.id)
        what = f"{label} = {text}" if text not in ("", label) and n.op != "fold" else label
        what = text if text and n.op != "fold" and n.label == sign_of(n.tensor) else what  # it has no name
        made = " and ".join(f"{_called(m)}, {_shape(m)}" if n.op == "fold" else _shape(m) for m in made_of)
        shapes = " and ".join(_shape(self.graph.passing(k)) for k in edges) or "nothing"
        spread = any(self.graph.edges[k].summed for k in edges)
        more = " The smaller one is spread to fit: on the way back, its gradient will be summed." if spread else ""
        said = f"{what}: from {shapes} comes {made}.{more}"
        shown = tuple(p for m in made_of for p in self.matrices(_called(m), m.tensor.data))
        return Step("forward", said, n.id, tuple(edges), shown, " ".join(map(_numbers, made_of)))

    def seed(self, dy: Array) -> Step:
        y, at = self.graph.outlets(len(self.nodes) - 1)[0], len(self.nodes) - 1
        name = self.d(y)
        matters = "how much each of its entries matters" if dy.size != 1 else "how much it matters"
        said = f"Now back. Whoever uses {_called(y)} says {matters}: the cotangent {name}."
        return Step("seed", said, at, (), self.matrices(name, dy), f"{name} is known; no other gradient is.")

    def ask_for_a_route(self, dy: Array) -> list[Step]:
        """Before the turn: which route will give the most?"""
        graph = self.graph.whole
        x = graph.main_input
        if not x.requires_grad or not 1 < graph.count_routes(x) <= MOST_ROUTES:
            return []
        routes: Sequence[Route] = find_routes(graph, x, dy)
        sizes = [norm(r.share) for r in routes]
        answer = largest(sizes)
        if answer is None:
            return []
        name = _name(graph.node(x).label)
        told = ", ".join(f"{r.letter} {number(s)}" for r, s in zip(routes, sizes))
        return [
            Step(
                "guess",
                f"First a guess: {len(routes)} routes lead back from {_called(self.graph.outlets(len(self.nodes) - 1)[0])} "
                f"to {name}. Which one will give the most to {self.d(graph.node(x))}?",
                len(self.nodes) - 1,
                options=tuple(f"{r.letter}: {shorten(clean(r.title), 2 * LONGEST)}" for r in routes),
                answer=answer,
                because=f"Their lengths: {told}.",
            )
        ]

    def hand_back(self, n: Node, k: int) -> None:
        """One edge, and, if it was the last one its source waited for, the sum."""
        e, source = self.graph.edges[k], self.graph.passing(k)
        edges, label, name = self.meeting[source.id], _name(source.label), self.d(source)
        more = f", summed to the shape of {label}, which was spread" if e.summed else ""
        kind = "share" if len(edges) > 1 or source.id in self.ports else "gradient"
        said = f"{_name(n.label)} hands {label} its {kind}: {self.rule(n, k)}{more}."
        if n.op == OUT:
            said = f"From outside the box {label} is handed {'its gradient' if len(edges) == 1 else 'a share of its gradient'}."
        before = self.so_far(edges)
        self.told.append(k)
        now, count = self.so_far(edges), sum(i in self.told for i in edges)
        if len(edges) == 1:
            changed = f"{name} is complete; its length is {number(norm(now))}."
        elif count == len(edges):
            changed = f"{name} has {count} of {count} shares: they can be added."
        else:
            lengths = f"its length so far: {number(norm(before))}, now {number(norm(now))}"
            changed = f"{name} has {count} of {len(edges)} shares; {lengths}."
        shown = [
            p
            for m in self.graph.outlets(n.id)
            if m.id in self.gradient_of
            for p in self.matrices(self.d(m), self.gradient_of[m.id])
        ]
        shown += self.matrices(self.share_title(n, source) if len(edges) > 1 else name, self.shares[k])
        self.steps.append(Step("backward", said, e.source, (k,), tuple(shown), changed))
        if count == len(edges) > 1:
            self.complete(source, edges)

    def so_far(self, edges: list[int]) -> Array:
        parts = [self.shares[k] for k in edges if k in self.told]
        return np.asarray(np.sum(parts, axis=0)) if parts else np.zeros(())

    def share_title(self, n: Node, source: Node) -> str:
        return f"share of {self.d(source)} by way of {_name(n.label)}"

    def rule(self, n: Node, k: int) -> str:
        """What becomes of the cotangent on its way through a node."""
        rule, name = _name(self.graph.edges[k].rule), " and ".join(map(self.d, self.graph.outlets(n.id)))
        copied = ", for each of the entries that went into it" if n.op in ("sum", "mean") else ""
        if not rule or rule.startswith("["):
            through = "all that is in the box" if n.op == "fold" else f"the backward rule of {n.op}"
            return f"{name}, rearranged" if not rule and n.op in _VIEWS else f"{name}, through {through}"
        if rule.endswith("@"):  # a matrix from the left
            return f"{rule} {name}"
        return f"{name}{'' if copied else ' as it is'}{copied}" if rule == "×1" else f"{name} {rule}{copied}"

    def complete(self, n: Node, edges: list[int]) -> None:
        total = self.so_far(edges)
        label, name, at = _name(n.label), self.d(n), self.graph.edges[edges[0]].source
        parts = [(self.share_title(self.nodes[self.graph.edges[k].target], n), self.shares[k]) for k in edges]
        self.ask_for_a_sum(n, at, edges, [a for _, a in parts], total)
        several = [*parts, (name, total)]
        scale = max(_largest(_table(a)[:MOST_OF_THREE, :MOST_OF_THREE]) for _, a in several)  # one for all, to be compared
        shown = tuple(p.first(MOST_OF_THREE) for title, a in several for p in self.matrices(title, a, scale))
        size = number(norm(total))
        said = f"{len(edges)} shares meet at {label}. What {label} does, it does in all of these ways: they add up to {name}."
        lengths = " and ".join(number(norm(a)) for _, a in parts)
        changed = f"{name} is complete: the shares' lengths are {lengths}, that of their sum {size}."
        if len(parts) > MOST_TOLD:
            sizes = [norm(a) for _, a in parts]
            top = int(np.nanargmax(sizes))
            by = _name(self.nodes[self.graph.edges[edges[top]].target].label)
            changed = f"{name}: {len(parts)} shares meet, the largest from {by}, {number(sizes[top])}; the length of their sum is {size}."
        self.steps.append(Step("sum", said, at, tuple(edges), shown, changed))

    def ask_for_a_sum(self, n: Node, at: int, edges: list[int], parts: list[Array], total: Array) -> None:
        longest, whole = max(norm(a) for a in parts), norm(total)
        if not (np.isfinite(longest) and np.isfinite(whole)) or abs(longest - whole) <= TELLING * longest:
            return
        shorter = whole < longest
        self.steps.append(
            Step(
                "guess",
                f"{'Both' if len(edges) == 2 else f'All {len(edges)}'} shares of {self.d(n)} are here. Will their sum be longer than the longest of them, or shorter?",
                at,
                tuple(edges),
                options=("longer: they help each other", "shorter: they take something away from each other"),
                answer=int(shorter),
                because=f"The longest share has length {number(longest)}, the sum {number(whole)}.",
            )
        )


def largest(sizes: Sequence[float]) -> int | None:
    """Which is the largest, if one is by more than a learner could miss."""
    if len(sizes) < 2 or np.isnan(sizes).any():
        return None
    second, first = np.argsort(sizes)[-2:]
    return int(first) if sizes[first] > (1 + TELLING) * sizes[second] else None


def _bound(n: Node) -> str:
    """A node's name as something can stand before it: σ², x̂, but (x̂·γ)."""
    name = _called(n)
    word = all(c.isalnum() or c in "_'" or unicodedata.combining(c) for c in name)
    return name if word and (n.tensor.name or n.op is None or name.isascii()) else f"({name})"


def _called(n: Node) -> str:
    """A node's label; for a box, that of what leaves it."""
    return _name(n.tensor.name or n.text.split(", ")[-1] if n.op == "fold" else n.label)


def _name(text: str) -> str:
    return shorten(clean(text), LONGEST)


def _shape(n: Node) -> str:
    return shape_text(n.shape) if n.shape else "a number"


def _numbers(n: Node) -> str:
    size = n.tensor.size
    return f"{_called(n)} is known: {size:,} number{'s' if size != 1 else ''}."


def facts(graph: Record, found: dict[int, Array], numbers: bool = True) -> list[dict[str, Any]]:
    """What there is to know of each node, for whoever looks at one: lines, and the matrices of its numbers and gradient."""
    users: dict[int, list[str]] = {}
    stopped: dict[int, bool] = {}
    for k, e in enumerate(graph.edges):
        users.setdefault(e.source, []).append(_name(graph.nodes[e.target].label))
        stopped[e.source] = stopped.get(e.source, True) and not graph.passes(k)
    told = []
    for n in graph.nodes:
        label, text = _name(n.label), _name(n.text)
        lines = [f"{label} = {text}" if text not in ("", label) else label]
        made = f", made by {n.op}" if n.op not in (None, "fold") else ""
        lines.append(
            f"{n.role}, {_shape(n)}, {n.dtype}{made}" + (f", recorded in {clean(' › '.join(n.scope))}" if n.scope else "")
        )
        if users.get(n.id):
            lines.append("used by " + ", ".join(dict.fromkeys(users[n.id])))
        own = n.tensor.data
        lines.append(
            _spread("its numbers", own) + (f", length {number(norm(own))}" if own.dtype.kind == "f" and own.size else "")
        )
        if n.id in found:
            lines.append(_spread("its gradient", found[n.id]) + f", length {number(norm(found[n.id]))}")
        elif stopped.get(n.id):
            lines.append("nothing flows back to it")
        shown = [matrix(label, n.tensor.data)] if numbers else []
        shown += [matrix("its gradient", found[n.id])] if n.id in found and numbers else []
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
