"""Large passes in pieces, which several threads share.

How a pass is cut depends on its sizes alone, and what the pieces add up is added in their order: the numbers are the same
whatever the number of threads. It is that of ``OMP_NUM_THREADS``, which BLAS and PyTorch follow, too; without it one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

PIECES = 8
LARGE = 1 << 19
"""Entries of the largest array below which handing work to another thread costs more than it saves."""

_pools: dict[int, ThreadPoolExecutor] = {}
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pools.clear)  # threads do not come along


def count() -> int:
    """How many threads are to work."""
    given = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return int(given) if given.isdigit() and int(given) else 1


def cut(stop: int, entries: int, step: int = 1) -> list[tuple[int, int]]:
    """Where pieces of 0 … stop begin and end; one piece of what is small.

    step:  what their lengths are multiples of
    """
    if entries < LARGE:
        return [(0, stop)]
    length = -(-stop // (PIECES * step)) * step
    return [(k, min(k + length, stop)) for k in range(0, stop, length)]


def share(work: Callable[[int], None], pieces: int) -> None:
    """``work(k)`` for each piece, whoever comes to it first."""
    left = iter(range(pieces))
    helpers = min(count(), pieces) - 1
    if helpers < 1:
        _some(work, left)
        return
    pool = _pools.get(helpers) or _pools.setdefault(helpers, ThreadPoolExecutor(helpers, "kernel"))
    others = [pool.submit(_some, work, left) for _ in range(helpers)]
    try:
        _some(work, left)
    finally:
        for other in others:
            other.result()


def _some(work: Callable[[int], None], left: Iterator[int]) -> None:
    for k in left:
        work(k)
