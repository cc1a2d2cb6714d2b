"""An exercise: one source from which the learner's file, the solution and the known wrong answers are all made.

The source is a lesson in cells. What is the learner's to write stands between two marks, with the solution in it and, as a comment,
what the learner finds there; the teacher's part follows the last mark:

    # >>> yours
    return 2 * x * dy
    # --- stub
    # return dy
    # <<<
    …
    # === for the teacher
    exercise = Exercise(…)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ..engine import OptionError

BEGIN, STUB, END, TEACHER = "# >>> yours", "# --- stub", "# <<<", "# === for the teacher"
Answers = Mapping[str, Any]
"""The names of a learner's file that was run."""


class Wrong(NamedTuple):
    """A wrong answer, and a sentence it must get.

    was, instead:  what of the solution is replaced, and by what; both empty: the file as the learner finds it
    says:          the sentence, or a part of it
    numbers:       the judge does not name it: it is known by giving the numbers of this answer
    """

    was: str
    instead: str
    says: str
    numbers: bool = False


@dataclass(frozen=True)
class Judged:
    """What a judge says.

    ok:      whether the exercise is solved
    lines:   the verdict, as it is printed
    checks:  how many things were looked at; a verdict from none is no verdict
    terms:   what was wrong, by the names of the mistakes
    route:   the letter of the route that was wrong, for the picture
    printed: what the file printed, a line each
    predicted: what the file predicts, where that is what is asked
    """

    ok: bool
    lines: tuple[str, ...]
    checks: int
    terms: tuple[str, ...] = ()
    route: str | None = None
    printed: tuple[str, ...] = ()
    predicted: str = ""

    @property
    def counted(self) -> str:
        """How much was looked at, in words."""
        return f"{self.checks} check{'s' * (self.checks != 1)}"


Judge = Callable[[Answers], Judged]


class Question(NamedTuple):
    """A prediction that is asked for before the verdict: the answer, one of the choices, and why."""

    text: str
    choices: tuple[str, ...]
    answer: str
    because: str


@dataclass(frozen=True)
class Exercise:
    """What the teacher's part of a source says.

    goal:     what follows "you will be able to"
    lesson:   the one to read before, by the words behind its number: "broadcasting"
    minutes:  about
    judge:    names of the learner's file -> verdict. One with ``numbers``, names -> arrays, can have wrong answers known by those
    hints:    four: a question, the route, the shape of the term, the line
    later:    hints of the steps behind the first, by the word with which what is wrong there begins: "fused"
    wrong:    what is often answered instead; the first is the file as it is found
    found:    said of the file as it is found, where the sentence of its mistake would be the answer
    predict:  asked with the key p
    picture:  gives the output whose record is drawn
    solved:   said when it is: what is to be seen in the solution
    claims:   what is said about it, by name: sentences to predict the verdict on, afterwards
    """

    goal: str
    lesson: str
    minutes: int
    judge: Judge
    hints: tuple[str, str, str, str]
    wrong: tuple[Wrong, ...]
    found: str = ""
    later: Mapping[str, tuple[str, str, str, str]] = field(default_factory=dict)
    predict: Question | None = None
    picture: Callable[[], Any] | None = None
    solved: str = ""

    def step(self, terms: Iterable[str]) -> str:
        """The word of the step at which these terms are what is wrong; none for the first."""
        return next((word for word in self.later for term in terms if term.startswith(word)), "")

    claims: tuple[str, ...] = ()


# Files from the source ------------------------------------------------------------------------------------------------


def learners_part(source: str) -> str:
    """All but what is for the teacher."""
    return source.partition(f"\n{TEACHER}")[0].rstrip() + "\n"


def solution(source: str) -> str:
    """The learner's file with the regions filled in."""
    return _with(source, [yours for yours, _ in regions(source)])


def stub(source: str) -> str:
    """The learner's file as it is found."""
    return _with(source, [found for _, found in regions(source)])


def with_mistake(source: str, wrong: Wrong) -> str:
    """The solution with a wrong answer in it. Raises ``OptionError`` unless exactly one place has what it replaces."""
    if not wrong.was:
        return stub(source)
    count = sum(yours.count(wrong.was) for yours, _ in regions(source))
    if count != 1:
        raise OptionError(f"exercise: {wrong.was!r} stands {count} times in the solution; a mistake replaces one.")
    return _with(source, [yours.replace(wrong.was, wrong.instead) for yours, _ in regions(source)])


def regions(source: str) -> list[tuple[str, str]]:
    """(solution, stub) of each."""
    found: list[tuple[list[str], list[str]]] = []
    side = -1
    for line in learners_part(source).splitlines():
        mark = line.strip()
        if mark.startswith(BEGIN):
            found.append(([], []))
            side = 0
        elif mark == STUB:
            side = 1
        elif mark == END:
            side = -1
        elif side >= 0:
            found[-1][side].append(_uncommented(line) if side else line)
    return [("\n".join(a), "\n".join(b)) for a, b in found]


def asked(source: str) -> str:
    """What is to be written, in the words of the marks: "dγ and dβ"."""
    marks = [line.strip().removeprefix(BEGIN).lstrip(": ") for line in learners_part(source).splitlines() if BEGIN in line]
    return "; ".join(filter(None, marks)) or f"what stands between {BEGIN} and {END} is yours"


def own_lines(text: str) -> set[int]:
    """The numbers of the lines of a learner's file that are the learner's."""
    found: set[int] = set()
    inside = False
    for number, line in enumerate(text.splitlines(), 1):
        inside = line.strip().startswith(BEGIN) or (inside and line.strip() != END)
        found |= {number} if inside else set()
    return found


def _with(source: str, filled: list[str]) -> str:
    """The learner's file with these texts in its regions."""
    lines, inside, texts = [], False, iter(filled)
    for line in learners_part(source).splitlines():
        mark = line.strip()
        if mark.startswith(BEGIN):
            inside = True
            lines += [line, *filter(None, [next(texts)])]
        elif mark == END:
            inside = False
            lines.append(line)
        elif not inside:
            lines.append(line)
    return "\n".join(lines) + "\n"


def _uncommented(line: str) -> str:
    before, _, after = line.partition("#")
    return (before + after.removeprefix(" ")).rstrip()
