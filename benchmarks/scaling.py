"""What should take four times as long where there is four times as much: 16 times as long is quadratic."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from .functions import unrolled
from .peers import Contender, Library, Options, Row, microseconds, ours


def _pieces(n: int) -> list[Any]:
    return list(np.random.default_rng(0).standard_normal((n, 16), np.float32))


def _joined(join: str) -> Callable[[Library, int], Contender]:
    def make(lib: Library, n: int) -> Contender:
        leaves = [lib.leaf(a) for a in _pieces(n)]
        out = getattr(lib.top, join)(leaves)
        seed = lib.constant(np.ones(out.shape, np.float32))
        return lambda: lib.grad(out, leaves, seed)

    return make


def _slices(lib: Library, n: int) -> Contender:
    x = lib.leaf(np.ones((16, n, 64), np.float32))
    out, seed = unrolled(lib, x), lib.constant(np.ones((16, 64), np.float32))
    return lambda: lib.grad(out, [x], seed)


def _split(lib: Library, n: int) -> Contender:
    x = lib.leaf(np.ones((n, 64), np.float32))
    out = sum(lib.functional.split(x, 1))
    seed = lib.constant(np.ones((1, 64), np.float32))
    return lambda: lib.grad(out, [x], seed)


def _deep(lib: Library, n: int) -> Contender:
    leaf = lib.leaf(np.float32(1.0))
    seed = lib.constant(np.float32(1.0))

    def run() -> Any:
        out = leaf
        for _ in range(n):
            out = out * 1.0001
        return lib.grad(out, [leaf], seed)

    return run


def _wide(lib: Library, n: int) -> Contender:
    leaves = [lib.leaf(a) for a in _pieces(n)]
    seed = lib.constant(np.ones(16, np.float32))
    return lambda: lib.grad(sum(leaves[1:], leaves[0]), leaves, seed)


CASES: dict[str, tuple[Callable[[Library, int], Contender], int]] = {
    "stack of 4,000 pieces beside 1,000, backward": (_joined("stack"), 1000),
    "concatenate of 4,000 pieces beside 1,000, backward": (_joined("concatenate"), 1000),
    "512 slices x[:, t] beside 128, backward": (_slices, 128),
    "split into 1,024 pieces beside 256, backward": (_split, 256),
    "a chain of 40,000 operations beside 10,000": (_deep, 10_000),
    "4,000 leaves added up beside 1,000": (_wide, 1000),
}


def rows(options: Options) -> Iterator[Row]:
    lib = ours()
    for case, (make, n) in CASES.items():
        if options.wants(case):
            yield microseconds(case, {"four times as much": make(lib, 4 * n), "as much": make(lib, n)}, options.seconds)
