"""What a recorded call's value may lack: a factor, a term, or all of it."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from .change import Change, Make
from .recorded import Step
from .world import World

_NUMBERS = {2.0: "2", 0.5: "½", -2.0: "−2", -0.5: "−½", 3.0: "3", 1 / 3: "⅓", 1.5: "3/2", 4.0: "4", 0.25: "¼"}
_POWERS = {1: "", 2: "²", 3: "³"}


def of_factors(world: World, step: Step) -> Iterator[Change]:
    """The same value with a number, a size or a letter as a factor more."""
    if not _is_array(step):
        return
    yield Change(1.03, "its sign is wrong", _times(-1.0))
    for f, said in _NUMBERS.items():
        yield Change(1.45 if f in (2.0, 0.5) else 1.9, f"the factor {said} is missing", _times(f))
    for name in world.sizes:
        whole = f"({name})" if not name.isalpha() else name
        yield Change(1.5, f"{name} times too large: 1/{whole} is missing", partial(_by_size, name, _inverse))
        yield Change(1.5, f"{name} times too small: the factor {name} is missing", partial(_by_size, name, float))
        yield Change(1.7, f"divided by {name} − 1 where {name} belongs", partial(_by_size, name, lambda n: (n - 1) / n))
        yield Change(1.7, f"divided by {name} where {name} − 1 belongs", partial(_by_size, name, lambda n: n / (n - 1)))
    for letter, a in world.letters.items():
        if letter not in world.named and ("(" not in letter or a.size >= world.case.dy.size):
            continue
        larger = a.size > step.value.size and _broadcasts(step.value.shape, a.shape)
        if not larger and (world.beside(a, step.value.shape) is None or (a.size == 1 and letter != "dy")):
            continue
        full = a.size >= world.case.dy.size > 1
        for power in (1, -1, 2, -2, 3, -3):
            cost = 1.55 + 0.15 * (abs(power) - 1) + 0.1 * full + 0.05 * (letter not in world.named)
            words = f"the factor {letter}{_POWERS[abs(power)]} is {'missing' if power > 0 else 'too much'}"
            yield Change(cost, words, partial(_by_letter, letter, power), of_letter=True)


def of_terms(world: World, step: Step) -> Iterator[Change]:
    """The same value with one of the right formula's terms more, or two."""
    if not _is_array(step):
        return
    additive = step.function in (np.add, np.subtract)
    for name, terms in world.terms.items():
        for words, term in terms.items():
            if world.beside(term, step.value.shape) is None:
                continue
            two = " and " in words
            said = f"the terms {words} are missing" if two else f"the term {words} is missing"
            yield Change(1.8 + 0.3 * (not additive) + 0.1 * two, said, partial(_with_term, name, words, 1.0))
            if not two:
                other = words.removeprefix("−") if words.startswith("−") else f"−{words}"
                yield Change(1.8 + 0.3 * (not additive), f"the term {other} is missing", partial(_with_term, name, words, -1.0))


def of_values(world: World, step: Step) -> Iterator[Change]:
    """A letter in its place."""
    if not _is_array(step):
        return
    mine = world.owns(step)
    for letter, a in world.letters.items():
        if world.fit(a, step.value.shape) is not None:
            named = (mine and letter in world.named) or "(" in letter
            cost = world.cost_of(letter) + 0.35 if named and mine else 2.3
            yield Change(cost, f"{letter} belongs here", partial(_letter, letter), general=not named)


def _is_array(step: Step) -> bool:
    value = step.value
    return isinstance(value, np.ndarray) and value.dtype.kind == "f" and step.function is not operator.setitem


def _times(factor: float) -> Make:
    return lambda world, step, values: values[step.index] * factor


def _inverse(n: int) -> float:
    return 1 / n


def _by_size(name: str, factor: Any, world: World, step: Step, values: Any) -> Any:
    return values[step.index] * factor(world.sizes[name])


def _broadcasts(small: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    """Whether a number for each row, with its axes kept, stands beside the whole."""
    return len(small) == len(shape) > 1 and all(m in (1, n) for m, n in zip(small, shape))


def _by_letter(letter: str, power: int, world: World, step: Step, values: Any) -> Any:
    letter_, shape = world.letters[letter], np.shape(step.value)
    factor = letter_ if letter_.size > step.value.size and _broadcasts(shape, letter_.shape) else world.beside(letter_, shape)
    return None if factor is None else values[step.index] * factor ** float(power)


def _with_term(name: str, words: str, sign: float, world: World, step: Step, values: Any) -> Any:
    term = world.beside(world.terms[name][words], np.shape(step.value))
    return None if term is None else values[step.index] + sign * term


def _letter(letter: str, world: World, step: Step, values: Any) -> Any:
    return world.fit(world.letters[letter], np.shape(step.value))
