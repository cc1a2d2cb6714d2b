"""What stands in a box and on an arrow, and how wide it is. Shared by every kind of picture."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..graph import Edge, Elements, Node, Record, shape_text
from ..graph.elements import number_text
from ..graph.levels import IN, OUT

LONGEST = 28
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_TURNS = re.compile("[\u200e\u200f\u202a-\u202e\u2066-\u2069]")  # they would turn around what stands beside a name

# Advance widths in hundredths of the font size: the wider of DejaVu Sans and Verdana, so nothing is clipped.
_WIDTHS = {
    glyph: w
    for w, glyphs in {
        30: "ijl'|",
        37: " .,:;·ftI",
        46: '()[]/\\-!r"J',
        54: "sczL²³⁻⁰¹⁴⁵⁶⁷⁸⁹₀₁₂₃₄₅₆₇₈₉*",
        61: "aekvxyFTYγνι?",
        65: "bdghnopqu0123456789$_βδεθκλμπρστφχ#‖",
        70: "ABCEKPRSVXZ&",
        79: "DGHNOQU",
        84: "M+<=>~^×−±w",
        100: "Wm@%½¼¾…→∂√∞",
        200: "⸺",
        300: "⸻",
    }.items()
    for glyph in glyphs
}


@dataclass(frozen=True)
class Card:
    """What stands in one node's box: its label, the lines under it, and everything in one sentence."""

    label: str
    lines: tuple[str, ...]
    whole: str
    is_port: bool = False


def clean(text: str) -> str:
    """The text on one line, with characters that no XML document may hold replaced."""
    text = text.replace("\r\n", "\n").translate({10: "↵", 13: "↵", 9: " "})
    return _NOT_XML.sub("\ufffd", _TURNS.sub("", text))


def shorten(text: str, longest: int = LONGEST) -> str:
    """At most ``longest`` characters, the last one … where something was cut off."""
    return text if len(text) <= longest else text[: longest - 1].rstrip() + "…"


def text_width(text: str, size: float) -> float:
    """The width of a text in the generic sans font, in the unit of ``size``; never too small."""
    return size * sum(_hundredths(c) for c in text) / 100  # whole numbers: Python 3.12 adds floats up otherwise than 3.11


def _hundredths(c: str) -> int:
    if c in _WIDTHS:
        return _WIDTHS[c]
    if unicodedata.combining(c) or unicodedata.category(c) in ("Mn", "Me", "Cf"):
        return 0
    if unicodedata.east_asian_width(c) in "WF":
        return 130
    return 80 if ord(c) < 0x2000 else 100


def common_dtype(graph: Record) -> str | None:
    """The dtype of all nodes, or None where they differ."""
    found = {n.dtype for n in graph.nodes}
    return found.pop() if len(found) == 1 else None


def shape_line(node: Node, dtype: str | None) -> str:
    """``(8, 64)``; with the dtype where the nodes' dtypes differ."""
    shape = shape_text(node.shape) if node.shape else "scalar"
    return shape if dtype else f"{shape} {node.dtype}"


def cards(graph: Record, values: bool = False, gradients: Any = None, dtypes: bool = False, scopes: bool = False) -> list[Card]:
    """One card per node.

    values:     add up to four of its values
    gradients:  add the norm of its gradient; ``True`` for the graph's own random cotangent, or a cotangent
    dtypes:     its dtype also where all are the same
    scopes:     add the scope it was recorded in

    A node that is one number says nothing of its shape, and of its gradient the number.
    """
    dtype, numbers = None if dtypes else common_dtype(graph), isinstance(graph, Elements)
    wanted = gradients is not None and gradients is not False
    found = graph.gradients(None if gradients is True else gradients) if wanted else {}
    made = []
    for node in graph.nodes:
        label, text = clean(node.label), clean(node.text)
        if node.op in (IN, OUT):
            made.append(
                Card(
                    shorten(label, 18),
                    (),
                    f"{label}, {'comes in' if node.op == IN else 'leaves'}, {shape_text(node.shape)}",
                    True,
                )
            )
            continue
        lines = [] if text in ("", label) else [text]
        if not (numbers and dtype):
            lines.append(node.dtype if numbers else shape_line(node, dtype))
        if scopes and node.scope and node.op not in (None, "fold"):
            lines.append("in " + clean(" › ".join(node.scope)))
        if values:
            lines += [number_text(node.tensor.numpy())] if numbers else preview(node.tensor.numpy())
        if node.id in found:
            g = found[node.id]
            d = gradient_name(label)
            lines.append(f"{d} = {number_text(g)}" if numbers else f"‖{d}‖ = {norm(g):.4g}")
        whole = f"{node.role} {label}" + (f" = {text}" if lines and lines[0] == text else "")
        size = number_text(node.tensor.numpy(), 6) if numbers else f"shape {shape_text(node.shape)}"
        made.append(Card(shorten(label), tuple(map(shorten, lines)), f"{whole}, {size}, {node.dtype}"))
    return made


def gradient_name(label: str) -> str:
    """What the gradient of something is called: ``dx̂``, ``dσ²``, ``d(x̂·γ)``."""
    word = all(c.isalnum() or c in "_'.₀₁₂₃₄₅₆₇₈₉" or unicodedata.combining(c) for c in label)
    return f"d{shorten(label, 14)}" if word else f"d({shorten(label, 12)})"


def preview(array: Any) -> list[str]:
    """The first four values, two to a line so that boxes stay narrow: ``0.126, −0.132,`` and ``0.64, 0.105, …``."""
    first = [f"{v:.3g}".replace("-", "−") for v in array.ravel()[:4].tolist()]
    if not first:
        return ["empty"]
    if array.size > 4:
        first.append("…")
    return [", ".join(first)] if len(first) < 3 else [", ".join(first[:2]) + ",", ", ".join(first[2:])]


def norm(array: Any) -> float:
    """Its length, whatever its dtype and however large or small it is."""
    size = np.abs(np.asarray(array, dtype=np.result_type(array.dtype, np.float64))).ravel()
    largest = size.max(initial=0.0)
    if largest == 0 or not np.isfinite(largest):
        return float(largest)
    return float(largest * np.linalg.norm(size / largest))  # scaled: no overflow on the way


def edge_label(edge: Edge) -> str:
    """The local rule as it stands on an arrow; nothing for a bare ×1."""
    return "" if edge.rule in ("×1", "×…") else shorten(clean(edge.rule), 18)


def edge_words(graph: Record, edge: Edge) -> str:
    """An edge in a few words: ``rstd to x̂: ×c, summed``."""
    ends = f"{clean(graph.nodes[edge.source].label)} to {clean(graph.nodes[edge.target].label)}"
    into = "rearranged" if graph.nodes[edge.target].op != "fold" else "through all that is in the box"
    return f"{ends}: {clean(edge.rule) or into}{', summed' if edge.summed else ''}"
