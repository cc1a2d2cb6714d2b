"""``tinygrad-norm check``: is the backward in your file right, and if not, which term is wrong?"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from ..check.adapters import as_candidate
from ..check.binding import CheckInputError
from ..check.files import Found, load
from ..check.link import Carried, LinkError, is_link, read
from ..engine import TinygradNormError
from ..engine.files import write_whole
from ..norms import get, names
from .common import FAILS, HOLDS, MISUSED, has_unicode, option, printable, show, whole_number
from .inputs import shape_argument

_ABOUT = (
    "Find the backward functions in a Python file and judge each gradient; a wrong one is diagnosed, not only refused. "
    "The file is EXECUTED, as python FILE would: name only files you would run."
)
_TAKEN = {
    "norm",
    "inputs",
    "shape",
    "grad_output",
    "dtype",
    "saved",
    "order",
    "seed",
    "limit",
    "framework",
    "candidate",
    "forward",
    "wrt",
    "device",
    "prove",
}


@dataclass(frozen=True)
class _Result:
    """One function judged, or the reason why it (or its whole file) could not be."""

    label: str
    found: Found | None
    verdict: Any = None
    error: str | None = None
    link: str | None = None


def add_parser(commands: Any) -> None:
    """Teach ``tinygrad-norm`` the word."""
    parser = commands.add_parser(
        "check",
        help="is your own backward right, and if not, which term is wrong? (executes your file)",
        description=_ABOUT,
        epilog="exit code: 0 every gradient is right, 1 something is wrong, 2 used wrongly or not judged (a file that cannot be run, no norm named)",
    )
    parser.set_defaults(run=run_check)
    parser.add_argument(
        "targets",
        nargs="+",
        metavar="FILE[:FUNCTION]",
        help="my_backward.py, my_backward.py:ln_bwd or my_backward.py:Class.backward. The file is executed. Or a link, whose code is "
        "shown before it is run",
    )
    parser.add_argument("--norm", metavar="NAME", help=f"what it belongs to, if its name does not say so: {', '.join(names())}")
    parser.add_argument(
        "--arg", action="append", default=[], type=option, metavar="NAME=VALUE", help="an option, such as eps=1e-6"
    )
    parser.add_argument("--shape", type=shape_argument, metavar="16,64", help="of the input it is asked with")
    parser.add_argument(
        "--dtype",
        choices=("float16", "bfloat16", "float32", "float64"),
        help="a narrower one judges the arithmetic besides the formula",
    )
    parser.add_argument("--seed", type=whole_number, default=0, help="of the numbers it is asked with (default: 0)")
    parser.add_argument("--order", type=int, choices=(1, 2), default=1, help="2: also differentiate it once more")
    parser.add_argument("--limit", type=_seconds, default=10.0, metavar="SECONDS", help="for one answer (default: 10)")
    parser.add_argument("--framework", choices=("torch", "jax"), help="the functions compute on that library's tensors")
    parser.add_argument(
        "--wrt", metavar="INPUTS", help="the inputs whose gradients it gives, if not all, such as input or x,weight"
    )
    parser.add_argument("--device", help="of PyTorch, such as cuda: the numbers go there, the answer comes back")
    parser.add_argument(
        "--prove", action="store_true", help="also hold its own record against the derived formula: right for every input"
    )
    parser.add_argument(
        "--link", action="store_true", help="also print each verdict's address: it HOLDS THE CODE, the norm, options and seed"
    )
    parser.add_argument("--link-base", metavar="ADDRESS", help="the page that opens it, such as https://…/try.html")
    parser.add_argument("--yes", action="store_true", help="run the code of a link without asking")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print the results as a JSON list and nothing else")
    form.add_argument("--quiet", action="store_true", help="print a line for each function and nothing else")
    parser.add_argument("--junit", type=Path, metavar="FILE", help="also write a JUnit file, for CI and graders")


def run_check(args: argparse.Namespace) -> int:
    """Judge all; what cannot be judged does not keep the others from it. Returns the exit code."""
    if args.norm is not None:
        get(args.norm)
    options = dict(args.arg)
    if clash := sorted(set(options) & _TAKEN):
        raise CheckInputError(f"--arg {clash[0]}=…: that is no option of a norm; see --help.")
    results = []
    for target in args.targets:
        for result in _judge(target, args, options):
            results.append(result)
            if not args.json:
                _print(result, args.quiet, first=len(results) == 1)
    if args.json:
        print(json.dumps([_plain(r) for r in results], ensure_ascii=not has_unicode(sys.stdout), indent=1))
    if args.junit is not None:
        write_whole(args.junit, _junit(results))
    if any(r.error is not None or not r.verdict.judged for r in results):
        return MISUSED
    return HOLDS if all(r.verdict.ok for r in results) else FAILS


def _judge(target: str, args: argparse.Namespace, options: dict[str, Any]) -> list[_Result]:
    if is_link(target) and not _is_file(target):
        return [_judge_link(target, args, options)]
    try:
        functions = load(target)
    except CheckInputError as error:
        return [_Result(target, None, error=str(error))]
    return [_judge_one(target, found, args, options) for found in functions]


def _judge_one(target: str, found: Found, args: argparse.Namespace, options: dict[str, Any]) -> _Result:
    from ..check.checking import check

    file = target if Path(target).exists() else target.rpartition(":")[0]
    label = f"{file}:{found.name}"
    norm = args.norm or found.norm
    if norm is None:
        return _Result(
            label, found, error=f"{label}: which norm it belongs to cannot be told from its name. Say it: --norm layer_norm."
        )
    try:
        candidate = found.function if args.framework is None else as_candidate(found.function, args.framework)
        verdict = check(
            candidate,
            norm,
            shape=args.shape,
            dtype=args.dtype,
            order=args.order,
            seed=args.seed,
            limit=args.limit,
            **options | _said(found, args),
        )
    except TinygradNormError as error:
        return _Result(label, found, error=f"{label}: {error}")
    if not args.link:
        return _Result(label, found, verdict)
    try:
        return _Result(label, found, verdict, link=verdict.link(args.link_base))
    except LinkError as error:
        return _Result(label, found, verdict, f"{label}: {error}")


def _is_file(target: str) -> bool:
    try:
        return Path(target).exists()
    except (OSError, ValueError):  # too long a name
        return False


def _judge_link(target: str, args: argparse.Namespace, options: dict[str, Any]) -> _Result:
    from ..check.repeated import repeat

    try:
        carried = read(target)
        if not _allowed(carried, args.yes):
            return _Result("link", None, error="link: not run. Read the code; --yes says that it may be run.")
        more = {n: getattr(args, n) for n in ("norm", "shape", "dtype", "framework", "device") if getattr(args, n) is not None}
        more |= {
            n: v for n, v in (("seed", args.seed), ("prove", args.prove), ("order", args.order)) if v and (n, v) != ("order", 1)
        }
        more |= {} if args.wrt is None else {"wrt": tuple(w.strip() for w in args.wrt.split(","))}
        verdict = repeat(carried, limit=args.limit, **options, **more)
    except TinygradNormError as error:
        return _Result("link", None, error=str(error))
    return _Result(f"link:{verdict.candidate}", None, verdict, link=verdict.link(args.link_base) if args.link else None)


def _allowed(carried: Carried, yes: bool) -> bool:
    """Show what would be run, where nothing but the results is printed besides, and ask."""
    norm = carried.norm or "not said"
    told = ", ".join(f"{n}={v!r}" for n, v in {**carried.options, **carried.how}.items())
    head = [
        f"the link holds this code, to be run here ({carried.name or 'its first backward'}, norm {norm}{', ' * bool(told)}{told}):"
    ]
    lines = [f"  | {_visible(line)}" for line in carried.source.rstrip().split("\n")]
    print(printable("\n".join(["", *map(_visible, head), "", *lines, ""]), sys.stderr), file=sys.stderr)
    if yes:
        return True
    if not sys.stdin.isatty():
        return False
    print("run it? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _visible(line: str) -> str:
    """No escape sequence, carriage return or change of direction hides anything."""
    return "".join(c if c.isprintable() else " " * 4 if c == "\t" else ascii(c)[1:-1] for c in line)


def _said(found: Found, args: argparse.Namespace) -> dict[str, Any]:
    """What is not always there."""
    wrt = None if args.wrt is None else tuple(w.strip() for w in args.wrt.split(","))
    said = {"forward": found.forward, "wrt": wrt, "device": args.device, "prove": args.prove or None}
    return {n: v for n, v in said.items() if v is not None}


# Showing it -----------------------------------------------------------------------------------------------------------


def _print(result: _Result, quiet: bool, first: bool) -> None:
    if result.verdict is not None and quiet:
        show(f"{'right' if result.verdict.ok else 'WRONG' if result.verdict.judged else 'not judged'}  {result.label}")
    elif result.verdict is not None:
        line = f", line {result.found.line}" if result.found is not None else ""
        show(f"{'' if first else chr(10)}{result.label}{line}", "bold")
        show(result.verdict.text(ascii=not has_unicode(sys.stdout)))
    if result.error is not None:
        print(f"tinygrad-norm: {printable(result.error, sys.stderr)}", file=sys.stderr)
    if result.link is not None:
        print(result.link)


def _plain(result: _Result) -> dict[str, Any]:
    found = result.found
    return {
        "file": result.label if found is None else result.label.removesuffix(f":{found.name}"),
        "function": None if found is None else found.name,
        "line": None if found is None else found.line,
        "ok": result.verdict is not None and result.verdict.ok,
        "error": result.error,
        "verdict": None if result.verdict is None else json.loads(result.verdict.to_json()),
        **({} if result.link is None else {"link": result.link}),
    }


def _junit(results: list[_Result]) -> bytes:
    root = ElementTree.Element("testsuites", name="tinygrad-norm check")
    for r in results:
        if r.verdict is not None:
            root.append(r.verdict.junit(r.label))
            continue
        suite = ElementTree.SubElement(root, "testsuite", name=r.label, tests="1", failures="0", errors="1")
        case = ElementTree.SubElement(suite, "testcase", classname=r.label, name="can be judged")
        ElementTree.SubElement(case, "error", message=r.error or "")
    for count in ("tests", "failures", "errors"):
        root.set(count, str(sum(int(suite.get(count, "0")) for suite in root)))
    for element in root.iter():  # XML has no way to write control characters
        element.text = element.text and _writable(element.text)
        for key, value in element.items():
            element.set(key, _writable(value))
    ElementTree.indent(root)
    data: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return data


def _writable(text: str) -> str:
    return "".join(
        c if c in "\t\n\r" or (c >= " " and not "\ud800" <= c <= "\udfff" and c not in "\ufffe\uffff") else "?" for c in text
    )


# Reading arguments ------------------------------------------------------------------------------------------------------


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value < 1e6:
        raise argparse.ArgumentTypeError(f"{text}: seconds are a positive number, such as 10")
    return value
