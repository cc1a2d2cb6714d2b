"""The gradient split into its routes: every way from an input to the output, with its share in numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..engine import GradientError, Tensor, describe, pull_back
from ..engine.arrays import Array
from ..engine.shapes import number as real
from ..loans import open_lenders
from .notebook import bundle
from .record import REDUCTIONS, Edge, Node, Record, along
from .table import ascii_text, bar, harmless, number, table, to_json
from .words import NO_GRADIENT, is_automatic, sign_of, width


@dataclass(frozen=True)
class ClosedForm:
    """A route's share as a formula, and, where that is zero, why."""

    text: str
    zero: str | None = None


_closed_form: list[Callable[[Route], ClosedForm | None]] = []


def lend_closed_form(function: Callable[[Route], ClosedForm | None]) -> None:
    """Teach every route its formula. The deriving room does, so that this one needs no algebra."""
    _closed_form[:] = [function]


@dataclass(frozen=True, eq=False)
class Route:
    """One way from the source to the output.

    letter:  A, B, … in the order of the table
    title:   ``direct``, ``through μ``, ``through the μ inside σ²``
    edges:   from the source to the output
    share:   its contribution to the source's gradient, of the source's shape
    through: of a route through boxes, the places of all edges of the whole record that it goes along
    """

    graph: Record
    letter: str
    title: str
    edges: tuple[Edge, ...]
    share: Array
    through: frozenset[int] | None = None

    @property
    def nodes(self) -> tuple[int, ...]:
        """The ids of the nodes it passes, the source first."""
        return (self.edges[0].source, *(e.target for e in self.edges)) if self.edges else ()

    @property
    def passes(self) -> str:
        """The nodes it passes, as the backward pass meets them."""
        return " ← ".join(self.graph.nodes[i].label for i in self.nodes)

    @property
    def rules(self) -> str:
        """The chain rule along it: the product of the local derivatives, output first."""
        nodes = self.graph.nodes
        ops = {e: nodes[e.target].label if nodes[e.target].op == "fold" else nodes[e.target].op for e in self.edges}
        steps = [
            ("Σ " if e.summed else "") + (f"[{e.rule}]" if "@" in e.rule else e.rule or f"[{ops[e]}]")
            for e in reversed(self.edges)
            if e.rule != "×1" or e.summed
        ]
        return " ".join(steps) or "×1"

    @property
    def norm(self) -> float:
        return float(np.linalg.norm(self.share))

    @cached_property
    def closed_form(self) -> ClosedForm | None:
        """Its share as a formula; None where the ops have no symbolic meaning yet, and through boxes."""
        if self.through is not None:
            return None
        open_lenders("graph")
        return _closed_form[0](self) if _closed_form else None


class Routes(Sequence[Route]):
    """All routes from one input to the output; they add up to the gradient. Print it for the table.

    source:  the input
    total:   the gradient, from the ordinary backward pass
    """

    def __init__(self, graph: Record, source: Tensor, cotangent: Array, routes: Sequence[Route], total: Array) -> None:
        self.graph, self.source, self.cotangent, self.total = graph, source, cotangent, total
        self._routes = list(routes)

    def __getitem__(self, index: Any) -> Any:
        """By position, or by letter: ``routes["B"]``."""
        if isinstance(index, str):
            return next(r for r in self._routes if r.letter == index)
        return self._routes[index]

    def __len__(self) -> int:
        return len(self._routes)

    def __iter__(self) -> Iterator[Route]:
        return iter(self._routes)

    @property
    def running(self) -> list[float]:
        """The norm of the sum of the first routes, after each: the last is the gradient's."""
        sums = np.cumsum([r.share for r in self], axis=0)
        return [float(np.linalg.norm(s)) for s in sums]

    @property
    def gap(self) -> float:
        """max |sum of the routes − gradient|: rounding."""
        return float(np.max(np.abs(np.sum([r.share for r in self], axis=0) - self.total), initial=0))

    @cached_property
    def energy(self) -> Energy:
        """‖direct‖² split into what stays in the gradient and what the other routes take out of it."""
        direct, *others = self._routes
        scale = direct.norm**2
        kept = float(np.linalg.norm(self.total)) ** 2
        taken = tuple((r.letter, r.title, r.norm**2) for r in others)
        gap = scale - kept - sum(e for _, _, e in taken)
        return Energy(scale, kept, taken, gap)

    @classmethod
    def of(cls, graph: Record, letter: str) -> Route | None:
        """The route of that letter from the main input, if there is one."""
        try:
            return next((r for r in find_routes(graph, graph.main_input) if r.letter == letter), None)
        except GradientError:
            return None

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return bundle("routes", self.text, "routes", self)

    def to_json(self) -> str:
        rows = [
            {
                "letter": r.letter,
                "title": r.title,
                "passes": [self.graph.nodes[i].label for i in r.nodes],
                "rules": r.rules,
                "closed_form": r.closed_form and r.closed_form.text,
                "zero_because": r.closed_form and r.closed_form.zero,
                "norm": r.norm,
                "running_sum": s,
            }
            for r, s in zip(self, self.running)
        ]
        return to_json({"routes": rows, "gap": self.gap})

    def __str__(self) -> str:
        return self.text()

    def text(self, ascii: bool = False, columns: int = 80) -> str:
        """The table; with ``ascii`` everything is spelled out. Where a line would be too long, shares get their own."""
        import textwrap

        name, y = self.graph.node(self.source).label, self.graph.nodes[-1].label
        count = "one route" if len(self) == 1 else f"{len(self)} routes"
        head = f"{count} from {name} to {y}: their sum is d{name} (max |Δ| to the backward pass {number(self.gap)})"
        for beside in (True, False):
            rows: list[tuple[str, ...]] = []
            for r, running in zip(self, self.running):
                form = r.closed_form
                share = form.text if form else r.rules
                rows.append((r.letter, r.title, *([share] if beside else []), number(r.norm), number(running)))
                below = [] if beside else [f"share: {share}"]
                below += [r.passes] + ([f"zero, because {form.zero}"] if form and form.zero else [])
                spell = ascii_text if ascii else str
                wrapped = [part for line in below for part in textwrap.wrap(spell(line), columns - 4, subsequent_indent="  ")]
                rows += [("", part, *[""] * (len(rows[0]) - 2)) for part in wrapped]
            header = ("", "route", *(["share of the gradient"] if beside else []), "norm", "sum so far")
            text = table(header, rows, spill=1, ascii=ascii)
            if max(width(line) for line in text.splitlines()) <= columns:
                break
        return harmless((ascii_text(head) if ascii else head) + "\n" + text)


@dataclass(frozen=True)
class Energy:
    """‖direct‖² = kept + taken + gap. For a projection the gap is ε's doing, and small."""

    direct: float
    kept: float
    taken: tuple[tuple[str, str, float], ...]
    gap: float

    @property
    def relative_gap(self) -> float:
        return abs(self.gap) / self.direct if self.direct else 0.0

    @property
    def holds(self) -> bool:
        """Whether the routes are orthogonal enough for shares to mean anything: the gap is small beside each part."""
        parts = [e for e in (self.kept, *(e for *_, e in self.taken)) if e > 1e-20 * self.direct]
        return abs(self.gap) <= 0.05 * min(parts, default=0.0)

    def __str__(self) -> str:
        if not self.holds:
            return (
                f"energy: not split, because the routes are not orthogonal enough: the gap, {number(self.relative_gap)} of ‖A‖², is not "
                "small beside every part. (Is ε large beside σ²?)"
            )
        shares = [("dx", self.kept), *((letter, e) for letter, _, e in self.taken)]
        terms = " + ".join(
            "‖dx‖²" if name == "dx" else f"‖{name}‖²" for name, e in shares if name == "dx" or e / self.direct > 1e-20
        )
        lines = [f"energy: ‖A‖² = {terms}   (gap {self.relative_gap:.1e}: ε's doing)"]
        for name, e in shares:
            if name == "dx" or e / self.direct > 1e-20:
                what = "stays in dx" if name == "dx" else f"{name} takes out"
                lines.append(f"  {what:<12} {e / self.direct:6.1%} {bar(e / self.direct, 40)}")
        return "\n".join(lines)


def find_routes(graph: Record, source: Tensor, grad_output: Any = None, limit: int = 64) -> Routes:
    """Walk every route from ``source`` to the output; ``GradientError`` above ``limit`` of them."""
    graph._id("routes", source)
    limit = real("routes", "limit", limit, 0)
    if not source.requires_grad:
        raise GradientError(f"routes: {describe(source)} does not require a gradient, so no route starts there.")
    count = graph.count_routes(source)
    if count > limit:
        raise GradientError(
            f"routes: {counted(count)} routes lead from {describe(source)} to the output, more than limit={limit}. Ask for a nearer tensor's, or "
            "for those through boxes, graph.fold(1).routes(x), or raise limit."
        )
    cotangent = graph.cotangent(grad_output)
    total = pull_back({graph.output: cotangent}, [source]).get(source)
    if total is None:
        raise GradientError(f"routes: no route leads from {describe(source)} to the output.")
    routes = [Route(graph, *named, along(graph, named[-1], cotangent)) for named in named_paths(graph, source)]
    return Routes(graph, source, cotangent, routes, np.broadcast_to(total, source.shape))


def counted(count: int) -> str:
    """How many, in words one can say: ``12``, ``over 3 million``, ``over 10²²``."""
    if count < 1000:
        return str(count)
    for size, name in ((10**12, ""), (10**9, "billion"), (10**6, "million"), (1000, "thousand")):
        if count >= size and name:
            return f"over {count // size} {name}"
        if count >= size:
            break
    return "over 10" + str(len(str(count)) - 1).translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))


def named_paths(graph: Record, source: Tensor) -> list[tuple[str, str, tuple[Edge, ...]]]:
    """Every route from the source to the output without its numbers: letter, title, edges. Count them first."""
    return named_ways(graph, graph.ids[source], graph.ids[graph.output])


def named_ways(graph: Record, start: int, end: int) -> list[tuple[str, str, tuple[Edge, ...]]]:
    """The same between two nodes of a record, or of a view of one."""
    paths = sorted(_paths(graph, start, end), key=lambda edges: _order(graph, edges))
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ" if len(paths) <= 26 else [f"R{i}" for i in range(1, len(paths) + 1)]
    return list(zip(letters, _titles(graph, paths), paths))


def _paths(graph: Record, start: int, end: int) -> list[tuple[Edge, ...]]:
    """All edge sequences from one node to another, by an explicit stack that keeps to nodes on some route."""
    incoming: dict[int, list[Edge]] = {}
    reached = {start}
    for e in graph.edges:  # edges come in their targets' birth order
        if e.source in reached and e.target != start and e.rule != NO_GRADIENT:
            reached.add(e.target)
            incoming.setdefault(e.target, []).append(e)
    paths = []
    stack: list[tuple[int, tuple[Edge, ...]]] = [(end, ())]
    while stack:
        node, edges = stack.pop()
        if node == start:
            paths.append(edges)
            continue
        stack.extend((e.source, (e, *edges)) for e in incoming.get(node, ()))
    return paths


def _order(graph: Record, edges: tuple[Edge, ...]) -> tuple[Any, ...]:
    """Fewest reductions first, then the order in which they were recorded."""
    reductions = [e.target for e in edges if graph.nodes[e.target].op in REDUCTIONS]
    return len(reductions), reductions, len(edges), [(e.target, e.position) for e in edges]


def _titles(graph: Record, paths: Sequence[tuple[Edge, ...]]) -> list[str]:
    """Named after the reductions they pass; where that leaves two alike, after what else tells them apart."""
    shared = set.intersection(*({e.target for e in edges} for edges in paths)) if len(paths) > 1 else set()
    if len(paths) == 1 and any(graph.nodes[e.target].op == "fold" for e in paths[0]):
        return ["direct"]
    titles = [_statistics(graph, edges, shared) for edges in paths]
    for title in {t for t in titles if titles.count(t) > 1}:
        alike = [k for k, t in enumerate(titles) if t == title]
        common = set.intersection(*({(e.target, e.position) for e in paths[k]} for k in alike))
        for k in alike[title == "direct" :]:  # the shortest keeps its name
            others = {(e.target, e.position) for m in alike if m != k for e in paths[m]}
            own = [e for e in paths[k] if (e.target, e.position) not in common]
            own.sort(key=lambda e: (e.target, e.position) in others)  # what no other passes tells most
            steps = [f"{_called(graph.nodes[e.target])} (input {e.position + 1})" for e in own]
            titles[k] = f"{title}, via {', '.join(steps[:2])}{', …' * (len(steps) > 2)}"
    return titles


def _called(n: Node) -> str:
    """A node's name, of a module's box its path; where nobody gave one, its sign."""
    return n.label.partition(" · ")[0] if n.op == "fold" else sign_of(n.tensor) if is_automatic(n.label) else n.label


def _statistics(graph: Record, edges: tuple[Edge, ...], shared: set[int]) -> str:
    """Named after the reductions on it, but for those that every route passes."""
    on_it = [graph.nodes[e.target] for e in edges if e.target not in shared and e.target != len(graph.nodes) - 1]
    passed = [_called(n) for n in on_it if n.op in REDUCTIONS or n.op == "fold"]
    if any(n.op == "fold" for n in on_it):
        passed = passed if len(passed) < 4 else [*passed[:2], "…", passed[-1]]
    elif len(passed) == 2:
        return f"through the {passed[0]} inside {passed[1]}"
    return f"through {' → '.join(passed)}" if passed else "direct"
