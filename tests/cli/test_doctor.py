"""What ``tinygrad-norm doctor`` says about pictures."""

from __future__ import annotations

import re

import pytest

from tinygrad_norm.cli import doctor, main


def rows(capsys) -> dict[str, str]:
    """Its table: the first column, and the rest of the row with single spaces."""
    assert main(["doctor"]) == 0
    found = {}
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    for line in lines:
        first, *rest = re.split(r"\s{2,}", line)
        found[first] = " ".join(rest)
    return found


@pytest.mark.parametrize(
    ("dot", "own", "verdict"),
    [
        ("2.43.0", "14.1.5", "yes drawn by dot 2.43.0"),
        ("2.43.0", None, "yes drawn by dot 2.43.0"),
        (None, "14.1.5", "yes drawn by pygraphviz, Graphviz 14.1.5"),
        (None, None, "no either of the two; SVG needs none"),
    ],
)
def test_what_draws_png_and_pdf(capsys, monkeypatch, dot, own, verdict):
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(doctor, "program_version", lambda: dot)
    monkeypatch.setattr(doctor, "package_version", lambda: own)
    monkeypatch.setattr(doctor, "_version", lambda package: "2.0" if package != "pygraphviz" or own else None)
    found = rows(capsys)
    assert found["PNG and PDF"] == verdict
    assert found["dot"] == f"{dot or 'not found'} Graphviz's program"
    assert found["pygraphviz"] == (f"2.0 carries Graphviz {own}" if own else "not found Graphviz as a package")
    told = " ".join(" ".join(" ".join(item) for item in found.items()).split())
    assert (doctor.GET_PROGRAM in told and doctor.GET_PACKAGE in told) == (not dot and not own)


def test_it_asks_pygraphviz_itself(capsys, monkeypatch):
    pygraphviz = pytest.importorskip("pygraphviz", reason="pygraphviz is not installed (pip install '.[dot]')")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("PATH", "")
    version = pygraphviz.__graphviz_version__
    assert rows(capsys)["PNG and PDF"] == f"yes drawn by pygraphviz, Graphviz {version}"
