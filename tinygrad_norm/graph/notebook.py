"""What a notebook shows of a result. It never raises: a cell must not fail because of a picture.

The views are lent by the drawing room: a kind of result by its name, and what it looks like as one piece of HTML without scripts.
"""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import Any

from ..loans import open_lenders

_VIEWS: dict[str, Callable[..., str]] = {}


def lend_view(kind: str, view: Callable[..., str]) -> None:
    """Teach notebooks what a kind of result looks like."""
    _VIEWS[kind] = view


def bundle(what: str, text: Callable[[], str], kind: str, *given: Any) -> dict[str, str]:
    """Text and HTML; what cannot be made says why in its place.

    what:   what to call it then: "a graph"
    kind:   the view; ``given`` is what that is of
    """
    try:
        said = text()
        said.encode()
    except Exception as error:
        said = f"{what} that cannot be shown: {_words(error)}"
    try:
        open_lenders("graph")
        shown = _VIEWS[kind](*given)
        shown.encode()
    except Exception as error:
        shown = f"<p>{escape(f'{what} that cannot be drawn: {_words(error)}')}</p>"
    return {"text/plain": said, "text/html": shown}


def _words(error: Exception) -> str:
    try:
        said = f"{type(error).__name__}: {error}"
    except Exception:  # its own message is broken, too
        said = type(error).__name__
    return "".join(c if c.isprintable() or c.isspace() else "\ufffd" for c in said)


class Picture(str):
    """SVG text; a notebook shows it."""

    def _repr_svg_(self) -> str:
        return str(self)
