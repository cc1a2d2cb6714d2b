"""What a candidate is made of: its own functions, and the small numbers in them that can be its ε."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import replace
from types import CodeType, FunctionType
from typing import Any

import numpy as np

from .candidate import Answer
from .case import Case
from .subject import Subject
from .trial import Trial

_MOST = 12  # functions
_SMALL = 2e-2  # no ε is larger
_UNSAID = (2.0**-23, 2.0**-52)  # a default that is only the dtype's spacing is nobody's choice


def functions(candidate: Any) -> list[FunctionType]:
    """Its own, its class's, and those of its file that it calls."""
    found: dict[FunctionType, None] = {}
    waiting = [f for c in (candidate, *getattr(candidate, "beside", ())) for f in _first(c)]
    while waiting and len(found) < _MOST:
        f = waiting.pop(0)
        if f not in found:
            found[f] = None
            others = (f.__globals__.get(n) for n in f.__code__.co_names)
            waiting += [g for g in others if isinstance(g, FunctionType) and g.__code__.co_filename == f.__code__.co_filename]
    return list(found)


def _first(candidate: Any) -> Iterator[FunctionType]:
    for _ in range(8):
        candidate = getattr(candidate, "function", candidate) if not isinstance(candidate, type) else candidate
        candidate = inspect.unwrap(candidate) if callable(candidate) else candidate
        candidate = getattr(candidate, "__func__", getattr(candidate, "func", candidate))
        owner = getattr(candidate, "__self__", None)
    if isinstance(candidate, FunctionType):
        yield candidate
    kind = candidate if isinstance(candidate, type) else type(owner) if owner is not None else None
    for value in vars(kind).values() if kind is not None else ():
        value = getattr(value, "__func__", value)
        if isinstance(value, FunctionType) and (value.__name__ == "__call__" or not value.__name__.startswith("__")):
            yield value


# ε ----------------------------------------------------------------------------------------------------------------------


def own_eps(trial: Trial, case: Case, answer: Answer) -> float | None:
    """The ε that a candidate holds where it takes none, if with that more of its gradients are right."""
    now = trial.subject.options.get("eps")
    if not trial.subject.registered or not isinstance(now, float) or "eps" in answer.taken or answer.raised:
        return None
    right = _right(trial, case, answer)
    if len(right) == len(answer.gradients) + (answer.output is not None):
        return None
    if _takes_it(trial, case, answer):
        return None
    held = [e for e in dict.fromkeys(e for f in functions(trial.call) for e in _small(f)) if e != now]
    if is_unsaid(now) and len(held) == 1:  # then it is all that is said of ε
        return held[0]
    best: tuple[int, float | None] = (len(right), None)
    for eps in held:
        there = replace(trial, subject=Subject(trial.subject.norm, {**trial.subject.options, "eps": eps}, None))
        other = there.subject.case({n: t.numpy() for n, t in case.inputs.items()}, case.dy)
        found = _right(there, other, there.ask(other, case.dy.dtype, once=True))
        best = max(best, (len(found), eps), key=lambda pair: pair[0])
    return best[1]


def _takes_it(trial: Trial, case: Case, answer: Answer) -> bool:
    """Whether it gives something else where ε is another."""
    there = replace(trial, subject=Subject(trial.subject.norm, {**trial.subject.options, "eps": 0.5}, None))
    other = there.ask(case, case.dy.dtype, once=True).gradients
    pairs = ((g, other.get(n)) for n, g in answer.gradients.items())
    return any(a is not None and (b is None or not np.array_equal(a, b, equal_nan=True)) for a, b in pairs)


def is_unsaid(eps: float) -> bool:
    """Whether a default is nobody's choice."""
    return eps in _UNSAID


def _right(trial: Trial, case: Case, answer: Answer) -> set[str]:
    return {n for n, j in trial.judge(case, answer, [], explained=False).items() if j.ok}


def _small(function: FunctionType) -> Iterator[float]:
    values = [*_constants(function.__code__), *(function.__globals__.get(n) for n in function.__code__.co_names)]
    values += [_held(c) for c in function.__closure__ or ()]
    yield from (float(v) for v in values if isinstance(v, float) and 0 < v < _SMALL)


def _held(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not given any yet
        return None


def _constants(code: CodeType) -> Iterator[Any]:
    for c in code.co_consts:
        if isinstance(c, CodeType):
            yield from _constants(c)
        elif isinstance(c, tuple):
            yield from c
        else:
            yield c
