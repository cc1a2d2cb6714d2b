"""The comparison: it accepts what is right everywhere, and rejects every known mistake."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle

import numpy as np
import pytest

import tinygrad_norm as tn
from tinygrad_norm.check import InputError
from tinygrad_norm.engine import Op, from_numpy
from tinygrad_norm.engine.primitives import mean
from tinygrad_norm.engine.primitives import sum as total
from tinygrad_norm.norms import UnknownNormError, get
from tinygrad_norm.norms.layer_norm import ANALYTIC
from tinygrad_norm.norms.moments import standardize

AXIS = (1,)

MISTAKES = {  # what people write for dx; g is dy·γ
    "mean term dropped": lambda g, h, r, c, n, dy: r * (g - h * mean(g * h, axis=AXIS)),
    "variance term dropped": lambda g, h, r, c, n, dy: r * (g - mean(g, axis=AXIS)),
    "sign of the variance term": lambda g, h, r, c, n, dy: r * (g - mean(g, axis=AXIS) + h * mean(g * h, axis=AXIS)),
    "sum for mean in the mean term": lambda g, h, r, c, n, dy: r * (g - total(g, axis=AXIS) - h * mean(g * h, axis=AXIS)),
    "sum for mean in the variance term": lambda g, h, r, c, n, dy: r * (g - mean(g, axis=AXIS) - h * total(g * h, axis=AXIS)),
    "N − 1 for N": lambda g, h, r, c, n, dy: r * (g - mean(g, axis=AXIS) - h * total(g * h, axis=AXIS) / (n - 1)),
    "factor 2 lost": lambda g, h, r, c, n, dy: r * (g - mean(g, axis=AXIS) - 0.5 * h * mean(g * h, axis=AXIS)),
    "rstd forgotten": lambda g, h, r, c, n, dy: g - mean(g, axis=AXIS) - h * mean(g * h, axis=AXIS),
    "rstd squared": lambda g, h, r, c, n, dy: r * r * (g - mean(g, axis=AXIS) - h * mean(g * h, axis=AXIS)),
    "γ forgotten": lambda g, h, r, c, n, dy: r * (dy - mean(dy, axis=AXIS) - h * mean(dy * h, axis=AXIS)),
    "c for x̂": lambda g, h, r, c, n, dy: r * (g - mean(g, axis=AXIS) - c * mean(g * c, axis=AXIS)),
    "the wrong axis": lambda g, h, r, c, n, dy: r * (g - mean(g, axis=(0,)) - h * mean(g * h, axis=AXIS)),
}


def with_dx(formula):
    """LayerNorm whose analytic node has another dx."""

    def dx(g, out, x, w, b, *, axis, eps, center=True):
        h, r = standardize(x, axis, eps)
        return formula(g * w, h, r, x - mean(x, axis=axis), x.shape[-1], g)

    node = Op("wrong", "wrong({0})", ANALYTIC.forward, (dx, *ANALYTIC.pullbacks[1:]))

    def apply(inputs, backward="recorded", eps=1e-5):
        if backward == "recorded":
            return get("layer_norm").apply(inputs, eps=eps)
        return node(*inputs.values(), axis=AXIS, eps=eps)

    return dataclasses.replace(get("layer_norm"), apply=apply, options={"eps": 1e-5})


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("mistake", MISTAKES)
def test_every_known_mistake_is_rejected(mistake, dtype):
    result = tn.compare(with_dx(MISTAKES[mistake]), dtype=dtype)
    assert not result.ok
    assert result.verdict.startswith("DISAGREE")
    wrong = [p for p in result.pairs if not p.close]
    assert {p.gradient for p in wrong} == {"dx"}
    assert all("analytic" in (p.left, p.right) for p in wrong), "the record and the oracles stay right"
    assert len(wrong) == 3


def test_the_sum_as_a_loss_would_have_let_ten_of_twelve_pass():
    """Why the cotangent is random: with ones (and γ = 1) most mistakes agree with the truth, which is zero."""
    plain = {"grad_output": np.ones((4, 8)), "parameters": {"weight": np.ones(8), "bias": np.zeros(8)}}
    passed = []
    for mistake, formula in MISTAKES.items():
        result = tn.compare(with_dx(formula), **plain)
        g = result.gradients
        if np.allclose(g["record"]["input"], g["analytic"]["input"], atol=1e-5):
            passed.append(mistake)
    assert len(passed) == 10, passed


def test_the_right_formula_passes_the_same_road():
    assert tn.compare(with_dx(lambda g, h, r, c, n, dy: r * (g - mean(g, axis=AXIS) - h * mean(g * h, axis=AXIS)))).ok


@pytest.mark.parametrize("position", [1, 2])
def test_a_wrong_parameter_gradient_is_rejected(position):
    rules = list(ANALYTIC.pullbacks)
    right = rules[position]
    rules[position] = lambda *a, **k: right(*a, **k) * 1.0001
    node = Op("wrong", "wrong({0})", ANALYTIC.forward, tuple(rules))

    def apply(inputs, backward="recorded", eps=1e-5):
        return get("layer_norm").apply(inputs, eps=eps) if backward == "recorded" else node(*inputs.values(), axis=AXIS, eps=eps)

    result = tn.compare(dataclasses.replace(get("layer_norm"), apply=apply, options={"eps": 1e-5}))
    assert {p.gradient for p in result.pairs if not p.close} == {"dx", "dγ", "dβ"} & {["dγ", "dβ"][position - 1]}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "data",
    [
        np.random.default_rng(0).normal(size=(8, 64)),
        np.random.default_rng(0).normal(size=(8, 1)),
        np.random.default_rng(0).normal(size=(8, 2)),
        np.random.default_rng(0).normal(size=7),
        np.random.default_rng(0).normal(size=(2, 3, 4, 5)),
        np.random.default_rng(0).normal(size=(4, 8)) + 1e5,
        np.random.default_rng(0).normal(size=(4, 8)) * 1e-7,
        np.random.default_rng(0).normal(size=(4, 8)) * 1e5,
        np.full((3, 5), 0.1),
        np.zeros((3, 5)),
        np.arange(12).reshape(3, 4),
    ],
    ids=["plain", "one feature", "two", "one row", "4-d", "huge mean", "tiny", "large", "constant", "zero", "integers"],
)
def test_what_is_right_is_accepted(data, dtype):
    result = tn.compare("layer_norm", data, dtype=dtype)
    assert result.ok, str(result)
    assert {t.dtype for t in result.inputs.values()} == {np.dtype(dtype)}


@pytest.mark.parametrize("eps", [0.0, 1e-12, 1e-3, 10.0])
def test_every_epsilon(eps):
    assert tn.compare("layer_norm", eps=eps).ok


def test_large_inputs_are_sampled_and_it_says_so():
    result = tn.compare("layer_norm", shape=(1000, 64))
    assert result.ok
    assert 32 <= len(result.entries["input"]) < 64000
    assert f"{len(result.entries['input'])} of 64000 entries of dx" in str(result)


def test_all_pairs_are_there():
    result = tn.compare("layer_norm")
    assert len(result.pairs) == 3 * 6
    assert {p.gradient for p in result.pairs} == {"dx", "dγ", "dβ"}
    exact = [p for p in result.pairs if p.exact]
    assert all(p.max_abs == p.ulps == 0 for p in exact)
    assert result.pairs[0].ulps == pytest.approx(
        result.pairs[0].max_abs / np.spacing(np.abs(result.gradients["record"]["input"]).max())
    )


def test_it_uses_what_it_is_given_and_changes_nothing():
    x, dy = np.random.default_rng(3).normal(size=(2, 4, 8))
    w, kept = np.arange(8.0), x.copy()
    result = tn.compare("layer_norm", x, parameters={"weight": w}, grad_output=dy, eps=0.5)
    np.testing.assert_array_equal(x, kept)
    assert x.flags.writeable
    np.testing.assert_array_equal(result.inputs["weight"].data, w)
    y = tn.functional.layer_norm(result.inputs["input"], 8, result.inputs["weight"], result.inputs["bias"], 0.5)
    np.testing.assert_array_equal(result.gradients["record"]["input"], tn.grad(y, result.inputs["input"], dy)[0].data)


def test_json_and_text():
    result = tn.compare("layer_norm")
    data = json.loads(result.to_json())
    assert data["ok"] is True
    assert len(data["pairs"]) == 18
    assert data["routes"][3]["zero_because"]
    assert max(map(len, str(result).splitlines())) <= 100
    assert str(result).endswith(result.verdict)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: tn.compare("layer_nrom"), UnknownNormError, "no 'layer_nrom'. Did you mean layer_norm.*Known: .*layer_norm"),
        (
            lambda: tn.compare("layer_norm", np.array([[1.0, np.nan]])),
            InputError,
            r"x has 1 entries that are not finite.*nan at \(0, 1\)",
        ),
        (lambda: tn.compare("layer_norm", np.array([[1.0, np.inf]])), InputError, "inf"),
        (lambda: tn.compare("layer_norm", np.ones((0, 3))), tn.ShapeError, r"non-empty.*\(0, 3\)"),
        (lambda: tn.compare("layer_norm", np.float64(3)), tn.ShapeError, "at least 1"),
        (lambda: tn.compare("layer_norm", dtype="float16"), tn.DTypeError, "float32 or float64"),
        (lambda: tn.compare("layer_norm", dtype="int64"), tn.DTypeError, "int64"),
        (lambda: tn.compare("layer_norm", np.ones((2, 3)) * 1j), tn.DTypeError, "complex128.*real"),
        (lambda: tn.compare("layer_norm", parameters={"gamma": 1}), tn.ShapeError, "no parameter gamma; it has weight, bias"),
        (lambda: tn.compare("layer_norm", grad_output=np.ones(3)), tn.ShapeError, r"cotangent of shape \(3,\)"),
        (lambda: tn.compare("layer_norm", parameters={"weight": np.ones(3)}), tn.ShapeError, "weight"),
        (lambda: tn.compare("layer_norm", eps=-1.0), InputError, "eps=-1.0; it must be a finite number, from 0 on"),
        (lambda: tn.compare("layer_norm", eps=float("nan")), InputError, "eps=nan"),
        (lambda: tn.compare("layer_norm", dtype="longdouble"), tn.DTypeError, "float32 or float64"),
        (lambda: tn.compare("layer_norm", momentum=3), InputError, "no option momentum; it has eps"),
    ],
)
def test_misuse_is_named(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_a_shared_array_is_left_alone():
    x = np.random.default_rng(0).normal(size=(3, 4))
    from_numpy(x)  # locks it: compare must be able to work with a read-only array
    assert tn.compare("layer_norm", x).ok


def test_what_overflows_is_called_so():
    with np.errstate(all="ignore"):
        result = tn.compare("layer_norm", np.random.default_rng(0).normal(size=(3, 4)) * 1e200)
        assert not result.ok
        assert "not finite" in result.verdict
        assert "NaN" not in result.to_json()


@pytest.mark.parametrize("shape", [(3, 2), (8, 2), (4, 8, 2), (4, 8)])
@pytest.mark.costly(2)
def test_no_false_alarms(shape):
    """Two features: derivatives so small that the differences' own error decides."""
    for seed in range(25):
        result = tn.compare("layer_norm", shape=shape, seed=seed)
        assert result.ok, (seed, result.verdict)


def test_a_comparison_can_be_pickled_and_copied():
    found = tn.compare("layer_norm")
    again = pickle.loads(pickle.dumps(found))
    assert (str(again), again.ok, again.verdict) == (str(found), found.ok, found.verdict)
    assert str(copy.deepcopy(found)) == str(found)
    norm = dataclasses.replace(get("layer_norm"), name="mine")
    with pytest.raises(tn.DTypeError, match=r"pickle: mine is no registered norm.*tn\.register"):
        pickle.dumps(norm)


@pytest.mark.parametrize(
    ("name", "scale", "dtype"),
    [
        ("dynamic_tanh", 500, "float64"),
        ("softmax", 30, "float64"),
        ("log_softmax", 30, "float64"),
        ("softmax", 1e18, "float32"),
        ("softmax", 1e18, "float64"),
        ("normalize", 0, "float64"),
        ("layer_norm", 0, "float64"),
    ],
)
def test_no_false_alarm_where_a_gradient_is_tiny_or_cancels(name, scale, dtype):
    for seed in range(6):
        x = (np.random.default_rng(seed).normal(size=(4, 8)) * scale).astype(dtype)
        result = tn.compare(name, x, seed=seed)
        assert result.ok, str(result)
        assert "nan" not in result.verdict


def test_where_an_oracle_found_no_answer_it_is_said():
    x = (np.random.default_rng(4).normal(size=(4, 8)) * 1e18).astype("float32")
    results = [tn.compare("softmax", x, seed=s) for s in range(3)]
    assert all(r.ok for r in results)
    for r in results:
        unknown = int(np.sum(~np.isfinite(r.gradients["central diff"]["input"])))
        assert (f"central diff found no answer for {unknown} entries of dx" in str(r)) == (unknown > 0)


def test_one_entry_far_smaller_than_the_largest_is_judged_by_its_own_bound():
    def dx(g, out, x, w, b, *, axis, eps, center=True):
        wrong = ANALYTIC.pullbacks[0](g, out, x, w, b, axis=axis, eps=eps)
        return wrong * (1 + 1e-6 * (np.arange(4) == 3).reshape(4, 1))

    node = Op("wrong", "wrong({0})", ANALYTIC.forward, (dx, *ANALYTIC.pullbacks[1:]))

    def apply(inputs, backward="recorded", eps=1e-5):
        return get("layer_norm").apply(inputs, eps=eps) if backward == "recorded" else node(*inputs.values(), axis=AXIS, eps=eps)

    norm = dataclasses.replace(get("layer_norm"), apply=apply, options={"eps": 1e-5})
    x = np.random.default_rng(0).normal(size=(4, 8)) * np.array([[1e-3], [1e-3], [1], [1e7]])
    result = tn.compare(norm, x)
    wrong = [p for p in result.pairs if not p.close]
    assert {(p.left, p.right) for p in wrong} >= {("record", "analytic"), ("analytic", "complex step")}
    assert all(p.max_abs < 1e-6 * np.abs(result.gradients["record"]["input"]).max() for p in wrong if p.right != "central diff")


def test_in_a_notebook_a_comparison_says_the_same():
    result = tn.compare("layer_norm")
    shown = result._repr_mimebundle_()
    assert shown["text/plain"] == str(result)
    assert "agree: dx, dγ, dβ of LayerNorm" in shown["text/html"]
