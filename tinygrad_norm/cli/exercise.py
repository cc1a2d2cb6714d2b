"""``tinygrad-norm derive NORM --ask``: the next line of a derivation, until it is right."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from ..derive import DerivationError, ReadingError
from .common import FAILS, HOLDS, printable, show

if TYPE_CHECKING:
    from ..derive.exercise import Exercise


def ask(exercise: Exercise) -> int:
    """Lines from standard input until one is right: exit code 0; 1 when it is given up."""
    show(f"{exercise}\n(? for a hint, q to give up; ASCII will do: rstd*(g - mean(g)), xhat, gamma, sqrt, ^)")
    while True:
        line = _line(f"{exercise.left} = ")
        if line is None or line in ("q", "quit"):
            show(f"The next line is\n  {exercise.after}\n  by {exercise.hint}.")
            return FAILS
        if line == "?":
            show(f"{exercise.hint}.")
        elif line:
            try:
                answer = exercise.answer(line)
            except ReadingError as error:
                show(str(error))
                continue
            show(str(answer))
            if answer:
                if answer.line != exercise.after:
                    show(f"The derivation writes\n  {exercise.after}")
                return HOLDS


def _line(prompt: str) -> str | None:
    """The next line; None where there is none."""
    if sys.stdin.isatty():
        print(printable(prompt, sys.stdout), end="", flush=True)
    try:
        line = sys.stdin.readline()
    except UnicodeDecodeError as error:
        raise DerivationError(f"--ask: what was typed is not {error.encoding}.") from None
    return line.strip() if line else None
