"""What people call on sizes, and which is a formula all the same: ``sqrt(N)``, ``np.prod(x.shape)``, ``np.ones((B, N))``.

Each takes the value of what it is given, so that a size would be a number like any other. While functions are listened to, they
find others in these places, which know a size and are the same for all else: in ``math`` and ``numpy``, and in the modules of the
functions themselves, which may have imported them by name.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import CodeType, FrameType
from typing import Any

import numpy as np

from ..engine import full, ones, zeros
from .following import Number, bare

_root, _product, _ones, _zeros, _full = math.sqrt, np.prod, np.ones, np.zeros, np.full


def root(x: Any) -> Any:
    return x.__pow__(0.5) if type(x) is Number else _root(x)


def product(a: Any, *how: Any, **options: Any) -> Any:
    return math.prod(a) if not (how or options) and _has_sizes(a) else _product(a, *how, **options)


def _filled(plain: Callable[..., Any], ours: Callable[..., Any]) -> Callable[..., Any]:
    """An array of one number, which as a constant of ours is followed, whatever is done with it."""

    def filled(shape: Any, *rest: Any, **how: Any) -> Any:
        sizes = [n for n in (shape if isinstance(shape, (tuple, list)) else [shape]) if type(n) is Number]
        if not (how or _has_sizes(rest) or any(n.rough for n in sizes)) and (type(shape) is Number or _has_sizes(shape)):
            return ours(bare(tuple(shape) if isinstance(shape, list) else shape), *rest)
        return plain(shape, *rest, **how)

    return filled


def _has_sizes(given: Any) -> bool:
    """Whether it is a short list of sizes, and of numbers."""
    return (
        isinstance(given, (tuple, list))
        and any(type(x) is Number for x in given)
        and all(isinstance(x, (int, float)) for x in given)
    )


IN_NUMPY = {"prod": product, "ones": _filled(_ones, ones), "zeros": _filled(_zeros, zeros), "full": _filled(_full, full)}
_IMPORTED = {_root: root, _product: product, **{getattr(np, n): f for n, f in IN_NUMPY.items()}}
_LIBRARIES = (os.path.dirname(os.__file__) + os.sep, f"{os.sep}site-packages{os.sep}", "<frozen")


class Modules:
    """The modules of functions that are listened to, in which names mean something else meanwhile."""

    def __init__(self) -> None:
        self._seen: set[CodeType] = set()
        self._before: list[tuple[dict[str, Any], str, Any, Any]] = []

    def enter(self, frame: FrameType) -> bool:
        """A function begins: whether it is a user's, and no library's."""
        code = frame.f_code
        if any(part in code.co_filename for part in _LIBRARIES):
            return False
        if code not in self._seen:
            self._seen.add(code)
            known = frame.f_globals
            for name in code.co_names:
                own = known.get(name)
                if (new := _imported(own)) is not None:
                    self._before.append((known, name, own, new))
                    known[name] = new
        return True

    def leave(self) -> None:
        for known, name, own, new in reversed(self._before):
            if known.get(name) is new:  # it may have been given another meaning since
                known[name] = own


def _imported(own: Any) -> Any:
    try:
        return _IMPORTED.get(own) if callable(own) else None
    except TypeError:  # which has no hash
        return None


@contextmanager
def modules() -> Iterator[Modules]:
    found = Modules()
    try:
        yield found
    finally:
        found.leave()
