"""What is known about each normalization, under its name. One file registers one norm; all else finds it here.

A norm of one's own, which ``tn.compare``, ``tn.check`` and the command line then know:

    import tinygrad_norm as tn
    from tinygrad_norm.engine.primitives import mean          # axis is a tuple of axes from 0 on; a mean keeps them, as 1

    def pull(g, out, x, w):                                   # dx from g, the cotangent of y: operators and ops only
        q, g = 1 / mean(x**2, axis=(1,)), g * w
        return q * g - 2 * q**2 * x * mean(g * x, axis=(1,))  # need not be summed to x's shape: the engine does that

    node = tn.Op("power", "Power({0})", lambda x, w: w * x / mean(x**2, axis=(1,)),
                 (pull, lambda g, out, x, w: g * x / mean(x**2, axis=(1,))))

    def apply(inputs, backward="recorded", **options):        # every input by its name, every option by its own
        x, w = inputs["input"], inputs["weight"]
        return node(x, w) if backward == "analytic" else w * x / mean(x**2, axis=(1,))

    tn.register(tn.Norm("power", "Power", apply, lambda shape, **options: {"weight": shape[1:]}, min_ndim=2))
    print(tn.compare("power"))
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

import numpy as np

from ..engine import DTypeError, OptionError, Tensor, TinygradNormError, describe
from ..engine.shapes import flag


class UnknownNormError(TinygradNormError, KeyError):
    """No normalization of that name is registered."""

    def __str__(self) -> str:
        return str(self.args[0])


@dataclass(frozen=True)
class KnownMistake:
    """A wrong backward of one norm.

    gradients:  ``(inputs, dy, **options) -> the wrong gradients by input name``, over arrays, None where the mistake cannot be made
    """

    name: str
    sentence: str
    remedy: str
    gradients: Callable[..., Mapping[str, Any] | None]


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
    special:     further numbers worth asking with: ``(in words, redraw, option)``, where ``redraw`` is ``(generator, inputs by
                 name, **options) -> those that change``, None where there are none. Who takes no such option need not know it
    min_ndim:    the fewest axes an input may have
    analytic:    whether there is a hand-derived node; without one, ``apply`` is only called with ``backward="recorded"``
    projects:    its backward is an orthogonal projection (up to ε), so the routes' energies add up
    mistakes:    what people get wrong with this norm only; ``check`` reads what can go wrong with any off the record
    derived_with: how ``derive`` takes it where the defaults have no formula: options, and ``lemmas`` on its inputs
    as_derived:  ``(inputs, **options) -> options, arrays``: what was recorded, as ``derived_with`` has it: its options, and what
                 its letters are
    saved:       ``(inputs, **options) -> arrays by name``: what forward passes save of it that is not on the record
    choices:     ``(shape) -> values by option``: those it is often called with, besides the samples'
    detaches:    whether part of it is held constant on the way back, so that its gradient is not that of its forward
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
    special: tuple[tuple[str, Callable[..., Mapping[str, Any] | None], str | None], ...] = ()
    min_ndim: int = 1
    analytic: bool = True
    projects: bool = False
    mistakes: tuple[KnownMistake, ...] = ()
    derived_with: Mapping[str, Any] = field(default_factory=dict)
    by_design: Mapping[str, str] = field(default_factory=dict)
    as_derived: Callable[..., tuple[Mapping[str, Any], Mapping[str, Any]]] | None = None
    saved: Callable[..., Mapping[str, Any]] | None = None
    choices: Callable[[tuple[int, ...]], Mapping[str, tuple[Any, ...]]] | None = None
    detaches: bool = False

    def symbol(self, name: str) -> str:
        return self.symbols.get(name, name)

    def __reduce__(self) -> Any:
        """Pickled by its name, as functions are."""
        if _NORMS.get(self.name) is not self:
            raise DTypeError(
                f"pickle: {self.name} is no registered norm, and its functions have no names. Register it: tn.register(norm)."
            )
        return get, (self.name,)


def by_name(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """``apply`` for a function whose arguments are called as the norm's inputs are."""

    def apply(inputs: Mapping[str, Tensor], backward: str = "recorded", **options: Any) -> Tensor:
        return function(**inputs, backward=backward, **options)

    return apply


_NORMS: dict[str, Norm] = {}


def register(norm: Norm, replace: bool = False) -> Norm:
    """Make a norm known under its name; returns it.

    replace:  take the place of the norm that has the name already

    Raises ``DTypeError`` for what is no ``Norm`` or lacks a function, ``OptionError`` for no name and for one that is taken.
    """
    if not isinstance(norm, Norm):
        raise DTypeError(f"register: {describe(norm)} is no Norm. Make one: tn.Norm(name, title, apply, parameters).")
    if not isinstance(norm.name, str) or not norm.name:
        raise OptionError(
            f"register: the name {describe(norm.name)} of {describe(norm.title)}; it is a word, by which the norm is then found."
        )
    for what in ("apply", "parameters"):
        if not callable(getattr(norm, what)):
            raise DTypeError(f"register: {norm.name}'s {what} is {describe(getattr(norm, what))}; it is a function. See tn.Norm.")
    if not flag("register", "replace", replace) and _NORMS.get(norm.name, norm) is not norm:
        raise OptionError(
            f"register: there is a norm {norm.name!r} already, {_NORMS[norm.name].title}. Take another name, or replace=True."
        )
    _NORMS[norm.name] = norm
    return norm


@contextmanager
def forgetting(known: Collection[str] | None = None) -> Iterator[None]:
    """What is registered inside is forgotten at its end: for code of others that is run again and again.

    known:  only these are known at its beginning
    """
    before = dict(_NORMS)
    for name in () if known is None else before.keys() - set(known):
        del _NORMS[name]
    try:
        yield
    finally:
        _NORMS.clear()
        _NORMS.update(before)


def get(name: str | Norm, caller: str = "norm") -> Norm:
    """A registered norm by name; a ``Norm`` is returned as it is."""
    if isinstance(name, Norm):
        return name
    if not isinstance(name, str) or name not in _NORMS:
        near = _near(name) if isinstance(name, str) else None
        hint = f" Did you mean {near}?" if near else ""
        raise UnknownNormError(f"{caller}: there is no {describe(name)}.{hint} Known: {', '.join(names())}.")
    return _NORMS[name]


def _near(name: str) -> str | None:
    """The norm that was probably meant: the same letters, or nearly; by its title, too."""

    def letters(text: str) -> str:
        return "".join(c for c in text.lower() if c.isalnum()).rstrip("123d")

    called = {letters(title): n for n, norm in _NORMS.items() for title in (norm.title, n)}
    return next((called[near] for near in get_close_matches(letters(name), called, 1, 0.75)), None)


def names() -> list[str]:
    return sorted(_NORMS)
