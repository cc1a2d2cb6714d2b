"""Lessons as notebooks, which Sphinx runs; exercises as their text and what a learner finds, without the solution."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tinygrad_norm.learn import course
from tinygrad_norm.learn.exercise import stub
from tinygrad_norm.learn.lessons import MINUTES_30, cells, heading, lesson_called, lesson_names, lesson_text, notebook

from .prose import plain, title, toctree


def write(source: Path) -> None:
    """lessons/ and exercises/ into the sources."""
    for place in ("lessons", "exercises"):
        (source / place).mkdir(parents=True)
    names, tasks = lesson_names(), course.exercise_names()
    for number, name in names.items():
        mine = [e for e in tasks if course.exercise(e).lesson == name[3:]]
        (source / "lessons" / f"{name}.ipynb").write_text(_with_last(notebook(lesson_text(name)), number, mine), encoding="utf-8")
    for task in tasks:
        (source / "exercises" / f"{task}.md").write_text(exercise(task), encoding="utf-8")
    (source / "lessons" / "index.rst").write_text(_lessons(), encoding="utf-8")
    (source / "exercises" / "index.rst").write_text(_exercises(tasks), encoding="utf-8")


def exercise(name: str) -> str:
    """Its goal, its text and the file as it is found."""
    found = course.exercise(name)
    lesson = lesson_called(found.lesson)
    head, *rest = [
        cell.text if cell.kind == "markdown" else f"```python\n{cell.text}\n```" for cell in cells(stub(course.source(name)))
    ]
    about = f"*You will be able to {found.goal}. After the lesson [{heading(lesson)}](../lessons/{lesson}.ipynb), about {found.minutes} minutes.*"
    last = f"`tinygrad-norm learn run {int(name[:2])}` judges it, and gives hints."
    first, _, text = head.partition("\n")
    return "\n\n".join((first, about, text.strip(), *rest, last)) + "\n"


def _with_last(made: str, number: int, tasks: list[str]) -> str:
    """A notebook with one more cell: where it can be run, and what there is to do."""
    whole: dict[str, Any] = json.loads(made)
    links = "".join(f"\n- [{course.title(t)}](../exercises/{t}.md)" for t in tasks)
    text = f"---\n\nRun it: `tinygrad-norm lesson {number}`." + (f" Your turn:\n{links}" if links else "")
    whole["cells"].append({"cell_type": "markdown", "id": "last", "metadata": {}, "source": text})
    return json.dumps(whole, ensure_ascii=False)


def _lessons() -> str:
    parts = [
        title("Lessons"),
        "Each has one idea, takes seconds, and ends in an assertion that you can make fail. \\* is the path of half an hour.",
    ]
    for part, words in course.PARTS.items():
        names = {lesson_called(word): " \\*" if word in MINUTES_30 else "" for word in words}
        parts += [
            title(part, "-"),
            "\n".join(f"- :doc:`{int(n[:2])} · {plain(heading(n))} <{n}>`{star}" for n, star in names.items()),
        ]
    ordered = [lesson_called(word) for words in course.PARTS.values() for word in words]
    return "\n\n".join([*parts, toctree(ordered, options="   :hidden:\n")])


def _exercises(names: tuple[str, ...]) -> str:
    lines = "\n\n".join(
        f":doc:`{int(n[:2])} · {plain(course.title(n))} <{n}>`\n   {plain(course.exercise(n).goal)}" for n in names
    )
    text = (
        "``tinygrad-norm learn`` makes a folder of them, watches the file you are at, and says on every save which term is wrong. "
        "Here is the text, without the solutions."
    )
    return "\n\n".join([title("Exercises"), text, lines, toctree(list(names), options="   :hidden:\n")])
