"""How a candidate wants to be asked, where it cannot be asked as we did: without axes of one, or with another number of axes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from .candidate import Answer
from .case import Case
from .probes import Site, case_at, sites
from .subject import statistics
from .trial import Trial


def unfit(answer: Answer) -> bool:
    """Whether it gave nothing to judge, or the first gradient in another shape."""
    late = (answer.error or "").startswith("did not return")
    return not late and (answer.raised or next(iter(answer.gradients), "") in answer.misshapen)


def without_axes_of_one(trial: Trial, case: Case, answer: Answer, dtype: Any) -> Trial:
    """The same trial, or one that hands over saved statistics flat, where only with those it is right, or answers at all."""
    if trial.flat or not (trial.keeps(answer) or (answer.raised and not answer.taken)):
        return trial
    bad = unfit(answer)
    if not bad and trial.agrees(case, answer):
        return trial
    flat = replace(trial, flat=True)
    other = flat.ask(case, dtype, once=True)
    return flat if (bad and not unfit(other) and flat.keeps(other)) or flat.agrees(case, other) else trial


def only_binding(trial: Trial, case: Case, answer: Answer, dtype: Any) -> tuple[Trial, Answer]:
    """Where one parameter was bound by its place alone and the answer is not right: the one thing of its shape with which it is
    right, or with which a mistake gives its numbers to rounding. Where there are several, or none, it stays a guess."""
    if len(answer.guessed) != 1 or answer.raised or trial.agrees(case, answer):
        return trial, answer
    parameter = answer.guessed[0].split()[2]  # "its parameter h is taken for x, by position"
    x = next(iter(case.leaves.values()))
    kept = {id(a): n for n, a in statistics(case, trial.saved).items() if a.shape == x.shape}
    tried = [(trial, answer)]
    for name in kept.values():
        other = replace(trial, also=(parameter, name))
        tried.append((other, other.ask(case, dtype, once=True)))
    tried = [(t, a) for t, a in tried if not unfit(a)]
    found = [(t, a) for t, a in tried if t.agrees(case, a)] or [(t, a) for t, a in tried if _named(t, case, a)]
    if not found or not all(_are_one(case, found[0][1], a) for _, a in found[1:]):
        return trial, answer
    chosen = found[0][0]
    if chosen.also is not None:
        answer = chosen.ask(case, dtype)
        answer = replace(answer, told=answer.told.replace("{0} = {0}".format(chosen.also[0]), " = ".join(chosen.also)))
    return chosen, replace(answer, guessed=())


def _are_one(case: Case, a: Answer, b: Answer) -> bool:
    """Whether two answers are the same to rounding."""
    pairs = [(n, a.gradients.get(n), b.gradients.get(n)) for n in case.leaves]
    return all(
        u is v or (u is not None and v is not None and np.max(np.abs(u - v), initial=0) <= case.gate(n, u.dtype, u))
        for n, u, v in pairs
    )


def _named(trial: Trial, case: Case, answer: Answer) -> bool:
    """Whether every gradient is right, or a mistake's to rounding, which it hardly is with another thing in its place."""
    return all(j.ok or (j.mistakes and j.max_abs < np.inf) for j in trial.judge(case, answer, []).values())


def other_axes(
    trials: Sequence[Trial], main: tuple[int, ...] | None, dtype: Any, seed: int
) -> tuple[Trial, tuple[int, ...]] | None:
    """The first shape with another number of axes at which one of them answers, the most axes first, and how it is asked there."""
    for place in _ranks(trials[0], main):
        case = case_at(trials[0].subject, place, seed)
        if case is None:
            continue
        for trial in trials:
            answer = trial.ask(case, dtype, once=True)
            found = without_axes_of_one(trial, case, answer, dtype) if unfit(answer) else trial
            if found.flat != trial.flat or not unfit(answer):
                return found, place.shape
    return None


def _ranks(trial: Trial, main: tuple[int, ...] | None) -> Iterator[Site]:
    seen = {len(trial.subject.norm.shape if main is None else main)}
    for place in sorted(sites(trial.subject, main), key=lambda s: -s.ndim):
        if place.special is None and place.ndim not in seen:
            seen.add(place.ndim)
            yield place
