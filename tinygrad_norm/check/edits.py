"""What a function's source may have been meant to be: one edit at a time, what is nearest to what stands there first.

These are for what a record of calls does not show: which turns a loop takes, what is assigned where it has to be added, which index,
name or condition stands in the source; and they need no record, so they serve code for any library.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from .expressions import (
    INSTEAD,
    SIGN,
    exchanges,
    factors,
    of_arguments,
    of_call,
    of_constant,
    of_negation,
    of_operation,
    of_several,
)
from .spots import Edit, Function, Spot, at, is_self


def edits(tree: ast.FunctionDef, text: str) -> list[Edit]:
    """All of them, the nearest first."""
    return sorted(_all(Function(tree, text)), key=lambda e: (e.cost, e.line))


def _all(f: Function) -> Iterator[Edit]:
    for s in f.spots:
        for attempt in _FOR.get(type(s.node), ()):
            yield from attempt(f, s)
    yield from _indices_at_once(f)
    yield from exchanges(f)
    yield from factors(f)


def loop(f: Function, s: Spot) -> Iterator[Edit]:
    """Turns that are left out, or too many."""
    call = s.node.iter
    if not (isinstance(call, ast.Call) and getattr(call.func, "id", "") == "range" and call.args):
        return
    head = f.said(call)

    def other(args: list[Any], words: str, cost: float = 1.0) -> Edit:
        return Edit(cost, words, s.node.lineno, f"for {ast.unparse(s.node.target)} in {head}", ((call, "args", args),))

    start, stop = (ast.Constant(0), call.args[0]) if len(call.args) == 1 else call.args[:2]
    step = call.args[2:]
    first = start.value if isinstance(start, ast.Constant) else None
    if first != 0:
        yield other([ast.Constant(0), stop, *step], f"it starts at {ast.unparse(start)}: what comes before is left out")
    if first == 0:
        yield other([ast.Constant(1), stop, *step], "it starts at 0 where 1 belongs", 1.3)
    shown = ast.unparse(stop)
    for node in ast.walk(stop):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.FloorDiv):
            blocks = _whole(node.left, node.right)
            if node is stop:
                yield other([start, blocks, *step], f"{shown} leaves out the rest of the division, the last block")
            yield other([start, node.left, *step], f"{shown} leaves out the rest of the division, the last block", 1.1)
    if isinstance(stop, ast.BinOp) and isinstance(stop.op, ast.Sub):
        yield other([start, stop.left, *step], f"it ends before {ast.unparse(stop.left)}: what comes last is left out")
    yield other([start, ast.BinOp(stop, ast.Sub(), ast.Constant(1)), *step], "it has one turn too many", 1.4)
    yield other([start, ast.BinOp(stop, ast.Add(), ast.Constant(1)), *step], "it has one turn too few: what comes last is left out", 1.1)  # fmt: skip


def assignment(f: Function, s: Spot) -> Iterator[Edit]:
    """What overwrites where it has to be added, and the other way round."""
    node, target = s.node, s.node.targets[0]
    value = node.value
    again = isinstance(value, ast.BinOp) and isinstance(value.op, (ast.Add, ast.Sub)) and _same(value.left, target)
    if again and s.loops:
        new = ast.Assign([target], value.right)
        words = "it adds to what stands there: that is not set back to zero before"
        yield replace(f.edit(1.05, s, at(new, node), words), also=_first(f, target, node))
    elif s.loops and isinstance(target, (ast.Name, ast.Subscript)) and _is_made_outside(target, s.loops, f.stored):
        new_ = ast.AugAssign(target, ast.Add(), value)
        yield f.edit(1.0, s, at(new_, node), "= where += belongs: each turn of the loop overwrites what the one before gave")
    several = isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts)
    if s.loops and several and all(_is_made_outside(t, s.loops, f.stored) for t in target.elts):
        added = [at(ast.AugAssign(t, ast.Add(), v), node) for t, v in zip(target.elts, value.elts)]
        yield f.edit(1.0, s, added, "= where += belongs: what came before is overwritten")


def addition(f: Function, s: Spot) -> Iterator[Edit]:
    node = s.node
    words = f"{SIGN.get(type(node.op), '')}= where = belongs"
    if isinstance(node.op, ast.Add):
        words += ": it adds to what stands there already"
    yield replace(f.edit(1.15, s, at(ast.Assign([node.target], node.value), node), words), also=_first(f, node.target, node))
    for op in INSTEAD.get(type(node.op), ()):
        new = at(ast.AugAssign(node.target, op, node.value), node)
        yield f.edit(1.05, s, new, f"{SIGN[type(node.op)]}= where {SIGN[type(op)]}= belongs")
    yield f.edit(1.35, s, at(ast.Pass(), node), "this does not belong here")


def _first(f: Function, target: Any, node: Any) -> tuple[int, ...]:
    """Where a variable gets its first value, if that is before."""
    line = f.stored.get(target.id) if isinstance(target, ast.Name) else None
    return (line,) if line is not None and f.tree.lineno < line < node.lineno else ()


def statement(f: Function, s: Spot) -> Iterator[Edit]:
    """Its order."""
    if s.at is None or s.field != "body":
        return
    body = s.owner.body
    if s.at + 1 < len(body) and isinstance(body[s.at + 1], (ast.Assign, ast.AugAssign)):
        place = (s.owner, "body", [*body[: s.at], body[s.at + 1], body[s.at], *body[s.at + 2 :]])
        yield Edit(1.3, f"it belongs after line {body[s.at + 1].lineno}", s.node.lineno, f.said(s.node), (place,))


def condition(f: Function, s: Spot) -> Iterator[Edit]:
    node, first = s.node, s.node.body[0]
    shown = ast.unparse(node.test)
    of = first if len(node.body) == 1 else node
    yield f.edit(1.1, s, node.body, f"it belongs there always, not only if {shown}", of)
    if node.orelse:
        of = node.orelse[0] if len(node.orelse) == 1 else node
        yield f.edit(1.1, s, node.orelse, f"it belongs there always, not only if not {shown}", of)
    else:
        yield f.edit(1.3, s, ast.Pass(), "this does not belong here", of)


def choice(f: Function, s: Spot) -> Iterator[Edit]:
    for new in (s.node.body, s.node.orelse):
        yield f.edit(1.1, s, new, f"{ast.unparse(new)} belongs here always")


def name(f: Function, s: Spot) -> Iterator[Edit]:
    """Another variable."""
    node = s.node
    if not isinstance(node.ctx, ast.Load) or node.id not in f.stored or (s.field == "func" and isinstance(s.owner, ast.Call)):
        return
    inside = {n.id for loop in s.loops for n in ast.walk(loop.target) if isinstance(n, ast.Name)}
    for other, line in f.stored.items():
        known = line < node.lineno or any(loop.lineno < line for loop in s.loops)
        turning = node.id in f.turning
        if other == node.id or other == "self" or not known or (other in f.turning) != turning:
            continue
        if (other in f.numbers) != (node.id in f.numbers):
            continue
        if turning and other not in inside:
            continue
        new = ast.copy_location(ast.Name(other, ast.Load()), node)
        yield f.edit(1.2, s, new, f"{node.id} where {other} belongs", s.whole)


def attribute(f: Function, s: Spot) -> Iterator[Edit]:
    """Another thing that the object keeps."""
    node = s.node
    if not is_self(node) or not isinstance(node.ctx, ast.Load) or s.field == "func":
        return
    for other in f.own:
        if other != node.attr:
            yield f.edit(1.25, s, at(ast.Attribute(node.value, other, ast.Load()), node), f"self.{node.attr} where self.{other} belongs", s.whole)  # fmt: skip


def index(f: Function, s: Spot) -> Iterator[Edit]:
    """Another index: of the loop, one further, one that is used elsewhere."""
    node = s.node
    inside = [n.id for loop in s.loops for n in ast.walk(loop.target) if isinstance(n, ast.Name)]
    parts = list(node.slice.elts) if isinstance(node.slice, ast.Tuple) else [node.slice]
    for k, part in enumerate(parts):
        for other in _indices(f, part, inside):
            rest = [*parts[:k], other, *parts[k + 1 :]]
            new = ast.Tuple(rest, ast.Load()) if isinstance(node.slice, ast.Tuple) else other
            words = f"index {ast.unparse(part)} where {ast.unparse(other)} belongs"
            yield f.edit(1.1, s, at(ast.Subscript(node.value, new, node.ctx), node), words)
    for key, other in f.indices.items():
        if key != ast.unparse(node.slice) and not any(n is node for n in ast.walk(other)):
            words = f"[{ast.unparse(node.slice)}] where [{ast.unparse(other)}] belongs"
            yield f.edit(1.15, s, at(ast.Subscript(node.value, other, node.ctx), node), words)


def _indices(f: Function, part: Any, inside: Sequence[str]) -> Iterator[Any]:
    if isinstance(part, ast.Constant) and isinstance(part.value, int):
        yield from (ast.Name(n, ast.Load()) for n in inside)
    if isinstance(part, ast.BinOp) and isinstance(part.left, ast.Name) and part.left.id in inside:
        yield part.left
    if isinstance(part, ast.Name) and part.id in inside:
        for op in (ast.Add(), ast.Sub()):
            yield ast.BinOp(part, op, ast.Constant(1))
    if isinstance(part, ast.Slice) and (part.lower is not None or part.upper is not None):
        yield ast.Slice(None, None, part.step)


def _indices_at_once(f: Function) -> Iterator[Edit]:
    """A number that stands for a loop's index everywhere."""
    for loop in (s.node for s in f.spots if isinstance(s.node, ast.For) and isinstance(s.node.target, ast.Name)):
        fixed: dict[Any, list[Spot]] = {}
        for s in f.spots:
            if loop in s.loops and isinstance(s.node, ast.Subscript) and isinstance(s.node.slice, ast.Constant):
                fixed.setdefault(s.node.slice.value, []).append(s)
        for value, spots in fixed.items():
            if len(spots) > 1 and isinstance(value, int):
                turn = str(getattr(loop.target, "id", ""))
                lines = sorted({s.node.lineno for s in spots})
                words = f"[{value}] where [{turn}] belongs" + (
                    f", also on line {', '.join(map(str, lines[1:]))}" if lines[1:] else ""
                )
                places = tuple((s.node, "slice", ast.Name(turn, ast.Load())) for s in spots)
                yield Edit(1.12, words, lines[0], f.said(spots[0].node), places)


def _same(a: Any, b: Any) -> bool:
    return ast.unparse(a) == ast.unparse(b)


def _whole(a: Any, b: Any) -> Any:
    """a divided by b, rounded up."""
    return ast.UnaryOp(ast.USub(), ast.BinOp(ast.UnaryOp(ast.USub(), a), ast.FloorDiv(), b))


def _is_made_outside(target: Any, loops: Sequence[ast.For], stored: Any) -> bool:
    """Whether what is assigned was there before the innermost loop it is in."""
    while isinstance(target, ast.Subscript):
        target = target.value
    return isinstance(target, ast.Name) and stored.get(target.id, loops[-1].lineno) < loops[-1].lineno


_FOR: dict[type, tuple[Any, ...]] = {
    ast.For: (loop,), ast.Assign: (assignment, statement), ast.AugAssign: (addition, statement), ast.If: (condition,),
    ast.IfExp: (choice,), ast.Name: (name,), ast.Attribute: (attribute,), ast.Subscript: (index,), ast.BinOp: (of_operation,),
    ast.UnaryOp: (of_negation,), ast.Constant: (of_constant,), ast.Call: (of_call, of_arguments), ast.Tuple: (of_several,),
}  # fmt: skip
