"""L2 normalization: the projection (I − y·yᵀ)/‖x‖, the clamped branch, other p, and what float16 must not lose."""

from __future__ import annotations

import math

import numpy as np
import pytest

import tinygrad_norm as tn
from tests import oracles

F = tn.functional
WAYS = ("recorded", "analytic")
INF = math.inf

both_ways = pytest.mark.parametrize("backward", WAYS)
every_p = pytest.mark.parametrize("p", [1, 1.5, 2.0, 3, 0.5, INF])


def random(*shape, seed=0):
    return np.random.default_rng(seed + sum(shape)).normal(0.3, 1.2, shape)


def by_definition(x, p, axis, eps):
    """Real only: |x| has no complex step."""
    size = np.abs(x)
    n = size.max(axis, keepdims=True) if p == INF else (size**p).sum(axis, keepdims=True) ** (1 / p)
    return x / np.maximum(n, eps)


# Values and gradients -----------------------------------------------------------------------------------------


@both_ways
@pytest.mark.parametrize("eps", [1e-12, 2.0])
@pytest.mark.parametrize(("shape", "dim"), [((5,), 0), ((3, 4), 1), ((3, 4), 0), ((2, 3, 4), -1), ((2, 3, 4), (1, 2))])
def test_against_complex_step(backward, shape, dim, eps):
    data, dy = random(*shape), random(*shape, seed=1)

    def f(x):
        n = np.sqrt((x * x).sum(dim, keepdims=True))
        return x / np.where(n.real < eps, eps, n)

    x = tn.tensor(data, requires_grad=True)
    y = F.normalize(x, dim=dim, eps=eps, backward=backward)
    np.testing.assert_allclose(y.data, f(data), rtol=1e-14)
    np.testing.assert_allclose(tn.grad(y, x, dy)[0].data, oracles.gradient(f, [data], 0, dy), atol=1e-14)


@both_ways
@every_p
@pytest.mark.parametrize("eps", [1e-12, 4.0])
def test_other_lengths_against_differences(backward, p, eps):
    data, dy = random(3, 5), random(3, 5, seed=1)
    x = tn.tensor(data, requires_grad=True)
    y = F.normalize(x, p, 1, eps, backward)
    np.testing.assert_allclose(y.data, by_definition(data, p, 1, eps), rtol=1e-14)
    expected = oracles.gradient(lambda x: by_definition(x, p, 1, eps), [data], 0, dy, oracles.central)
    np.testing.assert_allclose(tn.grad(y, x, dy)[0].data, expected, atol=1e-6 if p < 1 else 1e-9)


@both_ways
@every_p
@pytest.mark.parametrize("dim", [0, 1, (0, 1)])
def test_beside_torch(backward, p, dim):
    torch = pytest.importorskip("torch")
    from tests.engine.test_torch_parity import compare

    for eps in (1e-12, 2.5):
        compare(
            lambda x: F.normalize(x, p, dim, eps, backward),  # noqa: B023
            lambda x: torch.nn.functional.normalize(x, p, dim, eps),  # noqa: B023
            random(3, 4),
            order=3 if dim != (0, 1) or p == 2 else 1,
        )


@both_ways
@pytest.mark.parametrize("p", [1, 1.5, 2, 3, INF])
def test_zeros_ties_and_zero_rows_beside_torch(backward, p):
    torch = pytest.importorskip("torch")
    from tests.engine.test_torch_parity import compare

    x = np.array([[3.0, 0.0, -4.0, 4.0], [0.0, 0.0, 0.0, 0.0], [0.0, 2.0, 2.0, 0.0]])
    compare(lambda x: F.normalize(x, p, backward=backward), lambda x: torch.nn.functional.normalize(x, p), x, order=1)


def test_both_ways_agree_at_order_three_for_any_p():
    for p in (1.0, 1.5, 3.0, INF, 0.5):
        found = []
        for backward in WAYS:
            rng = np.random.default_rng(2)
            x = tn.tensor(random(3, 4), requires_grad=True)
            d = F.normalize(x, p, 1, 2.0, backward)
            for _ in range(3):
                (d,) = tn.grad(d, x, rng.normal(size=d.shape), create_graph=True)
            found.append(d.data)
        np.testing.assert_allclose(*found, rtol=1e-9, atol=1e-10 * np.abs(found[0]).max(), err_msg=f"p={p}")


@pytest.mark.parametrize("p", [0.5, 1, 1.5, 3, INF])
def test_entries_of_zero_have_finite_derivatives(p):
    """Where a power of |x| has no slope it counts as 0: in the record, in the formula, and in the gradient of either."""
    found = []
    for backward in WAYS:
        rng = np.random.default_rng(3)
        x = tn.tensor([[0.0, 2.0, -1.0, 0.0], [0.0, 0.0, 0.0, 0.5]], requires_grad=True)
        (dx,) = tn.grad(F.normalize(x, p, backward=backward), x, rng.normal(size=x.shape), create_graph=True)
        found.append([dx.data, tn.grad(dx, x, rng.normal(size=x.shape))[0].data])
    for a, b in zip(*found):
        assert np.isfinite(a).all()
        np.testing.assert_allclose(a, b, atol=1e-13)


# The geometry ---------------------------------------------------------------------------------------------------------


@both_ways
def test_the_jacobian_is_a_projection_over_the_length(backward):
    data = random(6)
    x = tn.tensor(data, requires_grad=True)
    y = F.normalize(x, dim=0, backward=backward)
    j = np.stack([tn.grad(y, x, row)[0].data for row in np.eye(6)])
    n, u = np.linalg.norm(data), data / np.linalg.norm(data)
    np.testing.assert_allclose(j, (np.eye(6) - np.outer(u, u)) / n, atol=1e-15)
    np.testing.assert_allclose(np.linalg.eigvalsh(j * n), [0, 1, 1, 1, 1, 1], atol=1e-14)


@both_ways
def test_a_longer_vector_has_the_same_direction_and_a_shorter_gradient(backward):
    data, dy = random(4, 5), random(4, 5, seed=1)
    found = []
    for scale in (1.0, 64.0):
        x = tn.tensor(data * scale, requires_grad=True)
        y = F.normalize(x, backward=backward)
        (dx,) = tn.grad(y, x, dy)
        assert np.abs((dx.data * x.data).sum(1)).max() < 1e-14, "no gradient along x"
        found.append((y.data, dx.data * scale))
    np.testing.assert_array_equal(*(y for y, _ in found))
    np.testing.assert_array_equal(*(g for _, g in found))


def test_two_routes_that_are_orthogonal():
    routes = tn.compare("normalize", seed=4).routes
    assert len(routes) == 2
    assert routes.energy.relative_gap < 1e-14


# Short vectors ----------------------------------------------------------------------------------------------------------


@both_ways
def test_at_zero_the_gradient_is_that_of_x_over_eps(backward):
    dy = random(2, 3)
    x = tn.tensor([[0.0, 0.0, 0.0], [1e-13, 0.0, 0.0]], requires_grad=True)
    y = F.normalize(x, backward=backward)
    np.testing.assert_allclose(y.data, [[0, 0, 0], [0.1, 0, 0]], rtol=1e-14)
    (dx,) = tn.grad(y, x, dy, create_graph=True)
    np.testing.assert_allclose(dx.data, dy * 1e12, rtol=1e-14)
    np.testing.assert_array_equal(tn.grad(dx, x, dy, allow_unused=True)[0].data, 0)


@both_ways
def test_exactly_eps_long_counts_as_free(backward):
    x = tn.tensor([[3.0, 4.0]], requires_grad=True)
    dx = {eps: tn.grad(F.normalize(x, eps=eps, backward=backward), x, np.array([[1.0, 0.0]]))[0].data for eps in (5.0, 5.1)}
    np.testing.assert_allclose(dx[5.0], [[0.128, -0.096]], atol=1e-16)
    np.testing.assert_allclose(dx[5.1], [[1 / 5.1, 0]])


@both_ways
def test_without_eps_the_zero_vector_has_no_direction(backward):
    with np.errstate(invalid="ignore"):
        assert np.isnan(F.normalize(np.zeros((1, 2)), eps=0.0, backward=backward).data).all()


@both_ways
def test_float16_keeps_eps_and_small_squares(backward):
    """In float16 1e-12 is 0, and the square of 1e-4, too: 0/0 for the zero vector (PyTorch), infinities (keras#23546)."""
    x = tn.tensor(np.array([[0.0, 0.0], [1e-4, 1e-4], [0.01, 0.01], [300, 400]], "float16"), requires_grad=True)
    y = F.normalize(x, backward=backward)
    assert y.dtype == np.float16
    np.testing.assert_allclose(y.data, [[0, 0], [0.7071, 0.7071], [0.7071, 0.7071], [0.6, 0.8]], rtol=1e-3)
    (dx,) = tn.grad(y, x, np.array([[0, 0], [1, 0], [1, 0], [1, 0]], "float16"))
    n = np.linalg.norm(x.data[1].astype(float))
    np.testing.assert_allclose(dx.data[1], np.array([0.5, -0.5]) / n, rtol=2e-3)
    np.testing.assert_allclose(dx.data[2], [35.35, -35.35], rtol=2e-3)
    np.testing.assert_allclose(dx.data[3], [0.00128, -0.00096], rtol=2e-3)


# Words ---------------------------------------------------------------------------------------------------------------------


def test_what_bad_input_is_told():
    x = tn.tensor(random(2, 3), name="x")
    with pytest.raises(tn.ShapeError, match="normalize: axis 1 does not exist"):
        F.normalize(np.ones(3))
    with pytest.raises(tn.DTypeError, match=r"normalize: input \(2, 2\) int64.*Cast"):
        F.normalize(np.ones((2, 2), "int64"))
    for p in (0, -1, "fro", math.nan):
        error = tn.DTypeError if p == "fro" else tn.OptionError
        with pytest.raises(error, match=r"normalize: p=.*; it is a number above 0"):
            F.normalize(x, p)
    with pytest.raises(ValueError, match=r'"recorded", "analytic" or "compiled"'):
        F.normalize(x, backward="fused")


@both_ways
def test_nothing_in_nothing_out(backward):
    x = tn.tensor(np.zeros((2, 0)), requires_grad=True)
    y = F.normalize(x, backward=backward)
    assert y.shape == tn.grad(y, x, np.zeros((2, 0)))[0].shape == (2, 0)
