"""From a graph to a file's content, with the built-in layout or with Graphviz; teaches graphs to save themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..engine import GradientError
from ..graph import Elements, Folded, Instead, Record, elements, fold, lend_writer
from ..graph.routes import Route
from ..graph.through import find_any_routes
from .dot import dot
from .explorer import explorer
from .graphviz_engines import run_graphviz
from .ladder import ladder, stand_alone
from .palette import DrawingError
from .raster import GET, can_rasterize, rasterize
from .svg import svg
from .terminal import terminal

ENGINES = ("auto", "graphviz", "builtin")
MOST_ROUTED = 60  # nodes of a graph in which a route is shown with every operation
_LEVEL = ("fold", "open", "keep", "elements")
_COMMON = ("values", "gradients", *_LEVEL, "theme", "direction")
_BUILTIN = ("title", "route", "dtypes", "scopes", "paper")  # for the built-in layout only


def render_svg(graph: Record, **options: Any) -> str:
    """SVG text. Options: ``engine`` ("auto" is "builtin"), ``fold``, ``open`` and ``keep`` as for ``graph.fold``, and those of ``svg``.

    With ``elements=True`` every number is a node, with its value unless ``values=False``. With ``ladder=True``, forward
    beside backward and what is kept between them; then the options are ``fold``, ``title``, ``theme``.
    """
    if options.pop("ladder", False):
        options = stand_alone(options)
        if options.get("elements") or isinstance(graph, Elements):
            raise DrawingError("draw: a ladder is told of whole tensors; leave out elements or ladder.")
        _check("svg with ladder", options, ("fold", "open", "keep", "title", "theme"))
        return ladder(_level(graph, options, has_values=False), **options)
    _check("svg", options, ("engine", *_COMMON, "ladder", *_BUILTIN))
    if options.get("route") is not None:
        if options.get("elements") or isinstance(graph, Elements):
            raise DrawingError("draw: a route is told of whole tensors; leave out elements or route.")
        if options.get("fold") is None and not isinstance(graph, Folded) and len(graph.nodes) <= MOST_ROUTED:
            options["fold"] = False
    graph = _level(graph, options)
    if options.get("route") is not None:
        options["route"] = _route(graph, options["route"])
    if options.pop("engine", "auto") != "graphviz":
        return svg(graph, **options)
    for name in _BUILTIN:
        if options.pop(name, None):
            raise DrawingError(f'draw: {name} is an option of the built-in layout only; use engine="builtin", or leave it out.')
    try:
        return run_graphviz(dot(graph, **options), "svg").decode()
    except DrawingError as error:
        raise DrawingError(f'{error} Or use engine="builtin", which needs nothing.') from None


def render_html(graph: Record, **options: Any) -> str:
    """A page to step through. Options: those of ``explorer``."""
    _check("html", options, ("gradients", "title", "twin", "remark", "formula", "family"))
    if isinstance(graph, Elements):
        raise DrawingError("draw: the page to step through tells of whole tensors and shows their numbers; leave out elements.")
    return explorer(graph, **options)


def render_dot(graph: Record, **options: Any) -> str:
    """DOT text. Options: ``values``, ``gradients``, ``fold``, ``elements``, ``theme``, ``direction``."""
    _check("dot", options, _COMMON)
    return dot(_level(graph, options), **options)


def render_text(graph: Record, **options: Any) -> str:
    """Text for a terminal. Options: ``width``, ``ascii``, ``fold``, ``open``, ``keep``, ``elements``."""
    _check("txt", options, ("width", "ascii", *_LEVEL))
    graph = _level(graph, options, has_values=False)
    note = f"\n({graph.note})" if isinstance(graph, Folded) and graph.unasked else ""
    return terminal(graph, **options) + note + "\n"


def _route(graph: Record, wanted: Any) -> Any:
    """A route of this graph, given as such or as the letter of one from the main input."""
    if isinstance(wanted, Route):
        theirs, mine = wanted.graph.whole.tensors, graph.whole.tensors
        if len(theirs) != len(mine) or any(a is not b for a, b in zip(theirs, mine)):
            raise DrawingError("draw: route= is a route of another graph; take it from this one's .routes(x).")
        return wanted
    try:
        routes = find_any_routes(graph, graph.main_input)
    except GradientError as error:
        raise DrawingError(f"draw: route={wanted!r}: {error} A part of the graph has fewer: graph.between(from, to).") from None
    letters = [r.letter for r in routes]
    if wanted not in letters:
        raise DrawingError(
            f"draw: route={wanted!r}; the routes from {graph.whole.node(graph.main_input).label} are {', '.join(letters)}."
        )
    return routes[wanted]


def _level(graph: Record, options: dict[str, Any], has_values: bool = True) -> Record:
    """What is drawn: ``elements`` every number, ``fold=False`` everything, a number that many scopes deep, else as deep as fits."""
    depth = options.pop("fold", None)
    opened, kept = options.pop("open", None) or (), options.pop("keep", None) or ()
    if (opened or kept) and (depth is False or options.get("elements") or isinstance(graph, Elements)):
        raise DrawingError("draw: open and keep are about boxes; leave them out where every operation, or number, is drawn.")
    if options.pop("elements", False):
        if depth is not None and depth is not False:
            raise DrawingError("draw: elements shows every number, and fold boxes; leave out one of the two.")
        graph = elements(graph)
    if isinstance(graph, Elements) and has_values:
        options.setdefault("values", True)  # they are what this level is for
    if isinstance(graph, Elements) and depth:
        raise DrawingError("draw: this graph shows every number; leave out fold, or draw graph.whole.")
    if depth is None and not (opened or kept) and isinstance(graph, (Folded, Elements)):
        return graph
    graph = graph.whole if isinstance(graph, Folded) else graph
    if depth is False or isinstance(graph, Elements):
        return graph
    if depth is not None and (isinstance(depth, bool) or not isinstance(depth, int) or depth < 0):
        raise DrawingError(f"draw: fold={depth!r}; it is False (draw everything) or how many scopes deep to draw, from 0 on.")
    return fold(graph, depth, opened, kept)


def _by_graphviz(suffix: str) -> Callable[..., bytes | Instead]:
    def render(graph: Record, **options: Any) -> bytes | Instead:
        """The built-in picture where cairosvg is installed, else Graphviz's; where neither can make it, the SVG instead."""
        _check(suffix, options, ("engine", *_COMMON, *_BUILTIN))
        engine = options.pop("engine", "auto")
        if engine != "graphviz" and can_rasterize():
            return rasterize(render_svg(graph, **options), suffix)
        asked = [name for name in _BUILTIN if options.get(name)]
        if engine == "builtin" or asked:
            what = f"{', '.join(asked)} in a .{suffix}" if asked else f"the built-in layout as .{suffix}"
            raise DrawingError(
                f'draw: {what} needs the package cairosvg: {GET}. Or save as .svg, or leave it to engine="graphviz".'
            )
        graph = _level(graph, options)
        text = dot(graph, **options)
        try:
            return run_graphviz(text, suffix)
        except DrawingError as error:
            why = f"{error} Or {GET}, which draws the built-in picture, legend and all."
        return Instead(".svg", svg(graph, **options), lambda where: DrawingError(f"{why} {where}"))

    return render


def _check(suffix: str, options: dict[str, Any], known: tuple[str, ...]) -> None:
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise DrawingError(f"draw: .{suffix} has no option {', '.join(unknown)}. Its options: {', '.join(known)}.")
    engine = options.get("engine", "auto")
    if engine not in ENGINES:
        raise DrawingError(f"draw: engine={engine!r} is none of {', '.join(ENGINES)}.")


lend_writer("svg", render_svg)
lend_writer("html", render_html)
lend_writer("dot", render_dot)
lend_writer("gv", render_dot)
lend_writer("txt", render_text)
lend_writer("png", _by_graphviz("png"))
lend_writer("pdf", _by_graphviz("pdf"))
