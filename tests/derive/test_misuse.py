"""Whatever is asked of a derivation in a way that cannot be meant is an error of the project's, which says what is meant."""

from __future__ import annotations

import functools
from contextlib import suppress

import numpy as np
import pytest

import tinygrad_norm as tn
from tinygrad_norm.derive import DerivationError, NotSymbolicError, derive

BN = {"x": ("B", "N")}


class Unspeakable:
    """Its repr fails."""

    def __repr__(self):
        raise RuntimeError


class Nameless:
    __signature__ = 3

    def __call__(self, x):
        return x * x


ODD = [None, True, -1, 2.5, float("nan"), 1j, "", "zz", b"x", [], (), {}, [1], ("B", "N"), {"x": 1}, Unspeakable(), np.float16(1),
       np.zeros((0,)), np.zeros((2, 3)), np.array("a"), tn.tensor([1.0, 2.0]), int, max, np.exp, lambda x: x, iter([1]), 10**400]  # fmt: skip
ARGUMENTS = {
    **{n: functools.partial(lambda n, o: derive(square, **{"inputs": BN, n: o}), n) for n in ("wrt", "inputs", "shape", "order")},
    **{n: functools.partial(lambda n, o: derive(square, **{"inputs": BN, n: o}), n) for n in ("lemmas", "seed", "form", "more")},
    "of a norm": lambda o: tn.derive("rms_norm", shape=o),
    "a size": lambda o: tn.derive("rms_norm", shape=(o, 3)),
    "an option": lambda o: tn.derive("rms_norm", eps=o),
    "backward": lambda o: tn.derive("rms_norm", backward=o),
    "the norm": tn.derive,
    "the forward": lambda o: derive(o, inputs=BN),
    "an input": lambda o: derive(square, inputs={"x": o}),
    "a lemma": lambda o: derive(square, inputs=BN, lemmas=[o]),
    "what a forward gives": lambda o: derive(lambda x: o, inputs=BN),
    "the other": lambda o: derive(square, inputs=BN).equals(o),
    "what the other gives": lambda o: derive(square, inputs=BN).equals(lambda dy: o),
    "pairing": lambda o: derive(square, inputs=BN).equals(lambda dy: dy, o),
    "a partner": lambda o: derive(square, inputs=BN).equals(lambda w: w, {"w": o}),
    "a step": lambda o: derive(square, inputs=BN).ask(o),
    "a line": lambda o: derive(square, inputs=BN).ask().answer(o),
}


def square(x):
    return x * x


def only_ours(ask):
    with suppress(tn.TinygradNormError):
        ask()


@pytest.mark.parametrize("argument", ARGUMENTS)
@pytest.mark.costly(3)
def test_a_wrong_kind_of_anything_is_an_error_of_ours(argument):
    for odd in ODD:
        only_ours(lambda odd=odd: ARGUMENTS[argument](odd))


@pytest.mark.parametrize(
    ("forward", "words"),
    [
        (int, "int is a class; expected a function of tensors"),
        (tn.nn.LayerNorm, "LayerNorm is a class.*LayerNorm\\(…\\)"),
        (
            tn.nn.LayerNorm(11),
            "unexpected keyword argument 'x'; is missing 1 required positional argument: 'input'; inputs= names x",
        ),
        (lambda x, w: x * w, "is missing 1 required positional argument: 'w'"),
        (lambda: tn.tensor(1.0), "unexpected keyword argument 'x'"),
        (lambda x: (x * 2.0, x), "this one gives a tuple of 2: return one of them"),
        (lambda x: x > 0, "nothing was recorded of, \\(7, 11\\) bool"),
        (lambda x: x.data * 2, "this one gives \\(7, 11\\) float64"),
        (lambda x: x[:0] * 1.0, "a tensor without entries, \\(0, 11\\)"),
    ],
)
def test_what_is_no_forward_is_told_why(forward, words):
    with pytest.raises((DerivationError, tn.GradientError), match=words):
        derive(forward, inputs=BN)


@pytest.mark.parametrize(
    "forward",
    [
        eval("lambda x, /: x * x"),
        eval("lambda x, /, *, k=1.0: x * x * k"),
        lambda *, x: x * x,
        lambda *a: a[0] * a[0],
        lambda **k: k["x"] * k["x"],
        functools.partial(lambda x, w: x**w, w=2.0),
        functools.partial(functools.partial(lambda k, x, w: k * x * w, 1.0), w=0.5),
        functools.lru_cache(square),
        np.square,
        Nameless(),
        Nameless().__call__,
    ],
)
def test_every_kind_of_callable_is_a_forward(forward):
    assert derive(forward, inputs=BN).formula.cost


@pytest.mark.parametrize(
    "backward",
    [
        eval("lambda dy, x, /: 2 * dy * x"),
        lambda *, x, dy: 2 * dy * x,
        lambda dy, **k: 2 * dy * k["x"],
        lambda dy, x, eps=1e-5: 2 * dy * x,
        functools.partial(lambda dy, x, k: k * dy * x, k=2.0),
        functools.lru_cache(lambda dy, x: 2 * dy * x),
    ],
)
def test_every_kind_of_callable_is_compared(backward):
    assert derive(square, inputs=BN).equals(backward).proved


@pytest.mark.parametrize(
    ("other", "pairing", "words"),
    [
        (max, None, "max does not say the names of its arguments; expected a function .*lambda x, dy: …"),
        (int, None, "int is a class"),
        (lambda dy: (dy,), None, "this one gives a tuple of 1: return one of them"),
        (lambda dy: 2.0, None, "this one gives 2.0"),
        (lambda dy: dy, {"q": "x"}, "names 'q', which the function does not take; it takes dy"),
        (derive(square, inputs=BN), {"q": "x"}, "the other derivation has no input 'q'; it has x, dy"),
        (lambda dy: dy, {"dy": 3}, "names of inputs here by the names of theirs"),
    ],
)
def test_what_cannot_be_compared_is_told_why(other, pairing, words):
    with pytest.raises(DerivationError, match=words):
        derive(square, inputs=BN).equals(other, pairing)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (np.zeros((0, 4)), "an axis has no entry, \\(0, 4\\)"),
        ((3, 4), "names of its axes, .* or an array: np.ones\\(\\(3, 4\\)\\)"),
        (("B", 4), "given by its name, not by its size"),
        ("B", "of one axis: \\('B',\\)"),
        (("B", " "), "each once, such as"),
        (np.ones(3, complex), "an array of real numbers"),
        ([[1], [1, 2]], "an array of real numbers"),
        (None, "an array of real numbers"),
    ],
)
def test_what_is_no_input_is_told_why(given, words):
    with pytest.raises(DerivationError, match=words):
        derive(square, inputs={"x": given})


@pytest.mark.parametrize(
    "given", [(), [], 2.0, np.ones((3, 4), np.float16), np.ones((3, 4), int), ("lambda", "class"), ("x", "dy"), ("E", "Σ")]
)
def test_any_numbers_and_names_will_do(given):
    d = derive(square, inputs={"x": given})
    assert d.equals(lambda dy, x: 2 * dy * x).proved
    for text in (d.text(), d.latex(), d.html(), d.markdown(), d.to_latex(), d.to_json()):
        assert text
    compile(d.numpy_source(), "", "exec")


@pytest.mark.parametrize("name", ["lambda", "class", "None", "print", "np", "sum", "self", "E", "N", "_", "dy"])
def test_any_name_of_an_input_will_do(name):
    d = derive(lambda **k: k[name] ** 3, inputs={name: ("B", "N")})
    compile(d.numpy_source(), "", "exec")
    assert d.equals(d).proved
    if name == "dy":
        with pytest.raises(DerivationError, match="an input is called dy, as the cotangent is"):
            d.equals(lambda dy: dy)


@pytest.mark.parametrize("axes", [5, 6, 7, pytest.param(8, marks=pytest.mark.thorough)])
def test_many_axes_are_few_numbers(axes):
    d = derive(lambda x: x * x.mean(-1, keepdim=True), inputs={"x": tuple("ABCDEFGH"[:axes])})
    assert d.equals(lambda dy, x: dy * x.mean(-1, keepdim=True) + (dy * x).mean(-1, keepdim=True)).proved
    assert not d.equals(lambda dy, x: dy * x.mean(-1, keepdim=True) + (dy * x).mean(-2, keepdim=True))


def test_too_many_axes_are_refused():
    with pytest.raises(DerivationError, match=r"x has 9 axes: .* 223,092,870 numbers"):
        derive(square, inputs={"x": tuple("ABCDEFGHI")})


def test_a_checkpoint_has_no_formula():
    with pytest.raises(NotSymbolicError, match="checkpoint: a node with rules of its own"):
        derive(lambda x: tn.checkpoint(lambda z: z * 2.0)(x), inputs={"x": ("B", "N")})
