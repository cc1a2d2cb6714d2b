"""Axes, sizes and options as users write them, and what to say when they do not fit."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from .errors import DTypeError, OptionError, ShapeError, TinygradNormError, describe
from .op import Op

# Whole numbers ------------------------------------------------------------------------------------------


def _index(value: Any) -> int | None:
    """The integer that a value is; None where it is none. True and 1.0 are none, an array without axes may be one."""
    if type(value) is int:
        return value
    if isinstance(value, (bool, np.bool_)) or bool(getattr(value, "ndim", 0)) or getattr(value, "dtype", None) == np.bool_:
        return None
    try:
        return operator.index(value)
    except TypeError:
        return None


def whole(name: str, what: str, value: Any, least: int | None = None, most: int | None = None) -> int:
    """A size, a count or a step as an int; ``ShapeError`` for what is no whole number, or out of bounds."""
    n = _index(value)
    if n is None:
        raise ShapeError(f"{name}: {what}={describe(value)}; it is {_range(least, most, None, True)}.")
    if (least is not None and n < least) or (most is not None and n > most):
        raise ShapeError(f"{name}: {what}={n}; it must be {_range(least, most, None, True, spelled=True)}.")
    return n


def wholes(name: str, what: str, value: Any, least: int | None = None) -> tuple[int, ...]:
    """One whole number or a sequence of them, as a tuple."""
    several = isinstance(value, (tuple, list)) or (isinstance(value, np.ndarray) and value.ndim == 1)
    return tuple(whole(name, what, n, least) for n in (value if several else (value,)))


def each(name: str, what: str, value: Any, axes: Sequence[str], least: int) -> tuple[int, ...]:
    """A whole number for each of the axes: one for all of them, or a sequence that names each."""
    sizes = (value,) if _index(value) is not None else tuple(value) if isinstance(value, (tuple, list)) else ()
    if len(sizes) not in (1, len(axes)) or any(_index(n) is None for n in sizes):
        words = {1: "give an int", 2: "give an int, or two"}.get(len(axes), f"give an int, or {len(axes)}")
        raise ShapeError(f"{name}: {what}={describe(value)}; {words}: {' and '.join(axes)}.")
    if any(operator.index(n) < least for n in sizes):
        raise ShapeError(f"{name}: {what}={value!r}; it must be at least {least}.")
    return tuple(operator.index(n) for n in sizes) * (len(axes) if len(sizes) == 1 else 1)


def sizes_of(sizes: tuple[Any, ...], name: str = "shape") -> tuple[int, ...]:
    """``f(2, 3)`` and ``f((2, 3))`` alike, as a tuple of ints."""
    if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)):
        sizes = tuple(sizes[0])
    found = [_index(n) for n in sizes]
    if None in found:
        given = ", ".join(map(describe, sizes))
        raise ShapeError(f"{name}: the sizes ({given}): each is a whole number, such as x.shape[-1].")
    return tuple(found)  # type: ignore[arg-type]


def canonical_axes(axis: Any, ndim: int, name: str, ordered: bool = False, twice: bool = False) -> tuple[int, ...]:
    """``None``, an int or several, negative or not, as a tuple of axes; sorted unless ``ordered``, each once unless ``twice``."""
    if axis is None:
        return tuple(range(ndim))
    if type(axis) is int and -ndim <= axis < ndim:
        return (axis % ndim,)
    axes = tuple(axis) if isinstance(axis, (tuple, list)) else (axis,)
    found = []
    for a in axes:
        n = _index(a)
        if n is None:
            raise ShapeError(f"{name}: axis {describe(axis)} is not an axis; give an int or a tuple of ints.")
        if not -ndim <= n < ndim:
            there = f"with {ndim} axes it is between {-ndim} and {ndim - 1}" if ndim else "with 0 axes there is none"
            raise ShapeError(f"{name}: axis {n} does not exist; {there}.")
        found.append(n % ndim)
    if len(set(found)) < len(found) and not twice:
        raise ShapeError(f"{name}: axes {axis} name one axis twice.")
    return tuple(found) if ordered else tuple(sorted(found))


# Options ------------------------------------------------------------------------------------------------


def number(
    name: str,
    what: str,
    value: Any,
    least: float | None = None,
    most: float | None = None,
    *,
    above: float | None = None,
    whole: bool = False,
) -> Any:
    """An option that is one real number, as a Python number, which never changes a dtype.

    least, most:  bounds that it may reach; ``above``: one that it must exceed
    whole:        an integer

    Raises ``DTypeError`` for what is no number (None, a word, a tensor), ``OptionError`` for one out of bounds and for NaN.
    """
    if (
        (type(value) is int or (type(value) is float and not whole and value == value))
        and (least is None or value >= least)
        and (most is None or value <= most)
        and (above is None or value > above)
    ):
        return value  # as nearly always, and this is asked often
    kinds: tuple[type, ...] = (int, np.integer) if whole else (int, float, np.integer, np.floating)
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, kinds):
        raise DTypeError(f"{name}: {what}={describe(value)}; it is {_range(least, most, above, whole)}.")
    value = value.item() if isinstance(value, np.generic) else value
    low = (least is None or value >= least) and (above is None or value > above)
    if value != value or not low or not (most is None or value <= most):
        raise OptionError(f"{name}: {what}={describe(value)}; it is {_range(least, most, above, whole)}.")
    return value


def _range(least: float | None, most: float | None, above: float | None, whole: bool, spelled: bool = False) -> str:
    if spelled:  # of a size that is a whole number already
        return f"at least {least}" if most is None else f"between {least} and {most}" if least is not None else f"at most {most}"
    words = "a whole number" if whole else "a number"
    if above is not None:
        return f"{words} above {above:g}" + (f" and up to {most:g}" if most is not None else "")
    if least is not None:
        return f"{words} from {least:g} " + (f"to {most:g}" if most is not None else "on")
    return words if most is None else f"{words} up to {most:g}"


def choice(name: str, what: str, value: Any, words: Sequence[str]) -> str:
    """An option that is one of several words; ``OptionError`` for any other."""
    if not isinstance(value, str) or value not in words:
        quoted = [f'"{word}"' for word in words]
        raise OptionError(f"{name}: {what}={describe(value)}; it is {', '.join(quoted[:-1])} or {quoted[-1]}.")
    return value


def flag(name: str, what: str, value: Any) -> bool:
    """An option that is on or off; ``OptionError`` for anything but True, False, 1 and 0."""
    if isinstance(value, (bool, np.bool_)) or (isinstance(value, (int, np.integer)) and value in (0, 1)):
        return bool(value)
    raise OptionError(f"{name}: {what}={describe(value)}; it is True or False.")


# NumPy's complaints -------------------------------------------------------------------------------------


def explain(op: Op, operands: tuple[Any, ...], params: dict[str, Any], error: Exception) -> TinygradNormError:
    """NumPy's complaint with what it was about: the operation, the operands, a likely fix."""
    what = " and ".join(describe(x) for x in operands)
    given = "".join(f", {k}={v}" for k, v in params.items() if k != "index")
    if "negative integer power" in str(error):
        return DTypeError(f"{op.name}: {what}{given}: integers have no negative powers. Cast first: x.astype('float64').")
    if isinstance(error, OverflowError):
        return DTypeError(f"{op.name}: {what}{given}: {error}. Cast first, or take smaller numbers.")
    if isinstance(error, MemoryError):
        return ShapeError(f"{op.name}: {what}{given}: there is no room for the result ({error}). Take smaller sizes.")
    if op.elementwise and len(operands) > 1 and isinstance(error, ValueError):
        fix = "Sizes must be equal or 1, counted from the last axis; reshape one, or keep a reduction's axis with keepdim=True."
        return ShapeError(f"{op.name}: {what} do not broadcast. {fix}")
    if op.name == "matmul":
        return ShapeError(
            f"matmul: {what}: the last axis of the first must have the size of the second's last but one. Transpose one?"
        )
    return ShapeError(f"{op.name}: {what}{given}: {str(error).rstrip('.')}. {_FIXES.get(op.name, '')}".rstrip())


_FIXES = {
    "reshape": "The sizes must have the product that they had; one may be -1.",
    "broadcast_to": "Sizes must be equal or 1, counted from the last axis.",
    "getitem": "An index is a whole number, a slice, a mask, or an array of whole numbers, within the axis.",
    "max": "Of nothing there is no largest; give at least one entry.",
}
