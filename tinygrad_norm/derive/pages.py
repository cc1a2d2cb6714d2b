"""A derivation to read: in a terminal, as Markdown, as a LaTeX document, as one web page."""

from __future__ import annotations

import html
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..graph.table import number
from .writer import Latex, MathML

if TYPE_CHECKING:
    from .derivation import Derivation, Step

_TITLES = {
    "forward": "The forward pass",
    "chain": "The chain rule, from the output back",
    "route": "The same as a sum over routes",
    "rewrite": "Simplified",
}


def _sections(d: Derivation) -> list[tuple[str, str, list[Step]]]:
    kinds = list(dict.fromkeys(s.kind for s in d.steps))
    return [(kind, _TITLES[kind], [s for s in d.steps if s.kind == kind]) for kind in kinds]


def _costs(d: Derivation) -> str:
    return (
        f"forward and gradient: {d.operations[0]} operations on the tape, {d.passes[0]} of them over whole arrays; "
        f"{d.operations[1]} and {d.passes[1]} by the formula"
    )


def _verdict(d: Derivation) -> str:
    return f"largest difference to the record's gradient: {number(d.verify())}" + ("" if d.ok else "   NOT THE SAME")


def _assumed(d: Derivation) -> list[str]:
    return [f"assumed, as on the record: {', '.join(d.assumptions)}"] if d.assumptions else []


def as_text(d: Derivation, columns: int = 100) -> str:
    lines = [f"{d.title}: {d.gradient}, derived from the record"]
    for kind, title, steps in _sections(d):
        lines += ["", title]
        for s in steps:
            body = d.writer(s.expr)
            if kind == "rewrite":
                lines.append(f"  [{s.rule}]" + (f" {s.reason}" if s.reason else ""))
                lines += _wrapped(f"    {s.left} = {body}", columns, s.off)
            elif kind == "route":
                lines += _wrapped(f"  {s.left}  {s.rule}:  {body}", columns, s.off)
            else:
                lines += _wrapped(f"  {s.left} = {body}" + (f"   ({s.rule})" if s.rule else ""), columns, s.off)
    lines += ["", *str(d.formula).split("\n"), *_assumed(d), _verdict(d), _costs(d)]
    return "\n".join(lines)


def _wrapped(line: str, columns: int, off: float) -> list[str]:
    parts = textwrap.wrap(line, columns - 10, subsequent_indent="        ", break_long_words=False, break_on_hyphens=False) or [
        ""
    ]
    indent = line[: len(line) - len(line.lstrip())]
    parts[0] = indent + parts[0].lstrip()
    parts[-1] = f"{parts[-1]:<{columns - 10}}  {number(off)}"
    return parts


def as_markdown(d: Derivation) -> str:
    hand = d.hand(Latex)
    lines = [f"# {d.title}: ${hand.letter(d.gradient)}$", ""]
    for kind, title, steps in _sections(d):
        lines += [f"## {title}", ""]
        for s in steps:
            if kind == "rewrite":
                lines.append(f"- **{s.rule}** ({s.reason})" if s.reason else f"- **{s.rule}**")
                lines += ["", f"  $${hand.equation(s.left, s.expr)}$$", ""]
            else:
                lines.append(f"- {s.rule}: ${hand(s.expr)}$" if kind == "route" else f"- ${hand.equation(s.left, s.expr)}$")
        lines.append("")
    lines += [
        f"**Result:** $${d.latex()}$$",
        "",
        *(t for a in _assumed(d) for t in (f"{a}.", "")),
        f"{_verdict(d)}; {_costs(d)}.",
        "",
    ]
    return "\n".join(lines)


def as_latex(d: Derivation) -> str:
    return _document([d])


def _document(found: Sequence[Derivation]) -> str:
    head = "\\documentclass{article}\n\\usepackage{amsmath,amssymb}\n\\allowdisplaybreaks\n\\begin{document}\n"
    return head + "\n".join(_latex_section(d) for d in found) + "\\end{document}\n"


def _latex_section(d: Derivation) -> str:
    hand = d.hand(Latex)
    lines = []
    lines.append(f"\\section*{{{_plain(d.title)}: ${hand.letter(d.gradient)}$}}")
    for kind, title, steps in _sections(d):
        lines.append(f"\\subsection*{{{title}}}")
        for s in steps:
            if kind in ("rewrite", "route"):
                about = f"{s.rule}: {s.reason}" if kind == "rewrite" and s.reason else s.rule
                lines.append(f"\\paragraph{{}}{_plain(about)}")
            lines.append(_display(hand.equation(s.left, s.expr)))
    lines += [
        "\\subsection*{Result}",
        *(_display(hand.hand.equation(left, e)) for left, e in d.formula.equations()),
        *map(_plain, _assumed(d)),
        "",
    ]
    return "\n".join(lines)


def _display(equation: str, columns: int = 150) -> str:
    """One displayed equation, broken between terms where it is long."""
    left, _, right = equation.partition(" = ")
    if len(right) > columns:  # \\left( … \\right) would not break
        right = right.replace("\\left", "\\bigl").replace("\\right", "\\bigr")
    depth, pieces, start = 0, [], 0
    for k, ch in enumerate(right):
        depth += (ch in "{") - (ch in "}")
        if depth == 0 and right[k : k + 3] in (" + ", " - "):
            pieces.append(right[start:k])
            start = k
    pieces.append(right[start:])
    lines = [""]
    for piece in pieces:
        if lines[-1] and len(lines[-1]) + len(piece) > columns:
            lines.append("")
        lines[-1] += piece
    return f"\\begin{{align*}}\n{left} &= " + " \\\\\n&\\quad{}".join(lines) + "\n\\end{align*}"


def _plain(text: str) -> str:
    """Prose with letters in it, for LaTeX: every word that is not ASCII goes to math mode."""
    from .writer import latex_name

    words = []
    for word in text.split(" "):
        if word.isascii():
            for mark in "\\{}$&#^_%":
                word = word.replace(mark, f"\\{mark}" if mark not in "\\^" else "")
            words.append(word)
        else:
            words.append(f"${latex_name(word)}$")
    return " ".join(words)


_STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #ffffff; --soft: #57606a; --line: #d0d7de; --mark: #0b5cad; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --paper: #0d1117; --soft: #9aa4af; --line: #30363d; --mark: #79b8ff; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } summary { cursor: pointer; font-size: 1.1rem; font-weight: 600; padding: .4rem 0; }
details { border-top: 1px solid var(--line); } ol { list-style: none; padding: 0 0 .5rem; margin: 0; }
li { display: grid; grid-template-columns: minmax(0, 1fr) auto; gap: .1rem 1rem; padding: .35rem 0; align-items: baseline; }
li > p { grid-column: 1 / -1; margin: 0; color: var(--soft); } li > p b { color: var(--mark); }
li > div, .result > div { padding: .3rem 0; overflow-wrap: anywhere; overflow-x: auto; } math + math { margin-left: .25em; } p, summary { overflow-wrap: anywhere; } .off { color: var(--soft); font-size: .85rem; font-variant-numeric: tabular-nums; }
math { font-size: 1.1rem; } .result { border: 1px solid var(--line); border-left: .3rem solid var(--mark); padding: .8rem 1rem; overflow-x: auto; }
pre { overflow-x: auto; border: 1px solid var(--line); padding: .8rem; font-size: .9rem; }
@media (max-width: 30rem) { math { font-size: .8rem; } body { padding: 0 .6rem; } }
@media print { details { break-inside: avoid; } }
"""


def as_html(d: Derivation) -> str:
    return _page([d])


def _page(found: Sequence[Derivation]) -> str:
    title = html.escape("; ".join(f"{d.title}: {d.gradient}" for d in found))
    return (
        "<!doctype html>\n<html lang=en><head><meta charset=utf-8>"
        "<meta http-equiv=Content-Security-Policy content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<meta name=viewport content='width=device-width'><title>{title}</title><style>{_STYLE}</style></head><body>"
        f"{''.join(as_section(d) for d in found)}</body></html>\n"
    )


def as_section(d: Derivation, heading: str = "h1") -> str:
    """The derivation as a piece of a page: HTML and MathML, no scripts, no styles."""
    hand = d.hand(MathML)
    title = html.escape(f"{d.title}: {d.gradient}")
    parts = []
    for kind, name, steps in _sections(d):
        rows = []
        for s in steps:
            about = f"<p><b>{html.escape(s.rule)}</b> {html.escape(s.reason)}</p>" if kind in ("rewrite", "route") else ""
            rows.append(f"<li>{about}<div>{hand.equation(s.left, s.expr)}</div><span class=off>{number(s.off)}</span></li>")
        parts.append(f"<details open><summary>{html.escape(name)}</summary><ol>{''.join(rows)}</ol></details>")
    result = "".join(f"<div>{hand.hand.equation(a, e)}</div>" for a, e in d.formula.equations())
    return (
        f"<{heading}>{title}</{heading}><div class=result>{result}</div>"
        f"{''.join(f'<p>{html.escape(a)}.</p>' for a in _assumed(d))}<p>{html.escape(_verdict(d))}; {html.escape(_costs(d))}. Beside each line: the largest difference to the line before, in numbers.</p>"
        f"{''.join(parts)}<details><summary>In NumPy</summary><pre>{html.escape(d.numpy_source())}</pre></details>"
    )


def join(found: Sequence[Derivation], kind: str, plain: bool = False) -> str:
    """Several derivations in one file of a kind."""
    if kind == "html":
        return _page(found)
    if kind == "latex":
        return _document(found)
    if kind == "json":
        return "[" + ",\n".join(d.to_json() for d in found) + "]\n"
    if kind == "numpy":
        head = "import numpy as np\n"
        sources = [d.numpy_source() for d in found]
        mathematical = "import math\n" if any(s.startswith("import math") for s in sources) else ""
        return mathematical + head + "".join(s.partition(head)[2] for s in sources)
    if kind == "markdown":
        return "\n".join(d.markdown() for d in found)
    return "\n\n".join(d.text(ascii=plain) for d in found) + "\n"
