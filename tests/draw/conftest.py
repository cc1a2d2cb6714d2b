"""Chromium, headless, driven by Playwright: tests that ask for it are skipped where either is missing."""

from __future__ import annotations

import pytest


@pytest.fixture
def visit(browser):
    """Opens a page; in the end, nothing may have gone wrong on any of them and nobody may have been asked for anything."""
    contexts, troubles, requests = [], [], []

    def open_page(path, state="", width=1400, **how):
        context = browser.new_context(viewport={"width": width, "height": 900}, accept_downloads=True, **how)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda m: troubles.append(m.text))
        page.on("pageerror", lambda e: troubles.append(str(e)))
        page.on("dialog", lambda d: troubles.append(f"dialog {d.message}"))
        page.on("request", lambda r: requests.append(r.url))
        page.goto(path.as_uri() + state)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert troubles == []
    assert [url for url in requests if not url.startswith(("file:", "data:image/svg+xml", "blob:"))] == []
