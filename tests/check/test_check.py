"""``tn.check`` from the outside: what it says of right and wrong candidates, of odd ones, and of probes."""

from __future__ import annotations

import json
import re
from xml.etree import ElementTree

import numpy as np
import pytest

import tinygrad_norm as tn
from tinygrad_norm.check import CheckInputError, InputError
from tinygrad_norm.engine import GradientError, ShapeError
from tinygrad_norm.norms import UnknownNormError, get

from .backwards import X, backward_of, m, right, with_saved


@pytest.fixture(scope="module")
def wrong():
    return tn.check(backward_of(lambda r, g, h: r * (g - m(g) - h * (g * h).sum(-1, keepdims=True))), "layer_norm")


# What is told ---------------------------------------------------------------------------------------------------------


def test_the_text_names_the_term(wrong):
    lines = wrong.text().splitlines()
    assert lines[0].startswith("backward_of.<locals>.layer_norm_backward against LayerNorm    x (4, 8), γ (8,), β (8,)")
    assert lines[0].endswith("ε = 1e-05")
    assert lines[1].startswith("dx  wrong     max |Δ| ")
    assert "rounding explains" in lines[1]
    assert lines[2].strip().startswith("your dx = 1.000·direct + 1.000·μ + 8.000·σ²    unexplained ")
    assert lines[3] == "    the σ² term is N = 8 times too big: a sum where the formula has a mean"
    assert lines[4] == "    look: the way back through σ² = mean(c²); route C of the picture: −rstd·x̂·mean(x̂·dy·γ)"
    assert re.fullmatch(r"    line \d+ of test_check.py: `.*\(g \* h\).*`: Σ where mean belongs", lines[5])
    assert lines[6].startswith("dγ  right")
    assert lines[7].startswith("dβ  right")
    assert lines[8] == f"probe: strong (0 of {wrong.probe.known} known mistakes would pass)"
    assert lines[9] == "verdict: not right: dx (1 of 3)"
    assert str(wrong) == wrong.text() == wrong._repr_mimebundle_()["text/plain"]
    assert wrong.text(ascii=True).isascii()


def test_the_answer_as_an_object(wrong):
    assert not wrong.ok
    assert list(wrong.judgements) == ["input", "weight", "bias"]
    dx = wrong.judgements["input"]
    assert (dx.symbol, dx.status, dx.mistakes) == ("dx", "wrong", ("σ²: sum for mean",))
    assert dx.max_abs > 1e6 * dx.allowed > 0
    assert dx.relative > 0.01
    assert wrong.judgements["weight"].ok
    assert wrong.probe.known > 40
    assert wrong.probe.passing == ()
    assert wrong.yours is None
    assert wrong.error is None
    assert tn.check(right, "layer_norm").ok


def test_json_holds_everything_and_no_infinity(wrong):
    found = json.loads(wrong.to_json())
    assert (found["ok"], found["norm"], found["summary"]) == (False, "LayerNorm", "not right: dx (1 of 3)")
    assert [g["status"] for g in found["gradients"]] == ["wrong", "right", "right"]
    assert found["gradients"][0]["mistakes"] == ["σ²: sum for mean"]
    assert found["gradients"][0]["lines"] == list(wrong.judgements["input"].lines)
    assert found["probe"] == {"known": wrong.probe.known, "passing": []}
    assert wrong.to_json(ascii=True).isascii()
    with np.errstate(all="ignore"):
        text = tn.check(lambda dy, x, weight, bias, eps: (dy / 0, None, None), "layer_norm").to_json()
    assert "Infinity" not in text
    assert "NaN" not in text
    found = json.loads(text)
    assert found["gradients"][0]["max_abs"] is None
    assert [g["status"] for g in found["gradients"]] == ["wrong", "missing", "missing"]


def test_junit_counts(wrong):
    suite = ElementTree.fromstring(ElementTree.tostring(wrong.junit()))
    assert {k: suite.get(k) for k in ("tests", "failures", "errors")} == {"tests": "3", "failures": "1", "errors": "0"}
    assert [case.get("name") for case in suite] == ["dx", "dγ", "dβ"]
    (failure,) = suite.iter("failure")
    assert "N = 8 times too big" in failure.text
    suite = tn.check(lambda dy: 1 / 0, "layer_norm").junit("a class")
    assert (suite.get("name"), suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("a class", "1", "0", "1")
    assert len(suite) == 1
    assert "ZeroDivisionError" in next(suite.iter("error")).get("message")


# Against what -----------------------------------------------------------------------------------------------------------


def forward(x, w, power=1.0):
    s = (x * x).sum(-1, keepdims=True).named("s")
    return x / (1 + s).sqrt() * w * power


def backward(dy, x, w):
    q = (1 + (x * x).sum(-1, keepdims=True)) ** -0.5
    g = dy * w
    return q * g - q**3 * x * (g * x).sum(-1, keepdims=True), (dy * x * q).sum(0)


@pytest.mark.parametrize("inputs", [(X, X[0]), [X, X[0]], {"w": X[0], "x": X}], ids=["tuple", "list", "mapping"])
def test_a_forward_of_the_users_own(inputs):
    verdict = tn.check(backward, forward, inputs=inputs)
    assert verdict.ok, verdict.text()
    assert verdict.shapes == "x (4, 8), w (8,)"
    assert verdict.probe.known > 15
    wrong = tn.check(lambda dy, x, w: (backward(dy, x, w)[0], backward(dy, x, w)[1] / 4), forward, inputs=inputs)
    assert wrong.summary == "not right: dw (1 of 2)"
    assert "dw is N = 4 times too small: averaged over the samples where a sum belongs" in wrong.text()
    assert tn.check(backward, forward, inputs=inputs, power=2.0).summary == "not right: dx, dw (2 of 2)"


def test_a_factor_of_a_square_is_no_block_of_a_mean():
    def variance(x):
        c = x - x.mean(-1, keepdims=True)
        return (c * c).mean(-1, keepdims=True)

    def backward(dy, x):
        n = x.shape[-1]
        return 2 * (x - x.mean(-1, keepdims=True)) * dy / n * (1 - 1 / n)

    text = tn.check(backward, variance, inputs=[X]).text()
    assert "= (N − 1)/N times what it should be" in text
    assert "entries only" not in text


def test_one_input_need_not_be_in_a_list_and_may_be_integers():
    for inputs in (X, np.arange(6), {"x": [1, 2, 3]}):
        assert tn.check(lambda dy, x: 2 * x * dy, lambda x: x * x, inputs=inputs).ok


def test_a_gradient_that_is_zero_everywhere():
    assert tn.check(lambda dy, x: 0 * x, lambda x: x * 0, inputs=X).ok
    assert not tn.check(lambda dy, x: x, lambda x: x * 0, inputs=X).ok


def test_options_reach_the_candidate():
    seen = []

    def spy(dy, x, weight, bias, eps):
        seen.append(eps)
        return right(dy, x, weight, bias, eps)

    verdict = tn.check(spy, get("layer_norm"), eps=0.25, shape=(3, 2))
    assert verdict.ok
    assert set(seen) == {0.25}
    assert (verdict.options, verdict.shapes) == ("ε = 0.25", "x (3, 2), γ (2,), β (2,)")
    ignores = tn.check(lambda dy, x, weight, bias: right(dy, x, weight, bias, 1e-5), "layer_norm", eps=0.25)
    assert not ignores.ok


def test_small_statistics_are_flagged():
    text = tn.check(right, "layer_norm", eps=1e4).text()
    assert "σ² is smaller than ε in 100% of its entries" in text
    assert "smaller" not in tn.check(right, "layer_norm", eps=1e-9).text()


@pytest.mark.thorough
def test_saved_statistics():
    assert tn.check(with_saved, "layer_norm").ok

    def short(dy, x, weight, m, s):
        return with_saved(dy, x, weight, m, s)

    assert tn.check(short, "layer_norm", saved={"m": "μ", "s": "rstd"}).ok
    assert not tn.check(short, "layer_norm", saved={"m": "σ²", "s": "rstd"}).ok
    with pytest.raises(InputError, match=r"nothing on the record is called mean; there are μ, .*rstd"):
        tn.check(short, "layer_norm", saved={"m": "mean"})


def softmax_backward(dy, x, dim):
    p = np.exp(x) / np.exp(x).sum(dim, keepdims=True)
    return p * (dy - (dy * p).sum(dim, keepdims=True))


# Probes -----------------------------------------------------------------------------------------------------------------


def test_a_probe_of_the_users_own_is_measured():
    plain = {"weight": np.ones(8), "bias": np.zeros(8)}
    weak = tn.check(right, "layer_norm", inputs=plain, grad_output=np.ones((4, 8)))
    assert weak.ok
    assert weak.probe.passing == ()  # the verdict is from ours
    assert 10 < len(weak.yours.passing) < weak.yours.known == weak.probe.known
    assert f"your own probe: weak: {len(weak.yours.passing)} of {weak.yours.known} known mistakes would pass" in weak.text()
    none = tn.check(softmax_backward, "softmax", grad_output=np.zeros((4, 8)))
    assert none.ok
    said = f"none: all {none.yours.known} known mistakes would pass; this test could not have failed"
    assert f"your own probe: {said}" in none.text()
    strong = tn.check(right, "layer_norm", inputs=[X])
    assert "your own probe: strong" in strong.text()
    assert json.loads(weak.to_json())["your_probe"]["passing"] == list(weak.yours.passing)


def test_the_sum_as_a_loss_tells_no_formula_for_dx_from_another():
    centred = tn.check(lambda dy, x: dy - m(dy), lambda x: x - x.mean(-1, keepdims=True), inputs=X, grad_output=np.ones((4, 8)))
    assert centred.ok
    assert set(centred.yours.passing) >= {"sign of everything", "everything twice", "everything halved"}


# Misuse -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"order": 3}, InputError, r"check: order=3; it is 1 or 2"),
        ({"momentum": 0.1}, InputError, "LayerNorm has no option momentum; it has eps, "),
        ({"eps": -1.0}, InputError, "from 0 on"),
        ({"dtype": "int32"}, InputError, "dtype='int32'; it is float16, bfloat16, float32 or float64"),
        ({"grad_output": np.ones(3)}, ShapeError, r"cotangent of shape \(3,\) for output .*; the shapes must be equal"),
        ({"grad_output": np.full((4, 8), np.inf)}, InputError, "the cotangent has entries that are not finite"),
        ({"inputs": {"input": np.full((4, 8), np.nan)}}, InputError, "x has entries that are not finite"),
        ({"inputs": {"gain": X}}, InputError, "LayerNorm has no input gain; it has input, weight, bias"),
        ({"inputs": [X, X]}, ShapeError, r"weight has shape \(4, 8\); .* must be \(8,\)"),
        ({"inputs": [np.zeros((0, 8))]}, InputError, r"x has dtype float64 and shape \(0, 8\); it must be real numbers"),
        ({"inputs": [X + 0j]}, InputError, "x has dtype complex128"),
        ({"shape": (0, 8)}, ShapeError, "none empty"),
        ({"shape": ()}, ShapeError, "at least 1 axes"),
        ({"framework": "theano"}, CheckInputError, '"torch" or "jax"'),
    ],
)
def test_misuse(arguments, error, words):
    with pytest.raises(error, match=words):
        tn.check(right, "layer_norm", **arguments)


def test_misuse_of_the_other_arguments():
    with pytest.raises(UnknownNormError, match="there is no 'layernorm'"):
        tn.check(right, "layernorm")
    with pytest.raises(InputError, match="give the function and its inputs"):
        tn.check(backward, forward)
    for inputs in ([X], {"x": X, "weight": X[0]}, [X, X[0], 1.0, 2.0]):
        with pytest.raises(InputError, match="the forward takes x, w, power; inputs= gives"):
            tn.check(backward, forward, inputs=inputs)
    with pytest.raises(CheckInputError, match="a candidate is a function, not ndarray"):
        tn.check(X, "layer_norm")
    for nothing in (lambda x: x.data, lambda x: (x * 2, x), lambda x: x):
        with pytest.raises(GradientError, match="the forward must compute one tensor from its inputs"):
            tn.check(backward, nothing, inputs=X)
