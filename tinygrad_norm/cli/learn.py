"""``tinygrad-norm learn``: the course. Exercises in files of the learner's, each save judged."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from ..engine import OptionError
from ..engine.files import write_whole
from ..learn import Judged, Row, Runner, Session, Worker, begin, course, junit, listing, open_desk
from ..learn.screen import LAST, afterwards, before, done
from ..learn.sheet import sheet
from .common import FAILS, HOLDS, INTERRUPTED, MISUSED, has_unicode, in_columns, show

_ABOUT = (
    "Without a word: a folder is made on first use, and one goes on where one stopped; the file is watched, and what is wrong with it is "
    "said on every save, by the term. Without a terminal the exercise one is at is judged once. The files are EXECUTED, in a process of "
    "their own with limits of time and memory: that is no sandbox."
)
_WORDS = {
    "list": "all exercises, and how far you are",
    "run": "judge exercise N once, and be at it from now on",
    "hint": "one more hint (four: a question, the route, the shape of the term, the line)",
    "solution": "after passing, or after the last hint; it then does not count",
    "reset": "the file as it was found; yours is kept in backup/",
    "skip": "on to the next; it does not count, and can be done later",
    "check-all": "judge all; with --junit also a file for teachers",
    "status": "how far you are, in numbers",
    "sheet": "write a page to print: the family in formulas, forward and backward",
}


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Teach ``tinygrad-norm`` the word."""
    parser = commands.add_parser(
        "learn",
        help="the course: exercises whose answers are judged, term by term",
        description=_ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="words:\n"
        + "\n".join(f"  {w:<10} {t}" for w, t in _WORDS.items())
        + "\n\nexit code: 0 solved (check-all: everything "
        "that counts), 1 not yet, 2 used wrongly",
    )
    parser.set_defaults(run=run_learn)
    parser.add_argument("word", nargs="?", metavar="WORD", help="see below; an exercise by itself is run")
    parser.add_argument(
        "name", nargs="?", metavar="N", help="an exercise: 7, 07_softmax or softmax (default: the one you are at)"
    )
    parser.add_argument(
        "--folder", type=Path, metavar="DIR", help="yours (default: the one you are in, else tinygrad-norm-course here)"
    )
    parser.add_argument("--no-watch", action="store_true", help="judge once and end, in a terminal, too")
    parser.add_argument("--junit", type=Path, metavar="FILE", help="with check-all: exercise, passed, hints used, what was wrong")
    parser.add_argument("--out", type=Path, metavar="FILE", help="with sheet (default: tinygrad-norm-sheet.html)")
    parser.add_argument("--json", action="store_true", help="with status: as JSON and nothing else")


def run_learn(args: argparse.Namespace) -> int:
    """Do what the word says; returns the exit code."""
    if args.word is not None and args.word not in _WORDS:
        if args.name is not None:
            raise OptionError(f"learn: {args.word} is none of the words: {', '.join(_WORDS)}.")
        try:
            args.word, args.name = "run", course.known_exercise(args.word)
        except OptionError as error:
            raise OptionError(f"{error} Or one of the words: {', '.join(_WORDS)}.") from None
    if args.junit is not None and args.word != "check-all":
        raise OptionError("learn: --junit goes with check-all.")
    if args.json and args.word != "status":
        raise OptionError("learn: --json goes with status.")
    if args.out is not None and args.word != "sheet":
        raise OptionError("learn: --out goes with sheet.")
    if args.name is not None and args.word in ("list", "check-all", "status", "sheet"):
        raise OptionError(f"learn: {args.word} is about all exercises; it goes without {args.name}.")
    if args.word == "run" and args.name is None:
        raise OptionError("learn: run what? Give N: tinygrad-norm learn run 1.")
    if args.word == "sheet":
        path = args.out or Path("tinygrad-norm-sheet.html")
        write_whole(path, sheet())
        show(f"wrote {path}")
        return HOLDS
    name = None if args.name is None else course.known_exercise(args.name)
    looks = args.word in ("list", "status")
    desk, new = open_desk(args.folder, make=not looks)
    with Worker() as worker:
        session = begin(desk, worker, keep=not looks)
        if session.note and args.word is not None:
            show(session.note)
        if args.word is None:
            return _go_on(session, new, args.no_watch)
        if args.word == "run":
            assert name is not None
            session.go(name)
            return _once(session)
        if args.word == "check-all":
            return _all(session, args.junit)
        return _word(session, args.word, name, args.json)


def _go_on(session: Session, new: bool, once: bool) -> int:
    told = f"your folder: {session.desk.folder}" + (" (made just now)" if new else "")
    if once or not (sys.stdin.isatty() and sys.stdout.isatty()):
        show(told)
        return _once(session)
    session.note = session.note or (told if new else "")
    try:
        Runner(session).run()
    except KeyboardInterrupt:
        show("\nEverything is kept. tinygrad-norm learn goes on here.")
        return INTERRUPTED
    show("Everything is kept. tinygrad-norm learn goes on here.")
    return HOLDS


def _once(session: Session) -> int:
    name = session.name
    show(f"{int(name[:2])} · {course.title(name)}", "bold")
    show(in_columns(f"You will be able to {session.exercise.goal}."))
    if not session.progress.passed:
        show(in_columns(f"Read before: tinygrad-norm {before(name)}"))
    show(str(session.desk.file(name)))
    judged = session.check()
    for line in judged.printed:
        show(f"| {line}")
    show("\n".join(judged.lines))
    following = session.after(name)
    if judged.ok:
        onward = f" {done(session)}" if following is None else f" Next: tinygrad-norm learn run {int(following[:2])}"
        show(f"solved ({judged.counted}).{onward}", "bold green")
        for line in afterwards(name):
            show(line, "dim")
    else:
        if session.desk.untouched(name):
            show("so it stands in the file as you find it; the task is at its top")
        show(f"not yet ({judged.counted}). A hint: tinygrad-norm learn hint {int(name[:2])}")
    return HOLDS if judged.ok else FAILS


def _word(session: Session, word: str, name: str | None, as_json: bool) -> int:
    if word == "list":
        show("\n".join(listing(session)))
    elif word == "hint":
        hints = session.hint(name)
        show(in_columns("\n".join(hints)))
        if len(hints) == len(course.exercise(name or session.name).hints):
            show(in_columns(LAST))
    elif word == "solution":
        text, path = session.solution(name)
        show(f"{text}\nwritten to {path}")
    elif word == "reset":
        show(f"as it was found; {session.reset(name)}")
    elif word == "skip":
        session.skip(name)
        show(f"skipped: it does not count. Now at {session.name}")
    elif as_json:
        print(json.dumps(session.status(), ensure_ascii=not has_unicode(sys.stdout), indent=1))
    else:
        found = session.status()
        show(f"{found['counts']} of {found['of']} solved; at {found['current']}; in {found['folder']}")
    return HOLDS


def _all(session: Session, report: Path | None) -> int:
    rows = []
    for name in course.exercise_names():
        judged: Judged = session.check(name)
        row = Row(name, judged, session.state.of(name))
        rows.append(row)
        said = (
            "solved"
            if judged.ok
            else row.progress.word
            if row.progress.word in ("", "skipped")
            else f"not yet: {'; '.join(judged.terms)}"
        )
        read = row.progress.all_hints
        hinted = f", {read} hint{'s' * (read != 1)}" if read else ""
        seen = ", solution seen" if row.progress.seen else ""
        show(f"{name:<24} {said or 'not begun'}{seen}{hinted}")
    checks = sum(r.judged.checks for r in rows)
    count = sum(r.judged.ok and not r.progress.seen for r in rows)
    show(f"{count} of {len(rows)} solved; {checks} checks were run")
    if report is not None:
        write_whole(report, junit(rows))
    if not checks:
        return MISUSED
    return HOLDS if count == len(rows) else FAILS
