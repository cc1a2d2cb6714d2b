"""What is printed can be read again; what cannot be read is answered kindly, at its place."""

from __future__ import annotations

import random

import numpy as np
import pytest

import tinygrad_norm as tn
from tinygrad_norm.derive import DerivationError, ReadingError, derive
from tinygrad_norm.derive.formula import Evaluation
from tinygrad_norm.derive.reading import LONGEST, read
from tinygrad_norm.derive.recording import gradients_of
from tinygrad_norm.derive.spelling import Known
from tinygrad_norm.derive.tree import Call, Indicator, Letter, Number, Power, Product, Size, Sum, Total
from tinygrad_norm.derive.writer import Text
from tinygrad_norm.norms import names

AXES, LAST = ("B", "T", "N"), ("N",)
NAMES = {"x": AXES, "x̂": AXES, "g": AXES, "dy": AXES, "γ": ("N",), "μ": ("B", "T"), "σ²": ("B", "T"), "rstd": ("B", "T"), "ε": (), "‖x‖": ("B",), "c₂": AXES}  # fmt: skip
KNOWN = Known({n: Letter(n, a) for n, a in NAMES.items()}, AXES, LAST, {"weight": "γ", "input": "x"})
HAND = Text(AXES, LAST)


def known_to(f):
    letters = {line.letter.name: line.letter for line in f.lines} | {a.name: a for a in f.inputs}
    return Known(letters | {n: Letter(n, (), "constant") for n, _ in f.numbers}, f.axes, f.last)


def derived(norm):
    try:
        inputs = gradients_of(norm)
    except tn.engine.TinygradNormError:
        return
    for wrt in inputs:
        try:
            yield derive(norm, wrt)
        except (DerivationError, tn.engine.GradientError):
            continue


@pytest.mark.thorough
@pytest.mark.parametrize("norm", names())
def test_what_is_printed_is_read_back(norm):
    for d in derived(norm):
        f = d.formula
        hand, known = Text(f.axes, f.last), known_to(f)
        numbers = {a.name: v for a, v in d.letters.values.items()}
        at = Evaluation(numbers, dict(f.sizes), f.axes)
        for left, tree in f.equations():
            text = hand.equation(left, tree)
            again = read(text, known, left)
            assert hand.equation(left, again) == text
            np.testing.assert_allclose(at(again), at(tree), rtol=1e-12, atol=1e-14)
        if not f.staged:
            assert hand(read(str(f).split(",  ")[0], known, f.name)) == hand(f.result)


@pytest.mark.parametrize("norm", ["layer_norm", "softmax", "graph_norm"])
def test_every_line_of_a_derivation_is_read_back(norm):
    d = derive(norm)
    letters = {n.name: d.plain.letter(n) for n in (*d.letters.values, *d.named)}
    known = Known(letters, d.plain.axes, d.plain.last)
    for step in d.steps:
        text = d.writer(step.expr)
        assert d.writer.hand(read(text, known)) == text


@pytest.mark.parametrize(
    ("typed", "written"),
    [
        ("rstd*(g - mean(g) - xhat*mean(g*xhat))", "rstd·(g − mean(g) − x̂·mean(g·x̂))"),
        ("rstd * ( g-mean( g )-x_hat*mean(g*x_hat) )", "rstd·(g − mean(g) − x̂·mean(g·x̂))"),
        ("dx = g*weight", "g·γ"),
        ("input*gamma - mu", "x·γ − μ"),
        ("1/sqrt(sigma^2 + eps)", "1/√(σ² + ε)"),
        ("(sigma**2 + epsilon)**(-1/2)", "1/√(σ² + ε)"),
        ("(var + eps)^-0.5", "1/√(σ² + ε)"),
        ("sigma2**2", "(σ²)²"),
        ("rstd³·x", "rstd³·x"),
        ("rstd^3*x", "rstd³·x"),
        ("x⁻¹", "1/x"),
        ("x**-1", "1/x"),
        ("-x^2", "−x²"),
        ("(-x)^2", "(−x)²"),
        ("x - (g - x)", "x − (g − x)"),
        ("x/g*2", "2·x/g"),
        ("x/2/3", "x/6"),
        ("--x", "x"),
        ("2 - 3 + 1/2", "−1/2"),
        ("sum(x)/N", "Σ(x)/N"),
        ("∑(x)", "Σ(x)"),
        ("sum_B(x)", "Σ_B(x)"),
        ("mean_NB(x)", "mean_BN(x)"),
        ("mean(x, B, N)", "mean_BN(x)"),
        ("sum(g over B)", "Σ_B(g)"),
        ("max(x)", "max(x)"),
        ("max(x, 0)", "max(x, 0)"),
        ("relu(x)", "x·[x > 0]"),
        ("[x >= 0]*g + [x != 0]", "[x ≥ 0]·g + [x ≠ 0]"),
        ("|x - g|", "|x − g|"),
        ("abs(x)", "|x|"),
        ("norm(x)", "‖x‖"),
        ("||x||", "‖x‖"),
        ("sigmoid(x)*σ(x)", "σ(x)·σ(x)"),
        ("softmax(x) + softmax_T(x)", "softmax(x) + softmax_T(x)"),
        ("ln(exp(tanh(x)))", "log(exp(tanh(x)))"),
        ("c2 × 0.044715", "0.044715·c₂"),
        ("√x·√(x + 1)", "√x·√(x + 1)"),
        ("h*x, h = g*gamma", "g·γ·x"),
        ("h*k; k = 2*h; h = x + 1", "2·(x + 1)·(x + 1)"),
        ("g = dy, dx = x*g", "x·dy"),
    ],
)  # fmt: skip
def test_notations(typed, written):
    assert HAND(read(typed, KNOWN, "dx")) == written


def test_what_it_is_made_of():
    x, g = KNOWN.letters["x"], KNOWN.letters["g"]
    assert read("x - g", KNOWN) == Sum((x, Product((Number(-1), g))))
    assert read("x/N", KNOWN) == Product((x, Power(Size("N"), Number(-1))))
    assert read("mean(x)", KNOWN) == Total(x, ("N",), "mean")
    assert read("min(x, g)", KNOWN) == Call("min", (x, g))
    assert read("[x < 1]", KNOWN) == Indicator(x, "<", Number(1))


@pytest.mark.parametrize(
    ("typed", "place", "says"),
    [
        ("rstd*(g - meen(g))", 10, "meen is no letter of this derivation. Did you mean mean?"),
        ("xhatt*g", 0, "Did you mean x̂?"),
        ("sigma*g", 0, "Did you mean σ²?"),
        ("rstdg", 0, "Did you mean rstd·g?"),
        ("q", 0, "There are x, x̂, g, dy, γ, μ, σ², rstd, ε, ‖x‖, c₂, B, T, N."),
        ("rstd g", 5, "a product is written a·b or a*b"),
        ("rstd(g)", 4, "a product is written a·b or a*b"),
        ("2x", 1, "a product is written a·b or a*b"),
        ("(g - x", 6, "expected ) for the ( at character 1"),
        ("g - x)", 5, ") stands here; expected an operator"),
        ("g - ", 3, "the line ends here"),
        ("", 0, "expected a letter, a number, a function or a bracket"),
        ("g + * x", 4, "* stands here"),
        ("mean g", 0, "mean is a function, which has brackets: mean(…)."),
        ("Σx", 0, "brackets: Σ(…)"),
        ("mean_Q(g)", 5, "there is no axis Q; there are B, T, N."),
        ("exp(x, B)", 0, "exp takes one argument; 2 stand here."),
        ("tanh_B(x)", 0, "tanh is taken entry by entry"),
        ("min(x)", 0, "min takes two arguments"),
        ("[x]", 2, "a comparison"),
        ("1/0", 2, "divides by zero"),
        ("x/(1 - 1)", 2, "divides by zero"),
        ("x^99999", 2, "an exponent beyond 64"),
        ("9^64^64", 5, "beyond 10^30"),
        ("x^tanh(1)", 2, "expected a number as exponent"),
        ("√x²", 0, "write √(x²) or (√x)²"),
        ("x²³⁻", 1, "expected an exponent"),
        ("1e400*x", 0, "beyond 10^30"),
        ("$x", 0, "'$' means nothing here"),
        ("__import__('os')", 11, "means nothing here"),
        ("x.__class__", 1, "'.' means nothing here"),
        ("x, g", 3, "one line is asked for"),
        ("h, h = h*x", None, "It is used before it is defined"),
    ],
)  # fmt: skip
def test_what_cannot_be_read(typed, place, says):
    with pytest.raises(ReadingError) as raised:
        read(typed, KNOWN, "dx")
    message = str(raised.value)
    assert says in message
    if place is not None:
        assert raised.value.place == place
        line, caret = message.split("\n")[1:3]
        assert caret.index("^") == 2 + place
        assert line.strip() == raised.value.line


def test_the_caret_stands_under_what_is_seen():
    """A combining mark takes no room."""
    with pytest.raises(ReadingError) as raised:
        read("x̂·x̂·what", KNOWN)
    assert str(raised.value).split("\n")[2] == "      ^"


def test_long_and_deep_lines_are_refused():
    for text in (
        "x+" * LONGEST,
        "(" * 400 + "x" + ")" * 400,
        "-" * 400 + "x",
        "√" * 400 + "x",
        "x^" * 400 + "2",
        "[" * 400,
        "9" * 400 + "*x",
    ):
        with pytest.raises(ReadingError):
            read(text, KNOWN)
    assert isinstance(read("+".join(["x"] * 900), KNOWN), Sum)


SCRAPS = [
    "rstd",
    "g",
    "x̂",
    "xhat",
    "mean",
    "sum",
    "Σ",
    "max",
    "softmax",
    "(",
    ")",
    "[",
    "]",
    "|",
    ",",
    "+",
    "−",
    "-",
    "·",
    "*",
    "/",
    "^",
    "**",
    "²",
    "⁻¹",
    "√",
    "N",
    "B",
    "2",
    "0",
    "1",
    "0.5",
    "3e2",
    "=",
    ";",
    ">",
    "over",
    "_B",
    "eps",
    "σ²",
    "x",
    "dx",
    "relu",
    "99999999999",
    "\\",
    "é",
    "‖",
    "'",
    "{",
    "@",
    ".",
    "̂",
    "\x00",
    "²",
]


@pytest.mark.parametrize("seed", range(20))
def test_garbage_is_read_or_refused(seed):
    rng = random.Random(seed)
    for _ in range(200):
        text = "".join(rng.choice(SCRAPS) + rng.choice(("", " ")) for _ in range(rng.randint(0, 16)))
        try:
            assert HAND(read(text, KNOWN, "dx"))
        except ReadingError:
            continue
