"""``tinygrad-norm train``: a small network learns, with this normalization and with that."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from ..engine import FileError, OptionError
from ..train import History, Task, curves, fit, overview, picture, task
from ..train.choosing import OPTIMIZERS, SCHEDULES
from ..train.fitting import checkpoint_of
from ..train.tasks import TASKS
from .common import FAILS, HOLDS, INTERRUPTED, has_unicode, in_columns, show, whole_number

_CHOSEN = ("norm", "batch", "lr", "epochs", "optimizer", "schedule", "warmup", "clip", "seed", "shuffle", "backward")
_GET_PICTURE = "for a picture: pip install 'tinygrad_norm[plot]', and --out curves.svg"


def add_parser(commands: Any) -> None:
    """Teach ``tinygrad-norm`` the word."""
    parser = commands.add_parser(
        "train",
        help="train a small network, with and without a normalization",
        description="Train a small network on data that is here, seconds each: one line in the table for every --norm.",
        epilog="exit code: 0 trained, 1 one diverged, 2 used wrongly, 130 interrupted (with --save, to be resumed)",
    )
    parser.set_defaults(run=run_train)
    parser.add_argument("network", choices=tuple(TASKS), help="; ".join(f"{t.name}: {t.title}" for t in TASKS.values()))
    parser.add_argument(
        "--norm",
        action="append",
        metavar="NAME",
        help="which normalization, or none; several for one table (default: the network's own)",
    )
    parser.add_argument("--batch", type=_positive, metavar="N", help="samples in a step")
    parser.add_argument("--lr", type=_rate, metavar="RATE", help="the learning rate")
    parser.add_argument("--epochs", type=_positive, metavar="N", help="how often all data is seen")
    parser.add_argument("--optimizer", choices=tuple(OPTIMIZERS))
    parser.add_argument("--schedule", choices=tuple(SCHEDULES), help="how the rate goes (default: constant)")
    parser.add_argument("--warmup", type=whole_number, metavar="STEPS", help="so many steps in which the rate rises (default: 0)")
    parser.add_argument("--clip", type=_rate, metavar="LENGTH", help="the most that the gradient's length may be")
    parser.add_argument("--seed", type=whole_number, help="of the weights and the order of the samples (default: 0)")
    parser.add_argument(
        "--shuffle", type=whole_number, metavar="SEED", help="draw what is held out anew (default: the end of the data)"
    )
    parser.add_argument(
        "--backward", choices=("analytic", "recorded"), help="which backward the normalizations take (default: analytic)"
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="the curves as a picture: .svg, .png, .pdf")
    parser.add_argument(
        "--save", type=Path, metavar="FILE", help="write the run here after each epoch, and when Ctrl-C is pressed"
    )
    parser.add_argument("--resume", type=Path, metavar="FILE", help="go on from there, with the options of then")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print all numbers as JSON and nothing else")
    form.add_argument("--quiet", action="store_true", help="print the table's first part and nothing else")


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text}: expected a whole number from 1 on")
    return value


def _rate(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text}: expected a number above 0")
    return value


def run_train(args: argparse.Namespace) -> int:
    """Train all; returns the exit code."""
    chosen: Task = task(args.network)
    norms = args.norm or [None]
    if len(norms) > 1 and (args.save or args.resume):
        raise OptionError("train: --save and --resume hold one run; give one --norm.")
    if args.out is not None and not args.out.suffix:
        raise FileError(f"{args.out}: name a file with a suffix that says which picture: {args.out}.svg.")
    kept = _kept(args) if args.resume else {}
    options = [_options(args, chosen, norm, kept) for norm in norms]
    for o in options:
        chosen.make(norm=o["norm"], seed=o["seed"])  # a name that is none is said before anything is trained
    runs: list[History] = []
    try:
        for o in options:
            runs.append(_train(args, chosen, o))
    except KeyboardInterrupt:
        if args.save is not None:
            print(f"tinygrad-norm: saved; go on with: tinygrad-norm train {args.network} --resume {args.save} --save {args.save}", file=sys.stderr)  # fmt: skip
        return INTERRUPTED
    _report(args, chosen, options[0], runs)
    return FAILS if any(r.diverged for r in runs) else HOLDS


def _kept(args: argparse.Namespace) -> dict[str, Any]:
    """The options a file was made with."""
    note = checkpoint_of(args.resume)["setting"].get("note")
    if not isinstance(note, dict) or note.get("network") != args.network:
        known = (
            f"is a run of {note['network']}"
            if isinstance(note, dict) and "network" in note
            else "was not written by this command"
        )
        raise OptionError(f"train: {args.resume} {known}, not of {args.network}.")
    return note


def _options(args: argparse.Namespace, chosen: Task, norm: str | None, kept: dict[str, Any]) -> dict[str, Any]:
    """What the command line says, else the file to resume from, else what fits the network."""
    usual = {
        "norm": chosen.norm, "batch": chosen.batch, "lr": chosen.lr, "epochs": chosen.epochs, "optimizer": chosen.optimizer,
        "schedule": "constant", "warmup": 0, "clip": None, "seed": 0, "shuffle": None, "backward": "analytic",
    }  # fmt: skip
    given = {**vars(args), "norm": norm}
    found = {k: given[k] if given[k] is not None else kept.get(k, usual[k]) for k in _CHOSEN}
    for k in ("norm", "shuffle", "backward"):  # the rest is fit's to compare
        if kept and found[k] != kept[k]:
            raise OptionError(f"train: {args.resume} was written with --{k} {kept[k]}, now {found[k]}. Go on with the same.")
    return found


def _train(args: argparse.Namespace, chosen: Task, o: dict[str, Any]) -> History:
    given = chosen.given(o["shuffle"])
    model = chosen.make(norm=o["norm"], seed=o["seed"], backward=o["backward"])
    same = {k: o[k] for k in ("batch", "lr", "epochs", "optimizer", "schedule", "warmup", "clip", "seed")}
    return fit(
        model, given.train, test=given.test, loss=chosen.loss, name=o["norm"], progress=not args.json, save=args.save,
        resume=args.resume, note={"network": chosen.name, **o}, **same,
    )  # fmt: skip


def _report(args: argparse.Namespace, chosen: Task, o: dict[str, Any], runs: list[History]) -> None:
    plain = not has_unicode(sys.stdout)
    given = chosen.given(o["shuffle"])
    drawn = picture(runs, args.out) if args.out is not None else None
    if args.json:
        print("[" + ",\n".join(r.to_json(ascii=plain) for r in runs) + "]")
        if args.out is not None and drawn is None:
            print(f"tinygrad-norm: {_GET_PICTURE}", file=sys.stderr)
        return
    text = overview(runs, ascii=plain)
    if args.quiet:
        show(text.split("\n\n")[0])
        return
    best = f"{100 * given.baseline:.1f} %" if chosen.loss == "cross_entropy" else f"{given.baseline:.4g}"
    rate = f"{o['optimizer']}, batch {o['batch']}, rate {o['lr']:g}, {o['epochs']} epochs, seed {o['seed']}"
    show(f"{chosen.name}: {chosen.title}", "bold")
    show(in_columns(f"{rate}; {given.says}: {best}\n"))
    show(text + "\n")
    show(curves(runs, ascii=plain))
    show(f"wrote {drawn}" if drawn else _GET_PICTURE)
