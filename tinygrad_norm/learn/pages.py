"""What is printed of claims: a page for each, a table of all, and the README of their folder."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ..graph.table import number, table
from .claim import WORDS, Claim
from .result import Result

_SENTENCES = 51  # of the five texts; what the literature says besides is numbered from there on


def _seconds(result: Result) -> str:
    return f"{result.seconds:.1f}" if result.seconds >= 0.1 else "<0.1"


def overview(results: Sequence[Result], ascii: bool = False, columns: int | None = None) -> str:
    """A line for each claim: its name, the verdict, the seconds it takes to run again, the one figure; then how many of each verdict.

    columns: how wide a terminal is; what is longer is cut off, with … at the end
    """
    rows = [(r.name, r.verdict.word, _seconds(r), r.verdict.figure) for r in results]
    lines = table(("claim", "verdict", "s", "figure"), rows, ascii=ascii).splitlines()
    lines = lines if columns is None else [line if len(line) <= columns else line[: columns - 1].rstrip() + "…" for line in lines]
    counts = Counter(r.verdict.word for r in results)
    lines += [
        "",
        ", ".join(f"{counts[w]} {w}" for w in WORDS if counts[w]) + f"; {sum(r.seconds for r in results):.0f} s for all",
    ]
    return "\n".join(lines)


def figures(result: Result, ascii: bool = False) -> str:
    """A line for each: mean and standard deviation over the seeds, then seed by seed."""
    rows = []
    for name, values in result.figures.items():
        spread = values.std(ddof=1) if len(values) > 1 and np.isfinite(values).all() else None
        rows.append((name, _number(values.mean()), "" if spread is None else _number(spread), *map(_number, values)))
    first, *others = map(str, result.seeds)
    return table(("figure", "mean", "± std", f"seed {first}", *others), rows, ascii=ascii)


def _number(value: Any) -> str:
    return number(float(value)) if np.isfinite(value) else "inf"


def page(claim: Claim, result: Result, ascii: bool = False) -> str:
    """All of a claim: sentence, source, what was done, figures, verdict, and what would change it."""
    v = result.verdict
    parts = [
        result.title,
        _block(f"said by {claim.told_by}", [f"{k}. {s}" for k, s in claim.says.items()]),
        _block("source", [claim.source]),
        _block("done here", [f"{k}: {_words(w)}" for k, w in result.setting.items()]),
        _block("not as in the paper", [claim.differs]),
        _block("measured", [claim.measure]),
        figures(result, ascii),
        _block("the rule", [claim.decides]),
        _block(f"verdict: {v.word}", [f"{v.figure}", v.because]),
        _block("what would change it", [f"{words}: {o.word}" for words, o in claim.otherwise(result.figures).items()]),
        f"{len(result.seeds)} seeds, {_seconds(result)} s of processor time on {result.processor}; "
        + ", ".join(f"{k} {w}" for k, w in result.versions.items()),
    ]
    return "\n\n".join(p for p in parts if p)


def _words(value: Any) -> str:
    return (
        ", ".join(map(_words, value))
        if isinstance(value, (list, tuple))
        else f"{value:g}"
        if isinstance(value, float)
        else str(value)
    )


def _block(head: str, lines: Iterable[str]) -> str:
    kept = [line for line in lines if line]
    if not kept:
        return ""
    return "\n".join([f"{head}:", *(textwrap.fill(line, 78, initial_indent="  ", subsequent_indent="    ") for line in kept)])


# The README of the folder -------------------------------------------------------------------------------------------

_HEAD = """\
# What is said about normalization, put to the test

<!-- Made from results/ by python -m tests.learn.renew: do not write in it by hand. -->

Textbooks, glossaries and encyclopedias say that normalization allows higher rates, makes initial values unimportant, reduces internal
covariate shift, regularizes; and contradict each other. Here every sentence is a file that can be run: the sentence and the paper it
comes from, the experiment, the rule that turns its figures into a verdict (written before the run that is stored; four were changed after a first one), and what would change it.

    tinygrad-norm claims                       # this table
    tinygrad-norm claims batch-of-two          # all of one
    tinygrad-norm claims batch-of-two --run    # run it again, here

"""


def readme(results: Sequence[Result]) -> str:
    """The table of all stored results, the sentences by number with the pages that decide them, and where the texts are opposed."""
    lines = [_HEAD + "| verdict | means |\n|---|---|"]
    lines += [f"| {w} | {means} |" for w, means in WORDS.items()]
    lines += ["", "| claim | | verdict | figure | s |", "|---|---|---|---|---|"]
    lines += [
        f"| [{r.name}]({r.name.replace('-', '_')}.py) | {_cell(r.title)} | {r.verdict.word} | "
        f"[{_cell(r.verdict.figure)}](pictures/{r.name}.svg) | {_seconds(r)} |"
        for r in results
    ]
    counts = Counter(r.verdict.word for r in results)
    lines += [
        "",
        ", ".join(f"{counts[w]} {w}" for w in WORDS if counts[w])
        + f". All of it takes {sum(r.seconds for r in results):.0f} s of processor time.",
    ]
    lines += ["", "## Where the texts contradict each other", ""]
    lines += [
        f"- **{_cell(r.title)}** ([{r.name}]({r.name.replace('-', '_')}.py)): {r.verdict.word}. {_cell(r.verdict.because)}"
        for r in results
        if r.opposed
    ]
    lines += [
        "",
        "## The sentences",
        "",
        f"1 to {_SENTENCES} are those of five ordinary texts, the rest what the literature says besides.",
        "",
    ]
    said: dict[int, list[tuple[str, str]]] = {}
    for r in results:
        for k, s in r.says.items():
            said.setdefault(k, []).append((s, f"[{r.name}]({r.name.replace('-', '_')}.py)"))
    for k in sorted(said):
        lines.append(f"{k}. {_cell(said[k][0][0])} → {', '.join(link for _, link in said[k])}")
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
