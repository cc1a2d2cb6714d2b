"""What is not fine about a call, and the bounds in which calls are made."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

import tinygrad_norm as tn
from tests.fuzz.targets import NAMES, Call

HERE = os.path.dirname(tn.__file__)
SPACE = {**NAMES, "Fraction": Fraction, "Decimal": Decimal}


class TooLong(BaseException):
    """The call used ten seconds of processor time."""


@dataclass
class Finding:
    """What is not fine about a call."""

    kind: str
    what: str
    call: str
    where: str = ""

    target: str = ""

    @property
    def group(self) -> tuple[str, str]:
        return (self.kind, self.where or self.target)


@contextlib.contextmanager
def bounded() -> Iterator[None]:
    """No call hangs the run (processor time, so a busy machine changes nothing) or takes the machine's memory."""
    if sys.platform == "win32":
        yield
        return
    import resource

    def stop(*_: Any) -> None:
        raise TooLong

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, 10)
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    try:
        with open("/proc/self/statm") as f:
            used = int(f.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + 2**31, hard))
    except (OSError, ValueError):
        pass
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def evaluate(text: str, space: dict[str, Any] | None = None) -> Any:
    return eval(text, dict(SPACE) if space is None else space)


def inside(tb: Any) -> str:
    """The innermost line of the package a traceback went through."""
    lines = [f for f in traceback.extract_tb(tb) if f.filename.startswith(HERE)]
    return f"{os.path.relpath(lines[-1].filename, HERE)}:{lines[-1].name}" if lines else ""


def make(call: Call) -> tuple[Any, list[Any], dict[str, Any]]:
    space = dict(SPACE)
    receiver = evaluate(call.receiver, space) if call.receiver else None
    args = [evaluate(t, space) for k, t in call.args if k is None]
    kwargs = {k: evaluate(t, space) for k, t in call.args if k}
    if call.receiver:
        if call.function.startswith("."):
            return getattr(receiver, call.function[1:]), [receiver, *args], kwargs
        return evaluate(call.function), [receiver, *args], kwargs
    return evaluate(call.function), args, kwargs
