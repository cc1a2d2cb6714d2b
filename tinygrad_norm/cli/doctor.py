"""``tinygrad-norm doctor``: what is here, what each of it is good for, and how to get the rest."""

from __future__ import annotations

import argparse
import platform
import sys
from importlib import metadata
from typing import Any

from ..draw.graphviz_engines import GET_PACKAGE, GET_PROGRAM, package_version, program_version
from ..graph.table import table
from .common import HOLDS, MISUSED, has_unicode, in_columns, show

_NEEDED = {"numpy": "numbers", "sympy": "formulas (derive, routes)", "rich": "tables in the terminal", "graphviz": "talks to dot"}
_PEERS = {
    "matplotlib": "the curves of train as a picture",
    "torch": "a referee in the tests; check judges its functions",
    "jax": "a referee in the tests; check judges its functions",
    "autograd": "a referee in the tests",
    "onnx": "the standard's test vectors",
}


def add_parser(commands: Any) -> None:
    """Teach ``tinygrad-norm`` the word."""
    parser = commands.add_parser("doctor", help="what is installed, and what it is good for")
    parser.set_defaults(run=run_doctor)


def run_doctor(args: argparse.Namespace) -> int:
    """List it; returns the exit code: 2 if something is missing that nothing works without."""
    rows = [("Python", platform.python_version(), "3.10 or later")]
    missing = []
    for package, use in _NEEDED.items():
        version = _version(package)
        rows.append((package, version or "missing", use if version else f"{use}: pip install {package}"))
        missing += [] if version else [package]
    rows += _pictures()
    rows.append(("numba", _version("numba") or "—", 'kernels, backward="compiled": pip install numba'))
    for package, use in _PEERS.items():
        rows.append((package, _version(package) or "—", use))
    show(table(("what", "version", "for"), rows, ascii=not has_unicode(sys.stdout)).rstrip())
    if not (program_version() or package_version()):
        show(in_columns(f"for PNG and PDF, either will do: {GET_PROGRAM}; or {GET_PACKAGE}"))
    show(f"missing: {', '.join(missing)}" if missing else "everything that is needed is here")
    return MISUSED if missing else HOLDS


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _pictures() -> list[tuple[str, str, str]]:
    """What draws PNG and PDF; of the two engines the first one here is used."""
    dot, own = program_version(), package_version()
    first = f"dot {dot}" if dot else f"pygraphviz, Graphviz {own}" if own else ""
    return [
        ("dot", dot or "not found", "Graphviz's program"),
        (
            "pygraphviz",
            _version("pygraphviz") or "not found",
            f"carries Graphviz {own}" if own else "Graphviz as a package",
        ),
        ("PNG and PDF", "yes" if first else "no", f"drawn by {first}" if first else "either of the two; SVG needs none"),
    ]
