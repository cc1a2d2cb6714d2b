"""What is known about each normalization, under its name. One file registers one norm; all else finds it here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..engine import Tensor, TinygradNormError


class UnknownNormError(TinygradNormError, KeyError):
    """No normalization of that name is registered."""

    def __str__(self) -> str:
        return str(self.args[0])


@dataclass(frozen=True)
class Norm:
    """One normalization. Four things are needed, the rest has defaults.

    name:        as in ``tn.functional``
    title:       as papers write it
    apply:       ``(inputs by name, backward, **options) -> y``: the recorded form or the analytic node
    parameters:  ``(shape of the input, **options) -> shapes of the other inputs by name``
    symbols:     what pictures and tables call each input
    formula, backward_formula, references: for people
    options:     keyword options and their defaults
    shape:       a small input to show it on
    samples:     further cases worth testing, each a mapping of options and, if it likes, a ``shape``
    draw:        ``(generator, shape) -> array`` for inputs that are not just any real numbers (a variance is
                 positive; a class is an integer, and an integer input has no gradient)
    min_ndim:    the fewest axes an input may have
    projects:    its backward is an orthogonal projection (up to ε), so the routes' energies add up
    by_design:   for each input whose published backward is not the gradient of the forward: what it is instead
    """

    name: str
    title: str
    apply: Callable[..., Tensor]
    parameters: Callable[..., Mapping[str, tuple[int, ...]]]
    symbols: Mapping[str, str] = field(default_factory=lambda: {"input": "x", "weight": "γ", "bias": "β"})
    formula: str = ""
    backward_formula: str = ""
    references: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    shape: tuple[int, ...] = (4, 8)
    samples: tuple[Mapping[str, Any], ...] = ()
    draw: Mapping[str, Callable[[np.random.Generator, tuple[int, ...]], Any]] = field(default_factory=dict)
    min_ndim: int = 1
    projects: bool = False
    by_design: Mapping[str, str] = field(default_factory=dict)

    def symbol(self, name: str) -> str:
        return self.symbols.get(name, name)


def by_name(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """``apply`` for a function whose arguments are called as the norm's inputs are."""

    def apply(inputs: Mapping[str, Tensor], backward: str = "recorded", **options: Any) -> Tensor:
        return function(**inputs, backward=backward, **options)

    return apply


_NORMS: dict[str, Norm] = {}


def register(norm: Norm) -> Norm:
    _NORMS[norm.name] = norm
    return norm


def get(name: str | Norm) -> Norm:
    """A registered norm by name; a ``Norm`` is returned as it is."""
    if isinstance(name, Norm):
        return name
    if name not in _NORMS:
        raise UnknownNormError(f"norm: there is no {name!r}. Known: {', '.join(names())}.")
    return _NORMS[name]


def names() -> list[str]:
    return sorted(_NORMS)
