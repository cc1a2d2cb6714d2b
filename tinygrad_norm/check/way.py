"""Which way a candidate goes through its own source, instruction by instruction: on tensors it has to be the way it goes on arrays.

Code may ask what it is handed (``isinstance``, ``type``, ``try``) and answer otherwise for tensors; what is then proved is the other answer.
"""

from __future__ import annotations

import contextlib
import gc
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import numpy as np

from ..engine import tensor
from .case import Case
from .guard import run
from .source import line_of
from .trial import Trial

_OTHERS = (
    str(Path(__file__).parents[1]),
    str(Path(np.__file__).parent),
    "<frozen",
    "<string>",
)  # (the last is where dataclasses are made)
_PYTHON = str(Path(threading.__file__).parent)
Step = tuple[CodeType, int]


@contextlib.contextmanager
def way() -> Iterator[set[Step]]:
    """Every instruction of the candidate's that is run in threads begun meanwhile."""
    seen: set[Step] = set()

    def inside(frame: FrameType, event: str, _: Any) -> Any:
        if event == "opcode":
            seen.add((frame.f_code, frame.f_lasti))
        return inside

    def entered(frame: FrameType, event: str, _: Any) -> Any:
        name = frame.f_code.co_filename
        if name.startswith(_OTHERS) or (name.startswith(_PYTHON) and "site-packages" not in name):
            return None
        frame.f_trace_opcodes = True
        return inside

    before, collects = (sys.gettrace(), threading.gettrace()), gc.isenabled()
    gc.disable()  # what others want to be called at a collection is no part of the way
    threading.settrace(entered)
    sys.settrace(entered)  # where no thread can be started
    try:
        yield seen
    finally:
        sys.settrace(before[0])
        threading.settrace(before[1])
        if collects:
            gc.enable()


def parting(trial: Trial, case: Case, function: Callable[..., Any], names: Mapping[str, Any]) -> int | None:
    """The first line on which it goes another way on tensors than on arrays; None where it goes the same.

    function:  the candidate as a function of tensors by name; ``names``: those it takes
    """
    trial.ask(case, np.float64, once=True)  # an object is made at its first call
    with way() as on_arrays:
        trial.ask(case, np.float64, once=True)
    given = {n: tensor(t.numpy(), requires_grad=t.requires_grad, name=t.name) for n, t in case.inputs.items() if n in names}
    given["dy"] = tensor(case.dy, name="dy")
    with way() as on_tensors:
        run(lambda: function(**given), trial.limit)
    apart = {(code, at) for code, at in on_arrays ^ on_tensors}
    return min((line_of(code, at) for code, at in apart), default=None)
