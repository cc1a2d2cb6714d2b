"""A recorded call read as a reduction, and what else it may have been meant to sum over."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np

from .change import Change, Make
from .recorded import Step


def _norm(a: Any, axis: Any, keepdims: bool) -> Any:
    return np.sqrt(np.sum(np.square(a), axis=axis, keepdims=keepdims))


_REDUCE: dict[str, Callable[..., Any]] = {
    "norm": _norm,
    "sum": np.sum,
    "mean": np.mean,
    "var": np.var,
    "std": np.std,
    "max": np.max,
}
_SAID = {
    "sum": "Σ",
    "mean": "mean",
    "var": "the variance",
    "std": "the standard deviation",
    "max": "the largest",
    "norm": "the length",
}
_FUNCTIONS: dict[Any, str] = {
    **{getattr(np, n): n for n in _REDUCE if n != "norm"},
    **{getattr(np.ndarray, n): n for n in _REDUCE if n != "norm"},
    np.linalg.norm: "norm",
}
_ORDER = {n: ("axis", "dtype", "out", *(("ddof",) if n in ("var", "std") else ()), "keepdims") for n in _REDUCE}
_ORDER["max"] = ("axis", "out", "keepdims")
_ORDER["norm"] = ("ord", "axis", "keepdims")


@dataclass(frozen=True)
class Reduction:
    """A sum, a mean, a variance, … over axes counted from the front, as it was called."""

    kind: str
    axes: tuple[int, ...]
    keepdims: bool
    ddof: float
    ndim: int

    def __call__(self, a: Any) -> Any:
        more = {"ddof": self.ddof} if self.kind in ("var", "std") else {}
        return _REDUCE[self.kind](a, axis=self.axes, keepdims=self.keepdims, **more)

    def instead(self) -> Make:
        return lambda world, step, values: self(step.arguments(values)[0][0])


def reduction_of(step: Step) -> Reduction | None:
    """A call as a reduction over axes, if it is one."""
    added = step.function == np.add.reduce
    try:
        kind = "sum" if added else _FUNCTIONS.get(step.function)
    except TypeError:
        return None
    if kind is None or not step.args or type(step.args[0]) is not Step:
        return None
    given = {**dict(zip(_ORDER[kind], step.args[1:])), **step.kwargs}
    if given.get("ord") not in (None, 2):
        return None
    axis = given.get("axis", 0 if added else None)
    ndim = np.ndim(step.args[0].value)
    try:
        axes = tuple(range(ndim)) if axis is None else tuple(int(a) % ndim for a in np.atleast_1d(axis))
        return Reduction(kind, tuple(sorted(axes)), bool(given.get("keepdims", False)), float(given.get("ddof", 0)), ndim)
    except (TypeError, ValueError, ZeroDivisionError):
        return None


def of_reductions(now: Reduction) -> Iterator[Change]:
    """A mean for a sum, other axes, other divisors of a variance."""
    kinds = {"sum": ("mean",), "mean": ("sum",)}.get(now.kind, ())
    for kind in kinds:
        yield Change(1.0, f"{_SAID[now.kind]} where {_SAID[kind]} belongs", replace(now, kind=kind).instead())
    if now.kind in ("var", "std"):
        one, other = ("N", "N − 1") if not now.ddof else ("N − 1", "N")
        yield Change(1.0, f"divided by {one} where {other} belongs", replace(now, ddof=float(not now.ddof)).instead())
    if now.kind == "std":
        yield Change(1.2, "the standard deviation where the variance belongs", replace(now, kind="var").instead())
    for kind in (now.kind, *kinds):
        for axes in every_axes(now.ndim):
            for kept in (now.keepdims, not now.keepdims):
                if axes == now.axes and (kept == now.keepdims or kind != now.kind):
                    continue
                words = [said_axes(now.axes, axes)] if axes != now.axes else []
                words += [f"keepdims={kept} belongs here"] if kept != now.keepdims else []
                words = [f"{_SAID[now.kind]} where {_SAID[kind]} belongs", *words] if kind != now.kind else words
                cost = 1.1 + 0.3 * (kind != now.kind) + 0.2 * (kept != now.keepdims and axes != now.axes)
                yield Change(cost, ", ".join(words), replace(now, kind=kind, axes=axes, keepdims=kept).instead())


def every_axes(ndim: int) -> list[tuple[int, ...]]:
    return [a for n in range(1, ndim + 1) for a in combinations(range(ndim), n)]


def said_axes(now: Sequence[int], right: Sequence[int]) -> str:
    return f"over {_axes(now)} where {_axes(right)} belong{'s' * (len(right) == 1)}"


def _axes(axes: Sequence[int]) -> str:
    return f"ax{'i' if len(axes) == 1 else 'e'}s {', '.join(map(str, axes))}"
