"""A backward pass with a mistake in it: one rule altered, or one value that the rules read.

The library of known mistakes (``mistakes``) is written in these.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..engine import Reading, Tensor, pull_back
from ..engine.arrays import Array
from ..graph import Graph

Edit = Callable[["Altered", Tensor, int, Any, Any, tuple[Any, ...]], Any]
Edge = tuple[Tensor, int]


@dataclass(frozen=True, eq=False)
class Mistake:
    """One known mistake.

    name:      short: ``the σ² term dropped``
    sentence:  what was done, and by how much
    remedy:    what to look at
    edits:     rules to alter, by edge
    values:    values to alter, by node: ``value of that node and of its inputs -> value``
    finish:    what is done to the gradients at the end, by the input's name
    node:      the node it is about, for pictures
    """

    name: str
    sentence: str
    remedy: str
    edits: Mapping[Edge, Edit] = field(default_factory=dict)
    values: Mapping[Tensor, Callable[..., Any]] = field(default_factory=dict)
    finish: Callable[[dict[str, Array]], dict[str, Array]] | None = None
    node: Tensor | None = None


class Altered(Reading):
    """The rules over arrays, some of them altered, some of the values they read altered."""

    def __init__(self, values: Mapping[Tensor, Any], edits: Mapping[Edge, Edit]) -> None:
        super().__init__(lambda t: values[t])
        self.edits = edits

    def pull(self, node: Tensor, position: int, g: Any, out: Any, operands: tuple[Any, ...]) -> Any:
        edit = self.edits.get((node, position))
        if edit is None:
            return super().pull(node, position, g, out, operands)
        return edit(self, node, position, g, out, operands)

    def right(self, node: Tensor, position: int, g: Any, out: Any, operands: tuple[Any, ...]) -> Any:
        return super().pull(node, position, g, out, operands)


class Backward:
    """The gradients of a record for one cotangent, with or without mistakes; in double precision."""

    def __init__(self, graph: Graph, leaves: Mapping[str, Tensor], dy: Array) -> None:
        self.graph, self.leaves, self.dy = graph, leaves, dy
        self._plain = {t: t._data for t in graph.tensors}

    def gradients(self, *mistakes: Mistake) -> dict[str, Array]:
        """By the input's name; of the input's shape, unless the mistake is one of shape."""
        values = self.values(*(m for m in mistakes if m.values))
        edits = {edge: edit for m in mistakes for edge, edit in m.edits.items()}
        with np.errstate(all="ignore"):
            found = pull_back({self.graph.output: self.dy}, list(self.leaves.values()), Altered(values, edits))
        gradients = {n: np.asarray(found[t]) if t in found else np.zeros(t.shape) for n, t in self.leaves.items()}
        for n, t in self.leaves.items():
            if gradients[n].size < t.size:
                gradients[n] = np.broadcast_to(gradients[n], t.shape)
        for m in mistakes:
            gradients = m.finish(gradients) if m.finish is not None else gradients
        return gradients

    def values(self, *mistakes: Mistake) -> Mapping[Tensor, Any]:
        """The record's values, what is altered and all that depends on it computed again."""
        if not mistakes:
            return self._plain
        values, changed = dict(self._plain), set()
        with np.errstate(all="ignore"):
            for t in self.graph.tensors:
                operands = [values[x] if isinstance(x, Tensor) else x for x in t.inputs]
                if any(isinstance(x, Tensor) and x in changed for x in t.inputs) and t.op is not None:
                    values[t] = t.op.forward(*operands, **t.params)
                    changed.add(t)
                for m in mistakes:
                    if t in m.values:
                        values[t] = np.asarray(m.values[t](values[t], *operands))
                        changed.add(t)
        return values


# Alterations of a rule --------------------------------------------------------------------------------------------


def scaled(factor: float) -> Edit:
    def edit(reading: Altered, *at: Any) -> Any:
        return reading.right(*at) * factor

    return edit


def instead(rule: Callable[..., Any]) -> Edit:
    """Another rule: ``(g, out, *operands) -> share``."""

    def edit(reading: Altered, node: Tensor, position: int, g: Any, out: Any, operands: tuple[Any, ...]) -> Any:
        g = np.broadcast_to(g, np.shape(out))
        return reading.fit(np.asarray(rule(g, out, *operands)), operands[position])

    return edit


def along_another_axis(axis: tuple[int, ...], scale: Tensor | None = None) -> Edit:
    """The cotangent of a mean averaged over other axes than the mean was taken over; ``scale``, a factor taken out first."""

    def edit(reading: Altered, node: Tensor, position: int, g: Any, out: Any, operands: tuple[Any, ...]) -> Any:
        r = 1.0 if scale is None else reading.value(scale)
        return np.mean(g / r, axis=axis, keepdims=True) * r * np.ones(operands[0].shape)

    return edit


def variance_along_another_axis(axis: tuple[int, ...]) -> Edit:
    """What x̂ = c·rstd gives to c, with the variance's −rstd·x̂·mean(g·x̂) averaged over other axes."""

    def edit(reading: Altered, node: Tensor, position: int, g: Any, out: Any, operands: tuple[Any, ...]) -> Any:
        g, rstd = np.broadcast_to(g, np.shape(out)), operands[1 - position]
        return g * rstd - rstd * out * np.mean(g * out, axis=axis, keepdims=True)

    return edit


def unsummed(reading: Altered, node: Tensor, position: int, g: Any, out: Any, operands: tuple[Any, ...]) -> Any:
    g = np.broadcast_to(g, np.shape(out))
    return np.asarray(node.op.pullbacks[position](g, out, *operands, **node.params))  # type: ignore[union-attr,misc]


def mean_along_another_axis(axis: tuple[int, ...]) -> Edit:
    """The same, with the mean's −rstd·mean(g) averaged over other axes."""

    def edit(reading: Altered, node: Tensor, position: int, g: Any, out: Any, operands: tuple[Any, ...]) -> Any:
        g, rstd = np.broadcast_to(g, np.shape(out)), operands[1 - position]
        return rstd * (g - np.mean(g, axis=axis, keepdims=True))

    return edit


def with_value_of(u: Tensor) -> Edit:
    def edit(reading: Altered, node: Tensor, position: int, g: Any, out: Any, operands: tuple[Any, ...]) -> Any:
        return reading.fit(np.broadcast_to(g, np.shape(out)) * reading.value(u), operands[position])

    return edit


# Alterations of the gradients at the end --------------------------------------------------------------------------


def times(factor: float, gradients: dict[str, Array]) -> dict[str, Array]:
    return {n: g * factor for n, g in gradients.items()}


def times_in(name: str, factor: Array, shape: tuple[int, ...], gradients: dict[str, Array]) -> dict[str, Array]:
    g = gradients[name]
    return {**gradients, name: (g.reshape(shape) * factor).reshape(g.shape)}


def replaced(wrong: Mapping[str, Array], gradients: dict[str, Array]) -> dict[str, Array]:
    return {**gradients, **wrong}
