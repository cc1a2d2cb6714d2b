"""A derived NumPy function, run on arrays: with NumPy in its namespace and nothing of this package."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tinygrad_norm.derive.source import identifier


class _NumpyOnly(dict):  # type: ignore[type-arg]
    """Builtins whose ``import`` knows two modules."""

    def __init__(self) -> None:
        super().__init__(vars(sys.modules["builtins"]))
        real = self["__import__"]

        def only(name: str, *rest: Any) -> Any:
            assert name.split(".")[0] in ("numpy", "math"), f"the source imports {name}"
            return real(name, *rest)

        self["__import__"] = only


def function_of(source: str) -> Callable[..., Any]:
    """The one function that the source defines."""
    space: dict[str, Any] = {"__builtins__": _NumpyOnly()}
    exec(source, space)
    (made,) = [v for v in space.values() if inspect.isfunction(v)]
    return made


def run(d: Any, arrays: Mapping[str, Any] | None = None) -> Any:
    """The derivation's function on these arrays by parameter; by default on the record's."""
    f, found = function_of(d.numpy_source()), dict(arrays or {})
    if not arrays:
        known: dict[str, Any] = {
            identifier(a.name, {}): t.data for t, s in d.letters.of.items() for a in [s.expr] if a in d.letters.leaves
        }
        taken: dict[Any, str] = {"": "dy"}
        for n, t in d.record.inputs.items():
            taken[n] = identifier("x" if n == "input" else n, taken)
            known[taken[n]] = t.data
        known["dy"] = d.record.dy.data
        found = {
            p.name: known[p.name] for p in inspect.signature(f).parameters.values() if p.name in known and p.default is p.empty
        }
    return f(**found)


def relative(got: Any, expected: Any) -> float:
    """The largest difference, of the largest entry expected; shapes must be the same."""
    assert np.shape(got) == np.shape(expected), (np.shape(got), np.shape(expected))
    return float(np.max(np.abs(got - expected), initial=0) / max(np.max(np.abs(expected), initial=0), 1e-300))
