"""Single keys from a terminal, without waiting for return: POSIX's way and Windows'."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import time
from typing import Any

_MANY = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|O.|.?)")


class Keys:
    """Use it in a ``with``: there the terminal gives each key at once and does not show it; afterwards it is as before."""

    def __enter__(self) -> Keys:
        self._before: Any = None
        self._typed: list[str] = []
        with contextlib.suppress(ImportError):
            import termios
            import tty

            self._before = termios.tcgetattr(sys.stdin)
            tty.setcbreak(sys.stdin.fileno())
        return self

    def __exit__(self, *error: object) -> None:
        if self._before is not None:
            import termios

            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, self._before)

    def read(self, seconds: float) -> str:
        """The next key, small; empty where none came in that time. ``EOFError`` where the terminal went away."""
        if self._before is None:
            return _windows(seconds)
        if self._typed:
            return self._typed.pop(0)
        import select

        if not select.select([sys.stdin], [], [], seconds)[0]:
            return ""
        found = os.read(sys.stdin.fileno(), 64).decode(errors="replace")
        if not found:
            raise EOFError
        self._typed = list(_MANY.sub("", found).lower())  # an arrow, or another key of several bytes, is none
        return self._typed.pop(0) if self._typed else ""

    def forget(self) -> None:
        """What was typed while nobody listened."""
        self._typed = []
        with contextlib.suppress(ImportError, OSError):
            import termios

            termios.tcflush(sys.stdin, termios.TCIFLUSH)


def _windows(seconds: float) -> str:
    import msvcrt  # elsewhere there is none, and none of its names are known

    known: Any = msvcrt
    end = time.monotonic() + seconds
    while not known.kbhit():
        if time.monotonic() > end:
            return ""
        time.sleep(0.02)
    key = str(known.getwch())
    if key in ("\x00", "\xe0"):
        known.getwch()
        return ""
    if key == "\x03":
        raise KeyboardInterrupt
    return key.lower()
