"""What is true around a computation: whether it is recorded, and in which scope."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ContextDecorator
from functools import wraps
from inspect import isgeneratorfunction
from typing import Any, ParamSpec, TypeVar

from .errors import DTypeError, describe
from .shapes import flag

P = ParamSpec("P")
R = TypeVar("R")


class _State(threading.local):
    recording = True
    scope: tuple[str, ...] = ()
    back: Any = None  # the backward pass that is being recorded, if one is
    repeated = False  # inside a checkpointed function, which runs again for the gradient
    general = False  # what is recorded must hold for other numbers, too

    def __init__(self) -> None:  # once in every thread
        self.outside: list[bool] = []


state = _State()


# Recording or not -----------------------------------------------------------------------------------------


class _Recording(ContextDecorator):
    """A context and a decorator, as often as you like, also inside itself. Of a generator, every stretch runs in it."""

    def __init__(self, mode: bool) -> None:
        self.mode = mode

    def __call__(self, function: Any) -> Any:
        return stretches(self, function) if isgeneratorfunction(function) else super().__call__(function)

    def __enter__(self) -> None:
        state.outside.append(state.recording)
        state.recording = self.mode

    def __exit__(self, *error: object) -> None:
        state.recording = state.outside.pop()


class no_grad(_Recording):
    """Compute without recording: results are plain constants. ``with tn.no_grad():``, ``@tn.no_grad()`` or ``@tn.no_grad``."""

    def __new__(cls, function: Callable[..., Any] | None = None) -> Any:
        return super().__new__(cls) if function is None else cls()(function)

    def __init__(self) -> None:
        super().__init__(False)


class enable_grad(_Recording):
    """Record, also inside ``no_grad``. ``with tn.enable_grad():``, ``@tn.enable_grad()`` or ``@tn.enable_grad``."""

    def __new__(cls, function: Callable[..., Any] | None = None) -> Any:
        return super().__new__(cls) if function is None else cls()(function)

    def __init__(self) -> None:
        super().__init__(True)


class set_grad_enabled(_Recording):
    """Record, or not, as ``mode`` says: from the call on, or as a context or a decorator, whose end brings back what was before."""

    def __init__(self, mode: bool) -> None:
        super().__init__(flag("set_grad_enabled", "mode", mode))
        self.before: bool | None = state.recording
        state.recording = self.mode

    def __call__(self, function: Any) -> Any:
        self._undo()
        return super().__call__(function)

    def __enter__(self) -> None:
        self._undo()
        super().__enter__()

    def _undo(self) -> None:
        """A context or a decorator after all: the call itself has changed nothing."""
        if self.before is not None:
            state.recording, self.before = self.before, None


def stretches(context: Any, function: Callable[..., Any]) -> Callable[..., Any]:
    """A generator function whose body runs in a context, and what is done between its values does not."""

    @wraps(function)
    def generator(*args: Any, **named: Any) -> Any:
        inner = function(*args, **named)
        try:
            with context:
                value = next(inner)
            while True:
                sent = yield value
                with context:
                    value = inner.send(sent)
        except StopIteration as end:
            return end.value

    return generator


def is_grad_enabled() -> bool:
    """Whether what is computed now is recorded."""
    return state.recording


def sure(answer: Any) -> bool:
    """Whether something holds of the numbers at hand, so that a shorter way may be taken. Of a record that is to hold for other
    numbers of these shapes, too, nothing is sure, and the way that is always right is on it."""
    return not state.general and bool(answer)


# Scopes ---------------------------------------------------------------------------------------------------


class Entered(str):
    """The name of a scope. Each entering has one of its own, by which two calls of one layer can be told apart."""

    __slots__ = ()
    kind: str = ""  # of a module's call, the module's class


class Function(Entered):
    """The scope of one call of a function, which says its name.

    function:  the one that was called
    given:     the births of the leaves among its arguments, each by its place, or its name
    """

    __slots__ = ("function", "given")
    function: Callable[..., Any]
    given: dict[int | str, int]


nodes: set[type] = set()  # the one kind of node there is: the tensor, which is made of what stands here


class Back(Entered):
    """Stands before the scopes of an operation, in those of what a recorded backward pass computes for it."""

    __slots__ = ()


class going_back:
    """While a backward pass is recorded: what it computes for an operation is in a scope of its own, ∇ and the operation's, inside
    that in which the pass was asked for."""

    __slots__ = ("around", "before", "known", "last")

    def __enter__(self) -> None:
        self.around, self.before, state.back = state.scope, state.back, self
        self.last: object = None
        self.known: dict[int, tuple[str, ...]] = {0: (*self.around, Back("∇"))}  # by the scope of an operation

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        state.scope, state.back = self.around, self.before

    def enter(self, scope: tuple[str, ...]) -> None:
        """What is recorded from here on is for an operation of that scope."""
        self.last = scope
        found = self.known.get(id(scope))
        if found is None:
            shared = 0
            for mine, theirs in zip(self.around, scope):
                if mine is not theirs:
                    break
                shared += 1
            found = self.known[id(scope)] = self.known[0] + scope[shared:]
        state.scope = found


def leaves_in(args: tuple[Any, ...], named: dict[str, Any]) -> dict[int | str, int]:
    """The births of the leaves among the arguments of a call: what is recorded must not hold what came later."""
    found: dict[int | str, int] = {}
    for k, a in enumerate(args):
        if type(a) in nodes and a.op is None:
            found[k] = a.birth
    for name in named:
        if type(a := named[name]) in nodes and a.op is None:
            found[name] = a.birth
    return found


class scope:
    """Give what is recorded inside a place: pictures and routes group by it. Scopes nest.

    A context, ``with tn.scope("attention"):``, and a decorator of functions, ``@tn.scope("attention")``; either may be used
    again, also inside itself. Raises ``DTypeError`` for a name that is no text.
    """

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        if not isinstance(name, str):
            raise DTypeError(f"scope: the name {describe(name)} is no text; write tn.scope('attention').")
        self.name = name

    def __enter__(self) -> None:
        state.scope += (Entered(self.name),)

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        state.scope = state.scope[:-1]

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        if isgeneratorfunction(function):
            return stretches(self, function)
        name = self.name

        @wraps(function)
        def inside(*args: P.args, **named: P.kwargs) -> R:
            before = state.scope
            here = Function(name)
            here.function, here.given = function, leaves_in(args, named)
            state.scope = (*before, here)
            try:
                return function(*args, **named)
            finally:
                state.scope = before

        return inside
