"""A formula as a function of recorded tensors, so that ``equals`` can read what was typed."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..engine import TABLE, Tensor, tensor
from .formula import SIGNS, Evaluation, Formula
from .tree import Call, Indicator, Node


class OverTensors(Evaluation):
    """Trees over tensors that have one axis for each named one; NumPy's functions are recorded on them."""

    def __call__(self, node: Node) -> Any:
        if isinstance(node, Indicator):
            holds = SIGNS[node.sign](self(node.left), self(node.right))
            return TABLE["where"](holds, 1.0, 0.0) if isinstance(holds, Tensor) else float(holds)
        if isinstance(node, Call):
            function, arguments = TABLE[_NAMES.get(node.function, node.function)], list(map(self, node.arguments))
            if not any(isinstance(a, Tensor) for a in arguments):
                return super().__call__(node)
            return (
                function(self._full(node.arguments[0], node.axes), axis=self._places(node.axes))
                if node.axes
                else function(*arguments)
            )
        return super().__call__(node)

    def _full(self, node: Node, axes: tuple[str, ...]) -> Any:
        found = self(node)
        if not isinstance(found, Tensor):
            return super()._full(node, axes)
        shape = tuple(self.sizes[a] if a in axes else found.shape[k] for k, a in enumerate(self.axes))
        return found if found.shape == shape else np.broadcast_to(found, shape)


_NAMES = {"max": "maximum", "min": "minimum"}


Held = Callable[[Mapping[str, Tensor]], Mapping[str, Any]]


def function_of(formula: Formula, parameters: Mapping[str, str], held: Held = lambda _: {}) -> Callable[..., Tensor]:
    """The formula as a function of tensors.

    parameters:  its parameters by the names of letters
    held:        constants by the names of letters, for the tensors that the function is called with
    """
    layouts = dict(formula.layouts)
    wanted = {a.name: parameters[a.name] for a in formula.inputs if a.name in parameters}
    wanted.setdefault(formula.of, parameters[formula.of])

    def function(**tensors: Any) -> Any:
        given = {name: tensors[p] for name, p in wanted.items()}
        constants = held(tensors)
        given |= {
            a.name: tensor(constants[a.name], requires_grad=True, name=a.name)
            for a in formula.inputs
            if a.name in constants and a.name in layouts
        }
        sizes = formula.sizes_in(given)
        known: dict[str, Any] = dict(formula.numbers)
        for name, t in given.items():
            flat = [a for dim in layouts[name] for a in dim]
            t = t.reshape([sizes[a] for a in flat])
            t = np.transpose(t, sorted(range(len(flat)), key=lambda k: formula.axes.index(flat[k]))) if len(flat) > 1 else t
            known[name] = t.reshape([sizes[a] if a in flat else 1 for a in formula.axes])
        at = OverTensors(known, sizes, formula.axes)
        for line in formula.lines:
            known[line.letter.name] = at(line.expression)
        found = at(formula.result)
        own = [a for dim in layouts[formula.of] for a in dim]
        found = np.broadcast_to(found, [sizes[a] if a in own else 1 for a in formula.axes])
        turn = [formula.axes.index(a) for a in own]
        found = np.transpose(found, turn + [k for k in range(len(formula.axes)) if k not in turn])
        return found.reshape([int(np.prod([sizes[a] for a in dim], dtype=int)) for dim in layouts[formula.of]])

    function.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [inspect.Parameter(p, inspect.Parameter.KEYWORD_ONLY) for p in wanted.values()]
    )
    return function
