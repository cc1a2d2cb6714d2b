"""``tinygrad-norm graph``: the picture of a norm's record, or of a forward of your own, and of its gradient."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from ..derive.recording import recorder, target_of
from ..draw import terminal
from ..engine import Tensor, grad
from ..graph import Folded, Graph, fold
from ..norms import get, names
from .derive import _axes, _forward
from .inputs import shape_argument
from .main import HOLDS, _option, _seed, _show, _unicode


def add_parser(commands: Any) -> None:
    """Teach ``tinygrad-norm`` the word."""
    parser = commands.add_parser(
        "graph",
        help="the picture of a norm's record, or of a forward of your own",
        description="Draw what was recorded: in the terminal, or into a file with --out (.svg, .dot, .json, .txt; .html to step through; .png and .pdf with Graphviz).",
        epilog="A graph of more than 25 nodes is folded, and says so. A FILE is EXECUTED: name only files you would run.",
    )
    parser.set_defaults(run=run_graph)
    parser.add_argument(
        "norm", nargs="?", default="layer_norm", metavar="NORM|FILE:FUNCTION",
        help=f"one of: {', '.join(names())}; or a forward of your own, with --axes (default: layer_norm)",
    )  # fmt: skip
    parser.add_argument(
        "--axes", action="append", default=[], type=_axes, metavar="x=B,N", help="the axes of an input of your forward"
    )
    parser.add_argument(
        "--arg", action="append", default=[], type=_option, metavar="NAME=VALUE", help="an option, such as eps=1e-6"
    )
    parser.add_argument("--shape", type=shape_argument, metavar="4,8", help="of the input that is drawn")
    parser.add_argument("--seed", type=_seed, default=0, help="of the numbers (default: 0)")
    depth = parser.add_mutually_exclusive_group()
    depth.add_argument(
        "--fold", type=_seed, metavar="N", help="scopes as boxes, N deep; 0: one box for all; 1: mean, variance, …"
    )
    depth.add_argument("--whole", action="store_true", help="every operation, however many")
    parser.add_argument(
        "--backward", choices=("recorded", "analytic"), default="recorded", help="the hand-derived node is one box"
    )
    parser.add_argument("--gradient", metavar="NAME", help="draw the recorded gradient of this input instead: x, weight, …")
    parser.add_argument(
        "--between", nargs=2, metavar=("FROM", "TO"), help="only what lies between two tensors, by their labels: c x̂"
    )
    parser.add_argument("--route", metavar="C", help="show one route of the gradient, and all else pale (.svg only)")
    parser.add_argument("--values", action="store_true", help="show some values")
    parser.add_argument("--gradients", action="store_true", help="the size of each gradient, and as the width of each line")
    parser.add_argument("--dtypes", action="store_true", help="every dtype, also where all are the same (.svg only)")
    parser.add_argument("--scopes", action="store_true", help="in which scope each was recorded (.svg only)")
    parser.add_argument("--theme", choices=("light", "dark"), default="light", help="of an .svg (default: light)")
    parser.add_argument("--direction", choices=("right", "down"), default="right", help="of an .svg (default: right)")
    parser.add_argument(
        "--gallery", type=Path, metavar="DIR", help="write every norm, its scopes as boxes, and a page of them, into DIR"
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the picture there; the suffix says how")


def run_graph(args: argparse.Namespace) -> int:
    """Draw; returns the exit code."""
    if args.gallery is not None:
        _gallery(args.gallery)
        return HOLDS
    forward, inputs = _forward(args)
    shape = args.shape or (get(forward).shape if isinstance(forward, str) else None)
    record = recorder(forward, inputs, shape, args.backward, args.seed, dict(args.arg), ())()
    output: Tensor = record.output
    if args.gradient:
        name = target_of(record, args.gradient)
        (found,) = grad(output, record.inputs[name], record.dy, create_graph=True)
        output = found.named(f"d{record.inputs[name].name}") if found.op is not None else found
    graph = Graph(output)
    graph = graph.between(*args.between) if args.between else graph
    if args.out is not None:
        _show(f"wrote {graph.save(args.out, **_options(args, record.title))}")
        return HOLDS
    shown = graph if args.whole else fold(graph, args.fold)
    _show(terminal(shown, ascii=not _unicode(sys.stdout)))
    if isinstance(shown, Folded):
        _show(f"({shown.note.replace('fold=False', '--whole')})")
    return HOLDS


def _options(args: argparse.Namespace, title: str) -> dict[str, Any]:
    """What was asked of the picture, as far as that kind of file knows it."""
    kind = args.out.suffix
    if kind == ".html":
        return {"title": f"{title}, step by step"}
    options: dict[str, Any] = {} if kind == ".json" else {"fold": False if args.whole else args.fold}
    if kind in (".svg", ".dot", ".gv", ".png", ".pdf"):
        options |= {"values": args.values, "gradients": args.gradients or None}
    usual = {"route": None, "dtypes": False, "scopes": False, "theme": "light", "direction": "right"}
    return options | {name: vars(args)[name] for name, value in usual.items() if vars(args)[name] != value}


def _gallery(place: Path) -> None:
    """Every registered norm on its own example, at the level of its scopes."""
    place.mkdir(parents=True, exist_ok=True)
    page = [
        "# The family, in boxes",
        "",
        "Each norm at the level of its scopes. Written by `tinygrad-norm graph --gallery DIR`.",
        "",
    ]
    for name in names():
        norm = get(name)
        record = recorder(name, None, norm.shape, "recorded", 0, {}, ())()
        Graph(record.output).save(place / f"{name}.svg", fold=1)
        page += [f"## {norm.title}", "", norm.formula, "", f"![{norm.title}]({name}.svg)", ""]
    (place / "README.md").write_text("\n".join(page), encoding="utf-8")
    _show(f"wrote {len(names())} pictures and README.md into {place}")
