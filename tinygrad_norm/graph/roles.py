"""What each leaf of a record is for, as far as anybody said so: a module or a function that was called with it, or its user."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any

from ..engine import Function, Tensor, is_cotangent

LEARNED = (
    "weight",
    "bias",
    "gain",
    "alpha",
    "threshold",
    "scale",
    "shift",
    "gamma",
    "beta",
)  # how arguments that are learned end
_NOTHING: dict[int | str, int] = {}


def said_roles(tensors: Sequence[Tensor], inputs: Iterable[Tensor] = ()) -> dict[Tensor, str]:
    """The roles of leaves that somebody said, "input", "parameter" or "cotangent"; of any other, nothing is known.

    A leaf that a module or a function was called with is an input, or, by the name of that argument, a parameter; one that a
    module uses and was not called with is its parameter. The outermost call counts. ``inputs`` are what the user says.
    """
    found: dict[Tensor, str] = dict.fromkeys(inputs, "input")
    leaves = {t.birth: t for t in tensors if t.op is None}
    for x in leaves.values():
        if is_cotangent(x):
            found.setdefault(x, "cotangent")
    seen: set[int] = set()
    for t in tensors:
        for depth, scope in enumerate(t.scope if t.op is not None else ()):
            if id(scope) in seen:
                continue
            seen.add(id(scope))
            for place, birth in getattr(scope, "given", _NOTHING).items():
                leaf, role = leaves.get(birth), _role(scope, place)
                if leaf is not None and role and (leaf.requires_grad or (role == "input" and (leaf.name or not depth))):
                    found.setdefault(leaf, role)
    for t in tensors:
        if t.op is not None and any(getattr(s, "kind", "") for s in t.scope):
            mine = (x for x in t.inputs if isinstance(x, Tensor) and x.op is None and x.requires_grad)
            found.update((x, "parameter") for x in mine if x not in found)
    return found


def _role(scope: str, place: int | str) -> str:
    """What a call says of the argument in a place; nothing where it has another name than what it is about, or what is learned."""
    if not isinstance(scope, Function):
        return "input"  # of a module
    name = _argument(scope.function, place)
    if name.endswith(LEARNED):
        return "parameter"
    return "input" if place == 0 or name in _first(scope.function) else ""


@cache
def _names(function: Callable[..., Any]) -> tuple[str, ...]:
    try:
        return tuple(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return ()


def _argument(function: Callable[..., Any], place: int | str) -> str:
    names = _names(function)
    return place if isinstance(place, str) else names[place] if place < len(names) else ""


def _first(function: Callable[..., Any]) -> tuple[str, ...]:
    """The names of arguments that are no options and not learned: what it is about."""
    return (*_names(function)[:1], "other", "query", "key", "value", "target", "residual", "style", "x2")
