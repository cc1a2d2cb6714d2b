"""The book as it was built: where $BOOK says that it is. Every link leads somewhere; five pages, in a browser, ask nobody for anything."""

from __future__ import annotations

import os
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

BOOK = Path(os.environ.get("BOOK", "")).resolve()
pytestmark = pytest.mark.skipif("BOOK" not in os.environ, reason="BOOK names no built book: python -m docs build/book")
PAGES = ("index", "norms/layer_norm", "lessons/*four_routes", "claims/batch-of-two", "try", "gallery", "reference/tn")


class Page(HTMLParser):
    """What a page points at, what can be pointed at in it, and what it would load."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.ids: set[str] = set()

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.ids.update(filter(None, (given.get("id"), given.get("name") if tag == "a" else None)))
        if tag == "a" and given.get("href"):
            self.links.append(given["href"])
        for name in ("src", "srcset", "poster", "data"):
            if given.get(name):
                self.loaded.append(given[name])
        if tag == "link" and {"stylesheet", "icon", "preload", "preconnect", "manifest"} & set((given.get("rel") or "").split()):
            self.loaded.append(given["href"])


@cache
def parsed(path: Path) -> Page:
    page = Page()
    page.feed(path.read_text(encoding="utf-8"))
    return page


def pages():
    return sorted(p for p in BOOK.rglob("*.html") if not {"_static", "_modules", "explorers"} & set(p.relative_to(BOOK).parts))


def test_there_is_a_page_of_everything():
    from tinygrad_norm.learn import claim_names, course
    from tinygrad_norm.learn.lessons import lesson_names
    from tinygrad_norm.norms import names

    wanted = {f"lessons/{n}" for n in lesson_names().values()} | {f"exercises/{n}" for n in course.exercise_names()}
    wanted |= {f"claims/{n}" for n in claim_names()} | {f"{kind}/{n}" for kind in ("norms", "explorers") for n in names()}
    wanted |= {"index", "gallery", "glossary", "museum", "ten_minutes", "try", "search", "genindex"}
    assert not {n for n in wanted if not (BOOK / f"{n}.html").exists()}


def test_every_link_leads_somewhere():
    broken = []
    for path in pages():
        page = parsed(path)
        for link in (*page.links, *page.loaded):
            to = urlsplit(link.split(" ")[0])
            if to.scheme in ("http", "https", "mailto", "data"):
                continue
            target = (path.parent / unquote(to.path)).resolve() if to.path else path
            at = unquote(to.fragment)
            inside = target.suffix != ".html" or not at or at in parsed(target).ids if target.is_file() else False
            if not inside:
                broken.append(f"{path.relative_to(BOOK)}: {link}")
    assert broken == []


def test_nothing_is_loaded_from_elsewhere():
    found = {(p.relative_to(BOOK), url) for p in pages() for url in parsed(p).loaded if urlsplit(url).scheme not in ("", "data")}
    assert found == set()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_quiet_and_fits(browser, name, width, scheme):
    (path,) = BOOK.glob(f"{name}.html")
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    said, asked = [], []
    page.on("console", lambda m: said.append(m.text))
    page.on("pageerror", lambda e: said.append(str(e)))
    page.on("request", lambda r: asked.append(r.url))
    page.goto(path.as_uri())
    page.wait_for_load_state("networkidle")
    wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    paper, ink = page.evaluate("[...['backgroundColor', 'color']].map(k => getComputedStyle(document.body)[k])")
    context.close()
    assert said == []
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    assert wide <= 0
    assert (brightness(paper) > brightness(ink)) == (scheme == "light")


def test_a_search_asks_nobody(browser):
    context = browser.new_context()
    page, said = context.new_page(), []
    page.on("console", lambda m: said.append(m.text))
    page.goto((BOOK / "search.html").as_uri() + "?q=cotangent")
    page.wait_for_selector("#search-results li a")
    page.wait_for_load_state("networkidle")
    context.close()
    assert said == []


def brightness(color: str) -> float:
    return sum(float(c) for c in color[color.index("(") + 1 : -1].split(",")[:3])
