"""``tinygrad-norm derive``: from the record of a forward to the formula of its gradient."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from ..derive import DerivationError, derive
from ..engine.files import write_whole
from .common import FAILS, HOLDS, add_forward, forward_of, function_in, has_unicode, show, whole_number
from .exercise import ask
from .inputs import shape_argument

FORMATS = ("text", "latex", "markdown", "html", "numpy", "json")
KERNELS = ("numba", "c", "triton", "torch", "jax")
_SUFFIXES = {".tex": "latex", ".md": "markdown", ".html": "html", ".py": "numpy", ".json": "json", ".txt": "text", ".c": "c"}


def add_parser(commands: Any) -> None:
    """Teach ``tinygrad-norm`` the word."""
    parser = commands.add_parser(
        "derive",
        help="the gradient's formula, from the recorded forward, line by line",
        description="Derive the gradient's formula from the record: the forward as equations, the chain rule at each node, the sum "
        "over routes, and every rewriting down to the closed form, with the largest difference in numbers beside each line.",
        epilog="exit code: 0 every line holds, 1 one does not, 2 used wrongly; with --equals 0 only if it is proved; with --ask 0 when it is solved, 1 when it is given up. A FILE is EXECUTED: name only files you would run.",
    )
    parser.set_defaults(run=run_derive)
    add_forward(parser)
    parser.add_argument("--wrt", metavar="NAME", help="the input to differentiate by, such as x or weight (default: each)")
    parser.add_argument(
        "--shape", type=shape_argument, metavar="7,11", help="of the numbers it is checked with; sizes should differ"
    )
    parser.add_argument("--order", type=int, choices=(1, 2), default=1, help="2: the gradient of the gradient")
    parser.add_argument("--closed", action="store_true", help="one line, even where a list of lines is shorter")
    parser.add_argument("--lemma", action="append", default=[], metavar="'Σ_N(q) = 1'", help="what else is known of a sum")
    parser.add_argument("--seed", type=whole_number, default=0, help="of the numbers it is checked with (default: 0)")
    parser.add_argument(
        "--format",
        choices=(*FORMATS, *KERNELS),
        help="(default: text, or what the suffix of --out says); numba, c, triton, torch and jax are files that stand alone: the "
        "forward and its gradients as one kernel, with a test",
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="write it there; .tex, .md, .html, .py, .json or .txt")
    parser.add_argument(
        "--equals",
        metavar="FILE.py:FUNCTION",
        help="is this function of dy and the inputs the same formula? exit code 0 only if proved",
    )
    parser.add_argument(
        "--ask",
        type=whole_number,
        nargs="?",
        const=-1,
        metavar="STEP",
        help="an exercise: you are shown a line and write the next one; STEP says which, from 0 (default: the last)",
    )
    parser.add_argument("--quiet", action="store_true", help="print the formulas and nothing else")


def run_derive(args: argparse.Namespace) -> int:
    """Derive by each input asked for; returns the exit code."""
    if args.ask is not None and (args.equals or args.format or args.out or args.quiet):
        raise DerivationError("derive: --ask is an exercise; it goes without --equals, --format, --out and --quiet.")
    kind = args.format or _SUFFIXES.get(args.out.suffix if args.out else "", "text")
    if kind in KERNELS:
        return _write_kernel(args, kind)
    single = args.equals or args.ask is not None
    forward, inputs = forward_of(args)
    how: dict[str, Any] = {"shape": args.shape, "lemmas": args.lemma, "seed": args.seed, **dict(args.arg)}
    wanted = [args.wrt] if args.wrt else [None] if single else _all(forward, inputs, how)
    found, without = [], []
    for wrt in wanted:
        try:
            found.append(derive(forward, wrt, inputs=inputs, order=args.order, form="closed" if args.closed else "auto", **how))
        except DerivationError as error:  # one input without an answer does not keep the others from theirs
            if args.wrt or single:
                raise
            without.append(f"{wrt}: {error}")
    if not found:
        raise DerivationError("\n".join(without))
    if without:
        print("\n".join(without), file=sys.stderr)
    if args.ask is not None:
        return ask(found[0].ask(None if args.ask < 0 else args.ask))
    if args.equals:
        path, colon, function = args.equals.rpartition(":")
        if not (colon and path.endswith(".py")):
            raise DerivationError(f"--equals {args.equals}: name a function in a file, FILE.py:FUNCTION.")
        (d,) = found
        verdict = d.equals(function_in(path, function))
        show(f"{d.formula}\n{function}: {verdict}")
        return HOLDS if verdict.proved else FAILS
    if kind == "html" and args.out is None and sys.stdout.isatty():
        raise DerivationError("derive: a page is for a browser: --out layer_norm.html.")
    if args.quiet:
        for d in found:
            show(str(d.formula))
    else:
        from ..derive.pages import join

        text = join(found, kind, plain=args.out is None and not has_unicode(sys.stdout))
        if args.out is None:
            print(text, end="")
        else:
            write_whole(args.out, text)
            show("\n".join(str(d.formula) for d in found) + f"\nwrote {args.out}")
    return HOLDS if all(d.ok for d in found) else FAILS


def _write_kernel(args: argparse.Namespace, kind: str) -> int:
    """The forward and its gradients as one file that stands alone."""
    if args.order != 1 or args.closed or args.equals or args.ask is not None or args.lemma:
        raise DerivationError(
            f"derive: --format {kind} is a kernel; it goes without --order, --closed, --equals, --ask and --lemma."
        )
    from ..compile import kernel

    forward, inputs = forward_of(args)
    made = kernel(forward, inputs=inputs, wrt=[args.wrt] if args.wrt else None, shape=args.shape, **dict(args.arg))
    text = made.source(kind)
    if args.out is None:
        print(text, end="")
    else:
        write_whole(args.out, text)
        show(str(made.schedule) if not args.quiet else "")
        show(f"wrote {args.out}")
    return HOLDS


def _all(forward: Any, inputs: Any, how: dict[str, Any]) -> list[str]:
    from ..derive.recording import gradients_of

    return gradients_of(forward, inputs=inputs, **{k: v for k, v in how.items() if k not in ("lemmas", "seed")})
