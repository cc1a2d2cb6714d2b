"""The one-screen runner: a file is watched, every save is judged, keys do the rest."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

from ..engine import TinygradNormError
from ..graph.table import ascii_text
from . import screen
from .keys import Keys
from .screen import Shown
from .session import Session

PAUSE = 0.2  # seconds between two looks at the file


class Watched:
    """Whether a file was saved since it was last looked at: by its time and size, as that works on every file system."""

    def __init__(self, path: Path) -> None:
        self.path, self._seen = path, _stamp(path)

    def changed(self) -> bool:
        """False while it is away: editors write beside and rename."""
        now = _stamp(self.path)
        if now is None or now == self._seen:
            return False
        self._seen = now
        return True


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


class Runner:
    """Until q, or until the terminal goes away. Use ``run``."""

    def __init__(self, session: Session) -> None:
        self.session, self.shown = session, Shown()
        self.console = Console(highlight=False, soft_wrap=True)
        self.keys = Keys()
        self.watched = Watched(session.desk.file(session.name))
        encoding = sys.stdout.encoding or "ascii"
        try:
            "σ²x̂│█½".encode(encoding)
            self.plain = False
        except (UnicodeEncodeError, LookupError):
            self.plain = True

    def run(self) -> None:
        """Show, watch, and do what keys ask for."""
        self.session.worker.warm(self.session.name)
        self.shown.more = [self.session.note] if self.session.note else []
        with self.keys:
            key = "r"  # as it is now
            while key != "q":
                try:
                    if key:
                        self.press(key)
                    elif self.watched.changed():
                        self.shown.more = []
                        self.judge()
                except TinygradNormError as error:
                    self.tell(str(error))
                try:
                    key = self.keys.read(PAUSE)
                except EOFError:
                    return

    def judge(self) -> None:
        """The verdict on the file as it is now. Keys pressed meanwhile are not heard."""
        self.shown.busy = True
        self.draw()
        self.watched.changed()
        try:
            self.shown.judged = self.session.check()
        finally:
            self.shown.busy = False
            self.keys.forget()
        self.draw()

    def press(self, key: str) -> None:
        """What a key does; one that does nothing does nothing."""
        found = {
            "n": self.next, "h": self.hint, "p": self.predict, "g": self.picture, "d": self.details, "r": self.judge,
            "v": self.solution, "s": self.skip, "x": self.reset, "l": self.list,
        }.get(key)  # fmt: skip
        if found is not None:
            found()

    def next(self) -> None:
        if not (self.session.progress.passed or self.session.progress.skipped):
            return self.tell("Not yet solved. s skips it: it then does not count, and can be done later.")
        following = self.session.after(self.session.name)
        if following is None:
            return self.tell("That was the last one. l lists what is left open.")
        self.session.go(following)
        self.moved()
        return None

    def skip(self) -> None:
        self.session.skip()
        self.moved()

    def moved(self) -> None:
        """To another exercise."""
        self.shown = Shown()
        self.watched = Watched(self.session.desk.file(self.session.name))
        self.judge()

    def hint(self) -> None:
        hints = self.session.hint()
        self.tell(*hints, *([screen.LAST] if len(hints) == len(self.session.exercise.hints) else []))

    def solution(self) -> None:
        text, path = self.session.solution()
        self.tell(*text.splitlines(), "", f"written to {path}")

    def reset(self) -> None:
        if self.ask("Put the file back as it was found? y: yes, any other key: no") == "y":
            told = self.session.reset()
            self.shown.more = [f"as it was found; {told}"]
            self.judge()
        else:
            self.tell("left as it is")

    def predict(self) -> None:
        question = self.session.exercise.predict
        if question is None:
            return self.tell("nothing to predict here")
        choices = [f"{i} {c}" for i, c in enumerate(question.choices, 1)]
        key = self.ask(f"{question.text}   {'   '.join(choices)}")
        if not (key.isdecimal() and 1 <= int(key) <= len(question.choices)):
            return self.tell(f"a number from 1 to {len(question.choices)} would have been an answer; p asks again")
        self.tell(question.text, self.session.predict(question.choices[int(key) - 1]))
        return None

    def picture(self) -> None:
        name, judged = self.session.name, self.shown.judged
        route = judged.route if judged is not None else None
        path = self.session.desk.folder / f"{name}.svg"
        made = self.session.worker.picture(name, route, path)
        of = "" if route is None else f", route {route} in colour"
        self.tell(f"drawn{of}: {made}" if made else "there is no picture of this one")

    def details(self) -> None:
        """All of the verdict, however long."""
        self.console.clear()
        for style, line in screen.lines(self.session, self.shown, self.console.size.width - 1):
            self.put(line, style)
        self.wait()

    def list(self) -> None:
        self.console.clear()
        for line in screen.listing(self.session, self.console.size.height - 2):
            self.put(line)
        self.wait()

    def wait(self) -> None:
        self.put("any key goes back", "dim")
        while not self.keys.read(60):
            pass
        self.draw()

    def ask(self, question: str) -> str:
        """The next key."""
        self.tell(question)
        while not (key := self.keys.read(60)):
            pass
        return key

    def tell(self, *told: str) -> None:
        self.shown.more = list(told)
        self.draw()

    def draw(self) -> None:
        """All of the screen."""
        size = self.console.size
        self.console.clear()
        for style, line in screen.lines(self.session, self.shown, size.width - 1, size.height):
            self.put(line, style)

    def put(self, line: str, style: str = "") -> None:
        line = ascii_text(line) if self.plain else line
        link = f"link {Path(line).as_uri()}" if style == "link" and not self.plain else style if style != "link" else ""
        self.console.print(Text(line, style=link))
