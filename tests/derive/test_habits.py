"""What people do without a thought, and which changes nothing, is no question; what looks like it and asks is one."""

from __future__ import annotations

import math
from math import sqrt

import numpy as np
import pytest
from numpy import ones, prod

import tinygrad_norm as tn
from tinygrad_norm.derive import derive

F = tn.functional
BN = {"x": ("B", "N")}


def n(x):
    return x.shape[-1]


def s(t):
    return t.sum(-1, keepdim=True)


@pytest.fixture(scope="module")
def plain():
    return derive(lambda x: x * 1.0, inputs=BN)


INNOCENT = {
    "a root of a number": lambda dy: dy * sqrt(2.0) / 2**0.5,
    "a root of a size": lambda dy, x: dy * sqrt(n(x)) / n(x) ** 0.5,
    "math.sqrt": lambda dy, x: dy * math.sqrt(n(x)) / np.sqrt(n(x)),
    "np.prod": lambda dy, x: dy * np.prod(x.shape) / x.size,
    "prod": lambda dy, x: dy * prod(x.shape) / x.numel(),
    "len": lambda dy, x: dy * len(x) / x.shape[0],
    "ones": lambda dy, x: dy * ones((x.shape[0], n(x))),
    "zeros": lambda dy, x: dy + np.zeros(x.shape),
    "full": lambda dy, x: dy * np.full(x.shape, 0.5) * 2,
    "ones_like": lambda dy, x: dy * tn.ones_like(x) + tn.zeros_like(x),
    "its dtype": lambda dy, x: dy.astype(x.dtype),
    "back to its dtype": lambda dy, x: (dy.to(x.dtype) * 2).to(dy.dtype) * tn.tensor(0.5, dtype=x.dtype),
    "views": lambda dy: dy[:, :][..., None][:, :, 0],
    "einsum": lambda dy, x: dy + np.einsum("bn,bn->b", dy, x)[:, None] - s(dy * x),
    "matmul": lambda dy, x: dy + (dy @ np.ones((n(x), 1))) - s(dy),
}  # fmt: skip
ASKING = {
    "its kind": lambda x: type(n(x)) is int and n(x) == 37,
    "the kind of a number": lambda x: float is float and x.sum().item() > 1e9,
    "the kind of ones": lambda x: isinstance(w := np.ones(x.shape), np.ndarray) and w.shape[-1] == 37,
    "what ones have": lambda x: hasattr(w := np.ones(x.shape), "strides") and w.shape[-1] == 37,
    "the kind of a product": lambda x: isinstance(v := np.prod(x.shape), np.integer) and v == 74,
    "a name": lambda x: sqrt.__name__ == "sqrt" and n(x) == 37,
    "a rounded axis": lambda x: x.sum(-1 - 1 // (1 + (n(x) - 37) ** 2), keepdim=True).shape[-1] != 1,
    "extended precision": lambda x: x.dtype == np.longdouble,
    "no sign": lambda x: x.dtype == np.uint32,
    "float": lambda x: float(n(x)) == 37,
    "int": lambda x: int(n(x)) > 5000,
    "half": lambda x: int(n(x) / 2) == 18,
    "prod": lambda x: prod(x.shape) == 37,
    "sqrt": lambda x: sqrt(n(x)) > 100,
    "ones": lambda x: ones(n(x)).sum() == 37,
    "of a tensor": lambda x: x.sum().item() > 1e9,
    "int of a tensor": lambda x: int((x.detach() > 1e9).any()),
    "a dtype": lambda x: x.dtype == np.float16,
    "another": lambda x: x.dtype == np.int8,
    "what it is": lambda x: x.dtype is np.dtype("float16"),
    "of what is computed": lambda x: (x * 2.0).dtype == np.complex64,
    "with something else": lambda x: x.dtype == np.float16 and x.sum().item() > 1e9,
    "an epsilon": lambda x: np.finfo(x.dtype).eps > 1e-3,
}


@pytest.mark.parametrize("name", INNOCENT)
@pytest.mark.costly(3)
def test_what_changes_nothing_is_proved(plain, name):
    verdict = plain.equals(INNOCENT[name])
    assert verdict.proved, str(verdict)
    assert verdict.assumptions == ()


@pytest.mark.parametrize("name", ASKING)
@pytest.mark.costly(3)
def test_what_asks_is_heard(plain, name):
    verdict = plain.equals(lambda dy, x: dy * (2 if ASKING[name](x) else 1))
    assert not verdict
    assert any(a.startswith("what it asks") for a in verdict.assumptions) or verdict.kind == "not equal"


def test_of_two_dtypes_both_are_tried(plain):
    assert not plain.equals(lambda dy, x: dy * (2 if x.dtype == np.float16 and dy.dtype == np.float32 else 1))
    assert not plain.equals(lambda dy, x: dy + tn.tensor(1e-5, dtype=x.dtype) - 1e-5)
    assert not plain.equals(lambda dy, x: dy * (1.0001 if x.dtype == np.float32 else 1.0))


def test_a_forward_may_ask_for_a_dtype():
    assert derive(lambda x: (x.to(x.dtype) * 2.0).astype(x.dtype), inputs=BN).assumptions == ()
    assert derive(lambda x: x * (2.0 if x.dtype == np.float32 else 1.0), inputs=BN).assumptions


def test_names_mean_again_what_they_meant(plain):
    assert plain.equals(lambda dy, x: dy * sqrt(n(x)) / prod((n(x),)) ** 0.5)
    assert sqrt is math.sqrt
    assert prod is np.prod
    assert ones is np.ones


def test_a_size_that_only_a_reshape_takes_is_no_number_of_the_formula():
    def halves(x):
        z = x.reshape(x.shape[0], 2, n(x) // 2)
        return (z - z.mean(-1, keepdim=True)).reshape(*x.shape)

    d = derive(halves, inputs=BN)
    assert d.assumptions == ()
    assert d.equals(lambda dy: halves(dy)).proved
    assert derive(lambda x: x * (n(x) // 2), inputs=BN).assumptions


def test_a_rounded_size_in_a_shape_or_an_axis_is_asked():
    def once(x):  # 1 but at N = 38
        return 1 + 1 // (1 + (n(x) - 38) ** 2)

    def pieces(x):
        return F.softmax(x.reshape(x.shape[0], once(x), n(x) // once(x)), -1).reshape(*x.shape)

    assert derive(pieces, inputs=BN).assumptions
    assert derive(lambda x: x.sum(-once(x), keepdim=True) * x, inputs=BN).assumptions


SUMS = {
    "all": (lambda x: x.sum(), lambda dy, x: dy * tn.ones_like(x)),
    "all, spread": (lambda x: x.mean(), lambda dy, x: np.broadcast_to(dy / x.size, x.shape)),
    "an axis": (lambda x: x.sum(-1), lambda dy, x: dy[:, None].expand(*x.shape)),
    "an axis, kept": (lambda x: s(x), lambda dy, x: dy * np.ones(x.shape)),
}


@pytest.mark.parametrize("name", SUMS)
@pytest.mark.costly(1)
def test_a_sums_gradient_has_the_inputs_axes(name):
    forward, gradient = SUMS[name]
    assert derive(forward, inputs=BN).equals(gradient).proved


BRANCHES = {  # (a forward, its gradient, what it takes)
    "relu": (lambda x: x.relu(), lambda dy, x: dy * tn.where(x > 0, 1.0, 0.0), ()),
    "elu": (lambda x: F.elu(x, 1.5), lambda dy, x: dy * tn.where(x > 0, 1.0, 1.5 * x.exp()), ()),
    "celu": (lambda x: F.celu(x, 2.0), lambda dy, x: dy * tn.where(x > 0, 1.0, (x / 2).exp()), ()),
    "huber": (lambda x: F.huber_loss(x, 0 * x.detach(), reduction="none"), lambda dy, x: dy * x.clamp(-1.0, 1.0), ()),
    "hard tanh": (lambda x: F.hardtanh(x), lambda dy, x: dy * ((x > -1) & (x < 1)), ()),
    "summed": (lambda x: s(x.relu()) * x, lambda dy, x: dy * s(x.relu()) + (x > 0) * s(dy * x), ()),
    "relu by abs": (lambda x: (x + x.abs()) / 2, lambda dy, x: dy * (x > 0), ("x ≠ 0",)),
    "stable softplus": (lambda x: x.relu() + (1 + (-x.abs()).exp()).log(), lambda dy, x: dy * x.sigmoid(), ("x ≠ 0",)),
    "hard swish": (
        lambda x: x * (x + 3).clamp(0.0, 6.0) / 6,
        lambda dy, x: dy * tn.where(x <= -3, 0.0, tn.where(x >= 3, 1.0, (2 * x + 3) / 6)),
        ("x + 3 ≠ 0", "x − 3 ≠ 0"),
    ),
}


@pytest.mark.parametrize("name", BRANCHES)
@pytest.mark.costly(2)
def test_branches_are_taken_case_by_case(name):
    forward, gradient, needed = BRANCHES[name]
    verdict = derive(forward, inputs=BN).equals(gradient)
    assert verdict.kind == ("equal under" if needed else "proved")
    assert verdict.assumptions == needed


@pytest.mark.parametrize(
    "gradient",
    [
        lambda dy, x: dy * tn.where(x > 0, 1.0, (1.0000001 * x).exp()),
        lambda dy, x: dy * tn.where(x > 1e-9, 1.0, x.exp()),
        lambda dy, x: dy * tn.where(x < 1e9, tn.where(x > 0, 1.0, x.exp()), 2.0),
        lambda dy, x: dy * tn.where(x == 0, 2.0, tn.where(x > 0, 1.0, x.exp())),
    ],
)
@pytest.mark.costly(1)
def test_another_branch_is_not_proved(gradient):
    assert not derive(lambda x: F.elu(x), inputs=BN).equals(gradient)


def test_the_variance_is_taken_as_it_is_however_it_was_written():
    def z(x):
        return (x - x.mean(-1, keepdim=True)) / x.std(-1, keepdim=True, correction=0)

    d = derive(lambda x: s(z(x) ** 3) / n(x), inputs=BN)
    verdict = d.equals(
        derive(lambda x: s((x - s(x) / n(x)) ** 3) / n(x) / (s(x * x) / n(x) - (s(x) / n(x)) ** 2) ** 1.5, inputs=BN)
    )
    assert verdict.kind in ("proved", "equal under")
