"""What is known about each normalization, under its name. One file registers one norm; all else finds it here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ..engine import Tensor, TinygradNormError


class UnknownNormError(TinygradNormError, KeyError):
    """No normalization of that name is registered."""

    def __str__(self) -> str:
        return str(self.args[0])


@dataclass(frozen=True)
class Norm:
    """One normalization.

    name:        as in ``tn.functional``
    title:       as papers write it
    apply:       ``(inputs by name, backward, **options) -> y``: the recorded form or the analytic node
    parameters:  shapes of the other inputs, by name, for an input of a given shape
    symbols:     what pictures and tables call each input
    options:     keyword options and their defaults
    min_ndim:    the fewest axes an input may have
    projects:    its backward is an orthogonal projection (up to ε), so the routes' energies add up
    formula, backward_formula, references: for people
    """

    name: str
    title: str
    apply: Callable[..., Tensor]
    parameters: Callable[[tuple[int, ...]], dict[str, tuple[int, ...]]]
    symbols: Mapping[str, str]
    formula: str
    backward_formula: str
    references: tuple[str, ...]
    options: Mapping[str, float] = field(default_factory=dict)
    min_ndim: int = 1
    projects: bool = False


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
