"""What is wrong with a formula, as a formula: ``yours − dx = rstd·mean(g)``.

Looked for in numbers, as a few of the gradient's own terms, or one that is nearly such a term; shown by normal form.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import sympy as sp

from ..engine.arrays import Array
from .algebra import multiplied_out
from .errors import NotSymbolicError
from .symbols import Letter, Mean, Sigma

if TYPE_CHECKING:
    from .derivation import Derivation

LONGEST = 100  # characters; a longer formula tells less than the numbers
_CLOSE = 1e-8


def shortest(d: Derivation, difference: Array, is_it: Callable[[Any], bool]) -> Any | None:
    """The difference (in the common layout, as numbers) as a short formula in the derivation's letters, or None.

    is_it:  whether a formula is the difference, for all numbers
    """
    own = [t for t in sp.Add.make_args(multiplied_out(d.expr)) if t != 0]
    scale = float(np.max(np.abs(difference), initial=0))
    if not own or not scale or not np.isfinite(scale):
        return None
    tried = 0
    value = cache(lambda term: _value(d, term, difference.shape))
    for terms in _candidates(d, own):
        numbers = _fitted([value(t) for t in terms], difference.ravel(), scale)
        if numbers is None:
            continue
        for made in dict.fromkeys(_combination(d, terms, numbers, sizes) for sizes in (False, True)):
            if made is not None and made != 0:
                tried += 1
                if is_it(made):
                    return made
                if tried > 4:
                    return None
    return None


def _candidates(d: Derivation, own: Sequence[Any]) -> Iterator[list[Any]]:
    """The gradient's terms; one that is nearly a term; the terms and one such."""
    yield list(own)
    near = list(dict.fromkeys(v for t in own for v in _variants(d, t)))
    yield from ([v] for v in near)
    yield from ([*own, v] for v in near)


def _variants(d: Derivation, term: Any) -> Iterator[Any]:
    """One factor fewer, one more or of another power; a sum over another axis; a letter in a sum left out."""
    factors = sp.Mul.make_args(term.as_coeff_Mul()[1])
    statistics = [a for a in d.letters.definitions if len(a.axes) < len(d.letters.order) and not a.axes - set(d.letters.order)]
    for f in factors:
        if not f.is_number:
            yield term / f
            yield term * f
    for a in statistics:
        yield term * a
        yield term / a
    for s in term.atoms(Sigma, Mean):
        for axis in d.letters.order:
            if axis not in s.args[1:]:
                yield term.xreplace({s: s.func(s.args[0], axis)})
        inner = sp.Mul.make_args(s.args[0])
        for f in inner if len(inner) > 1 else ():
            yield term.xreplace({s: s.func(s.args[0] / f, *s.args[1:])})


def _value(d: Derivation, term: Any, shape: tuple[int, ...]) -> Array | None:
    """A term in numbers, flat; None where it has none, is not finite, or is zero everywhere."""
    try:
        array: Array = np.broadcast_to(d.letters.number(term), shape).ravel()
    except (NotSymbolicError, ValueError):
        return None
    return array if np.all(np.isfinite(array)) and np.any(array) else None


def _fitted(arrays: Sequence[Array | None], difference: Array, scale: float) -> Array | None:
    """The numbers with which these add up to the difference."""
    if any(a is None for a in arrays):
        return None
    basis = np.stack([a for a in arrays if a is not None], axis=1)
    largest = np.max(np.abs(basis), axis=0)
    numbers, *_ = np.linalg.lstsq(basis / largest, difference, rcond=None)
    if np.max(np.abs(basis / largest @ numbers - difference)) > _CLOSE * scale:
        return None
    fitted: Array = np.where(np.abs(numbers) <= _CLOSE * scale, 0.0, numbers / largest)
    return fitted


def _combination(d: Derivation, terms: Sequence[Any], numbers: Array, by_size: bool) -> Any | None:
    """The terms with the numbers that make them the difference, where these are simple."""
    found = sp.Integer(0)
    for t, c in zip(terms, numbers):
        exact = _simple(d, float(c), by_size) if c else sp.Integer(0)
        if exact is None:
            return None
        found += exact * t
    return found


def _simple(d: Derivation, c: float, by_size: bool) -> Any | None:
    """A number as a small fraction, or as one of these and a size or a size less one; with ``by_size`` the sizes first."""
    one: dict[float, Any] = {1.0: sp.Integer(1)}
    sizes: dict[float, Any] = {} if by_size else dict(one)
    for a in d.letters.order:
        n = d.letters.sizes[a]
        if n > 1:
            sizes |= {float(n): a, 1.0 / n: 1 / a, n - 1.0: a - 1, 1 / (n - 1.0): 1 / (a - 1), n / (n - 1.0): a / (a - 1)}
            sizes |= {1 / n - 1.0: 1 / a - 1, n / (n - 1.0) - 1: a / (a - 1) - 1}
    for value, size in (sizes | one).items():
        if not value:
            continue
        near = Fraction(c / value).limit_denominator(2 if by_size else 12)
        if near and abs(near.numerator) <= 24 and abs(float(near) * value - c) <= _CLOSE * abs(c) * 10:
            return sp.Rational(near.numerator, near.denominator) * size
    return None


def is_plain(e: Any) -> bool:
    """Whether a formula is in letters that have names."""
    return all("⟨" not in a.name and "of the other" not in a.name for a in e.atoms(Letter))
