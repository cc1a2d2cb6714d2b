"""The line of a candidate's own source that is wrong, found by editing it: what, edited there, makes its gradients right when it is run.

It needs no record, so it serves code for any library, and loops, indices and conditions, which no record of calls shows.
"""

from __future__ import annotations

import ast
import contextlib
import functools
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import numpy as np

from .case import Case
from .edits import edits
from .guard import file_of
from .own import functions
from .probes import redrawn
from .repair import Line, Repair
from .source import lines_of
from .spots import Edit
from .trial import Trial

BUDGET = 300  # edits run, at most
_TOLD = 3  # lines that no number tells apart, at most
_PLACES = 6  # where it is asked, at most
_ALIKE = 0.02  # costs that are one

_FLAGS = 0x1FFF000  # what ``from __future__ import`` sets
_REACHES_OUT = frozenset({  # with an edit in it, such a function may do what nobody asked for
    "open", "exec", "eval", "compile", "system", "remove", "unlink", "rmtree", "rename", "Popen", "call", "check_call", "run", "write",
    "save", "savez", "savetxt", "tofile", "dump", "load", "input", "exit", "_exit", "kill", "post", "get_ipython", "socket", "urlopen",
})  # fmt: skip


class Source:
    """A function and its syntax tree, with the lines it has in its file."""

    def __init__(self, function: FunctionType, tree: ast.FunctionDef, text: str) -> None:
        self.function, self.tree, self.text = function, tree, text

    @contextlib.contextmanager
    def with_edit(self, edit: Edit) -> Iterator[None]:
        """While that lasts, the function is the edited one. Raises ``SyntaxError`` or ``ValueError`` where that is no function."""
        before = self.function.__code__
        self.function.__code__ = self._compiled(edit)
        try:
            yield
        finally:
            self.function.__code__ = before

    def _compiled(self, edit: Edit) -> CodeType:
        code = self.function.__code__
        undo = [(owner, field, getattr(owner, field)) for owner, field, _ in edit.places]
        decorators, self.tree.decorator_list = self.tree.decorator_list, []
        try:
            for owner, field, new in edit.places:
                new = list(new) if isinstance(new, tuple) else new
                setattr(owner, field, new)
                for node in new if isinstance(new, list) else [new]:
                    if isinstance(node, ast.AST):
                        ast.fix_missing_locations(node)
            body: list[ast.stmt] = [self.tree]
            if code.co_freevars:
                outer = ast.parse(f"def outer({', '.join(code.co_freevars)}): pass").body[0]
                assert isinstance(outer, ast.FunctionDef)
                outer.body, body = body, [outer]
            made = compile(ast.Module(body, []), code.co_filename, "exec", flags=code.co_flags & _FLAGS, dont_inherit=True)
        finally:
            self.tree.decorator_list = decorators
            for owner, field, old in reversed(undo):
                setattr(owner, field, old)
        found = next(_named(made, code.co_name))
        return found


def _named(code: CodeType, name: str) -> Iterator[CodeType]:
    for c in code.co_consts:
        if isinstance(c, CodeType):
            if c.co_name == name:
                yield c
            yield from _named(c, name)


def sources(candidate: Any) -> list[Source]:
    """The functions a candidate is made of that can be edited."""
    return [s for s in map(_source, functions(candidate)) if s is not None]


def _source(function: FunctionType) -> Source | None:
    code = function.__code__
    text = "".join(lines_of(code))
    tree = _definition(text, code.co_name, code.co_firstlineno)
    if tree is None or not _REACHES_OUT.isdisjoint(code.co_names):
        return None
    hidden = any(n.startswith("__") and not n.endswith("__") for n in code.co_names)
    endless = any(isinstance(n, (ast.While, ast.Yield, ast.YieldFrom, ast.Await)) for n in ast.walk(tree))
    return None if hidden or endless else Source(function, tree, text)


@functools.lru_cache(maxsize=64)
def _definition(text: str, name: str, line: int) -> ast.FunctionDef | None:
    """A tree of its own, which edits may change and put back."""
    try:
        every = [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef) and n.name == name]
    except (SyntaxError, ValueError, RecursionError):
        return None
    return next((n for n in every if line in (n.lineno, *(d.lineno for d in n.decorator_list))), None)


# Which edit -----------------------------------------------------------------------------------------------------------


def rewritten(trial: Trial, places: Iterator[Case], wrong: Sequence[str], most: float = np.inf) -> list[Repair]:
    """What makes these gradients right, and none wrong that was right: all of them at once, or each by itself.

    places: where it can be asked; at three of them an edit must hold
    most:   what an edit may cost
    """
    own = sources(trial.call)
    if not own:
        return []
    try:
        search = _Search(trial, own, places, set(wrong))
        found = search.run(tuple(wrong), most) if search.cases else {}
    except _LateError:
        return []
    return [Repair(names, lines, sure=True) for names, lines in found.items()]


class _LateError(Exception):
    """It does not return."""


class _Search:
    def __init__(self, trial: Trial, own: Sequence[Source], places: Iterator[Case], wrong: set[str]) -> None:
        self.trial, self.sources = trial, own
        self.home = file_of(trial.call)
        found: list[tuple[Case, set[str]]] = []
        for case in islice(places, _PLACES):
            right = self._right(case)
            if right is not None:
                found.append((case, right))
            if len(found) >= 3 and sum(not wrong & r for _, r in found) > 1:
                break
        for case, _ in found[:1] if len(found) == 1 else ():  # it takes one shape only: other numbers of that
            again = trial.subject.case(redrawn(case))
            right = self._right(again)
            found += [] if right is None else [(again, right)]
        found.sort(key=lambda pair: len(wrong & pair[1]))
        found = found[:2] + found[-1:] if len(found) > 2 else found
        self.cases = [case for case, right in found] if found and not wrong <= found[0][1] and len(found) > 1 else []
        self.right = [right for _, right in found]

    def _right(self, case: Case) -> set[str] | None:
        """What it gives rightly there; None where it gives nothing."""
        answer = self.trial.ask(case, np.float64, once=True)
        if (answer.error or "").startswith("did not return"):
            raise _LateError
        if answer.raised:
            return None
        found = self.trial.judge(case, answer, [], explained=False)
        return {n for n, j in found.items() if j.ok}

    def run(self, goal: tuple[str, ...], most: float = np.inf) -> dict[tuple[str, ...], tuple[Line, ...]]:
        every = sorted(((e, s) for s in self.sources for e in edits(s.tree, s.text)), key=lambda pair: pair[0].cost)
        hits: dict[tuple[str, ...], list[tuple[Edit, Source]]] = {}
        for edit, source in every[:BUDGET]:
            best = hits[goal][0][0].cost if hits.get(goal) else np.inf
            if edit.cost > min(best + _ALIKE, most):
                break
            fixed = self._fixed(edit, source, goal)
            for names in [goal] if set(goal) <= fixed else [(n,) for n in goal if n in fixed]:
                first = hits.setdefault(names, [])
                if (not first or edit.cost <= first[0][0].cost + _ALIKE) and self._holds(edit, source, names):
                    first.append((edit, source))
        hits = {names: h for names, h in hits.items() if h}
        wanted = [goal] if goal in hits else [(n,) for n in goal if (n,) in hits]
        return {names: tuple(self._lines(hits[names])) for names in wanted}

    def _fixed(self, edit: Edit, source: Source, goal: Sequence[str]) -> set[str]:
        """Of the goal, what is right with that edit, if all else stays right that was."""
        right = self._with(edit, source, 0)
        return right & set(goal) if self.right[0] <= right else set()

    def _holds(self, edit: Edit, source: Source, names: Sequence[str]) -> bool:
        return all(self.right[k] | set(names) <= self._with(edit, source, k) for k in range(1, len(self.cases)))

    def _with(self, edit: Edit, source: Source, k: int) -> set[str]:
        try:
            with source.with_edit(edit):
                return self._right(self.cases[k]) or set()
        except (SyntaxError, ValueError, TypeError, RecursionError, _LateError):
            return set()

    def _lines(self, hits: Sequence[tuple[Edit, Source]]) -> Iterator[Line]:
        told: dict[tuple[str, int], Line] = {}
        for edit, source in sorted(hits, key=lambda h: h[0].cost):
            file = source.function.__code__.co_filename
            line = Line(edit.line, edit.text[:100], edit.words, "" if file == self.home else Path(file).name, edit.also)
            told.setdefault((file, edit.line), line)
        yield from list(told.values())[:_TOLD]
