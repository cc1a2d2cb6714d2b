"""WeightNorm: every axis, its geometry, PyTorch's reading of dim, and what zeros do."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_norm as tn
from tests.oracles import gradient
from tinygrad_norm import functional as F

WAYS = ("recorded", "analytic")
both_ways = pytest.mark.parametrize("backward", WAYS)
CASES = [((3, 4), 0), ((3, 4), 1), ((3, 4), -1), ((3, 4), None), ((2, 3, 2), 1), ((2, 3, 2), -2), ((2, 3, 2, 2), 0), ((5,), None)]
every_case = pytest.mark.parametrize(("shape", "dim"), CASES)


def axes(shape, dim):
    whole = dim is None or dim == -1
    axis = tuple(a for a in range(len(shape)) if whole or a != dim % len(shape))
    return axis, () if whole else tuple(1 if a in axis else n for a, n in enumerate(shape))


def leaves(shape, dim, seed=0, dtype="float64"):
    rng = np.random.default_rng(seed)
    v = tn.tensor(rng.normal(0.5, 1.5, shape), dtype, requires_grad=True)
    g = tn.tensor(rng.normal(size=axes(shape, dim)[1]), dtype, requires_grad=True)
    return v, g, rng.normal(size=shape)


def reference(axis, eps=0.0):
    return lambda v, g: g * v / np.sqrt((v * v).sum(axis, keepdims=True) + eps)


@both_ways
@every_case
@pytest.mark.parametrize("eps", [0.0, 0.4])
def test_values_and_gradients(shape, dim, eps, backward):
    v, g, dw = leaves(shape, dim)
    f = reference(axes(shape, dim)[0], eps)
    w = F.weight_norm(v, g, dim, backward, eps=eps)
    np.testing.assert_allclose(w.data, f(v.data, g.data), rtol=1e-14)
    for k, found in enumerate(tn.grad(w, [v, g], dw)):
        np.testing.assert_allclose(found.data, gradient(f, [v.data, g.data], k, dw), atol=1e-13)


@both_ways
@every_case
def test_pytorch_reads_dim_the_same_way(shape, dim, backward):
    torch = pytest.importorskip("torch")
    v, g, dw = leaves(shape, dim)
    their_v, their_g = (torch.tensor(t.data, requires_grad=True) for t in (v, g))
    theirs = torch._weight_norm(their_v, their_g, -1 if dim is None else dim)
    theirs.backward(torch.tensor(dw))
    w = F.weight_norm(v, g, dim, backward)
    np.testing.assert_allclose(w.data, theirs.detach().numpy(), rtol=1e-14)
    for ours, other in zip(tn.grad(w, [v, g], dw), (their_v.grad, their_g.grad)):
        np.testing.assert_allclose(ours.data, other.numpy(), atol=1e-14)


@both_ways
def test_the_gradient_is_tangent_and_the_jacobian_a_projection(backward):
    v, g, dw = leaves((4, 6), 0)
    (dv,) = tn.grad(F.weight_norm(v, g, backward=backward), v, dw)
    assert np.abs(dv.data).max(1).min() > 0.01
    np.testing.assert_allclose((dv.data * v.data).sum(1), 0, atol=1e-14)
    after = v.data - 0.7 * dv.data  # so a step can only make v longer, by Pythagoras
    np.testing.assert_allclose((after**2).sum(1), (v.data**2).sum(1) + 0.49 * (dv.data**2).sum(1), rtol=1e-13)
    row = tn.tensor(v.data[:1], requires_grad=True)
    jacobian = tn.jacobian(lambda t: F.weight_norm(t, g.data[:1], backward=backward).reshape(6), row).data.reshape(6, 6)
    length = np.linalg.norm(row.data)
    unit = row.data / length
    np.testing.assert_allclose(jacobian, g.data[0] / length * (np.eye(6) - unit.T @ unit), atol=1e-15)


@both_ways
def test_longer_v_same_w_shorter_gradient(backward):
    v, g, dw = leaves((3, 5), 0)
    longer = tn.tensor(4 * v.data, requires_grad=True)
    w, same = (F.weight_norm(t, g, backward=backward) for t in (v, longer))
    np.testing.assert_array_equal(w.data, same.data)
    np.testing.assert_allclose(4 * tn.grad(same, longer, dw)[0].data, tn.grad(w, v, dw)[0].data, rtol=1e-14)


@both_ways
def test_a_unit_of_zeros_is_nan_and_alone_or_0_with_epsilon(backward):
    v, g, dw = leaves((3, 4), 0)
    v = tn.tensor(np.where(np.arange(3)[:, None] == 1, 0.0, v.data), requires_grad=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        w = F.weight_norm(v, g, backward=backward)
        found = [t.data for t in (w, *tn.grad(w, [v, g], dw))]
    for a in found:
        assert np.isnan(a[1]).all()
        assert np.isfinite(a[[0, 2]]).all()
    w = F.weight_norm(v, g, backward=backward, eps=1e-4)
    np.testing.assert_array_equal(w.data[1], 0)
    dv, dg = tn.grad(w, [v, g], dw)
    np.testing.assert_allclose(dv.data[1], 100 * g.data[1] * dw[1])
    assert dg.data[1] == 0


@both_ways
def test_half_precision_squares_that_overflow(backward):
    v = tn.tensor(np.array([[300.0, 400.0]], "float16"), requires_grad=True)
    g = tn.tensor(np.array([[2.0]], "float16"), requires_grad=True)
    w = F.weight_norm(v, g, backward=backward)
    np.testing.assert_allclose(w.data, [[1.2, 1.6]], rtol=1e-3)
    dv, dg = tn.grad(w, [v, g], np.array([[1.0, 0.0]], "float16"))
    np.testing.assert_allclose(dv.data, [[0.00256, -0.00192]], rtol=2e-3)  # 2/500·(1 − 0.36), 2/500·(−0.48)
    np.testing.assert_allclose(dg.data, [[0.6]], rtol=1e-3)


def test_no_units_at_all():
    v, g, dw = leaves((0, 4), 0)
    assert [t.shape for t in tn.grad(F.weight_norm(v, g), [v, g], dw)] == [(0, 4), (0, 1)]


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: F.weight_norm(np.ones((2, 3)), np.ones(2)), tn.ShapeError, r"weight \(2,\).*dim=0.*must be \(2, 1\)"),
        (lambda: F.weight_norm(np.ones((2, 3)), np.ones((2, 1)), None), tn.ShapeError, r"dim=None.*must be \(\)"),
        (lambda: F.weight_norm(np.ones((2, 3)), None), tn.ShapeError, r"weight is None.*\(2, 1\)"),
        (lambda: F.weight_norm(np.ones(3), np.ones(3)), tn.ShapeError, r"no entries to take a norm of.*dim=None"),
        (lambda: F.weight_norm(np.ones((2, 0)), np.ones((2, 1))), tn.ShapeError, "has no entries"),
        (lambda: F.weight_norm(np.float64(1), np.ones(())), tn.ShapeError, "no axes"),
        (lambda: F.weight_norm(np.ones((2, 3)), np.ones((2, 1)), 2), tn.ShapeError, "axis 2 does not exist"),
        (lambda: F.weight_norm([[1, 2]], np.ones((1, 1))), tn.DTypeError, "int64.*Cast first"),
    ],
)
def test_misuse_is_named(call, error, words):
    with pytest.raises(error, match=words):
        call()
