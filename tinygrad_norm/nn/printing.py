"""How a module prints: the arguments it was made with, and its parts."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..engine import Tensor


def arguments(module: Any) -> str:
    """Those of its constructor, as far as they are attributes; see ``Module.extra_repr``."""
    shown = []
    for name, p in inspect.signature(type(module)).parameters.items():
        value = vars(module).get(name, ...)
        if isinstance(p.default, bool) and not isinstance(value, bool) and (value is None or isinstance(value, Tensor)):
            value = value is not None
        if not _plain(value):
            continue
        if (p.kind is p.KEYWORD_ONLY or name == "backward") and value == p.default:
            continue
        shown.append(f"{value!r}" if p.default is p.empty else f"{name}={value!r}")
    return ", ".join(shown)


def in_lines(name: str, head: str, lines: Sequence[str]) -> str:
    """The name, and in parentheses the arguments and the parts, these each on lines of its own."""
    if not lines and "\n" not in head:
        return f"{name}({head})"
    body = "\n".join([head] * bool(head) + [*lines]).replace("\n", "\n  ")
    return f"{name}(\n  {body}\n)"


def _plain(value: Any) -> bool:
    """Whether a value prints as it would be written."""
    if isinstance(value, (list, tuple)):
        return all(map(_plain, value))
    return value is None or isinstance(value, (int, float, str, np.generic))
