"""``d.ask()``: right, right but not simplified, or wrong and by which term."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest

import tinygrad_norm as tn
from tinygrad_norm.derive import DerivationError, ReadingError, derive
from tinygrad_norm.derive.exercise import Answer, Exercise


@pytest.fixture(scope="module")
def layer_norm() -> Exercise:
    return derive("layer_norm").ask()


RIGHT = "rstd*(g - mean(g) - xhat*mean(g*xhat))"


@pytest.mark.parametrize(
    "line",
    [
        RIGHT,
        "dx = rstd·(g − mean(g) − x̂·mean(g·x̂))",
        "(g - xhat*mean(xhat*g) - mean(g))*rstd",
        "rstd*(dy*gamma - mean(dy*gamma) - xhat*mean(dy*gamma*xhat))",
        "rstd*(h - mean(h) - xhat*mean(h*xhat)), h = dy*gamma",
        "rstd*(g - sum(g)/N - xhat*sum(g*xhat)/N)",
    ],
)
def test_right(layer_norm, line):
    answer = layer_norm.answer(line)
    assert answer
    assert (answer.kind, answer.right, answer.simplified, answer.text) == ("right", True, True, "right.")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("rstd*g - rstd*mean(g) - rstd*xhat*mean(g*xhat)", "it is the line that you were given"),
        ("rstd*g - mean(g)*rstd - xhat*rstd*mean(xhat*g)", "it is the line that you were given"),
        ("rstd*dy*gamma - rstd*mean(g) - rstd*xhat*mean(g*xhat)", "not simplified as far as it goes"),
        ("dc + dmu/N", "it takes 12 operations, the next line 8"),
        ("rstd*(g - mean(g)) - rstd**3*c*mean(g*c)", "not simplified as far as it goes"),
    ],
)
def test_right_but_not_simplified(layer_norm, line, says):
    answer = layer_norm.answer(line)
    assert (answer.right, answer.simplified, bool(answer), answer.kind) == (True, False, False, "not simplified")
    assert answer.text.startswith("right, but ")
    assert says in answer.text


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("rstd*(g - xhat*mean(g*xhat))", "−mean(g) is missing"),
        ("rstd*(g - mean(g))", "−x̂·mean(g·x̂) is missing"),
        ("rstd*(- mean(g) - xhat*mean(g*xhat))", "g is missing"),
        ("rstd*g", "−mean(g) is missing; −x̂·mean(g·x̂) is missing"),
        ("rstd*(g + mean(g) - xhat*mean(g*xhat))", "−mean(g) has the other sign"),
        ("rstd*(g - mean(g) + xhat*mean(g*xhat))", "−x̂·mean(g·x̂) has the other sign"),
        ("rstd*(g + mean(g) + xhat*mean(g*xhat))", "−mean(g) has the other sign; −x̂·mean(g·x̂) has the other sign"),
        ("rstd*(-g - mean(g) - xhat*mean(g*xhat))", "g has the other sign"),
        ("-rstd*(g - mean(g) - xhat*mean(g*xhat))", "the whole line has the other sign"),
        ("2*rstd*(g - mean(g) - xhat*mean(g*xhat))", "the whole line stands twice"),
        ("rstd*(g - mean(g) - 2*xhat*mean(g*xhat))", "−x̂·mean(g·x̂) stands twice"),
        ("rstd*(g - mean(g)/2 - xhat*mean(g*xhat))", "−mean(g) stands 1/2 times"),
        ("rstd*(g - sum(g) - xhat*mean(g*xhat))", "−mean(g) is multiplied by N"),
        ("rstd*(g - sum(g) - xhat*sum(g*xhat))", "−mean(g) is multiplied by N; −x̂·mean(g·x̂) is multiplied by N"),
        ("rstd*(g - mean(g)/N - xhat*mean(g*xhat))", "−mean(g) is multiplied by 1/N"),
        ("rstd*(g - mean(g) - mean(g*xhat))", "the factor x̂ is missing in −x̂·mean(g·x̂)"),
        ("rstd*(g - mean(g) - xhat*mean(g))", "the factor x̂ is missing in mean(g·x̂)"),
        ("rstd*(g - mean(g) - xhat*mean(xhat))", "−x̂·mean(g·x̂) is missing"),
        ("rstd*(g - mean(g) - xhat*xhat*mean(g*xhat))", "the factor x̂ stands twice in −x̂·mean(g·x̂)"),
        ("rstd*(g - mean(g) - xhat*mean(g*xhat^2))", "the factor x̂ stands twice in mean(g·x̂)"),
        ("rstd*(g - mean(g) - c*mean(g*xhat))", "c stands where x̂ belongs in −x̂·mean(g·x̂)"),
        ("rstd*(g - mean(g) - xhat*mean(g*c))", "c stands where x̂ belongs"),
        ("rstd*(g - mean(g) - c*mean(g*c))", "c stands wherever x̂ belongs"),
        ("rstd*(dy - mean(dy) - xhat*mean(dy*xhat))", "dy stands wherever g belongs"),
        ("rstd*(dy - mean(g) - xhat*mean(g*xhat))", "dy stands where g belongs"),
        ("g - mean(g) - xhat*mean(g*xhat)", "the factor rstd is missing"),
        ("rstd^2*(g - mean(g) - xhat*mean(g*xhat))", "the factor rstd stands twice"),
        ("(g - mean(g) - xhat*mean(g*xhat))/rstd", "rstd is on the wrong side of the fraction"),
        ("sigma^2*(g - mean(g) - xhat*mean(g*xhat))", "σ² stands where rstd belongs"),
        ("rstd*(g - mean_B(g) - xhat*mean(g*xhat))", "mean_B(g) stands where mean(g) belongs in −mean(g)"),
        ("rstd*(g - mean(g) - xhat*mean_BN(g*xhat))", "mean_BN(g·x̂) stands where mean(g·x̂) belongs in −x̂·mean(g·x̂)"),
        ("rstd*(g - mean(g) - mean(xhat)*mean(g*xhat))", None),
        ("rstd*(g - mean(g) - xhat*g*xhat)", "g·x̂ stands where mean(g·x̂) belongs"),
        (f"{RIGHT} + beta", "β is too much"),
        ("rstd*(g - mean(g) - xhat*mean(g*xhat) - x)", "−x is too much"),
        (f"{RIGHT} + x*y - x*c*y", None),
        ("0", "the whole line is missing"),
    ],
)
@pytest.mark.costly(12)
def test_wrong_and_by_which_term(layer_norm, line, says):
    answer = layer_norm.answer(line)
    assert (answer.kind, answer.wrong, answer.right, bool(answer)) == ("wrong", True, False, False)
    assert answer.off > 1e-3
    if says is not None:
        assert "; ".join(answer.terms).startswith(says)
        assert answer.text.startswith(f"wrong: {says}")


def test_the_difference_is_a_formula(layer_norm):
    answer = layer_norm.answer("rstd*(g - xhat*mean(g*xhat))")
    assert answer.residual == "yours − dx = rstd·mean(g)"
    assert str(answer) == "wrong: −mean(g) is missing.\n  yours − dx = rstd·mean(g)"


def test_numbers_where_no_term_explains_it(layer_norm):
    answer = layer_norm.answer("tanh(x)*exp(y) - c^5")
    assert answer.terms == ()
    assert "of the largest entry" in answer.text


def test_what_it_shows(layer_norm):
    assert (layer_norm.step, layer_norm.last, layer_norm.left) == (7, 7, "dx")
    assert str(layer_norm).split("\n")[-3:] == [
        "The line to rewrite:",
        "  dx = rstd·g − rstd·mean(g) − rstd·x̂·mean(g·x̂)",
        "What is the next line for dx?",
    ]
    assert "  x̂ = rstd·c" in str(layer_norm)
    assert "the common factor" not in str(layer_norm)
    assert layer_norm.hint == "the common factor: rstd is in every term"


def test_the_answer_as_json(layer_norm):
    found = json.loads(layer_norm.answer("rstd*(g - mean(g))").to_json())
    assert (found["right"], found["kind"], found["terms"]) == (False, "wrong", ["−x̂·mean(g·x̂) is missing"])
    assert isinstance(layer_norm.answer(RIGHT), Answer)


@pytest.mark.thorough
@pytest.mark.parametrize("norm", ["layer_norm", "rms_norm", "softmax", "graph_norm", "filter_response_norm", "pair_norm"])
def test_every_step_takes_its_own_line_and_not_the_one_before(norm):
    d = derive(norm)
    for step in range(d.ask().last + 1):
        exercise = d.ask(step)
        assert exercise.answer(exercise.after), exercise.after
        if exercise.before:
            given = exercise.answer(exercise.before)
            assert not given
            assert not given.wrong


def test_in_stages_a_line_is_asked_for_by_its_letter():
    d = derive("layer_norm", form="staged")
    exercise = next(e for e in map(d.ask, range(d.ask().last)) if e.left != d.gradient)
    assert exercise.answer(exercise.after).right
    assert exercise.answer(f"-({exercise.after.split('= ')[1]})").wrong
    with pytest.raises(ReadingError, match="is no letter"):
        exercise.answer(f"2*{exercise.left}")


def test_what_it_is_right_under_is_said():
    answer = derive("filter_response_norm").ask().answer("rstd*gamma*(g - xhat*mean(g*xhat))")
    assert answer.right
    assert answer.assumptions
    assert answer.text.startswith("right where ")


def test_a_forward_of_ones_own():
    d = derive(lambda x, w: (x * w).relu() ** 2, inputs={"x": ("B", "N"), "w": ("N",)})
    exercise = d.ask()
    assert exercise.answer(exercise.after)
    assert exercise.answer("dy*w").wrong


def test_a_power_of_arrays_has_numbers():
    d = derive(lambda x, w: x**w, inputs={n: np.random.default_rng(0).uniform(1, 2, (5, 9)) for n in "xw"})
    exercise = d.ask()
    assert exercise.answer(exercise.after)
    assert exercise.answer("x^w*w*dy").wrong


def test_in_float32():
    rng = np.random.default_rng(0)
    inputs = {"x": rng.normal(size=(5, 9)).astype(np.float32), "w": rng.normal(size=9).astype(np.float32)}
    exercise = derive(lambda x, w: tn.functional.rms_norm(x, (9,), w), inputs=inputs).ask()
    assert exercise.answer(exercise.after).right
    assert exercise.answer(exercise.after.replace("−", "+")).terms == ("−x̂·mean(g·x̂) has the other sign",)


def test_second_order():
    exercise = derive("layer_norm", order=2).ask()
    assert exercise.answer(exercise.after)
    assert exercise.answer("rstd*v").wrong


@pytest.mark.parametrize("step", [-1, 8, 2.0, "1", True])
def test_a_step_that_is_not_there(step):
    with pytest.raises(DerivationError, match="has the steps 0 to 7"):
        derive("layer_norm").ask(step)


def test_what_is_no_line(layer_norm):
    with pytest.raises(DerivationError, match="expected a line of text, got int"):
        layer_norm.answer(3)
    with pytest.raises(ReadingError, match="Did you mean x̂"):
        layer_norm.answer("rstd*(g - mean(g) - xhatt*mean(g*xhat))")


@pytest.mark.parametrize("seed", range(12))
def test_what_is_typed_badly_raises_nothing_else(layer_norm, seed):
    rng = random.Random(seed)
    scraps = [
        "rstd",
        "g",
        "x̂",
        "mean(",
        "sum(",
        ")",
        "(",
        ")",
        "+",
        "−",
        "-",
        "·",
        "*",
        "/",
        "^",
        "**",
        "²",
        "√",
        "N",
        "2",
        "0",
        "=",
        "γ",
        "dy",
        "x",
        "ε",
    ]
    for _ in range(15):
        line = list("rstd·(g − mean(g) − x̂·mean(g·x̂))")
        for _ in range(rng.randint(1, 3)):
            k = rng.randrange(len(line))
            line[k : k + rng.randint(0, 2)] = [rng.choice(scraps)]
        try:
            assert str(layer_norm.answer("".join(line)))
        except ReadingError:
            continue


@pytest.mark.thorough
def test_no_wrong_line_is_taken_for_right(layer_norm):
    """One place altered, in 60 ways: never right, unless the numbers agree."""
    from tinygrad_norm.derive.mistakes import _Search

    board, tree = layer_norm.board, layer_norm.trees[0]
    search = _Search(board, tree)
    for k, altered in enumerate(search._alterations(tree)):
        if k % 6 == 0 and not search._same(altered.tree, tree):
            assert layer_norm.answer(search.write(altered.tree)).wrong
