"""What the engine costs per operation, on eight numbers: beyond NumPy's own time, and beside PyTorch's engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from .memory import layer_norm
from .peers import Contender, Library, Options, Row, libraries, microseconds

INNER, DEPTH = 100, 300


def _tanh(lib: Library | None, p: Any, q: Any) -> Any:
    return lib.top.tanh(p) if lib else np.tanh(p)


# The operation by anybody, and its rule over arrays.
CASES: dict[str, tuple[Callable[[Library | None, Any, Any], Any], Callable[[Any, Any], Any]]] = {
    "a + b": (lambda lib, p, q: p + q, lambda a, b: a),
    "a * b": (lambda lib, p, q: p * q, lambda a, b: a * b),
    "a / b": (lambda lib, p, q: p / q, lambda a, b: a / b),
    "tanh": (_tanh, lambda a, b: a * (1 - b**2)),
    "a**2": (lambda lib, p, q: p**2, lambda a, b: 2 * a * b),
}


def _often(run: Contender) -> Contender:
    def runs() -> None:
        for _ in range(INNER):
            run()

    return runs


def _chain(forward: Callable[[Library | None, Any, Any], Any], lib: Library, a: Any, b: Any) -> Contender:
    """The backward pass of the operation done DEPTH times over."""
    leaf, other, seed = lib.leaf(a), lib.constant(b), lib.constant(b)
    out = leaf
    for _ in range(DEPTH):
        out = forward(lib, out, other)
    again = {"retain_graph": True} if lib.name == "PyTorch" else {}
    return lambda: lib.grad(out, [leaf], seed, **again)


def rows(options: Options) -> Iterator[Row]:
    a, b = np.full(8, 0.5, np.float32), np.ones(8, np.float32)
    for name, (forward, rule) in CASES.items():
        if options.wants(case := f"{name}, recorded"):
            runs: dict[str, Contender] = {}
            for lib in libraries():
                x, y = lib.leaf(a), lib.constant(b)
                runs[lib.name] = _often(lambda f=forward, lib=lib, x=x, y=y: f(lib, x, y))  # type: ignore[misc]
            runs["NumPy alone"] = _often(lambda f=forward: f(None, a, b))  # type: ignore[misc]
            yield microseconds(case, runs, options.seconds, INNER)
        if options.wants(case := f"{name}, backward"):
            runs = {lib.name: _chain(forward, lib, a, b) for lib in libraries()}
            row = microseconds(case, runs, options.seconds, DEPTH)
            alone = microseconds(case, {"NumPy alone": _often(lambda r=rule: r(a, b))}, options.seconds / 4, INNER)  # type: ignore[misc]
            yield Row(case, row.unit, row.figures | alone.figures)
    if options.wants(case := "LayerNorm 512×768 from primitives, create_graph"):
        runs = {}
        for lib in libraries():
            record, differentiate = layer_norm(lib, (512, 768), create_graph=True)
            runs[lib.name] = lambda f=record, g=differentiate: g(f())  # type: ignore[misc]
        yield microseconds(case, runs, options.seconds)
