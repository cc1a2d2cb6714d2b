"""Mistakes that show at several calls at once: the same axis in every sum, a variable that is another, a write over what is read later."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from .change import Change
from .changes import changes, instead, is_number, other_numbers, shown
from .recorded import Step
from .source import definition, line_of, operands_of, spot, text_of
from .sums import every_axes, reduction_of, said_axes
from .world import World

Key = Any


@dataclass(frozen=True)
class Attempt:
    """A change, and the calls at which it is made."""

    keys: tuple[Key, ...]
    change: Change


def key_of(step: Step) -> Key:
    """What is the same call again, in a loop or on other numbers."""
    places = tuple((code, spot(code, instruction)) for code, instruction in step.place)
    return places, getattr(step.function, "__name__", repr(step.function))


def calls_of(steps: Sequence[Step]) -> dict[Key, list[Step]]:
    """The steps by call, in order of time."""
    found: dict[Key, list[Step]] = {}
    for s in steps:
        if s.function is not None:
            found.setdefault(key_of(s), []).append(s)
    return found


def attempts(world: World, calls: Mapping[Key, Sequence[Step]], only: set[Step], tied: set[Step]) -> Iterator[Attempt]:
    """All that is tried, in no order.

    only:  the steps that wrong gradients are made of; ``tied`` those of them that right ones are made of, too
    """
    mine = {key: steps for key, steps in calls.items() if any(s in only for s in steps)}
    for key, steps in mine.items():
        for change in changes(world, steps[0]):
            yield Attempt((key,), change)
    yield from _axes(mine)
    free = {key: steps for key, steps in mine.items() if not any(s in tied for s in steps)}
    yield from _numbers(world, mine)
    yield from _variables(world, free)
    yield from _overwritten(free)
    yield from _moved(world, free)


def _axes(calls: Mapping[Key, Sequence[Step]]) -> Iterator[Attempt]:
    """All sums over some axes, over others."""
    groups: dict[Any, list[Key]] = {}
    for key, steps in calls.items():
        now = reduction_of(steps[0])
        if now is not None and now.kind in ("sum", "mean"):
            groups.setdefault((now.axes, now.ndim), []).append(key)
    for (axes, ndim), keys in groups.items():
        for keep in dict.fromkeys((tuple(keys), *_by_keepdims(calls, keys))):
            for other in every_axes(ndim) if len(keep) > 1 else ():
                for kept in (None, True) if other != axes else ():
                    words = f"{said_axes(axes, other)}, in {_both(keep)} of them"
                    yield Attempt(keep, Change(1.2 + 0.1 * (kept is True), words, partial(_over, other, kept)))


def _by_keepdims(calls: Mapping[Key, Sequence[Step]], keys: Sequence[Key]) -> Iterator[tuple[Key, ...]]:
    """Sums with their axes kept stand in a formula; the others are gradients of parameters."""
    for kept in (True, False):
        found = tuple(k for k in keys if (r := reduction_of(calls[k][0])) is not None and r.keepdims is kept)
        if 1 < len(found) < len(keys):
            yield found


def _both(keys: Sequence[Key]) -> str:
    return "both" if len(keys) == 2 else "all"


def _over(axes: tuple[int, ...], kept: bool | None, world: World, step: Step, values: Sequence[Any]) -> Any:
    now = reduction_of(step)
    if now is None or kept is now.keepdims:
        return None
    return replace(now, axes=axes, keepdims=now.keepdims if kept is None else kept)(step.arguments(values)[0][0])


def _numbers(world: World, calls: Mapping[Key, Sequence[Step]]) -> Iterator[Attempt]:
    """A variable that holds a number, wherever it is used."""
    for (code, name, number), uses in _uses(calls, is_number).items():
        at = definition(code, name)
        if not name.isidentifier() or (len(uses) == 1 and at is None):
            continue
        places = dict(uses)
        step = calls[uses[0][0]][0]
        for change in other_numbers(world, step, uses[0][1], 0.02):
            make = partial(_number_at, places, change)
            yield Attempt(
                tuple(places), replace(change, make=make, words=change.words.replace(shown(float(number)), name, 1), at=at)
            )


def _number_at(places: Mapping[Key, int], change: Change, world: World, step: Step, values: Sequence[Any]) -> Any:
    first = change.make
    assert isinstance(first, partial)
    return first.func(places[key_of(step)], *first.args[1:], world, step, values)


def _variables(world: World, calls: Mapping[Key, Sequence[Step]]) -> Iterator[Attempt]:
    """A variable that holds an array, wherever it is used for the wrong gradients."""
    free = {s for steps in calls.values() for s in steps}
    for (code, name, source), uses in _uses(calls, lambda a: type(a) is Step and np.ndim(a.value) > 0).items():
        own_name = all(part.isidentifier() for part in name.split("."))
        at = definition(code, name) if name.isidentifier() else None
        alias = at is not None and _ALIAS.fullmatch(at[1]) is not None
        if not alias:
            every = all(u in free for u in world.readers[source])  # else it is not what it holds that is wrong
            own = source.place[0] if every and source.place else None
            at = None if own is None else (line_of(*own), text_of(*own))
        lines = {line_of(*calls[key][0].place[0]) for key, _ in uses}
        easy = alias or (source.function is None and len(lines) == 1)
        if not own_name or (len(uses) == 1 and at is None):
            continue
        for letter in world.named:
            if world.fit(world.named[letter], np.shape(source.value)) is not None:
                make = partial(_letter_at, dict(uses), letter)
                words = (
                    instead(name, letter) + ", wherever it is used" * (len(uses) > 1) if at is None else f"{letter} belongs here"
                )
                cost = (1.25 if easy else 1.9) + world.cost_of(letter) - 1.3
                yield Attempt(tuple(dict(uses)), Change(cost, words, make, at=at))


_ALIAS = re.compile(r"\w+ = [\w.\[\]'\"]+")


def _letter_at(places: Mapping[Key, int], letter: str, world: World, step: Step, values: Sequence[Any]) -> Any:
    k = places[key_of(step)]
    args, kwargs = step.arguments(values)
    args[k] = world.fit(world.letters[letter], np.shape(args[k]))
    return None if args[k] is None else step.function(*args, **kwargs)  # type: ignore[misc]


def _uses(calls: Mapping[Key, Sequence[Step]], wanted: Any) -> dict[tuple[Any, str, Any], list[tuple[Key, int]]]:
    """Where each variable is an operand: by function, name and value."""
    found: dict[tuple[Any, str, Any], list[tuple[Key, int]]] = {}
    for key, steps in calls.items():
        if not steps[0].place:
            continue
        code = steps[0].place[0][0]
        for k, (name, a) in enumerate(zip(operands_of(*steps[0].place[0]), steps[0].args)):
            if wanted(a):
                found.setdefault((code, name, a if type(a) is Step else float(a)), []).append((key, k))
    return found


def _overwritten(calls: Mapping[Key, Sequence[Step]]) -> Iterator[Attempt]:
    """An array that was written into before it is read."""
    for key, steps in calls.items():
        written = {o for s in steps for o in s.operands() if o.over is not None}
        for w in written:
            users = tuple(k for k, uses in calls.items() if any(w in u.operands() for u in uses))
            at = w.place[0] if w.place else None
            if at is not None and users[0] == key:
                words = "written over what is read again later: make a new array here"
                yield Attempt(users, Change(1.0, words, partial(_before, key_of(w)), at=(line_of(*at), text_of(*at))))


def _before(written: Key, world: World, step: Step, values: Sequence[Any]) -> Any:
    there = [*values]
    for o in step.operands():
        if key_of(o) == written and o.over is not None:
            there[o.index] = values[o.over.index] if o.over.index >= 0 else o.over.value
    return step.again(there)


def _moved(world: World, calls: Mapping[Key, Sequence[Step]]) -> Iterator[Attempt]:
    """A factor that is multiplied in at one call and belongs in an earlier one, before something is summed."""
    first = {key: steps[0] for key, steps in calls.items()}
    for key, late in first.items():
        for k in (0, 1) if late.function is np.multiply and late.place else ():
            letter = world.called(late.args[k].value) if type(late.args[k]) is Step else None
            if letter not in world.named or np.size(late.args[k].value) >= world.case.dy.size:
                continue
            for other, early in first.items():
                value = early.value
                if (
                    early.index < late.index
                    and isinstance(value, np.ndarray)
                    and value.size == world.case.dy.size
                    and value.dtype.kind == "f"
                ):
                    at = _to_multiply(world, early, letter)
                    if at is not None:
                        said = f" on line {line_of(*early.place[0])}" if early.place else ""
                        words = f"{letter} is multiplied in too late: it belongs in what is summed, to {text_of(*early.place[0])}{said}"
                        yield Attempt((key, other), Change(1.5, words, partial(_earlier, key, k, letter, at)))


def _to_multiply(world: World, step: Step, letter: str) -> int | None:
    """Which operand of a call can be multiplied by a letter; −1: what the call gives."""
    factor = world.named[letter]
    if world.beside(factor, step.value.shape) is not None:
        return -1
    shapes = [(k, a.value) for k, a in enumerate(step.args) if type(a) is Step and np.size(a.value) == step.value.size]
    return next((k for k, a in shapes if world.beside(factor, np.shape(a)) is not None), None)


def _earlier(late: Key, k: int, letter: str, at: int, world: World, step: Step, values: Sequence[Any]) -> Any:
    args, kwargs = step.arguments(values)
    if key_of(step) == late:
        return np.broadcast_to(args[1 - k], np.shape(step.value))
    factor = world.beside(world.named[letter], np.shape(args[at] if at >= 0 else step.value))
    if factor is None or at < 0:
        return None if factor is None else values[step.index] * factor
    args[at] = args[at] * factor
    return step.function(*args, **kwargs)  # type: ignore[misc]
