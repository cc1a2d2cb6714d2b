"""Errors and warnings that a function catches: whether there is one is a question, even where there is none on the record."""

from __future__ import annotations

import contextlib
import dis
import os
import warnings
from itertools import pairwise
from types import CodeType, FrameType

import numpy as np

from .frames import NUMPY, OWN, is_passing

ERRORS, WARNINGS = "whether an error is raised", "whether there is a warning"
_MATCHES = ("CHECK_EXC_MATCH", "CHECK_EG_MATCH", "JUMP_IF_NOT_EXC_MATCH")
_WARNINGS, _CONTEXTS = os.path.abspath(warnings.__file__), os.path.abspath(contextlib.__file__)
_HARMLESS = (contextlib.nullcontext, contextlib.closing, contextlib.redirect_stdout, contextlib.redirect_stderr)
_known: dict[CodeType, bool] = {}


def catches(code: CodeType) -> bool:
    """Whether it has an ``except``, or a ``finally`` that it leaves by ``return``."""
    if code not in _known:
        ops = [i.opname for i in dis.get_instructions(code)]
        handlers = [k for k, name in enumerate(ops) if name == "PUSH_EXC_INFO"]
        blocks = [ops[k:end] for k, end in zip(handlers, [*handlers[1:], len(ops)])]
        ends = any(_ends(block) for block in blocks if block[1:2] != ["WITH_EXCEPT_START"])
        old = not handlers and ops.count("POP_EXCEPT") > ops.count("WITH_EXCEPT_START")  # Python 3.10
        _known[code] = ends or old or any(name in ops for name in _MATCHES)
    return _known[code]


def _ends(handler: list[str]) -> bool:
    return any(name == "POP_EXCEPT" and before != "COPY" for before, name in pairwise(handler))


def asked_by(frame: FrameType) -> str | None:
    """What a function that is no one's in particular asks for its caller as it ends: a context in which errors or warnings end."""
    code, back = frame.f_code, frame.f_back
    path = code.co_filename
    decorates = back is not None and back.f_code.co_filename == _CONTEXTS
    if back is None or (is_passing(back) and not decorates):
        return None
    if path == _WARNINGS:
        return WARNINGS
    if path.startswith(NUMPY):
        handled = "err" in code.co_name or code.co_name == "__enter__"
        return WARNINGS if handled and not set(np.geterr().values()) <= {"ignore", "warn"} else None
    if code.co_name != "__exit__" or path.startswith(OWN):
        return None
    context = frame.f_locals.get("self")
    if path == _CONTEXTS:
        within = getattr(getattr(context, "gen", None), "gi_code", None)
        if within is not None:
            return ERRORS if catches(within) and not within.co_filename.startswith((OWN, NUMPY)) else None
        return None if isinstance(context, _HARMLESS) else ERRORS
    return ERRORS
