"""A learner's folder: the exercises' files, backups, solutions that were asked for."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from ..engine import FileError
from ..engine.files import write_whole
from . import course
from .exercise import solution, stub
from .state import FILE

USUAL = "tinygrad-norm-course"
_README = """# The course of tinygrad_norm

    tinygrad-norm learn        goes on where you stopped; save a file here, and see what is said about it
    tinygrad-norm learn list   all exercises, and how far you are
    tinygrad-norm lesson 1     a lesson to read; each exercise says which one comes before it

Each file is an exercise: what is yours to write stands between `# >>> yours` and `# <<<`. The files are plain Python (and cells
that editors and Jupyter understand). Your progress is in `.learn.json`, what you reset in `backup`, solutions that you asked for
in `solutions`. The folder may be moved.

Your files are run as `python FILE` would run them, in a process of their own with limits of time and memory. That is no sandbox.
"""


@dataclass(frozen=True)
class Desk:
    """The folder, which is there."""

    folder: Path

    def file(self, name: str) -> Path:
        """Of an exercise; found by its word, as a newer version may number it anew."""
        usual = self.folder / f"{name}.py"
        word = name.partition("_")[2]
        numbered = sorted(
            p
            for p in self.folder.glob(f"*_{word}.py")
            if p.stem.partition("_")[0].isdecimal() and p.stem.partition("_")[2] == word
        )
        return usual if usual.exists() or not numbered else numbered[0]

    def lay(self) -> None:
        """Write what is not there: never over a file."""
        for name in course.exercise_names():
            if not self.file(name).exists():
                self._write(self.file(name), stub(course.source(name)))
        if not (self.folder / "README.md").exists():
            self._write(self.folder / "README.md", _README)

    def text(self, name: str) -> str:
        """What the learner wrote; laid anew where it is gone. Raises ``FileError`` for what is not text."""
        path = self.file(name)
        if not path.exists():
            self._write(path, stub(course.source(name)))
        try:
            return path.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError:
            raise FileError(f"{path}: is not UTF-8; save it as such in your editor.") from None
        except OSError as error:
            raise FileError(f"{path}: {error.strerror or error}.") from None

    def untouched(self, name: str) -> bool:
        try:
            return self.text(name) == stub(course.source(name))
        except FileError:
            return False

    def reset(self, name: str) -> Path | None:
        """The file as it was found; returns where the learner's is kept, None where nothing was changed."""
        kept = None
        if not self.untouched(name):
            place = self._folder("backup")
            kept = next(p for i in range(1, 10**6) if not (p := place / f"{name}.{i}.py").exists())
            self._write(kept, self.file(name).read_bytes())  # whatever it is
        self._write(self.file(name), stub(course.source(name)))
        return kept

    def solution(self, name: str) -> Path:
        """Write the solution into a folder of its own."""
        path = self._folder("solutions") / f"{name}.py"
        self._write(path, solution(course.source(name)))
        return path

    def _folder(self, name: str) -> Path:
        place = self.folder / name
        place.mkdir(exist_ok=True)
        return place

    def _write(self, path: Path, text: str | bytes) -> None:
        try:
            write_whole(path, text)
        except OSError as error:
            raise FileError(f"learn: {path} cannot be written: {error.strerror or error}.") from None


def open_desk(folder: Path | None = None, make: bool = True) -> tuple[Desk, bool]:
    """The learner's folder, and whether it is new.

    folder:  where; by default the folder one is in, or one around it, if it is a learner's, else tinygrad-norm-course in it

    make:    without it, nothing is written where there is none yet

    Raises ``FileError`` where no folder can be made.
    """
    if folder is None:
        here = Path.cwd()
        folder = next((p for p in (here, *here.parents) if (p / FILE).exists()), here / USUAL)
    folder = Path(os.path.abspath(folder))
    new = not (folder / FILE).exists()
    if new and not make:
        return Desk(folder), new
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(
            f"learn: no folder can be made at {folder}: {error.strerror or error}. Name another: --folder DIR."
        ) from None
    desk = Desk(folder)
    desk.lay()
    return desk, new
