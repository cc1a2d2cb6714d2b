"""``tn.check`` and candidates of all kinds: odd ones, imprecise ones, of particular norms, of other people."""

from __future__ import annotations

import json
import math
import time

import numpy as np
import pytest

import tinygrad_norm as tn

from .backwards import backward_of, m, right, with_saved

# Candidates that do other things ------------------------------------------------------------------------------------


def test_one_that_raises():
    verdict = tn.check(lambda dy, x: 1 / 0, "layer_norm")
    assert not verdict.ok
    assert verdict.error.startswith("raised ZeroDivisionError: division by zero (line ")
    assert verdict.text().splitlines()[-1] == f"verdict: not judged: {verdict.error}"
    assert json.loads(verdict.to_json())["gradients"] == []


def test_one_that_hangs():
    def hangs(dy, x):
        while True:
            time.sleep(0.01)

    verdict = tn.check(hangs, "layer_norm", limit=0.3)
    assert verdict.error == "did not return within 0.3 s"


def returning(change):
    return lambda dy, x, weight, bias, eps: change(*right(dy, x, weight, bias, eps))


def test_none_lists_and_wrong_counts():
    assert tn.check(lambda dy, x: None, "layer_norm").error == "returned None: a backward returns the gradients of x, γ, β"
    lists = tn.check(returning(lambda *g: [a.tolist() for a in g]), "layer_norm")
    assert lists.ok
    assert "returned dx as a list instead of an array" in lists.notes
    many = tn.check(returning(lambda *g: (*g, g[0])), "layer_norm")
    assert many.error.startswith("returned 4 gradients for 3 inputs (x, γ, β)")
    some = tn.check(returning(lambda dx, dw, db: (dx, None, db)), "layer_norm")
    assert some.judgements["weight"].status == "missing"
    assert some.judgements["input"].ok
    assert some.summary == "not right: dγ not given"


def test_a_wrong_shape_does_not_stop_the_rest():
    verdict = tn.check(returning(lambda dx, dw, db: (dx, dx, db)), "layer_norm")
    assert verdict.judgements["input"].ok
    assert not verdict.judgements["weight"].ok
    assert "this is dx, in the place of dγ" in verdict.text()


def test_single_precision_only():
    def narrow(dy, x, weight, bias, eps):
        return right(*(a.astype("float32") for a in (dy, x, weight, bias)), np.float32(eps))

    verdict = tn.check(narrow, "layer_norm")
    assert verdict.ok
    assert "dx has dtype float32 for float64 x" in verdict.notes

    def no_doubles(dy, x, weight, bias, eps):
        if x.dtype != np.float32:
            raise TypeError("only float32")
        return narrow(dy, x, weight, bias, eps)

    verdict = tn.check(no_doubles, "layer_norm")
    assert verdict.ok
    assert any(n.startswith("in float64: raised TypeError: only float32") for n in verdict.notes)


def test_a_wider_dtype_than_the_inputs_is_noted_and_judged_as_what_it_can_be():
    verdict = tn.check(returning(lambda *g: tuple(a.astype("float64") for a in g)), "layer_norm", dtype="float32")
    assert verdict.ok, verdict.text()
    assert "in float32: dx has dtype float64 for float32 x" in verdict.notes


@pytest.mark.thorough
def test_a_variance_that_loses_its_digits_is_imprecise():
    def by_squares(dy, x, weight, bias, eps):
        mu = m(x)
        r = (m(x * x) - mu * mu + x.dtype.type(eps)) ** x.dtype.type(-0.5)
        h, g = (x - mu) * r, dy * weight
        return r * (g - m(g) - h * m(g * h)), (dy * h).sum(0), dy.sum(0)

    assert tn.check(by_squares, "layer_norm").ok  # the formula is right
    verdict = tn.check(by_squares, "layer_norm", dtype="float32")
    assert verdict.judgements["input"].status == "imprecise"
    assert "the formula is right (in float64)" in verdict.text()
    assert not verdict.ok
    assert tn.check(right, "layer_norm", dtype="float32").ok


def test_nan_printing_and_changed_inputs():
    def spoiled(dx, dw, db):
        dx[1, 2] = math.nan
        return dx, dw, db

    verdict = tn.check(returning(spoiled), "layer_norm")
    assert "1 entries are not finite, the first at (1, 2)" in verdict.judgements["input"].lines
    assert verdict.judgements["weight"].ok

    def noisy(dy, x, weight, bias, eps):
        found = right(dy, x, weight, bias, eps)
        print("here\nI am")
        x -= 1
        return found

    verdict = tn.check(noisy, "layer_norm")
    assert verdict.ok
    assert "note: printed 2 lines: here" in verdict.text()
    assert "note: changed its input x" in verdict.text()


@pytest.mark.thorough
def test_one_that_answers_differently_each_time():
    rng = np.random.default_rng()
    verdict = tn.check(returning(lambda dx, dw, db: (dx + rng.normal(), dw, db)), "layer_norm")
    assert any(n.startswith("gives another answer the second time: dx differs") for n in verdict.notes)
    assert not verdict.ok


# Step by step -----------------------------------------------------------------------------------------------------------


def steps(dy, x, weight, eps, ddof=0, forget=False):
    mu = m(x)
    yield "mu", mu
    c = x - mu
    var = c.var(-1, keepdims=True, ddof=ddof)
    yield "var", var
    rstd = 1 / np.sqrt(var + eps)
    yield "rstd", rstd
    h = c * rstd
    yield "xhat", h
    g = dy if forget else dy * weight
    yield "dxhat", g
    yield "dx", rstd * (g - m(g) - h * m(g * h))
    yield "dweight", (dy * h).sum(0)
    yield "dbias", dy.sum(0)


@pytest.mark.thorough
def test_steps_stop_at_the_first_that_is_wrong():
    assert tn.check(lambda dy, x, weight, eps: steps(dy, x, weight, eps), "layer_norm").ok
    for form in (lambda s: s, dict):
        verdict = tn.check(lambda dy, x, weight, eps, form=form: form(steps(dy, x, weight, eps, ddof=1)), "layer_norm")
        found = {k: j.status for k, j in verdict.judgements.items() if k.startswith("step")}
        assert found == {"step mu": "right", "step var": "wrong"}
        assert "the first step that is wrong: σ² = mean(c²)" in verdict.text()
        assert "σ² was computed with N − 1 = 7 for N" in verdict.text()
        verdict = tn.check(lambda dy, x, weight, eps, form=form: form(steps(dy, x, weight, eps, forget=True)), "layer_norm")
        assert list(verdict.judgements)[-1] == "step dxhat"
        assert "the cotangent of x̂" in verdict.judgements["step dxhat"].lines[0]


def test_a_step_of_another_shape_and_one_that_is_not_on_the_record():
    def named(dy, x, weight, eps):
        yield "helper", x
        yield "mu", m(x)[:2]
        return right(dy, x, weight, None, eps)

    verdict = tn.check(named, "layer_norm")
    assert verdict.judgements["step mu"].lines == ("the first step that is wrong: μ = mean(x) has shape (4, 1), not (2, 1)",)
    assert (
        "step helper: not compared, nothing on the record is called that; there are x, γ, β, μ, c, σ², rstd, x̂" in verdict.text()
    )


# Particular norms -------------------------------------------------------------------------------------------------------


def power_norm_backward(formula):
    def backward(dy, x, weight, bias, eps):
        phi, nu = np.linspace(0.5, 1.5, 8), 0.3 * np.linspace(1.0, 0.5, 8)  # the registered norm's running statistics
        psi = np.sqrt(phi + eps)
        return formula(dy * weight, nu, x / psi, psi), (dy * x / psi).sum(0), dy.sum(0)

    return backward


def test_power_norm_as_published_is_by_design_and_nothing_else_is():
    published = tn.check(power_norm_backward(lambda g, nu, h, psi: (g - nu * h) / psi), "power_norm")
    assert published.ok
    assert published.judgements["input"].status == "by design"
    assert published.summary == "right, at (4, 8) only; by design not the gradient: dx"
    assert tn.check(power_norm_backward(lambda g, nu, h, psi: g / psi), "power_norm").judgements["input"].status == "right"
    wrong = tn.check(power_norm_backward(lambda g, nu, h, psi: (g + nu * h) / psi), "power_norm")
    assert not wrong.ok
    assert wrong.judgements["input"].status == "wrong"


def batch_norm_inference(dx):
    def backward(dy, x, weight, bias, eps, running_mean, running_var):
        r = 1 / np.sqrt(running_var + eps)
        h = (x - running_mean) * r
        return dx(r, dy * weight, h), (dy * h).sum(0), dy.sum(0), None, None

    return backward


@pytest.mark.thorough
def test_batch_norm_in_inference():
    verdict = tn.check(batch_norm_inference(lambda r, g, h: r * g), "batch_norm", training=False)
    assert verdict.ok, verdict.text()  # nobody needs gradients of running statistics
    assert any(note.startswith("gives no dm: running statistics are not learned") for note in verdict.notes)
    training = batch_norm_inference(lambda r, g, h: r * (g - g.mean(0) - h * (g * h).mean(0)))
    verdict = tn.check(training, "batch_norm", training=False)
    assert verdict.judgements["input"].mistakes == ("the training formula in inference",)
    assert "dx is that of training, with running statistics" in verdict.text()


def group_norm_backward(dy, x, weight, bias, eps, num_groups, late=False, average=False):
    w = np.broadcast_to(weight[:, None], x.shape).reshape(len(x), num_groups, -1)
    grouped, g = x.reshape(w.shape), dy.reshape(w.shape) * (1 if late else w)
    c = grouped - m(grouped)
    r = 1 / np.sqrt(m(c * c) + eps)
    dx = r * (g - m(g) - c * r * m(g * c * r)) * (w if late else 1)
    dw = (dy * (c * r).reshape(x.shape)).sum((0, 2))
    return dx.reshape(x.shape), dw / (9 if average else 1), dy.sum((0, 2))


@pytest.mark.thorough
def test_group_norm_where_gamma_is_reshaped_on_the_record():
    assert tn.check(group_norm_backward, "group_norm").ok
    late = tn.check(lambda dy, x, weight, bias, eps, num_groups: group_norm_backward(
        dy, x, weight, bias, eps, num_groups, late=True), "group_norm")  # fmt: skip
    assert "dx was multiplied by γ at the end" in late.text()
    mean = tn.check(lambda dy, x, weight, bias, eps, num_groups: group_norm_backward(
        dy, x, weight, bias, eps, num_groups, average=True), "group_norm")  # fmt: skip
    assert "dγ is N = 9 times too small" in mean.text()


def test_weight_norm_by_the_names_on_paper():
    """Its g is no cotangent, and its v no input called x."""

    def weight_norm_backward(dw, v, g):
        n = np.sqrt((v * v).sum(-1, keepdims=True))
        dg = (dw * v / n).sum(-1, keepdims=True)
        return g / n * dw - g * dg / n**2 * v, dg

    assert tn.check(weight_norm_backward, "weight_norm", dtype="float32").ok


# Of others --------------------------------------------------------------------------------------------------------------


def test_a_backward_that_forgets_both_statistics():
    """As a textbook framework has it: dx = g·γ·rstd."""
    verdict = tn.check(backward_of(lambda r, g, h: r * g), "layer_norm")
    assert "μ and σ² were treated as constants: their terms are missing" in verdict.text()
    assert "your dx = 1.000·direct + 0.000·μ + 0.000·σ²" in verdict.text()


def test_saved_statistics_are_right_once_and_wrong_twice():
    verdict = tn.check(with_saved, "layer_norm", order=2)
    assert all(verdict.judgements[n].ok for n in ("input", "weight", "bias"))
    assert verdict.judgements["order 2, input"].status == "wrong"
    assert "right at order 1, wrong at order 2" in verdict.text()
    verdict = tn.check(right, "layer_norm", order=2)
    assert verdict.ok, verdict.text()
    assert "d²x" in verdict.text()


def test_one_that_cannot_be_differentiated_again():
    verdict = tn.check(lambda dy, x, weight, bias, eps: right(dy, np.asarray(x), weight, bias, eps), "layer_norm", order=2)
    assert verdict.judgements["order 2"].status == "missing"
    assert "not differentiated: raised" in verdict.text()
    assert verdict.judgements["input"].ok


def test_a_small_mistake_is_said_to_be_small():
    verdict = tn.check(backward_of(lambda r, g, h: r * (g - m(g) - (1 + 1e-9) * h * m(g * h))), "layer_norm")
    assert not verdict.ok
    assert "(1 + 1.0e-09)·σ²" in verdict.text()
    assert "the σ² term is too big by 1.0e-09 of it: more than rounding" in verdict.text()
    nearly = tn.check(backward_of(lambda r, g, h: r * (g - m(g) - 1e-5 * h * m(g * h))), "layer_norm")
    assert "missing" not in nearly.text()


def test_a_factor_that_is_a_parameter_or_a_statistic_is_named():
    verdict = tn.check(lambda dy, x, weight, bias, eps: (
        right(dy, x, weight, bias, eps)[0], right(dy, x, weight, bias, eps)[1] * weight, dy.sum(0)), "layer_norm")  # fmt: skip
    assert (
        "dγ is multiplied by γ, which does not belong there" in verdict.text()
        or "dγ has γ as a factor too much" in verdict.text()
    )


@pytest.mark.thorough
def test_nothing_is_called_an_explanation_that_explains_little():
    verdict = tn.check(backward_of(lambda r, g, h: np.sin(40 * g * h)), "layer_norm")
    assert "Best explanation: none comes near" in verdict.text()
    vague = tn.check(lambda dy, x: np.array([1.0, 2.0, 3.0]), lambda x: x * x * x, inputs=np.ones(3))
    assert "none comes near" in vague.text()  # as many routes as entries would fit anything


def test_a_torch_function_and_a_torch_callable():
    torch = pytest.importorskip("torch")

    class RMSNorm(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, weight, eps):
            r = torch.rsqrt((x * x).mean(-1, keepdim=True) + eps)
            ctx.save_for_backward(x, weight, r)
            return x * r * weight

        @staticmethod
        def backward(ctx, dy):
            x, weight, r = ctx.saved_tensors
            g, h = dy * weight, x * r
            return r * (g - h * (g * h).mean(-1, keepdim=True)), (dy * h).mean(0), None

    verdict = tn.check(RMSNorm, "rms_norm", eps=1e-5)
    assert verdict.judgements["input"].ok
    assert "dγ is N = 4 times too small" in verdict.text()
    assert tn.check(torch.nn.functional.layer_norm, "layer_norm", order=2).ok


@pytest.mark.thorough
def test_a_jax_function():
    jax = pytest.importorskip("jax")

    def held(x, weight, bias, eps):
        c = x - jax.lax.stop_gradient(x.mean(-1, keepdims=True))
        return c * jax.lax.rsqrt((c * c).mean(-1, keepdims=True) + eps) * weight + bias

    verdict = tn.check(held, "layer_norm", framework="jax")
    assert "the μ term is missing: μ was treated as a constant" in verdict.text()


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"shape": ("a",)}, r"shape='a'; it is a whole number"),
        ({"shape": (1.5, 2)}, r"shape=1\.5; it is a whole number"),
        ({"seed": -1}, "seed=-1; it must be at least 0|seed=-1; it must be"),
        ({"seed": "x"}, "seed='x'; it is"),
        ({"limit": "x"}, "limit='x'; it is"),
        ({"saved": {"r": 1}}, "it names statistics by argument"),
        ({"wrt": 3}, "wrt=3; the inputs of LayerNorm are"),
    ],
)
def test_what_a_check_is_asked_for_is_looked_at(how, words):
    with pytest.raises(tn.TinygradNormError, match=words):
        tn.check(lambda dy, x: dy, "layer_norm", **how)
