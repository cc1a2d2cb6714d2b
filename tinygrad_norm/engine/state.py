"""What is true around a computation: whether it is recorded, and in which scope."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class _State(threading.local):
    recording = True
    scope: tuple[str, ...] = ()


state = _State()


@contextmanager
def no_grad() -> Iterator[None]:
    """Compute without recording: results are plain constants. Also works as a decorator."""
    before, state.recording = state.recording, False
    try:
        yield
    finally:
        state.recording = before


class Entered(str):
    """The name of a scope. Each entering has one of its own, by which two calls of one layer can be told apart."""

    __slots__ = ()


class scope:  # a class, not a generator: it is entered several times in every recorded layer
    """Give what is recorded inside a place: pictures and routes group by it. Scopes nest."""

    __slots__ = ("before", "name")

    def __init__(self, name: str) -> None:
        self.name = name

    def __enter__(self) -> None:
        self.before = state.scope
        state.scope = (*self.before, Entered(self.name))

    def __exit__(self, *error: object) -> None:
        state.scope = self.before
