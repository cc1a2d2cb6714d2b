"""What people call on sizes, and which is a formula all the same: ``sqrt(N)``, ``float(N)``, ``np.prod(x.shape)``, ``np.ones((B, N))``.

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
        if not (how or _has_sizes(rest)) and (type(shape) is Number or _has_sizes(shape)):
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


class Kind:
    """``float`` or ``int``, which of a size is the size."""

    def __init__(self, kind: Any) -> None:
        self.kind, self.dtype = kind, np.dtype(kind)

    def __call__(self, *given: Any, **how: Any) -> Any:
        if len(given) == 1 and not how and type(given[0]) is Number:
            n = given[0]
            if self.kind is int and not isinstance(n.value, int):
                return math.trunc(n)
            return Number(self.kind(n.value), n.tree, n.plain and self.kind is int, n.positive, n.rough)
        return self.kind(*given, **how)

    def __instancecheck__(self, value: Any) -> bool:
        return isinstance(value, self.kind)

    def __subclasscheck__(self, kind: Any) -> bool:
        return issubclass(kind, self.kind)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.kind, name)

    def __eq__(self, other: object) -> bool:
        return bool(self.kind == (other.kind if isinstance(other, Kind) else other))

    def __hash__(self) -> int:
        return hash(self.kind)

    def __or__(self, other: Any) -> Any:
        return self.kind | other

    def __ror__(self, other: Any) -> Any:
        return other | self.kind


IN_NUMPY = {"prod": product, "ones": _filled(_ones, ones), "zeros": _filled(_zeros, zeros), "full": _filled(_full, full)}
_IMPORTED = {_root: root, _product: product, **{getattr(np, n): f for n, f in IN_NUMPY.items()}}
_BUILTINS = {"float": Kind(float), "int": Kind(int)}
_LIBRARIES = (os.path.dirname(os.__file__) + os.sep, f"{os.sep}site-packages{os.sep}", "<frozen")


class Modules:
    """The modules of functions that are listened to, in which names mean something else meanwhile."""

    def __init__(self) -> None:
        self._seen: set[CodeType] = set()
        self._before: list[tuple[dict[str, Any], str, Any]] = []

    def enter(self, frame: FrameType) -> None:
        """A function of a user begins."""
        code = frame.f_code
        if code in self._seen:
            return
        self._seen.add(code)
        if any(part in code.co_filename for part in _LIBRARIES):
            return
        known = frame.f_globals
        for name in code.co_names:
            own = known.get(name, _MISSING)
            new = _BUILTINS.get(name) if own is _MISSING else _imported(own)
            if new is not None:
                self._before.append((known, name, own))
                known[name] = new

    def leave(self) -> None:
        for known, name, own in reversed(self._before):
            if own is _MISSING:
                known.pop(name, None)
            else:
                known[name] = own


_MISSING = object()


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
