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
from tinygrad_norm.learn.lessons import (
    MINUTES_30,
    cells,
    heading,
    known_lesson,
    lesson_called,
    lesson_names,
    lesson_text,
    notebook,
    run_lesson,
)
from tinygrad_norm.learn.sheet import FAMILY, sheet

NAMES = lesson_names()


def test_the_course_takes_every_lesson_once():
    arc = [word for words in course.PARTS.values() for word in words]
    assert sorted(arc) == sorted(name[3:] for name in NAMES.values())
    assert set(MINUTES_30) <= set(arc)
    assert len(MINUTES_30) == 6


def test_lessons_are_numbered_in_the_order_of_the_course():
    assert [name[3:] for name in NAMES.values()] == [word for words in course.PARTS.values() for word in words]
    assert list(NAMES) == list(range(1, len(NAMES) + 1))


def test_the_pages_say_the_same_course():
    pages = [course.lessons().parent / p for p in ("README.md", "docs/guide/course.md")]
    if not all(p.exists() for p in pages):
        pytest.skip("the pages are not beside the lessons")
    *numbers, last = [int(lesson_called(word)[:2]) for word in MINUTES_30]
    for page in pages:
        assert f"lessons {', '.join(map(str, numbers))} and {last}" in page.read_text(encoding="utf-8")
    listed = re.findall(r"^(\d+)\. \[(.+)\]\(../../lessons/(\w+).py\)$", pages[1].read_text(encoding="utf-8"), re.M)
    assert listed == [(str(n), heading(name), name) for n, name in NAMES.items()]


@pytest.mark.parametrize("number", NAMES)
def test_a_lesson_has_a_task_that_is_judged(number):
    assert any(course.exercise(e).lesson == NAMES[number][3:] for e in course.exercise_names())


@pytest.mark.parametrize("number", NAMES)
def test_a_lesson_refers_to_what_came_before(number):
    """To a later one only where it says so: in brackets, as what does more."""
    text = lesson_text(NAMES[number])
    later = [int(n) for n in re.findall(r"[Ll]essons? (\d+)", re.sub(r"\(lesson \d+ does it[^)]*\)", "", text))]
    assert all(n < number for n in later)


TERMS = (
    "adjoint", "analytic", "broadcast", "complex step", "cotangent", "epoch", "Hessian", "Jacobian", "leaf", "lemma", "oracle", "probe", "pullback",
    "pushforward", "record", "spine", "tensor", "ULP", "warm-up",
)  # fmt: skip


@pytest.mark.parametrize("term", TERMS)
def test_a_term_is_said_before_it_is_used(term):
    """Where it first stands, cell by cell along the course, it stands as *term* and the sentence says what it is."""
    for name in NAMES.values():
        for cell in cells(lesson_text(name)):
            body = re.sub(r"^# .*$", "", cell.text, flags=re.M) if cell.kind == "markdown" else cell.text
            if cell.kind == "code":  # names of functions are not words
                body = " ".join(re.findall(r"#.*|\"[^\"]*\"", body))
            if re.search(rf"\b{term}", body, re.I):
                assert cell.kind == "markdown", (name, cell.text)
                assert re.search(rf"\*{term}s?\*", cell.text, re.I), (name, cell.text)
                return
    raise AssertionError(f"no lesson says {term}")


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


@pytest.mark.thorough
def test_a_line_of_a_lesson_is_one_of_its_file(capsys):
    """What a verdict says of a line, and quotes, of a function in a cell."""
    name = NAMES[9]
    run_lesson(name)
    lines = lesson_text(name).splitlines()
    found = re.findall(r"line (\d+): `(.+?)`", capsys.readouterr().out)
    assert found
    assert not [(n, quoted) for n, quoted in found if quoted not in lines[int(n) - 1]]


@pytest.mark.parametrize("number", NAMES)
def test_a_cell_knows_its_line(number):
    text = lesson_text(NAMES[number])
    for cell in cells(text):
        first = text.splitlines()[cell.line - 1]
        assert first.removeprefix("# " * (cell.kind == "markdown")) == cell.text.splitlines()[0]


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
    assert "  5  The four routes of LayerNorm, and the one that vanishes *   (exercises 13, 14)" in out
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
