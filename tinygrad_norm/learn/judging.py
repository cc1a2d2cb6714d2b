"""How an answer is judged: by ``tn.check``, by ``equals``, by facts, or against a prediction."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..check import Verdict, check
from ..derive import derive
from ..engine import Tensor, TinygradNormError
from ..norms import Norm
from .exercise import Answers, Exercise, Judged, Wrong

_HERE = "at this shape only"  # a limit of ``tn.check``, lifted by looking elsewhere
_UNNAMED, _ANSWER = "no known mistake", "right: "  # the whole formula is what a learner is to find
_AGAIN = "or, with the same numbers"  # one reading of a mistake is enough to go on
_AXES = re.compile(r"(not|(but )?wrong) for [\d or]+ axes")
_PICTURE = re.compile(r"; route [A-Z] of the picture")  # said where there is one
_OTHER_SIZES = ((3, 5), (5, 2), (2, 9))
Fact = tuple[bool, str]
"""Whether it holds, and what is to be said where it does not."""


def _function(names: Answers, name: str) -> Callable[..., Any] | Judged:
    found: Callable[..., Any] | None = names.get(name)
    if callable(found):
        return found
    return Judged(
        False,
        (f"there is no function {name} in the file any more: it is what is judged. reset brings it back (yours is kept).",),
        1,
    )


@dataclass(frozen=True)
class Backward:
    """Judged by ``tn.check``.

    against:   a registered norm, or a forward recorded from primitives
    shapes:    of what the backward is asked with after dy, by name: what wrong answers are compared on, and for a forward of one's
               own what it is checked with
    function:  what it is called in the file
    options:   of ``tn.check``
    also:      facts besides
    anywhere:  a forward of one's own is asked for at other sizes, too; without it, at this one
    any_axes:  the task is for any number of axes; without it, for that of ``shapes``, and no other is spoken of
    """

    against: Any
    shapes: Mapping[str, tuple[int, ...]]
    function: str = "backward"
    options: Mapping[str, Any] = field(default_factory=dict)
    also: Callable[[Answers], Iterable[Fact]] | None = None
    anywhere: bool = True
    any_axes: bool = False

    def __call__(self, names: Answers) -> Judged:
        function = _function(names, self.function)
        if isinstance(function, Judged):
            return function
        own = {} if isinstance(self.against, str | Norm) else {"inputs": self._drawn()}
        verdict = check(function, self.against, limit=3.0, **{**own, **self.options})
        if verdict.ok and own and self.anywhere:
            verdict = self._elsewhere(function, verdict)
        judged = self._asked(verdict)
        if self.also is None or not judged.ok:
            return judged
        more = Facts(self.also)(names)
        return Judged(more.ok, (*judged.lines, *more.lines), judged.checks + more.checks, more.terms)

    def _asked(self, verdict: Verdict) -> Judged:
        """A verdict, for as many axes as were asked for."""
        limits = [li for li in verdict.limits if _AXES.match(li)]
        if not (verdict.ok and limits):
            return from_verdict(verdict)
        if self.any_axes:
            judged = from_verdict(verdict)
            told = f"not yet: asked for is any number of axes, and it is {', '.join(limits)}"
            return replace(judged, ok=False, lines=(*judged.lines, told), terms=("any number of axes",))
        others = [[li for li in of if not _AXES.match(li)] for of in (verdict.limits, verdict.notes)]
        return from_verdict(replace(verdict, limits=tuple(others[0]), notes=tuple(others[1])))

    def _elsewhere(self, function: Callable[..., Any], verdict: Verdict) -> Verdict:
        """The verdict at other sizes, each size of ``shapes`` in place of another; the first that is not right."""
        sizes = sorted({size for shape in self.shapes.values() for size in shape if size > 1})
        looked = list(verdict.looked)
        for others in _OTHER_SIZES:
            new = {1: 1, **{size: others[i % len(others)] + i // len(others) for i, size in enumerate(sizes)}}
            at = {n: tuple(new[size] for size in shape) for n, shape in self.shapes.items()}
            found = check(function, self.against, limit=3.0, **{"inputs": self._drawn(at), **self.options})
            if not found.ok:
                return replace(found, notes=(*found.notes, f"right at {looked[0]}, and not here"))
            looked += found.looked
        return replace(verdict, looked=tuple(looked), limits=tuple(li for li in verdict.limits if li != _HERE))

    def _drawn(self, shapes: Mapping[str, tuple[int, ...]] | None = None) -> dict[str, Any]:
        rng = np.random.default_rng(7)
        return {
            n: rng.normal(size=s) * rng.uniform(0.5, 2, size=(*s[:1], *(1 for _ in s[1:])))
            for n, s in (self.shapes if shapes is None else shapes).items()
        }

    def numbers(self, names: Answers) -> list[NDArray[np.float64]]:
        """What it gives for fixed inputs."""
        given = self._drawn()
        shape = next(iter(self.shapes.values()))
        if not isinstance(self.against, str | Norm):
            shape = self.against(*map(Tensor, given.values())).shape
        dy, function = np.random.default_rng(8).normal(size=shape), names[self.function]
        settings = [1e-3] if "eps" in inspect.signature(function).parameters else []
        found = function(dy, *given.values(), *settings)
        return [np.asarray(a, float) for a in (found if isinstance(found, tuple) else (found,)) if a is not None]


def from_verdict(verdict: Verdict) -> Judged:
    """A verdict of ``tn.check`` as that of an exercise."""
    wrong = [j for j in verdict.judgements.values() if not j.ok]
    terms = tuple(dict.fromkeys(f"{j.symbol}: {m}" for j in wrong for m in j.mistakes or (_told(j.lines),)))
    terms = terms or (() if verdict.ok else ("not judged",))
    said = "\n".join(line for j in wrong for line in j.lines)
    route = re.search(r"route ([A-Z]) of the picture", said)
    checks = len(verdict.judgements) * max(1, len(verdict.looked))
    told = [_PICTURE.sub("", li) for li in verdict.text().splitlines() if not li.strip().startswith((_ANSWER, _AGAIN))]
    return Judged(verdict.ok, tuple(told), max(1, checks), terms, route and route[1])


def _told(lines: tuple[str, ...]) -> str:
    """What is said of a mistake that has no name: the sentence after the fit by routes."""
    return next(
        (line for line in lines if not line.startswith((_UNNAMED, _ANSWER, "your ", "look:", "the difference is"))), "not named"
    )


@dataclass(frozen=True)
class Facts:
    """Judged by facts, each with a sentence for where it does not hold. The first that fails is the last that is looked at."""

    rule: Callable[[Answers], Iterable[Fact]]

    def __call__(self, names: Answers) -> Judged:
        count = 0
        for holds, sentence in self.rule(names):
            count += 1
            if not holds:
                return Judged(False, (f"not yet: {sentence}",), count, (sentence.partition(":")[0],))
        return Judged(count > 0, (f"right: all {count} facts hold",), count)


@dataclass(frozen=True)
class Formula:
    """Judged by ``equals``: proved, not only compared.

    against, wrt:  what ``tn.derive`` is given; options: besides
    function:      a function of tensors, in the file
    """

    against: Any
    wrt: str
    function: str = "formula"
    options: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self, names: Answers) -> Judged:
        function = _function(names, self.function)
        if isinstance(function, Judged):
            return function
        try:
            answer = derive(self.against, wrt=self.wrt, **self.options).equals(function)
        except TinygradNormError as error:
            return Judged(False, (f"not yet: {error}",), 1, ("not a formula",))
        return Judged(
            bool(answer), tuple(str(answer).splitlines()), answer.records + 1, () if answer else (f"d{self.wrt}: not equal",)
        )

    def numbers(self, names: Answers) -> list[NDArray[np.float64]]:
        """What it gives for fixed inputs: rows of 8, and of what is a parameter one."""
        function, rng = names[self.function], np.random.default_rng(7)
        given = [
            Tensor(rng.normal(size=(4, 8) if n in ("dy", "x", "input") else 8)) for n in inspect.signature(function).parameters
        ]
        return [np.asarray(function(*given).data, float)]


@dataclass(frozen=True)
class Predictions:
    """Judged by what happens: each prediction is one of a few words, and all are said before anything is shown.

    truth:    what comes, by question: the word, and a sentence that goes with it
    choices:  the words, by question
    near:     what to look at where the prediction is not what comes, by question
    name:     of the dict in the file
    """

    truth: Callable[[], Mapping[str, tuple[str, str]]]
    choices: Mapping[str, tuple[str, ...]]
    near: Mapping[str, str]
    name: str = "answers"

    def __call__(self, names: Answers) -> Judged:
        said = names.get(self.name)
        if not isinstance(said, Mapping):
            return Judged(False, (f"not yet: {self.name} is a dict in the file, one word for each question.",), 1)
        open_ = [q for q in self.choices if said.get(q) not in self.choices[q]]
        if open_:
            first = f"{open_[0]}: one of {', '.join(map(repr, self.choices[open_[0]]))}"
            return Judged(
                False, (f"not yet: say all {len(self.choices)} before anything is run; open: {', '.join(open_)}. {first}",), 1, ("not predicted",)
            )  # fmt: skip
        truth, lines, wrong = self.truth(), [], []
        for q, (word, sentence) in truth.items():
            if said[q] == word:
                lines.append(f"{q}: {word}, as you said. {sentence}")
            else:
                lines.append(f"{q}: not {said[q]}. {self.near[q]}")
                wrong.append(q)
        lines.append(f"{len(truth) - len(wrong)} of {len(truth)} as predicted")
        predicted = "; ".join(f"{q}: {said[q]}" for q in truth)
        return Judged(not wrong, tuple(lines), len(truth), tuple(wrong), predicted=predicted)


# One verdict ----------------------------------------------------------------------------------------------------------


def judge(exercise: Exercise, names: Answers, others: Callable[[Wrong | None], Answers]) -> Judged:
    """The judge's verdict, and before it the sentence of a known wrong answer that gives the same numbers.

    Of several gradients, those count in which the known one is wrong: each has a sentence of its own.

    others:  runs the file that has a wrong answer in it, or with None the solution, and gives its names
    """
    judged = exercise.judge(names)
    numbers = getattr(exercise.judge, "numbers", None)
    if judged.ok or numbers is None or not any(w.numbers for w in exercise.wrong):
        return judged
    try:
        mine = numbers(names)
    except Exception:  # it has been judged already, and that said why
        return judged
    right = numbers(others(None))
    known: list[str] = []
    open_ = {i for i, (a, b) in enumerate(zip(mine, right)) if not _same(a, b)} if len(mine) == len(right) else set()
    for wrong in exercise.wrong:
        if wrong.numbers and open_:
            theirs = numbers(others(wrong))
            at = {i for i, (a, b) in enumerate(zip(theirs, right)) if not _same(a, b)}
            if at and at <= open_ and all(_same(mine[i], theirs[i]) for i in at):
                known.append(wrong.says)
                open_ -= at
    if not known:
        return judged
    told = _unexplained(judged.lines, set(range(len(right))) - open_)
    return replace(judged, lines=(*(f"this is a known one: {says}" for says in known), *told), terms=tuple(known))


def _unexplained(lines: Iterable[str], known: set[int]) -> Iterator[str]:
    """A verdict without what it guesses about the gradients that have a name here, but for the line of the file that it points to."""
    at = -1
    for line in lines:
        at += bool(re.match(r"\S+ +(right|wrong) ", line))
        if at not in known or not line.startswith(" "):
            yield line
        elif found := re.match(r" +(line \d+)", line):
            yield f"    look at {found[1]}"


def _same(mine: NDArray[np.float64], theirs: NDArray[np.float64]) -> bool:
    return mine.shape == theirs.shape and np.allclose(mine, theirs, rtol=1e-9, atol=1e-12, equal_nan=True)
