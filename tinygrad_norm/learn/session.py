"""What a learner can do: be judged, read a hint, see the solution, reset, skip, go on. Screens and commands only show it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..engine import OptionError
from . import course
from .desk import Desk
from .exercise import Exercise, Judged, solution
from .lessons import lesson_called
from .state import Progress, State, read_state
from .worker import Worker


@dataclass
class Session:
    """A folder, how far one is, and who judges."""

    desk: Desk
    state: State
    worker: Worker
    note: str = ""

    @property
    def name(self) -> str:
        """The exercise one is at."""
        return self.state.current

    @property
    def exercise(self) -> Exercise:
        return course.exercise(self.name)

    @property
    def progress(self) -> Progress:
        return self.state.of(self.name)

    def go(self, name: str) -> None:
        self.state.current = name
        self.state.write(self.desk.folder)

    def check(self, name: str | None = None) -> Judged:
        """Judge a file, and keep what came of it."""
        name = self.name if name is None else name
        judged = self.worker.verdict(name, self.desk.text(name), self.desk.file(name))
        progress = self.state.of(name)
        if not self.desk.untouched(name):
            progress.attempts += 1
        if judged.ok:
            progress.passed, progress.skipped = True, False
        progress.predicted = progress.predicted or judged.predicted  # the first
        progress.terms = [] if judged.ok else list(judged.terms)
        self.state.write(self.desk.folder)
        return judged

    def hint(self, name: str | None = None) -> list[str]:
        """One more hint than were read; all that are read."""
        name = self.name if name is None else name
        progress, (step, hints) = self.state.of(name), self._hints(name)
        read = min(progress.read(step) + 1, len(hints))
        if step:
            progress.steps[step] = read
        else:
            progress.hints = read
        self.state.write(self.desk.folder)
        return [f"hint {i} of {len(hints)}{step and f' on {step}'}: {h}" for i, h in enumerate(hints[:read], 1)]

    def _hints(self, name: str) -> tuple[str, tuple[str, ...]]:
        """Those of the step at which the last verdict was, and its word."""
        exercise = course.exercise(name)
        step = exercise.step(self.state.of(name).terms)
        return step, exercise.later[step] if step else exercise.hints

    def solution(self, name: str | None = None) -> tuple[str, str]:
        """The solution, and where it was written. Before it has been earned, ``OptionError``."""
        name = self.name if name is None else name
        progress, (step, hints) = self.state.of(name), self._hints(name)
        if not progress.passed:
            if progress.read(step) < len(hints):
                raise OptionError(
                    f"learn: the solution of {name} comes after passing, or after the last hint; {progress.read(step)} of {len(hints)} hints are read."
                )
            progress.seen = True
            self.state.write(self.desk.folder)
        path = self.desk.solution(name)
        return solution(course.source(name)), str(path)

    def reset(self, name: str | None = None) -> str:
        """The file as it was found; what became of the learner's. Progress stays, and so does that the solution was seen."""
        kept = self.desk.reset(self.name if name is None else name)
        return "nothing was changed" if kept is None else f"yours is kept as {kept.relative_to(self.desk.folder)}"

    def skip(self, name: str | None = None) -> None:
        name = self.name if name is None else name
        progress = self.state.of(name)
        progress.skipped = not progress.passed
        self.go(self.after(name) or name)

    def after(self, name: str) -> str | None:
        names = course.exercise_names()
        place = names.index(name) + 1
        return names[place] if place < len(names) else None

    def predict(self, choice: str) -> str:
        """Keep a prediction, the first only, and say what comes."""
        question = self.exercise.predict
        assert question is not None
        self.progress.predicted = self.progress.predicted or choice
        self.state.write(self.desk.folder)
        first = self.progress.predicted
        return f"you said {first}: {'yes' if first == question.answer else f'it is {question.answer}'}. {question.because}"

    def status(self) -> dict[str, Any]:
        """Everything, for people and for programs."""
        rows = []
        for name in course.exercise_names():
            p, exercise = self.state.of(name), course.exercise(name)
            rows.append(
                {
                    "exercise": name, "title": course.title(name), "goal": exercise.goal, "lesson": lesson_called(exercise.lesson), "state": p.word,
                    "passed": p.passed, "counts": p.counts, "hints": p.all_hints, "attempts": p.attempts, "wrong": p.terms,
                    "predicted": p.predicted, "claims": exercise.claims,
                }
            )  # fmt: skip
        return {
            "folder": str(self.desk.folder), "current": self.name, "counts": sum(r["counts"] for r in rows), "of": len(rows),
            "exercises": rows,
        }  # fmt: skip


def begin(desk: Desk, worker: Worker, keep: bool = True) -> Session:
    """Go on where one stopped: at the exercise one was at, or the first. ``keep``: also write that down."""
    state, note = read_state(desk.folder)
    names = course.exercise_names()
    if state.current not in names:  # the first time, or it has another number now
        word = state.current.partition("_")[2]
        state.current = next((n for n in names if word and n.partition("_")[2] == word), names[0])
    if keep:
        state.write(desk.folder)
    return Session(desk, state, worker, note)
