"""Which branches of a forward a formula has: those that the record took, or every one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

_depth = [0]


@contextmanager
def every_branch() -> Iterator[None]:
    """What is derived within has no assumptions about branches: each comparison stays in the formula, and ties share as rules say."""
    _depth[0] += 1
    try:
        yield
    finally:
        _depth[0] -= 1


def is_every() -> bool:
    return _depth[0] > 0
