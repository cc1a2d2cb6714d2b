"""The reference: every public name, once, by the room it is best known from; its text is its docstring."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from .prose import rst, title, toctree

ROOMS = (
    "",
    "functional",
    "nn",
    "optim",
    "data",
    "train",
    "graph",
    "check",
    "derive",
    "compile",
    "draw",
    "norms",
    "learn",
    "engine",
)


def write(source: Path) -> None:
    """reference/ into the sources."""
    (source / "reference").mkdir(parents=True)
    seen: set[int] = set()
    pages = []
    for room in ROOMS:
        name = f"tinygrad_norm.{room}".rstrip(".")
        pages.append(room or "tn")
        text = "\n\n".join(page(import_module(name), name, seen))
        (source / "reference" / f"{pages[-1]}.rst").write_text(text + "\n", encoding="utf-8")
    index = f"{title('Reference')}\n\nEvery public name, from its docstring.\n\n{toctree(pages)}"
    (source / "reference" / "index.rst").write_text(index, encoding="utf-8")


def page(room: ModuleType, name: str, seen: set[int], mark: str = "=") -> Iterator[str]:
    """A room and what it hands on, all but ``seen``."""
    yield title(name, mark)
    yield rst(room.__doc__ or "")
    modules = []
    for public in sorted(room.__all__, key=str.casefold):
        value = getattr(room, public)
        if isinstance(value, ModuleType):
            if public not in ROOMS:
                modules.append((value, f"{name}.{public}"))
        elif id(value) not in seen and inspect.getdoc(value):
            seen.add(id(value))
            yield entry(value, f"{name}.{public}")
    for module, of in modules:
        if hasattr(module, "__all__"):
            yield from page(module, of, seen, "-")


def entry(value: Any, name: str) -> str:
    """What autodoc is told of a name."""
    if inspect.isclass(value):
        members = "" if issubclass(value, BaseException) else "   :members:\n"
        return f".. auto{'exception' if not members else 'class'}:: {name}\n{members}"
    return f".. auto{'function' if callable(value) else 'data'}:: {name}\n"
