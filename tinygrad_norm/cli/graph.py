"""``tinygrad-norm graph``: the picture of a norm's record, or of a forward of your own, and of its gradient."""

from __future__ import annotations

import argparse
import contextlib
import re
import sys
from pathlib import Path
from typing import Any

from ..derive import DerivationError, derive
from ..derive.pages import as_section
from ..derive.record import Record, target_of
from ..derive.recording import recorder
from ..draw import DrawingError, terminal
from ..draw.beside import beside
from ..draw.frames import frames
from ..draw.ladder import stand_alone
from ..draw.rungs import ladder_text
from ..engine import Tensor, TinygradNormError, grad, history
from ..engine.arrays import Array
from ..engine.files import write_whole
from ..graph import Elements, Folded, Graph, fold
from ..graph.roles import LEARNED
from ..norms import get, names
from .common import HOLDS, add_forward, folder, forward_of, has_unicode, show, whole_number
from .inputs import read_array, shape_argument


def add_parser(commands: Any) -> None:
    """Teach ``tinygrad-norm`` the word."""
    parser = commands.add_parser(
        "graph",
        help="the picture of a norm's record, or of a forward of your own",
        description="Draw what was recorded: in the terminal, or into a file with --out (.svg, .dot, .json, .txt; .html to step through; .png and .pdf with Graphviz).",
        epilog="A graph of more than 25 nodes is folded, and says so. A FILE is EXECUTED: name only files you would run.",
    )
    parser.set_defaults(run=run_graph)
    add_forward(parser)
    numbers = parser.add_mutually_exclusive_group()
    numbers.add_argument("--shape", type=shape_argument, metavar="4,8", help="of the input that is drawn")
    numbers.add_argument(
        "--input", action="append", default=[], metavar="[NAME=]FILE",
        help="your own numbers, from .npy, .npz or .csv: of the input, or of the one that is named: weight=w.npy",
    )  # fmt: skip
    parser.add_argument("--seed", type=whole_number, default=0, help="of the numbers (default: 0)")
    parser.add_argument("--key", metavar="NAME", help="which array of an .npz file")
    depth = parser.add_mutually_exclusive_group()
    depth.add_argument(
        "--fold", type=whole_number, metavar="N", help="scopes as boxes, N deep; 0: one box for all; 1: mean, variance, …"
    )
    depth.add_argument("--whole", action="store_true", help="every operation, however many")
    depth.add_argument(
        "--elements", action="store_true",
        help="every single number a box, every local derivative on an arrow; needs a small --shape, such as 1,3",
    )  # fmt: skip
    parser.add_argument(
        "--open", action="append", default=[], metavar="BOX", help="open this box, whatever the depth: blocks.3.attn, LayerNorm"
    )
    parser.add_argument("--keep", action="append", default=[], metavar="BOX", help="keep this box closed")
    parser.add_argument(
        "--paper", type=paper_argument, metavar="1600x900", help="what the picture must fit (default: 1600x900; .svg only)"
    )
    parser.add_argument(
        "--backward", choices=("recorded", "analytic"), default="recorded", help="the hand-derived node is one box"
    )
    parser.add_argument("--gradient", metavar="NAME", help="draw the recorded gradient of this input instead: x, weight, …")
    parser.add_argument(
        "--between", nargs=2, metavar=("FROM", "TO"), help="only what lies between two tensors, by their labels: c x̂"
    )
    parser.add_argument("--route", metavar="C", help="show one route of the gradient, and all else pale (.svg only)")
    parser.add_argument(
        "--ladder", action="store_true", help="forward beside backward, and what is kept between them (.svg, or text)"
    )
    parser.add_argument("--values", action="store_true", help="show some values")
    parser.add_argument("--gradients", action="store_true", help="the size of each gradient, and as the width of each line")
    parser.add_argument("--dtypes", action="store_true", help="every dtype, also where all are the same (.svg only)")
    parser.add_argument("--scopes", action="store_true", help="in which scope each was recorded (.svg only)")
    parser.add_argument("--theme", choices=("light", "dark"), default="light", help="of the picture (default: light)")
    parser.add_argument("--direction", choices=("right", "down"), help="of the picture (default: what fits; else right)")
    parser.add_argument(
        "--gallery", type=Path, metavar="DIR", help="write every norm, its scopes as boxes, and a page of them, into DIR"
    )
    parser.add_argument(
        "--beside", action="append", default=[], metavar="NORM",
        help="a relative, or FILE:FUNCTION of the same axes, on the same layout; what it lacks is grey (.svg and .html)",
    )  # fmt: skip
    parser.add_argument("--frames", type=Path, metavar="DIR", help="every step of the way there and back as an .svg file")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the picture there; the suffix says how")


def run_graph(args: argparse.Namespace) -> int:
    """Draw; returns the exit code."""
    if args.gallery is not None:
        _gallery(args.gallery)
        return HOLDS
    _refuse(args)
    forward, inputs = forward_of(args)
    given = _given(args, next(iter(inputs), "x") if inputs else "input")
    record = _record(args, forward, inputs, given, args.backward)
    graph = _graph(args, record)
    title = (args.gradient and f"d{record.inputs[target_of(record, args.gradient)].name} of {record.title}") or record.title
    if args.ladder:
        _ladder(args, graph, title)
    elif args.frames is not None:
        _write_frames(args, graph, title, _cotangent(args, record))
    elif args.out is None:
        _print(args, graph)
    elif args.beside and args.out.suffix == ".svg":
        write_whole(args.out, beside(_family(args, record, graph), gradients=args.gradients or None, theme=args.theme))
        show(f"wrote {args.out}")
    else:
        options = _page(args, forward, inputs, given, record, graph, title) if args.out.suffix == ".html" else _options(args)
        show(f"wrote {graph.save(args.out, **options)}")
    return HOLDS


def paper_argument(text: str) -> tuple[float, float]:
    """``1600x900``, a width and a height in pixels; or ``a4``, ``talk``, ``phone``."""
    named = {"a4": (794.0, 1123.0), "talk": (1600.0, 900.0), "phone": (390.0, 844.0)}
    if text.lower() in named:
        return named[text.lower()]
    wide, _, high = text.lower().replace("×", "x").partition("x")
    try:
        size = float(wide), float(high)
    except ValueError:
        size = 0.0, 0.0
    if not all(100 <= s <= 20_000 for s in size):
        raise argparse.ArgumentTypeError(f"{text!r} is no size of paper; write 1600x900, a4, talk or phone")
    return size


_USUAL: dict[str, Any] = {
    "values": False, "gradients": False, "dtypes": False, "scopes": False, "theme": "light", "direction": None, "route": None,
    "open": [], "keep": [], "paper": None, "fold": None, "whole": False, "elements": False, "between": None, "gradient": None, "beside": [], "frames": None, "out": None,
}  # fmt: skip
_LEVELS = ("fold", "whole", "elements", "open", "keep")
_WHAT = ("between", "gradient")
_KNOWS = {
    "a picture in the terminal": (*_LEVELS, *_WHAT),
    "a ladder": ("fold", "whole", "open", "keep", *_WHAT, "theme", "out"),
    "--frames": ("fold", "whole", "open", "keep", *_WHAT, "theme"),
    "relatives in one picture": ("beside", "gradient", "gradients", "theme", "out"),
    ".svg": (*_USUAL,),
    ".html": (*_WHAT, "beside", "out"),
    ".txt": (*_LEVELS, *_WHAT, "out"),
    ".json": ("elements", *_WHAT, "out"),
    "Graphviz": (*_LEVELS, *_WHAT, "values", "gradients", "theme", "direction", "out"),
    ".png and .pdf": (*(set(_USUAL) - {"beside", "frames"}),),
}


def _refuse(args: argparse.Namespace) -> None:
    """What was asked for together, but does not go together, is refused rather than forgotten."""
    suffix = args.out.suffix if args.out else ""
    if args.ladder:
        kind = "a ladder"
    elif args.frames is not None:
        kind = "--frames"
    elif args.out is None:
        kind = "a picture in the terminal"
    elif args.beside and suffix == ".svg":
        kind = "relatives in one picture"
    else:
        kind = "Graphviz" if suffix in (".dot", ".gv") else ".png and .pdf" if suffix in (".png", ".pdf") else suffix
    known = (*_KNOWS.get(kind, tuple(_USUAL)), "frames" if kind == "--frames" else "")
    asked = [f"--{name}" for name, usual in _USUAL.items() if vars(args)[name] != usual and name not in known]
    own = ":" in args.norm
    asked += [f"--{n}" for n in ("shape", "backward") if own and vars(args)[n] not in (None, "recorded")]
    asked += ["--axes"] if args.axes and not own and not any(":" in name for name in args.beside) else []
    if asked:
        what = (
            "a forward of your own"
            if own and asked[0] in ("--shape", "--backward")
            else "a norm"
            if asked == ["--axes"]
            else kind
        )
        more = " Its sizes are those of --input." if "--shape" in asked and own else ""
        raise DrawingError(f"graph: {what} has no use for {', '.join(asked)}; leave it out.{more}")


def _record(args: argparse.Namespace, forward: Any, inputs: Any, given: dict[str, Array], backward: str) -> Record:
    shape = args.shape or (get(forward).shape if isinstance(forward, str) else None)
    try:
        return recorder(forward, inputs, shape, backward, args.seed, dict(args.arg), (), given)()
    except DerivationError as error:
        raise DrawingError(f"graph: {str(error).removeprefix('derive: ')}") from None


def _given(args: argparse.Namespace, first: str) -> dict[str, Array]:
    """``weight=w.npy`` as an array by name; without a name it is the first input's."""
    found: dict[str, Array] = {}
    for text in args.input:
        name, equals, path = text.partition("=")
        if not equals or Path(text).exists():
            name, path = first, text
        if name in found:
            raise DrawingError(f"graph: two files for the input {name}; name the others: --input weight=w.npy.")
        found[name] = read_array(Path(path), args.key)
    return found


def _graph(args: argparse.Namespace, record: Record) -> Graph:
    """What was asked for: the forward or a gradient, all of it or a part."""
    output: Tensor = record.output
    x = None
    if args.gradient:
        x = record.inputs[target_of(record, args.gradient)]
        (found,) = grad(output, x, record.dy, create_graph=True)
        output = found.named(f"d{x.name}") if found.op is not None else found
    graph = Graph(output, x if args.gradient and x in history(output) else None, _inputs(record))
    graph = graph.between(*args.between) if args.between else graph
    return graph.elements() if args.elements else graph


def _inputs(record: Record) -> list[Tensor]:
    """What the forward was called with, but for what is learned."""
    return [x for name, x in record.inputs.items() if not name.endswith(LEARNED)]


def _print(args: argparse.Namespace, graph: Graph) -> None:
    shown = graph if args.whole or args.elements else fold(graph, args.fold, args.open, args.keep)
    show(terminal(shown, ascii=not has_unicode(sys.stdout)))
    if isinstance(shown, (Elements, Folded)):
        show(f"({shown.note.replace('fold=False (--whole)', '--whole')})")


def _cotangent(args: argparse.Namespace, record: Record) -> Any:
    """The record's own for what it is of; for anything else, and a single number, the graph's."""
    return None if args.gradient or args.between or record.dy.size == 1 else record.dy


def _write_frames(args: argparse.Namespace, graph: Graph, title: str, cotangent: Any) -> None:
    shown = graph if args.whole else fold(graph, args.fold, args.open, args.keep)
    made = dict(frames(shown, gradients=cotangent, title=title, theme=args.theme))
    others = {p.name for p in args.frames.glob("*.svg") if re.match(r"\d{3,}_[a-z]+\.svg", p.name)} - set(made)
    if others:
        raise DrawingError(f"graph: {args.frames} holds {len(others)} frames of another story; name an empty folder.")
    folder(args.frames, "--frames")
    for name, picture in made.items():
        write_whole(args.frames / name, picture)
    show(f"wrote {len(made)} pictures into {args.frames}")


def _page(
    args: argparse.Namespace, forward: Any, inputs: Any, given: dict[str, Array], record: Record, graph: Graph, title: str
) -> dict[str, Any]:
    """What a page knows beyond the record: the hand-derived node, the derivation, the relatives."""
    options: dict[str, Any] = {"title": f"{title}, step by step"}
    if args.beside:
        options["family"] = _family(args, record, graph)
    if args.gradient or args.between:
        return options
    options["gradients"] = _cotangent(args, record)
    if isinstance(forward, str) and args.backward == "recorded":
        with contextlib.suppress(TinygradNormError):
            made = _record(args, forward, inputs, given, "analytic")
            twin = Graph(made.output, inputs=_inputs(made))
            options["twin"] = twin if len(twin.nodes) < len(graph.nodes) else None
            reasons = (f"d{get(forward).symbol(n)} differs by design: {why}." for n, why in get(forward).by_design.items())
            options["remark"] = " ".join(reasons)
    with contextlib.suppress(TinygradNormError):  # not every forward has a formula
        names_axes = {n: a for n, a in (inputs or {}).items() if n not in given} if given else inputs
        if isinstance(forward, str) or names_axes:
            options["formula"] = as_section(derive(forward, inputs=names_axes, **dict(args.arg)), "h2")
    return options


def _family(args: argparse.Namespace, record: Record, graph: Graph) -> dict[str, Graph]:
    """The record and its relatives, all on numbers of one shape where they can be."""
    found = {record.title: graph}
    if args.between:
        raise DrawingError("graph: --beside lays whole records beside each other; leave out --between.")
    shape = next(iter(record.inputs.values())).shape
    for name in args.beside:
        if ":" in name:
            own = argparse.Namespace(**{**vars(args), "norm": name})
            forward, inputs = forward_of(own)
            made = _record(own, forward, inputs, _given(own, next(iter(inputs), "x")), "recorded")
            found[made.title if made.title not in found else f"{made.title}, once more"] = _graph(args, made)
            continue
        norm = get(name)
        try:
            made = recorder(name, None, shape, "recorded", args.seed, {}, ())()
        except (TinygradNormError, ValueError):
            made = recorder(name, None, norm.shape, "recorded", args.seed, {}, ())()
        title = norm.title if norm.title not in found else f"{norm.title}, once more"
        found[title] = _graph(args, made)
    return found


def _options(args: argparse.Namespace) -> dict[str, Any]:
    """What was asked of the picture, as far as that kind of file knows it."""
    kind = args.out.suffix
    options: dict[str, Any] = {} if kind == ".json" else {"fold": False if args.whole else args.fold}
    if kind in (".svg", ".dot", ".gv", ".png", ".pdf"):
        options |= {"values": args.values or args.elements, "gradients": args.gradients or None}
    usual: dict[str, Any] = {
        "route": None,
        "dtypes": False,
        "scopes": False,
        "theme": "light",
        "direction": None,
        "open": [],
        "keep": [],
        "paper": None,
    }
    return options | {name: vars(args)[name] for name, value in usual.items() if vars(args)[name] != value}


def _ladder(args: argparse.Namespace, graph: Graph, title: str) -> None:
    """What the way back reads: a picture, or text where no file is named."""
    stand_alone({"route": args.route, "values": args.values, "gradients": args.gradients})
    if args.out is None:
        shown = graph if args.whole else fold(graph, args.fold, args.open, args.keep)
        show(ladder_text(shown, ascii=not has_unicode(sys.stdout)).replace("fold=False (--whole)", "--whole"))
        return
    if args.out.suffix != ".svg":
        raise DrawingError(
            f"draw: a ladder is written as .svg, not {args.out.suffix or 'to a file without a suffix'}; without --out it is text."
        )
    depth = False if args.whole else args.fold
    show(f"wrote {graph.save(args.out, ladder=True, fold=depth, open=args.open, keep=args.keep, title=title, theme=args.theme)}")


def _gallery(place: Path) -> None:
    """Every registered norm on its own example, at the level of its scopes."""
    folder(place, "--gallery")
    page = [
        "# The family, in boxes",
        "",
        "Each norm at the level of its scopes. Written by `tinygrad-norm graph --gallery DIR`.",
        "",
    ]
    for name in names():
        norm = get(name)
        record = recorder(name, None, norm.shape, "recorded", 0, {}, ())()
        Graph(record.output, inputs=_inputs(record)).save(place / f"{name}.svg", fold=1)
        page += [f"## {norm.title}", "", norm.formula, "", f"![{norm.title}]({name}.svg)", ""]
    write_whole(place / "README.md", "\n".join(page))
    show(f"wrote {len(names())} pictures and README.md into {place}")
