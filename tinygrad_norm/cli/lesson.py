"""``tinygrad-norm lesson``: the lessons, run from the installed package, or written as notebooks."""

from __future__ import annotations

import argparse
import re
import shutil
import sys
import textwrap
import webbrowser
from pathlib import Path
from typing import Any

from ..engine.files import write_whole
from ..learn import course
from ..learn.catalogue import lessons
from ..learn.lessons import (
    MINUTES_30,
    Cell,
    beside,
    heading,
    known_lesson,
    lesson_called,
    lesson_text,
    notebook,
    run_lesson,
)
from .common import HOLDS, MISUSED, folder, show

_WIDEST = 100  # columns for text: longer lines are hard to read


def add_parser(commands: Any) -> None:
    """Teach ``tinygrad-norm`` the word."""
    parser = commands.add_parser(
        "lesson",
        help="a lesson, run here, or as a notebook",
        description="Without N the lessons in the order of the course, with their exercises. With N: its text, its code and what "
        "that prints. A lesson ends in its own test.",
        epilog="exit code: 0 it ran to its end, 2 used wrongly",
    )
    parser.set_defaults(run=run)
    parser.add_argument("name", nargs="?", metavar="N", help="5, 05 or 05_four_routes")
    parser.add_argument("--notebook", action="store_true", help="write it as .ipynb, and run nothing")
    parser.add_argument("--open", action="store_true", help="also write the picture it shows, and open it in the browser")
    parser.add_argument("--quiet", action="store_true", help="only what the code prints")
    parser.add_argument("--out", type=Path, metavar="DIR", help="where files go (default: here)")


def run(args: argparse.Namespace) -> int:
    """List, run or write; returns the exit code."""
    if args.name in (None, "list"):
        _list()
        return HOLDS
    name = known_lesson(args.name)
    if args.out is not None:
        folder(args.out)
    if args.notebook:
        path = beside(args.out, name, ".ipynb")
        write_whole(path, notebook(lesson_text(name)))
        show(f"wrote {path}")
        return HOLDS
    graphs = run_lesson(name, None if args.quiet else _show)
    if not args.quiet:
        show(f"to change it and see what happens: a copy of {lessons() / name}.py, or --notebook", "dim")
    for exercise in _exercises(name[3:]):
        show(f"your turn: tinygrad-norm learn run {int(exercise[:2]):<3} {course.title(exercise)}")
    if args.open:
        if not graphs:
            show(f"lesson {int(name[:2])} shows no graph; tinygrad-norm graph draws one")
            return MISUSED
        path = graphs[-1].save(beside(args.out, name, ".svg"))
        show(f"wrote {path}")
        webbrowser.open(path.resolve().as_uri())
    return HOLDS


def _show(cell: Cell) -> None:
    """Text in the columns there are; code as it stands, and what it prints follows."""
    if cell.kind == "code":
        return show(textwrap.indent(cell.text, "    ") + "\n", "dim")
    wide = min(shutil.get_terminal_size().columns if sys.stdout.isatty() else 80, _WIDEST)
    text = "\n\n".join(_filled(part, wide) for part in re.split(r"\n\s*\n", cell.text))
    return show(f"\n{text}\n", "bold" if cell.text.startswith("# ") else None)


def _filled(part: str, wide: int) -> str:
    """A paragraph, its lines as long as there is room; lists, tables and code keep theirs."""
    laid = any(re.match(r"\s|[-*#|>] |\d+\. |```", line) for line in part.splitlines())
    return part if laid else textwrap.fill(part, wide, break_long_words=False, break_on_hyphens=False)


def _list() -> None:
    for part, words in course.PARTS.items():
        show(part, "bold")
        for word in words:
            name = lesson_called(word)
            short = " *" if word in MINUTES_30 else ""
            tasks = [str(int(e[:2])) for e in _exercises(word)]
            kind = "exercise" + "s" * (len(tasks) > 1)
            show(f"  {int(name[:2]):2}  {heading(name)}{short}" + (f"   ({kind} {', '.join(tasks)})" if tasks else ""))
    show(f"* the path of half an hour: lessons {', '.join(str(int(lesson_called(w)[:2])) for w in MINUTES_30)}")


def _exercises(word: str) -> list[str]:
    return [e for e in course.exercise_names() if course.exercise(e).lesson == word]
