"""Of a candidate that is not right: its record at two places, and the lines of its source that are wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from .candidate import Candidate
from .case import Case
from .guard import file_of
from .judgement import Judgement
from .probes import Site, case_at, redrawn
from .repair import Repair, repairs
from .rewritten import rewritten
from .trace import record
from .trial import Trial
from .world import World

_LONG = 400  # calls; with more, a smaller place is searched
_LARGE = 400  # entries; where there are more, none is searched
_TRIED = 5  # places
_TOLD = (("order",), ("shape",))  # what needs no search
_RETURNED = 1.045  # what edits of a return cost
_NEAR = 1.16  # an edit that costs no more is nearer than what only makes up for a mistake


def wrong_lines(
    trial: Trial, judgements: Mapping[str, Judgement], main: Case, places: Sequence[Site], seed: int
) -> tuple[dict[str, Judgement], list[Repair]]:
    """The judgements, with the line that is wrong, as far as the candidate can be recorded; and what makes it right."""
    wrong = [n for n, j in judgements.items() if j.status == "wrong" and n in main.leaves]
    if not wrong:
        return dict(judgements), []
    found: list[Repair] = []
    with np.errstate(all="ignore"):
        try:
            worlds = [] if _of_a_framework(trial) else _worlds(trial, wrong, main, places, seed)
            found = repairs(worlds, file_of(trial.call)) if worlds else []
        except Exception:  # somebody's code may do to its arrays what no record is prepared for; the verdict stands without
            pass
        cases = _cases(trial, main, places, seed)
        if not all(judgements[n].mistakes in _TOLD for n in wrong):
            found = _with_edits(trial, wrong, found, cases)
        elif not found:  # it is said already; where it stands, one edit of what is returned shows at once, or nothing does
            found = [r for r in rewritten(trial, cases, wrong, _RETURNED) if set(r.gradients) >= set(wrong)]
    return {n: _with(j, [r for r in found if n in r.gradients]) for n, j in judgements.items()}, found


def _with_edits(trial: Trial, wrong: Sequence[str], found: list[Repair], places: Iterator[Case]) -> list[Repair]:
    """Where no call was found that is wrong by itself: what an edit of the source makes right."""
    sure = {n for r in found if r.sure for n in r.gradients}
    if sure >= set(wrong) and any(set(r.gradients) >= set(wrong) for r in found):
        return found
    whole = any(set(r.gradients) >= set(wrong) and not r.general for r in found)
    edited = rewritten(trial, places, wrong, _NEAR if whole else np.inf)
    if any(set(r.gradients) >= set(wrong) for r in edited):
        return edited
    named = {n for r in edited for n in r.gradients} - sure
    return [r for r in found if not named & set(r.gradients)] + [r for r in edited if named & set(r.gradients)]


def _with(judgement: Judgement, found: Sequence[Repair]) -> Judgement:
    """With the line, in place of the sentence that there is no name for it."""
    named = [line for line in judgement.lines if not line.startswith(("no known mistake", "gave up"))]
    if judgement.mistakes:  # it has its name: to say only that something is wrong on a line adds nothing
        found = [r for r in found if not r.general or r.first]
    if not found:
        return judgement
    kept = judgement.lines if all(r.general for r in found) else tuple(named)
    return replace(judgement, lines=(*kept, *(s for r in found for s in r.sentences())))


def _of_a_framework(trial: Trial) -> bool:
    """Whether it is called with another library's tensors, which are not recorded here."""
    return isinstance(trial.call, Candidate) and trial.call.gradients is not None


def _worlds(trial: Trial, wrong: Sequence[str], main: Case, places: Sequence[Site], seed: int) -> list[World]:
    """The candidate's record at two places where it is wrong, the first to be searched, and at a third, where it may be right."""
    worlds: list[World] = []
    beside = None
    symbols = {n: trial.subject.symbol(n) for n in main.inputs}
    for k, case in enumerate(_cases(trial, main, places, seed)):
        if len(worlds) == 3 or k == _TRIED:
            break
        trace = record(trial, case, trial.subject.case(redrawn(case)))
        world = None if trace is None else World(case, trace, symbols)
        if world is None:
            continue
        if set(world.wrong) & set(wrong) and (not worlds or set(world.wrong) >= set(worlds[0].wrong)):
            worlds.append(world)
        elif beside is None:
            beside = world
    worlds = sorted(worlds, key=lambda w: len(w.trace.steps) > _LONG)
    return [*worlds, *([beside] if worlds and beside is not None and len(worlds) < 3 else [])]


def _cases(trial: Trial, main: Case, places: Sequence[Site], seed: int) -> Iterator[Case]:
    """The main one, and others of as many axes that are small."""
    ndim = main.inputs[next(iter(main.inputs))].ndim
    if main.inputs[next(iter(main.inputs))].size <= _LARGE:
        yield main
    for place in sorted(places, key=lambda p: p.special is None):
        if place.ndim == ndim:
            case = case_at(trial.subject, place, seed)
            if case is not None and case.inputs[next(iter(case.inputs))].size <= _LARGE:
                yield case
