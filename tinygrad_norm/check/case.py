"""What is true of one probe: the record, its gradients, what rounding may do to them, and what known mistakes would give."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from ..engine import Tensor
from ..engine.arrays import Array
from ..graph import Graph
from ..norms import Norm
from .allowance import rounding_of
from .alterations import Backward, Mistake
from .mistakes import library, told_apart

BFLOAT16 = "bfloat16"
ALIAS = 1e-9  # relative: below, two formulas are one on these numbers


def unit_roundoff(dtype: Any) -> float:
    """Half the distance from 1 to the next number; NumPy has no bfloat16, which has 8 bits."""
    return 2.0**-8 if dtype == BFLOAT16 else float(np.finfo(dtype).eps) / 2


@dataclass(eq=False)
class Case:
    """A record and a cotangent in double precision: the truth, the library, the routes, and what rounding may do.

    norm, options:  what was recorded, where it is a registered one; ``forward``: where it is somebody's own
    axes:           their inputs' named axes, where they are known
    own:            what the norm's own file knows people to get wrong, on these numbers
    formulas:       derived ones, by input, once they were needed
    suspects:       statistics that are others in a gradient that was explained: in words, the letter, its numbers, what is computed
                    from it again
    """

    graph: Graph
    leaves: Mapping[str, Tensor]
    dy: Array
    eps: float = 0.0
    own: Sequence[Mistake] = ()
    inputs: Mapping[str, Tensor] = field(default_factory=dict)
    norm: Norm | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    formulas: dict[str, Any] = field(default_factory=dict)
    forward: Callable[..., Tensor] | None = None
    axes: Mapping[str, tuple[str, ...]] | None = None
    suspects: list[tuple[str, str, Array, str]] = field(default_factory=list)
    _found: dict[int, dict[str, Array]] = field(default_factory=dict)

    @cached_property
    def backward(self) -> Backward:
        return Backward(self.graph, self.leaves, self.dy)

    @cached_property
    def truth(self) -> dict[str, Array]:
        return self.backward.gradients()

    @cached_property
    def library(self) -> list[Mistake]:
        return [*library(self.graph, self.leaves), *self.own]

    @cached_property
    def rounding(self) -> dict[str, float]:
        """Per unit roundoff, for each gradient."""
        return rounding_of(self.graph, self.leaves, self.dy, self.eps)

    def gate(self, name: str, dtype: Any, like: Array | None = None) -> float:
        """How far rounding in ``dtype`` may take this gradient (or a mistaken one, ``like``) from its formula."""
        unit = unit_roundoff(dtype)
        truth = float(np.max(np.abs(self.truth[name]), initial=0))
        larger = 1.0 if like is None or not truth else max(1.0, float(np.max(np.abs(like), initial=0)) / truth)
        return self.rounding[name] * unit * larger

    def mistaken(self, mistake: Mistake) -> dict[str, Array]:
        if id(mistake) not in self._found:
            self._found[id(mistake)] = self.backward.gradients(mistake)
        return self._found[id(mistake)]

    def passing(self, names: Sequence[str], dtype: Any) -> list[Mistake]:
        """The known mistakes that this probe would not notice in any of these gradients."""
        return [
            m for m in self.library if not any(told_apart(self.mistaken(m)[n], self.truth[n], self.gate(n, dtype)) for n in names)
        ]

    def routes(self, name: str) -> Any:
        return self.graph.routes(self.leaves[name], self.dy, limit=256)

    @cached_property
    def squeezed(self) -> list[tuple[str, float]]:
        """Statistics that are smaller than the ε beside them: their label, and the share of their entries."""
        found = []
        for node in self.graph.nodes:
            t = node.tensor
            if t.op is not None and t.op.name == "add" and len(t.inputs) == 2 and not isinstance(t.inputs[1], Tensor):
                v, eps = t.inputs
                if isinstance(v, Tensor) and self.graph.node(v).role == "statistic" and eps > 0:
                    share = float(np.mean(v.numpy() < eps))
                    found += [(self.graph.node(v).label, share)] if share else []
        return found

    @cached_property
    def besides(self) -> dict[str, Array]:
        """What a forward pass saves that is not on the record: the softmax of logits, running statistics."""
        if self.norm is None or self.norm.saved is None:
            return {}
        return dict(self.norm.saved({n: t.numpy() for n, t in self.inputs.items()}, **self.options))

    # On one gradient

    def are_one(self, name: str, a: Mistake, b: Mistake) -> bool:
        """Whether no number tells the one mistake from the other."""
        u, v = self.mistaken(a)[name], self.mistaken(b)[name]
        return u.shape == v.shape and bool(np.max(np.abs(u - v), initial=0) <= ALIAS * np.max(np.abs(v), initial=0))

    def shows(self, name: str, mistake: Mistake, dtype: Any) -> bool:
        """Whether it gives finite numbers that are not the right ones."""
        wrong = self.mistaken(mistake)[name]
        return bool(np.all(np.isfinite(wrong))) and told_apart(wrong, self.truth[name], self.gate(name, dtype))


def under(root: Tensor) -> tuple[Array, float | None]:
    """What the root is taken of without its ε, and that, if there is one."""
    (v,) = root.inputs
    assert isinstance(v, Tensor)
    if v.op is not None and v.op.name == "add":
        numbers = [u for u in v.inputs if not isinstance(u, Tensor)]
        if len(numbers) == 1 and np.size(numbers[0]) == 1 and 0 <= float(np.max(numbers[0])) < 2:
            inner = next(u for u in v.inputs if isinstance(u, Tensor))
            return inner._data, float(np.max(numbers[0]))
    return v._data, None
