"""A candidate is asked in many ways and answers in as many; none of them may end, hang or mislead the check."""

from __future__ import annotations

import collections
import functools
import sys
import threading
import time
import warnings

import numpy as np
import pytest

import tinygrad_norm as tn
from tinygrad_norm.check.adapters import as_candidate, order2_by_tensors
from tinygrad_norm.check.binding import CheckInputError
from tinygrad_norm.check.candidate import Answer, ask, sanity

RNG = np.random.default_rng(3)
X, W, B, DY = RNG.normal(size=(4, 6)), RNG.normal(size=6), RNG.normal(size=6), RNG.normal(size=(4, 6))
INPUTS = {"input": X, "weight": W, "bias": B}
OPTIONS = {"eps": 0.1}
MEAN = X.mean(-1, keepdims=True)
RSTD = 1 / np.sqrt(X.var(-1, keepdims=True) + 0.1)
SAVED = {"mean": MEAN, "rstd": RSTD}


def right(dy, x, weight, bias, eps):
    mu = x.mean(-1, keepdims=True)
    c = x - mu
    rstd = 1 / np.sqrt((c**2).mean(-1, keepdims=True) + eps)
    xhat, g = c * rstd, dy * weight
    dx = rstd * (g - g.mean(-1, keepdims=True) - xhat * (g * xhat).mean(-1, keepdims=True))
    return dx, (dy * xhat).sum(0), dy.sum(0)


TRUE = dict(zip(INPUTS, right(DY, X, W, B, 0.1)))


def asked(candidate, **more) -> Answer:
    return ask(candidate, DY, INPUTS, OPTIONS, **more)


def agrees(answer, names=("input", "weight", "bias")):
    assert answer.error is None
    for n in TRUE:
        if n in names:
            np.testing.assert_allclose(answer.gradients[n], TRUE[n], rtol=1e-12)
        else:
            assert answer.gradients.get(n) is None


# How it is called -----------------------------------------------------------------------------------------------------


class Layer:
    def backward(self, dy, x, weight, bias, eps):
        return right(dy, x, weight, bias, eps)

    def __call__(self, grad_output, inp, gamma, beta, epsilon):
        return right(grad_output, inp, gamma, beta, epsilon)


@pytest.mark.parametrize(
    "candidate",
    [
        right,
        lambda eps, beta, gamma, x, dout: right(dout, x, gamma, beta, eps),
        lambda b, w, x, g, epsilon: right(g, x, w, b, epsilon),
        lambda one, two, three, four, five: right(one, two, three, four, five),
        lambda *given: right(*given),
        lambda dy, /, x, *, eps, weight, bias: right(dy, x, weight, bias, eps),
        lambda grad_output, **named: right(grad_output, named["input"], named["weight"], named["bias"], named["eps"]),
        lambda dy, input, weight, b=None, eps=7.0, axis=-1: right(dy, input, weight, b, eps),
        lambda dL_dy, data, γ, β, eps: right(dL_dy, data, γ, β, eps),
        lambda dy, x, g, b, eps: right(dy, x, g, b, eps),  # g beside dy is the gain
        functools.partial(right, eps=0.1),
        Layer().backward,
        Layer(),
        functools.wraps(right)(lambda *a, **k: right(*a, **k)),
    ],
)
def test_its_parameters_are_matched(candidate):
    agrees(asked(candidate))


def test_what_it_has_no_parameter_for_is_not_passed():
    def only(dout, x, eps):
        return right(dout, x, W, B, eps)[0]

    agrees(asked(only), ["input"])

    def two(dout, x, weight, eps):
        return right(dout, x, weight, B, eps)[:2]

    agrees(asked(two), ["input", "weight"])


def test_saved_statistics_and_a_cache():
    def fused(dy, x, w, b, mu, inv_std):
        xhat, g = (x - mu) * inv_std, dy * w
        return (
            inv_std * (g - g.mean(-1, keepdims=True) - xhat * (g * xhat).mean(-1, keepdims=True)),
            (dy * xhat).sum(0),
            dy.sum(0),
        )

    agrees(asked(fused, saved=SAVED))
    agrees(asked(lambda dout, cache: fused(dout, cache["input"], cache["weight"], 0, cache["mean"], cache["rstd"]), saved=SAVED))
    assert "takes mu, saved from the forward pass" in asked(fused).error
    assert "saved={'mu': …}" in asked(fused).error


def test_symbols_are_names_too():
    v, g = RNG.normal(size=(3, 5)), RNG.normal(size=(3, 1))
    inputs, symbols = {"input": v, "weight": g}, {"input": "v", "weight": "g"}

    def mine(dout, v, g):
        return {"dg": g + 1, "dv": v + 2, "g": g}

    def usual(g, v, w):
        return v + 2, w + 1

    for candidate in (mine, usual):
        answer = ask(candidate, v, inputs, {}, symbols=symbols)
        np.testing.assert_array_equal(answer.gradients["input"], v + 2)
        np.testing.assert_array_equal(answer.gradients["weight"], g + 1)
    assert [n for n, _ in ask(mine, v, inputs, {}, symbols=symbols).steps] == ["g"]


def test_a_guess_by_position_is_mentioned_only_among_known_names():
    assert asked(lambda dy, something, w, b, eps: right(dy, something, w, b, eps)).notes == (
        "its parameter something is taken for x, by position",
    )
    assert asked(lambda a, b_, c, d, e: None).error.startswith("returned None")
    assert asked(right).notes == ()
    assert asked(lambda one, two, three, four, five: right(one, two, three, four, five)).notes == ()


@pytest.mark.parametrize(
    ("candidate", "words"),
    [
        (Layer.backward, "is a method without its object: give MyNorm(…).backward"),
        (lambda ctx, dy: dy, "takes a ctx: give the torch.autograd.Function class"),
        (lambda x: x, "has no parameter for the cotangent"),
        (lambda dy, x, w, b, eps, more: dy, "takes more, which is none of dy, input, weight, bias, eps"),
    ],
)
def test_what_cannot_be_called(candidate, words):
    assert words in asked(candidate).error


# What it returns ------------------------------------------------------------------------------------------------------

Named = collections.namedtuple("Named", "dbias dx dweight")


def by_steps(dy, x, weight, bias, eps):
    dx, dw, db = right(dy, x, weight, bias, eps)
    yield "xhat", (x - MEAN) * RSTD
    yield "dxhat", dy * weight
    yield "dgamma", dw
    yield "dbeta", db
    yield "dx", dx


def by_return(dy, x, weight, bias, eps):
    yield "g", dy * weight
    return right(dy, x, weight, bias, eps)


RETURNS = {
    "list": lambda d: list(d),
    "dict": lambda d: {"dx": d[0], "dweight": d[1], "dbias": d[2]},
    "short names": lambda d: {"db": d[2], "dw": d[1], "dx": d[0]},
    "Greek": lambda d: {"dβ": d[2], "dγ": d[1], "dx": d[0]},
    "inputs' names": lambda d: {"x": d[0], "gamma": d[1], "bias": d[2]},
    "PyTorch's": lambda d: {"grad_input": d[0], "grad_weight": d[1], "bias_grad": d[2]},
    "calculus": lambda d: {"dL_dx": d[0], "dL_dgamma": d[1], "dL_dbeta": d[2]},
    "named tuple": lambda d: Named(d[2], d[0], d[1]),
    "autograd function": lambda d: (*d, None, None),
}


@pytest.mark.parametrize("form", RETURNS)
def test_forms_of_an_answer(form):
    answer = asked(lambda dy, x, weight, bias, eps: RETURNS[form](right(dy, x, weight, bias, eps)))
    agrees(answer)
    assert not answer.notes
    assert not answer.steps


def test_none_is_not_given():
    agrees(asked(lambda dy, x, weight, bias, eps: (right(dy, x, weight, bias, eps)[0], None, dy.sum(0))), ["input", "bias"])


def test_steps():
    answer = asked(by_steps)
    agrees(answer)
    assert [n for n, _ in answer.steps] == ["xhat", "dxhat"]
    np.testing.assert_allclose(answer.steps[1][1], DY * W)
    answer = asked(by_return)
    agrees(answer)
    assert [n for n, _ in answer.steps] == ["g"]
    answer = asked(lambda dy, x, weight, bias, eps: {"mu": x.mean(-1), "x": x, "dx": right(dy, x, weight, bias, eps)[0]})
    agrees(answer, ["input"])
    assert [n for n, _ in answer.steps] == ["mu", "x"]


def test_steps_before_a_fall_are_kept():
    def falls(dy, x, w, b, eps):
        yield "xhat", x
        yield "dbias", dy.sum(0)
        raise ValueError("no idea how to go on")

    answer = asked(falls)
    assert answer.error.startswith("raised ValueError: no idea how to go on (line ")
    assert [n for n, _ in answer.steps] == ["xhat"]
    np.testing.assert_allclose(answer.gradients["bias"], TRUE["bias"])


def test_lists_and_numbers_are_arrays_with_a_note():
    answer = asked(lambda dy, x, weight, bias, eps: [g.tolist() for g in right(dy, x, weight, bias, eps)])
    agrees(answer)
    assert answer.notes[0] == "returned dx as a list instead of an array"
    answer = asked(lambda dy, x, weight, bias, eps: right(dy, x, weight, bias, eps)[0].tolist(), wanted=["input"])
    agrees(answer, ["input"])


@pytest.mark.parametrize(
    ("returned", "words"),
    [
        (None, "returned None: a backward returns the gradients of x, γ, β"),
        ((X, W), "returned 2 gradients for 3 inputs (x, γ, β); None stands for one not given"),
        ((X, W, B, X), "returned 4 gradients for 3 inputs"),
        ((X.T, W, B), "dx has shape (6, 4), x has (4, 6)"),
        ((X, W, "db"), "dβ has dtype <U2, not real numbers"),
        ((X, object(), B), "dγ has dtype object"),
        ((X * 1j, W, B), "dx has dtype complex128"),
        ({"mu": X}, "returned a dict without a gradient (mu): call one of them dx"),
        ({}, "returned a dict without a gradient (nothing)"),
        (iter([("mu", X)]), "yielded no gradient: name one of its steps dx"),
        (iter([X]), "yielded ndarray of shape (4, 6); a step is a pair (name, array)"),
    ],
)
def test_wrong_answers(returned, words):
    answer = asked(lambda dy, x, w, b, eps: returned)
    assert words in answer.error
    assert "\n" not in answer.error


def test_a_wrong_shape_does_not_hide_the_others():
    answer = asked(lambda dy, x, w, b, eps: (x, w[None], dy))
    assert answer.error == "dγ has shape (1, 6), γ has (6,); dβ has shape (4, 6), β has (6,)"
    assert answer.gradients["input"].shape == (4, 6)
    assert answer.gradients["weight"].shape == (6,)  # only axes of one: its numbers can be judged
    assert answer.gradients["bias"] is None


def test_dtypes_and_what_is_not_finite():
    small = {n: a.astype(np.float32) for n, a in INPUTS.items()}
    answer = ask(lambda dy, x, w, b, eps: (x.astype(float), w, b), DY.astype(np.float32), small, OPTIONS)
    assert answer.notes == ("dx has dtype float64 for float32 x",)
    assert answer.gradients["input"].dtype == np.float64
    bad = X.copy()
    bad[1, 2] = bad[3, 0] = np.nan
    answer = asked(lambda dy, x, w, b, eps: (bad, np.arange(6), b))
    assert answer.notes == (
        "dx has 2 entries that are not finite, the first nan at (1, 2)",
        "dγ has dtype int64 for float64 γ",
    )
    assert answer.gradients["weight"].dtype == np.float64


# What else it does ----------------------------------------------------------------------------------------------------


def test_our_arrays_stay_ours():
    kept = {n: a.copy() for n, a in INPUTS.items()}

    def changes(dy, x, w, b, eps, mean):
        x *= 2
        mean[...] = 0
        dy += 1
        return x, w, b

    answer = asked(changes, saved=SAVED)
    assert answer.notes == ("changed its inputs x, dy, mean",)
    for n, a in INPUTS.items():
        np.testing.assert_array_equal(a, kept[n])
    assert SAVED["mean"].any()
    buffer = np.zeros_like(X)

    def reuses(dy, x, w, b, eps):
        buffer[...] += 1
        return buffer, w, b

    first = asked(reuses)
    asked(reuses)
    assert np.all(first.gradients["input"] == 1)


def test_what_it_prints_and_warns_of(capsys):
    def talks(dy, x, w, b, eps):
        print("hello\nthere")
        print("and again", file=sys.stderr)
        warnings.warn("careful", stacklevel=1)
        assert sys.stdin.read() == ""
        return x / np.zeros(()), w, b

    answer = asked(talks)
    assert answer.notes[0] == "printed 3 lines: hello"
    assert answer.notes[1].startswith("warned: careful (line ")
    assert answer.notes[2].startswith("warned: divide by zero encountered in divide (line ")
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("kind", [ValueError, SystemExit, RecursionError, MemoryError, AssertionError])
def test_what_it_raises(kind):
    def raises(dy, x, w, b, eps):
        np.matmul(x, w)
        raise kind("this is\nwhy")

    line = raises.__code__.co_firstlineno + 2
    assert asked(raises).error == f"raised {kind.__name__}: this is (line {line} of test_candidate.py)"
    assert asked(functools.partial(raises, eps=1)).error.endswith(f"(line {line} of test_candidate.py)")


def test_the_line_is_in_their_file_not_in_numpy():
    def raises(dy, x, w, b, eps):
        return np.linalg.inv(x)

    assert asked(raises).error.endswith(f"(line {raises.__code__.co_firstlineno + 1} of test_candidate.py)")


def test_ctrl_c_passes_through():
    def stop(dy, x, w, b, eps):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        asked(stop)


def test_a_limit(capsys):
    ended = threading.Event()

    def hangs(dy, x, w, b, eps):
        try:
            while True:
                print("still here")
                time.sleep(0.001)
        finally:
            ended.set()

    answer = sanity(hangs, DY, INPUTS, OPTIONS, limit=0.05)
    assert answer.error == "did not return within 0.05 s"
    assert answer.notes[0].startswith("printed ")
    assert ended.wait(10)  # it was asked to end, and could
    assert "still here" not in capsys.readouterr().out


# Sanity ---------------------------------------------------------------------------------------------------------------


def test_sanity_of_a_right_one():
    answer = sanity(right, DY, INPUTS, OPTIONS)
    agrees(answer)
    assert answer.notes == ()


def test_sanity_where_only_rounding_is_left():
    """With dy = 1 and γ = 1, dx is rounding alone; another order of sums is no other answer."""
    x = RNG.normal(size=(4, 300)) + 1e3
    inputs = {"input": x, "weight": np.ones(300), "bias": np.ones(300)}
    plain, columns = (right(np.ones_like(x), np.array(x, order=o), np.ones(300), 0, 1e-5)[0] for o in "CF")
    assert np.max(np.abs(plain - columns)) > 1e-3 * np.max(np.abs(plain))
    assert sanity(right, np.ones_like(x), inputs, {"eps": 1e-5}).notes == ()


def test_another_answer_the_second_time():
    rng, calls = np.random.default_rng(0), []

    def random(dy, x, w, b, eps):
        return x + rng.normal(size=x.shape), w, b

    def first_only(dy, x, w, b, eps):
        calls.append(1)
        if len(calls) > 1:
            raise RuntimeError("only once")
        return x, w, b

    notes = sanity(random, DY, INPUTS, OPTIONS).notes
    assert notes[0].startswith("gives another answer the second time: dx differs by ")
    notes = sanity(first_only, DY, INPUTS, OPTIONS).notes
    assert notes[0].startswith("the second time: raised RuntimeError: only once (line ")


def test_another_answer_for_other_layouts():
    def as_kernel(dy, x, w, b, eps):
        """Reads the memory of x as if it were contiguous."""
        flat = np.lib.stride_tricks.as_strided(x, x.shape, (x.shape[1] * 8, 8))
        return flat * 2.0, w, b

    def picky(dy, x, w, b, eps):
        if not x.flags.c_contiguous:
            raise ValueError("needs contiguous x")
        return x, w, b

    def one_or_the_other(dy, x, w, b, eps):
        assert x.flags.forc, "needs x in one piece"
        return x, w, b

    notes = sanity(one_or_the_other, DY, INPUTS, OPTIONS).notes
    assert len(notes) == 1
    assert notes[0].startswith("for strided input: raised AssertionError: needs x in one piece")
    notes = sanity(as_kernel, DY, INPUTS, OPTIONS).notes
    assert [n.split(":")[0] for n in notes] == [
        "gives another answer for transposed input",
        "gives another answer for strided input",
    ]
    notes = sanity(picky, DY, INPUTS, OPTIONS).notes
    assert len(notes) == 2
    assert notes[0].startswith("for transposed input: raised ValueError: needs contiguous x")


# Once more differentiated ---------------------------------------------------------------------------------------------


def in_operators(dy, x, weight, bias, eps):
    mu = x.mean(-1, keepdims=True)
    c = x - mu
    rstd = ((c**2).mean(-1, keepdims=True) + eps) ** -0.5
    xhat, g = c * rstd, dy * weight
    dx = rstd * (g - g.mean(-1, keepdims=True) - xhat * (g * xhat).mean(-1, keepdims=True))
    return dx, (dy * xhat).sum(0), dy.sum(0)


V = {n: RNG.normal(size=a.shape) for n, a in INPUTS.items()}


def second_by_differences(h=1e-6):
    def along(inputs):
        return sum(np.sum(V[n] * g) for n, g in zip(V, right(DY, *inputs.values(), 0.1)))

    found = {}
    for n, a in INPUTS.items():
        found[n] = np.zeros_like(a)
        for i in np.ndindex(a.shape):
            e = np.zeros_like(a)
            e[i] = h
            found[n][i] = (along({**INPUTS, n: a + e}) - along({**INPUTS, n: a - e})) / (2 * h)
    return found


SECOND = second_by_differences()


def test_second_order_by_tensors():
    mine = order2_by_tensors(in_operators, DY, INPUTS, OPTIONS, None, V)
    for n in INPUTS:
        np.testing.assert_allclose(mine[n], SECOND[n], atol=1e-7)
        assert type(mine[n]) is np.ndarray

    def cached(dy, x, w, b, mean, rstd):
        xhat, g = (x - mean) * rstd, dy * w
        dx = rstd * (g - g.mean(-1, keepdims=True) - xhat * (g * xhat).mean(-1, keepdims=True))
        yield "xhat", xhat
        yield "dx", dx
        yield "dw", (dy * xhat).sum(0)
        yield "db", dy.sum(0)

    theirs = order2_by_tensors(cached, DY, INPUTS, OPTIONS, SAVED, V)
    np.testing.assert_allclose(theirs["weight"], SECOND["weight"], atol=1e-7)
    assert np.max(np.abs(theirs["input"] - SECOND["input"])) > 0.01
    assert not order2_by_tensors(lambda dy, x, w, b: (dy, W, B), DY, INPUTS, {}, None, V)["input"].any()


def test_second_order_of_what_cannot():
    def needs_arrays(dy, x, w, b, eps):
        return np.linalg.inv(x), w, b

    said = order2_by_tensors(needs_arrays, DY, INPUTS, OPTIONS, None, V)
    assert said.startswith("raised HistoryLostError")
    assert "\n" not in said
    assert "returned None" in order2_by_tensors(lambda dy, x, w, b, eps: None, DY, INPUTS, OPTIONS, None, V)


def test_as_candidate_leaves_plain_ones_as_they_are():
    candidate = as_candidate(right)
    assert candidate.order2 is None
    assert candidate.__name__ == "right"
    agrees(asked(candidate))
    assert as_candidate(candidate) is candidate
    for wrong, words in ((Layer, "Layer is a class; give its function"), (3, "a candidate is a function, not int")):
        with pytest.raises(CheckInputError, match=words):
            as_candidate(wrong)
    with pytest.raises(CheckInputError, match=r'it is "torch" or "jax"'):
        as_candidate(right, "tensorflow")


def test_a_gradient_in_half_precision_beside_one_in_double_lost_its_digits():
    def half(dy, x, weight, bias, eps):
        c = x - x.mean(-1, keepdims=True)
        r = 1 / np.sqrt((c * c).mean(-1, keepdims=True) + eps)
        g, h = dy * weight, c * r
        dx = r * (g - g.mean(-1, keepdims=True) - h * (g * h).mean(-1, keepdims=True))
        rows = tuple(range(dy.ndim - 1))
        return dx, (dy * h).astype(np.float16).sum(rows), dy.sum(rows)

    verdict = tn.check(half, "layer_norm")
    assert verdict.summary == "not right: dγ (1 of 3)"
    assert "given in float16 beside dx in float64: right to three digits only" in verdict.text()

    def all_in_half(dy, x, weight, bias, eps):
        return tuple(g.astype(np.float16) for g in half(dy, x, weight, bias, eps))

    every = tn.check(all_in_half, "layer_norm")
    assert str(every).endswith(
        "verdict: right, dx to float16's rounding only, dγ to float16's rounding only, dβ to float16's rounding only"
    )
