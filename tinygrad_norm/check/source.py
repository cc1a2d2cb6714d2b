"""What a recorded call is called in its own source: the line, the expression, its operands, and where a name got its value."""

from __future__ import annotations

import ast
import functools
import linecache
from collections.abc import Iterator
from types import CodeType
from typing import Any


@functools.lru_cache(maxsize=256)
def lines_of(code: CodeType) -> list[str]:
    """The lines of the file it was compiled from; none where they are others, as of a cell that was run under its file's name."""
    lines = linecache.getlines(code.co_filename)
    first = lines[code.co_firstlineno - 1 : code.co_firstlineno] if code.co_firstlineno > 0 else []
    begins = first and (code.co_name.startswith("<") or f"def {code.co_name}" in first[0] or first[0].lstrip().startswith("@"))
    return lines if begins and (code.co_name != "<lambda>" or "lambda" in first[0]) else []


def line_of(code: CodeType, instruction: int) -> int:
    """The line of the source on which an instruction stands."""
    start = _positions(code, instruction)[0]
    if start is not None:
        return start
    found = code.co_firstlineno
    for begin, end, number in code.co_lines():
        if begin <= instruction < end and number is not None:
            found = number
    return found


def spot(code: CodeType, instruction: int) -> Any:
    """The same for one expression, however often it ran: an interpreter that specialises moves the instruction."""
    found = _positions(code, instruction)
    return instruction if found[0] is None else found


def text_of(code: CodeType, instruction: int) -> str:
    """The expression of the source that an instruction belongs to; before Python 3.11 its line. Empty without a source."""
    lines = lines_of(code)
    first = line_of(code, instruction)
    if not 0 < first <= len(lines):
        return ""
    start, end, left, right = _positions(code, instruction)
    if start is None or end is None or left is None or right is None:
        return " ".join(lines[first - 1].split())
    part = [line.encode() for line in lines[start - 1 : end]]
    part[-1] = part[-1][:right]
    part[0] = part[0][left:]
    return " ".join(b"".join(part).decode(errors="replace").split())


Positions = tuple["int | None", "int | None", "int | None", "int | None"]


def _positions(code: CodeType, instruction: int) -> Positions:
    every = _every_position(code)
    return every[instruction // 2] if instruction // 2 < len(every) else (None,) * 4


@functools.lru_cache(maxsize=256)
def _every_position(code: CodeType) -> tuple[Positions, ...]:
    found: Any = getattr(code, "co_positions", None)  # since Python 3.11
    return () if found is None else tuple(found())


@functools.lru_cache(maxsize=2048)
def operands_of(code: CodeType, instruction: int) -> tuple[str, ...]:
    """The operands of an expression as they stand in the source, in the order in which its function takes them."""
    try:
        tree: Any = ast.parse(text_of(code, instruction).strip()).body[0]
    except (SyntaxError, ValueError, IndexError, RecursionError):
        return ()
    node = tree.value if isinstance(tree, ast.Expr) else tree
    if isinstance(node, ast.BinOp):
        found = [node.left, node.right]
    elif isinstance(node, ast.AugAssign):
        found = [node.target, node.value]
    elif isinstance(node, ast.UnaryOp):
        found = [node.operand]
    elif isinstance(node, ast.Compare):
        found = [node.left, node.comparators[0]]
    elif isinstance(node, ast.Subscript):
        found = [node.value, node.slice]
    elif isinstance(node, ast.Call):
        own = isinstance(node.func, ast.Attribute) and not (isinstance(node.func.value, ast.Name) and node.func.value.id == "np")
        found = [*([node.func.value] if own and isinstance(node.func, ast.Attribute) else []), *node.args]
    else:
        return ()
    return tuple(ast.unparse(n) for n in found)


@functools.lru_cache(maxsize=8)
def _functions(text: str) -> tuple[ast.AST, ...]:
    """All that a file defines."""
    try:
        return tuple(n for n in ast.walk(ast.parse(text)) if isinstance(n, (ast.FunctionDef, ast.Lambda)))
    except (SyntaxError, ValueError, RecursionError):
        return ()


@functools.lru_cache(maxsize=256)
def definition(code: CodeType, name: str, first: bool = False) -> tuple[int, str] | None:
    """Line and text of the one statement that gives a name its value in a function; None where it is none, or not the only one.

    first: or the first of several
    """
    text = "".join(lines_of(code))
    scopes = [n for n in _functions(text) if isinstance(n, (ast.FunctionDef, ast.Lambda))]
    inside = [n for n in scopes if n.lineno <= code.co_firstlineno <= (n.end_lineno or n.lineno)]
    inside += [
        n
        for n in scopes
        if getattr(n, "name", "") == code.co_name and abs(n.lineno - code.co_firstlineno) <= len(getattr(n, "decorator_list", ()))
    ]
    if not inside:
        return None
    found = [s for s in ast.walk(max(inside, key=lambda n: n.lineno)) if name in _given(s)]
    found = sorted(found, key=lambda s: getattr(s, "lineno", 0))[:1] if first else found
    if len(found) != 1 or not isinstance(found[0], ast.Assign) or not isinstance(found[0].targets[0], ast.Name):
        return None
    return found[0].lineno, " ".join((ast.get_source_segment(text, found[0]) or "").split())


def the_return(code: CodeType) -> tuple[int, str] | None:
    """Line and text of a function's only ``return``."""
    text = "".join(lines_of(code))
    for n in _functions(text):
        if isinstance(n, ast.FunctionDef) and n.name == code.co_name and n.lineno <= code.co_firstlineno + len(n.decorator_list):
            if code.co_firstlineno > (n.end_lineno or n.lineno) or code.co_firstlineno + len(n.decorator_list) < n.lineno:
                continue
            found = [s for s in ast.walk(n) if isinstance(s, ast.Return)]
            said = " ".join((ast.get_source_segment(text, found[0]) or "").split()) if found else ""
            return (found[0].lineno, said) if len(found) == 1 else None
    return None


def _given(statement: Any) -> Iterator[str]:
    targets = (
        statement.targets
        if isinstance(statement, ast.Assign)
        else [statement.target]
        if isinstance(statement, (ast.AugAssign, ast.AnnAssign, ast.For, ast.NamedExpr, ast.comprehension))
        else []
    )
    for t in targets:
        yield from (n.id for n in ast.walk(t) if isinstance(n, ast.Name))
