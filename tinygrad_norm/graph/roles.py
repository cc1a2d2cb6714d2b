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


def said_roles(tensors: Sequence[Tensor], inputs: Iterable[Tensor] = ()) -> dict[Tensor, str]:
    """The roles of leaves that somebody said, "input", "parameter" or "cotangent"; of any other, nothing is known.

    A leaf that a module or a function was called with is an input, or, by the name of that argument, a parameter; one that a
    module uses and was not called with is its parameter. The outermost call counts. ``inputs`` are what the user says.
    """
    found: dict[Tensor, str] = dict.fromkeys(inputs, "input")
    for t in tensors:
        if t.op is not None:
            for x in t.inputs:
                if isinstance(x, Tensor) and x.op is None and x not in found:
                    role = "cotangent" if is_cotangent(x) else _role(x, t.scope)
                    if role:
                        found[x] = role
    return found


def _role(leaf: Tensor, scopes: Sequence[str]) -> str:
    """By the calls around one use of it, from the outside in."""
    for scope in scopes:
        places = [place for place, given in getattr(scope, "given", ()) if given() is leaf]
        if getattr(scope, "kind", ""):
            if places:
                return "input"
            if leaf.requires_grad:
                return "parameter"
        elif places and isinstance(scope, Function):
            name = _argument(scope.function, places[0])
            learned = name.endswith(LEARNED)
            if learned and leaf.requires_grad:
                return "parameter"
            if not learned and (places[0] == 0 or name in _first(scope.function)):
                return "input"
    return ""


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
