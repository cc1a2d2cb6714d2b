"""None of a sceptic's unequal pairs is proved, and what a function asks in Python is said with the line that asks."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_norm as tn
from tinygrad_norm.derive import derive
from tinygrad_norm.derive.questions import hearing

from . import unequal
from .unequal import back, m, norm

BN = {"x": ("B", "N")}


@pytest.fixture(scope="module")
def normalized():
    return derive(norm, inputs=BN)


@pytest.mark.parametrize("name", unequal.SIZES)
@pytest.mark.costly(2)
def test_a_size_that_was_asked(normalized, name):
    size = unequal.SIZES[name]
    verdict = normalized.equals(lambda dy, x: back(dy, x, size(x.shape[-1])))
    assert verdict.kind in ("not equal", "equal under", "not proved")
    assert not verdict


@pytest.mark.parametrize("name", unequal.WHEN)
def test_values_and_circumstances(normalized, name):
    verdict = normalized.equals(lambda dy, x: back(dy, x) * (2 if unequal.WHEN[name](dy, x) else 1))
    assert verdict.kind in ("not equal", "equal under")
    assert verdict.kind == "not equal" or verdict.assumptions


@pytest.mark.parametrize("name", unequal.CONSTANTS)
@pytest.mark.costly(3)
def test_constants(name):
    f, one, other = unequal.CONSTANTS[name]
    assert not derive(lambda x: f(x, one), inputs=BN).equals(derive(lambda x: f(x, other), inputs=BN))


@pytest.mark.parametrize("name", unequal.FORWARDS)
@pytest.mark.costly(3)
def test_forwards(name):
    one, other = unequal.FORWARDS[name]
    assert not derive(one, inputs=BN).equals(derive(other, inputs=BN))


def test_a_number_one_rounding_apart_is_the_same():
    d = derive(lambda x: x * x / 3, inputs=BN)
    assert d.equals(lambda dy, x: 2 * dy * x * unequal.ulps(1 / 3, 1))


def test_the_line_that_asks_is_said():
    def asks(dy, x):
        if x.shape[-1] == 50:
            return dy
        return 2 * x * dy

    verdict = derive(lambda x: x * x, inputs=BN).equals(asks)
    assert verdict.kind == "equal under"
    (text,) = verdict.assumptions
    assert text.startswith("what it asks is answered as on the record: a size is compared (test_unequal.py:")
    assert text.endswith("if x.shape[-1] == 50:)")
    asked = derive(lambda x: x * x if x.data.max() < 1e6 else x, inputs=BN)
    assert any("the values that it computes from" in a for a in asked.assumptions)


def test_arithmetic_and_what_holds_at_all_sizes_ask_nothing():
    x = tn.tensor(np.ones((7, 11)), requires_grad=True, name="x")
    with hearing() as heard:
        n, (b, k) = x.shape[-1], x.shape
        assert x.shape == (x * 1.0).shape
        assert n > 0
        assert x.ndim == 2
        count = x.size // m(x).size
        y = x * n - 1 / n + n**0.5 + (n - 1) * x / (b * k) + 2.0**n + -n + x / count
        y = tn.functional.layer_norm(y, n).reshape(k, b) + tn.ones(n, b)
        np.sum(y) + np.mean(x)
    assert heard.said == []
    assert type(x.shape[0]) is int
    assert [type(v) for v in (x * n).inputs[1:]] == [int]  # kept by somebody, it is a number


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda x: x.shape[0] % 2 == 0, "a size is compared"),
        (lambda x: bool(x.shape[0] & 1), "whether a size is zero"),
        (lambda x: {x.shape: 1}, "a size is a key"),
        (lambda x: x * (x.shape[0] // 2), "rounded or taken by its bits"),
        (lambda x: len(x) == 3, "a size is compared"),
        (lambda x: (x > 0).numpy(), "the values"),
        (lambda x: x.detach().item() if x.size == 1 else x.sum().detach().item(), "the values"),
        (lambda x: np.asarray(x.detach()), "the values"),
        (lambda x: x.requires_grad, "whether it requires a gradient"),
    ],
)
def test_what_is_asked_is_heard(ask, words):
    with hearing() as heard:
        ask(tn.tensor(np.ones((7, 11)), requires_grad=True))
    assert any(words in text for text in heard.said)


NESTED = {
    "max of max": lambda x, y: tn.maximum(tn.maximum(x, y), x * y),
    "tree": lambda x, y: tn.maximum(tn.minimum(tn.maximum(x, y), tn.maximum(x * x, y)), tn.minimum(tn.maximum(x, y * y), tn.maximum(x - y, x * y))),
    "chain": lambda x, y: tn.maximum(tn.maximum(tn.maximum(tn.maximum(tn.maximum(x, y), x * y), 2 * x), x - y), 3 * y),
    "relu": lambda x, y: ((((x - y).relu() - 1).relu() * y - 2).relu() + x).relu(),
    "clamp": lambda x, y: (x.clamp(-1.0, 2.0) * y).clamp(-2.0, 1.0),
    "norm of max": lambda x, y: norm(tn.maximum(tn.minimum(x, y), tn.minimum(x * x, y * y))),
}  # fmt: skip


@pytest.mark.thorough
@pytest.mark.parametrize("name", NESTED)
def test_branches_within_branches(name):
    """Each has a line of its own, so that the formula grows with the tape and no faster."""
    inputs = {"x": ("B", "N"), "y": ("B", "N")}
    d = derive(NESTED[name], inputs=inputs)
    assert d.ok
    assert len(str(d.formula)) < 400
    assert d.equals(derive(NESTED[name], inputs=inputs))
    assert not d.equals(derive(lambda x, y: NESTED[name](x, y) + 1e-3 * x, inputs=inputs))


def test_a_branch_has_a_letter():
    inputs = {"x": ("B", "N"), "y": ("B", "N")}
    assert str(derive(NESTED["max of max"], inputs=inputs).formula) == "dx = dy·(y·[x·y ≥ t] + [x·y ≤ t]·[x ≥ y])"
    assert str(derive(NESTED["clamp"], inputs=inputs).formula) == "dx = dy·y·[t ≤ 1]·[x ≤ 2]·[t ≥ −2]·[x ≥ −1]"


def test_a_proof_gives_up(monkeypatch):
    monkeypatch.setattr("tinygrad_norm.derive.normal.BUDGET", 20)
    verdict = derive(norm, inputs=BN).equals(lambda dy, x: back(dy, x, x.shape[-1]))
    assert verdict.kind == "not proved"
    assert "gave up after" in str(verdict)


def test_where_the_other_is_no_number():
    one, other = (derive(f, inputs=BN) for f in (lambda x: tn.log(tn.abs(x)), lambda x: tn.log(x)))
    assert one.equals(other).kind == "equal under"
    assert "the inputs are positive" in str(one.equals(other))
    assert "the inputs are positive" in str(other.equals(one))


def test_powers_that_are_tensors():
    axes = {"x": ("B", "N"), "y": ("B", "N")}
    one = derive(lambda x, y: tn.abs(x) ** y * tn.abs(x) ** -y, inputs=axes)
    assert one.equals(derive(lambda x, y: x * y + 1, inputs=axes)).kind == "not equal"  # and no exception of the algebra
