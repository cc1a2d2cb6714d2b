"""All boxes of a record, equal siblings in a row as one, and what is where."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property

from ..engine import Tensor
from .boxes import Box, family, grow, in_order, plain, stem
from .record import Record
from .repeats import repeats
from .scopes import passes_in
from .words import shape_text

MOST_PARTS, MOST_STRETCHES = 400, 16  # of a box, before they are put into stretches, and how many of these


class Tree:
    """All boxes of a record.

    root:  the box around all; what a single call does is not in a box of its own
    twin:  for each operation, and each leaf, of a sibling that is not drawn, that of the one that is
    place: for each operation in a row of equal siblings, which rows it is in (by the row's box) and of which sibling
    """

    def __init__(self, record: Record) -> None:
        self.record = record
        self.twin: dict[int, int] = {}
        self.place: dict[int, dict[Box, int]] = {}
        self._leaves: dict[tuple[Box, bool], list[int]] = {}
        self._last_use: dict[int, int] = {}
        self._uses: dict[int, list[tuple[int, int]]] = {}
        for e in record.edges:
            self._uses.setdefault(e.source, []).append((e.target, e.position))
        order, waits = in_order(record, self._uses)
        self._position = {i: k for k, i in enumerate(order)}
        for i, uses in self._uses.items():
            self._last_use[i] = max(self._position[t] for t, _ in uses)
        root = grow(record, order, waits)
        while len(root.parts) == 1 and isinstance(only := root.parts[0], Box) and only.kind:
            root = Box(only.name, only.kind, "", only.parts, only.scope, 1, only.stretches)
        self.root = self._settled(root, True)
        self._twin_leaves()
        self.boxes: dict[str, Box] = {}
        self._address(self.root)

    def resolved(self, i: int) -> int:
        """The node that stands for it: itself, unless it is in a sibling that is not drawn."""
        while i in self.twin:
            i = self.twin[i]
        return i

    def apart(self, a: int, b: int) -> bool:
        """Whether two nodes are in different ones of equal siblings: what one of them hands to the next."""
        mine, theirs = self.place.get(a, {}), self.place.get(b, {})
        return any(row in theirs and theirs[row] != k for row, k in mine.items())

    @property
    def has_modules(self) -> bool:
        """Whether a module was called inside, or beside something else."""
        return any(b.kind for b in self.boxes.values())

    # What belongs where ---------------------------------------------------------------------------------------

    @cached_property
    def of_the_input(self) -> frozenset[int]:
        """What the main input reaches, and itself."""
        reached = {self.record.ids[self.record.main_input]}
        for e in self.record.edges:
            if e.source in reached:
                reached.add(e.target)
        return frozenset(reached)

    @cached_property
    def _entering(self) -> list[list[int]]:
        found: list[list[int]] = [[] for _ in self.record.tensors]
        for k, e in enumerate(self.record.edges):
            found[e.target].append(k)
        return found

    def entering(self, i: int) -> list[int]:
        """The places of the edges into a node."""
        return self._entering[i]

    def lineage(self, i: int) -> list[Box]:
        """The boxes around an operation that is drawn, from the root inwards; of any other, those around its twin."""
        way = [self._owner[self.resolved(i)]]
        while way[-1].around is not None:
            way.append(way[-1].around)
        return way[::-1]

    @cached_property
    def _owner(self) -> dict[int, Box]:
        found: dict[int, Box] = {}
        stack = [self.root]
        while stack:
            box = stack.pop()
            found.update((p, box) for p in box.parts if isinstance(p, int))
            stack += box.boxes
        return found

    @cached_property
    def _homes(self) -> dict[int, Box]:
        """The innermost box around all uses of a leaf, but for those in the gradient of one of them; what the record is about is at
        home in the root."""
        found: dict[int, Box] = {}
        tensors = self.record.tensors
        for i, t in enumerate(tensors):
            if t.op is None:
                passes = {u: passes_in(tensors[u].scope) for u, _ in self._uses.get(i, [])}
                ways = [self.lineage(u) for u, count in passes.items() if count == min(passes.values())]
                found[i] = self.root
                if not self.record.is_about(t):
                    for level in zip(*ways):
                        if any(b is not level[0] for b in level):
                            break
                        found[i] = level[0]
        return found

    def home(self, i: int) -> Box:
        """The box that a node stands in: of a leaf, the innermost around all its uses."""
        return self._homes[self.resolved(i)] if self.record.tensors[i].op is None else self._owner[self.resolved(i)]

    def around(self, box: Box) -> list[Box]:
        """A box and those around it."""
        way = [box]
        while way[-1].around is not None:
            way.append(way[-1].around)
        return way

    def is_inside(self, box: Box, other: Box) -> bool:
        """Whether a box is another one, or in it."""
        at: Box | None = box
        while at is not None and at is not other:
            at = at.around
        return at is other

    def apart_in(self, box: Box, a: int, b: int) -> bool:
        """Whether they are in different ones of the equal siblings of a box."""
        mine, theirs = self.place.get(a, {}).get(box), self.place.get(b, {}).get(box)
        return mine is not None and theirs is not None and mine != theirs

    def leaving(self, box: Box, whole: bool = False) -> list[int]:
        """The tensors of a box that are used outside; of equal siblings the first one's that leave any, or all that leave the row."""
        if (box, whole) not in self._leaves:
            last = len(self.record.tensors) - 1
            mine = [set(box.ids)] if whole else [set(s) for s in box.stretches]
            found: set[int] = set()
            for stretch in mine:
                for i in stretch:
                    if i == last or any(t not in stretch for t, _ in self._uses.get(i, [])):
                        found.add(i if whole else box.home(i))
            self._leaves[box, whole] = sorted(found) or [max(box.ids)]
        return self._leaves[box, whole]

    # Equal siblings -------------------------------------------------------------------------------------------

    def _settled(self, box: Box, top: bool = False) -> Box:
        """The same with equal siblings as one box, at every depth; what holds only one box is that box."""
        parts = list(box.parts)
        if box.scope and len(parts) == 1 and isinstance(parts[0], Box):
            parts = list(parts[0].parts)
        settled = [self._settled(p) if isinstance(p, Box) else p for p in parts]
        rows = self._rows(settled)
        if len(rows) == 1 and isinstance(rows[0], Box) and rows[0].times > 1 and rows[0].named and not top:
            return rows[0]  # layer1, a Sequential of three: layer1 ×3
        return replace(box, parts=self._stretched(rows))

    def _stretched(self, parts: tuple[Box | int, ...], first: int = 1) -> tuple[Box | int, ...]:
        """Where nothing tells so many parts apart, stretches of them, by their numbers."""
        if len(parts) <= MOST_PARTS:
            return parts
        long = -(-len(parts) // MOST_STRETCHES)
        made: list[Box | int] = []
        for k in range(0, len(parts), long):
            some = parts[k : k + long]
            ids = tuple(i for p in some for i in (p.ids if isinstance(p, Box) else (p,)))
            name = f"steps {first + k:,}–{first + k + len(some) - 1:,}"
            made.append(Box(name, "", "", self._stretched(some, first + k), (), 1, (ids,), named=False))
        return tuple(made)

    def _rows(self, parts: list[Box | int]) -> tuple[Box | int, ...]:
        known: dict[object, int] = {}
        signs = [known.setdefault(self._sign(p), len(known)) for p in parts]
        crossing = self._crossing(parts)

        def least(start: int, period: int) -> int:
            named = any(isinstance(p, Box) and family(p) != p.name for p in parts[start : start + period])
            if period > 1:  # a row without a name of its own: only where it saves much
                return max(3, -(-12 // period))
            return 2 if named else 3 if isinstance(parts[start], Box) else 8

        made: list[Box | int] = []
        done = 0
        for start, period, times in repeats(signs, least, crossing):
            made += parts[done:start]
            stretches = [parts[k : k + period] for k in range(start, start + period * times, period)]
            made.append(self._row(stretches))
            done = start + period * times
        return (*made, *parts[done:])

    def _row(self, stretches: Sequence[Sequence[Box | int]]) -> Box:
        first = stretches[0]
        flat = tuple(tuple(i for p in s for i in (p.ids if isinstance(p, Box) else (p,))) for s in stretches)
        note = self._differences(flat)
        if len(first) == 1 and isinstance(first[0], Box):
            names = [s[0].name for s in stretches if isinstance(s[0], Box)]
            name = names[0] if len(set(names)) == 1 else family(first[0])
            row = Box(name, first[0].kind, "", first[0].parts, first[0].scope, len(stretches), flat, note, names[0], names[-1])
        elif len(first) == 1:
            t = self.record.tensors[flat[0][0]]
            row = Box(t.op.name if t.op else "", "", "", tuple(first), t.scope, len(stretches), flat, note)
        else:
            names = [p.title() for p in first if isinstance(p, Box)]
            told = names if len(names) < 4 else [names[0], "…", names[-1]]
            told = told or [self._called(first) if len(first) < 4 else "step"]
            row = Box(", ".join(told), "", "", self._rows(list(first)), (), len(stretches), flat, note, named=False)
        for k, ids in enumerate(flat):
            for i, twin in zip(ids, flat[0]):
                self.place.setdefault(i, {})[row] = k
                if k:
                    self.twin.setdefault(i, twin)
        return row

    def _called(self, parts: Sequence[Box | int]) -> str:
        mine = [self.record.tensors[p] for p in parts if isinstance(p, int)]
        return ", ".join(t.name or (t.op.name if t.op is not None else "") for t in mine)

    def _differences(self, flat: Sequence[Sequence[int]]) -> str:
        """``shapes differ: (16, 8, 8), (32, 4, 4)``: of what leaves them."""
        shapes = [tuple(self.record.tensors[i].shape for i in ids) for ids in flat]
        if len(set(shapes)) == 1:
            return ""
        told = [shape_text(s) for s in dict.fromkeys(s[-1] for s in shapes)]
        if len(told) == 1:
            return "shapes inside differ"
        return "shapes differ: " + ", ".join(told[:3]) + (", …" if len(told) > 3 else "")

    def _sign(self, part: Box | int) -> object:
        """What must be equal for two parts to be siblings: names but for their numbers, operations, and how they are tied."""
        ids = part.ids if isinstance(part, Box) else (part,)
        place = {i: k for k, i in enumerate(ids)}
        ties = tuple(self._tie(i, place) for i in ids)
        return (family(part), part.kind, self._inner(part), ties) if isinstance(part, Box) else ties

    def _inner(self, box: Box) -> tuple[object, ...]:
        start = f"{box.name}."
        return tuple(
            (p.name.removeprefix(start), p.kind, p.times, self._inner(p)) if isinstance(p, Box) else 0 for p in box.parts
        )

    def _tie(self, i: int, place: dict[int, int]) -> tuple[object, ...]:
        t = self.record.tensors[i]
        ids = self.record.ids
        came: list[object] = []
        for x in t.inputs:
            if not isinstance(x, Tensor):
                came.append(None)
            elif ids[x] in place:
                came.append(place[ids[x]])
            else:
                named = x.op is None and x.requires_grad and x.name and x is not self.record.main_input
                came.append(plain(x.name) if named else "given")
        return (t.op.name if t.op else "", plain(t.name) if t.name else "", *came)

    def _crossing(self, parts: Sequence[Box | int]) -> list[int]:
        """For each place between parts, how many values are handed on across it."""
        where: dict[int, int] = {}
        ends = []
        for k, p in enumerate(parts):
            ids = p.ids if isinstance(p, Box) else (p,)
            where.update(dict.fromkeys(ids, k))
            ends.append(max(self._position[i] for i in ids))
        change = [0] * (len(parts) + 2)
        for i, k in where.items():
            last = self._last_use.get(i)
            uses = [where[t] for t, _ in self._uses.get(i, ()) if t in where]
            stop = len(parts) if last is not None and parts and last > ends[-1] else max(uses, default=k)
            if stop > k:
                change[k + 1] += 1
                change[stop + 1] -= 1
        total, found = 0, []
        for c in change[:-1]:
            total += c
            found.append(total)
        return found

    def _twin_leaves(self) -> None:
        """A leaf that only siblings use which are not drawn has a twin, too."""
        tensors, ids = self.record.tensors, self.record.ids
        for i, t in enumerate(tensors):
            uses = self._uses.get(i, [])
            if t.op is None and uses and t is not self.record.main_input and all(u in self.twin for u, _ in uses):
                user, position = uses[0]
                other = tensors[self.resolved(user)].inputs[position]
                if isinstance(other, Tensor) and other.op is None and ids[other] != i:
                    self.twin[i] = ids[other]

    # Addresses ----------------------------------------------------------------------------------------------------

    def _address(self, box: Box) -> None:
        for b in box.boxes:
            b.around = box
            name = b.name or b.kind  # equal siblings called 0, 1, 2 have no name in common
            last = name.replace("/", "∕")
            path = last if b.kind and name != b.kind else f"{box.path}/{last}" if box.path else last
            count, unique = 1, path
            while unique in self.boxes or not unique:
                count += 1
                unique = f"{path}#{count}"
            b.path = unique
            self.boxes[unique] = b
            self._address(b)

    def named(self, wanted: str) -> list[Box]:
        """The boxes of that path, or, if there are none, of that name; what is said of one of equal siblings holds for all."""
        general = plain(wanted)
        for same in (
            lambda b: b.path == wanted,
            lambda b: b.name == wanted,
            lambda b: plain(b.path) == general or plain(b.path) == stem(general) or plain(b.name) == general,
            lambda b: bool(b.kind) and b.name == stem(wanted),
            lambda b: b.kind == wanted or b.name.rpartition(".")[2] == wanted,
        ):
            found = [b for b in self.boxes.values() if same(b)]
            if found:
                return found
        return []
