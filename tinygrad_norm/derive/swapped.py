"""Attributes of a class or a module that are others for a while."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

_MISSING = object()
_swaps: dict[tuple[Any, str], list[Any]] = {}
"""By class and name: what was there first, and what was put there since by those who are still inside."""
_one_at_a_time = threading.Lock()


@contextmanager
def swapped(of: Any, changes: Mapping[str, Any]) -> Iterator[None]:
    """Attributes of a class or a module are others inside. The last who came in is heard; who goes out, in whatever order (threads
    do not wait for each other), takes away what he brought."""
    with _one_at_a_time:
        for name, what in changes.items():
            _swaps.setdefault((of, name), [vars(of).get(name, _MISSING)]).append(what)
            setattr(of, name, what)
    try:
        yield
    finally:
        with _one_at_a_time:
            for name, what in changes.items():
                there = _swaps[of, name]
                del there[max(k for k, one in enumerate(there) if k and one is what)]
                if there[-1] is _MISSING:
                    delattr(of, name)
                else:
                    setattr(of, name, there[-1])
                if not there[1:]:
                    del _swaps[of, name]
