"""What the scopes of a recorded backward pass are called: ∇LayerNorm, after the scope of what it goes back through."""

from __future__ import annotations

import re

from ..engine.state import Back, Entered, Function

RAISED = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
_GRADIENT = re.compile("∇[⁰¹²³⁴-⁹]*")


class Gradient(Entered):
    """∇LayerNorm; of a gradient ∇²LayerNorm.

    of:  the scope of what was gone back through
    """

    __slots__ = ("kind", "of")
    kind: str
    of: str


def gradients_in(scopes: tuple[str, ...], known: dict[tuple[int, ...], Gradient]) -> tuple[str, ...]:
    """The scopes with those after a ``Back`` as gradients; ``known`` keeps them, by what they are of and in which passes."""
    if not any(type(s) is Back for s in scopes):
        return scopes
    passes: tuple[int, ...] = ()
    found: list[str] = []
    for s in scopes:
        if type(s) is Back:
            passes = (*passes, id(s))
        elif not passes:
            found.append(s)
        else:
            key = (*passes, id(s))
            if key not in known:
                order = "" if len(passes) == 1 else str(len(passes)).translate(RAISED)
                made = known[key] = Gradient(f"∇{order}{s}")
                made.of, made.kind = s, getattr(s, "kind", "")
            found.append(known[key])
    return tuple(found)


def passes_in(scopes: tuple[str, ...]) -> int:
    """How many backward passes what was recorded there is part of."""
    return sum(type(s) is Back for s in scopes)


def sign_of_gradient(name: str) -> str:
    """``∇`` of ``∇blocks.3``, ``∇²`` of ``∇²blocks.3``, and of any other name nothing."""
    found = _GRADIENT.match(name)
    return found[0] if found else ""


def is_call_of(scope: str, module: str) -> bool:
    """Whether it is the call of the function that a module's class is named after, or the gradient of that."""
    called = scope.of if isinstance(scope, Gradient) else scope
    return called == module and isinstance(called, Function)
