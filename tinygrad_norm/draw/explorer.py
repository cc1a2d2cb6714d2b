"""One HTML file to step through a record: no network, no package, everything in it made by the engine."""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from html import escape
from importlib.resources import files
from typing import Any

import numpy as np

from ..engine import GradientError
from ..graph import Folded, Record
from ..graph.folding import plainly
from ..graph.routes import Routes, counted, find_routes
from ..graph.table import ascii_text, number
from .beside import beside
from .compose import Picture, compose, line_widths
from .fitting import READABLE, on_paper
from .nested_view import LONGEST_RULE, MOST_TOLD, Nested, nested, route_rows
from .palette import DARK, DASHES, LIGHT, Palette
from .pen import Pen
from .steps import MOST, MOST_ROUTES, Matrix, Step, facts, largest, steps_of
from .svg import elements, sheet
from .text import clean, norm, shorten
from .twin import twin_picture

LARGEST = 60  # nodes that are stepped through one by one
MOST_SMALL = 200  # nodes of a graph whose page is to be small
MOST_BYTES, MOST_PACKED = 150_000, 1_500_000
SCREEN = (1400.0, 2000.0)  # what a picture is to fit, in rows if need be
PHASES = {"given": "what is given", "forward": "forward", "seed": "the seed", "backward": "backward"}  # with a button


@dataclass(frozen=True)
class View:
    """One level of detail: a picture, its story, and what there is to know of each node."""

    label: str
    note: str
    picture: Picture
    steps: list[Step]
    facts: list[dict[str, Any]]


def explorer(
    graph: Record,
    *,
    gradients: Any = None,
    title: str | None = None,
    twin: Record | None = None,
    remark: str = "",
    formula: str = "",
    family: Mapping[str, Record] | None = None,
) -> str:
    """The page, of at most some 150 kB, or 1.5 MB for a large record: matrices are cut, and say so, where it would be more.

    gradients:  the cotangent of the output; by default a random one
    title:      a heading; without one the page is called after the output
    twin:       the same computed with a hand-derived backward; its leaves have the same labels
    remark:     what else is to be said of the twin
    formula:    HTML for the tab Formula; by default each route's closed form
    family:     this record and its relatives, by title, to be shown on one layout

    Boxes, the calls of modules and functions and the named scopes, open and close in place. Of a graph of at most 60 nodes every
    operation is shown at once, too.
    """
    whole = graph.whole
    dy = whole.cotangent(None if gradients is True or gradients is False else gradients)
    name = clean(title) if title else f"{clean(whole.nodes[-1].label)}, step by step"
    routes = _routes(whole, dy)
    views: list[View | Nested] = [_view("every operation", "", plainly(whole), dy)] if len(whole.nodes) <= LARGEST else []
    boxes = nested("boxes", whole, dy)
    views += [boxes] if boxes is not None else []
    views = views or [_view("every operation", "", plainly(whole), dy)]
    fused = [] if twin is None else [_twin_view(whole, twin, dy, remark)]
    rest = (routes, formula or _closed_forms(routes), _sized(beside(family)) if family else "")
    page = ""
    for most in (MOST, 6, 4, 3) if len(whole.nodes) <= MOST_SMALL else ():
        page = _page(name, (*views, *fused), most, *rest)
        if len(page.encode()) <= MOST_BYTES:
            return page
    if len(whole.nodes) <= LARGEST:  # what opens shows every operation, too
        for kept, most in ((views, MOST), (views, 4), (views[-1:], MOST), (views[-1:], 4), (views[-1:], 2)):
            page = _page(name, (*kept, *fused), most, *rest, packed=True)
            if len(page.encode()) <= MOST_BYTES:
                return page
    for most in (MOST, 4, 2, 0):
        page = _page(name, (*views, *fused), most, *rest, packed=True)
        if len(page.encode()) <= MOST_PACKED:
            break
    return page


# What is on it ------------------------------------------------------------------------------------------------


def _view(label: str, note: str, graph: Record, dy: Any) -> View:
    picture = replace(
        on_paper(graph, SCREEN), widths=line_widths(graph, dy)
    )  # no norms in the boxes: the story tells them in time
    return View(label, note, picture, steps_of(graph, dy), facts(graph, graph.gradients(dy)))


def _twin_view(graph: Record, twin: Record, dy: Any, remark: str) -> View:
    gap = largest_difference(graph, twin, dy)
    usual = {n.op for n in graph.nodes}
    own = " and ".join(dict.fromkeys(n.op for n in twin.nodes if n.op is not None and n.op not in usual))
    note = f"{own}: one node with a hand-derived backward. Largest difference to every operation: {gap}. {remark}".strip()
    picture = twin_picture(compose(graph), twin, dy)
    return View("one node", note, picture, steps_of(twin, dy), facts(twin, twin.gradients(dy)))


def largest_difference(graph: Record, twin: Record, dy: Any) -> str:
    """``dx 4.4e-16, dγ 0``: between the gradients of the leaves of the same label."""
    mine, theirs = graph.gradients(dy), twin.gradients(dy)
    by_label = {n.label: n.id for n in twin.nodes if n.op is None}
    told = []
    for n in graph.nodes:
        i = by_label.get(n.label) if n.op is None else None
        if i is not None and n.id in mine and i in theirs:
            gap = float(np.max(np.abs(mine[n.id] - theirs[i]), initial=0))
            told.append(f"d{clean(n.label)} {number(gap)}")
    return ", ".join(told)


def _routes(graph: Record, dy: Any) -> Routes | str:
    x = graph.main_input
    count = graph.count_routes(x)
    if count > MOST_TOLD:
        said = f"{counted(count)} routes lead from {clean(graph.node(x).label)} to {clean(graph.nodes[-1].label)}: too many to tell one by one."
        return said[0].upper() + said[1:]
    try:
        return find_routes(graph, x, dy)
    except GradientError as error:
        return str(error)


def _closed_forms(routes: Routes | str) -> str:
    """Each route's share as a formula, as far as there is one."""
    if isinstance(routes, str):
        return f"<p>{escape(routes)}</p>"
    name = f"d{clean(routes.graph.node(routes.source).label)}"
    rows = []
    for r in routes:
        form = r.closed_form if len(routes.graph.nodes) <= LARGEST else None
        said = f"zero, because {clean(form.zero)}" if form and form.zero else ""
        shown = escape(shorten(clean(form.text if form else r.rules), LONGEST_RULE))
        rows.append(f"<dt>{escape(r.letter)} {escape(clean(r.title))}</dt><dd><code>{shown}</code> {escape(said)}</dd>")
    total = " + ".join(r.letter for r in routes)
    return f"<p>{escape(name)} = {escape(total)}</p><dl>{''.join(rows)}</dl>"


# The page -----------------------------------------------------------------------------------------------------


def _page(
    name: str,
    views: Sequence[View | Nested],
    most: int,
    routes: Routes | str,
    formula: str,
    family: str,
    packed: bool = False,
) -> str:
    store = _Store(most)
    told = [store.view(v) for v in views]
    if packed:
        told = [v | {"levels": _columns(v["levels"])} if "levels" in v else v for v in told]
    data = {
        "name": name,
        "views": told,
        "routes": _route_rows(routes, views),
        "why": routes if isinstance(routes, str) else "",
        "most": _most(routes),
    }
    data["matrices"] = store.packed
    if packed:
        data["formula"], formula = formula, ""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    if packed:
        text = base64.b64encode(gzip.compress(text.encode("utf-8", "replace"), 9, mtime=0)).decode()
    pen = Pen(LIGHT)
    pictures = "".join(
        f"<div class=view data-view={k}{' hidden' if k else ''}>"
        f"{_stage(name, v) if isinstance(v, Nested) else _sized(sheet(v.picture, pen, elements(v.picture, pen, tails=True)), 'group', f'{name}: {v.label}')}"
        f"<p class=note>{escape(v.note)}</p></div>"
        for k, v in enumerate(views)
    )
    levels = "".join(
        f"<button type=button data-level={k} aria-pressed={'false' if k else 'true'}>{escape(v.label)}</button>"
        for k, v in enumerate(views)
    )
    phases = "".join(f'<button type=button data-phase="{p}">{said}</button>' for p, said in PHASES.items())
    tabs = {"step": "Step", "tensor": "Tensor", "routes": "Routes", "formula": "Formula"} | (
        {"family": "Family"} if family else {}
    )
    tablist = "".join(
        f"<button type=button role=tab id=tab-{t} aria-controls=panel-{t} aria-selected={'true' if t == 'step' else 'false'} "
        f"tabindex={0 if t == 'step' else -1}>{said}</button>"
        for t, said in tabs.items()
    )
    bodies = {"formula": formula, "family": family}
    panels = "".join(
        f"<section role=tabpanel id=panel-{t} aria-labelledby=tab-{t} tabindex=0{' aria-live=polite' if t == 'tensor' else ''}{'' if t == 'step' else ' hidden'}>{bodies.get(t, '')}</section>"
        for t in tabs
    )
    return _template("explorer.html").format(
        title=escape(name), style=_style(), rules=_svg_rules(), levels=levels, pictures=pictures, phases=phases, tabs=tablist, panels=panels,
        data=text, kind="text/plain" if packed else "application/json", script=_script(),
    )  # fmt: skip


def _stage(name: str, v: Nested) -> str:
    """Where boxes are opened and closed, and how."""
    keys = (
        ("near", "+", "nearer (z)"),
        ("far", "−", "farther (Shift z)"),
        ("fit", "fit", "all of it (f)"),
        ("all", "close all", "close every box"),
    )
    tools = "".join(
        f"<button type=button data-stage={k} title='{said}' aria-label='{said}'>{text}</button>" for k, text, said in keys
    )
    label = escape(f"{name}: {v.label}; Enter or + opens a box, − or Escape closes it")
    return (
        f"<div class=stage><div class=tools>{tools}</div><svg role=group aria-label='{label}' tabindex=-1></svg>"
        "<svg class=map aria-hidden=true hidden></svg></div><p class=legend></p>"
    )


def _columns(levels: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """What is of one kind side by side: it packs into a third."""
    keys = list(dict.fromkeys(key for level in levels.values() for key in level))
    return {"paths": list(levels), "keys": keys, "values": [[level.get(key) for level in levels.values()] for key in keys]}


class _Store:
    """Every matrix once, however often it is looked at."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.places: dict[Matrix, int] = {}
        self.packed: list[dict[str, Any]] = []

    def view(self, v: View | Nested) -> dict[str, Any]:
        if isinstance(v, Nested):
            v.with_numbers = v.with_numbers and self.most > 0
            legend = [[room, re.sub(_RULED, "", sign), text] for room, sign, text in v.legend]
            return v.data(self.place, self.step) | {"legend": legend}
        return {
            "label": v.label,
            "whole": not isinstance(v.picture.graph, Folded) and v.picture.layout.kind != "twin",
            "steps": [self.step(s) for s in v.steps],
            "facts": [self.fact(f["lines"], f["matrices"]) for f in v.facts],
        }

    def fact(self, lines: list[str], matrices: list[Matrix]) -> dict[str, Any]:
        told: dict[str, Any] = {"lines": lines, "m": [self.place(m) for m in matrices]}
        if not lines[0].isascii():
            told["a"] = ascii_text(lines[0])  # to be found by whoever has no Greek keyboard
        return told

    def step(self, s: Step, with_numbers: bool = True) -> dict[str, Any]:
        """Short keys: phase, said, changed, node, edges, matrices."""
        told: dict[str, Any] = {"p": s.phase, "s": s.text, "c": s.changed, "n": s.node, "e": s.edges}
        told["m"] = [self.place(m) for m in s.matrices] if with_numbers and self.most else []
        if s.options:
            told |= {"options": s.options, "answer": s.answer, "because": s.because}
        return told

    def place(self, m: Matrix) -> int:
        m = m.first(self.most)
        if m not in self.places:
            self.places[m] = len(self.packed)
            shades = ["".join(chr(77 + round(12 * v)) for v in row) for row in m.shades]
            self.packed.append({"t": m.title, "s": m.shape, "c": m.cut, "r": [" ".join(row) for row in m.cells], "h": shades})
        return self.places[m]


def _route_rows(routes: Routes | str, views: Sequence[View | Nested]) -> list[dict[str, Any]]:
    """Of routes that are few enough for letters, also what they go along in boxes, by view."""
    if isinstance(routes, str):
        return []
    rows = route_rows(routes, routes.graph)
    for k, v in enumerate(views):
        if isinstance(v, Nested) and not v.routes:
            for row, r in zip(rows, routes):
                row.setdefault("on", {})[k] = v.along(r)
    return rows


def _most(routes: Routes | str) -> int | None:
    """Which route gives the most, if that can be asked."""
    return None if isinstance(routes, str) or len(routes) > MOST_ROUTES else largest([norm(r.share) for r in routes])


def _sized(picture: str, role: str = "img", label: str = "") -> str:
    """A picture that shrinks as far as its smallest text can be read before it has to be scrolled.

    A ``role`` of "group" lets a screen reader in, to the tensors; ``label`` is what it is called then.
    """
    width = int(picture.partition('width="')[2].partition('"')[0])
    picture = re.sub('<text[^>]* class="halo"[^>]*>[^<]*</text>', "", picture)
    picture = re.sub(_RULED, "", picture)  # the page's rules say it
    picture = re.sub("<desc>.*?</desc>", "", picture, flags=re.DOTALL)  # each node and edge has its own title
    picture = picture.replace('role="img"', f'role="{role}"', 1)
    if label:
        picture = re.sub('aria-label="[^"]*"', lambda _: f'aria-label="{escape(label)}"', picture, count=1)
    return picture.replace("<svg ", f'<svg style="min-width:{round(READABLE * width)}px" ', 1)


@cache
def _script() -> str:
    parts = (_template("explorer.js"), *(_template(f"{name}.js") for name in ("nested", "stage")))
    whole = parts[0].replace("/* nested */", "".join(parts[1:]))
    return re.sub(r"(?<=[;{,])\n", "", re.sub(r"\n//[^\n]*|  // [^\n]*", "", whole))  # what is for readers stays here


@cache
def _template(name: str) -> str:
    return re.sub("\n +", "\n", files("tinygrad_norm.draw").joinpath(name).read_text(encoding="utf-8"))


def _style() -> str:
    light, dark = _variables(LIGHT), _variables(DARK)
    return (
        f":root{{{light}}}@media(prefers-color-scheme:dark){{:root:not([data-theme=light]){{{dark}}}}}"
        f":root[data-theme=dark]{{{dark}}}@media print{{:root,:root[data-theme]{{{light}}}}}{_template('explorer.css')}"
    )


def _variables(ink: Palette) -> str:
    named = {"paper": ink.paper, "ink": ink.ink, "faint": ink.faint, "border": ink.border, "mark": ink.mark}
    named |= {f"fill-{role}": fill for role, fill in ink.fills.items()}
    named |= {f"lane-{lane or 'side'}": stroke for lane, stroke in ink.lanes.items()}
    dark = ink is DARK
    named |= {"base": "15%" if dark else "97%", "span": "22%" if dark else "-37%", "on-cell": "#ffffff" if dark else "#111111"}
    named["scheme"] = "dark" if dark else "light"
    return "".join(f"--{name}:{value};" for name, value in named.items()) + f"color-scheme:{named['scheme']};"


_RULED = re.compile(
    ' (?:fill|stroke)="#[0-9a-f]{6}"| stroke-width="(?:1.2|2)"| text-anchor="middle"| fill="none"'
    '| stroke-width="3"| font-size="1(?:2|2.5|6)"| font-weight="bold"'
)


def _svg_rules() -> str:
    """The colours of the pictures as rules, so that the page can change them, and what is the same everywhere."""
    rules = [
        ".edge path,.edge-sample path{fill:none}.edge path,.edge-sample path:not([stroke-width]){stroke-width:2}.back .edge path:not(.barrier),.routed .edge path:not(.barrier){stroke-width:var(--w)}.edge text{font-size:12.5px;stroke-width:3;paint-order:stroke}"
        ".node text{font-size:12px}.node rect+text{font-size:16px;font-weight:bold}.edge .on-sum{font-size:11px;stroke-width:0}.letter text{font-weight:bold}",
        "svg[role]{fill:var(--ink)}.paper{fill:var(--paper)}.node rect,.role{stroke:var(--border);stroke-width:1.2}",
        ".node text,.letter text,.on-sum{text-anchor:middle}.on-sum{fill:var(--paper)}.letter circle{fill:var(--paper)}.legend .sum{fill:var(--ink)}.legend .barrier{stroke:var(--lane-side)}.edge text:not(.on-sum){stroke:var(--paper)}",
    ]
    for role in LIGHT.fills:
        rules.append(f".node[data-role={role}] rect,.role[data-role={role}]{{fill:var(--fill-{role})}}")
    for lane in DASHES:
        at, color = f"[data-lane={lane or 'side'}]", f"var(--lane-{lane or 'side'})"
        rules.append(
            f".edge{at} path,.edge-sample{at} path{{stroke:{color}}}.edge{at} polygon,.edge{at} text:not(.on-sum),.edge{at} circle{{fill:{color}}}"
            f".letter{at} circle{{stroke:{color}}}.letter{at} text{{fill:{color}}}"
        )
    return "".join(rules) + _MARKS


_MARKS = (  # what is looked at, what was seen before, and what is still to come; lines get their widths on the way back
    ".tail{visibility:hidden}.stepping .node,.stepping .edge{opacity:.35}.stepping .seen{opacity:.9}.stepping .now{opacity:1}"
    ".node.now rect{stroke:var(--mark);stroke-width:4}.edge.now path,.edge.now polygon{filter:drop-shadow(0 0 3px var(--mark))}"
    ".back .edge.seen .head{visibility:hidden}.back .edge.seen .tail{visibility:visible}"
    ".routed .node,.routed .edge,.routed .letter{opacity:.2}.routed .on{opacity:1}"
    ".node.picked rect{stroke:var(--mark);stroke-width:4;stroke-dasharray:6 3}.node.hit rect{stroke:var(--lane-above);stroke-width:4}"
    ".frame rect{fill:var(--faint);fill-opacity:.06;stroke:var(--border)}.frame text{font-size:13px;font-weight:bold;fill:var(--faint)}"
    ".port:not([data-role=output]) rect{fill:var(--paper)!important}.port rect{stroke-width:1!important}.port text{font-size:12px!important;font-weight:bold}"
    ".node .opens{font-size:12px;fill:var(--faint);font-weight:bold}.box rect{stroke-width:1.8}"
    ".edge .letter circle{fill:var(--paper);stroke-width:1.5}.edge .letter text:not(.on-sum){font-size:11px;stroke-width:0}"
    ".stepping .picked,.stepping .hit,.routed .picked,.routed .hit{opacity:1}"
)
