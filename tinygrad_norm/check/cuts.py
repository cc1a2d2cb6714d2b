"""What a sum leaves out: the rest of a division, all but one block, every other entry; in any order its axes are gone through."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, combinations, permutations
from typing import Any

import numpy as np

from ..engine.arrays import Array
from .counts import BLOCKS
from .fused import Fused
from .variants import dims_of


def cuts_of(found: Fused, axes: tuple[str, ...]) -> list[tuple[str, Array]]:
    """What counts of a sum, where it is not all, in any order in which its axes may be gone through."""
    key = axes, tuple(found.sizes.items())
    if key not in found.cuts:
        found.cuts[key] = list(_cuts(found, axes))
    return found.cuts[key]


def _cuts(found: Fused, axes: tuple[str, ...]) -> Iterator[tuple[str, Array]]:
    dims = [tuple(a for a in dim if a in axes) for dim in dims_of(found)]
    dims = [dim for dim in dims if dim]
    told = set[bytes]()
    orders: list[Any] = [(dim,) for dim in dims] if len(dims) > 1 else []
    orders += [pair for pair in combinations(dims, 2) if len(dims) > 2] + list(permutations(dims))
    orders = orders if len(dims) <= 4 else []
    for order in orders:
        flat = list(chain.from_iterable(order))
        n = int(np.prod([found.sizes[a] for a in flat]))
        place = np.arange(n).reshape([found.sizes[a] for a in flat])
        place = np.transpose(place, np.argsort([found.axes.index(a) for a in flat]))
        place = place.reshape([found.sizes[a] if a in flat else 1 for a in found.axes])
        way = f" in the order {'·'.join(flat)}" if len(order) > 1 else f" of {found.over(tuple(flat))}" if len(dims) > 1 else ""
        for words, keep in _kept(n):
            mask = keep[place].astype(np.float64)
            if mask.tobytes() not in told:
                told.add(mask.tobytes())
                yield f"{words} of {n} entries{way}", mask


def _kept(n: int) -> Iterator[tuple[str, Array]]:
    i = np.arange(n)
    rests = {n % b: f", {n} mod {b}," for b in reversed([b for b in BLOCKS if 2 < b < n]) if n % b}
    for r in sorted({1, *rests, *(b for b in BLOCKS if b < n)} if n > 1 else ()):
        said = f"{r}{rests.get(r, '')}"
        yield f"leaves out the last {said}", i < n - r
        yield f"leaves out the first {said}", i >= r
        yield f"has only the first {said}", i < r
        yield f"has only the last {said}", i >= n - r
        if r > 1:
            yield f"has only every {({2: '2nd', 3: '3rd'}).get(r, f'{r}th')}", i % r == 0
    if n > 2:
        yield "has only the first half", i < n // 2
        yield "has only the second half", i >= n // 2
        yield "leaves out the first and the last", (i > 0) & (i < n - 1)
