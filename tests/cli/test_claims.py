"""tinygrad-norm claims."""

from __future__ import annotations

import io
import json

import pytest

from tinygrad_norm.cli import main
from tinygrad_norm.graph.table import ascii_text
from tinygrad_norm.learn import catalogue, claim, claim_names, page, stored


def test_the_table(capsys):
    assert main(["claims"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in claim_names())
    assert main(["claims", "--json"]) == 0
    assert [r["name"] for r in json.loads(capsys.readouterr().out)] == claim_names()


def test_a_page(capsys):
    assert main(["claims", "table-one"]) == 0
    out = capsys.readouterr().out
    for part in ("said by", "arXiv:1607.06450", "± std", "seed 0", "verdict: corrected", "what would change it"):
        assert part in out


def test_every_page_can_be_spelled_out():
    for name in claim_names():
        text = page(claim(name), stored(name))
        assert ascii_text(text).count("?") == text.count("?"), name


def test_run_writes_into_the_users_folder(capsys, tmp_path):
    before = (catalogue.claims_folder() / "results" / "table-one.json").read_bytes()
    assert main(["claims", "table-one", "--run", "--seeds", "1", "--out", str(tmp_path / "here")]) == 0
    assert "the stored verdict holds here: corrected" in capsys.readouterr().out
    assert sorted(p.name for p in (tmp_path / "here").iterdir()) == ["table-one.json", "table-one.svg"]
    assert json.loads((tmp_path / "here" / "table-one.json").read_text())["seeds"] == [0]
    assert (catalogue.claims_folder() / "results" / "table-one.json").read_bytes() == before


def test_a_verdict_that_does_not_hold(capsys, monkeypatch):
    other = stored("table-one")
    object.__setattr__(other, "verdict", other.verdict._replace(word="confirmed"))
    object.__setattr__(other, "processor", "Abacus 3000")
    monkeypatch.setattr("tinygrad_norm.cli.claims.stored", lambda name: other)
    assert main(["claims", "table-one", "--run", "--quick"]) == 1
    assert "does NOT hold here: stored confirmed, here corrected" in (out := capsys.readouterr().out)
    assert "another processor than Abacus 3000" in out


@pytest.mark.parametrize(
    ("typed", "said"), [("corr\n", "as you said"), ("c\nconfirmed\n", "you said confirmed; it came out corrected")]
)
def test_predict(capsys, monkeypatch, typed, said):
    monkeypatch.setattr("sys.stdin", io.StringIO(typed))
    assert main(["claims", "table-one", "--predict"]) == 0
    out = capsys.readouterr().out
    assert said in out
    assert "verdict:" not in out[: out.index("Your prediction")]


def test_no_prediction(capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert main(["claims", "table-one", "--predict"]) == 0
    assert "you said" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["table-two"], "'table-two' is no claim; did you mean table-one"),
        (["--run"], "--run what?"),
        (["--quick"], "they go with --run"),
        (["table-one", "--run", "--all"], "--all is every claim"),
        (["--predict"], "give its NAME"),
        (["table-one", "--run", "--seeds", "0"], "seeds"),
    ],
)
def test_used_wrongly(capsys, words, said):
    assert main(["claims", *words]) == 2
    assert said in capsys.readouterr().err
