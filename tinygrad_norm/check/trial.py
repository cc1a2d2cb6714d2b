"""One candidate, asked at one place after another: what it is at the first, and whether it is the same at the others."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..graph.table import number
from .answers import to_bfloat16
from .candidate import Answer, Candidate, ask, sanity
from .case import BFLOAT16, Case
from .explanations import judge
from .forward import judge_output
from .judgement import Judgement
from .probes import Site, case_at, redrawn, told_apart
from .subject import SAVED, Subject, statistics

_BY_GAMMA = "not for a γ near 0: it divides by γ"


def cast(a: Any, dtype: Any) -> Any:
    """Numbers in that dtype; those of bfloat16 travel in single precision."""
    return to_bfloat16(a) if dtype == BFLOAT16 else a.astype(dtype)


@dataclass(frozen=True)
class Trial:
    """A candidate and what it is held against.

    flat:   saved statistics are handed over without axes of one
    stand:  what runs along the channels is handed over as it stands beside the input, (1, C, 1, 1)
    """

    call: Any
    subject: Subject
    saved: Mapping[str, str] | None
    limit: float
    flat: bool = False
    wrt: tuple[str, ...] | None = None
    stand: bool = False

    def ask(self, case: Case, dtype: Any, once: bool = False, layout: Any = None) -> Answer:
        """Its answer in that dtype; unless ``once``, it is called again, and on arrays laid out otherwise.

        layout:  what it is handed its arrays as, once: ``layout(array, name)``
        """
        of = dtype if isinstance(dtype, Mapping) else dict.fromkeys(case.inputs, dtype)
        first = of[next(iter(case.leaves))]
        arrays = {n: cast(t.numpy(), of[n]) if t.requires_grad else t.numpy() for n, t in case.inputs.items()}
        kept = {n: cast(a, first) for n, a in statistics(case, self.saved, self.flat).items()}
        own = {n: a.shape for n, a in arrays.items()}
        if self.stand:
            ndim = next(iter(arrays.values())).ndim
            arrays = {n: a.reshape((1, -1) + (1,) * (ndim - 2)) if a.ndim == 1 else a for n, a in arrays.items()}
        symbols = {n: self.subject.symbol(n) for n in arrays}
        how = sanity if not once else ask
        if layout is not None:
            names = iter([*arrays, "dy", *(n for n, a in kept.items() if isinstance(a, np.ndarray))])
            how = functools.partial(ask, layout=lambda a: layout(a, next(names)))
        answer = how(self.call, cast(case.dy, first), arrays, self.subject.options, kept, self.wanted(case), self.limit, symbols)
        return _laid(answer, own) if self.stand else answer

    def wanted(self, case: Case) -> list[str]:
        """The inputs whose gradients are asked for."""
        return self.wanted_of(case.leaves)

    def wanted_of(self, names: Iterable[str]) -> list[str]:
        return [n for n in names if self.wrt is None or n in self.wrt]

    def knows_no_parameters(self, case: Case, answer: Answer) -> bool:
        """Whether it takes and gives nothing for γ and β: then it is of the norm without."""
        learned = {"weight", "bias"} & set(case.leaves)
        given = {n for n, g in answer.gradients.items() if g is not None}
        known = bool(answer.taken) and not answer.misshapen and self.subject.registered
        return (
            known and bool(learned) and "input" in given and not learned & (answer.taken | given) and not {"cache"} & answer.taken
        )

    def keeps(self, answer: Answer) -> bool:
        """Whether it was handed saved statistics."""
        return bool(answer.taken & {n for names in SAVED.values() for n in (*names, "std", "rms")}) or "cache" in answer.taken

    def agrees(self, case: Case, answer: Answer) -> bool:
        """Whether all it gives is right."""
        found = self.judge(case, answer, [], explained=False)
        return bool(found) and all(j.ok for j in found.values())

    def rounds(self, case: Case, judgement: Judgement, dtype: Any) -> bool:
        """Whether what is off, where elsewhere nothing is, may be no more than rounding."""
        return _divides_by_gamma(self, case, judgement, dtype) or _of_more_terms(self, case, judgement, dtype)

    def judge(self, case: Case, answer: Answer, notes: list[str], explained: bool = True) -> dict[str, Judgement]:
        """Each gradient that is wanted."""
        published, found = self.subject.published(case), dict[str, Judgement]()
        gradients = {**answer.gradients, **answer.misshapen}
        if answer.output is not None:
            found["output"] = judge_output(case, answer.output, explained)
        apart = functools.cache(functools.partial(self._told_apart, case))
        for n in self.wanted(case):
            symbol = f"d{self.subject.symbol(n)}"
            if gradients.get(n) is None and n.startswith("running_"):
                notes.append(f"gives no {symbol}: running statistics are not learned, none is needed")
                continue
            found[n] = judge(
                case, n, symbol, gradients.get(n), explained, others=gradients, by_design=self.subject.by_design.get(n, ""),
                published=published.get(n), again=answer.again.get(n), changed=answer.changed,
                elsewhere=lambda n=n: _one_of(apart(), n),
            )  # fmt: skip
        return _in_their_light(self.subject, case, found, gradients, answer.changed) if explained else found

    def _told_apart(self, case: Case) -> tuple[Case, Answer] | None:
        """The same asked where no two sizes are alike, if it answers there."""
        other = told_apart(self.subject, case)
        answer = None if other is None else self.ask(other, case.dy.dtype, once=True)
        return None if other is None or answer is None or answer.raised else (other, answer)


def _one_of(asked: tuple[Case, Answer] | None, name: str) -> tuple[Case, Any] | None:
    """One gradient of it."""
    g = None if asked is None else asked[1].gradients.get(name)
    return None if asked is None or g is None else (asked[0], g.astype(np.float64))


def _in_their_light(
    subject: Subject, case: Case, found: dict[str, Judgement], gradients: Mapping[str, Any], changed: Mapping[str, Any]
) -> dict[str, Judgement]:
    """What could not be told of one gradient, once another has said of which options it is: two mistakes at once."""
    instead = next((j.instead for j in found.values() if j.instead), None)
    unsure = [n for n, j in found.items() if j.status == "wrong" and not j.sure and n in case.leaves]
    if instead is None or not unsure or not subject.registered:
        return found
    other = Subject(subject.norm, {**subject.options, **instead}, None).case(
        {n: t.numpy() for n, t in case.inputs.items()}, case.dy
    )
    said = ", ".join(
        f"{'ε' if n == 'eps' else n} = {v:g}" if isinstance(v, float) else f"{n} = {v!r}" for n, v in instead.items()
    )
    for n in unsure:
        j = judge(other, n, found[n].symbol, gradients.get(n), others=gradients, changed=changed)
        if j.status == "wrong" and j.sure and j.max_abs < np.inf:
            lines = ("two mistakes at once:", f"  it is of {said}, as the others are", *(f"  {line}" for line in j.lines))
            found[n] = replace(found[n], lines=lines, mistakes=j.mistakes, sure=True, instead=instead)
    return found


def _laid(answer: Answer, shapes: Mapping[str, tuple[int, ...]]) -> Answer:
    """With gradients in their inputs' own shapes."""

    def laid(found: Mapping[str, Any]) -> dict[str, Any]:
        return {n: a.reshape(shapes[n]) if a is not None and a.size == np.prod(shapes[n]) else a for n, a in found.items()}

    return replace(answer, gradients=laid(answer.gradients), again=laid(answer.again))


def elsewhere(
    trial: Trial,
    judgements: dict[str, Judgement],
    first: tuple[int, ...],
    places: Sequence[Site],
    dtype: Any,
    seed: int,
) -> tuple[dict[str, Judgement], list[str], list[str], list[str]]:
    """The judgements, changed where something shows at another place only; where was looked, what the verdict is limited to, notes.

    A candidate that cannot take another number of axes is for its own number only, and the verdict says so: whether it raises
    there, gives another shape, or other numbers.
    """
    right: dict[str, list[str]] = {n: [str(first)] if j.ok else [] for n, j in judgements.items()}
    wrong: dict[str, list[tuple[str, Judgement]]] = {n: [] for n in judgements}
    asked: list[tuple[str, Case, Answer]] = []  # where it was wrong
    looked, limits, notes = [str(first)], list[str](), list[str]()
    raised, refused, silent = list[str](), set[int](), dict[int, tuple[str, Judgement]]()
    by_design = dict[int, str]()  # numbers of axes for which it is not, as it says by raising
    right_here = all(j.ok for j in judgements.values())
    if trial.subject.axes is None and not trial.subject.registered:
        limits.append("at this shape only")
    for place in sorted(places, key=lambda p: p.ndim != len(first)):  # those it is for first
        case = None if place.ndim in refused else case_at(trial.subject, place, seed)
        if case is None:
            continue
        answer = trial.ask(case, dtype, once=True)
        if place.ndim != len(first) and (answer.misshapen or answer.raised or _axes_from_the_front(trial, case, answer)):
            refused.add(place.ndim)
            if answer.raised:
                by_design[place.ndim] = f"at {place.words} it {_said(answer)}"
            else:
                notes.append(f"not for {place.ndim} axes: at {place.words} it {_said(answer)}")
        elif answer.raised:
            (raised if place.special is None else limits).append(f"{'not ' * (place.special is not None)}{place.words}")
            notes.append(f"{'at ' * (place.special is None)}{place.words} it {_said(answer)}")
        else:
            found = {n: j for n, j in trial.judge(case, answer, [], explained=False).items() if n in judgements}
            unknown = place.option is not None and answer.taken and place.option not in answer.taken
            if unknown and not all(j.ok for j in found.values()):
                limits.append(f"not {place.words} (it takes no {place.option})")
                continue
            y = judgements.get("output")
            of_another = y is not None and y.ok and not right_here and not found["output"].ok
            if place.ndim != len(first) and of_another:  # it is of another number of axes from its forward on
                refused.add(place.ndim)
                continue
            bad = [n for n, j in found.items() if not j.ok and not (right[n] and trial.rounds(case, j, dtype))]
            if place.ndim != len(first) and right_here and not any(wrong.values()) and bad:
                told = trial.judge(case, answer, [])
                silent[place.ndim] = place.words, told[bad[0]]
                refused.add(place.ndim)
                continue
            looked.append(place.words)
            for n, j in found.items():
                by_gamma = not j.ok and bool(right[n]) and _divides_by_gamma(trial, case, j, dtype)
                if j.ok or by_gamma or (right[n] and _of_more_terms(trial, case, j, dtype)):
                    if by_gamma:
                        limits += [_BY_GAMMA] if _BY_GAMMA not in limits else []
                        notes.append(
                            f"{j.symbol} at {place.words} rounds as a division by a small γ does, {number(j.relative)} of it"
                        )
                    elif not j.ok:
                        notes.append(f"{j.symbol} at {place.words} rounds as sums of more terms do, {number(j.relative)} of it")
                    right[n].append(place.words)
                elif judgements[n].status != "missing":
                    wrong[n].append((place.words, j))
                    asked.append((place.words, case, answer))
        if (answer.error or "").startswith("did not return"):
            break
    if by_design:
        notes.append(f"not for {' or '.join(map(str, sorted(by_design)))} axes: {by_design[min(by_design)]}")
    _explained(trial, judgements, wrong, asked)
    for ndim, (where, j) in silent.items():
        notes.append(f"wrong for {ndim} axes, without raising: at {where}, {j.symbol}: {' | '.join(j.lines)}")
    if len(looked) == 1 and raised:
        limits.append(f"at {first} only")
    elif raised:
        limits.append(f"not at {_some(raised)}")
    if (odd := refused - set(silent) - set(by_design)) and (len(looked) > 1 or not raised):
        limits.append(f"not for {' or '.join(map(str, sorted(odd)))} axes")
    if silent:
        limits.append(f"but wrong for {' or '.join(map(str, sorted(silent)))} axes")
    return {n: _with_places(j, right[n], wrong[n]) for n, j in judgements.items()}, looked, limits, notes


def _explained(
    trial: Trial,
    judgements: Mapping[str, Judgement],
    wrong: dict[str, list[tuple[str, Judgement]]],
    asked: Sequence[tuple[str, Case, Answer]],
) -> None:
    """What was right at first and is wrong elsewhere is explained at one place, put first: where no axis, and no group, is of one."""

    def degenerate(case: Case) -> int:
        shape = case.inputs[next(iter(case.inputs))].shape
        return shape.count(1) + 2 * (len(shape) > 1 and case.options.get("num_groups") == shape[1])

    for n, found in wrong.items():
        if found and judgements[n].ok:
            words, case, answer = min((a for a in asked if a[0] in {w for w, _ in found}), key=lambda a: degenerate(a[1]))
            explained = trial.judge(case, answer, [])[n]
            wrong[n] = [(words, explained), *((w, j) for w, j in found if w != words)]


def next_batch(trial: Trial, judgements: dict[str, Judgement], case: Case, dtype: Any) -> dict[str, Judgement]:
    """Of an object that was right: whether it is so for a second batch of the same shape, or goes on with what it kept of the first."""
    if not (isinstance(trial.call, Candidate) and trial.call.kept() and all(j.ok for j in judgements.values())):
        return judgements
    first = next(iter(case.leaves))
    drawn = redrawn(case)  # another batch for the same parameters
    other = trial.subject.case({n: drawn[n] if n in (first, "target") else t.numpy() for n, t in case.inputs.items()}, case.dy)
    found = trial.judge(other, trial.ask(other, dtype, once=True), [], explained=False)
    if all(j.ok for j in found.values()):
        found = _going_back_twice(trial, trial.call, case, dtype)
        said = "right the first time; going back twice from one forward gives other numbers: it writes over what the forward kept"
        return judgements | {n: replace(j, lines=(said,)) for n, j in found.items() if n in judgements and not j.ok}
    said = "right for the first batch, wrong for the next one of that shape: it goes on with what it kept of the first"
    return judgements | {n: replace(j, lines=(said,)) for n, j in found.items() if n in judgements and not j.ok}


def _going_back_twice(trial: Trial, candidate: Candidate, case: Case, dtype: Any) -> dict[str, Judgement]:
    """What it gives then; nothing where it does not go back twice, as one that lets go of what it kept."""
    candidate.twice = True
    try:
        answer = trial.ask(case, dtype, once=True)
    finally:
        candidate.twice = False
    return {} if answer.raised else trial.judge(case, _once(case, answer), [], explained=False)


def _once(case: Case, answer: Answer) -> Answer:
    """With parameters' gradients that add up from one way back to the next halved: each forward may well start them anew."""

    def halved(n: str, g: Any) -> Any:
        twice = (
            g is not None
            and g.dtype.kind == "f"
            and n in case.truth
            and n != next(iter(case.leaves))
            and g.shape == case.truth[n].shape
        )
        return g / 2 if twice and np.max(np.abs(g / 2 - case.truth[n]), initial=0) <= case.gate(n, g.dtype) else g

    return replace(answer, gradients={n: halved(n, g) for n, g in answer.gradients.items()})


def _of_more_terms(trial: Trial, case: Case, judgement: Judgement, dtype: Any) -> bool:
    """Whether what is off, where elsewhere nothing is, may be rounding of a formula that sums n² terms where n do, as Σ over
    all pairs for a variance does, or that adds one after the other. Asked in double precision: n times that is still less than
    any mistake makes.

    A division by γ is none of these: with γ far from zero nothing is off.
    """
    n = max(k for t in case.leaves.values() for k in t.shape)
    if dtype != np.float64 or not judgement.max_abs <= n * judgement.allowed:  # nan is no rounding
        return False
    if "weight" not in case.leaves:
        return True
    return not _with_gamma_far_from_zero(trial, case, dtype)[judgement.name].ok


def _divides_by_gamma(trial: Trial, case: Case, judgement: Judgement, dtype: Any) -> bool:
    """Whether what is off, where elsewhere nothing is, is what rounding becomes when x̂ is made from y again, by a small γ: with γ far
    from zero nothing is off, and the smallest γ explains how much it is.
    """
    if "weight" not in case.leaves or not np.all(case.leaves["weight"].numpy()):
        return False
    gamma, y = np.abs(case.leaves["weight"].numpy()), case.graph.output.numpy()
    explained = 1 + float(np.max(np.abs(y), initial=0)) / float(np.min(gamma))
    if judgement.max_abs > explained * judgement.allowed:
        return False
    found = _with_gamma_far_from_zero(trial, case, dtype)
    return found[judgement.name].ok


def _with_gamma_far_from_zero(trial: Trial, case: Case, dtype: Any) -> dict[str, Judgement]:
    values = {n: t.numpy() for n, t in case.inputs.items()}
    values["weight"] = np.copysign(np.abs(values["weight"]) + 0.5, values["weight"])
    other = trial.subject.case(values, case.dy)
    return trial.judge(other, trial.ask(other, dtype, once=True), [], explained=False)


def _said(answer: Answer) -> str:
    if answer.misshapen:
        return f"gives another shape: {answer.error}"
    return answer.error or "goes over another axis than it does with fewer"


def _with_places(judgement: Judgement, right: Sequence[str], wrong: Sequence[tuple[str, Judgement]]) -> Judgement:
    if judgement.ok and wrong:
        where, found = wrong[0]
        line = f"right at {_some(right)}; wrong at {_some([w for w, _ in wrong])}. At {where}:"
        return replace(found, lines=(line.replace("at with", "with").replace("At with", "With"), *found.lines))
    if judgement.status == "wrong" and right and judgement.max_abs > judgement.allowed:
        return replace(judgement, lines=(f"wrong here, right at {_some(right)}", *judgement.lines))
    return judgement


def _some(words: Sequence[str]) -> str:
    return ", ".join(words[:4]) + (", …" if len(words) > 4 else "")


def _axes_from_the_front(trial: Trial, case: Case, answer: Answer) -> bool:
    """Whether it is right for the same with its last axis put where it counts it from the front, as ``axis=1`` for ``axis=-1``
    does: then it is for two axes."""
    subject = trial.subject
    names = list(case.leaves)
    if not subject.registered or len(case.inputs) != 1 or case.dy.shape != case.inputs[names[0]].shape:
        return False
    mine, x = answer.gradients.get(names[0]), case.inputs[names[0]].numpy()
    if mine is None or trial.agrees(case, answer):
        return False
    for axis in range(x.ndim - 1):
        other = subject.case({names[0]: np.swapaxes(x, axis, -1)}, np.swapaxes(case.dy, axis, -1))
        off = np.max(np.abs(np.swapaxes(mine, axis, -1) - other.truth[names[0]]), initial=0)
        if off <= other.gate(names[0], mine.dtype):
            return True
        if "dim" in subject.options and answer.taken and "dim" not in answer.taken:  # what it was handed is of that axis
            there = replace(trial, subject=Subject(subject.norm, {**subject.options, "dim": axis}, None))
            same = there.subject.case({names[0]: x}, case.dy)
            if there.agrees(same, there.ask(same, case.dy.dtype, once=True)):
                return True
    return False
