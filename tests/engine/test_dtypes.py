"""float32 in, float32 gradient out: NumPy's promotion rules must not widen or narrow anything in silence."""

from __future__ import annotations

import numpy as np
import pytest

from tinygrad_norm.engine import TABLE, concatenate, grad, tensor

HALF, SINGLE, DOUBLE = "float16", "float32", "float64"


def leaf(values, dtype):
    return tensor(values, dtype=dtype, requires_grad=True)


SCALARS = [2, 2.0, True, np.float64(2.0), np.float32(2.0), np.int64(2), np.sqrt(2), np.array([2.0])[0], 1e-5, np.bool_(True)]


@pytest.mark.parametrize("scalar", SCALARS, ids=lambda s: f"{type(s).__name__} {s}")
@pytest.mark.parametrize("dtype", [HALF, SINGLE, DOUBLE])
@pytest.mark.parametrize(
    "compute",
    [
        lambda x, s: x + s,
        lambda x, s: s - x,
        lambda x, s: x * s,
        lambda x, s: s / x,
        lambda x, s: x / s if s > 0.1 else x,
        lambda x, s: s + x,
        lambda x, s: s * x,
        lambda x, s: TABLE["maximum"](x, s),
        lambda x, s: TABLE["where"](x > s, x, s),
        lambda x, s: np.multiply(s, x),
    ],
)
def test_a_scalar_takes_the_tensors_dtype(compute, scalar, dtype):
    x = leaf([1.0, 2.0, 3.0], dtype)
    y = compute(x, scalar)
    assert y.dtype == dtype
    for create_graph in (False, True):
        (g,) = grad(y, x, np.ones(3, dtype), create_graph=create_graph)
        assert g.dtype == dtype
    np.testing.assert_allclose(y.data, compute(np.array([1.0, 2.0, 3.0]), scalar) if dtype == DOUBLE else y.data)


@pytest.mark.parametrize("dtype", [HALF, SINGLE, DOUBLE])
@pytest.mark.parametrize("n", [2, 3, 0.5, -1, np.float64(2), np.float32(0.5), np.int32(3)])
@pytest.mark.parametrize("shape", [(), (3,)])
def test_powers_keep_the_dtype(n, dtype, shape):
    x = leaf(np.full(shape, 2.0), dtype)
    y = x**n
    assert y.dtype == dtype
    (g,) = grad(y, x, np.ones(shape, dtype), create_graph=True)
    (gg,) = grad(g.sum(), x)
    assert (g.dtype, gg.dtype) == (dtype, dtype)
    np.testing.assert_allclose(gg.data, n * (n - 1) * 2.0 ** (n - 2), rtol=2e-3)


@pytest.mark.parametrize("dtype", [HALF, SINGLE, DOUBLE])
@pytest.mark.parametrize("name", ["sum", "mean", "amax"])
@pytest.mark.parametrize("axis", [None, 0, 1])
def test_reductions_and_their_counts_keep_the_dtype(name, axis, dtype):
    x = leaf(np.arange(6.0).reshape(2, 3), dtype)
    y = getattr(x, name)(axis)
    assert y.dtype == dtype
    (g,) = grad(y, x, np.ones(y.shape, dtype), create_graph=True)
    assert g.dtype == dtype
    assert grad(y, x, np.ones(y.shape, dtype))[0].dtype == dtype


@pytest.mark.parametrize("dtype", [HALF, SINGLE, DOUBLE])
def test_a_normalization_written_by_hand_keeps_the_dtype_at_every_order(dtype):
    x, gain = leaf([[1.0, 2.0, 4.0], [0.5, -1.0, 3.0]], dtype), leaf([1.0, 2.0, 0.5], dtype)
    centred = x - x.mean(-1, keepdims=True)
    y = centred * ((centred**2).mean(-1, keepdims=True) + 1e-3).rsqrt() * gain / np.sqrt(3)
    assert y.dtype == dtype
    gx, gg = grad(y, [x, gain], np.ones(y.shape, dtype), create_graph=True)
    assert (gx.dtype, gg.dtype) == (dtype, dtype)
    assert all(g.dtype == dtype for g in grad((gx * gx).sum(), [x, gain]))


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("name", ["add", "sub", "mul", "div", "maximum", "matmul", "where", "concatenate"])
def test_mixed_dtypes_give_each_gradient_in_its_inputs(name, create_graph):
    a, b = leaf([[1.0, 2.0], [3.0, 4.0]], SINGLE), leaf([[5.0, 6.0], [7.0, 8.0]], DOUBLE)
    compute = {
        "where": lambda: TABLE["where"](np.eye(2) > 0, a, b),
        "concatenate": lambda: concatenate([a, b]),
    }.get(name, lambda: TABLE[name](a, b))
    y = compute()
    assert y.dtype == DOUBLE
    ga, gb = grad(y, [a, b], np.full(y.shape, 1 / 3), create_graph=create_graph)
    assert (ga.dtype, gb.dtype) == (SINGLE, DOUBLE)


def test_mixed_dtypes_through_a_broadcast_and_through_slabs():
    x, bias = leaf(np.ones((300, 300)), DOUBLE), leaf(np.zeros(300), SINGLE)
    gx, gb = grad((x + bias) * 0.5, [x, bias], np.ones((300, 300)))
    assert (gx.dtype, gb.dtype) == (DOUBLE, SINGLE)
    np.testing.assert_array_equal(gb.data, np.full(300, 150.0))


def test_routes_of_two_dtypes_into_one_leaf():
    x = leaf([1.0, 2.0], SINGLE)
    y = x * 2.0 + x * np.array([1.0, 3.0]) + x.astype(DOUBLE)
    (g,) = grad(y, x, np.ones(2))
    assert g.dtype == SINGLE
    np.testing.assert_array_equal(g.data, [4.0, 6.0])


def test_backward_keeps_grad_in_the_leafs_dtype():
    x = leaf([1.0, 2.0], SINGLE)
    for _ in range(2):
        (x * np.array([1.0, 3.0])).sum().backward()
    assert x.grad.dtype == SINGLE
    np.testing.assert_array_equal(x.grad.data, [2.0, 6.0])


def test_constants_of_integers_and_booleans():
    x = leaf([1.0, 2.0], DOUBLE)
    for constant in (np.array([3, 4]), np.array([True, False])):
        y = x * constant
        assert y.dtype == DOUBLE
        np.testing.assert_array_equal(grad(y.sum(), x)[0].data, constant.astype(DOUBLE))
    k = tensor([1, 2, 4])
    assert k.sum().dtype.kind == "i"
    assert k.mean().dtype == DOUBLE
    assert (k / 2).dtype == DOUBLE


def test_what_is_made_of_integers_carries_no_gradient():
    """A cast to integers is a staircase: nothing flows through it, and an integer tensor never requires a gradient."""
    x = leaf([1.5, 2.5], DOUBLE)
    steps = x.astype(int)
    assert not steps.requires_grad
    np.testing.assert_array_equal(grad((steps * x).sum(), x)[0].data, [1.0, 2.0])


# astype ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("there", [HALF, SINGLE, DOUBLE])
@pytest.mark.parametrize("here", [HALF, SINGLE, DOUBLE])
@pytest.mark.parametrize("create_graph", [False, True])
def test_a_cast_gradient_comes_back(here, there, create_graph):
    x = leaf([1.0, 2.0], here)
    y = x.astype(there) ** 2
    assert y.dtype == there
    (g,) = grad(y, x, np.ones(2, there), create_graph=create_graph)
    assert g.dtype == here
    np.testing.assert_array_equal(g.data, [2.0, 4.0])


# float16 ---------------------------------------------------------------------------------------------------


def test_float16_sums_add_up_in_float32():
    x = leaf(np.full(4096, 1.001), HALF)  # in float16 a running sum would stick at 2048
    exact = np.float16(1.001).astype(DOUBLE) * 4096
    assert x.sum().dtype == HALF
    np.testing.assert_allclose(x.sum().item(), exact, rtol=1e-3)
    columns = leaf(np.full((4096, 2), 1.001), HALF)
    np.testing.assert_allclose(columns.sum(0).data, [exact, exact], rtol=1e-3)


def test_a_float16_mean_does_not_overflow_where_its_sum_would():
    x = leaf(np.full(1000, 300.0), HALF)
    assert x.mean().item() == 300.0
    np.testing.assert_allclose(grad(x.mean(), x)[0].data, 1e-3, rtol=1e-3)


@pytest.mark.parametrize("create_graph", [False, True])
def test_a_float16_mean_over_more_entries_than_float16_can_count(create_graph):
    x = leaf(np.ones(70_000), HALF)
    assert x.mean().item() == 1.0
    (g,) = grad(x.mean(), x, create_graph=create_graph)
    np.testing.assert_allclose(g.data, 1 / 70_000, rtol=1e-2)


def test_a_float16_bias_gradient_adds_up_in_float32():
    x, b = tensor(np.zeros((4096, 2), HALF)), leaf([0.0, 0.0], HALF)
    for create_graph in (False, True):
        (g,) = grad((x + b).sum(0), b, np.ones(2, HALF), create_graph=create_graph)
        np.testing.assert_array_equal(g.data, [4096.0, 4096.0])


# Making tensors --------------------------------------------------------------------------------------------


def test_the_dtype_of_a_new_tensor():
    assert tensor([1.0, 2.0]).dtype == DOUBLE
    assert tensor([1, 2]).dtype == np.dtype(int)
    assert tensor(np.ones(2, HALF)).dtype == HALF
    assert tensor([1, 2], dtype=SINGLE, requires_grad=True).dtype == SINGLE
    assert tensor(tensor([1.0], dtype=SINGLE)).dtype == SINGLE
    assert tensor(3.0).shape == ()
