"""What a notebook shows of a graph. It never raises: a cell must not fail because of a picture."""

from __future__ import annotations

import textwrap
from html import escape
from typing import Any


def bundle(graph: Any) -> dict[str, str]:
    """Text and picture; one that cannot be made says why in its place."""
    try:
        text = str(graph)
    except Exception as error:
        text = f"a graph that cannot be shown: {_words(error)}"
    try:
        picture = graph.to_svg()
    except Exception as error:
        picture = _notice(f"a graph that cannot be drawn: {_words(error)}")
    return {"text/plain": text, "image/svg+xml": picture}


def _words(error: Exception) -> str:
    try:
        said = f"{type(error).__name__}: {error}"
    except Exception:  # its own message is broken, too
        said = type(error).__name__
    return "".join(c if c.isprintable() or c.isspace() else "\ufffd" for c in said)


def _notice(text: str) -> str:
    """A few lines of text as a picture."""
    lines = textwrap.wrap(text, 90)
    wide, high = 9 * max(map(len, lines)) + 24, 20 * len(lines) + 16
    texts = [f'<text x="12" y="{20 * k + 23}">{escape(line)}</text>' for k, line in enumerate(lines)]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{wide}" height="{high}" viewBox="0 0 {wide} {high}" '
        f'font-family="sans-serif" font-size="14" fill="#1a202c"><rect width="{wide}" height="{high}" fill="#ffffff"/>'
        f"{''.join(texts)}</svg>\n"
    )
