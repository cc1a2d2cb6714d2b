"""``tinygrad-norm claims``: what is said about normalization, each sentence with an experiment and a verdict."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..engine import OptionError
from ..engine.files import write_whole
from ..graph.table import to_json
from ..learn import WORDS, Claim, Result, agreement, claim, claim_names, claims_folder, overview, page, run, stored
from ..learn.catalogue import known
from .common import FAILS, HOLDS, folder, has_unicode, printable, show


def add_parser(commands: Any) -> None:
    """Teach ``tinygrad-norm`` the word."""
    parser = commands.add_parser(
        "claims",
        help="what is said about normalization, put to the test",
        description="Without a NAME the table of all: claim, verdict, the one figure, seconds of processor time to run it again. With "
        "one: the sentence, who says so and which paper, what was done, the figures by seed, the verdict, and what would change it.",
        epilog="exit code: 0 the stored verdicts hold, 1 with --run: one does not hold here, 2 used wrongly",
    )
    parser.set_defaults(run=run_claims)
    parser.add_argument("name", nargs="?", metavar="NAME", help="one of the claims, such as batch-of-two")
    parser.add_argument(
        "--run", action="store_true", dest="again", help="run it again here, and say whether the stored verdict holds"
    )
    parser.add_argument("--all", action="store_true", help="with --run: every claim")
    parser.add_argument("--quick", action="store_true", help="with --run: fewer seeds, the same rule")
    parser.add_argument("--seeds", type=int, metavar="N", help="with --run: so many seeds")
    parser.add_argument("--predict", action="store_true", help="be asked for your prediction first")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="write the figures as NAME.json and the picture as NAME.svg there"
    )
    parser.add_argument("--json", action="store_true", help="print the results as a JSON list and nothing else")


def run_claims(args: argparse.Namespace) -> int:
    """Print the table or a page, or run; returns the exit code."""
    if (args.quick or args.seeds is not None or args.all) and not args.again:
        raise OptionError("claims: --all, --quick and --seeds say how to run; they go with --run.")
    if args.again and not args.all and args.name is None:
        raise OptionError("claims: --run what? Give a NAME, or --all.")
    if args.all and (args.name is not None or args.predict):
        raise OptionError("claims: --all is every claim; it goes without a NAME and without --predict.")
    if args.predict and (args.name is None or args.json):
        raise OptionError("claims: --predict is about one claim, in words: give its NAME, and no --json.")
    if args.again:
        return _run(args, claim_names() if args.all else [known(args.name)])
    if args.name is None:
        found = [r for n in claim_names() if (r := stored(n)) is not None]
        _put(args, found)
        if args.json:
            print(_as_list(found))
        else:
            show(overview(found, ascii=not has_unicode(sys.stdout), columns=_columns()))
        return HOLDS
    one = claim(args.name)
    result = stored(args.name)
    if result is None:
        raise OptionError(f"claims: nothing is stored of {known(args.name)}; --run runs it.")
    said = _predicted(one) if args.predict else None
    _put(args, [result])
    if args.json:
        print(_as_list([result]))
    else:
        _page(one, result, said)
        show("" if args.out else f"\npicture: {claims_folder() / 'pictures' / f'{result.name}.svg'}")
    return HOLDS


def _run(args: argparse.Namespace, names: list[str]) -> int:
    results, fails = [], []
    for name in names:
        one = claim(name)
        said = _predicted(one) if args.predict else None
        result = run(name, one, args.seeds, args.quick, _bar(name))
        judged = agreement(stored(name), result)
        results.append(result)
        if not judged.ok:
            fails.append(judged.text)
        _put(args, [result])
        if args.json:
            continue
        if args.all:
            show(f"{name}: {judged.text}; {result.verdict.figure}; {result.seconds:.1f} s", None if judged.ok else "bold red")
        else:
            _page(one, result, said)
            show(f"\n{judged.text}", "bold green" if judged.ok else "bold red")
    if args.json:
        print(_as_list(results))
    elif args.all:
        here = f"{sum(r.seconds for r in results):.0f} s of processor time"
        show(
            f"{len(fails)} of {len(results)} do NOT hold here; {here}" if fails else f"all {len(results)} hold here; {here}",
            "bold",
        )
    return FAILS if fails else HOLDS


def _columns() -> int | None:
    """How wide the terminal is; None where there is none."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def _page(one: Claim, result: Result, said: str | None) -> None:
    show(page(one, result, ascii=not has_unicode(sys.stdout)))
    if said is not None:
        came = result.verdict.word
        show(f"\nyou said {said}; it came out {came}{': as you said' if said == came else ''}", "bold")


def _bar(name: str) -> Callable[[int, int], None] | None:
    """Seeds done, on a terminal; nothing elsewhere."""
    if not sys.stderr.isatty():
        return None

    def tell(done: int, most: int) -> None:
        end = "\r" if done < most else "\r\033[K"
        print(f"{name}: seed {done} of {most}" if done < most else "", end=end, file=sys.stderr, flush=True)

    return tell


def _predicted(one: Claim) -> str | None:
    """The verdict that the user expects; None where nothing is said."""
    show(f"{one.title}\n")
    for text in one.says.values():
        show(f"  {text}")
    show("\n" + "\n".join(f"{k}: {v}" for k, v in one.setting.items()) + f"\n\nthe rule: {one.decides}\n")
    ways = ", ".join(f"{w}" for w in WORDS)
    while True:
        print(printable(f"Your prediction ({ways}; the beginning will do): ", sys.stdout), end="", flush=True)
        line = sys.stdin.readline()
        if not line:
            print()
            return None
        found = [w for w in WORDS if line.strip() and w.startswith(line.strip().lower())]
        if len(found) == 1:
            print()
            return found[0]
        print(f"That begins {'no' if not found else 'more than one'} verdict.")


def _put(args: argparse.Namespace, results: list[Result]) -> None:
    if args.out is None:
        return
    place = folder(args.out)
    for r in results:
        r.save(place)
        write_whole(place / f"{r.name}.svg", claim(r.name).picture(r.figures).svg(r.title))


def _as_list(results: list[Result]) -> str:
    import json

    return to_json([json.loads(r.to_json()) for r in results], ascii=not has_unicode(sys.stdout))
