"""A graph at a coarser level: boxes that are closed, at the borders that its author drew, are one node each."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from ..engine import Tensor
from ..engine.arrays import Array
from .boxes import Box
from .record import Edge, Node, Record
from .tree import Tree
from .words import NO_GRADIENT, is_automatic, sign_of, without_automatic


@dataclass
class Unit:
    """What is one node: a box, an operation or a leaf; the box it stands in, and the ids of all that it stands for."""

    box: Box | None
    id: int
    frame: Box
    members: list[int] = field(default_factory=list)


class Folded(Record):
    """Another graph with some of its operations in boxes. Nodes and edges are those of the picture; gradients are the graph's own.

    whole:    the graph as recorded
    tree:     all its boxes
    opened:   those whose inside is shown; what stands in none is inside the root
    units:    what each node is
    unasked:  whether it was folded because it is large; then ``asked`` and ``kept`` are the boxes that are to be open or closed
    """

    def __init__(
        self,
        tree: Tree,
        opened: Collection[Box] = (),
        unasked: bool = False,
        leaves_inside: bool = False,
        asked: Collection[Box] = (),
        kept: Collection[Box] = (),
    ) -> None:
        self._whole, self.tree, self.unasked = tree.record, tree, unasked
        self.output, self.tensors = tree.record.output, tree.record.tensors
        self.opened = frozenset(b for b in opened if b.openable)
        self.asked, self.kept = asked, kept
        self.leaves_inside = leaves_inside or bool(self.opened)
        self.units, self.box = _units(tree, self.opened, self.leaves_inside)

    @property
    def whole(self) -> Record:
        return self._whole

    @property
    def members(self) -> list[tuple[int, ...]]:
        """For each node, the ids of those it stands for."""
        return [tuple(sorted(u.members)) for u in self.units]

    @cached_property
    def ids(self) -> dict[Tensor, int]:
        return {t: self.box[i] for t, i in self.whole.ids.items()}

    @cached_property
    def main_input(self) -> Tensor:
        return self.whole.main_input

    @cached_property
    def nodes(self) -> list[Node]:
        return [self._node(k, u) for k, u in enumerate(self.units)]

    def _node(self, k: int, unit: Unit) -> Node:
        if unit.box is None:
            return plain(self.whole, self.whole.nodes[unit.id], k)
        return box_node(self.whole, unit.box, k, self._leaving[k], unit.frame if unit.frame in self.opened else None)

    @cached_property
    def _leaving(self) -> list[list[int]]:
        """For each node, the ids of the tensors that others use."""
        found: list[set[int]] = [set() for _ in self.units]
        for e in self.whole.edges:
            if self.box[e.source] != self.box[e.target]:
                found[self.box[e.source]].add(e.source)
        return [sorted(f) or [max(u.members)] for f, u in zip(found, self.units)]

    @cached_property
    def edges(self) -> list[Edge]:
        """Between boxes: one for each tensor that passes. Rules are told where both ends are single operations."""
        return [e for e, _ in self._passages]

    @cached_property
    def _passages(self) -> list[tuple[Edge, list[int]]]:
        """The edges, each with the places of those of the whole that it stands for."""
        found: dict[tuple[int, int, int], tuple[Edge, list[int]]] = {}
        for k, e in enumerate(self.whole.edges):
            source, target = self.box[e.source], self.box[e.target]
            if source == target or self.tree.apart(e.source, e.target):
                continue
            unit = self.units[target]
            single = unit.box is None or len(unit.members) == 1
            edge = Edge(source, target, e.position, e.rule if single else "", e.summed and single)
            key = (self.tree.resolved(e.source), target, e.position if single else -1)
            found.setdefault(key, (edge, []))[1].append(k)
        for key, (edge, stands_for) in found.items():
            stands_for[:] = of_one_source(self.whole, self.tree, stands_for)
            if all(self.whole.edges[k].rule == NO_GRADIENT for k in stands_for):
                found[key] = (replace(edge, rule=NO_GRADIENT), stands_for)
        return sorted(found.values(), key=lambda p: (p[0].target, p[0].position, p[0].source))

    def gradients(self, grad_output: Any = None) -> dict[int, Array]:
        """By box: the gradient of what leaves it."""
        found = self.whole.gradients(grad_output)
        outlets = {k: outlet(u.box is None, self._leaving[k], u.id) for k, u in enumerate(self.units)}
        return {k: found[i] for k, i in outlets.items() if i in found}

    def shares(self, grad_output: Any = None) -> dict[int, Array]:
        parts = self.whole.shares(grad_output)
        return {k: s for k, (_, ways) in enumerate(self._passages) if (s := added(parts, ways)) is not None}

    def passing(self, k: int) -> Node:
        return self.whole.passing(self._passages[k][1][0])

    def stands_for(self, k: int) -> list[int]:
        """The edges of the whole that edge number ``k`` stands for."""
        return self._passages[k][1]

    def outlets(self, i: int) -> list[Node]:
        return [self.whole.nodes[j] for j in self._leaving[i]]

    def joins(self, k: int) -> set[str | None]:
        return {op for i in self._passages[k][1] for op in self.whole.joins(i)}

    def passes(self, k: int) -> bool:
        return any(self.whole.passes(i) for i in self._passages[k][1])

    def count_routes(self, source: Tensor) -> int:
        return self.whole.count_routes(source)

    @property
    def note(self) -> str:
        """``96 operations in 12 boxes``; and how to see them all."""
        boxes = [u.box for u in self.units if u.box is not None]
        alone = sum(u.box is None and self.whole.nodes[u.id].op is not None for u in self.units)
        inside = {i for b in boxes for i in b.ids}
        held = {i for u in self.units for i in u.members if u.box is not None and self.whole.nodes[i].op is None}
        total = sum(n.op is not None for n in self.whole.nodes)
        said = f"{len(inside):,} operation{'s' * (len(inside) != 1)} in {len(boxes)} box{'es' * (len(boxes) != 1)}"
        if not boxes:
            said = f"{total:,} operations"
        elif alone:
            said += f", {alone} beside {'them' if len(boxes) > 1 else 'it'}"
        said += ", with what only they use" if held else ""
        for b in sorted(self.opened, key=lambda b: b.path):
            said += f"; {b.title()}: one of them is drawn" if b.times > 1 else ""
        for b in (*boxes, *self.opened):
            said += f"; {b.title()}: {b.note}" if b.note else ""
        return said + ("; fold=False (--whole) shows each" if self.unasked else "")


def box_node(whole: Record, box: Box, k: int, leaving: Sequence[int], within: Box | None) -> Node:
    """A closed box as a node, called as its author called it; its text is what leaves it."""
    last = whole.nodes[outlet(False, leaving, leaving[-1])]
    roles = {whole.nodes[i].role for i in leaving}
    mine = set(box.ids)
    role = "output" if len(whole.nodes) - 1 in mine else roles.pop() if len(roles) == 1 else "value"
    made = [whole.nodes[i].label for i in leaving if i in mine and not is_automatic(whole.nodes[i].label)]
    if not made and not box.kind:  # a call of a function: what it is given
        used = dict.fromkeys(x for i in box.stretches[0] for x in whole.tensors[i].inputs if isinstance(x, Tensor))
        made = [x.name for x in used if x.op is None and x.name and x is not whole.main_input]
    text = ", ".join(made[:3]) + (", …" if len(made) > 3 else "")
    name = box.title(within)
    return Node(k, name, name, "fold", text, last.shape, last.dtype, box.scope, role, last.tensor)


def plain(whole: Record, node: Node, k: int) -> Node:
    """The node with number ``k``, without names that nobody gave: an operation is called by its sign."""
    label = node.label
    if is_automatic(label) and not node.tensor.name:
        label = sign_of(node.tensor) if node.op is not None else _constant(node)
    operand = label if label != node.label else node.operand
    return replace(node, id=k, label=label, operand=operand, text="" if is_automatic(node.text) else node.text)


def plainly(record: Record) -> Record:
    """The same without names that nobody gave, for pictures and stories."""
    if record.whole is not record:  # it has words of its own
        return record
    if not any(is_automatic(n.label) or is_automatic(n.text) for n in record.nodes):
        return record
    made: Record = object.__new__(type(record))
    made.__dict__.update(vars(record))
    made.__dict__["nodes"] = [plain(record, n, n.id) for n in record.nodes]
    made.__dict__["edges"] = [replace(e, rule=without_automatic(e.rule)) for e in record.edges]
    return made


def _constant(node: Node) -> str:
    """A leaf without a name: the number that all its entries are, or its role."""
    data = node.tensor._data
    same = data.size and data.dtype.kind in "biuf" and bool((data == data.flat[0]).all())
    return f"{data.flat[0]:g}" if same else node.role


def outlet(single: bool, leaving: Sequence[int], own: int) -> int:
    """The tensor a node is for: itself, or of a box the only one that leaves it, or its last."""
    return own if single else leaving[-1]


def of_one_source(whole: Record, tree: Tree, edges: list[int]) -> list[int]:
    """Those of some edges that hand on one tensor: what is drawn, where siblings in a row are not all drawn."""
    sources = {whole.edges[k].source for k in edges}
    if len(sources) == 1:
        return edges
    drawn = [i for i in sources if i not in tree.twin]
    chosen = drawn[0] if drawn else max(sources)
    return [k for k in edges if whole.edges[k].source == chosen]


def added(parts: dict[int, Array], ways: Iterable[int]) -> Array | None:
    """The sum of the shares of some edges, if any has one; of shares of several tensors, all their entries in a row."""
    mine = [parts[i] for i in ways if i in parts]
    if len({p.shape for p in mine}) > 1:
        return np.concatenate([p.ravel() for p in mine])
    return np.sum(mine, axis=0) if mine else None


def _units(tree: Tree, opened: Collection[Box], leaves_inside: bool) -> tuple[list[Unit], dict[int, int]]:
    """What is one node each, sources first; and for each recorded node which of them."""
    record = tree.record
    computed: list[Unit] = []

    def walk(box: Box) -> None:
        for p in box.parts:
            if isinstance(p, Box) and p in opened:
                walk(p)
            elif isinstance(p, Box):
                computed.append(Unit(p, p.ids[-1], box, list(p.ids)))
            else:
                computed.append(Unit(None, p, box, [p]))

    walk(tree.root)
    of = {i: u for u in computed for i in u.members}
    for i, t in enumerate(record.tensors):
        if t.op is not None and i not in of:
            of[i] = of[tree.resolved(i)]
            of[i].members.append(i)
    users: dict[int, list[Unit]] = {}
    for e in record.edges:
        if record.tensors[e.source].op is None:
            users.setdefault(e.source, []).append(of[e.target])
    leaves: list[Unit] = []
    for i, t in enumerate(record.tensors):
        if t.op is not None or i in tree.twin:
            continue
        mine = {id(u): u for u in users.get(i, [])}
        home = tree.home(i)
        only = next((u for u in mine.values() if u.box is not None and (len(mine) == 1 or tree.is_inside(home, u.box))), None)
        if only is not None and only.box is not None and not record.is_about(t) and (leaves_inside or only.box.kind):
            of[i] = only
            only.members.append(i)
        else:
            frame = tree.root if t is record.main_input else _around(tree, [u.frame for u in mine.values()])
            of[i] = Unit(None, i, frame, [i])
            leaves.append(of[i])
    for i in tree.twin:
        if i not in of:  # a leaf of a sibling that is not drawn
            of[i] = of[tree.resolved(i)]
            of[i].members.append(i)
    units: list[Unit] = []
    waiting = leaves[::-1]
    for u in computed:
        last = max(u.box.ids) if u.box else u.id
        while waiting and waiting[-1].id < last:
            units.append(waiting.pop())
        units.append(u)
    units += waiting[::-1]
    place = {id(u): k for k, u in enumerate(units)}
    return units, {i: place[id(u)] for i, u in of.items()}


def _around(tree: Tree, frames: Sequence[Box]) -> Box:
    """The innermost box around all of some."""
    ways = [lineage(f) for f in frames] or [[tree.root]]
    common = tree.root
    for level in zip(*ways):
        if any(b is not level[0] for b in level):
            break
        common = level[0]
    return common


def lineage(box: Box) -> list[Box]:
    """The boxes around it from the outside in, and itself."""
    way = [box]
    while way[0].around is not None:
        way.insert(0, way[0].around)
    return way
