"""What the commands share: exit codes, what is printed and how, and how words on the command line are read."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np

from ..derive import DerivationError
from ..engine import FileError
from ..graph.table import ascii_text
from ..norms import UnknownNormError, get, names

HOLDS, FAILS, MISUSED, INTERRUPTED = 0, 1, 2, 130


def show(text: str, style: str | None = None) -> None:
    """Print, in colour only on a terminal that wants it, in ASCII where nothing else can be shown."""
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    try:
        console.print(printable(text, sys.stdout), style=style, markup=False)
    except SystemExit:  # rich's way to say that the reader went away
        raise BrokenPipeError from None


def hush() -> None:
    """Nothing more is written to a pipe that nobody reads; not at the end of the program, either."""
    with contextlib.suppress(OSError, ValueError):  # a stream that is no file has no number
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def folder(path: Path, option: str = "--out") -> Path:
    """A folder to write into, made if it is not there."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise FileError(
            f"{path}: is a file, or lies in one; {option} names a folder for the pictures, such as {option} pictures."
        ) from None
    except OSError as error:
        raise FileError(f"{path}: no folder can be made there: {error.strerror or error}.") from None
    return path


def norm_name(text: str) -> str:
    """A registered name, for argparse."""
    try:
        return get(text, "norm").name
    except UnknownNormError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def has_unicode(stream: Any) -> bool:
    try:
        "σ²x̂│►█½".encode(stream.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def printable(text: str, stream: Any) -> str:
    return text if has_unicode(stream) else ascii_text(text)


def in_columns(text: str, columns: int = 80) -> str:
    """Lines too long for a terminal go on in the next, indented."""
    return "\n".join(
        line if len(line) <= columns else textwrap.fill(line, columns, subsequent_indent="  ", break_long_words=False)
        for line in printable(text, sys.stdout).splitlines()  # some letters become words there
    )


def option(text: str) -> tuple[str, Any]:
    """``training=False`` as ("training", False); a number, True, False or None is one, anything else a word."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise argparse.ArgumentTypeError(f"{text}: expected NAME=VALUE, such as eps_mode=std")
    words: dict[str, Any] = {"true": True, "false": False, "none": None}
    if value.lower() in words:
        return name, words[value.lower()]
    for kind in (int, float):
        try:
            return name, kind(value)
        except ValueError:
            pass
    return name, value


def epsilon(text: str) -> float:
    value = float(text)
    if not 0 <= value < np.inf:
        raise argparse.ArgumentTypeError(f"{text}: ε is a number from 0 on, such as 1e-5")
    return value


def whole_number(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text}: expected a whole number from 0 on")
    return value


def add_forward(parser: argparse.ArgumentParser) -> None:
    """What to record: a norm or a forward of the user's own, the axes of its inputs, its options; see ``forward_of``."""
    parser.add_argument(
        "norm", nargs="?", default="layer_norm", metavar="NORM|FILE:FUNCTION",
        help=f"one of: {', '.join(names())}; or a forward of your own, with --axes (default: layer_norm)",
    )  # fmt: skip
    parser.add_argument(
        "--axes", action="append", default=[], type=axes, metavar="x=B,N", help="the axes of an input of your forward"
    )
    parser.add_argument(
        "--arg", action="append", default=[], type=option, metavar="NAME=VALUE", help="an option, such as eps=1e-6"
    )


def axes(text: str) -> tuple[str, tuple[str, ...]]:
    name, equals, axes = text.partition("=")
    if not (name and equals):
        raise argparse.ArgumentTypeError(f"{text}: expected NAME=AXES, such as x=B,N")
    return name, tuple(a.strip() for a in axes.split(",") if a.strip())


def forward_of(args: argparse.Namespace) -> tuple[Any, Any]:
    path, colon, function = args.norm.rpartition(":")
    if not (colon and path.endswith(".py")):
        if args.norm.endswith(".py"):
            raise DerivationError(f"name the forward in {args.norm}: {args.norm}:FUNCTION.")
        return args.norm, None
    found = function_in(path, function)
    if not args.axes and not getattr(args, "input", None):
        raise DerivationError("name the axes of your forward's inputs: --axes x=B,N --axes w=N.")
    return found, dict(args.axes)


def function_in(path: str, function: str) -> Any:
    """A function of a file, which is executed."""
    import runpy

    try:
        module = runpy.run_path(path, run_name="tinygrad_norm_derives")
    except OSError as error:
        raise DerivationError(f"{path}: {error.strerror or error}.") from None
    except Exception as error:
        raise DerivationError(f"{path} raised {type(error).__name__}: {error}") from None
    if not callable(module.get(function)):
        known = ", ".join(
            n
            for n, v in module.items()
            if callable(v) and not n.startswith("_") and getattr(v, "__module__", "") == "tinygrad_norm_derives"
        )
        raise DerivationError(f"there is no function {function} in {path}; there are {known or 'none'}.")
    return module[function]
