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


@contextmanager
def scope(name: str) -> Iterator[None]:
    """Give what is recorded inside a place: pictures and routes group by it. Scopes nest."""
    before = state.scope
    state.scope = (*before, name)
    try:
        yield
    finally:
        state.scope = before
