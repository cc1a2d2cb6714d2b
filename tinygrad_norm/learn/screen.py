"""What is shown: lines, the same for a terminal and for plain text; a terminal cuts and colours them."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, field

from . import course
from .exercise import Judged
from .lessons import heading, lesson_called
from .session import Session

_KEY = "\N{NO-BREAK SPACE}"  # between a key and its word: a line breaks elsewhere
KEYS = "  ".join(
    k.replace(" ", _KEY)
    for k in (
        "n next", "h hint", "p predict", "g picture", "d details", "r run", "v solution", "s skip", "x reset", "l list", "q quit"
    )
)  # fmt: skip
LAST = "That was the last hint: the solution is open now. An exercise whose solution was opened does not count."


@dataclass
class Shown:
    """What is on the screen beside the exercise: the last verdict, and what was asked for."""

    judged: Judged | None = None
    more: list[str] = field(default_factory=list)
    busy: bool = False


def lines(session: Session, shown: Shown, wide: int = 80, high: int | None = None) -> list[tuple[str, str]]:
    """(style, text) of each line: goal, verdict, what was asked for, progress, file, keys. At most ``high``; the verdict gives way."""
    name, exercise = session.name, session.exercise
    head = [("bold", f"{int(name[:2])} · {course.title(name)}"), *_wrapped(f"You will be able to {exercise.goal}.", wide)]
    roomy = high is None or high >= 20
    if roomy and not session.progress.passed:
        head += [("dim", line) for line in _fold(f"Read before: tinygrad-norm {before(name)}", wide)]
    if roomy and exercise.predict is not None and not session.progress.predicted and not session.progress.passed:
        head += _wrapped(f"Predict first (p): {exercise.predict.text}", wide)
    verdict = [(style, line) for style, text in _verdict(session, shown) for line in _fold(text, wide)]
    more = [("", line) for text in shown.more for line in _fold(text, wide)]
    foot = [
        ("", progress_bar(session, wide)),
        ("link", str(session.desk.file(name))),
        *[("dim", k.replace(_KEY, " ")) for k in _fold(KEYS, wide)],
    ]
    if high is not None:
        room = max(3, high - len(head) - len(foot) - 4)
        more = more[: max(0, room - 3)]
        verdict = _cut(verdict, max(3, room - len(more)))
    gap = [("", "")]
    return [*head, *gap, *verdict, *(gap if more else []), *more, *gap, *foot]


def before(name: str) -> str:
    """The lesson to read before an exercise, as the command line calls it, and its title."""
    lesson = lesson_called(course.exercise(name).lesson)
    return f"lesson {int(lesson[:2])}, {heading(lesson)}"


def afterwards(name: str) -> list[str]:
    """The claims about what was solved, to be predicted."""
    return [f"what is said about it: tinygrad-norm claims {c} --predict" for c in course.exercise(name).claims]


def _verdict(session: Session, shown: Shown) -> list[tuple[str, str]]:
    if shown.busy:
        return [("dim", "checking …")]
    judged = shown.judged
    if judged is None:
        return [("dim", "Write what is asked for in the file, and save it.")]
    told = [("dim", f"| {line}") for line in judged.printed[-6:]]
    told += [("", line) for line in judged.lines]
    if judged.ok:
        told.append(("bold green", f"Solved ({judged.counted}). {_onward(session)}"))
        told += [("dim", line) for line in afterwards(session.name)]
    elif session.desk.untouched(session.name):
        told.append(("dim", "So it stands in the file as you find it; the task is at its top."))
    elif judged.route is not None and session.exercise.picture is not None:
        told.append(("dim", f"g draws route {judged.route}, the way back that is meant."))
    return told


def _onward(session: Session) -> str:
    if session.progress.seen:
        return "It does not count, as the solution was seen. n goes on."
    return "n goes on." if session.after(session.name) else done(session)


def done(session: Session) -> str:
    """After the last exercise: what is done, and what is open."""
    names = course.exercise_names()
    left = [n for n in names if not session.state.of(n).counts]
    if not left:
        return f"That was the last one, and all {len(names)} are solved: the course is done."
    some = ", ".join(str(int(n[:2])) for n in left[:8]) + (", …" if len(left) > 8 else "")
    return f"That was the last one; {len(names) - len(left)} of {len(names)} count, and open are {some}."


def progress_bar(session: Session, wide: int = 80) -> str:
    """[#####>---] 5/25."""
    names = course.exercise_names()
    done = sum(session.state.of(n).counts for n in names)
    size = max(10, min(40, wide - 30))
    full = done * size // len(names)
    bar = "#" * full + (">" if full < size else "") + "-" * max(0, size - full - 1)
    return f"[{bar}] {done}/{len(names)} solved"


def listing(session: Session, high: int | None = None) -> list[str]:
    """Every exercise: where one is, its state, its words. Where that is more than ``high`` lines, the other parts take one each."""
    room = max(len(course.title(n)) for n in course.exercise_names())
    foot = [
        progress_bar(session),
        "what to read before each: tinygrad-norm lesson",
        "what is said about all this, to predict: tinygrad-norm claims",
    ]
    parts = {part: [n for n in course.exercise_names() if course.exercise(n).lesson in of] for part, of in course.PARTS.items()}
    short = high is not None and sum(1 + len(names) for names in parts.values()) + len(foot) > high
    rows: list[str] = []
    for part, names in parts.items():
        if short and session.name not in names:
            rows.append(f"{part:<{room + 6}} {sum(session.state.of(n).counts for n in names)}/{len(names)}")
            continue
        rows.append(part)
        for name in names:
            mark = ">" if name == session.name else " "
            rows.append(f"{mark} {name[:2]}  {course.title(name):<{room}} {session.state.of(name).word}".rstrip())
    return [*rows, *foot]


def _wrapped(text: str, wide: int) -> list[tuple[str, str]]:
    return [("", line) for line in textwrap.wrap(text, wide)]


def _fold(text: str, wide: int) -> list[str]:
    """A long line goes on, indented; a short one stays as it is, spaces and all."""
    if len(text) <= wide:
        return [text]
    indent = " " * (len(text) - len(text.lstrip()))
    return textwrap.wrap(text, wide, initial_indent="", subsequent_indent=indent + "  ", drop_whitespace=True) or [""]


def _cut(told: list[tuple[str, str]], room: int) -> list[tuple[str, str]]:
    """The beginning and the end of what is too long."""
    if len(told) <= room:
        return told
    first = max(1, room - 3)
    return (
        [*told[:first], ("dim", f"… {len(told) - first - 2} lines more: d shows all"), *told[-2:]] if room > 3 else told[-room:]
    )
