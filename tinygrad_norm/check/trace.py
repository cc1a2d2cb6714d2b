"""A candidate's own record at one place: what it did to get its gradients, made sure of by replaying it on other numbers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..engine.arrays import Array
from .candidate import Candidate
from .case import Case
from .recorded import Log, Recorded, Step
from .subject import statistics
from .trial import Trial


@dataclass(frozen=True)
class Output:
    """One gradient on the record: the step that gives it, and what it is multiplied by where dy is a number it did not take."""

    step: Step
    scale: float = 1.0

    def of(self, values: Sequence[Any]) -> Any:
        found = values[self.step.index]
        return found if self.scale == 1 else found * self.scale


@dataclass(frozen=True)
class Trace:
    """What a candidate did on one case's numbers.

    steps:    in order, those that its gradients are made of, and its own y
    outputs:  of the gradients by input name
    y:        what its own forward gave, where it has one
    """

    steps: tuple[Step, ...]
    outputs: Mapping[str, Output]
    y: Step | None = None

    def replay(self, leaves: Mapping[str, Any]) -> list[Any]:
        """What every step gives with other arrays in place of its leaves."""
        values: list[Any] = []
        for s in self.steps:
            values.append(leaves.get(s.name, s.value) if s.function is None else s.again(values))
        return values


def record(trial: Trial, case: Case, other: Case) -> Trace | None:
    """The candidate's record on a case's numbers; None where it cannot be recorded.

    other:  of the same shapes: there, too, the record must give what the candidate gives
    """
    log = Log()
    with _as_it_was(trial.call):
        answer = trial.ask(case, np.float64, once=True, layout=log.leaf)
    found = {n: v for n, v in answer.raw.items() if isinstance(v, Recorded) and v.step is not None}
    y = found.pop("output").step if "output" in found else None
    if not found or len(log.steps) > 19_000:
        return None
    outputs = {n: Output(v.step, _scale(answer.gradients.get(n), v.step.value)) for n, v in found.items() if v.step is not None}
    steps = _needed(log.steps, [*(o.step for o in outputs.values()), *([y] if y is not None else [])])
    for k, s in enumerate(steps):
        s.index = k
    trace = Trace(tuple(steps), outputs, y)
    with _as_it_was(trial.call):
        there = trial.ask(other, np.float64, once=True)
    with np.errstate(all="ignore"):
        try:
            again = trace.replay({}), trace.replay(_leaves(trial, other))
        except Exception:  # whatever a call of theirs raises on other numbers
            return None
    for n, o in outputs.items():
        theirs = there.gradients.get(n)
        theirs = there.misshapen.get(n) if theirs is None else theirs
        if theirs is None or not _same(o.of(again[1]), theirs) or not _same(again[0][o.step.index], o.step.value):
            return None
    return trace


@contextlib.contextmanager
def _as_it_was(call: Any) -> Iterator[None]:
    """What an object keeps from call to call, such as a running mean, is afterwards what it was before."""
    kept = [(attributes, dict(attributes)) for attributes in call.kept()] if isinstance(call, Candidate) else []
    try:
        yield
    finally:
        for attributes, before in kept:
            attributes.clear()
            attributes.update(before)


def _leaves(trial: Trial, case: Case) -> dict[str, Array]:
    kept = statistics(case, trial.saved, trial.flat)
    return {
        **{n: t.numpy() for n, t in case.inputs.items()},
        "dy": case.dy,
        **{n: a for n, a in kept.items() if n not in case.inputs},
    }


def _needed(steps: Sequence[Step], ends: Sequence[Step]) -> list[Step]:
    wanted, waiting = set(ends), list(ends)
    while waiting:
        for s in waiting.pop().operands():
            if s not in wanted:
                wanted.add(s)
                waiting.append(s)
    return [s for s in steps if s in wanted]


def _scale(given: Array | None, raw: Any) -> float:
    if given is None or np.size(given) != np.size(raw):
        return 1.0
    a, b = np.ravel(given), np.ravel(raw)
    k = int(np.argmax(np.abs(b))) if b.size else 0
    return 1.0 if not b.size or not b[k] or np.array_equal(a, b) else float(np.real(a[k] / b[k]))


def _same(a: Any, b: Any) -> bool:
    a, b = np.ravel(a), np.ravel(b)
    if a.shape != b.shape:
        return False
    scale = float(np.max(np.abs(b), initial=0))
    return bool(np.array_equal(a, b, equal_nan=True) or np.max(np.abs(a - b), initial=0) <= 1e-12 * scale)
