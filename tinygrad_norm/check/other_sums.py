"""What stands where a sum belongs: rounded, cut, of another index, of numbers in the wrong places, of each worker's own share."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..derive.formula import Total
from ..engine.arrays import Array
from .cuts import cuts_of
from .fused import Fused
from .variants import MOST, SMALL, in_less, misread, placed


def other_sums(found: Fused, node: Total) -> Iterator[tuple[str, Array]]:
    """In words, and its numbers."""
    inside = found.known_as(node.inside)
    along = tuple(found.axes.index(a) for a in node.axes)
    right = placed(found, found.at(node))
    n = inside.size / right.size if node.function == "mean" else 1.0
    for one in (-1.0, 1.0):
        yield f"has {'−' if one < 0 else ''}1 in its place", np.full(right.shape, one)
    for words, value in in_less("", right):
        yield f"has the sum{words}", value
    for kind in (np.float16, np.float32):
        added = inside.astype(kind).sum(along, keepdims=True, dtype=kind)
        yield f"has the sum added up in {np.dtype(kind).name}", added.astype(np.float64) / n
        if n > 1:
            yield f"has the mean taken in {np.dtype(kind).name}", (added / kind(n)).astype(np.float64)
    for at in (k for k, size in enumerate(right.shape) if size > 1):
        yield f"has the sum of index i − 1 of {found.axes[at]} for that of i", np.roll(right, 1, at)
        yield f"has the sum of index i + 1 of {found.axes[at]} for that of i", np.roll(right, -1, at)
    for axis in node.axes:
        yield from _within_blocks(found, node, inside, axis, n)
    for words, mask in cuts_of(found, node.axes):
        cut = (inside * mask).sum(along, keepdims=True)
        yield words, cut / n
        if n > 1:
            yield (
                f"{words}, and is divided by the number of the others",
                cut / np.broadcast_to(mask, inside.shape).sum(along, keepdims=True),
            )
    if right.size > 1 and inside.size <= SMALL and inside.shape == tuple(found.sizes[a] for a in found.axes):
        for words, value in misread(found, "its summands", inside):
            yield f"has {words}", value.sum(along, keepdims=True) / n
    if len(node.axes) == 1:
        for words, turn in (("up to the entry itself", 1), ("from the entry itself on", -1)):
            so_far = np.flip(np.cumsum(np.flip(inside, along), along[0]), along) if turn < 0 else np.cumsum(inside, along[0])
            yield f"has only what stands {words}", so_far / n
            yield f"has only what stands {words}, without it", (so_far - inside) / n
    for words, pick in (("largest", np.max), ("smallest", np.min)):
        yield f"has the {words} entry in place of the {node.function}", pick(inside, along, keepdims=True)
    if n > 1:
        yield "has a median for the mean", np.median(inside, along, keepdims=True)


def _within_blocks(found: Fused, node: Total, inside: Array, axis: str, n: float) -> Iterator[tuple[str, Array]]:
    """What each worker has of the batch, by itself."""
    at, size = found.axes.index(axis), found.sizes[axis]
    along = tuple(found.axes.index(a) for a in node.axes)
    halves = size // 2, size - size // 2
    divisions = [(*[b] * (size // b), *([size % b] if size % b else [])) for b in (2, 3, 4, 8, 16, 32) if b < size <= MOST]
    for sizes in dict.fromkeys((*divisions, halves, halves[::-1])) if size > 2 else ():
        ends = np.cumsum(sizes)
        parts = [np.take(inside, range(end - k, end), axis=at) for k, end in zip(sizes, ends)]
        sums = [p.sum(along, keepdims=True) for p in parts]
        words = f"has the {node.function} within blocks of {' and '.join(map(str, dict.fromkeys(sizes)))} of {found.over((axis,))}, each by itself"
        yield (
            f"{words}{', divided by the size of the whole' if n > 1 else ''}",
            np.concatenate([np.repeat(s / n, k, axis=at) for s, k in zip(sums, sizes)], axis=at),
        )
        if n > 1:
            yield words, np.concatenate([np.repeat(s / (n * k / size), k, axis=at) for s, k in zip(sums, sizes)], axis=at)
