"""Functions of networks, float32, one thread, beside PyTorch; both run the same lines."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from .peers import Contender, Library, Options, Row, libraries, microseconds, same


class Case(NamedTuple):
    """What is computed of which leaves."""

    name: str
    run: Callable[..., Any]
    shapes: tuple[tuple[int, ...], ...]
    alone: Callable[..., Any] | None = None  # NumPy's own arithmetic


def _conv2d(n: int, channels: int, size: int, outs: int) -> Case:
    shapes = ((n, channels, size, size), (outs, channels, 3, 3), (outs,))
    name = f"conv2d {shapes[0]} → {outs}, 3×3"
    return Case(name, lambda lib, x, w, b: lib.functional.conv2d(x, w, b, padding=1), shapes)


def unrolled(lib: Library, x: Any) -> Any:
    out = x[:, 0]
    for t in range(1, x.shape[1]):
        out = out * 0.5 + x[:, t]
    return out


MATRIX = (512, 768)
CASES = [
    _conv2d(64, 16, 8, 32),
    _conv2d(8, 32, 32, 32),
    Case("max_pool2d (8, 32, 32, 32), 2×2", lambda lib, x: lib.functional.max_pool2d(x, 2), ((8, 32, 32, 32),)),
    Case("erf", lambda lib, x: lib.top.erf(x), (MATRIX,)),
    Case("gelu", lambda lib, x: lib.functional.gelu(x), (MATRIX,)),
    Case("x**3", lambda lib, x: x**3, (MATRIX,), alone=lambda x: x * x * x),
    Case("softmax", lambda lib, x: lib.functional.softmax(x, -1), (MATRIX,)),
    Case("stack of 4,000 pieces of 16", lambda lib, *xs: lib.top.stack(xs), ((16,),) * 4000),
    Case("concatenate of 4,000 pieces of 16", lambda lib, *xs: lib.top.concatenate(xs), ((16,),) * 4000),
    Case("128 slices x[:, t] of (16, 128, 64)", unrolled, ((16, 128, 64),)),
]


def contender(case: Case, lib: Library, backward: bool) -> Contender:
    """The case by this library; forward it is recorded too, since that is how it is used."""
    rng = np.random.default_rng(0)
    leaves = [lib.leaf(rng.standard_normal(shape, np.float32)) for shape in case.shapes]
    forward = partial(case.run, lib, *leaves)
    if not backward:
        return lambda: (forward().detach(),)
    seed = lib.constant(rng.standard_normal(tuple(forward().shape), np.float32))
    return lambda: lib.grad(forward(), leaves, seed)


def rows(options: Options) -> Iterator[Row]:
    for case in CASES:
        for backward in (False, True):
            if options.wants(name := f"{case.name}, forward{' and backward' if backward else ''}"):
                runs = {lib.name: contender(case, lib, backward) for lib in libraries()}
                if case.alone and not backward:
                    arrays = [np.random.default_rng(0).standard_normal(shape, np.float32) for shape in case.shapes]
                    runs["NumPy's x·x·x"] = lambda f=case.alone, arrays=arrays: (f(*arrays),)  # type: ignore[misc]
                same(runs)
                yield microseconds(name, runs, options.seconds)
