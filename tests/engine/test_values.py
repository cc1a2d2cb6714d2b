"""What ops compute over arrays in another way than NumPy's one call: held to that call, bit by bit."""

from __future__ import annotations

import numpy as np
import pytest

from tinygrad_norm import functional as F
from tinygrad_norm.engine import TABLE, tensor
from tinygrad_norm.engine.arrays import sum_to
from tinygrad_norm.engine.values import PIECE, scatter, where

rng = np.random.default_rng(0)
SPECIAL = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1.5])


def _bits(a):
    return np.asarray(a).view(f"i{a.dtype.itemsize}")


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize(("a", "b"), [(0.0, None), (None, 0.0), (-0.0, None), (np.nan, None), (None, 1), (None, None), (2.0, 3)])
def test_where_chooses_bits(dtype, a, b):
    c = rng.random(PIECE + 7) < 0.5
    a, b = (rng.choice(SPECIAL, c.size).astype(dtype) if v is None else v for v in (a, b))
    expected, found = np.where(c, a, b), where(c, a, b)
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(_bits(found), _bits(expected))


@pytest.mark.parametrize(
    "shapes", [((64, 1), (64, 32), ()), ((64, 32), (32,), (64, 1)), ((64, 32), (1,), (9, 64, 32)), ((2048,), (3, 1), ())]
)
def test_where_broadcasts(shapes):
    c, a, b = (np.asarray(rng.standard_normal(s), np.float32) for s in shapes)
    np.testing.assert_array_equal(where(c > 0, a, b), np.where(c > 0, a, b))


def test_where_of_mixed_dtypes_and_layouts():
    c, a, b = rng.random((50, 60)) < 0.5, rng.standard_normal((60, 50)).T, rng.standard_normal((50, 60)).astype(np.float32)
    for x, y in ((a, b), (b, a), (a, 1.0), (np.arange(60), b), (c, ~c), (a * 1j, b)):
        expected, found = np.where(c, x, y), where(c, x, y)
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)


def test_the_slope_of_relu_lets_everything_pass_above_and_nothing_below():
    """∞ and NaN among it: what is left out is not multiplied by 0."""
    x, g = rng.standard_normal(4000).astype(np.float32), rng.choice(SPECIAL, 4000).astype(np.float32)
    leaf = tensor(x, requires_grad=True)
    F.relu(leaf).backward(tensor(g))
    np.testing.assert_array_equal(leaf.grad.data, np.where(x > 0, g, 0))


@pytest.mark.parametrize("index", [np.array([3, 1, 0]), np.array([3, 1, 3]), np.array([-1, 1, 3]), np.array([[2], [0]])], ids=str)
def test_an_entry_picked_twice_receives_twice(index):
    g = rng.standard_normal(index.shape)
    expected = np.zeros(4)
    np.add.at(expected, index, g)
    np.testing.assert_allclose(scatter(g, (index,), (4,)), expected, rtol=1e-15)
    rows = rng.standard_normal((*index.shape, 5))
    table = np.zeros((4, 5))
    np.add.at(table, index, rows)
    np.testing.assert_allclose(scatter(rows, (index,), (4, 5)), table, rtol=1e-15)


KERNELS = {
    "a batch by one matrix": ("matmul", ((40, 30, 20), (20, 7))),
    "a batch of batches": ("matmul", ((4, 10, 30, 20), (20, 7))),
    "one matrix by a batch": ("matmul", ((20, 30), (40, 30, 7))),
    "two batches": ("matmul", ((40, 30, 20), (40, 20, 7))),
    "a divisor for each row": ("div", ((300, 100), (300, 1))),
    "a divisor for each column": ("div", ((300, 100), (100,))),
    "a dividend for each row": ("div", ((300, 1), (300, 100))),
    "gelu": ("gelu", ((300, 200),)),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", KERNELS)
def test_kernels_give_what_the_rules_give(case, dtype):
    name, shapes = KERNELS[case]
    op, inputs = TABLE[name], [rng.uniform(0.5, 2, s).astype(dtype) * rng.choice([-1, 1], s).astype(dtype) for s in shapes]
    out = op(*inputs)
    g = rng.standard_normal(out.shape).astype(dtype)
    found = op.kernel(range(len(inputs)), g, out, *inputs)
    for i, (share, x) in enumerate(zip(found, inputs)):
        assert share.dtype == dtype
        expected = sum_to(op.pullbacks[i](*(a.astype(float) for a in (g, out, *inputs))), x.shape)
        bound = 64 * np.finfo(dtype).eps * np.abs(expected).max()
        np.testing.assert_allclose(sum_to(share, x.shape), expected, rtol=0, atol=bound)


def test_the_slope_of_gelu_where_its_value_has_no_digits():
    x = np.array([0.0, -0.0, 1e-45, -1e-45, 1e-38, -1e-31, 1e-29, -30.0, -14.5, 30.0, 1e18], np.float32)
    ones = np.ones_like(x)
    (found,) = TABLE["gelu"].kernel([0], ones, TABLE["gelu"](x), x)
    np.testing.assert_allclose(found, TABLE["gelu"].pullbacks[0](ones, None, x), rtol=3e-6, atol=1e-37)
