"""Gradients clipped, and parameters as one vector, by hand and beside PyTorch."""

from __future__ import annotations

import math

import numpy as np
import pytest

import tinygrad_norm as tn
from tinygrad_norm.nn import utils

SHAPES = ((4, 3), (3,), (), (2, 2, 2))


def parameters(scale=1.0, dtype="float64"):
    rng = np.random.default_rng(0)
    ps = [tn.tensor(rng.normal(size=s), dtype, requires_grad=True) for s in SHAPES]
    for p in ps:
        p.grad = tn.tensor(scale * rng.normal(size=p.shape), dtype)
    return [*ps, tn.ones(3, requires_grad=True)]  # the last has no gradient


def gradients(ps):
    return [np.array(p.grad.data) for p in ps if p.grad is not None]


@pytest.mark.parametrize("power", [1.0, 2.0, 3.5, math.inf])
@pytest.mark.parametrize("scale", [1e-3, 10.0])
def test_all_together_are_no_longer_than_that(power, scale):
    ps = parameters(scale)
    before = gradients(ps)
    whole = np.concatenate([g.ravel() for g in before])
    total = utils.clip_grad_norm_(ps, 0.5, norm_type=power)
    length = np.linalg.norm(whole, power)
    assert total.shape == ()
    assert total.item() == pytest.approx(length, rel=1e-13)
    for g, old in zip(gradients(ps), before):
        np.testing.assert_allclose(g, old * min(1, 0.5 / (length + 1e-6)), rtol=1e-13)


@pytest.mark.parametrize("power", [1.0, 2.0, 3.5, math.inf])
@pytest.mark.parametrize("scale", [1e-3, 10.0, math.nan, math.inf])
def test_as_pytorch(power, scale):
    torch = pytest.importorskip("torch")
    ps = parameters()
    for p in ps[:-1]:
        p.grad = p.grad.data * (scale if p.ndim == 1 else 1)
    theirs = [torch.tensor(np.array(p.data), requires_grad=True) for p in ps[:-1]]
    for q, p in zip(theirs, ps):
        q.grad = torch.tensor(np.array(p.grad.data))
    a, b = utils.clip_grad_norm_(ps, 0.5, power), torch.nn.utils.clip_grad_norm_(theirs, 0.5, power)
    np.testing.assert_allclose(a.item(), b.item(), rtol=1e-13)
    for p, q in zip(ps, theirs):
        np.testing.assert_allclose(p.grad.data, q.grad.numpy(), rtol=1e-13)
    utils.clip_grad_value_(ps, 0.02)
    torch.nn.utils.clip_grad_value_(theirs, 0.02)
    for p, q in zip(ps, theirs):
        np.testing.assert_allclose(p.grad.data, q.grad.numpy(), rtol=1e-13)


def test_squares_of_float16_do_not_overflow():
    p = tn.zeros(100, dtype="float16", requires_grad=True)
    p.grad = np.full(100, 300, np.float16)
    assert utils.clip_grad_norm_(p, 1.0).item() == 3000
    assert p.grad.dtype == np.float16
    np.testing.assert_allclose(p.grad.data, 0.1, rtol=1e-3)


def test_no_gradient_at_all():
    assert utils.clip_grad_norm_([], 1.0).item() == 0
    assert utils.clip_grad_norm_([tn.ones(2, requires_grad=True)], 1.0).item() == 0


def test_a_vector_and_back():
    ps = parameters()
    v = utils.parameters_to_vector(ps)
    assert v.shape == (12 + 3 + 1 + 8 + 3,)
    np.testing.assert_array_equal(v.data, np.concatenate([p.data.ravel() for p in ps]))
    g = np.random.default_rng(1).normal(size=v.shape)
    (v * tn.tensor(g)).sum().backward()
    np.testing.assert_allclose(ps[-1].grad.data, g[-3:])
    new = np.arange(27.0)
    utils.vector_to_parameters(tn.tensor(new), ps)
    np.testing.assert_array_equal(utils.parameters_to_vector(ps).data, new)
    assert all(p.requires_grad and p.is_leaf for p in ps)
    half = [tn.zeros(2, dtype="float32", requires_grad=True)]
    utils.vector_to_parameters(new[:2], half)
    assert half[0].dtype == np.float32


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: utils.clip_grad_norm_([3], 1), tn.DTypeError, "clip_grad_norm_: 3 is no parameter"),
        (lambda: utils.clip_grad_norm_([], -1), tn.OptionError, "max_norm=-1"),
        (lambda: utils.clip_grad_norm_([], 1, 0), tn.OptionError, "norm_type=0; it is a number above 0"),
        (lambda: utils.clip_grad_norm_(parameters(math.nan), 1, error_if_nonfinite=True), tn.GradientError, "norm is nan"),
        (lambda: utils.clip_grad_value_([], -1), tn.OptionError, "clip_value=-1"),
        (lambda: utils.parameters_to_vector([]), tn.ShapeError, "there are no parameters"),
        (
            lambda: utils.vector_to_parameters(np.ones(3), parameters()),
            tn.ShapeError,
            r"of 27 entries in all; its shape must be \(27,\)",
        ),
        (lambda: utils.vector_to_parameters(3, []), tn.DTypeError, "vec is 3"),
    ],
)
def test_misuse_is_named(make, error, words):
    with pytest.raises(error, match=words):
        make()
