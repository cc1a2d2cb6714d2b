"""What a recorded computation can do for its user: the one file that puts the room together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from ..engine import GradientError, Tensor, TinygradNormError, concatenate, describe, enable_grad
from ..engine.files import write_whole
from ..loans import open_lenders
from .elements import Elements, of_whole_tensors
from .files import Instead
from .folding import Folded
from .notebook import Picture, bundle
from .opening import fold
from .part import Part
from .reads import Reads, reads
from .record import Record
from .routes import Routes, find_routes
from .through import find_any_routes

if TYPE_CHECKING:
    import os
    from pathlib import Path


class FormatError(TinygradNormError, ValueError):
    """A kind of file that nothing here can write."""


Writer = Callable[..., str | bytes | Instead]
_WRITERS: dict[str, Writer] = {}


def lend_writer(suffix: str, writer: Writer) -> None:
    """Teach every graph to be saved as ``.suffix``. The drawing room does, so that this one needs no pens."""
    _WRITERS[suffix] = writer


class Graph(Record):
    """What ``output`` was computed from. Make one with ``tn.graph(y)``.

    about:   the leaf it is about, where that is not the one at the start of the operands of full shape
    inputs:  leaves that are its inputs, beside those that a module or a function was called with
    """

    def routes(self, source: Tensor, grad_output: Any = None, limit: int = 64) -> Routes:
        """The routes from ``source`` to the output, each with its share of the gradient. See ``Routes``."""
        return find_routes(self.whole, source, grad_output, limit)

    def between(self, source: Tensor | str, target: Tensor | str) -> Graph:
        """Only what lies between two tensors, given as such or by their labels; see ``Part``."""
        return _shown(Part(self.whole, source, target))

    def fold(self, depth: int | None = None, open: str | Iterable[str] = (), keep: str | Iterable[str] = ()) -> Graph:
        """The same with calls of modules and functions, and scopes, as boxes.

        depth:  how deep; 0: one box for all; 1: the outermost; None: closed from the inside until it fits in a picture
        open:   boxes that are open whatever the depth, by path or name: ``["blocks.3.attn"]``
        keep:   boxes that stay closed

        Raises ``GradientError`` for a box that there is not.
        """
        folded = fold(self.whole, depth, open, keep)
        return self if folded is self else _shown(folded)

    def elements(self) -> ElementsGraph:
        """The same number by number, every local derivative on an arrow of its own; ``GradientError`` above 100 numbers."""
        return self if isinstance(self, ElementsGraph) else ElementsGraph(self.whole)

    def reads(self) -> Reads:
        """What the way back reads of the way forward: what must be kept until then. See ``Reads``."""
        return reads(self.whole)

    # Going out -----------------------------------------------------------------------------------------

    def __str__(self) -> str:
        open_lenders("graph")
        return str(_WRITERS["txt"](self)).rstrip("\n") if "txt" in _WRITERS else self.listing()

    def to_dot(self, **options: Any) -> str:
        """The graph in Graphviz's language."""
        return str(self._writer("dot")(self, **options))

    def to_svg(self, **options: Any) -> Picture:
        """The picture as SVG text, which a notebook shows."""
        return Picture(self._writer("svg")(self, **options))

    def save(self, path: str | os.PathLike[str], **options: Any) -> Path:
        """Write the picture; the format is the path's suffix. Options as ``tn.draw`` has them (``engine``, ``values``, …).
        A graph of more than 25 nodes is folded, and says so; ``fold=False`` draws all of it, ``fold=1`` its outermost scopes;
        ``elements=True`` every single number of a tiny one.

        svg, dot, json, html and txt always work. ``.onnx`` is the record itself, for other engines; its options are those of
        ``compile.to_onnx`` (``inputs``, ``function``, ``dynamic``, ``standard``). png and pdf need Graphviz; without it they raise
        ``DrawingError``, which says how to get it, and the picture is written as svg instead. The file is written whole or not at all.
        """
        from pathlib import Path

        try:
            path = Path(path)
        except TypeError:
            raise FormatError(f"save: {describe(path)} is no path; give one such as 'graph.svg'.") from None
        content = self._writer(path.suffix.lstrip("."))(self, **options)
        if isinstance(content, Instead):
            content.write(path)
        write_whole(path, content)
        return path

    def _writer(self, suffix: str) -> Writer:
        if suffix == "json":
            return _as_json
        open_lenders("graph")
        if suffix not in _WRITERS:
            known = ", ".join(sorted({"json", *_WRITERS}))
            raise FormatError(f"save: cannot write {'.' + suffix if suffix else 'a file without a suffix'}. Known: {known}.")
        return _WRITERS[suffix]

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        """For notebooks: a picture and a text, whatever happens."""
        return bundle("a graph", self.__str__, "graph", self)


class FoldedGraph(Graph, Folded):
    """A folded graph, with all that a graph can do."""

    def routes(self, source: Tensor, grad_output: Any = None, limit: int = 64) -> Routes:
        """The routes through the operations; where these are more than ``limit``, those through the boxes."""
        return find_any_routes(self, source, grad_output, limit)


class ElementsGraph(Graph, Elements):
    """A graph number by number, with all that a graph can do."""

    def routes(self, source: Tensor, grad_output: Any = None, limit: int = 64) -> Routes:
        """Raises ``GradientError``: routes are told of whole tensors."""
        raise of_whole_tensors("routes")


class PartGraph(Graph, Part):
    """A part of a graph, with all that a graph can do."""


def _shown(value: Record) -> Graph:
    """The same value with the user's methods."""
    kind = {Folded: FoldedGraph, Part: PartGraph}.get(type(value), Graph)
    made: Graph = object.__new__(kind)
    made.__dict__.update(vars(value))
    return made


def _as_json(graph: Graph, **options: Any) -> str:
    if options:
        raise FormatError(f"save: .json holds the whole graph and has no options; leave out {', '.join(options)}.")
    return graph.to_json()


def graph(output: Tensor | Sequence[Tensor], *others: Tensor, inputs: Tensor | Sequence[Tensor] = ()) -> Graph:
    """The recorded computation behind a tensor, as a value to look at, to save and to ask for routes.

    inputs:  the leaves that pictures show as inputs. What a module, or a function of ``tn.functional``, was called with is
             known, and so are its parameters; of code of your own, only you know

    Several tensors, one by one or in a list, are joined by one more node, "outputs": all their entries in a row. Raises ``GradientError`` for what is no
    recorded tensor.
    """
    several: tuple[Any, ...] = (*output, *others) if isinstance(output, (tuple, list)) else (output, *others)
    if not several:
        raise GradientError("graph: an empty list has no history; give a recorded tensor, or several.")
    first, *rest = (Graph(y, inputs=inputs) for y in several)
    if not rest:
        return first
    with enable_grad():
        return Graph(concatenate([y if y.ndim == 1 else y.reshape(-1) for y in several]).named("outputs"), inputs=inputs)
