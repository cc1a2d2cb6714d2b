"""The inside of one box as a graph of its own, the boxes in it closed: what is laid out and told by itself.

What comes in and what leaves stands at its border, as nodes without a formula: ports.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import Any

from ..engine import Tensor
from ..engine.arrays import Array
from .boxes import Box
from .folding import added, box_node, of_one_source, plain
from .record import Edge, Node, Record
from .tree import Tree
from .words import NO_GRADIENT, is_automatic, sign_of, without_automatic

IN, OUT = "in", "out"  # the operations of ports


class Level(Record):
    """One box of a tree: of equal siblings the first.

    items:   for each node, the closed box it is, or the recorded id of the operation, the leaf, or the tensor of a port
    """

    def __init__(self, tree: Tree, box: Box) -> None:
        self._whole, self.tree, self.inside_of = tree.record, tree, box
        self.output, self.tensors = tree.record.output, tree.record.tensors
        self._build()

    @property
    def whole(self) -> Record:
        return self._whole

    @property
    def is_root(self) -> bool:
        return self.inside_of is self.tree.root

    @property
    def opens(self) -> bool:
        """Whether a box in it can be opened."""
        return any(isinstance(item, Box) and item.openable for item in self.items)

    def _build(self) -> None:
        tree, box, record = self.tree, self.inside_of, self._whole
        own = box.stretches[0]
        parts: dict[int, Box | int] = {}
        for p in box.parts:
            parts.update(dict.fromkeys(p.ids, p) if isinstance(p, Box) else {p: p})
        ins: dict[int, None] = {}
        leaves: dict[int, None] = {}
        held: dict[int, Box] = {}
        links: dict[tuple[Any, Any, int], list[int]] = {}
        for i in own:
            for k in tree.entering(i):
                e = record.edges[k]
                source, target = e.source, parts[i]
                if source in parts:
                    start: Box | int = parts[source]
                    if start is target or tree.apart_in(box, source, i):
                        continue
                    seen = start.home(source) if isinstance(start, Box) else source
                elif tree.home(source) is box:
                    start, seen = source, source
                    leaves[source] = None
                elif tree.is_inside(tree.home(source), box):  # it belongs to a box in here, and is used in another
                    holder = next((p for p in box.boxes if tree.is_inside(tree.home(source), p)), None)
                    if holder is None or holder is target:
                        continue
                    start, seen = holder, source
                    held[source] = holder
                else:
                    start, seen = source, source
                    ins[source] = None
                row = (isinstance(target, Box) and len(target.ids) > 1) or (isinstance(start, Box) and start.times > 1)
                links.setdefault((seen, self._key(target), -1 if row else e.position), []).append(k)
        outs: dict[int, None] = {}
        for i in () if self.is_root else tree.leaving(box):
            outs[i] = None
        for i in leaves:
            parts[i] = i
        self.items: list[Box | int] = [*ins]
        self.ports = {i: k for k, i in enumerate(ins)}
        waiting = sorted(leaves, reverse=True)
        computed: list[Box | int] = list(dict.fromkeys(parts[i] for i in own))
        for p in computed:
            last = max(p.ids) if isinstance(p, Box) else p
            while waiting and waiting[-1] < last:
                self.items.append(waiting.pop())
            self.items.append(p)
        self.outs = {i: len(self.items) + k for k, i in enumerate(outs)}
        self.items += [*outs]
        self.place: dict[int, int] = dict(self.ports)
        inner = range(len(ins), len(self.items) - len(outs))
        where = {self._key(self.items[k]): k for k in inner}
        self.place.update((i, where[self._key(p)]) for i, p in {**parts, **held}.items())
        made: list[tuple[Edge, list[int]]] = []
        for (seen, key, _), ways in links.items():
            e = record.edges[ways[0]]
            target = where[key]
            item = self.items[target]
            single = not isinstance(item, Box) or len(item.ids) == 1
            ways = of_one_source(record, tree, ways)
            rule = e.rule if single or all(record.edges[k].rule == NO_GRADIENT for k in ways) else ""
            made.append((Edge(self.place[seen], target, e.position, without_automatic(rule), e.summed and single), ways))
        made.sort(key=lambda p: (p[0].target, p[0].position, p[0].source))
        for i, k in self.outs.items():
            made.append((Edge(self.place[i], k, 0, "×1", False), []))
        self._passages = made

    def _key(self, item: Box | int) -> Any:
        return id(item) if isinstance(item, Box) else (item,)

    # As a record ----------------------------------------------------------------------------------------------

    @cached_property
    def ids(self) -> dict[Tensor, int]:
        return {self.tensors[i]: k for i, k in self.place.items()}

    @cached_property
    def main_input(self) -> Tensor:
        """What it is about: the record's main input, or what comes in that was made from it."""
        about = self._whole.main_input
        if about in self.ids and self._whole.ids[about] in self.place:
            return about
        reached = self.tree.of_the_input
        came = [i for i in self.ports if i in reached] or list(self.ports) or list(self.place)
        return self.tensors[came[-1] if came[-1] in self.ports else came[0]]

    @cached_property
    def nodes(self) -> list[Node]:
        found = []
        last = len(self.items) - len(self.outs)
        for k, item in enumerate(self.items):
            if isinstance(item, Box):
                within = None if self.is_root else self.inside_of
                found.append(box_node(self._whole, item, k, self.tree.leaving(item, True), within))
            else:
                node = plain(self._whole, self._whole.nodes[item], k)
                if k < len(self.ports):
                    node = replace(node, op=IN, label=self._came_from(item), text="")
                elif k >= last:
                    node = replace(node, op=OUT, text="")
                    if self.tree.resolved(len(self.tensors) - 1) == item:
                        node = replace(node, role="output", label=self._whole.nodes[-1].label)
                found.append(node)
        return found

    def _came_from(self, i: int) -> str:
        """What a port is called: as the tensor is, or if nobody gave that a name, as the box that it comes from."""
        node = self._whole.nodes[i]
        if node.tensor.name or node.op is None or not is_automatic(node.label):
            return node.label
        around, mine = set(self.tree.around(self.inside_of)), self.tree.lineage(i)
        outer = next((b for b in mine if b not in around), None)
        return sign_of(node.tensor) if outer is None else outer.title(outer.around)

    @cached_property
    def edges(self) -> list[Edge]:
        return [e for e, _ in self._passages]

    def gradients(self, grad_output: Any = None) -> dict[int, Array]:
        return self.told(self._whole.gradients(grad_output))

    def told(self, found: dict[int, Array]) -> dict[int, Array]:
        """Gradients of the whole, by node here: of a closed box, of what leaves it."""
        ids = [self.tree.leaving(p, True)[-1] if isinstance(p, Box) else p for p in self.items]
        return {k: found[i] for k, i in enumerate(ids) if i in found}

    def shares(self, grad_output: Any = None) -> dict[int, Array]:
        return self.shared(self._whole.shares(grad_output), self._whole.gradients(grad_output))

    def shared(self, parts: dict[int, Array], gradients: dict[int, Array]) -> dict[int, Array]:
        """What each edge hands back, given what those of the whole do; to what leaves, the rest of the gradient comes from outside."""
        found = {k: s for k, (_, ways) in enumerate(self._passages) if (s := added(parts, ways)) is not None}
        for k, (e, ways) in enumerate(self._passages):
            i = self.items[e.target]
            if not ways and isinstance(i, int) and i in gradients:
                mine = [found[j] for j in found if self.passing(j).id == i and self._passages[j][1]]
                found[k] = gradients[i] - sum(mine) if mine else gradients[i]
        return found

    def passing(self, k: int) -> Node:
        e, ways = self._passages[k]
        item = self.items[e.target]
        return self._called(self._whole.edges[ways[0]].source if ways else item if isinstance(item, int) else 0)

    def _called(self, i: int) -> Node:
        """A recorded node under the name that it has here: its own, or that of the box, or the port, that it comes from."""
        node = self._whole.nodes[i]
        if i not in self.place or not is_automatic(node.label) or node.tensor.name:
            return node
        here = self.nodes[self.place[i]]
        return replace(node, label=here.label, operand=here.label, text="" if is_automatic(node.text) else node.text)

    def stands_for(self, k: int) -> list[int]:
        """The edges of the whole that edge number ``k`` stands for; none for one to a port."""
        return self._passages[k][1]

    def outlets(self, i: int) -> list[Node]:
        item = self.items[i]
        return [self._called(j) for j in (self.tree.leaving(item, True) if isinstance(item, Box) else [item])]

    def joins(self, k: int) -> set[str | None]:
        return {op for i in self._passages[k][1] for op in self._whole.joins(i)}

    def passes(self, k: int) -> bool:
        ways = self._passages[k][1]
        return any(self._whole.passes(i) for i in ways) if ways else self.passing(k).tensor.requires_grad


def levels(tree: Tree) -> dict[str, Level]:
    """The inside of every box that can be opened, by its path; the root's is ``""``."""
    return {"": Level(tree, tree.root), **{path: Level(tree, b) for path, b in tree.boxes.items() if b.openable}}
