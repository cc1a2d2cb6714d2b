"""Calls on their way: whose lines they are, and what they were given."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Iterator
from functools import cache
from types import FrameType
from typing import Any

import numpy as np

from .habits import root


def _folder(module: Any) -> str:
    return os.path.dirname(os.path.abspath(module.__file__ or "")) + os.sep


OWN = _folder(sys.modules[__package__.rpartition(".")[0]])
"""Whose lines are nobody's function."""
NUMPY, _STANDARD = _folder(np), _folder(os)


def is_own(frame: FrameType) -> bool:
    path = frame.f_code.co_filename
    return path.startswith(OWN) or (path == "<string>" and str(frame.f_globals.get("__name__")).startswith(_GENERATED))


_GENERATED = (__package__.rpartition(".")[0] + ".", "namedtuple_")  # the methods of a dataclass, and of a named tuple


@cache
def _is_a_librarys(path: str) -> bool:
    return path.startswith((NUMPY, "<frozen ")) or (path.startswith(_STANDARD) and "-packages" not in path)


def is_passing(frame: FrameType) -> bool:
    """Whether it asks for whoever calls: a line of NumPy, of what stands in for it, of Python's own library, of a
    module that is opened."""
    code = frame.f_code
    return code.co_name == "<module>" or code.co_filename == root.__code__.co_filename or _is_a_librarys(code.co_filename)


def own_calls(frame: FrameType | None) -> Iterator[FrameType]:
    """This package's calls from here up to the line that called it, a forward's or a derivation's."""
    while frame is not None and (is_own(frame) or is_passing(frame)) and not frame.f_code.co_filename.startswith(_HERE):
        if is_own(frame):
            yield frame
        frame = frame.f_back


_HERE = os.path.dirname(os.path.abspath(__file__)) + os.sep


def arguments(frame: FrameType) -> tuple[Any, ...]:
    """But for ``backward=``, which says by which rule one goes back, and never a value."""
    code = frame.f_code
    count = code.co_argcount + code.co_kwonlyargcount
    count += bool(code.co_flags & inspect.CO_VARARGS) + bool(code.co_flags & inspect.CO_VARKEYWORDS)
    return tuple(frame.f_locals.get(n) for n in code.co_varnames[:count] if n != "backward")


def parts(given: Any) -> Iterator[Any]:
    """What it is, or holds: of a tuple, a list, a dictionary, and of an object of this package."""
    if isinstance(given, (tuple, list, set)):
        for x in given:
            yield from parts(x)
    elif isinstance(given, dict):
        for x in given.values():
            yield from parts(x)
    else:
        yield given
