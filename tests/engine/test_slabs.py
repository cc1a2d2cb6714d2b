"""Large arrays: the pass that sums slab by slab, and sums that keep every count."""

from __future__ import annotations

import numpy as np
import pytest

from tinygrad_norm.engine import TABLE, Op, from_numpy, grad, tensor
from tinygrad_norm.engine.arrays import _COLUMN, _ROW, SLAB, contract, row_sums, sum_to, sums, total

RULES = {  # the derivative by each operand, written out
    "add": (lambda a, b: np.ones_like(a + b), lambda a, b: np.ones_like(a + b)),
    "sub": (lambda a, b: np.ones_like(a + b), lambda a, b: -np.ones_like(a + b)),
    "mul": (lambda a, b: b + 0 * a, lambda a, b: a + 0 * b),
    "div": (lambda a, b: 1 / b + 0 * a, lambda a, b: -a / b**2),
    "maximum": (lambda a, b: (a > b) * 1.0, lambda a, b: (b > a) * 1.0),
}
SMALL = [
    ((300, 300), (300,)),
    ((300, 300), (1, 300)),
    ((300, 300), (300, 1)),
    ((300, 300), (1, 1)),
    ((300, 300), ()),
    ((5, 200, 100), (200, 100)),
    ((5, 200, 100), (5, 1, 1)),
    ((5, 200, 100), (5, 200, 1)),
    ((5, 200, 100), (1, 200, 1)),
    ((257, 256), (256,)),  # one row more than a slab
    ((2, 70000), (70000,)),  # a row is more than a slab
    ((1, 90000), (1, 1)),
    ((90000,), (1,)),
]


def spread_axes(shape, full):
    lead = len(full) - len(shape)
    return tuple(a for a in range(len(full)) if a < lead or (shape[a - lead] == 1 and full[a] != 1))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize(("full", "small"), SMALL)
@pytest.mark.parametrize("swapped", [False, True])
def test_the_slab_path_agrees_with_the_whole(name, full, small, swapped, dtype):
    rng = np.random.default_rng(8)
    big, little = (rng.uniform(0.5, 2.0, s).astype(dtype) for s in (full, small))
    dy = rng.uniform(0.5, 1.0, full).astype(dtype)
    x, b = from_numpy(big, requires_grad=True), from_numpy(little, requires_grad=True)
    operands = (b, x) if swapped else (x, b)
    found = grad(TABLE[name](*operands), operands, dy)
    exact = [t.data.astype("float64") for t in operands]
    for t, g, slope in zip(operands, found, RULES[name]):
        whole = dy.astype("float64") * slope(*exact)
        expected = whole.sum(spread_axes(t.shape, full), keepdims=True).reshape(t.shape)
        assert g.dtype == dtype
        assert g.shape == t.shape
        np.testing.assert_allclose(g.data, expected, rtol=1e-12 if dtype == "float64" else 3e-6)


@pytest.mark.parametrize("small", [(300,), (1, 300), (1000, 1), (1, 1), ()])
def test_a_rule_sees_no_more_than_a_slab_where_only_the_sum_is_wanted(small):
    seen = []

    def rule(g, out, a, b):
        seen.append(g.size)
        return g * a

    scale = Op("scale", "{0}·{1}", np.multiply, (None, rule), elementwise=True)
    a = np.random.default_rng(2).standard_normal((1000, 300))
    b = tensor(np.ones(small), requires_grad=True)
    (g,) = grad(scale(a, b), b, np.ones(a.shape))
    np.testing.assert_allclose(g.data, a.sum(spread_axes(small, a.shape), keepdims=True).reshape(small), rtol=1e-9, atol=1e-9)
    assert max(seen) <= SLAB
    assert sum(seen) == a.size


def test_where_in_slabs():
    rng = np.random.default_rng(9)
    c, a, b = rng.random((300, 300)) > 0.5, rng.standard_normal(300), rng.standard_normal((300, 1))
    x, z = tensor(a, requires_grad=True), tensor(b, requires_grad=True)
    dy = rng.standard_normal((300, 300))
    gx, gz = grad(TABLE["where"](c, x, z), [x, z], dy)
    np.testing.assert_allclose(gx.data, (dy * c).sum(0))
    np.testing.assert_allclose(gz.data, (dy * ~c).sum(1, keepdims=True))


def test_a_plain_number_beside_a_large_array():
    x = tensor(np.ones((2, 2)), requires_grad=True)
    y = x.reshape(4, 1) * np.ones((4, SLAB)) * 2.0 + 1.0
    np.testing.assert_array_equal(grad(y.sum(), x)[0].data, np.full((2, 2), 2.0 * SLAB))


@pytest.mark.parametrize("create_graph", [False, True])
def test_one_number_for_a_large_array_is_summed_whole(create_graph):
    """The compressed cotangent of a sum, through a broadcast larger than a slab."""
    x, b = tensor(np.full((300, 300), 2.0), requires_grad=True), tensor(np.arange(300.0), requires_grad=True)
    gx, gb = grad((x * b).sum(), [x, b], create_graph=create_graph)
    np.testing.assert_array_equal(gx.data, np.broadcast_to(np.arange(300.0), (300, 300)))
    np.testing.assert_array_equal(gb.data, np.full(300, 600.0))


# Sums that do not lose counts: after 2²⁴ a float32 does not notice a 1 any more --------------------------------

N = 1 << 14
AFTER = float(2**24)
# n float32 added in any order are off by at most (n − 1)·u·Σ|x|, u = 2⁻²⁴, to first order. A block has at most so many; then
# float64 carries, and one rounding ends it. Losing every 1 would be 1e-3, every fourth 2.4e-4; this is 6.1e-5.
BOUND = max(_ROW, _COLUMN) * 2.0**-24


def _columns():
    x = np.ones((N, 2), "float32")
    x[0] = AFTER
    return x


LAYOUTS = {
    "rows": (np.ascontiguousarray(_columns().T), (1,)),
    "columns": (_columns(), (0,)),
    "leading axes": (_columns().reshape(N // 2, 2, 2), (0, 1)),
    "everything": (_columns(), (0, 1)),
    "a middle axis": (np.stack([_columns(), _columns()]), (1,)),
    "rows of a transpose": (_columns().T, (1,)),
    "all but the channels": (np.ascontiguousarray(np.broadcast_to(_columns()[:, :, None], (N, 2, 3))), (0, 2)),
    "every other row": (np.repeat(_columns(), 2, axis=0)[::2], (0,)),
}


def test_blocks_are_short_enough_to_notice_small_addends():
    assert BOUND < 1e-4


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_float32_sum_keeps_small_addends(layout):
    x, axis = LAYOUTS[layout]
    exact = x.astype("float64").sum(axis, keepdims=True)
    found = total(x, axis)
    assert found.dtype == "float32"
    np.testing.assert_allclose(found, exact, rtol=BOUND)
    np.testing.assert_allclose(contract(x, np.ones_like(x), found.shape), exact, rtol=BOUND)
    np.testing.assert_allclose(sums(x, None, found.shape), exact, rtol=BOUND)
    np.testing.assert_allclose(sums(x, np.ones_like(x), found.shape), exact, rtol=BOUND)


@pytest.mark.parametrize("n", [_ROW - 1, _ROW, _ROW + 1, 2 * _ROW, N, N + 5])
def test_rows_are_carried_in_float64_from_block_to_block(n):
    x = np.ones((3, n), "float32")
    x[1, 0], x[2, -1] = AFTER, AFTER
    exact = x.astype("float64").sum(1)
    for times in (None, np.ones_like(x)):
        found = row_sums(x, times)
        assert found.dtype == "float32"
        np.testing.assert_allclose(found, exact, rtol=BOUND)
        np.testing.assert_array_equal(found[0], n)


def test_the_gradient_of_a_bias_counts_every_row():
    """g·a summed over rows, by slabs: the first row is 2²⁴, the rest are ones."""
    x, b = from_numpy(_columns()), tensor(np.zeros(2, "float32"), requires_grad=True)
    (g,) = grad(x * b, b, np.ones((N, 2), "float32"))
    assert g.dtype == "float32"
    np.testing.assert_allclose(g.data, AFTER + N - 1, rtol=BOUND)
    wide = tensor(np.zeros((N * 4, 2), "float32"))
    (g,) = grad((wide + b).sum(), b)
    np.testing.assert_array_equal(g.data, [N * 4, N * 4])


def test_counting_past_the_last_odd_float32():
    ones = np.broadcast_to(np.float32(1), (2**25, 2))  # no memory behind it
    np.testing.assert_array_equal(sum_to(ones, (2,)), np.float32([2**25, 2**25]))


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex128", "int64"])
@pytest.mark.parametrize("axis", [(0, 2, 3), (0, 3), (1, 3), (0, 1, 3)])
def test_sums_over_axes_that_lie_apart(axis, dtype):
    x = np.random.default_rng(5).uniform(1, 9, (20, 32, 8, 9)).astype(dtype) * (1j if dtype == "complex128" else 1)
    found, expected = total(x, axis), x.astype("complex128" if dtype == "complex128" else "float64").sum(axis, keepdims=True)
    assert found.dtype == dtype
    np.testing.assert_allclose(found, expected, rtol=3e-7 if dtype == "float32" else 1e-14)
