"""``tinygrad-norm derive NORM --ask``: lines from standard input until one is right."""

from __future__ import annotations

import io

import pytest

from tinygrad_norm.cli import main

RIGHT = "rstd*(g - mean(g) - xhat*mean(g*xhat))"


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")

    def run(typed, *argv):
        monkeypatch.setattr("sys.stdin", io.StringIO(typed))
        code = main(["derive", *argv])
        return code, *capsys.readouterr()

    return run


def test_solved(run):
    code, out, err = run(f"{RIGHT}\n", "layer_norm", "--ask")
    assert (code, err) == (0, "")
    assert out.startswith("LayerNorm: dx, step 7 of 7\nwhere\n  μ = mean(x)\n")
    assert "  dx = rstd·g − rstd·mean(g) − rstd·x̂·mean(g·x̂)\n" in out
    assert out.endswith("\nright.\n")
    assert "common factor" not in out


def test_a_hint_a_mistake_an_unreadable_line_and_what_is_not_simplified(run):
    lines = ["?", "", "rstd*(g - meen(g))", "rstd*(g - mean(g))", "rstd*g - rstd*mean(g) - rstd*xhat*mean(g*xhat)", f"({RIGHT})"]
    code, out, _ = run("\n".join(lines), "layer_norm", "--ask")
    assert code == 0
    for said in (
        "the common factor: rstd is in every term.",
        "  rstd*(g - meen(g))\n            ^\nmeen is no letter of this derivation. Did you mean mean?",
        "wrong: −x̂·mean(g·x̂) is missing.",
        "right, but it is the line that you were given",
        "\nright.\n",
    ):
        assert said in out


@pytest.mark.parametrize("typed", ["", "q\n", "quit\n", "rstd\nq\n", "\n\n"])
def test_given_up(run, typed):
    code, out, _ = run(typed, "layer_norm", "--ask")
    assert code == 1
    assert out.endswith(
        "The next line is\n  dx = rstd·(g − mean(g) − x̂·mean(g·x̂))\n  by the common factor: rstd is in every term.\n"
    )


def test_another_step_and_another_input(run):
    code, out, _ = run("q\n", "layer_norm", "--ask", "1")
    assert (code, "step 1 of 7" in out) == (1, True)
    code, out, _ = run("sum_B(dy*xhat)\n", "layer_norm", "--wrt", "weight", "--ask")
    assert (code, "dγ" in out) == (0, True)


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (("--ask", "99"), "has the steps 0 to 7"),
        (("--ask", "--quiet"), "goes without --equals"),
        (("--ask", "--wrt", "nothing"), "no input 'nothing'"),
    ],
)
def test_misuse(run, argv, says):
    code, _, err = run("q\n", "layer_norm", *argv)
    assert code == 2
    assert says in err
