"""``tinygrad-norm check --link`` and ``check LINK``: the code is shown, and run only when somebody says so."""

from __future__ import annotations

import io
import json
import sys

import pytest

from tinygrad_norm.check.link import Carried, read
from tinygrad_norm.cli import main

FILE = """\
import numpy as np
import os


def softmax_backward(dy, x, dim=-1):
    e = np.exp(x - x.max(dim, keepdims=True))
    p = e / e.sum(dim, keepdims=True)
    return p * (dy - (dy * p).sum(dim, keepdims=True))


def softmax_bwd_of_a_table(dy, x, dim=-1):
    return dy * table["a"]


table = {"a": 1}
"""
HELD = Carried(FILE.partition("\n\n\ndef softmax_bwd_of_a_table")[0], "softmax_backward", "softmax", {"dim": -1})


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(FILE, encoding="utf-8")


def run(*argv, capsys):
    code = main(["check", *argv])
    return code, *capsys.readouterr()


def test_a_link_only_when_asked(capsys):
    target = "mine.py:softmax_backward"
    _, out, _ = run(target, "--arg", "dim=-1", capsys=capsys)
    assert "#v1." not in out
    code, out, err = run(
        target, "--arg", "dim=-1", "--seed", "2", "--link", "--link-base", "https://x.org/try.html", capsys=capsys
    )
    link = out.splitlines()[-1]
    assert (code, err) == (0, "")
    assert link.startswith("https://x.org/try.html#v1.")
    held = read(link)
    assert (held.name, held.norm, held.options, held.how) == ("softmax_backward", "softmax", {"dim": -1}, {"seed": 2})
    assert "import os" not in held.source


def test_where_no_link_can_be_made_the_verdict_is_there_all_the_same(capsys):
    code, out, err = run("mine.py:softmax_bwd_of_a_table", "--arg", "dim=-1", "--link", capsys=capsys)
    assert code == 2
    assert "verdict: not right" in out
    assert "uses table, a dict, which is no text" in err


def test_a_link_is_not_run_unasked(capsys, tmp_path):
    place = tmp_path / "ran"
    link = Carried(f"open({str(place)!r}, 'w')\n{HELD.source}", HELD.name, HELD.norm).address()
    code, out, err = run(link, capsys=capsys)
    assert (code, out) == (2, "")
    assert "  | def softmax_backward(dy, x, dim=-1):" in err, "the code is shown"
    assert "not run. Read the code; --yes says that it may be run" in err
    assert not place.exists()


@pytest.mark.parametrize(("said", "code"), [("y\n", 0), ("yes\n", 0), ("n\n", 2), ("\n", 2), ("", 2)])
def test_a_terminal_is_asked(capsys, monkeypatch, said, code):
    monkeypatch.setattr(sys, "stdin", Terminal(said))
    found, out, err = run(HELD.address("https://example.org/try.html"), capsys=capsys)
    assert found == code
    assert "run it? [y/N]" in err
    assert ("verdict: right" in out) == (code == 0)


def test_yes_runs_it_and_arguments_go_before_the_links(capsys):
    code, out, err = run(HELD.address(), "--yes", "--json", "--link", "--seed", "4", capsys=capsys)
    (found,) = json.loads(out)
    assert code == 0
    assert found["verdict"]["candidate"] == "softmax_backward"
    assert found["ok"]
    assert read(found["link"]).source == HELD.source
    assert "dim=-1" in err


def test_nothing_hides_in_the_code_that_is_shown(capsys):
    hidden = "def softmax_backward(dy, x):\r    return dy\n# \x1b[2K\x1b[1A \u202e\u2066 \x00 end\n"
    code, _, err = run(Carried(hidden, norm="softmax").address(), capsys=capsys)
    assert code == 2
    assert "\\r    return dy" in err
    assert "# \\x1b[2K\\x1b[1A \\u202e\\u2066 \\x00 end" in err
    assert not {"\x1b", "\r", "\u202e", "\x00"} & set(err)


def test_a_damaged_link_is_a_named_error(capsys):
    code, _, err = run(HELD.address()[:-9], "--yes", capsys=capsys)
    assert code == 2
    assert err.startswith("tinygrad-norm: link: ")
