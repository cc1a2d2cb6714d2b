"""Asks the process in which learners' files are run: warm, with limits, and a new one where the old one hung or died."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from .exercise import Judged

SECONDS, MEMORY = 10.0, 4096  # for one verdict; MiB


class Worker:
    """A process that judges, started when first needed and kept warm. Use it in a ``with``.

    seconds:  for one verdict; memory: MiB, where the system can limit it
    """

    def __init__(self, seconds: float = SECONDS, memory: int = MEMORY) -> None:
        self.seconds, self.memory = seconds, memory
        self._process: subprocess.Popen[str] | None = None
        self._answers: queue.Queue[str] = queue.Queue()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *error: object) -> None:
        self.end()

    def warm(self, name: str) -> None:
        """Let it begin to import, and not wait."""
        self._send({"do": "warm", "name": name})

    def verdict(self, name: str, text: str, path: Path) -> Judged:
        """A file judged. One that hangs, takes all memory or ends the process costs the process, and that is the verdict."""
        answer = self._ask({"do": "verdict", "name": name, "text": text, "path": str(path)})
        if isinstance(answer, Judged):
            return answer
        made: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in answer.items()}
        return Judged(**made)

    def picture(self, name: str, route: str | None, path: Path) -> str:
        """Draw the record of an exercise, one route in colour; the path, or an empty text where there is none."""
        answer = self._ask({"do": "picture", "name": name, "route": route, "path": str(path)})
        return "" if isinstance(answer, Judged) else str(answer.get("picture", ""))

    def end(self) -> None:
        """Whatever it is doing."""
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(OSError):
                if hasattr(os, "killpg"):
                    os.killpg(process.pid, signal.SIGKILL)  # with what it started
                else:
                    process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    with contextlib.suppress(OSError):
                        stream.close()

    def _send(self, asked: dict[str, Any]) -> None:
        if self._process is None or self._process.poll() is not None:
            self.end()
            self._start()
        assert self._process is not None
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # it died just now: that is the answer
            self._process.stdin.write(json.dumps(asked) + "\n")
            self._process.stdin.flush()

    def _ask(self, asked: dict[str, Any]) -> dict[str, Any] | Judged:
        self._send(asked)
        try:
            while True:
                line = self._answers.get(timeout=self.seconds)
                if not line:
                    return self._died()
                answer = json.loads(line)
                if answer:  # an empty one only says that it is warm
                    assert isinstance(answer, dict)
                    return answer
        except queue.Empty:
            self.end()
            return Judged(
                False,
                (f"no answer within {self.seconds:g} s: is there a loop that does not end? What ran was ended.",),
                1,
                ("does not end",),
            )
        except KeyboardInterrupt:
            self.end()
            raise

    def _died(self) -> Judged:
        code = self._process.wait() if self._process is not None else None
        self.end()
        return Judged(
            False,
            (f"the process that ran the file ended (code {code}): too much memory, or a crash in compiled code.",),
            1,
            ("crash",),
        )

    def _start(self) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONIOENCODING": "utf-8", "PYTHONPATH": _found()}
        self._process = subprocess.Popen(
            [sys.executable, "-m", f"{__package__}.work", str(self.memory)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, encoding="utf-8", env=environment,
            start_new_session=True,
        )  # fmt: skip
        self._answers = queue.Queue()
        threading.Thread(target=_hear, args=(self._process.stdout, self._answers), daemon=True).start()


def _hear(source: Any, answers: queue.Queue[str]) -> None:
    """An empty line where nothing more comes."""
    with contextlib.suppress(OSError, ValueError):
        for line in source:
            answers.put(line)
    answers.put("")


def _found() -> str:
    """The path on which this package is found, for a process that was started elsewhere."""
    here = str(Path(__file__).parents[2])
    return os.pathsep.join([here, *filter(None, [os.environ.get("PYTHONPATH")])])
