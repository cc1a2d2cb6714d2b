"""The checker of gradients: it lets right functions pass, and finds every planted mistake at the order it was planted in."""

from __future__ import annotations

import ast
import importlib
import json
from pathlib import Path

import numpy as np
import pytest

import tinygrad_norm as tn
from tinygrad_norm.check import LONGER, InputError, adjoint_test, bench, check_grads, gradients, oracles
from tinygrad_norm.engine import Op, Tensor
from tinygrad_norm.engine.primitives import mean

RNG = np.random.default_rng(1)
X, W, B = RNG.normal(size=(3, 5)), RNG.normal(size=5), RNG.normal(size=5)


def exact(t):
    """The values of an array or a tensor, as something that no later derivative sees."""
    return t.data if isinstance(t, Tensor) else t


# What is right passes ------------------------------------------------------------------------------------------


def layer_norm(backward):
    return lambda x, w, b: tn.functional.layer_norm(x, 5, w, b, backward=backward)


def softmax(x):
    e = tn.exp(x - x.max(axis=-1, keepdims=True).detach())
    return e / e.sum(axis=-1, keepdims=True)


def free_softmax(x):
    e = tn.exp(x)
    return e / e.sum(axis=-1, keepdims=True)


SMOOTH = {
    "layer norm, recorded": (layer_norm("recorded"), (X, W, B)),
    "layer norm, analytic": (layer_norm("analytic"), (X, W, B)),
    "layer norm of large means": (layer_norm("recorded"), (X + 1e4, W, B)),
    "softmax of a layer norm": (lambda x, w, b: free_softmax(layer_norm("analytic")(x, w, b) @ x.T), (X, W, B)),
    "several outputs": (lambda x, w: (x * w, (x @ w).tanh().sum()), (X, W)),
    "a number": (lambda x: x**3, 0.7),
    "linear": (lambda x: 3.0 * x, X),
    "constant": (lambda x: tn.tensor(B), X),
    "an unused argument": (lambda x, w: x**2, (X, W)),
    "checkpointed layer norm": (tn.checkpoint(layer_norm("recorded")), (X, W, B)),
    "slices and joins": (lambda x, w: tn.concatenate([x[:, 1:] ** 2, x[:, :1] * w[2]], axis=1), (X, W)),
}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("case", SMOOTH)
@pytest.mark.costly(6)
def test_right_functions_pass_at_three_orders(case, dtype):
    f, args = SMOOTH[case]
    args = tuple(np.asarray(a, dtype) for a in (args if isinstance(args, tuple) else (args,)))
    found = check_grads(f, args)
    assert found.ok, str(found)
    assert {f.order for f in found.findings} == {1, 2, 3}
    assert {f.mode for f in found.findings} == {"reverse", "recorded", "forward", "both"}
    assert str(found).endswith(found.verdict)
    assert found.verdict.startswith("agree")


APART = np.linspace(-2, 2, 12)[np.random.default_rng(3).permutation(12)].reshape(3, 4)
KINKS = {
    "relu": lambda x: tn.relu(x) ** 2 * x,
    "max": lambda x: x.max(axis=1) ** 3,
    "abs": lambda x: abs(x) * x.sum(),
    "maximum": lambda x: tn.maximum(x * x, x + 0.4),
    "where": lambda x: tn.where(x.data > 0, x**3, tn.exp(x)),
    "softmax": softmax,
}


@pytest.mark.parametrize("name", KINKS)
@pytest.mark.costly(3)
def test_kinks_elsewhere_do_no_harm(name):
    found = check_grads(KINKS[name], APART)
    assert found.ok, str(found)
    if name not in ("where", "softmax"):  # where's condition is a constant of the record, softmax's shift cancels
        assert any("may have kinks" in n and "central differences instead" in n for n in found.notes)
        assert {f.oracle for f in found.findings if f.order == 1} == {"central diff", "adjoint"}


def test_half_precision():
    found = check_grads(layer_norm("recorded"), [a.astype("float16") for a in (X, W, B)], order=2)
    assert found.ok, str(found)


def test_edges_of_a_domain():
    """Long steps leave the domain of the root; short ones answer, and no warning gets out."""
    found = check_grads(lambda x: abs(x.sqrt()), np.array([1e-3, 2.0, 5.0]), order=2)
    assert found.ok, str(found)


R = np.random.default_rng(2)
F = tn.functional
TINY = {  # gradients that are zero, tiny, or cancel
    "a summed layer norm": (lambda x: F.layer_norm(x, 4).sum(), [[0.3, 0.7, -1.0, 2.0]]),
    "a cube at zero": (lambda x: x**3, np.zeros(3)),
    "a fourth power at zero": (lambda x: x**4, np.zeros(2)),
    "a product with two zeros": (lambda x: x.prod(), np.array([2.0, 3.0, 0.0, 0.0])),
    "a saturated softmax": (lambda x: F.softmax(x, -1), R.normal(size=(3, 5)) * 30),
    "a saturated log softmax": (lambda x: F.log_softmax(x, -1), R.normal(size=(3, 5)) * 30),
    "a saturated sigmoid": (tn.sigmoid, R.normal(size=(3, 5)) * 30),
    "a sigmoid beyond": (tn.sigmoid, R.normal(size=(3, 5)) * 300),
    "a saturated tanh": (tn.tanh, R.normal(size=(3, 5)) * 30),
    "saturated attention": (
        F.scaled_dot_product_attention,
        tuple(R.normal(size=(3, 2, 4, 3)) * np.reshape([10, 10, 1], (3, 1, 1, 1))),
    ),
    "a normalization of zeros": (F.normalize, np.zeros((2, 3))),
    "a layer norm of equal numbers": (lambda x: F.layer_norm(x, 4).sum(), np.ones((2, 4))),
    "what cancels": (lambda x: tn.sin(x) - x, np.array([0.0, 1e-4, 1e-8])),
    "logits of 1e18": (lambda x: F.softmax(x, -1), (R.normal(size=(3, 5)) * 1e18).astype("float32")),
}


@pytest.mark.parametrize("case", TINY)
@pytest.mark.costly(4)
def test_no_false_alarm_where_a_gradient_is_zero_tiny_or_cancels(case):
    f, args = TINY[case]
    args = tuple(map(np.asarray, args)) if isinstance(args, (tuple, list)) else (args,)
    for seed in range(2):
        found = check_grads(f, args, seed=seed)
        assert found.ok, str(found)


@pytest.mark.parametrize("change", [lambda d: -d, lambda d: 2.0 * d, lambda d: d * 0.0], ids=["sign", "twice", "zero"])
@pytest.mark.parametrize(
    "case", ["a saturated softmax", "a saturated log softmax", "a saturated sigmoid", "a normalization of zeros"]
)
def test_a_tiny_gradient_is_not_lost_sight_of(case, change):
    f, x = TINY[case]
    planted = op(lambda g, out, x: change(g), lambda x: x * 1.0, elementwise=True)
    assert not check_grads(lambda x: f(planted(x)), x, order=1).ok


# What is wrong does not -------------------------------------------------------------------------------------------


def op(rule, forward=np.tanh, **more):
    return Op("planted", "planted({0})", forward, (rule,), **more)


def sloped(change):
    """tanh whose slope is changed; written in operators, so that higher orders follow the wrong slope."""
    return op(lambda g, out, x: change(g * (1 - out**2)))


def one_entry(g):
    mask = np.ones(g.shape)
    mask[0, 0] = 1.5
    return g * mask


WRONG_AT_ONCE = {
    "sign": sloped(lambda d: -d),
    "factor": sloped(lambda d: d * 1.5),
    "one in a million": sloped(lambda d: d * (1 + 1e-6)),
    "one in ten thousand million": sloped(lambda d: d * (1 + 1e-10)),
    "one entry": sloped(one_entry),
    "a constant more": sloped(lambda d: d + 0.1),
    "zero": sloped(lambda d: d * 0.0),
    "in single precision": op(lambda g, out, x: tn.engine.primitives.astype(g * (1 - out**2), dtype=np.dtype("float32"))),
    "not linear in the cotangent": op(lambda g, out, x: g * g * (1 - out**2)),
    "cotangent forgotten": op(lambda g, out, x: 1 - out**2 + g * 0.0),
    "kernel": op(lambda g, out, x: g * (1 - out**2), kernel=lambda wanted, g, out, x: [g * (1 - out)]),
    "rule behind a right kernel": op(lambda g, out, x: g * (1 - out), kernel=lambda wanted, g, out, x: [g * (1 - out**2)]),
    "nan": sloped(lambda d: d * np.nan),
    "with a kink beside it": lambda x: tn.relu(sloped(lambda d: d * (1 + 1e-6))(x)),
}

NOT_SEEN_BY_JVP = ("a constant more", "in single precision")  # it differentiates the rule, in which these have no part


@pytest.mark.parametrize("name", WRONG_AT_ONCE)
@pytest.mark.costly(5)
def test_wrong_first_derivatives_are_found_at_order_one(name):
    f = WRONG_AT_ONCE[name]
    found = check_grads(lambda x: f(x) * 3.0, X)
    assert not found.ok
    assert found.wrong[0].order == 1
    assert "first at order 1" in found.verdict
    assert found.verdict.startswith("DISAGREE")
    assert "WRONG" in found.table()
    if "kernel" not in name:
        for mode in ("reverse", "forward") if name not in NOT_SEEN_BY_JVP else ("reverse",):
            assert not check_grads(lambda x: f(x) * 3.0, X, order=1, modes=[mode]).ok, mode


def test_kernel_and_rule_are_told_apart():
    by_mode = {}
    for name in ("kernel", "rule behind a right kernel"):
        by_mode[name] = {w.mode for w in check_grads(WRONG_AT_ONCE[name], X, order=1).wrong}
    assert "reverse" in by_mode["kernel"]
    assert "recorded" not in by_mode["kernel"]
    assert "recorded" in by_mode["rule behind a right kernel"]
    assert "reverse" not in by_mode["rule behind a right kernel"]


@pytest.mark.parametrize("position", [0, 1, 2])
def test_the_wrong_argument_is_named(position):
    from tinygrad_norm.norms.layer_norm import ANALYTIC

    rules = list(ANALYTIC.pullbacks)
    right = rules[position]
    rules[position] = lambda *a, **k: right(*a, **k) * (1 + 1e-6)
    node = Op("wrong", "wrong({0})", ANALYTIC.forward, tuple(rules))
    found = check_grads(lambda x, w, b: node(x, w, b, axis=(1,), eps=1e-5), (X, W, B), order=1, modes=["reverse"])
    assert not found.ok
    assert found.wrong[0].worst == "xwb"[position]


def cached(x, eps=1e-5):
    """LayerNorm with saved statistics (lesson 6)."""
    mu = x.data.mean(-1, keepdims=True)
    rstd = 1 / np.sqrt(((x.data - mu) ** 2).mean(-1, keepdims=True) + eps)

    def dx(g, out, x):
        x_hat = (x - mu) * rstd
        return (g - mean(g, axis=(1,)) - mean(g * x_hat, axis=(1,)) * x_hat) * rstd

    return Op("cached", "cached({0})", lambda x: (x - mu) * rstd, (dx,))(x)


@pytest.mark.parametrize("modes", [["reverse"], ["forward"], ["reverse", "forward"]])
@pytest.mark.costly(1)
def test_saved_statistics_are_right_once_and_wrong_twice(modes):
    found = check_grads(cached, X, order=1, modes=modes)
    assert found.ok, str(found)
    assert any("constants computed from the arguments" in n for n in found.notes)
    found = check_grads(cached, X, order=3, modes=modes)
    assert not found.ok
    assert found.wrong[0].order == 2
    assert found.wrong[0].max_abs > 1e-3


frozen = Op("frozen", "f({0}, {1})", lambda g, x: -g * x**2, (lambda g, out, h, x: -g * exact(x) ** 2, None))
slope = Op(
    "slope", "s({0}, {1})", lambda g, x: -g * x**3 / 3, (lambda g, out, h, x: slope(g, x), lambda g, out, h, x: frozen(h, x) * g)
)
ONLY_LATER = op(lambda g, out, x: slope(g, x), lambda x: -(x**4) / 12)


@pytest.mark.parametrize("modes", [["reverse"], ["forward"]])
def test_wrong_from_the_third_order_only(modes):
    """y = −x⁴/12, whose second derivative, −x², is an op that takes x for a constant."""
    assert check_grads(ONLY_LATER, X, order=2, modes=modes).ok
    found = check_grads(ONLY_LATER, X, order=3, modes=modes)
    assert not found.ok
    assert {w.order for w in found.wrong} == {3}


def test_one_entry_among_many_is_found_by_the_directions():
    """Too many entries to ask the oracle for each; the random directions see them all."""
    x = np.random.default_rng(0).normal(size=(200, 200))
    wrong = WRONG_AT_ONCE["one entry"]
    found = check_grads(lambda x: wrong(x), x, order=1, modes=["reverse"])
    assert not found.ok
    assert any("of 40000 entries, drawn at random, and 2 random directions" in n for n in found.notes)
    assert check_grads(tn.tanh, x, order=1).ok


def test_a_small_mistake_is_not_hidden_by_the_rounding_of_a_large_gradient():
    wrong = sloped(lambda d: d * (1 + 3e-12))
    found = check_grads(lambda x, w: ((x * 1e6) ** 2, wrong(w)), (X * 1e-6, W), order=1, modes=["reverse"])
    assert not found.findings[0].ok
    assert found.findings[0].worst == "w"


def test_a_detached_value_is_a_wrong_gradient():
    found = check_grads(lambda x: x * x.detach(), X, order=1)
    assert not found.ok
    assert any("detached" in n for n in found.notes)


def test_an_op_that_lies_about_being_smooth():
    """Complex step through |x| would be wrong; central differences say so, and take over."""
    modulus = op(lambda g, out, x: g * np.sign(exact(x)), np.abs)
    found = check_grads(modulus, X, order=1)
    assert found.ok, str(found)
    assert any("not as smooth as it says" in n for n in found.notes)


def test_an_op_that_cannot_be_computed_over_complex_numbers():
    clipped = op(lambda g, out, x: g * 2.0, lambda x: np.fmod(x, 100) * 2.0)
    found = check_grads(clipped, X, order=1)
    assert found.ok, str(found)
    assert any("over complex numbers" in n for n in found.notes)


def test_a_rule_that_cannot_be_recorded_fails_at_that_order():
    arrays_only = op(lambda g, out, x: np.multiply.outer(g, 1.0), lambda x: x + 0.0)
    found = check_grads(arrays_only, X)
    assert not found.ok
    assert any("HistoryLostError" in n and "higher orders were not tried" in n for n in found.notes)
    assert next(f for f in json.loads(found.to_json())["findings"] if not f["ok"])["max_abs"] is None
    no_rule = Op("round", "round({0})", np.round)
    assert any("MissingPullbackError" in n for n in check_grads(no_rule, X).notes)


# What it says -----------------------------------------------------------------------------------------------------


def test_raises_with_the_table():
    wrong = WRONG_AT_ONCE["factor"]
    with pytest.raises(tn.GradientMismatchError, match=r"(?s)gradient of .* is wrong.*order  mode.*WRONG.*DISAGREE") as caught:
        tn.check_grads(wrong, X, raises=True)
    assert isinstance(caught.value, AssertionError)
    assert tn.check_grads(tn.tanh, X, raises=True).ok


def test_rtol_is_what_decides():
    wrong = WRONG_AT_ONCE["one in a million"]
    assert not check_grads(wrong, X, rtol=1e-7).ok
    assert check_grads(wrong, X, rtol=1e-4, order=1).ok


def test_in_a_notebook_it_says_the_same_escaped():
    def f(x):
        return tn.exp(x)

    f.__name__ = "<b>f</b>"
    shown = check_grads(f, X, order=1)._repr_mimebundle_()
    assert shown["text/plain"] == str(check_grads(f, X, order=1))
    assert "&lt;b&gt;f" in shown["text/html"]
    assert "<b>" not in shown["text/html"]


def test_how_much_is_asked_is_counted_in_numbers_not_in_seconds(monkeypatch):
    monkeypatch.setattr(bench, "_WORK", 30_000)
    found = check_grads(layer_norm("recorded"), (np.tile(X, (20, 1)), W, B), order=1, modes=["reverse"])
    assert any("of 310 entries" in n for n in found.notes)
    assert str(found) == str(check_grads(layer_norm("recorded"), (np.tile(X, (20, 1)), W, B), order=1, modes=["reverse"]))


def test_json():
    data = json.loads(check_grads(tn.exp, X, order=2).to_json())
    assert data["ok"] is True
    assert {f["order"] for f in data["findings"]} == {1, 2}
    assert set(data["findings"][0]) == {"order", "mode", "oracle", "compared", "worst", "max_abs", "allowed", "ok"}


def test_the_table_fits_a_terminal_and_spells_itself_out():
    found = check_grads(layer_norm("recorded"), (X, W, B))
    assert max(map(len, found.table().splitlines())) <= 90
    assert found.table(ascii=True).isascii()


def test_a_gradient_that_is_zero_but_for_rounding_is_named():
    found = check_grads(lambda x: tn.functional.layer_norm(x, 5).sum(), X + 100, order=1)
    assert found.ok, str(found)
    assert any("zero but for rounding" in n for n in found.notes)


def test_one_seed_one_answer():
    assert str(check_grads(tn.exp, X, seed=5)) == str(check_grads(tn.exp, X, seed=5))


def test_nothing_of_the_callers_is_changed():
    x = tn.tensor(X, requires_grad=True, name="x")
    before = x.data.copy()
    found = check_grads(lambda x: x * x, x)
    assert x.grad is None
    assert found.findings[0].worst == "x"
    np.testing.assert_array_equal(x.data, before)


def test_where_there_is_no_long_double_it_says_so(monkeypatch):
    for module in (gradients, bench, oracles):
        monkeypatch.setattr(module, "LONGER", False)
    found = check_grads(tn.exp, X, order=1)
    assert found.ok
    assert "long double is no longer than double here" in str(found)
    assert {f.oracle for f in found.findings} == {"complex step", "adjoint"}
    with pytest.raises(ValueError, match="not available here"):
        oracles.complex_step_along(lambda a: a[0], [X], [X], long=True)


@pytest.mark.skipif(not LONGER, reason="no long double here")
def test_long_doubles_see_further_than_doubles():
    x, v = [np.array([1.0 + 1e-9])], [np.array([1.0])]
    found = oracles.complex_step_along(lambda a: (a[0] - 1) ** 2 / 3, x, v, long=True)
    assert found.error < 0.05 * np.spacing(float(found.values))
    assert found.values == np.float64(2 * (np.longdouble(x[0][0]) - 1) / 3)


def test_central_differences_along_a_direction_know_their_error():
    for scale in (1e-6, 1.0, 1e6):
        x = [np.array([0.3, -1.2, 2.0]) * scale]
        (v,) = oracles.directions(x, np.random.default_rng(0))
        found = oracles.central_difference_along(lambda a: np.tanh(a[0] / scale), x, [v], summed=False)  # noqa: B023
        off = np.abs(found.values - (1 - np.tanh(x[0] / scale) ** 2) * v / scale)
        assert np.all(off <= 4 * found.error)
        assert np.all(off < 1e-11)


# The adjoint test ----------------------------------------------------------------------------------------------------


def test_adjoint():
    assert adjoint_test(layer_norm("analytic"), (X, W, B)).ok
    assert adjoint_test(lambda x, w: (x * w, x.sum()), (X, W)).ok
    assert not adjoint_test(WRONG_AT_ONCE["not linear in the cotangent"], X).ok
    assert not adjoint_test(WRONG_AT_ONCE["a constant more"], X).ok
    assert not adjoint_test(WRONG_AT_ONCE["kernel"], X).ok
    assert adjoint_test(WRONG_AT_ONCE["factor"], X).ok, "a wrong pullback is wrong in both modes: this test cannot see it"


# Misuse ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: check_grads(lambda x: x, np.arange(3)), tn.DTypeError, r"check_grads: x \(3,\) int64 is not floating point"),
        (lambda: check_grads(lambda x: x, [1]), tn.DTypeError, "int64"),
        (lambda: check_grads(lambda x: x.data, X), tn.GradientError, r"returned \(3, 5\) float64; it must return a tensor"),
        (lambda: check_grads(lambda x: x > 0.0, X), tn.DTypeError, r"output \(3, 5\) bool"),
        (lambda: check_grads(lambda x: x, np.array([np.nan])), InputError, "x has entries that are not finite"),
        (lambda: check_grads(lambda x: x / (x - x), X), InputError, "not finite at these arguments"),
        (lambda: check_grads(lambda x: x * np.random.default_rng().normal(), X), InputError, "two results. Fix its seed"),
        (lambda: check_grads(tn.exp, X, order=0), ValueError, "order=0; it is a whole number from 1 on"),
        (lambda: check_grads(tn.exp, X, modes=["sideways"]), ValueError, "they are reverse and forward"),
        (lambda: check_grads(tn.exp, X, modes=3), tn.OptionError, "check_grads: modes=3; they are reverse and forward"),
        (
            lambda: check_grads(tn.exp, X, order=np.array([0, 1])),
            tn.DTypeError,
            r"check_grads: order=\(2,\) int64; it is a whole",
        ),
        (lambda: check_grads(tn.exp, X, seed="a"), tn.DTypeError, "check_grads: seed='a'; it is a whole number from 0 on"),
        (lambda: check_grads(tn.exp, X, rtol="a"), tn.DTypeError, "check_grads: rtol='a'; it is a number from 0 on"),
        (lambda: check_grads(tn.exp, X, raises=len), tn.OptionError, "check_grads: raises=.*; it is True or False"),
        (lambda: check_grads(3, X), tn.DTypeError, "check_grads: f=3 cannot be called; give a function of tensors"),
        (lambda: tn.compare("layer_norm", shape=(-1,)), tn.ShapeError, "compare: shape=-1; it must be at least 0"),
        (lambda: tn.compare("layer_norm", shape="a"), tn.ShapeError, "compare: shape='a'; it is a whole number"),
        (lambda: tn.compare("layer_norm", dtype="foo"), tn.DTypeError, "compare: dtype='foo'; it is a dtype of numbers"),
        (lambda: tn.compare("layer_norm", seed=-1), tn.OptionError, "compare: seed=-1; it is a whole number"),
        (lambda: tn.compare("layer_norm", parameters=3), InputError, "compare: parameters=3; it is a dict"),
        (lambda: tn.compare("layer_norm", ["a"]), tn.DTypeError, "not numeric"),
        (lambda: tn.compare(len), tn.TinygradNormError, "compare: there is no builtin.* len. Known"),
        (lambda: tn.check(len, "layer_norm", order=np.array([1, 2])), InputError, r"check: order=\(2,\) int64; it is 1 or 2"),
        (lambda: tn.check(lambda x, dy: dy, "layer_norm", dtype="foo"), tn.DTypeError, "check: dtype='foo'"),
    ],
)
def test_misuse_is_named(call, error, words):
    with pytest.raises(error, match=words), np.errstate(all="ignore"):
        call()


def test_the_oracles_use_no_backward_pass_of_the_order_under_test(monkeypatch):
    """Order 1 is judged by values alone: with the backward pass taken away, the bench still answers."""
    subject = bench.Subject.of(tn.tanh, X, 1, np.random.default_rng(0))
    monkeypatch.setattr(importlib.import_module("tinygrad_norm.engine.walk"), "pull_back", None)
    tried = bench.Bench(subject, 1, subject.reverse_terms, True, [], "reverse")
    np.testing.assert_allclose(
        tried.entries(0).values.reshape(X.shape), subject.cotangents[0] * (1 - np.tanh(X) ** 2), rtol=1e-13
    )
    tree = ast.parse(Path(oracles.__file__).read_text(encoding="utf-8"))
    assert not [n for n in ast.walk(tree) if isinstance(n, ast.Name) and n.id in ("grad", "vjp", "jvp", "pull_back")]


@pytest.mark.parametrize("slope", [1.0, 0.9])
def test_at_a_kink_nothing_is_claimed(slope):
    """Every entry ties for the maximum: right or wrong, no oracle can tell there."""
    peak = tn.Op(
        "peak", "peak({0})", lambda x: np.asarray(np.max(x.real)), (lambda g, out, x: g * (x == out) * slope,), smooth=False
    )
    found = check_grads(lambda x: peak(x), (np.ones(3),), order=1)
    assert not found.ok
    assert "agree" not in found.verdict
