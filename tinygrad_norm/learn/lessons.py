"""The lessons: found by their numbers, run cell by cell from wherever the package is, and turned into notebooks."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from ..engine import OptionError, describe
from .catalogue import lessons

MINUTES_30 = (
    "a_tensor_remembers",
    "layer_norm_from_primitives",
    "four_routes",
    "the_analytic_node",
    "a_test_that_cannot_fail",
    "name_the_missing_term",
)
"""The shortest path: what a record is, LayerNorm from its parts, its four routes, three terms, and how to check one."""


class Cell(NamedTuple):
    """kind: "markdown" or "code"; line: the number of its first one in the file."""

    kind: str
    text: str
    line: int


def lesson_names() -> dict[int, str]:
    """By number, as the files are called."""
    return {int(p.stem[:2]): p.stem for p in sorted(lessons().glob("[0-9]*_*.py"))}


def lesson_called(word: str) -> str:
    """Its name, by the words behind its number: the course knows it by those."""
    return next(name for name in lesson_names().values() if name[3:] == word)


def known_lesson(number: Any) -> str:
    """Its name, of "5", "05" or "05_four_routes"; ``OptionError`` for what is none."""
    text, names = str(number).removesuffix(".py"), lesson_names()
    for n, name in names.items():
        if text in (name, name[3:]) or (text.isdecimal() and int(text) == n):
            return name
    raise OptionError(
        f"lesson: {describe(number)} is no lesson; there are {min(names)} to {max(names)}. tinygrad-norm lesson lists them."
    )


def lesson_text(name: str) -> str:
    return (lessons() / f"{name}.py").read_text(encoding="utf-8")


def heading(name: str) -> str:
    """Its title, without the number."""
    found = re.search(r"^# # \d+ · (.+)$", lesson_text(name), re.M)
    assert found, name
    return found[1]


def cells(text: str) -> Iterator[Cell]:
    """Of a file in ``# %%`` cells."""
    before, *parts = re.split(r"^# %%", text, flags=re.M)
    line = before.count("\n") + 1  # of the mark
    for part in parts:
        mark, _, body = part.partition("\n")
        first = line + 1 + len(body) - len(body.lstrip("\n"))
        if "[markdown]" in mark:
            shown = "\n".join(li.removeprefix("#").removeprefix(" ") for li in body.strip().splitlines())
            yield Cell("markdown", shown, first)
        elif body.strip():
            yield Cell("code", body.strip(), first)
        line += part.count("\n")


def notebook(text: str) -> str:
    """A file in cells as .ipynb (nbformat 4.5), without outputs. A cell that ends in printing a graph shows its picture there."""
    made = []
    for i, cell in enumerate(cells(text)):
        plain: dict[str, Any] = {"cell_type": cell.kind, "id": f"cell-{i}", "metadata": {}}
        if cell.kind == "code":
            last = ast.parse(cell.text).body[-1]
            drawn = _drawn(last)
            shown = cell.text
            if drawn is not None:
                lines = cell.text.splitlines()
                shown = "\n".join([*lines[: last.lineno - 1], ast.unparse(drawn)])
            plain |= {"execution_count": None, "outputs": []}
            plain["source"] = shown.splitlines(keepends=True)
        else:
            plain["source"] = cell.text.splitlines(keepends=True)
        made.append(plain)
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    whole = {
        "cells": made,
        "metadata": {"kernelspec": kernel, "language_info": {"name": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(whole, ensure_ascii=False, indent=1) + "\n"


def run_lesson(name: str, seen: Callable[[Cell], None] | None = None) -> list[Any]:
    """Run it, cell by cell, printing what it prints; the graphs that it shows.

    seen:  called with each cell before it is run

    What the lesson raises is raised: its last cell is its test.
    """
    place = str(lessons() / f"{name}.py")
    names: dict[str, Any] = {"__name__": "__main__", "__file__": place}
    graphs: list[Any] = []
    for cell in cells(lesson_text(name)):
        if seen is not None:
            seen(cell)
        if cell.kind == "markdown":
            continue
        body = ast.increment_lineno(ast.parse(cell.text, place), cell.line - 1)  # who names a line of it names one of the file
        drawn = _drawn(body.body[-1])
        if drawn is None:
            exec(compile(body, place, "exec"), names)
            continue
        exec(compile(ast.Module(body.body[:-1], []), place, "exec"), names)
        graphs.append(eval(compile(ast.Expression(drawn), place, "eval"), names))
        print(graphs[-1])
    return graphs


def _drawn(last: ast.stmt) -> ast.expr | None:
    """The graph that a statement prints: ``tn.graph(y)`` of ``print(tn.graph(y))``."""
    if not (isinstance(last, ast.Expr) and isinstance(last.value, ast.Call) and ast.unparse(last.value.func) == "print"):
        return None
    given = last.value.args
    one = given[0] if len(given) == 1 else None
    return one if isinstance(one, ast.Call) and ast.unparse(one.func) == "tn.graph" else None


def beside(folder: Path | None, name: str, suffix: str) -> Path:
    """Where a file made of a lesson goes: a folder, or where one is."""
    return (Path() if folder is None else folder) / f"{name}{suffix}"
