"""What one call of a candidate may have been meant to be: a mean for its sum, another operator, number or operand.

What is nearest to the source costs least and is tried first.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from .change import Change
from .factors import of_factors, of_terms, of_values
from .recorded import Step
from .source import definition, operands_of
from .sums import of_reductions, reduction_of
from .world import World

_BINARY: dict[Any, str] = {
    np.add: "+",
    np.subtract: "−",
    np.multiply: "·",
    np.true_divide: "/",
    np.maximum: "max",
    np.minimum: "min",
    np.power: "**",
}
_INSTEAD = {np.add: np.subtract, np.subtract: np.add, np.multiply: np.true_divide, np.true_divide: np.multiply}
_POWERS: dict[Any, float] = {np.square: 2.0, np.reciprocal: -1.0, np.sqrt: 0.5}
_PLAIN = (np.exp, np.log, np.abs, np.tanh, np.expm1, np.log1p, np.clip, np.transpose, np.negative)
_KIN = (
    (np.exp2, np.exp), (np.expm1, np.exp), (np.exp, np.exp2), (np.exp, np.expm1), (np.log2, np.log), (np.log10, np.log), (np.log1p, np.log),
    (np.log, np.log1p), (np.sqrt, np.square), (np.square, np.sqrt), (np.sign, np.abs), (np.abs, np.square), (np.sinh, np.tanh),
)  # fmt: skip
_UNARY = (*_POWERS, *_PLAIN, np.ndarray.clip, np.ndarray.transpose, operator.getitem)


def changes(world: World, step: Step) -> Iterator[Change]:
    """All that is tried on one call, in no order."""
    function = step.function
    if function is None:
        return
    reduction = reduction_of(step)
    if reduction is not None:
        yield from of_reductions(reduction)
    if isinstance(function, np.ufunc) and function in _BINARY and len(step.args) == 2:
        yield from _of_two(world, step)
    if function is np.power or (isinstance(function, np.ufunc) and function in _POWERS):
        yield from _of_powers(step)
    for kin, other in _KIN if isinstance(function, np.ufunc) else ():
        if function is kin:
            yield Change(1.0, f"{kin.__name__} where {other.__name__} belongs", partial(_called, other))
    if function is np.where and len(step.args) == 3:
        yield from _of_where(world, step)
    if any(function is f for f in _UNARY) and type(step.args[0]) is Step:
        what = "the index" if function is operator.getitem else getattr(function, "__name__", "the function")
        yield Change(1.25, f"{what} is too much", partial(_operand, 0, False))
    yield from _other_operands(world, step)
    yield from of_factors(world, step)
    yield from of_terms(world, step)
    yield from of_values(world, step)


# Operators ------------------------------------------------------------------------------------------------------------


def _of_two(world: World, step: Step) -> Iterator[Change]:
    function: Any = step.function
    if function in _INSTEAD:
        other = _INSTEAD[function]
        yield Change(0.99, f"{_BINARY[function]} where {_BINARY[other]} belongs", partial(_called, other))
    for k in (0, 1):
        kept, gone = step.args[k], step.args[1 - k]
        if type(kept) is not Step:
            continue
        if is_number(gone) and function is not np.power:
            yield from other_numbers(world, step, 1 - k)
        if function is np.power or (k == 1 and function in (np.subtract, np.true_divide)):
            continue
        word = {np.multiply: "factor", np.true_divide: "division by", np.maximum: "max with", np.minimum: "min with"}.get(
            function, "term"
        )
        own = type(gone) is Step and world.called(gone.value) is not None
        words = f"the {word} {said(world, step, 1 - k)} is too much"
        yield Change(1.4, words, partial(_operand, k, True), of_letter=own)


def _called(function: Callable[..., Any], world: World, step: Step, values: Sequence[Any]) -> Any:
    return function(*step.arguments(values)[0])


def _operand(k: int, whole: bool, world: World, step: Step, values: Sequence[Any]) -> Any:
    a = step.arguments(values)[0][k]
    return np.broadcast_to(a, np.broadcast_shapes(np.shape(a), np.shape(step.value))) if whole else a


def _of_powers(step: Step) -> Iterator[Change]:
    """Another exponent."""
    exponent: Any = _POWERS.get(step.function) if step.function is not np.power else step.args[1]
    if not is_number(exponent):
        return
    for e in (-3.0, -2.0, -1.5, -1.0, -0.5, 0.5, 1.0, 1.5, 2.0, 3.0):
        if e != exponent:
            words = f"the power {shown(float(exponent))} where {shown(e)} belongs"
            yield Change(1.1, words, partial(_raised, e))


def _raised(e: float, world: World, step: Step, values: Sequence[Any]) -> Any:
    return np.power(step.arguments(values)[0][0], e)


def _of_where(world: World, step: Step) -> Iterator[Change]:
    condition, a, b = (said(world, step, k) for k in range(3))
    yield Change(1.0, f"{a} and {b} belong the other way round", partial(_chosen, (0, 2, 1)))
    yield Change(1.3, f"{a} belongs everywhere, not only where {condition}", partial(_operand, 1, True))
    yield Change(1.3, f"{b} belongs everywhere, not only where not {condition}", partial(_operand, 2, True))


def _chosen(order: Sequence[int], world: World, step: Step, values: Sequence[Any]) -> Any:
    args = step.arguments(values)[0]
    return np.where(*(args[k] for k in order))


# Numbers --------------------------------------------------------------------------------------------------------------


def other_numbers(world: World, step: Step, k: int, much: float = 0.0) -> Iterator[Change]:
    """Another number for the one that operand ``k`` is."""
    number = float(np.real(step.args[k]))
    now = _size(world, number) or shown(number)
    now = shown(number) if said(world, step, k) == shown(number) else now
    size = 0.3 if now != shown(number) else 0.0  # that is not mistaken for twice itself
    for words, f, cost in (
        (f"−{now}" if number > 0 else shown(-number), lambda c: -c, 1.0),
        (shown(2 * number), lambda c: 2 * c, 1.2 + size),
        (shown(number / 2), lambda c: c / 2, 1.2 + size),
        (shown(number - 1), lambda c: c - 1, 1.3),
        (shown(number + 1), lambda c: c + 1, 1.3),
    ):
        yield Change(cost + much, f"{now} where {words} belongs", partial(_with_number, k, f))
    for name in world.sizes:
        yield Change(1.05 + much, f"{now} where {name} belongs", partial(_with_size, k, name, 0))
        yield Change(1.1 + much, f"{now} where {name} − 1 belongs", partial(_with_size, k, name, 1))
    if world.case.eps:
        yield Change(1.1 + much, f"{number:g} where ε = {world.case.eps:g} belongs", partial(_with_eps, k))


def _with_number(k: int, f: Any, world: World, step: Step, values: Sequence[Any]) -> Any:
    args, kwargs = step.arguments(values)
    args[k] = f(float(np.real(args[k])))
    return step.function(*args, **kwargs)  # type: ignore[misc]


def _with_size(k: int, name: str, less: int, world: World, step: Step, values: Sequence[Any]) -> Any:
    return _with_number(k, lambda c: float(world.sizes[name] - less), world, step, values)


def _with_eps(k: int, world: World, step: Step, values: Sequence[Any]) -> Any:
    return _with_number(k, lambda c: world.case.eps, world, step, values)


def is_number(a: Any) -> bool:
    """Whether an operand is one real number that is not on the record."""
    return isinstance(a, (int, float, np.integer, np.floating)) or (
        type(a) is np.ndarray and a.ndim == 0 and a.dtype.kind in "iuf"
    )


def shown(x: float) -> str:
    return f"{x:g}".replace("-", "−")


def _size(world: World, number: float) -> str | None:
    """A number as a size, or one less, where it is one."""
    whole = next((n for n, size in world.sizes.items() if size == number), None)
    return whole or next((f"{n} − 1" for n, size in world.sizes.items() if size - 1 == number > 1), None)


# Operands -------------------------------------------------------------------------------------------------------------


def _other_operands(world: World, step: Step) -> Iterator[Change]:
    """A letter where another array stands."""
    if step.function is operator.setitem:
        return
    for k, a in enumerate(step.args):
        value = a.value if type(a) is Step else a
        if not isinstance(value, np.ndarray) or value.dtype.kind != "f" or value.size < 2:
            continue
        own = type(a) is Step and world.owns(a)
        if type(a) is Step and own and _in_one_function(a, step):  # that is what the call that gives it may have meant
            continue
        yield from _operand_times(world, step, k)
        name = said(world, step, k)
        at = (
            definition(step.place[0][0], name, first=True) if type(a) is not Step and step.place and name.isidentifier() else None
        )
        for letter, other in world.letters.items():
            if world.fit(other, value.shape) is not None:
                words = instead(name, letter) if at is None else f"{name} is made here, and {letter} belongs in its place"
                general, made = letter not in world.named, type(a) is Step and a.function is not None and not world.knows(value)
                yield Change(world.cost_of(letter), words, partial(_with_letter, k, letter), general, at, made)


def _in_one_function(a: Step, b: Step) -> bool:
    return not (a.place and b.place) or a.place[0][0] is b.place[0][0]


def _operand_times(world: World, step: Step, k: int) -> Iterator[Change]:
    """A factor more on one operand only."""
    name, shape = said(world, step, k), np.shape(step.args[k].value if type(step.args[k]) is Step else step.args[k])
    for size in world.sizes:
        yield Change(
            1.6, f"the factor {size} is missing at {name}", partial(_with_factor, k, lambda w, s, size=size: w.sizes[size])
        )
        yield Change(1.6, f"1/{size} is missing at {name}", partial(_with_factor, k, lambda w, s, size=size: 1 / w.sizes[size]))
    for letter, a in world.named.items():
        if a.size < world.case.dy.size and world.beside(a, shape) is not None:
            for power, words in ((1.0, "missing"), (-1.0, "too much")):
                make = partial(_with_factor, k, partial(_power_of, letter, power))
                yield Change(1.6, f"the factor {letter} is {words} at {name}", make)


def _power_of(letter: str, power: float, world: World, shape: tuple[int, ...]) -> Any:
    a = world.beside(world.letters[letter], shape)
    return None if a is None else a**power


def _with_factor(k: int, factor: Callable[..., Any], world: World, step: Step, values: Sequence[Any]) -> Any:
    args, kwargs = step.arguments(values)
    f = factor(world, np.shape(args[k]))
    if f is None:
        return None
    args[k] = args[k] * f
    return step.function(*args, **kwargs)  # type: ignore[misc]


def _with_letter(k: int, letter: str, world: World, step: Step, values: Sequence[Any]) -> Any:
    args, kwargs = step.arguments(values)
    args[k] = world.fit(world.letters[letter], np.shape(args[k]))
    return None if args[k] is None else step.function(*args, **kwargs)  # type: ignore[misc]


def instead(name: str, letter: str) -> str:
    return f"{name} where {letter} belongs" if name != letter else f"this is not the right {letter}"


def said(world: World, step: Step, k: int) -> str:
    """What an operand is called: as it stands in the source, or a letter that it is."""
    names = operands_of(*step.place[0]) if step.place else ()
    if k < len(names):
        return names[k] if len(names[k]) <= 60 else f"{names[k][:57]}…"
    a = step.args[k]
    if type(a) is not Step:
        return shown(float(a)) if is_number(a) else "an array"
    return world.called(a.value) or "what stands there"
