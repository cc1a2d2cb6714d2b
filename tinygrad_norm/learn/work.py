"""The process in which learners' files are run: ``python -m tinygrad_norm.learn.work``. A line of JSON asks, a line answers.

It ends when nobody asks any more, even while a file runs. This is no sandbox: a file may do what its user may.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import queue
import signal
import sys
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

from .course import exercise, verdict
from .exercise import Judged


def main(memory: int) -> None:
    """Answer until standard input ends; ``memory``: MiB the process may have, where the system can say so."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for who asked
    _limit(memory)
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    asked: queue.Queue[str] = queue.Queue()
    threading.Thread(target=_listen, args=(sys.stdin, asked), daemon=True).start()
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 1)  # what compiled code prints goes nowhere
    os.dup2(nothing, 2)
    sys.stdin = io.StringIO()
    while True:
        answer = _answer(json.loads(asked.get()))
        print(json.dumps(answer), file=answers, flush=True)


def _listen(source: TextIO, asked: queue.Queue[str]) -> None:
    for line in iter(source.readline, ""):
        asked.put(line)
    os._exit(0)


def _limit(memory: int) -> None:
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (memory << 20, memory << 20))


def _answer(asked: dict[str, Any]) -> dict[str, Any]:
    try:
        if asked["do"] == "warm":
            exercise(asked["name"])
            return {}
        if asked["do"] == "picture":
            return {"picture": _picture(asked["name"], asked["route"], Path(asked["path"]))}
        return asdict(verdict(asked["name"], asked["text"], asked["path"]))
    except MemoryError:
        return asdict(
            Judged(False, ("the file asked for more memory than it may have: is an array far too large?",), 1, ("memory",))
        )
    except Exception as error:
        return asdict(Judged(False, (f"not judged: {type(error).__name__}: {error}",), 1, ("not judged",)))


def _picture(name: str, route: str | None, path: Path) -> str:
    from ..graph import graph

    made = exercise(name).picture
    if made is None:
        return ""
    drawn = graph(made())
    return str(drawn.save(path, **({} if route is None else {"route": route})))


if __name__ == "__main__":
    main(int(sys.argv[1]))
