"""Public mistakes, judged: each is rejected, most are named, and the page says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from .museum import EXHIBITS, page

PAGE = Path(__file__).parents[2] / "docs" / "museum.md"


@pytest.mark.parametrize("exhibit", [pytest.param(e, id=e.name) for e in EXHIBITS])
@pytest.mark.costly(3)
def test_a_public_mistake_is_rejected(exhibit):
    verdict = exhibit.verdict()
    assert verdict.judged
    assert verdict.ok == exhibit.limited
    text = verdict.text()
    assert all(word in text for word in exhibit.words), text
    assert not exhibit.words or "no known mistake" not in text


@pytest.mark.thorough
def test_the_page_is_what_the_exhibits_say():
    assert PAGE.read_text(encoding="utf-8") == page(), "python -m tests.check.museum > docs/museum.md"
