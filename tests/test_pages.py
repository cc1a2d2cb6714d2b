"""The README and the guide: every program runs, what is shown comes out, every command is one, every link leads somewhere."""

from __future__ import annotations

import argparse
import importlib
import linecache
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import tinygrad_norm as tn

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
GUIDE = sorted((ROOT / "docs" / "guide").glob("*.md"))
PAGES = [p for p in (README, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md") if p.exists()] + GUIDE
SET_UP = (
    "python3 -m venv .venv && .venv/bin/pip install . && .venv/bin/tinygrad-norm",
    "python3 -m venv .venv && .venv/bin/pip install '.[test]' && .venv/bin/pytest",
)
pytestmark = pytest.mark.skipif(not README.exists(), reason="the pages are not beside the tests")


class Block(NamedTuple):
    """Between fences. mark: of the comment above it, "output" (of the program before) or "output: tinygrad-norm …"."""

    mark: str
    language: str
    text: str


def blocks(page: Path) -> Iterator[Block]:
    for found in re.finditer(r"^(?:<!-- (.*?) -->\n)?```(\w*)\n(.*?)^```$", page.read_text(encoding="utf-8"), re.M | re.S):
        yield Block(found[1] or "", found[2], found[3])


NUMBER = re.compile(r"(?<![\d.e+-])\d+(?= [a-z])|[\d.]+(?:e[-+]?\d+)?%?|[█▏▎▍▌▋▊▉]+")


def words(text: str) -> list[list[str]]:
    """Of each line, without numbers, which differ in the last place from machine to machine; what counts something ("24 operations") stays."""
    lines = text.splitlines()
    if sys.version_info < (3, 11):  # which part of a line a call stands on is known from 3.11 on
        lines = [line for line in lines if not re.match(r" +line \d", line)]
    return [
        NUMBER.sub(lambda m: m[0] if m[0].isdigit() and m.string[m.end() :][1:2].isalpha() else "#", line).split()
        for line in lines
    ]


def assert_within(shown: str, printed: str) -> None:
    """The lines that are shown came out, one after the other."""
    part, whole = words(shown.rstrip()), words(printed.rstrip())
    if not any(whole[i : i + len(part)] == part for i in range(len(whole))):
        assert whole == part


def play(page: Path, capsys: pytest.CaptureFixture[str]) -> int:
    """Run the programs of a page in their order, and compare what is shown; how many blocks were looked at."""
    names: dict[str, object] = {}
    looked, printed = 0, ""
    for i, block in enumerate(blocks(page)):
        looked += 1
        if block.language == "python":
            file = f"{page.stem}-{i}.py"
            linecache.cache[file] = (len(block.text), None, block.text.splitlines(keepends=True), file)  # as if it were a file
            exec(compile(block.text, file, "exec"), names)
            printed = capsys.readouterr().out
        elif block.mark == "output":
            assert_within(block.text, printed)
        elif block.mark:
            _, _, command = block.mark.partition("output: tinygrad-norm")
            tn.cli.main(shlex.split(command))
            assert_within(block.text, capsys.readouterr().out)
        else:
            looked -= 1
    return looked


@pytest.fixture(autouse=True)
def _a_folder_and_a_width(tmp_path, monkeypatch):
    importlib.import_module("tinygrad_norm.cli")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")


def test_the_readme_shows_what_comes_out(tmp_path, capsys):
    assert play(README, capsys) == 4
    assert (ROOT / "lessons" / "pictures" / "layer_norm.svg").read_bytes() == (tmp_path / "layer_norm.svg").read_bytes()


@pytest.mark.thorough
@pytest.mark.parametrize("page", GUIDE, ids=lambda p: p.stem)
def test_the_guide_shows_what_comes_out(page, capsys):
    play(page, capsys)


def test_what_is_shown_and_does_not_come_out_is_noticed(tmp_path, capsys):
    page = tmp_path / "page.md"
    page.write_text("```python\nprint('24 operations, 1.5e-16')\n```\n\n<!-- output -->\n```text\n24 operations, 1.7e-16\n```\n")
    assert play(page, capsys) == 2
    page.write_text(page.read_text().replace("24 operations, 1.7", "25 operations, 1.7"))
    with pytest.raises(AssertionError):
        play(page, capsys)


def test_the_readme_is_a_front_door():
    text = README.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 200
    assert tuple(re.findall(r"^python3 -m venv .*$", text, re.M)) == SET_UP


@pytest.mark.parametrize("page", GUIDE, ids=lambda p: p.stem)
def test_a_page_of_the_guide_has_one_title_and_can_be_reached(page):
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    assert len(re.findall(r"^# ", text, re.M)) == 1
    assert text.startswith("# ")
    assert any(
        f"({prefix}{page.name})" in p.read_text(encoding="utf-8") for p in PAGES for prefix in ("", "docs/guide/") if p != page
    )


def test_links_lead_somewhere():
    broken = [
        (page.name, link)
        for page in PAGES
        for link in re.findall(r"\]\(([^)#\s]+)(?:#[\w-]+)?\)", page.read_text(encoding="utf-8"))
        if not link.startswith("http") and not (page.parent / link).exists()
    ]
    assert not broken


def options(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The words of the command line, each with its own options."""
    (words,) = (a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    return dict(words.choices)


def test_commands_are_commands():
    """Every ``tinygrad-norm …`` of every page: a word that there is, and options that the word has."""
    main = importlib.import_module("tinygrad_norm.cli.main")
    known, seen = options(main._parser()), 0
    for page in PAGES:
        for command in re.findall(r"(?:`|^|bin/)tinygrad-norm( [^`\n]*)?(?:`|$)", page.read_text(encoding="utf-8"), re.M):
            word, *rest = main._with_command(command.split())
            assert word in known, command
            there = {o for a in known[word]._actions for o in a.option_strings}
            assert not [o for o in rest if o.startswith("--") and o not in there], (page.name, command)
            seen += 1
    assert seen > 30


def test_the_rules_that_are_shown_are_those_of_the_table():
    (shown,) = (b.text for b in blocks(ROOT / "docs" / "guide" / "how_it_works.md") if b.language == "py")
    table = (Path(tn.__file__).parent / "engine" / "primitives.py").read_text(encoding="utf-8").split("\n\n")
    lines = {"".join(line.split()) for line in table}
    for line in shown.strip().splitlines():
        assert any("".join(line.split()) in block for block in lines), line


def test_figures_are_those_of_today():
    text = README.read_text(encoding="utf-8")
    museum = (ROOT / "docs" / "museum.md").read_text(encoding="utf-8")
    public, named = re.search(r"^(\d+) public mistakes .*: (all|\d+) are named, .*none is accepted", museum, re.M).groups()
    assert f"Of {public} public mistakes, [{named} are named](docs/museum.md), and none is accepted" in text
    results = [r for n in tn.learn.claim_names() if (r := tn.learn.stored(n)) is not None]
    counted = ", ".join(
        f"{sum(r.verdict.word == word for r in results)}{' are' if word == 'confirmed' else ''} {word}" for word in tn.learn.WORDS
    )
    assert f"Of [{len(results)}](lessons/claims/README.md), {counted}; " in text
    assert f"[{len(tn.norms.names())} norms](docs/guide/family.md)" in text


def test_the_family_is_whole():
    named = re.findall(r"`(\w+)`", (ROOT / "docs" / "guide" / "family.md").read_text(encoding="utf-8"))
    assert not set(tn.norms.names()) - set(named)


def test_the_version_is_one():
    """In the package, in what is built, in what is cited, and at the top of what changed."""
    said = {
        "pyproject.toml": r'^version = "(.+)"$',
        "CITATION.cff": r"^version: (.+)$",
        "CHANGELOG.md": r"^## \[(.+?)\] - \d{4}-\d\d-\d\d$",
    }
    for file, line in said.items():
        found = re.search(line, (ROOT / file).read_text(encoding="utf-8"), re.M)
        assert found, file
        assert found[1] == tn.__version__, file
