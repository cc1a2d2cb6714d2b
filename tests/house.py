"""The house in one drawing, made from what its files import: ``python -m tests.house`` prints it."""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path

import tinygrad_norm

PACKAGE = Path(tinygrad_norm.__file__).parent
ROOMS = ("engine", "norms", "graph", "optim", "data", "nn", "train", "draw", "derive", "check", "compile", "learn", "cli")
"""From the bottom up: each imports only from those before it."""


@functools.cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@functools.cache
def imports(path: Path) -> frozenset[tuple[int, str]]:
    """(level, first name) of every import in a file, however deep it stands."""
    found: set[tuple[int, str]] = set()
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            found |= {(0, a.name.split(".")[0]) for a in node.names}
        elif isinstance(node, ast.ImportFrom):
            names = [node.module.split(".")[0]] if node.module else [a.name for a in node.names]
            found |= {(node.level, name) for name in names}
    return frozenset(found)


def files(room: str) -> list[Path]:
    return sorted((PACKAGE / room).rglob("*.py"))


def known(room: str) -> set[str]:
    """The rooms that its files import."""
    return {name for path in files(room) for level, name in imports(path) if level == 2} & set(ROOMS)


def drawing() -> str:
    """A line for each room, a mark for each room that it knows; what its first sentence says."""
    lines = []
    for i, room in enumerate(ROOMS):
        cells = "".join("█ " if other in known(room) else "· " for other in ROOMS[:i])
        said = (PACKAGE / room / "__init__.py").read_text(encoding="utf-8").split('"""')[1]
        lines.append(f"{room:8} {cells}{'╲':{2 * (len(ROOMS) - i)}} {re.split(r'[.:](?= |$)', said, flags=re.M)[0]}")
    return "\n".join(lines)


if __name__ == "__main__":
    print(drawing())
