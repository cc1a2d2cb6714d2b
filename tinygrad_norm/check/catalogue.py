"""The known mistakes of a norm as backwards that anybody's test can call: the right one, and each wrong one by its name."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..engine import ShapeError, describe, tensor
from ..engine.arrays import Array
from ..graph import Graph
from ..norms import InputError, Norm, draw, is_a_choice
from .alterations import Backward, Mistake
from .binding import is_cotangent
from .mistakes import library, own_mistakes

_ALSO = {"input": ("x",), "weight": ("w", "gamma"), "bias": ("b", "beta")}
_APART = 1e-9  # of the largest entry: below, a mistake is none on these numbers


@dataclass(frozen=True)
class Known:
    """A known mistake: its name, what is done wrong, and which gradients it makes wrong."""

    name: str
    sentence: str
    gradients: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{', '.join(self.gradients)}: {self.sentence}" if self.gradients else self.sentence


class Problem:
    """A norm at some numbers: its right gradients, and those of every known mistake that can be made there."""

    def __init__(self, norm: Norm, settings: Mapping[str, Any], values: Mapping[str, Array], dy: Array) -> None:
        inputs = {
            n: tensor(v, name=n)
            if is_a_choice(norm, n, v)
            else tensor(v.astype(np.float64), requires_grad=True, name=norm.symbol(n))
            for n, v in values.items()
        }
        y = norm.apply(inputs, backward="recorded", **settings)
        if np.shape(dy) != y.shape:
            raise ShapeError(f"strength: cotangent of shape {np.shape(dy)} for output {describe(y)}; the shapes must be equal.")
        self.norm, self.values, self.dy = norm, values, np.asarray(dy, np.float64)
        graph, leaves = Graph(y), {n: t for n, t in inputs.items() if t.requires_grad}
        self._backward = Backward(graph, leaves, self.dy)
        found = [*library(graph, leaves), *own_mistakes(norm, inputs, self.dy, settings)]
        self.mistakes: dict[str, Mistake] = {m.name: m for m in found}
        self.truth = self._backward.gradients()
        self._wrong: dict[str, dict[str, Array]] = {}

    def gradients(self, name: str | None) -> dict[str, Array]:
        """With the mistake of that name; the right ones for None, and where that mistake cannot be made."""
        if name is None or name not in self.mistakes:
            return self.truth
        if name not in self._wrong:
            with np.errstate(all="ignore"):
                self._wrong[name] = self._backward.gradients(self.mistakes[name])
        return self._wrong[name]

    def apart(self, name: str) -> list[str]:
        """The inputs whose gradients that mistake makes wrong here, by more than rounding."""
        wrong = self.gradients(name)
        return [n for n, right in self.truth.items() if not close(wrong[n], right, _APART, _APART * _largest(right))]


def close(a: Array, b: Array, rtol: float, atol: float) -> bool:
    """As ``numpy.allclose``, but shapes count."""
    with np.errstate(all="ignore"):
        return a.shape == b.shape and bool(np.all(np.abs(a - b) <= atol + rtol * np.abs(b)))


def _largest(a: Array) -> float:
    return float(np.max(np.abs(a), initial=0))


def drawn(norm: Norm, settings: Mapping[str, Any], shape: Sequence[int], rng: np.random.Generator) -> dict[str, Array]:
    """Random inputs by name; every row with a size and a mean of its own."""
    values = {"input": draw(norm, "input", rng, tuple(shape))}
    x = values["input"]
    if "input" not in norm.draw and x.ndim > 1:
        rows = (len(x),) + (1,) * (x.ndim - 1)
        values["input"] = x * 10 ** rng.uniform(-1, 0.3, rows) + rng.normal(size=rows)
    return values | {n: draw(norm, n, rng, s) for n, s in norm.parameters(x.shape, **settings).items()}


def catalogue(norm: Norm, settings: Mapping[str, Any]) -> dict[str, Known]:
    """Every known mistake that some numbers tell from the right formula."""
    found: dict[str, tuple[str, set[str]]] = {}
    for seed in range(3):
        rng = np.random.default_rng(seed)
        values = drawn(norm, settings, norm.shape, rng)
        y = norm.apply({n: tensor(v, name=n) for n, v in values.items()}, backward="recorded", **settings)
        problem = Problem(norm, settings, values, rng.normal(size=y.shape))
        for name, m in problem.mistakes.items():
            if wrong := problem.apart(name):
                found.setdefault(name, (m.sentence, set()))[1].update(wrong)
    return {n: Known(n, s, tuple(f"d{norm.symbol(i)}" for i in problem.truth if i in g)) for n, (s, g) in found.items()}


class Handed:
    """A backward as a test gets it: ``backward(dy, x, weight, bias, eps=1e-5) -> (dx, dweight, dbias)``, arrays in, arrays out.

    The norm's inputs follow the cotangent in their order, or come by name (``x``, ``gamma``, ``dout``, … are understood); its options
    come by name, ε also in the next place. A weight or bias that is left out is ones or zeros, and has no gradient in the answer.
    Gradients have the dtype of x, and are PyTorch's tensors where x is one; a single one is no tuple.
    """

    def __init__(self, norm: Norm, settings: Mapping[str, Any], mistake: str | None) -> None:
        self.norm, self.settings, self.mistake = norm, settings, mistake
        self.problems: list[Problem] = []
        self.__name__ = self.__qualname__ = f"{norm.name}_backward"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        dy, given, settings = self._bound(args, kwargs)
        values = {n: np.asarray(v) for n, v in given.items()}
        x = values["input"]
        if x.dtype.kind not in "fiub" or x.ndim < self.norm.min_ndim:
            raise InputError(
                f"{self.__name__}: x {describe(x)}; {self.norm.title} takes numbers of {self.norm.min_ndim} axes or more."
            )
        for n, shape in self.norm.parameters(x.shape, **settings).items():
            if n not in values:
                if n not in ("weight", "bias"):
                    raise InputError(f"{self.__name__}: {n} is missing; it takes {self._signature()}.")
                values[n] = np.ones(shape) if n == "weight" else np.zeros(shape)
            elif values[n].shape != tuple(shape):
                raise ShapeError(
                    f"{self.__name__}: {n} has shape {values[n].shape}; for x of shape {x.shape} it must be {shape}."
                )
        problem = Problem(
            self.norm, settings, {n: values[n] for n in ("input", *self.norm.parameters(x.shape, **settings))}, np.asarray(dy)
        )
        self.problems = [*self.problems[-1:], problem]
        gradients = problem.gradients(self.mistake)
        kind = x.dtype if x.dtype.kind == "f" else np.dtype(np.float64)
        answer = [self._like(given["input"], gradients[n].astype(kind)) for n in problem.truth if n in given]
        return answer[0] if len(answer) == 1 else tuple(answer)

    def _bound(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any], dict[str, Any]]:
        names = ["dy", "input", *self.norm.parameters(self.norm.shape, **self.settings)]
        called = {a: n for n in names for a in (n, *_ALSO.get(n, ()), *((self.norm.symbol(n),) if n != "dy" else ()))}
        places = [*names, *(["eps"] if "eps" in self.norm.options else [])]
        if len(args) > len(places):
            raise InputError(f"{self.__name__}: {len(args)} arguments; it takes {self._signature()}.")
        found = dict(zip(places, args))
        for key, value in kwargs.items():
            name = called.get(key, "dy" if is_cotangent(key) else key)
            if (name not in names and name not in self.norm.options) or name in found:
                raise InputError(f"{self.__name__}: {key} is unknown, or given twice; it takes {self._signature()}.")
            found[name] = value
        if missing := [n for n in ("dy", "input") if found.get(n) is None]:
            raise InputError(f"{self.__name__}: {' and '.join(missing)} missing; it takes {self._signature()}.")
        settings = dict(self.settings) | {n: found.pop(n) for n in [*found] if n in self.norm.options}
        dy = found.pop("dy")
        return dy, {n: found[n] for n in names if found.get(n) is not None}, settings

    def _signature(self) -> str:
        inputs = ", ".join(["dy", "input", *self.norm.parameters(self.norm.shape, **self.settings)])
        return f"({inputs}), and by name {', '.join(self.norm.options)}" if self.norm.options else f"({inputs})"

    @staticmethod
    def _like(x: Any, gradient: Array) -> Any:
        torch = sys.modules.get("torch")
        return torch.from_numpy(gradient) if torch is not None and isinstance(x, torch.Tensor) else gradient


Test = Callable[[Handed], Any]
