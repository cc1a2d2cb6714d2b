"""Other people's code, run so that it can neither hang, nor print over, nor end the check."""

from __future__ import annotations

import contextlib
import ctypes
import io
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_HOUSE = str(Path(__file__).parent)
_UNTOLD = (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning)


@dataclass(frozen=True)
class Outcome:
    """What became of a call.

    value:    what it returned; None when it did not
    raised:   what it raised instead
    late:     it did neither within the limit
    remarks:  what it printed and warned of, a line each
    """

    value: Any
    raised: BaseException | None
    late: bool
    remarks: tuple[str, ...]


def run(call: Callable[[], Any], limit: float) -> Outcome:
    """Call in a thread of its own, ``limit`` seconds at most, with what it prints kept and nothing to read from.

    A thread cannot be killed. One that is late is asked to end (an exception raised inside it, which Python code notices and
    compiled code does not), and otherwise left behind: it is a daemon, so it goes when the program does.
    A ``KeyboardInterrupt`` passes through, the user's and the call's own.
    """
    box: dict[str, Any] = {}

    def work() -> None:
        try:
            box["value"] = call()
        except BaseException as error:
            box["raised"] = error

    thread, ears = threading.Thread(target=work, name="candidate", daemon=True), _Ears()
    with (
        contextlib.redirect_stdout(ears),
        contextlib.redirect_stderr(ears),
        _nothing_to_read(),
        warnings.catch_warnings(record=True) as warned,
    ):
        warnings.simplefilter("default")
        started = _start(thread)
        try:
            if not started:
                work()
            else:
                thread.join(limit)
            late = thread.is_alive()
        finally:
            _ask_to_end(thread)
    raised = None if late else box.get("raised")
    if isinstance(raised, KeyboardInterrupt):
        raise raised
    told = () if started else ("no thread can be started here: it ran in line, and a hang could not have been stopped",)
    return Outcome(None if late else box.get("value"), raised, late, (*ears.remarks(), *_told(warned), *told))


def _start(thread: threading.Thread) -> bool:
    """False where there are no threads, as in a browser."""
    try:
        thread.start()
    except RuntimeError:
        return False
    return True


def explain(error: BaseException, file: str | None) -> str:
    """One line: what was raised, and where in that file (or wherever the caller's code was left)."""
    said = next(iter(str(error).strip().splitlines()), "")
    said = said if len(said) <= 200 else said[:199] + "…"
    text = f"raised {type(error).__name__}" + (f": {said}" if said else "")
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith(_HOUSE)]
    theirs = [f for f in frames if f.filename == file] if file is not None else frames[:1]
    return text + (f" (line {theirs[-1].lineno} of {Path(theirs[-1].filename).name})" if theirs else "")


def file_of(function: Any) -> str | None:
    """The file a callable was written in, looking through wrappers, methods and partial applications."""
    for _ in range(32):
        code = getattr(function, "__code__", None)
        if code is not None:
            return str(code.co_filename)
        for inner in ("__wrapped__", "__func__", "func"):
            if callable(getattr(function, inner, None)):
                function = getattr(function, inner)
                break
        else:
            function = type(function).__call__  # an instance that can be called; at last a slot of C
            if not hasattr(function, "__code__"):
                return None
    return None


class _Ears(io.TextIOBase):
    """Keeps the first line of what is written and how many there were: a loop that prints fills no memory."""

    def __init__(self) -> None:
        self.first, self.lines, self.open = "", 0, False

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return "utf-8"

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        if not self.lines:
            self.first = (self.first + text[:200]).split("\n")[0][:200]
        self.lines += text.count("\n")
        if text:
            self.open = not text.endswith("\n")
        return len(text)

    def remarks(self) -> list[str]:
        count = self.lines + self.open
        if not count:
            return []
        shown = self.first.strip()
        return [
            f"printed {count} line{'s' * (count > 1)}" + (f": {shown if len(shown) <= 60 else shown[:59] + '…'}" * bool(shown))
        ]


def _told(warned: list[warnings.WarningMessage]) -> list[str]:
    """Each kind of warning once. Flags that BLAS raises about lanes beyond a short vector are nobody's."""
    told: dict[str, int] = {}
    for w in warned:
        said = next(iter(str(w.message).splitlines()), "")
        if not issubclass(w.category, _UNTOLD) and not said.endswith(("encountered in matmul", "encountered in vecdot")):
            told.setdefault(said, w.lineno)
    return [f"warned: {said} (line {line})" for said, line in list(told.items())[:5]]


@contextlib.contextmanager
def _nothing_to_read() -> Iterator[None]:
    before, sys.stdin = sys.stdin, io.StringIO()
    try:
        yield
    finally:
        sys.stdin = before


def _ask_to_end(thread: threading.Thread) -> None:
    if thread.is_alive() and thread.ident is not None and hasattr(ctypes, "pythonapi"):
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(SystemExit))
        thread.join(0.1)
