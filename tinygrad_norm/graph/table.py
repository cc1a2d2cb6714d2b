"""Tables and numbers for terminals, 80 columns wide."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable, Sequence
from io import StringIO
from typing import Any


def number(value: float) -> str:
    """Three digits; rounding noise as a power of ten; nothing for an exact zero but 0."""
    if value == 0:
        return "0"
    size = abs(value)
    return f"{value:.1e}" if size < 1e-3 or size >= 1e5 else f"{value:.4g}"


def bar(share: float, columns: int) -> str:
    """A horizontal bar in eighths of a column."""
    eighths = max(0, min(columns * 8, round(share * columns * 8)))
    return "█" * (eighths // 8) + ("", "▏", "▎", "▍", "▌", "▋", "▊", "▉")[eighths % 8]


_CONTROLS = dict.fromkeys((*range(10), *range(11, 32), *range(127, 160)), "\ufffd")


def harmless(text: str) -> str:
    """Without what would steer a terminal: names may hold anything."""
    return text.translate(_CONTROLS)


def table(header: Sequence[str], rows: Iterable[Sequence[str]], spill: int | None = None, ascii: bool = False) -> str:
    """Aligned columns with a rule under the header; columns of numbers are aligned to the right.

    spill: a row whose cells after that one are all empty lets it run over them to the end of the line.
    ascii: everything is spelled out: ``mu`` for μ
    """
    from rich.cells import cell_len

    spell = ascii_text if ascii else str
    header = [spell(h) for h in header]
    rows = [tuple(spell(cell) for cell in r) for r in rows]
    spilled = [spill is not None and not any(r[spill + 1 :]) for r in rows]
    widths = [
        max([cell_len(h), *(cell_len(r[i]) for r, s in zip(rows, spilled) if not (s and i == spill))])
        for i, h in enumerate(header)
    ]
    right = [
        i > 0 and all(not r[i] or r[i][0] in "-−0123456789<≤" or r[i] in ("nan", "inf", "—", "yes", "no") for r in rows)
        for i in range(len(header))
    ]
    out = StringIO()

    def line(cells: Sequence[str], over: bool = False) -> None:
        parts = []
        for i, (cell, wide) in enumerate(zip(cells, widths)):
            if over and i == spill:
                parts.append(cell)
                break
            blank = " " * (wide - cell_len(cell))
            parts.append(blank + cell if right[i] else cell + blank)
        out.write("  ".join(parts).rstrip() + "\n")

    line(header)
    out.write(spell("─") * (sum(widths) + 2 * (len(widths) - 1)) + "\n")
    for r, s in zip(rows, spilled):
        line(r, s)
    return out.getvalue().rstrip("\n")


_SPELLED = {
    "·": "*",
    "−": "-",
    "×": "x",
    "÷": "/",
    "±": "+-",
    "∂": "d",
    "≫": ">>",
    "′": "'",
    "“": '"',
    "”": '"',
    "ε": "eps",
    "…": "...",
    "√": "sqrt",
    "½": "1/2",
    "¼": "1/4",
    "¾": "3/4",
    "ᵀ": "^T",
    "∞": "inf",
    "≥": ">=",
    "≤": "<=",
    "≠": "!=",
    "←": "<-",
    "→": "->",
    "►": ">",
    "‖": "|",
    "–": "-",
    "—": "-",
    "─": "-",
    "█": "#",
    **dict.fromkeys("▏▎▍▌", ""),
    **dict.fromkeys("▋▊▉", "#"),
}
_MARKS = {"\u0302": "hat", "\u0304": "bar", "\u0303": "tilde"}


def ascii_text(text: str) -> str:
    """Spelled out: x̂ is xhat, σ² is sigma^2, ``?`` what has no spelling."""
    parts: list[str] = []
    for c in unicodedata.normalize("NFD", text):
        name, plain = unicodedata.name(c, ""), unicodedata.normalize("NFKD", c)
        if c.isascii():
            parts.append(c)
        elif c in _SPELLED or c in _MARKS:
            parts.append(_SPELLED[c] if c in _SPELLED else _MARKS[c])
        elif name.startswith("GREEK ") and "LETTER" in name:
            word = name.split(" LETTER ")[1].split()[-1]
            parts.append(word.lower() if "SMALL" in name else word.capitalize())
        elif name.startswith("SUPERSCRIPT"):
            parts.append(("" if parts and parts[-1].startswith("^") else "^") + plain.replace("−", "-"))
        elif not unicodedata.combining(c):
            parts.append(plain if plain.isascii() else "?")
    return "".join(parts)


def to_json(value: Any, ascii: bool = False) -> str:
    """JSON as the standard has it: what is not finite is null."""
    import json

    def plain(v: Any) -> Any:
        if isinstance(v, dict):
            return {k: plain(w) for k, w in v.items()}
        if isinstance(v, (list, tuple)):
            return [plain(w) for w in v]
        return None if isinstance(v, float) and not math.isfinite(v) else v

    return json.dumps(plain(value), ensure_ascii=ascii, indent=1)
