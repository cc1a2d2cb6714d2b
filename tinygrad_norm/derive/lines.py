"""Which line recorded an operation: found by recording once more and watching, so that recording itself stays free of it."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import numpy as np

from ..engine import Op, history, tensor

_HIDDEN = tuple(
    os.path.dirname(os.path.abspath(module.__file__ or "")) for module in (sys.modules[Op.__module__], np, sys.modules[__name__])
)
"""Rooms whose lines are nobody's forward."""


def recorded_at(make: Callable[[], Any], message: str, place: int | None = None) -> str:
    """`` Recorded at file.py:12: y = a @ b`` for the op that the message begins with; nothing if it is not found."""
    name = message.split(":")[0].split(" ")[0]
    places: list[tuple[int, str, int]] = []

    def watch(frame: FrameType, event: str, _: Any) -> Any:
        path = frame.f_code.co_filename
        if path.startswith(("<frozen", *_HIDDEN)) or "__tracebackhide__" in frame.f_code.co_varnames:
            return None
        if event == "line":
            sys.settrace(None)
            places.append((tensor(0.0).birth, path, frame.f_lineno))
            sys.settrace(watch)
        return watch

    before, collects = sys.gettrace(), gc.isenabled()
    gc.disable()  # a collection may run lines of others, anywhere between ours
    sys.settrace(watch)
    try:
        record = make()
    finally:
        sys.settrace(before)
        if collects:
            gc.enable()
    tensors = history(record.output)
    first = place if place is not None and place < len(tensors) else 0
    if tensors[first].op is None or tensors[first].op.name != name:  # type: ignore[union-attr]
        first = 0  # it is on the record of the gradient
    for t in tensors[first:]:
        if t.op is not None and t.op.name == name:
            earlier = [(path, line) for birth, path, line in places if birth < t.birth]
            if earlier:
                import linecache

                path, line = earlier[-1]
                linecache.checkcache(path)
                code = linecache.getline(path, line).strip()[:100]
                return f" Recorded at {os.path.basename(path)}:{line}" + (f": {code}" if code else ".")
    return ""
