"""How far somebody is: one file, written whole, that outlives a crash, a moved folder, and versions newer and older than this."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from ..engine import FileError
from ..engine.files import write_whole

VERSION = 1
FILE = ".learn.json"


@dataclass
class Progress:
    """Of one exercise.

    passed:     it was solved; seen: after its solution was looked at, so that it does not count; skipped: neither
    hints:      how many were read; steps: of those of a later step, by its word; attempts: verdicts on a changed file
    terms:      what was wrong at last, by name; first: what was predicted before any verdict
    """

    passed: bool = False
    seen: bool = False
    skipped: bool = False
    hints: int = 0
    steps: dict[str, int] = field(default_factory=dict)
    attempts: int = 0
    terms: list[str] = field(default_factory=list)
    predicted: str = ""

    @property
    def counts(self) -> bool:
        return self.passed and not self.seen

    @property
    def all_hints(self) -> int:
        return self.hints + sum(self.steps.values())

    def read(self, step: str) -> int:
        """How many hints of a step were."""
        return self.steps.get(step, 0) if step else self.hints

    @property
    def word(self) -> str:
        """In one word, for lists."""
        if self.passed:
            return "solution seen" if self.seen else "passed"
        return "skipped" if self.skipped else "begun" if self.attempts or self.all_hints else ""


@dataclass
class State:
    """Where somebody is, and the progress of each exercise by its word ("square"), so that a number may change.

    others:  what a newer version wrote and this one does not know: kept as it is
    """

    current: str = ""
    exercises: dict[str, Progress] = field(default_factory=dict)
    version: int = VERSION
    others: dict[str, Any] = field(default_factory=dict)

    def of(self, name: str) -> Progress:
        """Of an exercise by its name, "02_square"."""
        return self.exercises.setdefault(name.partition("_")[2], Progress())

    def write(self, folder: Path) -> None:
        """Raises ``FileError`` where the folder refuses."""
        known = {
            word: {**self.others.get("exercises", {}).get(word, {}), **vars(progress)}
            for word, progress in self.exercises.items()
        }
        rest = {k: v for k, v in self.others.items() if k != "exercises"}
        content = {**rest, "version": self.version, "current": self.current, "exercises": known}
        try:
            write_whole(folder / FILE, json.dumps(content, ensure_ascii=False, indent=1) + "\n")
        except OSError as error:
            raise FileError(
                f"learn: {folder / FILE} cannot be written: {error.strerror or error}. Progress is not kept."
            ) from None


def read_state(folder: Path) -> tuple[State, str]:
    """What is written there, and a note where something had to be done about it. A file that is none is put aside, not lost."""
    path = folder / FILE
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(found, dict) or not isinstance(found.get("exercises", {}), dict):
            raise ValueError
    except FileNotFoundError:
        return State(), ""
    except OSError as error:
        raise FileError(f"learn: {path} cannot be read: {error.strerror or error}.") from None
    except ValueError:
        aside = next(p for i in range(1, 10**6) if not (p := folder / f"{FILE}.broken-{i}").exists())
        path.replace(aside)
        return (
            State(),
            f"{FILE} was not whole; it is kept as {aside.name}, and progress begins anew. Your files are as they were.",
        )
    version = found["version"] if _is_count(found.get("version")) else 0
    state = State(found["current"] if isinstance(found.get("current"), str) else "", {}, max(version, VERSION))
    state.others = {k: v for k, v in found.items() if k not in ("version", "current", "exercises")}
    state.others["exercises"] = {}
    kinds = {f.name: type(getattr(Progress(), f.name)) for f in fields(Progress)}
    for word, entry in found.get("exercises", {}).items():
        if isinstance(entry, dict):
            state.exercises[word] = Progress(**{k: v for k, v in entry.items() if k in kinds and type(v) is kinds[k]})
            steps = state.exercises[word].steps
            state.exercises[word].steps = {k: v for k, v in steps.items() if _is_count(v)}
            state.others["exercises"][word] = {k: v for k, v in entry.items() if k not in kinds}
    newer = "" if version <= VERSION else f"{FILE} was written by a newer version; what is not known here is kept as it is."
    return state, newer


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0
