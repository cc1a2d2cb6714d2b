"""The house's docstrings as reStructuredText: paragraphs, formulas (what is indented), lists, and rows of a label and what it means."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Iterator
from typing import NamedTuple

_LABEL = re.compile(r"(?P<label>\S[^:]{0,44}?)(?::?  +|: (?! ))(?P<text>\S.*)")
_MARKED = re.compile(r"(``.+?``)")


class Block(NamedTuple):
    """kind: "text", "formula", "list" or "rows"; lines: of it, those of rows being (label, text)."""

    kind: str
    lines: tuple[str, ...] = ()
    rows: tuple[tuple[str, str], ...] = ()


def blocks(text: str) -> Iterator[Block]:
    """What a docstring is made of."""
    lines = inspect.cleandoc(text).splitlines()
    while lines:
        if not lines[0].strip():
            lines.pop(0)
        elif lines[0].startswith("    "):
            taken = _taken(lines, lambda line: line.startswith("    ") or not line.strip())
            yield Block("formula", tuple(textwrap.dedent("\n".join(taken)).strip("\n").splitlines()))
        elif lines[0].startswith("- "):
            taken = _taken(lines, lambda line: line.startswith(("- ", " ")))
            yield Block("list", tuple(re.sub(r"\n\s+", " ", "\n".join(taken)).splitlines()))
        elif _is_row(lines[0]):
            yield Block("rows", rows=tuple(_rows(_taken(lines, lambda line: bool(line.strip()) and _goes_on(line)))))
        else:
            yield Block(
                "text",
                tuple(
                    _taken(lines, lambda line: bool(line.strip()) and not line.startswith(("    ", "- ")) and not _is_row(line))
                ),
            )


def _taken(lines: list[str], fits: object) -> list[str]:
    assert callable(fits)
    count = next((i for i, line in enumerate(lines) if i and not fits(line)), len(lines))
    taken, lines[:] = lines[:count], lines[count:]
    return taken


def _is_row(line: str) -> bool:
    """Whether rows begin with it: in the others a colon may do, in the first the text stands apart."""
    return re.fullmatch(r"\S[^:]{0,44}?:?  +\S.*", line) is not None and _LABEL.fullmatch(line) is not None


def _goes_on(line: str) -> bool:
    return line.startswith("  ") or (_LABEL.fullmatch(line) is not None and not line.startswith(("Source: ", "Sources: ")))


def _rows(lines: list[str]) -> Iterator[tuple[str, str]]:
    label, text = "", list[str]()
    for line in lines:
        found = None if line.startswith(" ") else _LABEL.fullmatch(line)
        if found is None:
            text.append(line.strip())
            continue
        if label:
            yield label, " ".join(text)
        label, text = found["label"].rstrip(":"), [found["text"]]
    yield label, " ".join(text)


def plain(text: str) -> str:
    """Words in which nothing is a mark but ``code``."""
    parts = _MARKED.split(text)
    return "".join(p if i % 2 else re.sub(r"([\\*`|_])", r"\\\1", p) for i, p in enumerate(parts))


def rst(text: str) -> str:
    """A docstring, to stand in a page."""
    made = []
    for b in blocks(text):
        if b.kind == "formula":
            made.append(
                code("\n".join(b.lines), "python" if re.search(r"^import |^(>>>|x = tn\.)", "\n".join(b.lines), re.M) else "text")
            )
        elif b.kind == "list":
            made.append("\n".join(f"- {plain(line[2:])}" for line in b.lines))
        elif b.kind == "rows":
            made.append("\n".join(f"{plain(label)}\n   {plain(said)}" for label, said in b.rows))
        else:
            made.append(plain(" ".join(line.strip() for line in b.lines)))
    return "\n\n".join(made) + "\n"


def code(text: str, language: str = "text") -> str:
    return f".. code-block:: {language}\n\n" + textwrap.indent(text, "   ", lambda line: bool(line.strip()))


def raw(html: str) -> str:
    return ".. raw:: html\n\n" + textwrap.indent(html, "   ")


def title(text: str, mark: str = "=") -> str:
    return f"{plain(text)}\n{mark * (2 * len(text) + 2)}"


def toctree(pages: object, caption: str = "", options: str = "   :maxdepth: 1\n") -> str:
    assert isinstance(pages, (list, tuple))
    head = ".. toctree::\n" + options + (f"   :caption: {caption}\n" if caption else "")
    return head + "\n" + "".join(f"   {p}\n" for p in pages)
