"""A page for each norm, from its file and what is registered of it, and the gallery: all of them, with pages to step through."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

from tinygrad_norm.check.catalogue import catalogue
from tinygrad_norm.derive import derive
from tinygrad_norm.derive.errors import DerivationError, NotSymbolicError
from tinygrad_norm.derive.pages import as_section
from tinygrad_norm.derive.recording import recorder
from tinygrad_norm.graph import Graph
from tinygrad_norm.norms import Norm, get, names

from .prose import plain, raw, rst, title, toctree


def write(source: Path) -> None:
    """norms/NAME.rst, norms/index.rst, gallery.rst into the sources; pictures and explorers into extra/."""
    pictures, explorers = (source / "extra" / kind for kind in ("pictures", "explorers"))
    for place in (source / "norms", pictures, explorers):
        place.mkdir(parents=True)
    for name in names():
        norm = get(name)
        graph = Graph(recorder(name, None, norm.shape, "recorded", 0, {}, ())().output)
        for theme in ("light", "dark"):
            graph.save(pictures / f"{name}-{theme}.svg", fold=1, theme=theme, title=norm.title)
        graph.save(explorers / f"{name}.html", title=f"{norm.title}, step by step")
        (source / "norms" / f"{name}.rst").write_text("\n\n".join(page(norm)) + "\n", encoding="utf-8")
    (source / "norms" / "index.rst").write_text(_index(), encoding="utf-8")
    (source / "gallery.rst").write_text(_gallery(), encoding="utf-8")


def page(norm: Norm) -> Iterator[str]:
    """One norm: its file's head, picture, derivation, known mistakes."""
    yield title(norm.title)
    yield rst(inspect.getdoc(file_of(norm)) or norm.formula)
    yield f":py:func:`tinygrad_norm.functional.{norm.name}` computes it."
    yield title("The picture", "-")
    yield raw(picture(norm, ".."))
    yield raw(f'<p><a href="../explorers/{norm.name}.html">Step through it</a>, forward and backward, number by number.</p>')
    yield title("The derivation", "-")
    yield "Made from the record of the forward pass, not written by hand; each line is held against the one before, in numbers."
    for made in derivations(norm):
        yield raw(f'<div class="derivation">{made}</div>')
    if norm.by_design:
        yield title("Published, and not the gradient", "-")
        yield "\n\n".join(f"d{norm.symbol(n)}: {plain(why)}." for n, why in norm.by_design.items())
    yield title("Known mistakes", "-")
    found = catalogue(norm, norm.options)
    yield (
        f"What ``tinygrad-norm check FILE --norm {norm.name}`` names at sight, and ``tn.strength`` hands to a test of yours: "
        f"{len(found)} wrong backwards, of which each gives other numbers than the right one."
    )
    yield raw(_mistakes(found))


def file_of(norm: Norm) -> Any:
    """The module that registers it."""
    for name in (norm.name, *(f for f in _files() if f not in names())):
        module = __import__(f"tinygrad_norm.norms.{name}", fromlist=["NORM"]) if name in _files() else None
        if module is not None and norm in vars(module).values():
            return module
    raise LookupError(f"{norm.name}: no file of tinygrad_norm/norms registers it")


def _files() -> list[str]:
    import tinygrad_norm.norms as room

    return sorted(p.stem for p in Path(str(room.__file__)).parent.glob("[a-z]*.py"))


def derivations(norm: Norm) -> Iterator[str]:
    """By each input, the derivation as HTML, or why there is none."""
    for n in ("input", *norm.parameters(norm.shape, **norm.options)):
        if n != "input" and n in norm.draw:  # a class, a statistic: nothing to differentiate by
            continue
        try:
            yield as_section(derive(norm.name, wrt=n), "h3")
        except (DerivationError, NotSymbolicError) as error:
            yield f"<h3>{escape(norm.title)}: d{escape(norm.symbol(n))}</h3><p>There is no formula of it over named axes: {escape(str(error).partition('. Recorded')[0])}.</p>"


def picture(norm: Norm, root: str) -> str:
    """On light and on dark paper."""
    return (
        f'<picture class="graph"><source srcset="{root}/pictures/{norm.name}-dark.svg" media="(prefers-color-scheme: dark)">'
        f'<img src="{root}/pictures/{norm.name}-light.svg" alt="{escape(norm.title)}, the level of its scopes"></picture>'
    )


def options() -> str:
    """All names, for a ``<select>``."""
    return "".join(f"<option>{escape(n)}</option>" for n in names())


def _mistakes(found: Any) -> str:
    rows = "".join(f"<li><b>{escape(', '.join(k.gradients))}</b> {escape(k.sentence)}</li>" for k in found.values())
    return f'<details class="mistakes"><summary>All {len(found)}</summary><ul>{rows}</ul></details>'


def _index() -> str:
    shown = [get(n) for n in names()]
    rows = "\n\n".join(f":doc:`{plain(n.title)} <{n.name}>`\n   {plain(n.formula) or '…'}" for n in shown)
    return (
        f"{title('The norms')}\n\nOne page each, made from its file and from what is registered of it.\n\n{rows}\n\n"
        + toctree(names(), options="   :hidden:\n")
    )


def _gallery() -> str:
    cards = "".join(
        f'<figure><a href="explorers/{n}.html">{picture(get(n), ".")}</a><figcaption><a href="norms/{n}.html">{escape(get(n).title)}</a>'
        f' · <a href="explorers/{n}.html">step through it</a></figcaption></figure>'
        for n in names()
    )
    head = f"{title('The gallery')}\n\nEach norm at the level of its scopes. A picture opens the page to step through it, forward and backward.\n\n"
    return head + raw(f'<div class="gallery">{cards}</div>') + "\n"
