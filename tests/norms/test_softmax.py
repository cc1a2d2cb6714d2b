"""Softmax and log-softmax: beside PyTorch and complex step, the geometry of the Jacobian, and what infinities give."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import tinygrad_norm as tn
from tests import oracles

F = tn.functional
WAYS = ("recorded", "analytic")
INF = np.inf

both_ways = pytest.mark.parametrize("backward", WAYS)
both_functions = pytest.mark.parametrize("name", ["softmax", "log_softmax"])


def by_definition(name, x, axis):
    """For arrays real or complex, and small ones: no maximum is taken out."""
    total = np.exp(x).sum(axis, keepdims=True)
    return np.exp(x) / total if name == "softmax" else x - np.log(total)


def jacobian(z, backward="recorded"):
    x = tn.tensor(z, requires_grad=True)
    p = F.softmax(x, 0, backward)
    return p.data, np.stack([tn.grad(p, x, row)[0].data for row in np.eye(len(z))])


# Values and gradients -----------------------------------------------------------------------------------------


@both_functions
@both_ways
@pytest.mark.parametrize(
    ("shape", "dim"), [((5,), 0), ((3, 4), -1), ((3, 4), 0), ((2, 3, 4), (0, 2)), ((2, 3), (0, 1)), ((4, 1), 1)]
)
def test_against_complex_step(name, backward, shape, dim):
    rng = np.random.default_rng(3)
    data, dy = rng.normal(size=shape), rng.normal(size=shape)
    x = tn.tensor(data, requires_grad=True)
    y = getattr(F, name)(x, dim, backward)
    np.testing.assert_allclose(y.data, by_definition(name, data, dim), rtol=1e-14, atol=1e-15)
    expected = oracles.gradient(lambda x: by_definition(name, x, dim), [data], 0, dy)
    np.testing.assert_allclose(tn.grad(y, x, dy)[0].data, expected, atol=1e-14)


@both_functions
@both_ways
@pytest.mark.parametrize(("shape", "dim"), [((5,), 0), ((3, 4), 1), ((2, 3, 4), 1), ((2, 3, 4), -1)])
def test_beside_torch_at_three_orders(name, backward, shape, dim):
    torch = pytest.importorskip("torch")
    from tests.engine.test_torch_parity import compare

    x = np.random.default_rng(4).normal(1, 3, shape)
    theirs = getattr(torch.nn.functional, name)
    compare(lambda t: getattr(F, name)(t, dim, backward), lambda t: theirs(t, dim), x, order=3)
    compare(lambda t: getattr(F, name)(t * 500, dim, backward), lambda t: theirs(t * 500, dim), x, order=2, rtol=1e-8)


@both_ways
def test_the_second_derivative_by_hand(backward):
    """With s = Σ dy·p, t = Σ v·p and q = v·dy − s·v − t·dy:  d⟨v, dx⟩/dx = p·(q − Σ q·p)."""
    rng = np.random.default_rng(5)
    x = tn.tensor(rng.normal(size=6), requires_grad=True)
    dy, v = rng.normal(size=(2, 6))
    (dx,) = tn.grad(F.softmax(x, 0, backward), x, dy, create_graph=True)
    p = F.softmax(x, 0).data
    q = v * dy - (dy @ p) * v - (v @ p) * dy
    np.testing.assert_allclose(tn.grad(dx, x, v)[0].data, p * (q - q @ p), atol=1e-15)


# The Jacobian ------------------------------------------------------------------------------------------------------


@both_ways
def test_the_jacobian_is_a_covariance(backward):
    z = np.array([0.3, -1.2, 2.0, 0.1, -INF, 0.5])
    p, j = jacobian(z, backward)
    np.testing.assert_allclose(j, np.diag(p) - np.outer(p, p), atol=1e-15)
    eigenvalues = np.linalg.eigvalsh(j)
    assert eigenvalues.min() > -1e-15, "positive semidefinite"
    assert (eigenvalues > 1e-12).sum() == (p > 0).sum() - 1 == 4, "the rank"
    assert np.trace(j) == pytest.approx(1 - (p**2).sum())
    assert np.abs(j @ np.ones(6)).max() < 1e-16, "adding one number to all changes nothing"
    between = np.sort(p)
    assert (eigenvalues[1:] >= between[:-1] - 1e-15).all(), "the eigenvalues lie"
    assert (eigenvalues <= between + 1e-15).all(), "between the probabilities"


@both_ways
def test_no_gradient_is_more_than_halved_and_where_it_is(backward):
    rng = np.random.default_rng(6)
    largest = [np.linalg.eigvalsh(jacobian(rng.normal(0, s, n), backward)[1]).max() for n in (2, 3, 7) for s in (0.1, 1, 5)]
    assert max(largest) < 0.5
    assert np.linalg.eigvalsh(jacobian(np.array([1.5, 1.5, -INF]), backward)[1]).max() == pytest.approx(0.5, abs=1e-15)


@both_functions
@both_ways
def test_moving_all_of_x_changes_nothing(name, backward):
    rng = np.random.default_rng(7)
    data, dy = rng.normal(size=(2, 3, 4))
    x = tn.tensor(data, requires_grad=True)
    (dx,) = tn.grad(getattr(F, name)(x, -1, backward), x, dy)
    expected = np.zeros(3)
    np.testing.assert_allclose(dx.data.sum(-1), expected, atol=1e-15)
    moved = getattr(F, name)(tn.tensor(data + 2.0**20), -1, backward)
    np.testing.assert_allclose(moved.data, getattr(F, name)(x, -1).data, atol=1e-9)


# The record --------------------------------------------------------------------------------------------------------


@both_functions
def test_the_maximum_is_a_constant_and_two_routes_are_left(name):
    x = tn.tensor(np.random.default_rng(8).normal(size=(2, 3)), requires_grad=True, name="x")
    graph = tn.graph(getattr(F, name)(x, -1))
    (top,) = [t for t in graph.tensors if t.name == "max"]
    assert top.op is None
    assert not top.requires_grad
    assert len(graph.routes(x)) == 2
    assert {n.scope[0] for n in graph.nodes if n.scope} == {"shift", "exponentials", "normalize"}


def test_the_functions_are_these():
    from tinygrad_norm.norms import log_softmax, softmax

    assert F.softmax is softmax
    assert F.log_softmax is log_softmax


# Edges ---------------------------------------------------------------------------------------------------------------


@both_functions
@both_ways
def test_far_apart_is_no_overflow(name, backward):
    x = tn.tensor(np.array([[1e30, -1e30, 0.0], [1e4, 0.0, 1e4]]), requires_grad=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        y = getattr(F, name)(x, -1, backward)
        (dx,) = tn.grad(y, x, np.ones((2, 3)) * [1.0, 2.0, 3.0])
    p = np.exp(y.data) if name == "log_softmax" else y.data
    np.testing.assert_allclose(p, [[1, 0, 0], [0.5, 0, 0.5]], atol=1e-15)
    assert np.isfinite(dx.data).all()


@both_functions
@both_ways
@pytest.mark.parametrize("row", [[-INF, -INF, -INF], [INF, 0.0, 1.0], [np.nan, 0.0, 1.0]], ids=str)
def test_rows_that_are_nan_stay_by_themselves(name, backward, row):
    with np.errstate(invalid="ignore"):
        y = getattr(F, name)(tn.tensor([row, [0.0, 0.0, 0.0]]), -1, backward)
    assert np.isnan(y.data[0]).all()
    assert np.isfinite(y.data[1]).all()


@both_functions
@both_ways
def test_one_minus_infinity_takes_no_part(name, backward):
    x = tn.tensor([0.0, -INF, 0.0], requires_grad=True)
    y = getattr(F, name)(x, 0, backward)
    p = np.exp(y.data) if name == "log_softmax" else y.data
    np.testing.assert_allclose(p, [0.5, 0, 0.5])
    (dx,) = tn.grad(y, x, np.array([1.0, 0.0, 3.0]))
    expected = [-0.5, 0, 0.5] if name == "softmax" else [-1.0, 0.0, 1.0]
    np.testing.assert_allclose(dx.data, expected, atol=1e-15)


@both_ways
def test_the_logarithm_of_softmax_is_not_log_softmax_once_p_is_0(backward):
    x = tn.tensor([0.0, -1000.0], requires_grad=True)
    y = F.log_softmax(x, 0, backward)
    np.testing.assert_array_equal(y.data, [0, -1000])
    np.testing.assert_array_equal(tn.grad(y, x, np.array([0.0, 1.0]))[0].data, [-1, 1])
    with np.errstate(divide="ignore", invalid="ignore"):
        naive = F.softmax(x, 0, backward).log()
        assert naive.data[1] == -INF
        assert np.isnan(tn.grad(naive, x, np.array([0.0, 1.0]))[0].data).any()


@both_functions
@both_ways
def test_float16_is_computed_in_float32(name, backward):
    rng = np.random.default_rng(9)
    data = rng.normal(0, 8, (3, 5000)).astype("float16")
    x, wide = tn.tensor(data, requires_grad=True), tn.tensor(data.astype("float64"), requires_grad=True)
    dy = rng.normal(size=data.shape).astype("float16")
    y, exact = getattr(F, name)(x, -1, backward), getattr(F, name)(wide, -1)
    assert y.dtype == np.float16
    np.testing.assert_allclose(y.data, exact.data, rtol=1e-3, atol=1e-7)
    (dx,), (expected,) = tn.grad(y, x, dy), tn.grad(exact, wide, dy.astype("float64"))
    assert dx.dtype == np.float16
    np.testing.assert_allclose(dx.data, expected.data, rtol=1e-3, atol=1e-6)


@both_functions
@both_ways
@pytest.mark.parametrize("shape", [(0, 3), (2, 0), (0,)])
def test_nothing_in_nothing_out(name, backward, shape):
    x = tn.tensor(np.zeros(shape), requires_grad=True)
    with np.errstate(divide="ignore"):  # the logarithm of a sum of nothing
        y = getattr(F, name)(x, -1, backward)
    assert y.shape == shape
    assert tn.grad(y, x, np.zeros(shape))[0].shape == shape


@both_functions
def test_what_bad_input_is_told(name):
    f = getattr(F, name)
    with pytest.raises(tn.DTypeError, match=rf"{name}.*\(3,\) int64.*Cast"):
        f(np.arange(3), 0)
    with pytest.raises(tn.ShapeError, match=rf"{name}.*axis 2 does not exist"):
        f(np.ones((2, 2)), 2)
    with pytest.raises(ValueError, match=r'"recorded", "analytic" or "compiled"'):
        f(np.ones(2), 0, "fused")
