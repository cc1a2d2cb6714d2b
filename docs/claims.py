"""The claims: a table of all, and a page each, from the stored results. Nothing is run again."""

from __future__ import annotations

import inspect
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_norm.graph.table import number
from tinygrad_norm.learn import WORDS, Claim, Result, claim, claim_names, claims_folder, stored

from .prose import code, plain, raw, title, toctree


def write(source: Path) -> None:
    """claims/ into the sources, their pictures into extra/."""
    (source / "claims").mkdir(parents=True)
    shutil.copytree(claims_folder() / "pictures", source / "extra" / "claims" / "pictures")
    found = {n: result for n in claim_names() if (result := stored(n)) is not None}
    for name, result in found.items():
        text = "\n\n".join(page(claim(name), result)) + "\n"
        (source / "claims" / f"{name}.rst").write_text(text, encoding="utf-8")
    (source / "claims" / "index.rst").write_text("\n\n".join(_index(found)) + "\n", encoding="utf-8")


def page(made: Claim, result: Result) -> Iterator[str]:
    """All of a claim."""
    v = result.verdict
    yield title(result.title)
    yield f"**{v.word}**: {plain(v.figure)}. {plain(v.because)}"
    yield raw(f'<img class="chart" src="pictures/{result.name}.svg" alt="{escape(v.figure)}">')
    yield _rows({f"{k}, by {made.told_by}": s for k, s in made.says.items()})
    yield _rows(
        {
            "Source": made.source,
            "Measured": made.measure,
            "The rule, written before": made.decides,
            "Not as in the paper": made.differs,
        }
    )
    yield title("What was run", "-")
    yield _rows({k: _words(w) for k, w in result.setting.items()})
    yield title("Figures", "-")
    yield raw(_figures(result))
    yield f"{len(result.seeds)} seeds, {result.seconds:.1f} s of processor time on {plain(result.processor)}; " + ", ".join(
        f"{k} {w}" for k, w in result.versions.items()
    )
    if changes := made.otherwise(result.figures):
        yield title("What would change it", "-")
        yield _rows({words: o.word for words, o in changes.items()})
    yield title("The experiment", "-")
    yield f"``tinygrad-norm claims {result.name} --run`` runs it again."
    yield code(inspect.getsource(made.experiment), "python")


def _rows(said: dict[str, str]) -> str:
    return "\n\n".join(f"{plain(k)}\n   {plain(w)}" for k, w in said.items() if w)


def _words(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_words, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _figures(result: Result) -> str:
    def row(name: str, values: Any) -> Iterator[str]:
        finite = np.isfinite(values).all()
        spread = number(float(values.std(ddof=1))) if len(values) > 1 and finite else ""
        yield from (escape(name), number(float(values.mean())) if finite else "∞", spread)
        yield from (number(float(w)) if np.isfinite(w) else "∞" for w in values)

    head = ("figure", "mean", "± std", *(f"seed {s}" for s in result.seeds))
    return table(head, (row(k, w) for k, w in result.figures.items()))


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """HTML of cells that are HTML, in a box that scrolls where it is too wide."""
    body = "".join(f"<tr>{''.join(f'<td>{c}</td>' for c in r)}</tr>" for r in rows)
    return (
        f'<div class="table-wrapper"><table class="docutils"><thead><tr>{"".join(f"<th>{h}</th>" for h in head)}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _index(found: dict[str, Result]) -> Iterator[str]:
    yield title("What is said about normalization, put to the test")
    yield (
        "Every sentence is a file that can be run: the sentence and the paper it comes from, the experiment, the rule that turns its figures "
        "into a verdict, and what would change it. The figures are those of the stored runs."
    )
    yield _rows(dict(WORDS))
    counts = Counter(r.verdict.word for r in found.values())
    yield ", ".join(f"{counts[w]} {w}" for w in WORDS if counts[w]) + "."
    rows = (
        (f'<a href="{n}.html">{escape(r.title)}</a>', f"<b>{r.verdict.word}</b>", escape(r.verdict.figure))
        for n, r in found.items()
    )
    yield raw(table(("claim", "verdict", "figure"), rows))
    yield title("Where the texts contradict each other", "-")
    yield "\n".join(
        f"- :doc:`{plain(r.title)} <{n}>`: {r.verdict.word}. {plain(r.verdict.because)}" for n, r in found.items() if r.opposed
    )
    yield toctree(list(found), options="   :hidden:\n")
