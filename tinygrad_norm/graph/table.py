"""Tables and numbers for terminals, 80 columns wide."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from io import StringIO


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


def table(header: Sequence[str], rows: Iterable[Sequence[str]], columns: int = 80, spill: int | None = None) -> str:
    """Aligned columns with a rule under the header. Every column but the first two is right-aligned when numeric.

    spill: a row whose cells after that one are all empty lets it run over them to the end of the line.
    """
    from rich.cells import cell_len

    rows = [tuple(r) for r in rows]
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
        out.write("  ".join(parts).rstrip()[: columns * 4] + "\n")

    line(header)
    out.write("─" * min(columns, sum(widths) + 2 * (len(widths) - 1)) + "\n")
    for r, s in zip(rows, spilled):
        line(r, s)
    return out.getvalue().rstrip("\n")


_ASCII = {
    "μ": "mu", "σ": "sigma", "γ": "gamma", "β": "beta", "ε": "eps", "x̂": "xhat", "Σ": "Sum", "Δ": "d", "‖": "|",
    "²": "^2", "³": "^3", "⁴": "^4", "½": "1/2", "¼": "1/4", "√": "sqrt", "·": "*", "×": "x", "−": "-", "–": "-", "…": "...",
    "←": "<-", "→": "->", "►": ">", "▸": ">", "─": "-", "│": "|", "┌": "+", "┐": "+", "└": "+", "┘": "+", "┬": "+", "┴": "+", "├": "+",
    "┤": "+", "┼": "+", "█": "#", "▏": ".", "▎": ".", "▍": ":", "▌": ":", "▋": ":", "▊": "#", "▉": "#", "ŷ": "yhat", "≥": ">=", "≤": "<=", "≠": "!=",
}  # fmt: skip


def ascii_text(text: str) -> str:
    """The text for terminals that know nothing but ASCII."""
    for mark in sorted(_ASCII, key=len, reverse=True):
        text = text.replace(mark, _ASCII[mark])
    return text.encode("ascii", "replace").decode("ascii")
