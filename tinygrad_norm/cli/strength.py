"""``tinygrad-norm strength``: how many known wrong backwards does a test of the user's own accept?"""

from __future__ import annotations

import argparse
import contextlib
import inspect
import json
import runpy
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ..check import InputError, Strength, strength
from ..norms import get, names
from .common import FAILS, HOLDS, MISUSED, has_unicode, in_columns, option, show

_ABOUT = (
    "Run a test of your own, a function of one parameter, the backward, on the right backward of a norm and on every known wrong one, and "
    "say which it accepts and what would catch them. The backward is called as backward(dy, x, weight, bias, eps) and gives "
    "(dx, dweight, dbias). The file is EXECUTED, as python FILE would: name only files you would run."
)


def add_parser(commands: Any) -> None:
    """Teach ``tinygrad-norm`` the word."""
    parser = commands.add_parser(
        "strength",
        help="how many known wrong backwards does your own test accept? (executes your file)",
        description=_ABOUT,
        epilog="exit code: 0 all known mistakes are rejected, 1 some are accepted, 2 used wrongly, or the right backward is refused",
    )
    parser.set_defaults(run=run_strength)
    parser.add_argument(
        "targets",
        nargs="+",
        metavar="FILE::TEST",
        help="test_file.py::test_x, or test_file.py::Class::test_x. The file is executed",
    )
    parser.add_argument("--norm", metavar="NAME", help=f"what is tested, if no name says so: {', '.join(names())}")
    parser.add_argument(
        "--arg", action="append", default=[], type=option, metavar="NAME=VALUE", help="an option of the norm, such as eps=1e-6"
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print the results as a JSON list and nothing else")
    form.add_argument("--quiet", action="store_true", help="print a line for each test and nothing else")


def run_strength(args: argparse.Namespace) -> int:
    """Measure all; returns the exit code."""
    results: list[tuple[str, Strength]] = []
    for target in args.targets:
        test, place = load_test(target)
        norm = args.norm or _norm_of(place)
        if norm is None:
            raise InputError(f"{target}: which norm it tests cannot be told from its name. Say it: --norm layer_norm.")
        results.append((target, strength(test, get(norm, "strength"), **_options(args.arg))))
    if args.json:
        print(
            json.dumps(
                [{"target": t, **json.loads(r.to_json())} for t, r in results], ensure_ascii=not has_unicode(sys.stdout), indent=1
            )
        )
    for target, result in [] if args.json else results:
        if args.quiet:
            show(in_columns(f"{target}: {result.verdict}"))
        else:
            show(f"{'' if target == args.targets[0] else chr(10)}{target}", "bold")
            show(in_columns(result.text(ascii=not has_unicode(sys.stdout)), 100))
    if any(r.right != "accepted" for _, r in results):
        return MISUSED
    return HOLDS if all(r.ok for _, r in results) else FAILS


def _options(given: list[tuple[str, Any]]) -> dict[str, Any]:
    options = dict(given)
    if clash := sorted(set(options) & set(inspect.signature(strength).parameters)):
        raise InputError(f"--arg {clash[0]}=…: that is no option of a norm; see --help.")
    return options


def load_test(target: str) -> tuple[Callable[[Any], Any], str]:
    """The function ``path.py::test_x`` or the method ``path.py::Class::test_x``, and the names it goes by.

    **Executes the file.** Raises ``InputError`` for a file that is missing or raises, and for what is no function of one argument.
    """
    file, *way = target.split("::")
    path = Path(file)
    if not way or not all(way):
        raise InputError(f"{target}: name the test in it: {file}::test_x.")
    with _beside(path):
        try:
            found: Any = runpy.run_path(str(path), run_name="tinygrad_norm_measures")
        except OSError as error:
            raise InputError(f"{path}: {error.strerror or error}.") from None
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a file may exit, or skip itself
            raise InputError(f"{path} raised {type(error).__name__}: {error}") from None
    known = sorted(n for n, v in found.items() if callable(v) and getattr(v, "__module__", "") == "tinygrad_norm_measures")
    if way[0] not in found:
        raise InputError(f"{path}: there is no {way[0]} in it; there are {', '.join(known) or 'no functions'}.")
    test = found[way[0]]
    for name in way[1:]:
        try:
            test = getattr(test() if inspect.isclass(test) else test, name)
        except Exception as error:
            raise InputError(f"{target}: {type(error).__name__}: {error}") from None
    _of_one_argument(target, test)
    return test, f"{'_'.join(way)} {path.stem}".lower()


def _of_one_argument(target: str, test: Any) -> None:
    try:
        inspect.signature(test).bind(None)
    except TypeError:
        taken = str(inspect.signature(test)) if callable(test) else repr(test)
        raise InputError(
            f"{target}: takes {taken}; a test is a function of one parameter, the backward, that raises, or returns False, if it "
            "dislikes it: def test_x(backward): …"
        ) from None
    except ValueError:  # no signature: called, and it will be seen
        pass


@contextlib.contextmanager
def _beside(path: Path) -> Iterator[None]:
    """Its folder on the path, as when it is run."""
    sys.path.insert(0, str(path.resolve().parent))
    try:
        yield
    finally:
        sys.path.pop(0)


def _norm_of(place: str) -> str | None:
    called = [n for n in names() if n in place or n.replace("_", "") in place]
    return max(called, key=len) if called else None
