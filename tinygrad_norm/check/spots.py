"""A function's syntax tree with every node in its place, and what one edit of it is."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Place = tuple[Any, str, Any]
"""A node, its field, and what is put there; a list as a tuple."""


@dataclass(frozen=True)
class Edit:
    """One edit.

    cost:         how far it is from what stands there
    words:        what is wrong
    line, text:   where, and the expression or statement on it
    places:       what is put where
    also:         other lines that have to do with it
    """

    cost: float
    words: str
    line: int
    text: str
    places: tuple[Place, ...]
    also: tuple[int, ...] = ()


@dataclass
class Spot:
    """A node, and where it hangs: in ``owner.field``, or at place ``at`` of that list.

    loops:  those it is in
    whole:  the expression around it that is shown
    asked:  it is part of a condition
    """

    node: Any
    owner: Any
    field: str
    at: int | None
    loops: tuple[ast.For, ...]
    whole: Any
    asked: bool
    statement: Any = None

    def put(self, new: Any) -> Place:
        if self.at is None:
            return self.owner, self.field, new
        rest = list(getattr(self.owner, self.field))
        rest[self.at : self.at + 1] = new if isinstance(new, list) else [new]
        return self.owner, self.field, rest


class Function:
    """A function's tree: every node in its place, and what its variables are."""

    def __init__(self, tree: ast.FunctionDef, text: str) -> None:
        self.tree, self.lines = tree, [line.encode() for line in text.splitlines()]
        self.spots = [s for k, b in enumerate(tree.body) for s in _spots(b, tree, "body", k, (), b, False)]
        arguments = [a.arg for a in (*tree.args.posonlyargs, *tree.args.args, *tree.args.kwonlyargs)]
        self.around = {id(s.node): s for s in self.spots}
        self.stored: dict[str, int] = dict.fromkeys(arguments, tree.lineno)
        for s in self.spots:
            if isinstance(s.node, ast.Name) and isinstance(s.node.ctx, ast.Store):
                self.stored.setdefault(s.node.id, s.node.lineno)
        turning = [n for s in self.spots if isinstance(s.node, ast.For) for n in ast.walk(s.node.target)]
        self.turning = {n.id for n in turning if isinstance(n, ast.Name)}
        self.own = dict.fromkeys(s.node.attr for s in self.spots if isinstance(s.node, ast.Attribute) and is_self(s.node))

        self.numbers = self._numbers()
        used = [s.node.slice for s in self.spots if isinstance(s.node, ast.Subscript)]
        used += [part for i in used if isinstance(i, ast.Tuple) for part in i.elts]
        moving = [i for i in used if any(isinstance(n, ast.Name) for n in ast.walk(i))]
        self.indices: dict[str, Any] = {ast.unparse(i): i for i in moving}

    def edit(self, cost: float, s: Spot, new: Any, words: str, of: Any = None) -> Edit:
        node = s.node if of is None else of
        return Edit(cost + 0.3 * s.asked, words, node.lineno, self.said(node), (s.put(new),))

    def said(self, node: Any) -> str:
        """As it stands in the source, on one line."""
        part = self.lines[node.lineno - 1 : node.end_lineno]
        part[-1] = part[-1][: node.end_col_offset]
        part[0] = part[0][node.col_offset :]
        return " ".join(b" ".join(part).decode(errors="replace").split())

    def _numbers(self) -> set[str]:
        """Variables that hold sizes and settings, as far as their source says so."""
        given = self.tree.args.args[len(self.tree.args.args) - len(self.tree.args.defaults) :]
        found = {a.arg for a in given}
        other = set[str]()
        for s in self.spots:
            if isinstance(s.node, ast.Assign):
                mine = {n.id for t in s.node.targets for n in ast.walk(t) if isinstance(n, ast.Name)}
                names = {n.id for n in ast.walk(s.node.value) if isinstance(n, ast.Name) and n.id in self.stored}
                calls = any(isinstance(n, (ast.Call, ast.Attribute)) for n in ast.walk(s.node.value))
                plain = _of_a_shape(s.node.value) or (not calls and names <= found)
                found, other = (found | mine, other) if plain else (found, other | mine)
        return found - other

    def is_module(self, node: Any) -> bool:
        while isinstance(node, ast.Attribute):
            node = node.value
        return isinstance(node, ast.Name) and node.id not in self.stored and node.id != "self"


def _spots(
    node: Any, owner: Any, field: str, at: int | None, loops: tuple[ast.For, ...], whole: Any, asked: bool, statement: Any = None
) -> Iterator[Spot]:
    statement = node if isinstance(node, ast.stmt) else statement
    yield Spot(node, owner, field, at, loops, whole, asked, statement)
    around = node if isinstance(node, (ast.BinOp, ast.Call, ast.Subscript, ast.Assign, ast.AugAssign, ast.Return)) else whole
    for name, value in ast.iter_fields(node):
        inner = (*loops, node) if isinstance(node, ast.For) and name == "body" else loops
        if isinstance(value, list):
            for k, v in enumerate(value):
                if isinstance(v, ast.AST):
                    outer = v if isinstance(v, ast.stmt) else around
                    yield from _spots(v, node, name, k, inner, outer, asked, statement)
        elif isinstance(value, ast.AST):
            yield from _spots(value, node, name, None, inner, around, asked or name == "test", statement)


def _of_a_shape(value: Any) -> bool:
    text = ast.unparse(value)
    called = isinstance(value, ast.Call) and getattr(value.func, "id", "") in ("len", "int", "float")
    return text.endswith((".shape", ".size", ".ndim")) or ".shape[" in text or called


def is_self(node: Any) -> bool:
    return isinstance(node.value, ast.Name) and node.value.id == "self"


def at(new: Any, old: Any) -> Any:
    return ast.copy_location(new, old)
