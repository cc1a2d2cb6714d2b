"""The borders that the author drew: calls of modules and functions and named scopes, as a tree of boxes.

Boxes are stretches of the record, so that no choice of open and closed ones has a cycle: a scope that another one interrupts
is two boxes. Equal siblings in a row are one box, in which one of them stands for all.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from .record import Record
from .scopes import sign_of_gradient

FORMS = ("reshape", "transpose", "broadcast_to", "astype")  # entries move, no more
_NUMBERED = re.compile(r"[ _-]?[0-9]+$")
_DIGITS = re.compile(r"[0-9₀-₉⁰-⁹]+")


@dataclass(eq=False)
class Box:
    """A call of a module or a function, or a scope.

    name:   what its author called it: ``blocks.3.attn.q``, ``LayerNorm``, ``block``; of equal siblings what they share
    kind:   of a module, its class
    path:   where it stands, which no other box does: a module's path; any other by the names of the boxes around it
    parts:  boxes and single operations (node ids), in the order of the record; of equal siblings those of the first
    times:  how many siblings it stands for
    stretches:  the ids of each sibling's operations, in one order; of any other box just its own
    note:   where the siblings differ
    first, last: the names of the first and the last sibling
    named:  whether its author gave it its name: what stands in a row without one, and stretches, have none
    """

    name: str
    kind: str
    path: str
    parts: tuple[Box | int, ...]
    scope: tuple[str, ...] = ()
    times: int = 1
    stretches: tuple[tuple[int, ...], ...] = ()
    note: str = ""
    first: str = ""
    last: str = ""
    named: bool = True
    around: Box | None = field(default=None, repr=False)

    @property
    def ids(self) -> tuple[int, ...]:
        """All operations in it."""
        return tuple(i for s in self.stretches for i in s)

    def home(self, i: int) -> int:
        """Of an operation in it, the one in its place in the first sibling."""
        return self._homes.get(i, i)

    @cached_property
    def _homes(self) -> dict[int, int]:
        return {i: j for s in self.stretches[1:] for i, j in zip(s, self.stretches[0])}

    @cached_property
    def height(self) -> int:
        """How deep boxes are nested in it; 0 for one that holds only operations."""
        return max((1 + b.height for b in self.boxes), default=0)

    @property
    def rank(self) -> int:
        """The greater, the longer it stays open. What stands in a row without a name of its own is closed last."""
        return self.height + (1000 if not self.named and self.times > 1 else 0)

    @property
    def boxes(self) -> Iterator[Box]:
        return (p for p in self.parts if isinstance(p, Box))

    @property
    def openable(self) -> bool:
        """Whether there is more in it than one operation."""
        return len(self.parts) > 1 or any(True for _ in self.boxes)

    def title(self, within: Box | None = None) -> str:
        """``blocks.3.attn.q · Linear``; inside another box, without what that one's name says."""
        start = f"{within.first or within.name}." if within is not None else ""
        name = self.name.removeprefix(start)
        if name != self.name:
            name = f"{sign_of_gradient(start)}{name}"
        if start and f"{name}." == start and self.first.startswith(start):
            name = f"{self.first.removeprefix(start)}–{self.last.removeprefix(start)}"
        named = f"{name} · {self.kind}" if name and self.kind and self.kind != name else name or self.kind
        return f"{named} ×{self.times:,}" if self.times > 1 else named


def plain(name: str | None) -> str:
    """A name without its numbers."""
    return _DIGITS.sub("#", name or "")


def stem(name: str) -> str:
    """``blocks`` of ``blocks.3``, ``blocks.·.attn`` of ``blocks.3.attn``."""
    parts = ["·" if p.isdigit() else p for p in name.split(".")]
    return ".".join(parts[:-1] if parts[-1] == "·" else parts)


def family(box: Box) -> str:
    """What equal siblings have in common of their names: ``blocks`` of ``blocks.3``; of a scope ``layer`` of ``layer 3``."""
    return stem(box.name) if box.kind else _NUMBERED.sub("", box.name)


def in_order(record: Record, uses: dict[int, list[tuple[int, int]]]) -> tuple[list[int], dict[int, int]]:
    """The operations in birth order, but a parameter in another form right before what first uses it; and who waits for whom."""
    of_the_input = {record.ids[record.main_input]}
    for e in record.edges:
        if e.source in of_the_input:
            of_the_input.add(e.target)
    waiting: dict[int, list[int]] = {}
    waits: dict[int, int] = {}
    for i, t in enumerate(record.tensors):
        if t.op is not None and t.op.name in FORMS and i not in of_the_input and i in uses:
            waits[i] = min(target for target, _ in uses[i])
            waiting.setdefault(waits[i], []).append(i)
    order: list[int] = []
    for i, t in enumerate(record.tensors):
        stack = [(i, False)] if t.op is not None and i not in waits else []
        while stack:
            j, ready = stack.pop()
            if ready:
                order.append(j)
            else:
                stack.append((j, True))
                stack += [(w, False) for w in reversed(waiting.get(j, []))]
    return order, waits


def grow(record: Record, order: Sequence[int], waits: dict[int, int]) -> Box:
    """The tree as recorded: an operation is in the box of its scopes, a form that waits in that of what it waits for."""
    root = _Growing("", "", (), [])
    stack: list[tuple[str | None, _Growing]] = [(None, root)]
    for i in order:
        user = i
        while user in waits:
            user = waits[user]
        scope = record.nodes[user].scope
        common = 0
        while common < min(len(scope), len(stack) - 1) and stack[common + 1][0] is scope[common]:
            common += 1
        del stack[common + 1 :]
        for k in range(common, len(scope)):
            made = _Growing(str(scope[k]), getattr(scope[k], "kind", ""), scope[: k + 1], [])
            stack[-1][1].parts.append(made)
            stack.append((scope[k], made))
        stack[-1][1].parts.append(i)
    return root.made()


@dataclass
class _Growing:
    name: str
    kind: str
    scope: tuple[str, ...]
    parts: list[_Growing | int]

    def made(self) -> Box:
        parts = tuple(p.made() if isinstance(p, _Growing) else p for p in self.parts)
        ids = tuple(i for p in parts for i in (p.ids if isinstance(p, Box) else (p,)))
        return Box(self.name, self.kind, "", parts, self.scope, 1, (ids,))
