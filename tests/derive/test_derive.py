"""``tn.derive`` on every registered norm: each line checked, the gradient proved equal to the hand-derived one."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

import tinygrad_norm as tn
from tests.oracles import gradient
from tinygrad_norm.derive import DerivationError
from tinygrad_norm.derive.recording import gradients_of
from tinygrad_norm.norms import get, names

from .running import relative, run

WITHOUT = ("filter_response_norm", "local_response_norm", "qk_norm", "spectral_norm", "switchable_norm")
CASES = [(n, {}, of) for n in names() if n not in WITHOUT for of in gradients_of(n)]
VARIANTS = [
    ("layer_norm", {"eps_mode": "std"}),
    ("layer_norm", {"correction": 1}),
    ("layer_norm", {"eps_mode": "std", "correction": 1}),
    ("layer_norm", {"shape": (2, 3, 5)}),
    ("rms_norm", {"eps": 1e-3}),
    ("batch_norm", {"training": False}),
    ("batch_norm", {"shape": (3, 4, 5, 7)}),
    ("batch_norm", {"training": False, "shape": (3, 4, 5, 7)}),
    ("batch_renorm", {"training": False}),
    ("batch_renorm", {"rmax": 1.2, "dmax": 0.1, "shape": (3, 4, 5)}),
    ("weight_standardization", {"eps_mode": "scaled", "eps": 1e-4}),
    ("weight_standardization", {"eps_mode": "std", "eps": 1e-5}),
    ("ada_norm", {"detach": False}),
    ("detach_norm", {"detach_mean": False}),
    ("detach_norm", {"detach_std": False}),
    ("detach_norm", {"detach_mean": False, "detach_std": False}),
    ("normalize", {"p": 1}),
    ("normalize", {"p": 3}),
]
ALL = CASES + [(n, options, of) for n, options in VARIANTS for of in gradients_of(n, **options)]


def call(name, options, of):
    return f"{name}-{of}" + "".join(f"-{k}={v}" for k, v in options.items())


def params():
    """One gradient of each norm, and by ``--all`` the others."""
    seen = set()
    for case in ALL:
        yield pytest.param(*case, id=call(*case), marks=[pytest.mark.thorough] if case[0] in seen else [])
        seen.add(case[0])


every_case = pytest.mark.parametrize(("name", "options", "of"), list(params()))


@every_case
@pytest.mark.costly(9)
def test_every_line_holds_and_the_hand_derived_node_is_proved(name, options, of):
    d = tn.derive(name, of, **options)
    assert d.ok
    assert d.verify() < 1e-12
    assert all(s.off < 1e-12 for s in d.steps)
    kinds = [s.kind for s in d.steps]
    assert set(kinds) >= {"forward", "chain", "rewrite"}
    assert kinds == sorted(kinds, key=["forward", "chain", "route", "rewrite"].index)
    assert d.steps[-1].expr == d.expr
    assert str(d.formula).split("\n")[-1].startswith(f"{d.gradient} = ")
    want = tn.grad(d.record.output, d.record.inputs[of], d.record.dy.data)[0].data
    assert relative(run(d), want) < 1e-12
    assert get(name).analytic
    verdict = d.equals(tn.derive(name, of, backward="analytic", **options))
    if of in get(name).by_design:
        assert not verdict
        assert "not equal" in str(verdict)
    elif any(sign in text for text in d.assumptions for sign in ("branches", "≥")) and not verdict.proved:
        # shorter than ε, another line holds; of what the node asks on its way forward nothing is read
        assert verdict.kind == "equal under"
        assert verdict.off < 1e-12
    else:
        assert verdict.proved, str(verdict)


def test_every_norm_is_here_but_five():
    assert {n for n, *_ in CASES} == set(names()) - set(WITHOUT)
    assert {(n, of) for n, _, of in CASES if of in get(n).by_design} == {("power_norm", "input")}


@pytest.mark.parametrize(
    ("name", "wrt", "options", "formula"),
    [
        ("layer_norm", "x", {}, "dx = rstd·(g − mean(g) − x̂·mean(g·x̂)),  g = dy·γ"),
        ("layer_norm", "weight", {}, "dγ = Σ_B(x̂·dy)"),
        ("layer_norm", "β", {}, "dβ = Σ_B(dy)"),
        ("layer_norm", "x", {"correction": 1}, "dx = rstd·(g − mean(g) − x̂·Σ(g·x̂)/(N − 1)),  g = dy·γ"),
        ("rms_norm", "x", {}, "dx = rstd·(g − x̂·mean(g·x̂)),  g = dy·γ"),
        ("batch_norm", "x", {}, "dx = rstd·γ·(dy − mean_B(dy) − x̂·mean_B(x̂·dy))"),
        ("batch_norm", "x", {"shape": (3, 4, 5, 7)}, "dx = rstd·γ·(dy − mean_BHW(dy) − x̂·mean_BHW(x̂·dy))"),
        ("group_norm", "x", {}, "dx = rstd·(g − mean_KN(g) − x̂·mean_KN(g·x̂)),  g = dy·γ"),
        ("softmax", "x", {}, "dx = p·(dp − Σ(p·dp))"),
        ("normalize", "x", {}, "dx = (dy − y·Σ(y·dy))/‖x‖"),
        ("cross_entropy", "z", {}, "dz = dloss·(p − q)/B,  p = softmax(z)"),
        ("dynamic_tanh", "x", {}, "dx = g·(1 − t²),  g = dy·α·γ"),
    ],
)
def test_the_formula_as_a_textbook_writes_it(name, wrt, options, formula):
    assert str(tn.derive(name, wrt if wrt != "x" else None, **options).formula) == formula


def test_layer_norm_with_epsilon_beside_sigma():
    """ε outside the root: q = 1/(σ + ε) is not 1/σ, and one term has one of each."""
    d = tn.derive("layer_norm", eps_mode="std")
    assert str(d.formula).endswith(",  g = dy·γ")
    assert "mean(g·x̂)/σ" in str(d.formula)
    assert not d.equals(tn.derive("layer_norm"))


@pytest.mark.parametrize("shape", [(7, 11), (1, 8), (8, 1), (5, 5), (8,), (3, 9), (3, 3), (2, 2)])
def test_the_formula_is_right_at_odd_shapes_too(shape):
    for options in ({}, {"correction": 1}) if shape[-1] > 2 else ({},):
        d = tn.derive("layer_norm", shape=shape, **options)
        assert d.ok
        want = tn.grad(d.record.output, d.record.inputs["input"], d.record.dy.data)[0].data
        assert relative(run(d), want) < 1e-9


@pytest.mark.parametrize("eps", [2.0, 1.0, 0.5, 3.0, 11.0, 7.0, 1 / 7, 1e-12])
def test_an_epsilon_that_is_a_number_of_the_formula_changes_nothing(eps):
    assert str(tn.derive("rms_norm", eps=eps).formula) == "dx = rstd·(g − x̂·mean(g·x̂)),  g = dy·γ"


# Twice -----------------------------------------------------------------------------------------------------------


def ln(x, g, eps=1e-5):
    c = x - x.mean(-1, keepdims=True)
    r = ((c * c).mean(-1, keepdims=True) + eps) ** -0.5
    return r * (g - g.mean(-1, keepdims=True) - c * r * (g * c * r).mean(-1, keepdims=True))


def rms(x, g, eps=1e-5):
    r = ((x * x).mean(-1, keepdims=True) + eps) ** -0.5
    return r * (g - x * r * (g * x * r).mean(-1, keepdims=True))


def soft(x, g):
    p = np.exp(x) / np.exp(x).sum(-1, keepdims=True)
    return p * (g - (g * p).sum(-1, keepdims=True))


@pytest.mark.parametrize(("name", "first"), [("layer_norm", ln), ("rms_norm", rms), ("softmax", soft)])
def test_the_second_derivative_is_right(name, first):
    """Against the complex step through a first gradient that was written by hand."""
    d = tn.derive(name, order=2, **({"eps": 1e-5} if name != "softmax" else {}))
    assert d.ok
    assert d.verify() < 1e-12
    x, dy = d.record.inputs["input"].data, d.record.dy.data
    w = d.record.inputs["weight"].data if "weight" in d.record.inputs else 1.0
    v = np.asarray(d.letters.values[d.dy])
    assert v.shape == x.shape
    want = gradient(lambda a: first(a, dy * w), [x], 0, v)
    arguments = {"v": v, "x": x, "dy": dy} | ({"weight": w} if np.ndim(w) else {})
    assert relative(np.broadcast_to(d.letters.number(d.expr), x.shape), want) < 1e-10
    assert relative(run(d, arguments), want) < 1e-10


def test_the_second_derivative_of_layer_norm_as_a_formula():
    formula = str(tn.derive("layer_norm", order=2).formula)
    assert formula.startswith("d(Σ v·dx)/dx = rstd³·(")
    for term in ("− c·mean(v·γ·dy)", "− v·mean(c·γ·dy)", "c·mean(v)·mean(γ·dy)", "3·rstd²·c·mean(c·v)·mean(c·γ·dy)"):
        assert term in formula
    assert len(formula.split(" + ")) + len(formula.split(" − ")) - 1 == 7
    assert str(tn.derive("softmax", order=2).formula).endswith(
        "= p·(v·dy − Σ(p·v·dy) − dy·Σ(p·v) − v·Σ(p·dy) + 2·Σ(p·dy)·Σ(p·v))"
    )


# What is known ---------------------------------------------------------------------------------------------------


def test_lemmas_are_imposed_checked_or_refused():
    plain, given = tn.derive("cross_entropy", lemmas=()), tn.derive("rms_norm", lemmas=["Σ_N(γ) = 1"])
    assert "Σ_N(q) = 1" in plain.given[0].why  # the norm's own
    assert np.sum(given.record.inputs["weight"].data) == pytest.approx(1)
    assert [m.value for m in given.given] == [1]
    assert tn.derive("layer_norm", lemmas=["Σ_N(x̂) = 0"]).ok
    for false in ("Σ_N(x̂) = 1", "Σ_B(x̂) = 0", "sum(c) = 3"):
        with pytest.raises(DerivationError, match="does not hold on the record"):
            tn.derive("layer_norm", lemmas=[false])
    for unread in ("q", "Σ_N(q) < 1", "", "Σ_N(a)·b = 1", "Σ_N(q) = one"):
        with pytest.raises(DerivationError, match="cannot be read"):
            tn.derive("layer_norm", lemmas=[unread])


def test_a_lemma_is_what_makes_a_difference():
    def loss(z, q):
        e = z.exp()
        return ((e.sum(-1, True).log() - z) * q).sum(-1, True)

    inputs = {"z": ("B", "N"), "q": ("B", "N")}
    known, unknown = (tn.derive(loss, "z", inputs=inputs, lemmas=m) for m in (["Σ_N(q) = 1"], []))
    assert "Σ(q)" in str(unknown.formula)
    assert "Σ(q)" not in str(known.formula)
    assert known.ok
    assert unknown.ok


def test_lemmas_that_were_proved_are_said():
    d = tn.derive("layer_norm")
    assert any("deviations from their own mean" in m.why for m in d.lemmas)
    assert any(s.rule == "a sum that is known" and "= 0" in s.reason for s in d.steps)


def test_the_branch_that_was_taken_is_said():
    assert any("≥" in a for a in tn.derive("weight_standardization").assumptions)
    assert tn.derive("layer_norm").assumptions == ()
    d = tn.derive(lambda x: tn.relu(x * x + 1.5), inputs={"x": ("B", "N")})
    assert d.assumptions == ()  # it is greater than 0 whatever x is
    assert str(d.formula) == "dx = 2·dy·x"
    assert "assumed, as on the record: N·σ² ≥ 0.0001" in tn.derive("weight_standardization").text()


def test_the_formula_costs_less_than_the_tape():
    for name in ("layer_norm", "rms_norm", "batch_norm", "group_norm", "weight_standardization"):
        d = tn.derive(name)
        assert 0 < d.operations[1] < d.operations[0]
        assert 0 < d.passes[1] < d.passes[0]
        assert d.passes[0] <= d.operations[0]
        assert d.passes[1] <= d.operations[1]


def test_what_it_looks_like_as_data_and_in_a_notebook():
    d = tn.derive("layer_norm")
    found = json.loads(d.to_json())
    assert found["formula"] == str(d.formula)
    assert found["ok"] is True
    assert len(found["steps"]) == len(d.steps)
    assert found["operations"] == {"tape": d.operations[0], "formula": d.operations[1]}
    assert math.isclose(found["difference"], d.verify())
    shown = d._repr_mimebundle_()
    assert shown["text/plain"] == str(d) == d.text()
    assert shown["text/latex"].startswith("$")
    assert d.latex() in shown["text/latex"]
