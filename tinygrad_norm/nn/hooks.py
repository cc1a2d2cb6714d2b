"""Functions that are called before or after a module's ``forward``, and what takes them out again."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ..engine import DTypeError, describe
from ..norms.arguments import flag

_ids = itertools.count()


class Hook(NamedTuple):
    function: Callable[..., Any]
    with_kwargs: bool


class RemovableHandle:
    """What registering a hook gives: ``remove()`` takes it out again; so does the end of a ``with``."""

    def __init__(self, hooks: dict[int, Hook], hook: Callable[..., Any], with_kwargs: bool, prepend: bool) -> None:
        if not callable(hook):
            raise DTypeError(
                f"hook: {describe(hook)} cannot be called. Give a function; what it gets stands where it is registered."
            )
        self._hooks, self.id = hooks, next(_ids)
        others = dict(hooks) if flag("hook", "prepend", prepend) else {}
        for old in others:
            del hooks[old]
        hooks[self.id] = Hook(hook, flag("hook", "with_kwargs", with_kwargs))
        hooks.update(others)

    def remove(self) -> None:
        self._hooks.pop(self.id, None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()


def before(module: Any, hooks: Mapping[int, Hook], inputs: tuple[Any, ...], named: dict[str, Any]) -> Any:
    """The arguments as the hooks leave them: ``(inputs, named)``."""
    for hook in tuple(hooks.values()):
        found = hook.function(module, inputs, named) if hook.with_kwargs else hook.function(module, inputs)
        if found is None:
            continue
        if not hook.with_kwargs:
            inputs = found if isinstance(found, tuple) else (found,)
        elif isinstance(found, tuple) and len(found) == 2 and isinstance(found[0], tuple) and isinstance(found[1], dict):
            inputs, named = found
        else:
            raise DTypeError(
                f"{type(module).__name__}: its forward pre-hook gave {describe(found)}; with_kwargs=True wants None or "
                "(args, kwargs), a tuple and a dict."
            )
    return inputs, named


def after(module: Any, hooks: Mapping[int, Hook], inputs: tuple[Any, ...], named: dict[str, Any], output: Any) -> Any:
    """The output as the hooks leave it."""
    for hook in tuple(hooks.values()):
        more = (named,) if hook.with_kwargs else ()
        found = hook.function(module, inputs, *more, output)
        output = output if found is None else found
    return output
