"""What the book's pages are made of: docstrings in the house's style, norms, exercises, claims, links. Needs no Sphinx."""

from __future__ import annotations

import contextlib
import io
import re

import pytest

import tinygrad_norm as tn

pytest.importorskip("docs.prose", reason="the book's source is not beside the tests")
from docs import claims, lessons, norms, outside, reference
from docs.__main__ import HERE, written
from docs.prose import blocks, rst
from tinygrad_norm.learn import claim, course, stored
from tinygrad_norm.learn.exercise import regions
from tinygrad_norm.norms import get, names

DOCSTRING = """Judge it: by `*`, and by name_.

x:       the input,
         of shape (*, N)
how, so: two names: one text

    y = γ·x        dx = γ·dy
      goes on

- one
  and the same
- two

Raises ``ShapeError``: see x_.
"""


def test_a_docstring_is_made_of_paragraphs_rows_formulas_and_lists():
    found = list(blocks(DOCSTRING))
    assert [b.kind for b in found] == ["text", "rows", "formula", "list", "text"]
    assert found[1].rows == (("x", "the input, of shape (*, N)"), ("how, so", "two names: one text"))
    assert found[2].lines == ("y = γ·x        dx = γ·dy", "  goes on")
    assert found[3].lines == ("- one and the same", "- two")


def test_its_words_are_no_marks():
    text = rst(DOCSTRING)
    assert r"by \`\*\`, and by name\_." in text
    assert "x\n   the input, of shape (\\*, N)" in text
    assert "Raises ``ShapeError``: see x\\_." in text, "code stays code"


@pytest.mark.parametrize("name", names())
def test_the_head_of_a_norms_file_has_rows(name):
    found = list(blocks(norms.file_of(get(name)).__doc__))
    assert not any(re.match(r"[^\s:]{1,20} {3}", line) for b in found if b.kind == "text" for line in b.lines)
    assert any(b.kind == "formula" for b in found)


@pytest.mark.thorough
def test_the_page_of_a_norm():
    text = "\n\n".join(norms.page(get("rms_norm")))
    assert "RMSNorm\n=====" in text
    assert "\nε\n   inside the root." in text
    assert text.count('<div class="derivation"><h3>RMSNorm: d') == 2
    assert "<math" in text
    assert "the mean square was treated as a constant" in text or "ms was treated as a constant" in text


def test_a_norm_without_a_formula_says_so():
    assert "There is no formula of it over named axes" in next(norms.derivations(get("spectral_norm")))


def test_what_is_published_and_no_gradient_is_said():
    assert "Published, and not the gradient" in "\n".join(norms.page(get("power_norm")))


@pytest.mark.parametrize("name", course.exercise_names())
def test_an_exercise_without_its_solution(name):
    text = lessons.exercise(name)
    assert text.startswith("# ")
    assert course.exercise(name).goal in text
    for solved, found in regions(course.source(name)):
        if (line := solved.strip()) and line not in found:
            assert line not in text


def test_a_lesson_says_where_it_can_be_run_and_what_to_do(tmp_path):
    lessons.write(tmp_path)
    made = sorted((tmp_path / "lessons").glob("*.ipynb"))
    assert len(made) == len(lessons.lesson_names())
    assert all("tinygrad-norm lesson" in p.read_text(encoding="utf-8") for p in made)
    index = (tmp_path / "lessons" / "index.rst").read_text(encoding="utf-8")
    assert all(p.stem in index for p in made)


def test_the_page_of_a_claim():
    text = "\n\n".join(claims.page(claim("batch-of-two"), stored("batch-of-two")))
    assert "**confirmed**" in text
    assert "def experiment(seed):" in text
    assert "<td>BN, batch 2</td>" in text


def test_the_reference_names_everything_public_once(tmp_path):
    reference.write(tmp_path)
    text = "".join(p.read_text(encoding="utf-8") for p in (tmp_path / "reference").glob("*.rst"))
    listed = re.findall(r"^\.\. auto\w+:: (\S+)$", text, re.M)
    assert len(set(listed)) == len(listed) > 400
    functions = {n for n in tn.__all__ if callable(getattr(tn, n))}
    assert not functions - {name.rpartition(".")[2] for name in listed}


def test_links_out_of_the_book_lead_to_its_pages(tmp_path):
    source = tmp_path / "sources"
    (source / "guide").mkdir(parents=True)
    place, page = HERE / "guide" / "some.md", source / "guide" / "some.md"
    lesson = next(iter(lessons.lesson_names().values()))
    text = (
        f"[a](../../lessons/{lesson}.py) [b](../../tinygrad_norm/engine/primitives.py#L3) [c](../../lessons/claims/README.md) "
        "![d](../../lessons/pictures/step.svg) [e](https://example.org/x.py) [f](../museum.md) [g](../../tests) [h](../../nowhere.md)"
    )
    assert outside.rewritten(text, place, page, source) == (
        f"[a](../lessons/{lesson}.ipynb) [b](../files/tinygrad_norm/engine/primitives.py.md#L3) [c](../claims/index.rst) "
        "![d](../files/lessons/pictures/step.svg) [e](https://example.org/x.py) [f](../museum.md) g [h](../../nowhere.md)"
    )
    shown = outside.rewritten(
        "[a](docs/guide/x.md) [b](docs/museum.md) [c](docs/guide)", outside.ROOT / "CHANGELOG.md", source / "files/C.md", source
    )
    assert shown == "[a](docs/guide/x.md) [b](../museum.md) [c](../guide/index.rst)", "what is not there stays"
    assert "tanh" in (source / "files/tinygrad_norm/engine/primitives.py.md").read_text(encoding="utf-8")
    assert (source / "files/lessons/pictures/step.svg").exists()


@pytest.mark.thorough
@pytest.mark.parametrize("page", [p.name for p in written() if p.parent == HERE])
def test_the_examples_of_a_page_run(page, tmp_path, monkeypatch):
    """Those in ``python``, one after another; what is marked ``py`` needs what is not here. Of the guide: tests/test_pages.py."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "example"}
    for i, text in enumerate(re.findall(r"^```python\n(.*?)^```", (HERE / page).read_text(encoding="utf-8"), re.S | re.M)):
        with contextlib.redirect_stdout(io.StringIO()):
            exec(compile(text, f"{page}, example {i + 1}", "exec"), names)
