"""A user's function, called with tensors by the names of its parameters, whatever kind of callable it is."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MethodType
from typing import Any

from ..engine import Tensor, describe
from .errors import DerivationError

Parameters = Mapping[str, inspect.Parameter]
_PLACED, _NAMED = inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD


def called(f: Any) -> str:
    """What a function is called in a message."""
    name = getattr(f, "__name__", None)
    return name if isinstance(name, str) else called(f.func) if hasattr(f, "func") else type(f).__name__


def parameters_of(f: Any) -> Parameters | None:
    """By name; None where it does not say what it takes, as some functions in C."""
    try:
        return inspect.signature(f.forward if isinstance(getattr(f, "forward", None), MethodType) else f).parameters
    except (ValueError, TypeError):
        return None


def call(f: Callable[..., Any], given: Mapping[str, Any], wanted: Parameters | None) -> Any:
    """f of what is given by name. What it takes only by its place goes there, as all does where it knows no such names."""
    if wanted is None or (_takes(wanted, _PLACED) and any(n not in wanted for n in given) and not _takes(wanted, _NAMED)):
        return f(*given.values())
    own = [p for p in wanted.values() if p.kind is p.POSITIONAL_ONLY]
    while own and own[-1].name not in given:
        own.pop()
    placed = [p.name for p in own]
    return f(*(given.get(p.name, p.default) for p in own), **{n: v for n, v in given.items() if n not in placed})


def call_forward(f: Callable[..., Any], leaves: Mapping[str, Any], options: Mapping[str, Any]) -> Any:
    """A forward of its inputs and options. Raises ``DerivationError`` where these are not what it takes."""
    wanted, given = parameters_of(f), {**leaves, **options}
    if isinstance(f, type):
        raise DerivationError(
            f"derive: {called(f)} is a class; expected a function of tensors, or a module that is made: {called(f)}(…)."
        )
    if wanted is None and options:
        raise DerivationError(
            f"derive: {called(f)} says no names of its arguments, so that it cannot be given {', '.join(options)}; write "
            f"lambda {', '.join(leaves)}: {called(f)}(…)."
        )
    wrong = "; ".join(_unfit(wanted, given)) if wanted is not None else ""
    if wrong:
        raise DerivationError(f"derive: {called(f)}() {wrong}; inputs= names {', '.join(leaves)}.")
    return call(f, given, wanted)


def _takes(wanted: Parameters, kind: Any) -> bool:
    return any(p.kind is kind for p in wanted.values())


def _unfit(wanted: Parameters, given: Mapping[str, Any]) -> Iterator[str]:
    """What is given and not wanted, or the other way round."""
    own = {n for n, p in wanted.items() if p.kind not in (_PLACED, _NAMED)}
    if not (_takes(wanted, _NAMED) or _takes(wanted, _PLACED)):
        yield from (f"got an unexpected keyword argument {describe(n)}" for n in given if n not in own)
    missing = [n for n in wanted if n in own and n not in given and wanted[n].default is inspect.Parameter.empty]
    if missing and not (_takes(wanted, _PLACED) and any(n not in own for n in given)):
        yield f"is missing {len(missing)} required positional argument{'s'[: len(missing) > 1]}: {', '.join(map(repr, missing))}"


def own_parameters(f: Any, there: Sequence[str]) -> Parameters:
    """Those of the other side of ``equals``, by whose names it is seen which input each is."""
    wanted = parameters_of(f)
    if isinstance(f, type) or wanted is None:
        what = "is a class" if isinstance(f, type) else "does not say the names of its arguments"
        raise DerivationError(
            f"equals: {called(f)} {what}; expected a function of tensors with the names that are here: lambda {', '.join(there)}: …."
        )
    if _takes(wanted, _PLACED):
        raise DerivationError("equals: the function takes *arguments; name them, so that it can be seen which input each is.")
    return wanted


def gives(found: Any) -> str:
    """What a function gave in place of a recorded tensor, and what to do about it."""
    if isinstance(found, Tensor):
        return f"a tensor that nothing was recorded of, {describe(found)}"
    if isinstance(found, (tuple, list, dict)) and any(
        isinstance(x, Tensor) for x in (found.values() if isinstance(found, dict) else found)
    ):
        return f"a {type(found).__name__} of {len(found)}: return one of them"
    return f"{describe(found)}"
