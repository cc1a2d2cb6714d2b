"""How a candidate wants to be asked, where it cannot be asked as we did: without axes of one, or with another number of axes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice, permutations
from typing import Any

import numpy as np

from .candidate import Answer, Candidate, Renamed
from .case import Case
from .probes import Site, case_at, sites
from .subject import statistics
from .trial import Trial

_BINDINGS = 60  # tried, at most
_JUDGED = 6  # of them, as far as to the mistake


def unfit(answer: Answer) -> bool:
    """Whether it gave nothing to judge, or the first gradient in another shape."""
    late = (answer.error or "").startswith("did not return")
    return not late and (answer.raised or next(iter(answer.gradients), "") in answer.misshapen)


def laid_out(trial: Trial, case: Case, answer: Answer, dtype: Any) -> Trial:
    """The same trial, or one that hands over saved statistics flat, or parameters as they stand beside the input, where only with
    those it is right, or answers at all."""
    found = _without_axes_of_one(trial, case, answer, dtype)
    x = next(iter(case.leaves.values()))
    if found is not trial or not unfit(answer) or x.ndim < 3 or not any(t.ndim == 1 for t in case.leaves.values()):
        return found
    standing = replace(trial, stand=True)
    other = standing.ask(case, dtype, once=True)
    return trial if unfit(other) or other.misshapen else standing  # its gradients stand so, too: else it only forgot to lay γ out


def _without_axes_of_one(trial: Trial, case: Case, answer: Answer, dtype: Any) -> Trial:
    if trial.flat or not (trial.keeps(answer) or (answer.raised and not answer.taken)):
        return trial
    bad = unfit(answer)
    if not bad and trial.agrees(case, answer):
        return trial
    flat = replace(trial, flat=True)
    other = flat.ask(case, dtype, once=True)
    return flat if (bad and not unfit(other) and flat.keeps(other)) or flat.agrees(case, other) else trial


def only_binding(trial: Trial, case: Case, answer: Answer, dtype: Any) -> tuple[Trial, Answer]:
    """Where parameters were bound by their place alone and the answer is not right: the one binding with which it is right, or with
    which most gradients are, or with which mistakes give its numbers to rounding. Where there are several, or none, it stays a guess."""
    if not answer.guessed or not _is_plain(trial.call) or trial.agrees(case, answer):
        return trial, answer
    parameters = [g.split()[2] for g in answer.guessed]  # "its parameter h is taken for x, by position"
    tried: list[tuple[int, Trial, Answer]] = []
    for names in islice(_bindings(trial, case, answer, len(parameters)), _BINDINGS):
        try:
            other = replace(trial, call=Renamed(trial.call, dict(zip(parameters, names))))
        except ValueError:  # it has a parameter of that name
            continue
        found = other.ask(case, dtype, once=True)
        if not unfit(found) and not found.guessed:
            tried.append((sum(j.ok for j in other.judge(case, found, [], explained=False).values()), other, found))
    most = max((n for n, _, _ in tried), default=0)
    best = [(t, a) for n, t, a in tried if n == most]
    if not most or not _are_all_one(case, best):
        best = [(t, a) for t, a in best[:_JUDGED] if _named(t, case, a)]
    if not best or not _are_all_one(case, best):
        return trial, answer
    chosen = best[0][0]
    answer = chosen.ask(case, dtype)
    old = chosen.call.names
    told = answer.told or ", ".join(f"{n} = {trial.subject.symbol(n)}" for n in old)
    pairs = (pair.partition(" = ") for pair in told.split(", "))
    return chosen, replace(answer, told=", ".join(f"{old.get(p, p)} = {what}" for p, _, what in pairs))


def _is_plain(call: Any) -> bool:
    """Whether it is called as it is, with what its parameters ask for."""
    return isinstance(call, Candidate) and call.paired is None and call.gradients is None


def _bindings(trial: Trial, case: Case, answer: Answer, count: int) -> Iterator[tuple[str, ...]]:
    """What so many parameters can stand for: dy and the inputs that no name tells, and what was saved of the input's size."""
    by_place = {g.split(" is taken for ")[1].removesuffix(", by position") for g in answer.guessed}
    known = {n for n in answer.taken if trial.subject.symbol(n) not in by_place and n not in by_place}
    shape = next(iter(case.leaves.values())).shape
    kept = {id(a): n for n, a in statistics(case, trial.saved).items() if a.shape == shape}
    free = [n for n in ("dy", *case.inputs, *kept.values()) if n not in known]
    yield from (names for names in permutations(free, count) if "dy" in known or "dy" in names)


def _are_all_one(case: Case, tried: Sequence[tuple[Trial, Answer]]) -> bool:
    return all(_are_one(case, tried[0][1], a) for _, a in tried[1:])


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
    """The shape with another number of axes at which one of them answers with most gradients right, the most axes first, and how it
    is asked there."""
    best: tuple[int, Trial, tuple[int, ...]] | None = None
    for place in _ranks(trials[0], main):
        case = case_at(trials[0].subject, place, seed)
        if case is None:
            continue
        for trial in trials:
            answer = trial.ask(case, dtype, once=True)
            found = laid_out(trial, case, answer, dtype) if unfit(answer) else trial
            if found is not trial or not unfit(answer):
                answer = answer if found is trial else found.ask(case, dtype, once=True)
                count = sum(j.ok for j in found.judge(case, answer, [], explained=False).values())
                if not answer.misshapen and (best is None or count > best[0]):
                    best = count, found, place.shape
                break
    return None if best is None else best[1:]


def _ranks(trial: Trial, main: tuple[int, ...] | None) -> Iterator[Site]:
    seen = {len(trial.subject.norm.shape if main is None else main)}
    for place in sorted(sites(trial.subject, main), key=lambda s: -s.ndim):
        if place.special is None and place.ndim not in seen:
            seen.add(place.ndim)
            yield place
