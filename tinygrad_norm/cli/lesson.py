"""``tinygrad-norm lesson``: the lessons, run from the installed package, or written as notebooks."""

from __future__ import annotations

import argparse
import webbrowser
from pathlib import Path
from typing import Any

from ..engine.files import write_whole
from ..learn import course
from ..learn.lessons import MINUTES_30, beside, heading, known_lesson, lesson_names, lesson_text, notebook, run_lesson
from .common import HOLDS, MISUSED, folder, show


def add_parser(commands: Any) -> None:
    """Teach ``tinygrad-norm`` the word."""
    parser = commands.add_parser(
        "lesson",
        help="a lesson, run here, or as a notebook",
        description="Without N the lessons in the order of the course, with their exercises. With N: its text and what its cells "
        "print. A lesson ends in its own test.",
        epilog="exit code: 0 it ran to its end, 2 used wrongly",
    )
    parser.set_defaults(run=run)
    parser.add_argument("name", nargs="?", metavar="N", help="5, 05 or 05_four_routes")
    parser.add_argument("--notebook", action="store_true", help="write it as .ipynb, and run nothing")
    parser.add_argument("--open", action="store_true", help="also write the picture it shows, and open it in the browser")
    parser.add_argument("--quiet", action="store_true", help="what the cells print, and not the text between them")
    parser.add_argument("--out", type=Path, metavar="DIR", help="where files go (default: here)")


def run(args: argparse.Namespace) -> int:
    """List, run or write; returns the exit code."""
    if args.name is None:
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
    try:
        graphs = run_lesson(
            name, None if args.quiet else lambda text: show(f"\n{text}\n", "bold" if text.startswith("# ") else None)
        )
    except SystemExit:  # a lesson that needs what is not installed says so, and ends
        graphs = []
    for exercise in _exercises(int(name[:2])):
        show(f"your turn: tinygrad-norm learn run {int(exercise[:2])}   {course.title(exercise)}")
    if args.open:
        if not graphs:
            show(f"lesson {int(name[:2])} shows no graph; tinygrad-norm graph draws one")
            return MISUSED
        path = graphs[-1].save(beside(args.out, name, ".svg"))
        show(f"wrote {path}")
        webbrowser.open(path.resolve().as_uri())
    return HOLDS


def _list() -> None:
    names = lesson_names()
    for part, numbers in course.PARTS.items():
        show(part, "bold")
        for n in numbers:
            short = " *" if n in MINUTES_30 else ""
            tasks = ", ".join(str(int(e[:2])) for e in _exercises(n))
            show(f"  {n:2}  {heading(names[n])}{short}" + (f"   (exercise {tasks})" if tasks else ""))
    show("* the path of half an hour")


def _exercises(number: int) -> list[str]:
    return [e for e in course.exercise_names() if course.exercise(e).lesson == number]
