"""``tinygrad-norm check``: a user's file in, a verdict, a JSON list, a JUnit file and an exit code out."""

from __future__ import annotations

import io
import json
import os
import sys
import xml.etree.ElementTree as ET

import pytest

from tinygrad_norm.check import checking
from tinygrad_norm.cli import main

FILE = """\
import numpy as np
print("side effect")

def ln_bwd(dy, x, weight, bias, eps):
    c = x - x.mean(-1, keepdims=True)
    rstd = 1 / np.sqrt((c**2).mean(-1, keepdims=True) + eps)
    xhat, g = c * rstd, dy * weight
    dx = rstd * (g - g.mean(-1, keepdims=True) - xhat * (g * xhat).mean(-1, keepdims=True))
    return dx, (dy * xhat).sum(0), dy.sum(0)

def ln_wrong_bwd(dy, x, weight, bias, eps):
    c = x - x.mean(-1, keepdims=True)
    rstd = 1 / np.sqrt((c**2).mean(-1, keepdims=True) + eps)
    xhat, g = c * rstd, dy * weight
    dx = rstd * (g - g.mean(-1, keepdims=True) - xhat * (g * xhat).sum(-1, keepdims=True))
    return dx, (dy * xhat).sum(0), dy.sum(0)

def mystery(dy, x, weight, bias, eps):
    return ln_bwd(dy, x, weight, bias, eps)

def rms_vjp(dy, x, w, eps):
    raise ValueError("not\\x00 yet <&>")
"""


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    (tmp_path / "mine.py").write_text(FILE, encoding="utf-8")


def run(*argv, capsys):
    code = main(["check", *(str(a) for a in argv)])
    return code, *capsys.readouterr()


def test_a_right_one(capsys):
    code, out, err = run("mine.py:ln_bwd", capsys=capsys)
    assert (code, err) == (0, "")
    assert out.startswith("mine.py:ln_bwd, line 4\n")
    assert "dx  right" in out
    assert "side effect" not in out
    assert os.listdir() == ["mine.py"]


def test_a_wrong_one_is_diagnosed(capsys):
    code, out, err = run("mine.py:ln_wrong_bwd", "--shape", "16,64", capsys=capsys)
    assert (code, err) == (1, "")
    assert "dx  wrong" in out
    assert "64 times too big" in out
    assert "dγ  right" in out


def test_the_line_that_is_wrong_and_what_is_proved(capsys):
    _, out, _ = run("mine.py:ln_wrong_bwd", "--prove", capsys=capsys)
    assert "line 15: " in out
    assert "Σ where mean belongs" in out
    assert "as a formula: yours − dx = " in out
    code, out, _ = run("mine.py:ln_bwd", "--prove", "--json", capsys=capsys)
    (found,) = json.loads(out)
    assert code == 0
    assert found["verdict"]["proofs"]["input"]["kind"] == "proved"


def test_a_whole_file(capsys):
    """What cannot be judged is said, counts most for the exit code, and keeps nothing else from being judged."""
    code, out, err = run("mine.py", "gone.py", "--quiet", capsys=capsys)
    assert code == 2
    assert out.splitlines() == ["right  mine.py:ln_bwd", "WRONG  mine.py:ln_wrong_bwd", "not judged  mine.py:rms_vjp"]
    assert "mine.py:mystery: which norm it belongs to cannot be told from its name. Say it: --norm layer_norm" in err
    assert "gone.py: there is no such file" in err
    code, out, err = run("mine.py:ln_bwd", "mine.py:mystery", "--norm", "layer_norm", "--quiet", capsys=capsys)
    assert (code, err) == (0, "")
    assert out.count("right") == 2


def test_all_options_arrive(capsys, monkeypatch):
    seen = []

    class Stub:
        ok = judged = True

        def text(self, ascii=False):
            return "a verdict"

    def check(candidate, norm, **more):
        seen.append((candidate.__name__, norm, more))
        return Stub()

    monkeypatch.setattr(checking, "check", check)
    options = "--norm rms_norm --arg eps=1e-6 --arg eps_mode=rms --shape 2,3 --dtype float32 --seed 7 --order 2 --limit 0.5"
    assert run("mine.py:ln_bwd", *options.split(), capsys=capsys)[:2] == (0, "mine.py:ln_bwd, line 4\na verdict\n")
    more = {"shape": (2, 3), "dtype": "float32", "order": 2, "seed": 7, "limit": 0.5, "eps": 1e-6, "eps_mode": "rms"}
    assert seen == [("ln_bwd", "rms_norm", more)]


def test_json(capsys):
    code, out, err = run("mine.py", "gone.py", "--json", capsys=capsys)
    assert (code, err) == (2, "")
    results = json.loads(out)
    assert [(r["file"], r["function"], r["line"], r["ok"]) for r in results] == [
        ("mine.py", "ln_bwd", 4, True),
        ("mine.py", "ln_wrong_bwd", 11, False),
        ("mine.py", "mystery", 18, False),
        ("mine.py", "rms_vjp", 21, False),
        ("gone.py", None, None, False),
    ]
    assert results[0]["verdict"]["ok"]
    assert results[2]["error"] is not None
    assert results[2]["verdict"] is None
    assert results[4]["error"].startswith("gone.py: there is no such file")


def test_junit(tmp_path, capsys):
    (tmp_path / "grades.xml").write_text("old")
    code, _, _ = run("mine.py", "gone.py", "--quiet", "--junit", "grades.xml", capsys=capsys)
    assert code == 2
    root = ET.parse("grades.xml").getroot()
    assert [s.get("name") for s in root] == [
        "mine.py:ln_bwd",
        "mine.py:ln_wrong_bwd",
        "mine.py:mystery",
        "mine.py:rms_vjp",
        "gone.py",
    ]
    assert (root.get("failures"), root.get("errors")) == ("1", "3")
    assert int(root.get("tests")) == len(root.findall(".//testcase"))
    assert "not? yet <&>" in root[3].find(".//error").get("message")  # a control character cannot be written
    assert sorted(os.listdir()) == ["grades.xml", "mine.py"]


def test_a_junit_file_is_written_whole_or_not_at_all(tmp_path, capsys, monkeypatch):
    (tmp_path / "grades.xml").write_text("old")

    def full(*a):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    code, _, err = run("mine.py:ln_bwd", "--junit", "grades.xml", capsys=capsys)
    assert code == 2
    assert "No space left" in err
    assert (tmp_path / "grades.xml").read_text() == "old"
    assert sorted(os.listdir()) == ["grades.xml", "mine.py"]
    assert run("mine.py:ln_bwd", "--junit", "no/such/folder.xml", capsys=capsys)[0] == 2


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (("mine.py", "--norm", "layernorm"), "there is no 'layernorm'. Did you mean layer_norm?"),
        (("mine.py:ln_bwd", "--arg", "shape=3"), "--arg shape=…: that is no option of a norm"),
        (("mine.py:ln_bwd", "--arg", "epsilon=3"), "LayerNorm has no option epsilon"),
        (("mine.py:none",), "there is no none in it"),
    ],
)
def test_used_wrongly(argv, words, capsys):
    code, out, err = run(*argv, capsys=capsys)
    assert (code, out) == (2, "")
    assert words in err
    assert "Traceback" not in err


@pytest.mark.parametrize("argv", [(), ("mine.py", "--limit", "0"), ("mine.py", "--shape", "a"), ("mine.py", "--order", "3")])
def test_arguments_that_do_not_parse(argv, capsys):
    with pytest.raises(SystemExit) as stop:
        run(*argv, capsys=capsys)
    assert stop.value.code == 2


def test_help_says_that_the_file_is_executed(capsys):
    with pytest.raises(SystemExit) as stop:
        run("--help", capsys=capsys)
    assert stop.value.code == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "The file is EXECUTED" in said
    assert "exit code: 0 every gradient is right, 1 something is wrong, 2 used wrongly" in said


def test_a_terminal_without_greek(monkeypatch):
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", out)
    assert main(["check", "mine.py:ln_wrong_bwd"]) == 1
    out.seek(0)
    assert "dgamma" in out.read()
