"""The command line: ``tinygrad-norm`` takes real numbers through LayerNorm and back, and shows how."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..check import Comparison, compare, compare_all, overview
from ..data import digits
from ..draw import terminal
from ..engine import TinygradNormError
from ..norms import Norm, check_settings, get, names
from .common import (
    FAILS,
    HOLDS,
    INTERRUPTED,
    MISUSED,
    epsilon,
    folder,
    has_unicode,
    hush,
    in_columns,
    norm_name,
    option,
    printable,
    show,
    whole_number,
)
from .inputs import read_array, shape_argument

_WORDS = ("compare", "check", "strength", "derive", "graph", "train", "claims", "learn", "lesson", "doctor")
_ROWS = 8  # digits in the main job


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code: 0 holds, 1 does not hold, 2 used wrongly, 130 interrupted."""
    try:
        args = _parser().parse_args(_with_command(sys.argv[1:] if argv is None else list(argv)))
        code: int = args.run(args)
        sys.stdout.flush()  # a reader that went away is noticed here, not at the end of the program
        return code
    except BrokenPipeError:
        hush()  # the reader went away, and has what it wanted
        return HOLDS
    except KeyboardInterrupt:
        return INTERRUPTED
    except MemoryError:
        print("tinygrad-norm: not enough memory for numbers of that shape.", file=sys.stderr)
        return MISUSED
    except (TinygradNormError, OSError) as error:
        print(f"tinygrad-norm: {printable(str(error), sys.stderr)}", file=sys.stderr)
        return MISUSED


def _with_command(argv: list[str]) -> list[str]:
    """No command means the main job."""
    return argv if argv[:1] in (*([word] for word in _WORDS), ["--version"]) else ["compare", *argv]


def _parser() -> argparse.ArgumentParser:
    from .. import __version__
    from . import check, claims, derive, doctor, graph, learn, lesson, strength, train

    parser = argparse.ArgumentParser(
        prog="tinygrad-norm",
        description="Take numbers through a normalization and back: the recorded graph, the routes of its gradient, "
        "and the gradient four ways, compared. Without arguments: LayerNorm on eight handwritten digits.",
        epilog="exit code: 0 everything agrees, 1 something does not, 2 used wrongly. Other jobs: tinygrad-norm check --help, "
        "whether a backward of your own is right; tinygrad-norm strength --help, whether a test of your own "
        "would notice; tinygrad-norm derive --help, the gradient's formula line by line; tinygrad-norm train --help, networks with and "
        "without a normalization; tinygrad-norm claims, what is said about normalization, put to the test; tinygrad-norm learn, the course",
    )
    parser.add_argument("--version", action="version", version=f"tinygrad-norm {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    run = commands.add_parser(
        "compare", help="the main job (also without the word)", description=parser.description, epilog=parser.epilog
    )
    run.set_defaults(run=_compare)
    for other in (check, strength, derive, graph, train, claims, learn, lesson, doctor):
        other.add_parser(commands)
    run.add_argument(
        "norm",
        nargs="?",
        default="layer_norm",
        type=norm_name,
        metavar="NORM",
        help=f"one of: {', '.join(names())} (default: layer_norm)",
    )
    source = run.add_mutually_exclusive_group()
    source.add_argument("--input", type=Path, metavar="FILE", help="your own input: .npy, .npz or .csv, one sample per row")
    source.add_argument("--shape", type=shape_argument, metavar="4,8", help="random input of this shape instead of the digits")
    run.add_argument("--key", metavar="NAME", help="which array of an .npz file")
    run.add_argument("--dtype", choices=("float32", "float64"), help="compute in this dtype (default: the input's, or float64)")
    run.add_argument("--eps", type=epsilon, help="ε (default: the norm's own)")
    run.add_argument(
        "--arg",
        action="append",
        default=[],
        type=option,
        metavar="NAME=VALUE",
        help="an option of the norm, such as eps_mode=std",
    )
    source.add_argument("--all", action="store_true", help="every norm, with every variant of it, one line each")
    run.add_argument("--seed", type=whole_number, default=0, help="of the random γ, β and cotangent (default: 0)")
    run.add_argument("--out", type=Path, default=Path(), metavar="DIR", help="where the pictures go (default: here)")
    form = run.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print the whole result as JSON and nothing else")
    form.add_argument("--quiet", action="store_true", help="print the verdict and nothing else")
    return parser


# The main job -------------------------------------------------------------------------------------------


def _compare(args: argparse.Namespace) -> int:
    if args.all:
        return _compare_all(args)
    norm = get(args.norm)
    data, story = _input(args, norm)
    options = dict(args.arg) | ({} if args.eps is None else {"eps": args.eps})
    check_settings(norm, options)
    result = compare(norm, data, dtype=args.dtype, seed=args.seed, **options)
    folder(args.out)
    written = [result.graph.save(args.out / f"{norm.name}.{kind}") for kind in ("svg", "dot")]
    if args.json:
        print(result.to_json(ascii=not has_unicode(sys.stdout)))
    elif args.quiet:
        show(result.verdict)
    else:
        _report(result, story, written, args.seed)
    return HOLDS if result.ok else FAILS


def _compare_all(args: argparse.Namespace) -> int:
    results = compare_all(args.dtype, args.seed)
    failed = [r for r in results if not r.ok]
    if args.json:
        print("[" + ",\n".join(r.to_json(ascii=not has_unicode(sys.stdout)) for r in results) + "]")
    else:
        if not args.quiet:
            show(overview(results, ascii=not has_unicode(sys.stdout)))
        for r in failed:
            show(f"{r.norm.name}  {r.shown_options}: {r.verdict}")
        verdict = f"{len(failed)} of {len(results)} DISAGREE" if failed else f"agree: all {len(results)}"
        show(verdict, "bold red" if failed else "bold green")
    return FAILS if failed else HOLDS


def _input(args: argparse.Namespace, norm: Norm) -> tuple[Any, str]:
    if args.input is not None:
        return read_array(args.input, args.key), f"from {args.input.name}"
    if args.shape is not None:
        return np.random.default_rng(args.seed).normal(size=args.shape), f"random, seed {args.seed}"
    if norm.shape != Norm.shape:
        return None, f"random, seed {args.seed}"
    images, labels = digits()
    return images[:_ROWS].reshape(_ROWS, -1), f"handwritten digits {', '.join(map(str, labels[:_ROWS]))}, 8×8 pixels a row"


def _report(result: Comparison, story: str, written: list[Path], seed: int) -> None:
    norm, inputs, plain = result.norm, result.inputs, not has_unicode(sys.stdout)
    x, *others = inputs.values()
    shapes = ", ".join(f"{t.name} {tuple(t.shape)}" for t in others)
    head = f"{norm.title}    {norm.formula}"
    gap = "    " if len(head) + len(result.shown_options) < 76 else "\n  "
    show(in_columns(head + (gap + result.shown_options if result.shown_options else "")), "bold")
    show(f"{x.name} {tuple(x.shape)} {x.dtype}: {story}")
    show(f"{shapes} and the cotangent dy: random, seed {seed}\n" if others else f"the cotangent dy: random, seed {seed}\n")

    show("1  What was recorded", "bold")
    show(terminal(result.graph, ascii=plain) + "\n")

    show(f"2  How {x.name} reaches y, and what each route gives to d{x.name}", "bold")
    show(result.routes.text(ascii=plain))
    if norm.projects and len(result.routes) > 1:
        show(str(result.routes.energy))
    show("")

    show("3  The gradient four ways", "bold")
    show(result.table(ascii=plain))
    show(in_columns(result.verdict) + "\n", "bold green" if result.ok else "bold red")
    show(f"wrote {' and '.join(str(p) for p in written)}")
