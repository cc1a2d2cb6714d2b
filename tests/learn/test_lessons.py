"""Lessons as notebooks, and run cell by cell."""

from __future__ import annotations

import html
import json
import re
import shutil

import pytest

import tinygrad_norm as tn
from tinygrad_norm import OptionError
from tinygrad_norm.cli import main
from tinygrad_norm.learn import course
from tinygrad_norm.learn.lessons import MINUTES_30, heading, known_lesson, lesson_names, lesson_text, notebook, run_lesson
from tinygrad_norm.learn.sheet import FAMILY, sheet

NAMES = lesson_names()


def test_the_course_takes_every_lesson_once():
    arc = [word for words in course.PARTS.values() for word in words]
    assert sorted(arc) == sorted(name[3:] for name in NAMES.values())
    assert set(MINUTES_30) <= set(arc)
    assert len(MINUTES_30) == 6


def test_lessons_are_short():
    assert not {name: n for name in NAMES.values() if (n := len(lesson_text(name).splitlines())) > 120}


@pytest.mark.parametrize("number", NAMES)
def test_a_notebook_is_whole(number):
    found = json.loads(notebook(lesson_text(NAMES[number])))
    assert (found["nbformat"], found["nbformat_minor"]) == (4, 5)
    kinds = [c["cell_type"] for c in found["cells"]]
    assert kinds[0] == "markdown"
    assert kinds[-1] == "code"
    assert len({c["id"] for c in found["cells"]}) == len(kinds)
    assert found["cells"][0]["source"][0] == f"# {number} · {heading(NAMES[number])}\n"
    for cell in found["cells"]:
        if cell["cell_type"] == "code":
            compile("".join(cell["source"]), "cell", "exec")
            assert cell["outputs"] == []


def test_no_lesson_ends_the_process():
    assert not [n for n in NAMES.values() if re.search(r"SystemExit|sys\.exit|os\._exit", lesson_text(n))], (
        "to a notebook that is an error"
    )


def test_a_notebook_shows_the_graph_and_a_script_prints_it(capsys):
    found = json.loads(notebook(lesson_text("01_a_tensor_remembers")))
    assert "tn.graph(y)" in [cell["source"][-1] for cell in found["cells"]]
    (graph,) = run_lesson("01_a_tensor_remembers")
    assert str(graph) in capsys.readouterr().out


def test_a_notebook_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    for cell in json.loads(notebook(lesson_text("05_four_routes")))["cells"]:
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]), names)
    assert list(tmp_path.iterdir()) == [], "nothing is written"


@pytest.mark.parametrize("word", ["5", "05", "05_four_routes", "four_routes", "05_four_routes.py"])
def test_a_lesson_by_its_number_or_name(word):
    assert known_lesson(word) == "05_four_routes"


def test_no_lesson_of_that_number():
    with pytest.raises(OptionError, match=r"'99' is no lesson; there are 1 to \d+"):
        known_lesson("99")


def test_on_the_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    assert main(["lesson"]) == 0
    out = capsys.readouterr().out
    assert "  5  The four routes of LayerNorm, and the one that vanishes *   (exercise 13)" in out
    assert main(["lesson", "1", "--open", "--out", "pictures"]) == 0
    out = capsys.readouterr().out
    assert "# 1 · A tensor remembers where it came from" in out
    assert "    p = (a * b).named" in out, "its code"
    assert "ok: the record is enough to differentiate" in out
    assert "your turn: tinygrad-norm learn run 1   A nudge" in out
    assert opened == [(tmp_path / "pictures" / "01_a_tensor_remembers.svg").as_uri()]
    assert main(["lesson", "1", "--notebook"]) == 0
    assert json.loads((tmp_path / "01_a_tensor_remembers.ipynb").read_text(encoding="utf-8"))["nbformat"] == 4
    assert main(["lesson", "99"]) == 2
    assert "is no lesson" in capsys.readouterr().err


@pytest.mark.thorough
def test_a_sheet_to_print(tmp_path, capsys):
    assert main(["learn", "sheet", "--out", str(tmp_path / "sheet.html")]) == 0
    text = (tmp_path / "sheet.html").read_text(encoding="utf-8")
    assert text.count("<section>") == len(FAMILY)
    for name in FAMILY:
        assert tn.derive(name).ok
        assert html.escape(str(tn.derive(name).formula)) in text, "from the derivation"
    assert "http" not in text


@pytest.mark.thorough
def test_the_sheet_is_one_page(tmp_path):
    playwright = pytest.importorskip("playwright.sync_api")
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        pytest.skip("Chromium is not here: apt install chromium")
    (tmp_path / "sheet.html").write_text(sheet(), encoding="utf-8")
    with playwright.sync_playwright() as p:
        browser = p.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page()
        page.goto((tmp_path / "sheet.html").as_uri())
        printed = page.pdf(prefer_css_page_size=True)
        browser.close()
    assert len(re.findall(rb"/Type\s*/Page\b", printed)) == 1
